"""The flight recorder: lines that stay in memory are stored when something goes wrong, once, and only those that belong to it."""

import json
import os
import pathlib
import signal
import socket
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
from tests.lib.harness import BUILD, LONG, PROGRAMS, Instance, expect, main, wait_until  # noqa: E402

PROGRAMS["faults"] = "collector/taskforge-collector-faults"
APP = BUILD / "tests/integration/recorder_app"
CONFIG = "  output: none\n  flight_recorder: { levels: [trace, debug], keep: %s }\n"
TRACE = "0af7651916cd43dd8448eb211c80319c"


class App:
    def __init__(self, place, service, **user):
        self.place, self.service = place, service
        self.process = subprocess.Popen([str(APP), service], env=place.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **user)
        place.apps.append(self)
        expect(self.process.stdout.readline() == "open\n", f"{service} did not open")

    def __call__(self, *lines):
        for line in lines:
            self.process.stdin.write(f"{line}\n")
            self.process.stdin.flush()
            expect(self.process.stdout.readline() == "done\n", f"{self.service} did not do: {line}")

    def end(self):
        self.process.communicate()
        expect(self.process.returncode == 0, f"{self.service} ended with {self.process.returncode}")

    def kill(self):
        self.process.kill()
        self.process.communicate()


class Place(Instance):
    def __init__(self, keep="60s", **rest):
        super().__init__(collector=CONFIG % keep, **rest)
        self.apps = []

    def __exit__(self, *arguments):
        for app in self.apps:
            app.process.kill()
            app.process.communicate()
        super().__exit__(*arguments)

    def messages(self, *arguments):
        """What the apps said themselves."""
        return [entry["message"] for entry in self.query(*arguments) if entry["module"] == "main"]

    def stored(self, service, *messages):
        """These, in this order by time; waits for the last."""
        wait_until(lambda: messages[-1] in self.messages("-s", service), f"{messages[-1]} of {service}", pause=0.05)
        found = self.messages("-s", service)
        expect(found == list(messages), f"of {service} {found}, not {messages}")

    def recorder(self, *arguments, check=True):
        return self.run("tfctl", "recorder", *arguments, check=check)

    def start_faulty(self, spec):
        self.env["TASKFORGE_FAULT"] = spec
        collector = self.start("faults")
        del self.env["TASKFORGE_FAULT"]
        return collector

    def status(self):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(self.runtime / "collector.sock"))
            connection.sendall(b"status\n")
            answer = b""
            while not answer.endswith(b"\n.\n"):
                answer += connection.recv(65536)
        return json.loads(answer.splitlines()[1])


def an_error_brings_what_its_process_recorded():
    with Place() as place:
        place.start("collector")
        billing, mailer = App(place, "billing"), App(place, "mailer")
        mailer("debug another process")
        billing("debug first", f"debug @{TRACE} second", "trace #own third", "info fourth", "flush")
        place.stored("billing", "fourth")
        billing("error fifth", "debug sixth", "error seventh")
        place.stored("billing", "first", "second", "third", "fourth", "fifth", "sixth", "seventh")
        found = place.query("-s", "billing")
        marked = [entry["message"] for entry in found if entry.get("metadata", {}).get("flight_recorder") is True]
        expect(marked == ["first", "second", "third", "sixth"], f"marked: {marked}")
        expect(marked == place.messages('{flight_recorder="true"}'), f"{marked}")
        expect(found[1]["trace_id"] == TRACE and found[2]["trace_id"] == "own", f"{found[1]} {found[2]}")
        expect(len({entry["id"] for entry in found}) == 7, "ids that are the same")
        expect(place.messages("-s", "mailer") == [], f"{place.messages('-s', 'mailer')}")
        metric = ("tfctl", "metrics", "taskforge_ring_recorded", "-o", "json")
        wait_until(lambda: json.loads(place.run(*metric).stdout)["value"] == 4, "the metric")  # shown after the commit


def an_error_brings_what_other_processes_recorded_of_its_trace():
    user = {"user": 65534, "group": 65534, "extra_groups": []} if os.geteuid() == 0 else {}
    with Place() as place:
        place.root.chmod(0o755)
        place.start("collector")
        billing, mailer, other = App(place, "billing"), App(place, "mailer"), App(place, "other", **user)
        for app in (mailer, other):
            app(f"debug @{TRACE} {app.service} raw", "debug none", f"debug #{TRACE} {app.service} text", "debug @another of another")
        billing(f"error @{TRACE} it broke")
        place.stored("billing", "it broke")
        place.stored("mailer", "mailer raw", "mailer text")
        place.stored("other", "other raw", "other text")
        mailer("error its own")
        place.stored("mailer", "mailer raw", "none", "mailer text", "of another", "its own")


def a_killed_process_leaves_its_last_words():
    with Place() as place:
        place.start("collector")
        app = App(place, "billing")
        app("info begins", "debug one", "thread 3 thread", "debug two")
        app.kill()
        place.stored("billing", "begins", "one", "thread 0", "thread 1", "thread 2", "two")


def a_process_that_ends_takes_it_along():
    with Place() as place:
        place.start("collector")
        app = App(place, "billing")
        app("debug one", "info begins")
        app.end()
        place.stored("billing", "begins")
        last = App(place, "last")  # what it says is stored after the end of the other is dealt with
        last("info done")
        wait_until(lambda: place.status()["processes"] == 1, "the end of billing")
        expect(place.messages("-s", "billing") == ["begins"], f"{place.messages('-s', 'billing')}")


def it_is_stored_on_request():
    with Place() as place:
        collector = place.start("collector")
        billing, mailer = App(place, "billing"), App(place, "mailer")
        billing("debug one", "thread 2 thread")
        mailer("debug two")
        answer = json.loads(place.recorder("store", "-s", "billing", "-o", "json").stdout)
        expect(answer == {"service": "billing", "processes": 1, "entries": 3}, f"{answer}")
        place.stored("billing", "one", "thread 0", "thread 1")
        expect(place.messages("-s", "mailer") == [], "another service's")
        billing("debug three")
        expect(place.recorder("store").stdout == b"2 entries of 2 programs\n", "all")
        expect(place.recorder("store").stdout == b"0 entries of 2 programs\n", "again")
        place.stored("mailer", "two")
        mailer("debug four", "debug five", "store")
        place.stored("mailer", "two", "four", "five")
        told = [e for e in place.query("-s", "taskforge") if e["module"] == "audit" and e["operation"] == "recorder"]
        targets = [(e["metadata"]["actor"], e["metadata"]["target"], e["metadata"]["processes"]) for e in told]
        me = f"uid:{os.getuid()}"
        expect(targets == [(me, "billing", 1), (me, "(all)", 2), (me, "(all)", 2)], f"{targets}")
        if os.geteuid() == 0:
            place.root.chmod(0o755)
            refused = subprocess.run([str(place.program("tfctl")), "recorder", "store"], env=place.env, stderr=subprocess.PIPE, text=True, user=65534, group=65534, extra_groups=[])
            expect(refused.returncode == 1 and "only root, the collector's user" in refused.stderr, f"{refused}")
        mailer("debug six")
        place.write_config(collector="  output: none\n")
        collector.process.send_signal(signal.SIGHUP)
        wait_until(lambda: place.recorder("store", check=False).returncode == 1, "a recorder that is turned off")
        refused = place.recorder("store", check=False).stderr
        expect(b"there is no flight recorder" in refused and refused.count(b"\n") == 1, f"{refused}")
        wait_until(lambda: (mailer("debug seven"), "seven" in place.messages("-s", "mailer"))[1], "debug as ever")
        mailer("error eight", "flush")
        expect("six" not in place.messages("-s", "mailer"), "what was recorded before")


def a_killed_collector_doubles_nothing_and_forgets_nothing():
    """Whatever the moment: the error and what it brings are there once, and what was left is there for the next."""
    killed = 0
    for point in ("before_commit", "after_commit", "before_fold", "after_tails"):
        for first in range(1, 5 if LONG else 3):
            with Place() as place:
                collector = place.start("collector")
                billing, mailer = App(place, "billing"), App(place, "mailer")
                billing("debug one")
                mailer("debug none", f"debug @{TRACE} traced", "debug left")
                collector.kill()
                collector = place.start_faulty(f"{point}:{first}:1:kill")

                def ended_or_stored(message):
                    return collector.process.poll() is not None or message in place.messages("-s", "billing")

                billing(f"error @{TRACE} error 1")
                wait_until(lambda: ended_or_stored("error 1"), "the first error or the end")
                billing("debug two", f"error @{TRACE} error 2")
                wait_until(lambda: ended_or_stored("error 2"), "the second error or the end")
                killed += collector.process.poll() is not None
                collector.kill()
                place.start("collector")
                place.stored("billing", "one", "error 1", "two", "error 2")
                place.stored("mailer", "traced")
                mailer("error 3")
                place.stored("mailer", "none", "traced", "left", "3")
    expect(killed >= 4, f"{killed} were killed")


def a_killed_collector_and_a_killed_process():
    with Place() as place:
        collector = place.start("collector")
        billing = App(place, "billing")
        billing("info begins", "flush", "debug one", "debug two")
        collector.kill()
        billing.kill()
        collector = place.start_faulty("after_commit:1:1:kill")
        wait_until(lambda: collector.process.poll() is not None, "the named point")
        collector = place.start_faulty("lane_freed:1:1:kill")
        wait_until(lambda: collector.process.poll() is not None, "the named point")
        place.start("collector")
        place.stored("billing", "begins", "one", "two")
        wait_until(lambda: place.status()["processes"] == 0, "the end of billing")
        expect(place.messages("-s", "billing") == ["begins", "one", "two"], "doubled")


def while_the_store_fails_it_goes_through_the_spill():
    with Place() as place:
        place.start("collector").stop()
        collector = place.start_faulty("commit:1:100000:5")
        billing = App(place, "billing")
        billing("debug one", "error two", "debug three")
        done = place.recorder("store", check=False)  # somebody waits: into the spill
        expect(done.returncode == 0, f"{done.stderr}")
        expect(place.messages("-s", "billing") == [], "the store works")
        collector.kill()
        place.start("collector")
        place.stored("billing", "one", "two", "three")


def a_thread_that_ended_is_heard_and_its_lane_is_given_back():
    with Place(keep="1s") as place:
        place.start("collector")
        billing = App(place, "billing")
        billing("thread 2 early", "error one")
        place.stored("billing", "early 0", "early 1", "one")
        for number in range(40):  # more threads than lanes of the ring: one after the other, each with laps
            billing(f"thread 9000 round{number}")
        billing("error two")
        wait_until(lambda: "two" in place.messages("-s", "billing"), "the error")
        found = [m for m in place.messages("-s", "billing") if m.startswith("round39")]
        expect(found[-1] == "round39 8999", f"{found[-1:]}")
        last = int(found[0].split()[1])
        expect([int(m.split()[1]) for m in found] == list(range(last, 9000)), "a gap")
        expect(place.status()["rings_broken"] == 0, "a broken ring")


def stopping_waits_for_no_recorder():
    with Place() as place:
        collector = place.start("collector")
        billing = App(place, "billing")
        billing("many 20000 word", "info done")
        expect(collector.stop(seconds=8) == 0, "the collector did not end well")  # its own limit is ten seconds
        expect(not any("could not be stored" in line for line in collector.lines), f"{collector.lines}")
        place.start("collector")
        billing("error now")
        wait_until(lambda: "now" in place.messages("-s", "billing"), "the error")
        found = [int(m.split()[1]) for m in place.messages("-s", "billing") if m.startswith("word")]
        expect(found == list(range(found[0], 20000)) and len(found) > 2000, f"{len(found)} of {found[:1]}")


sys.exit(
    main(
        [
            an_error_brings_what_its_process_recorded,
            an_error_brings_what_other_processes_recorded_of_its_trace,
            a_killed_process_leaves_its_last_words,
            a_process_that_ends_takes_it_along,
            it_is_stored_on_request,
            a_killed_collector_doubles_nothing_and_forgets_nothing,
            a_killed_collector_and_a_killed_process,
            while_the_store_fails_it_goes_through_the_spill,
            a_thread_that_ended_is_heard_and_its_lane_is_given_back,
            stopping_waits_for_no_recorder,
        ]
    )
)

"""tfctl level: running programs write what the collector says, from their next call on, and it is remembered.

An app writes one entry of each level for each line it is given; what is stored of it says which threshold it saw.
"""

import collections
import datetime
import json
import os
import pathlib
import signal
import struct
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
from tests.lib.harness import BUILD, LONG, PROGRAMS, Instance, expect, main, wait_until  # noqa: E402

PROGRAMS["faults"] = "collector/taskforge-collector-faults"
APP = BUILD / "tests/integration/stand_app"
LEVELS = ["trace", "debug", "info", "warn", "error", "critical"]
SEQUENCE_AT, LEVEL_AT = 48, 24  # in RUNTIME_DIR/settings


class App:
    """stand_app rounds: round() gives it a line and waits until its calls are made."""

    def __init__(self, place, service, min_level="trace"):
        self.place, self.service = place, service
        argv = [APP, "rounds", service, min_level]
        self.process = subprocess.Popen([str(a) for a in argv], env=place.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        place.apps.append(self)
        expect(self.process.stdout.readline() == "open\n", f"{service} did not open")

    def round(self, name):
        self.process.stdin.write(f"{name}\n")
        self.process.stdin.flush()
        expect(self.process.stdout.readline() == f"{name}\n", f"{self.service} did not come through round {name}")

    def end(self):
        self.process.communicate()
        expect(self.process.returncode == 0, f"{self.service} ended with {self.process.returncode}")

    def writes(self, lowest, name):
        """A round now is stored from `lowest` on: its last entry, the critical one, is stored after all before it."""
        self.round(name)
        self.stored(lowest, name)

    def stored(self, lowest, name):
        matcher = ("-s", self.service, "-F", name)
        wait_until(lambda: self.place.count("--level", "critical", *matcher), f"round {name} of {self.service}")
        found = collections.Counter(entry["level"] for entry in self.place.query(*matcher))
        wanted = collections.Counter(LEVELS[LEVELS.index(lowest) :])
        expect(found == wanted, f"round {name} of {self.service}: {dict(found)}, not {lowest} and above")


class Place(Instance):
    def __init__(self):
        super().__init__()
        self.apps = []

    def __exit__(self, *arguments):
        for app in self.apps:
            app.process.kill()
            app.process.wait()
        super().__exit__(*arguments)

    def level(self, *arguments):
        return self.run("tfctl", "level", *arguments)

    def set_for(self, seconds, *arguments):
        """Set it, and when it ends: Unix seconds."""
        row = json.loads(self.level("set", *arguments, "--for", f"{seconds}s", "--format", "json").stdout)
        return datetime.datetime.fromisoformat(row["until"][:26] + "+00:00").timestamp()

    def shown(self):
        """service (None: the default) -> its line."""
        lines = self.level("show", "--format", "json").stdout.splitlines()
        rows = [json.loads(line) for line in lines]
        expect(rows[0]["service"] is None, f"the default is not first: {rows}")
        return {row["service"]: row for row in rows}

    def wait_processes(self, service, number):
        wait_until(lambda: self.shown().get(service, {}).get("processes") == number, f"{number} processes of {service}")

    def refused(self, status, part, *arguments, **subprocess_options):
        done = subprocess.run(
            [str(self.program("tfctl")), "level", *arguments], env=self.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **subprocess_options
        )
        lines = done.stderr.splitlines()
        expect(done.returncode == status and done.stdout == "", f"{arguments}: {done.returncode}, {done.stdout}")
        expect(len(lines) == 1 and part in lines[0], f"{arguments}: {lines}")

    def settings(self):
        """sequence and level that the library is told."""
        data = (self.runtime / "settings").read_bytes()
        return struct.unpack_from("<Q", data, SEQUENCE_AT)[0], LEVELS[struct.unpack_from("<I", data, LEVEL_AT)[0]]

    def start_faulty(self, spec):
        self.env["TASKFORGE_FAULT"] = spec
        collector = self.start("faults")
        del self.env["TASKFORGE_FAULT"]
        return collector

    def audits(self):
        return [e for e in self.query("-s", "taskforge") if e["module"] == "audit" and e["operation"] == "level"]


def running_programs_follow_with_their_next_call():
    with Place() as place:
        place.start("collector")
        billing, queue, careful = App(place, "billing"), App(place, "queue"), App(place, "careful", "error")
        billing.writes("trace", "r1")
        queue.writes("trace", "r2")
        careful.writes("error", "r3")

        place.level("set", "debug", "--service", "billing")
        billing.writes("debug", "r4")
        queue.writes("trace", "r5")
        place.level("set", "WARNING")
        billing.writes("debug", "r6")
        queue.writes("warn", "r7")
        careful.writes("error", "r8")  # its own min_level is above
        shown = place.shown()
        expect(shown == {
            None: {"service": None, "level": "warn", "processes": 2},
            "billing": {"service": "billing", "level": "debug", "processes": 1},
        }, f"{shown}")
        expect(place.settings()[1] == "warn", f"{place.settings()}")

        place.level("reset", "--service", "billing")
        billing.writes("warn", "r9")
        place.level("set", "-s", "queue", "critical")
        queue.writes("critical", "r10")
        place.level("reset")  # all there are
        billing.writes("trace", "r11")
        queue.writes("trace", "r12")
        careful.writes("error", "r13")
        expect(list(place.shown()) == [None] and place.settings()[1] == "trace", f"{place.shown()}")

        told = [(e["metadata"]["target"], e["metadata"]["old"], e["metadata"]["new"]) for e in place.audits()]
        expect(told == [
            ("billing", "trace", "debug"), ("(default)", "trace", "warn"), ("billing", "debug", "warn"),
            ("queue", "warn", "critical"), ("(default)", "warn", "trace"), ("queue", "critical", "trace"),
        ], f"{told}")
        expect(all(e["metadata"]["actor"] == f"uid:{os.getuid()}" for e in place.audits()), f"{place.audits()}")
        for app in place.apps:
            app.end()


def a_level_outlives_the_collector_and_holds_for_programs_started_later():
    with Place() as place:
        collector = place.start("collector")
        queue = App(place, "queue")
        place.level("set", "warn")
        place.level("set", "--service", "billing", "error")  # nobody yet
        place.level("set", "--service", "night job", "info", "--for", "2h")
        before = place.shown()
        collector.kill()
        meanwhile = App(place, "other")
        meanwhile.round("r1")  # it starts right while there is no collector
        queue.round("r2")
        collector = place.start("collector")
        meanwhile.stored("warn", "r1")
        queue.stored("warn", "r2")
        expect(place.shown()["night job"] == before["night job"], f"{place.shown()}, not {before}")
        billing = App(place, "billing")
        billing.round("r3")  # attaches: with the default, until it is seen
        place.wait_processes("billing", 1)
        billing.writes("error", "r4")
        expect(collector.stop() == 0, "the collector did not end well")
        billing.round("r5")
        place.start("collector")
        billing.stored("error", "r5")
        expect(place.shown()["billing"]["level"] == "error", f"{place.shown()}")
        expect(len(place.audits()) == 3, f"{place.audits()}")


def a_level_for_a_time_ends_by_itself():
    with Place() as place:
        place.start("collector")
        billing = App(place, "billing")
        place.level("set", "-s", "billing", "info")
        place.level("set", "-s", "billing", "error", "--for", "1h")
        row = place.shown()["billing"]
        expect(row["level"] == "error" and row["then"] == "info" and row["until"], f"{row}")
        billing.writes("error", "r1")
        place.level("set", "-s", "billing", "error", "--for", "1s")
        wait_until(lambda: "until" not in place.shown()["billing"], "the end of the second")
        billing.writes("info", "r2")
        wait_until(lambda: len(place.audits()) == 4, "the audit entry of the end")
        last = place.audits()[-1]["metadata"]
        expect(last == {"actor": "time", "target": "billing", "old": "error", "new": "info"}, f"{last}")


def a_time_that_is_over_while_no_collector_runs_is_over():
    with Place() as place:
        collector = place.start("collector")
        billing = App(place, "billing")
        for seconds in (1, 4, 16, 64):  # until the machine is fast enough
            ends = [place.set_for(seconds, "critical"), place.set_for(seconds, "critical", "-s", "billing")]
            told = place.settings()[1]
            collector.kill()
            billing.round(f"r{seconds}")
            if time.time() < ends[0]:
                break
            collector = place.start("collector")
        expect(told == "critical", f"{told} is told for the default")
        wait_until(lambda: time.time() > ends[1], "the end", seconds=70)
        place.start("collector")
        billing.stored("critical", f"r{seconds}")
        place.wait_processes(None, 1)
        billing.writes("trace", "after")
        expect(list(place.shown()) == [None] and place.settings()[1] == "trace", f"{place.shown()}")
        wait_until(lambda: len(place.audits()) % 4 == 0, "the audit entries of both ends")
        last = sorted((e["metadata"]["actor"], e["metadata"]["target"], e["metadata"]["new"]) for e in place.audits()[-2:])
        expect(last == [("time", "(default)", "trace"), ("time", "billing", "trace")], f"{last}")


def what_was_answered_is_kept_and_told_once_whatever_kills_the_collector():
    levels = ["trace", "warn", "error", "info", "critical"]  # the one that holds, and those that are set
    killed = 0
    for point in ("before_commit", "after_commit", "after_tails"):
        for first in range(1, 4 if LONG else 3):
            with Place() as place:
                collector = place.start_faulty(f"{point}:{first}:1:kill")
                answered = 0
                while answered + 1 < len(levels) and place.run("tfctl", "level", "set", levels[answered + 1], check=False).returncode == 0:
                    answered += 1
                killed += answered + 1 < len(levels)
                collector.kill()
                place.start("collector")
                held = levels.index(place.shown()[None]["level"])
                expect(answered <= held <= answered + 1, f"{point} {first}: {levels[held]} holds, {levels[answered]} was answered")
                expect(place.settings()[1] == levels[held], f"{point} {first}: {place.settings()}")
                told = [e["metadata"]["new"] for e in place.audits()]
                expect(told == levels[1 : held + 1], f"{point} {first}: {levels[held]} holds, but told was {told}")
    expect(killed == 3 * first, f"{killed} of {3 * first} were killed")


def while_the_store_fails_a_level_is_kept_in_the_spill():
    with Place() as place:
        place.start("collector").stop()
        collector = place.start_faulty("commit:1:100000:5")
        app = App(place, "billing")
        place.level("set", "warn")
        app.round("r1")
        expect(place.shown()[None]["level"] == "warn" and place.audits() == [], f"{place.shown()}")
        collector.kill()
        place.start("collector")
        app.stored("warn", "r1")
        expect(place.shown()[None]["level"] == "warn", f"{place.shown()}")
        wait_until(lambda: len(place.audits()) == 1, "the audit entry out of the spill")


def where_nothing_can_be_stored_the_level_stays():
    with Place() as place:
        (place.root / "spill").write_text("no folder")
        place.start("collector").stop()
        place.start_faulty("commit:1:100000:5")
        place.refused(1, "the store cannot be written now: the level stays as it is", "set", "warn")
        expect(place.shown()[None]["level"] == "trace" and place.settings()[1] == "trace", f"{place.shown()}")


def who_may_not_and_what_cannot_be_is_said_in_one_line():
    with Place() as place:
        place.refused(1, "the collector does not answer: nobody listens at", "show")
        place.refused(1, "the collector does not answer: nobody listens at", "set", "debug")
        place.start("collector")
        place.refused(2, '"loud": expected trace, debug', "set", "loud")
        place.refused(2, "expected one LEVEL", "set", "--service", "billing")
        place.refused(2, "expected set, show or reset", "raise", "debug")
        place.refused(2, "expected set, show or reset")
        place.refused(2, "--service", "set", "debug", "--service", "")
        place.refused(2, "--service", "set", "debug", "--service", "x" * 101)
        place.refused(2, "--service", "set", "debug", "--service", "two\nlines")
        place.refused(2, "--for", "set", "debug", "--for", "soon")
        place.refused(1, "for 1s to 366d", "set", "debug", "--for", "10ms")
        place.refused(1, "own programs", "set", "error", "--service", "taskforge-agent")
        expect(list(place.shown()) == [None], f"{place.shown()}")
        if os.geteuid() == 0:
            place.root.chmod(0o755)
            place.refused(1, "only root, the collector's user and members of its group", "set", "debug", user=65534, group=65534, extra_groups=[])
            place.refused(1, "only root, the collector's user and members of its group", "reset", user=65534, group=65534, extra_groups=[])
            shown = subprocess.run([str(place.program("tfctl")), "level", "show"], env=place.env, stdout=subprocess.PIPE, text=True, user=65534, group=65534, extra_groups=[])
            expect(shown.returncode == 0 and "(default)" in shown.stdout, f"{shown}")
        expect(place.audits() == [], f"{place.audits()}")


def other_settings_get_another_number_and_keep_the_level():
    with Place() as place:
        collector = place.start("collector")
        place.level("set", "info")
        sequence, level = place.settings()
        place.write_config(collector="  output: none\n  redact: { keys: [password] }\n  sampling: { debug: 0.5 }\n")
        collector.process.send_signal(signal.SIGHUP)
        wait_until(lambda: place.settings()[0] != sequence, "other settings")
        expect(place.settings() == (sequence + 1 + ((sequence + 1) % 256 == 0), "info"), f"{place.settings()} after {sequence}")
        expect(b"password\0" in (place.runtime / "settings").read_bytes(), "the key is not told")
        sequence, _ = place.settings()
        collector.kill()
        place.start("collector")
        expect(place.settings() == (sequence, "info"), f"{place.settings()}, not {sequence}")


if __name__ == "__main__":
    sys.exit(
        main(
            [
                running_programs_follow_with_their_next_call,
                a_level_outlives_the_collector_and_holds_for_programs_started_later,
                a_level_for_a_time_ends_by_itself,
                a_time_that_is_over_while_no_collector_runs_is_over,
                what_was_answered_is_kept_and_told_once_whatever_kills_the_collector,
                while_the_store_fails_a_level_is_kept_in_the_spill,
                *([where_nothing_can_be_stored_the_level_stays] if LONG else []),  # the answer takes 9 seconds
                who_may_not_and_what_cannot_be_is_said_in_one_line,
                other_settings_get_another_number_and_keep_the_level,
            ]
        )
    )

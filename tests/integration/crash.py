#!/usr/bin/env python3
"""Who goes without goodbye is told, once, behind its last words; who ends in good order is not."""

import pathlib
import random
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
from harness import BUILD, LONG, Instance, expect, main, wait_until  # noqa: E402

APP = BUILD / "tests/integration/ending_app"


class App:
    """Runs, and has written all its entries; for `wait` it stays until it is killed."""

    def __init__(self, instance, service, count, how):
        self.process = subprocess.Popen([APP, service, str(count), how], env=instance.env, stdout=subprocess.PIPE)
        instance.processes.append(self)
        self.pid = int(self.process.stdout.readline())

    def kill(self):
        self.process.kill()
        self.process.wait()


def gone(instance, *arguments):
    return instance.query('{module="crash",operation="gone"}', *arguments)


def wait_gone(instance, pid, seconds=20.0):
    """The entry of a process's end; all there are are of different processes."""

    def told():
        return [entry for entry in gone(instance) if entry["pid"] == pid]

    found = wait_until(told, f"the end of {pid} to be told", seconds, pause=0.05)
    expect(len(found) == 1, f"{len(found)} entries of one end")
    return found[0]


def who_is_killed_is_told_within_three_seconds_behind_its_last_words():
    with Instance() as instance:
        instance.start("collector")
        app = App(instance, "mailer", 500, "wait")
        begin = time.monotonic()
        app.kill()
        entry = wait_gone(instance, app.pid)
        took = time.monotonic() - begin
        expect(took < (3 if LONG else 10), f"told after {took:.1f} s")  # the long run has the machine for itself
        expect(entry["service"] == "mailer" and entry["level"] == "warn", str(entry))
        expect(entry["message"].startswith(f"mailer (pid {app.pid}) went without goodbye after "), entry["message"])
        expect(entry["metadata"]["pid"] == app.pid and entry["metadata"]["lanes"] == 1, str(entry["metadata"]))
        expect(0 <= entry["metadata"]["uptime_seconds"] < 60, str(entry["metadata"]))
        entries = instance.query("-s", "mailer")
        expect(len(entries) == 501 and entries[-1]["id"] == entry["id"], f"{len(entries)} entries of it")


def a_signal_that_tfrun_tells_of_is_named():
    with Instance() as instance:
        instance.start("collector")
        done = instance.run("tfrun", "-s", "runner", "--", APP, "mailer", 10, "segv", check=False)
        expect(done.returncode == 128 + 11, f"tfrun ended with {done.returncode}")
        pid = int(instance_line(instance, "runner"))
        entry = wait_gone(instance, pid)
        expect(entry["service"] == "mailer" and entry["level"] == "error", str(entry))
        expect(entry["message"].startswith(f"mailer (pid {pid}) was killed by SIGSEGV (11) after "), entry["message"])
        expect(entry["metadata"]["signal"] == 11 and entry["metadata"]["core"] is False, str(entry["metadata"]))


def instance_line(instance, service):
    """What the command of tfrun printed: the app's pid."""
    wait_until(lambda: instance.count("-s", service, "--level", "info") == 1, "the line of the command")
    return instance.query("-s", service, "--level", "info")[0]["message"]


def who_ends_in_good_order_is_not_told():
    with Instance() as instance:
        instance.start("collector")
        daemons = [instance.start(name) for name in ("agent", "alerter", "exporter")]
        for how in ("exit", "quick_exit", "return", "close"):
            App(instance, how, 5, how).process.wait()
        instance.run("hello")
        instance.run("worker", 3, 2)
        instance.run("tflog", "one")
        instance.run("tflog", stdin=b"two\nthree\n")
        instance.run("tfmetric", "counter", "things")
        instance.run("tfrun", "--", "true")
        for daemon in daemons:
            expect(daemon.stop() == 0, f"{daemon.argv[0]}: exit status")
        killed = App(instance, "killed", 5, "wait")
        killed.kill()
        wait_gone(instance, killed.pid)
        told = [entry["message"] for entry in gone(instance)]
        expect(len(told) == 1, f"told as well: {told}")


def a_child_that_leaves_by_underscore_exit_says_none():
    with Instance() as instance:
        instance.start("collector")
        app = App(instance, "parent", 5, "fork")
        wait_gone(instance, app.pid)
        expect(len(gone(instance)) == 1, "the parent was told, too")
        expect(any("in the child" in entry["message"] for entry in instance.query("-s", "parent")), "the child's entry")


def who_died_while_no_collector_ran_is_told_at_its_start():
    with Instance() as instance:
        instance.start("collector").stop()
        app = App(instance, "mailer", 20, "wait")
        App(instance, "fine", 20, "exit").process.wait()
        app.kill()
        instance.start("collector").stop()  # it ends before it has waited for news
        (entry,) = gone(instance)
        expect("while no collector ran, at most " in entry["message"] and entry["pid"] == app.pid, entry["message"])
        expect(instance.count("-s", "mailer") == 21 and instance.count("-s", "fine") == 20, "the entries")
        instance.start("collector").stop()
        expect(len(gone(instance)) == 1, "told again")


def it_is_told_once_whenever_the_collector_is_killed():
    with Instance() as instance:
        random.seed(7)
        collector, pids = instance.start("collector"), []
        for _ in range(8 if LONG else 3):
            apps = [App(instance, "mailer", 50, "wait") for _ in range(3)]
            for app in apps:
                app.kill()
                pids.append(app.pid)
            time.sleep(random.uniform(0, 2.6))  # anywhere from before the death is noticed to behind its commit
            collector.kill()
            collector = instance.start("collector")
        wait_until(lambda: len(gone(instance)) >= len(pids), "all ends to be told", pause=0.1)
        expect(collector.stop() == 0, "exit status")
        expect(sorted(entry["pid"] for entry in gone(instance)) == sorted(pids), f"{len(gone(instance))} told of {len(pids)}")
        expect(instance.count("-s", "mailer", "-F", "number") == 50 * len(pids), "the entries")


if __name__ == "__main__":
    sys.exit(
        main(
            [
                who_is_killed_is_told_within_three_seconds_behind_its_last_words,
                a_signal_that_tfrun_tells_of_is_named,
                who_ends_in_good_order_is_not_told,
                a_child_that_leaves_by_underscore_exit_says_none,
                who_died_while_no_collector_ran_is_told_at_its_start,
                it_is_told_once_whenever_the_collector_is_killed,
            ]
        )
    )

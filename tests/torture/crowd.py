#!/usr/bin/env python3
"""Many processes at once against the default ring: each finds a place, and what was accepted is stored, what was refused is told.
200 of them; TASKFORGE_LONG=1: 1,000."""

import json
import os
import pathlib
import signal
import socket
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
from harness import BUILD, LONG, Instance, expect, main, wait_until  # noqa: E402

APP = BUILD / "tests/torture/crowd_app"
PROCESSES = 1000 if LONG else 200
LINES = 100


def status(instance):
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(instance.runtime / "collector.sock"))
        connection.sendall(b"status\n")
        return json.loads(next(line for line in connection.makefile() if line.startswith("{")))


class Crowd:
    def __init__(self, instance, service, processes, threads, lines):
        self.process = subprocess.Popen(
            [APP, service, str(processes), str(threads), str(lines)],
            env=instance.env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        instance.processes.append(self)
        expect(self.process.stdout.readline() == "ready\n", "the crowd is ready")

    def end(self):
        out, _ = self.process.communicate("\n", timeout=120)
        expect(self.process.returncode == 0, f"the crowd ended with {self.process.returncode}")
        return json.loads(out)

    def kill(self):
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def told_losses(instance, service):
    rows = [json.loads(line) for line in instance.run("tfctl", "losses", "-o", "json").stdout.splitlines()]
    return sum(row["count"] for row in rows if row["service"] == service)


def check(instance, account, processes, service="crowd"):
    """Everything adds up, and the killed were told, each once."""
    expect(account["outside"] == 0, f"{account['outside']} processes found no place in the ring")
    ends = instance.query("-s", service, '{module="crash"}')
    expect(len({entry["pid"] for entry in ends}) == len(ends) == account["killed"], f"{len(ends)} ends told of {account['killed']}")
    stored, told = instance.count("-s", "crowd", "-F", "line "), told_losses(instance, "crowd")
    expect(stored == account["accepted"], f"{stored} stored, {account['accepted']} accepted")
    expect(told == account["refused"], f"{told} losses told, {account['refused']} refused")
    expect(stored > processes, f"only {stored} found room")


def a_crowd_is_taken_in_whole_while_a_collector_runs():
    with Instance(ring_size="64MiB") as instance:
        collector = instance.start("collector")
        crowd = Crowd(instance, "crowd", PROCESSES, 1, LINES)
        wait_until(lambda: status(instance)["processes"] == PROCESSES, "all of them to be seen")
        account = crowd.end()
        wait_until(lambda: instance.count('{module="crash"}') == account["killed"], "all ends to be told", pause=0.2)
        wait_until(lambda: status(instance)["processes"] == 0, "all slots to be given back", pause=0.2)
        expect(collector.stop() == 0, "exit status")
        check(instance, account, PROCESSES)


def a_crowd_with_more_threads_than_lanes_balances_before_a_collector_comes():
    with Instance(ring_size="64MiB") as instance:
        instance.start("collector").stop()
        account = Crowd(instance, "crowd", PROCESSES, 4, LINES).end()
        expect(instance.start("collector").stop() == 0, "exit status")
        check(instance, account, PROCESSES)


def the_lanes_of_a_crowd_that_was_killed_go_to_the_next_one():
    with Instance(ring_size="64MiB") as instance:
        collector = instance.start("collector")
        for _ in range(3):
            crowd = Crowd(instance, "first", PROCESSES // 4, 2, LINES)
            crowd.kill()
        crowd = Crowd(instance, "crowd", PROCESSES // 4, 2, LINES)
        account = crowd.end()
        wait_until(lambda: instance.count('{service="first",module="crash"}') == 3 * (PROCESSES // 4), "all ends to be told", pause=0.2)
        wait_until(lambda: status(instance)["processes"] == 0, "all slots to be given back", pause=0.2)
        expect(collector.stop() == 0, "exit status")
        check(instance, account, PROCESSES // 4, "crowd")


if __name__ == "__main__":
    sys.exit(
        main(
            [
                a_crowd_is_taken_in_whole_while_a_collector_runs,
                a_crowd_with_more_threads_than_lanes_balances_before_a_collector_comes,
                the_lanes_of_a_crowd_that_was_killed_go_to_the_next_one,
            ]
        )
    )

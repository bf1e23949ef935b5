#!/usr/bin/env python3
"""Collector, agent and writing apps are killed with SIGKILL at random under load.

Afterwards, for every writer: each entry whose call returned well is in the store once, in order; a writer that was killed has at
most the one entry more that it was about to be told of; calls = entries stored + losses told, exactly, for each that ended well.
For every file that the agent tails: each line once, in order, across rotation by rename.
"""

import json
import os
import pathlib
import random
import struct
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
from harness import BUILD, LONG, Failure, Instance, expect, main, wait_until

SECONDS = 60 if LONG else int(os.environ.get("TASKFORGE_TORTURE_SECONDS", "25"))
WRITER = BUILD / "tests/torture/writer"


class Writer:
    """One app: what it was told in `progress` (calls that returned 0, calls refused for room) outlives it."""

    def __init__(self, instance, name, policy, rate):
        self.name = name
        self.path = instance.root / f"{name}.progress"
        self.path.write_bytes(b"\0" * 16)
        self.process = subprocess.Popen(
            [str(WRITER), name, policy, str(rate), str(self.path)], env=instance.env, stdin=subprocess.PIPE, stderr=subprocess.PIPE
        )
        self.killed = False

    def progress(self):
        return struct.unpack("=QQ", self.path.read_bytes()[:16])

    def kill(self):
        self.killed = True
        self.process.kill()
        self.process.wait()

    def finish(self):
        self.process.stdin.close()  # the writer ends well when its stdin does
        status = self.process.wait(60)
        expect(status == 0, f"writer {self.name} ended with {status}: {self.process.stderr.read()[-300:]}")


class LineWriter(threading.Thread):
    """Appends numbered lines to one file and rotates it by rename."""

    def __init__(self, path, rate, rotate_every):
        super().__init__(daemon=True)
        self.path, self.rate, self.rotate_every = path, rate, rotate_every
        self.written = 0
        self.stopping = threading.Event()

    def run(self):
        generation = 0
        while not self.stopping.is_set():
            with open(self.path, "ab") as file:
                for _ in range(self.rotate_every):
                    file.write(b"line %d\n" % self.written)
                    self.written += 1
                    if self.written % 50 == 0:
                        file.flush()
                        if self.stopping.wait(50 / self.rate):
                            break
            generation += 1
            os.rename(self.path, f"{self.path}.{generation}")
        open(self.path, "ab").close()


def check_numbers(found, calls, what, killed=False):
    """found: numbers in store order; calls: how many the app made that returned well."""
    expect(found == sorted(found), f"{what}: out of order near {next(((a, b) for a, b in zip(found, found[1:]) if a > b), None)}")
    expect(len(set(found)) == len(found), f"{what}: {len(found) - len(set(found))} entries twice")
    if killed:
        expect(calls <= len(found) <= calls + 1, f"{what} (killed): {len(found)} stored, {calls} calls returned")
    else:
        expect(len(found) == calls, f"{what}: {len(found)} stored, {calls} calls returned")


def numbers(instance, service):
    return [int(entry["message"].split()[1]) for entry in instance.query("-s", service, '{module!="crash"}')]


def everything_is_stored_once_in_order_whatever_is_killed():
    seed = int(os.environ.get("TASKFORGE_SEED", "0")) or random.randrange(1 << 30)
    print(f"     seed {seed}, {SECONDS} s", flush=True)
    chance = random.Random(seed)
    with Instance() as instance:
        glob = instance.logs / "*.log"
        instance.write_config(agent_inputs=f'[{{ type: tail, paths: ["{glob}"], format: text, service: files }}]')
        running = {name: instance.start(name) for name in ("collector", "agent")}
        lines = [LineWriter(instance.logs / f"f{i}.log", 2000, 3000 + 500 * i) for i in range(2)]
        for line in lines:
            line.start()
        writers, alive, serial = [], [], 0

        def new_writer():
            nonlocal serial
            serial += 1
            policy = chance.choice(("wait", "wait", "drop"))
            writer = Writer(instance, f"w{serial}", policy, 1500 if policy == "wait" else 4000)
            writers.append(writer)
            alive.append(writer)

        for _ in range(3):
            new_writer()
        kills = {"collector": 0, "agent": 0, "writer": 0}
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            threading.Event().wait(chance.uniform(0.05, 0.7))  # the kill's moment is the random input of this test
            victim = chance.choice(("collector", "agent", "writer"))
            kills[victim] += 1
            if victim == "writer":
                writer = alive.pop(chance.randrange(len(alive)))
                if chance.random() < 0.3:
                    writer.finish()
                else:
                    writer.kill()
                new_writer()
            else:
                running[victim].kill()
                running[victim] = instance.start(victim, ready=None)
        for writer in alive:
            writer.finish()
        for line in lines:
            line.stopping.set()
            line.join()
        written = sum(line.written for line in lines)
        wait_until(lambda: instance.count("-s", "files") >= written, f"{written} lines of files", 90, pause=0.2)
        for writer in writers:
            calls = writer.progress()[0]
            wait_until(lambda: instance.count("-s", writer.name, '{module!="crash"}') >= calls, f"{calls} entries of {writer.name}", 60, pause=0.1)
        expect(running["collector"].stop() == 0, "the collector did not end well")
        expect(running["agent"].stop() == 0, "the agent did not end well")

        found = {}
        for entry in instance.query("-s", "files"):
            name = pathlib.Path(entry["metadata"]["file"]).name.split(".")[0]
            found.setdefault(name, []).append(int(entry["message"].split()[1]))
        for line in lines:
            check_numbers(found.get(line.path.name.split(".")[0], []), line.written, f"file {line.path.name}")
        losses = {}
        for loss in map(json.loads, instance.run("tfctl", "losses", "--format", "json").stdout.splitlines()):
            losses[loss["service"]] = losses.get(loss["service"], 0) + loss["count"]
        for writer in writers:
            returned, refused = writer.progress()
            check_numbers(numbers(instance, writer.name), returned, f"writer {writer.name}", writer.killed)
            ends = instance.count("-s", writer.name, '{module="crash"}')
            expect(ends == writer.killed, f"writer {writer.name}: its end was told {ends} times")
            told = losses.get(writer.name, 0)
            if writer.killed:
                expect(refused <= told <= refused + 1, f"writer {writer.name} (killed): {told} losses told, {refused} calls refused")
            else:
                expect(told == refused, f"writer {writer.name}: {told} losses told, {refused} calls refused")
        done = instance.run("tfctl", "verify", check=False)
        expect(done.returncode == 0, f"tfctl verify: {done.stdout[-300:]} {done.stderr[-300:]}")
        total = written + sum(writer.progress()[0] for writer in writers)
        print(f"     {total} entries, {sum(losses.values())} losses told, kills {kills}", flush=True)


if __name__ == "__main__":
    sys.exit(main([everything_is_stored_once_in_order_whatever_is_killed]))

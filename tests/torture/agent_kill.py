"""The agent (and the collector) killed with SIGKILL at random while files grow and are rotated: every line is in the store
once, each file's lines in order."""

import collections
import os
import pathlib
import random
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from harness import LONG, Failure, Instance, expect, main, wait_until  # noqa: E402

SECONDS = 60 if LONG else 8
ROTATED_KEPT = 200


class Writer(threading.Thread):
    """One app: numbered lines, its log rotated by rename after a random number of them; sometimes half a line first."""

    def __init__(self, folder, name, seed):
        super().__init__(daemon=True)
        self.path = folder / f"{name}.log"
        self.name_ = name
        self.random = random.Random(seed)
        self.written = 0
        self.end = False

    def rotate(self):
        for i in range(ROTATED_KEPT, 0, -1):
            old = pathlib.Path(f"{self.path}.{i}")
            if old.exists():
                os.rename(old, f"{self.path}.{i + 1}")
        os.rename(self.path, f"{self.path}.1")

    def run(self):
        while not self.end:
            with open(self.path, "ab", buffering=0) as file:
                for _ in range(self.random.randint(20, 400)):
                    if self.end:
                        break
                    text = f"{self.name_} line {self.written} {'x' * self.random.choice((3, 40, 300))}\n".encode()
                    if self.random.random() < 0.05:
                        half = len(text) // 2
                        file.write(text[:half])
                        time.sleep(0.002)
                        text = text[half:]
                    file.write(text)
                    self.written += 1
                    if self.random.random() < 0.2:
                        time.sleep(0.002)
            if not self.end:
                self.rotate()


def ranges(numbers):
    """Sorted numbers as text: 7-9 12"""
    parts = []
    for number in numbers:
        if parts and parts[-1][1] == number - 1:
            parts[-1][1] = number
        else:
            parts.append([number, number])
    return " ".join(f"{first}-{last}" if first != last else str(first) for first, last in parts)


def check(instance, writers):
    for writer in writers:
        service = writer.name_
        try:
            wait_until(lambda: instance.count("-s", service) >= writer.written, f"{writer.written} lines of {service}", 60, 0.2)
        except Failure:
            pass  # which lines did not come is told below
        numbers = [int(entry["message"].split()[2]) for entry in instance.query("-s", service)]
        missing = sorted(set(range(writer.written)) - set(numbers))
        doubled = sorted(number for number, count in collections.Counter(numbers).items() if count > 1)
        expect(not missing, f"{service}: of {writer.written} lines {len(missing)} are missing: {ranges(missing)}")
        expect(not doubled, f"{service}: of {writer.written} lines {len(doubled)} are doubled: {ranges(doubled)}")
        breaks = [(a, b) for a, b in zip(numbers, numbers[1:]) if b != a + 1]
        expect(not breaks, f"{service}: lines are out of order: behind the first comes the second of {breaks[:5]}")


def torture(kill_collector, seed):
    chance = random.Random(seed)
    with Instance() as instance:
        inputs = f'[{{ type: tail, paths: ["{instance.logs}/*.log"], format: text }}]'
        instance.write_config(inputs)
        collector = instance.start("collector")
        agent = instance.start("agent")
        (instance.logs / "first.log").write_text("a line\n")
        instance.wait_count(1, "-s", "first")  # what was rotated before the input's first start is not read
        writers = [Writer(instance.logs, f"app{i}", seed + i) for i in range(3)]
        for writer in writers:
            writer.start()
        end = time.monotonic() + SECONDS
        kills = 0
        while time.monotonic() < end:
            time.sleep(chance.uniform(0.05, 0.8))
            if kill_collector and chance.random() < 0.4:
                collector.kill()
                collector = instance.start("collector")
            else:
                agent.kill()
                agent = instance.start("agent")
            kills += 1
        for writer in writers:
            writer.end = True
            writer.join()
        check(instance, writers)
        expect(agent.stop() == 0 and collector.stop() == 0, "a daemon did not end with 0")
        print(f"{kills} kills, {sum(w.written for w in writers)} lines")


def each_line_is_stored_once_though_the_agent_is_killed():
    torture(kill_collector=False, seed=int(os.environ.get("TASKFORGE_SEED", "1")))


def each_line_is_stored_once_though_agent_and_collector_are_killed():
    torture(kill_collector=True, seed=int(os.environ.get("TASKFORGE_SEED", "2")))


if __name__ == "__main__":
    sys.exit(
        main(
            [
                each_line_is_stored_once_though_the_agent_is_killed,
                each_line_is_stored_once_though_agent_and_collector_are_killed,
            ]
        )
    )

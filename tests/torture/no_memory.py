#!/usr/bin/env python3
"""Each allocation of the collector fails once, over start, taking in, commits, merges, rolls, output and stop; and each of a whole query. The process
goes on, or says so and ends with a status of its own; no entry is lost or stored twice. TASKFORGE_LONG=1: each single one."""

import concurrent.futures
import pathlib
import random
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
from collector_kill import Producer, judge  # noqa: E402
from harness import BUILD, LONG, Instance, expect, main, wait_until  # noqa: E402

LIBRARY = BUILD / "tests/torture/alloc_fault.so"
TOGETHER = 3


def spread(most, runs):
    """Which allocations to let fail: all with TASKFORGE_LONG, else so many, from another one each time."""
    if LONG:
        return list(range(1, most + 1))
    step = max(1, most // runs)
    return list(range(random.randrange(1, step + 1), most + 1, step))


def alloc_env(instance, number, counted=None):
    return {**instance.env, "LD_PRELOAD": str(LIBRARY), "ALLOC_FAULT": f"{number}:1", **({"ALLOC_FAULT_COUNTED": str(counted)} if counted else {})}


class Life:
    """One instance whose collector lives again and again, each time with another allocation that fails."""

    def __init__(self, instance):
        self.instance, self.apps, self.lives = instance, [], 0

    def live(self, number, counted=None):
        """What is in the ring, and what comes while it runs, until it ends by itself or is told to."""
        instance = self.instance
        self.lives += 1
        producer = Producer(instance, f"app{self.lives}", threads=2, count=150, payload=300, mode="wait")
        self.apps.append(producer)
        producer.wait()
        before = instance.env
        instance.env = alloc_env(instance, number, counted)
        collector = instance.start("collector", ready=None)
        instance.env = before
        wait_until(lambda: collector.process.poll() is not None or any("ready" in line for line in collector.lines), "ready, or an end", 20)
        try:
            status = collector.stop()
        except ProcessLookupError:
            status = collector.process.wait()
        expect(status in (0, 1), f"allocation {number}: the collector ended with {status}: {collector.lines[-3:]}")
        expect(status == 0 or collector.lines, f"allocation {number}: the collector ended with {status} and said nothing")
        instance.processes.remove(collector)
        return collector

    def judge(self):
        expect(self.instance.start("collector").stop() == 0, "exit status of the last run")
        for producer in self.apps:
            judge(self.instance, producer, killed=False)
        done = self.instance.run("tfctl", "verify", check=False)
        expect(done.returncode == 0, f"tfctl verify: {done.stdout[-300:]}")


CONFIG = "  output: {root}/out\n  partition: 2s\n"


def allocations_of_a_life():
    with Instance() as instance:
        instance.write_config(collector=CONFIG.format(root=instance.root))
        expect(instance.start("collector").stop() == 0, "exit status")
        counted = instance.root / "counted"
        Life(instance).live(0, counted)
        return int(counted.read_text())


def lives(numbers):
    with Instance() as instance:
        instance.write_config(collector=CONFIG.format(root=instance.root))
        expect(instance.start("collector").stop() == 0, "exit status")
        life = Life(instance)
        ended = 0
        for number in numbers:
            ended += life.live(number).process.returncode != 0
            if len(life.apps) == 20:
                life.judge()
                life.apps.clear()
        life.judge()
        return ended


def a_collector_without_memory_goes_on_or_says_so_and_loses_nothing():
    most = allocations_of_a_life() + 200
    numbers = spread(most, 60)
    with concurrent.futures.ThreadPoolExecutor(TOGETHER) as pool:
        ended = sum(pool.map(lives, (numbers[i::TOGETHER] for i in range(TOGETHER))))
    print(f"     {len(numbers)} of {most} allocations failed; {ended} of these lives ended early, and said so", flush=True)


def a_query_without_memory_says_so():
    with Instance() as instance:
        collector = instance.start("collector")
        producer = Producer(instance, "app", threads=2, count=3000, payload=50, mode="wait")
        producer.wait()
        instance.wait_count(6000, "-s", "app")
        collector.stop()
        counted = instance.root / "counted"
        query = ("query", "-o", "json", "-s", "app", "--limit", "500", '{module="m"} |= "app" |~ "[0-9]+"')
        whole = instance.run("tfctl", *query, env=alloc_env(instance, 0, counted)).stdout
        most = int(counted.read_text())
        numbers = spread(most, 60)
        failed = 0
        for number in numbers:
            done = instance.run("tfctl", *query, env=alloc_env(instance, number), check=False)
            expect(done.returncode >= 0, f"allocation {number}: the query ended with {done.returncode}")
            if done.returncode == 0:
                expect(done.stdout == whole, f"allocation {number}: another answer ({len(done.stdout)} bytes) and no word about it: {done.stderr[-200:]}")
            else:
                failed += 1
                expect(done.stderr, f"allocation {number}: nothing is said")
        print(f"     {len(numbers)} of {most} allocations failed; {failed} queries said so", flush=True)


if __name__ == "__main__":
    sys.exit(main([a_collector_without_memory_goes_on_or_says_so_and_loses_nothing, a_query_without_memory_says_so]))

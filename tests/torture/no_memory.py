#!/usr/bin/env python3
"""Each allocation of the collector fails once, over start, taking in, commits, merges, rolls, output and stop; and each of a whole query. The process
goes on, or says so and ends with a status of its own; no entry is lost or stored twice. TASKFORGE_LONG=1: each single one."""

import contextlib
import itertools
import pathlib
import random
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
from collector_kill import Producer, judge  # noqa: E402
from faults import ALLOCATIONS, EVERY, Faults  # noqa: E402
from harness import LONG, Instance, expect, main, wait_until  # noqa: E402

NEVER = 1 << 60
CONFIG = "  output: {root}/out\n  partition: 2s\n  flush_interval: 20ms\n"


def spread(most, runs):
    """Which allocations to let fail: all with TASKFORGE_LONG, else so many, from another one each time."""
    step = 1 if LONG else max(1, most // runs)
    return range(random.randrange(1, step + 1), most + 1, step)


@contextlib.contextmanager
def short_of_memory():
    with Instance() as instance:
        instance.write_config(collector=CONFIG.format(root=instance.root))
        instance.faults = Faults(instance.root / "faults", library=ALLOCATIONS)
        yield instance


def start(instance, ready="ready"):
    before = dict(instance.env)
    instance.env.update(instance.faults.env())
    try:
        return instance.start("collector", ready=ready)
    finally:
        instance.env = before


def ended_well(collector, what):
    """An end by itself: with a status, and a line that says why."""
    status = collector.process.wait(30)
    collector.reader.join(5)
    expect(status == 1, f"{what}: the collector ended with {status}: {collector.lines[-3:]}")
    expect(any("memory" in line for line in collector.lines), f"{what}: the collector ended with {status} and said {collector.lines[-3:]}")


def wait_stored(instance, collector, producer):
    accepted = producer.accepted()
    wait_until(lambda: collector.process.poll() is not None or instance.count("-s", "app") >= accepted, "all of it in the store", 10, pause=0.1)


def finish(instance, *producers):
    expect(instance.start("collector").stop() == 0, "exit status of a run with memory")
    for producer in producers:
        judge(instance, producer, killed=producer.process.returncode != 0)
    done = instance.run("tfctl", "verify", check=False)
    expect(done.returncode == 0, f"tfctl verify: {done.stdout[-300:]}")
    expect(not list((instance.data / "logs").glob("*.damaged")), "a partition was set aside")


def a_start_without_memory_says_so():
    with short_of_memory() as instance:
        producer = None

        def live(number):
            """From the start on; what is in the ring is taken in at the end at the latest."""
            instance.faults.fail(EVERY, number, 1)
            collector = start(instance, ready=None)
            wait_until(lambda: collector.process.poll() is not None or any("ready" in line for line in collector.lines), "ready, or an end", 20)
            if collector.process.poll() is None:
                status = collector.stop()
                expect(status in (0, 1), f"allocation {number}: the collector ended with {status}: {collector.lines[-3:]}")
                return 0
            ended_well(collector, f"allocation {number}")
            return 1

        live(NEVER)
        producer = Producer(instance, "app", threads=2, count=400, payload=300, mode="wait")
        producer.wait()
        live(NEVER)
        most = instance.faults.passed
        numbers = spread(most, 40)
        ended = sum(live(number) for number in numbers)
        instance.faults.end()
        finish(instance, producer)
        print(f"     {len(numbers)} of {most} allocations of a life failed; {ended} starts said so and ended", flush=True)


def a_collector_without_memory_goes_on_or_says_so_and_loses_nothing():
    with short_of_memory() as instance:
        instance.faults.fail(EVERY, NEVER)
        collector = start(instance)
        producer = Producer(instance, "app", threads=2, payload=100, mode="slow")
        producer.wait_progress()
        numbers = itertools.chain(range(1, 1200), (random.randrange(1, 20000) for _ in range(200))) if LONG else spread(300, 12)
        tried = ended = 0
        for number in numbers:
            instance.faults.fail(EVERY, number, 1)
            wait_until(lambda: instance.faults.failed or collector.process.poll() is not None, f"allocation {number} to fail", pause=0.002)
            instance.faults.end()
            tried += 1
            accepted = producer.accepted()
            with contextlib.suppress(ProcessLookupError):
                wait_until(lambda: collector.process.poll() is not None or producer.accepted() > accepted + 50, "the producer", pause=0.002)
            if tried % 6 == 0:
                wait_stored(instance, collector, producer)
            if collector.process.poll() is not None:
                ended_well(collector, f"allocation {number} after it was ready")
                ended += 1
                collector = start(instance)
        producer.kill()
        wait_stored(instance, collector, producer)
        expect(collector.stop() == 0, f"exit status {collector.process.returncode}: {collector.lines[-3:]}")
        finish(instance, producer)
        print(f"     {tried} allocations of a running collector failed; {ended} times it said so and ended", flush=True)


def a_query_without_memory_says_so():
    with short_of_memory() as instance:
        collector = instance.start("collector")
        producer = Producer(instance, "app", threads=2, count=3000, payload=50, mode="wait")
        producer.wait()
        instance.wait_count(6000, "-s", "app")
        collector.stop()
        query = ("query", "-o", "json", "-s", "app", "--limit", "500", '{module="m"} |= "app" |~ "[0-9]+"')

        def ask(number):
            instance.faults.fail(EVERY, number, 1)
            return instance.run("tfctl", *query, env=instance.faults.env(), check=False)

        whole = ask(NEVER).stdout
        expect(whole.count(b"\n") == 500, "the answer with memory")
        most, failed = instance.faults.passed, 0
        numbers = spread(most, 60)
        for number in numbers:
            done = ask(number)
            expect(done.returncode >= 0, f"allocation {number}: the query ended with {done.returncode}")
            if done.returncode == 0:
                expect(done.stdout == whole, f"allocation {number}: another answer ({len(done.stdout)} bytes) and no word about it: {done.stderr[-200:]}")
            else:
                failed += 1
                expect(done.stderr, f"allocation {number}: nothing is said")
        print(f"     {len(numbers)} of {most} allocations of a query failed; {failed} said so", flush=True)


if __name__ == "__main__":
    sys.exit(
        main(
            [
                a_start_without_memory_says_so,
                a_collector_without_memory_goes_on_or_says_so_and_loses_nothing,
                a_query_without_memory_says_so,
            ]
        )
    )

#!/usr/bin/env python3
"""Trouble with the disk under a running collector: each call on its files fails once, or from some call on until the trouble ends;
fsync loses its pages; disks that are full, or only to be read. Whatever it was: the collector lives, and within 5 s of its end all that was
accepted is in the store once, in order. Where nothing can be written, what finds no room is counted. TASKFORGE_LONG=1: every call."""

import concurrent.futures
import contextlib
import errno
import http.client
import itertools
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
import faults  # noqa: E402
from collector_kill import Producer, judge, losses_add_up  # noqa: E402
from faults import EVERY, NAME, OPEN, SIZE, SYNC, WRITE, Faults  # noqa: E402
from harness import LONG, Failure, Instance, expect, main, wait_until  # noqa: E402

SOON = 5.0  # seconds in which all must be in the store once the trouble is over


@contextlib.contextmanager
def troubled(config="", **settings):
    """An instance whose collector's calls can be made to fail."""
    with Instance(collector="  output: none\n  flush_interval: 50ms\n" + config, **settings) as instance:
        instance.faults = Faults(instance.root / "faults", [instance.data, instance.root / "spill"])
        instance.collector = start(instance)
        yield instance


def start(instance):
    before = dict(instance.env)
    instance.env.update(instance.faults.env())
    try:
        return instance.start("collector")
    finally:
        instance.env = before


def wait_stored(instance, producer, seconds=SOON, what=""):
    accepted, begin = producer.accepted(), time.monotonic()
    try:
        wait_until(lambda: instance.count("-s", producer.service) >= accepted, f"{accepted} entries {what}", seconds, pause=0.05)
    except Failure as failure:
        raise Failure(f"{failure}; {instance.count('-s', producer.service)} are there; {' | '.join(instance.collector.lines[-4:])}") from None
    return time.monotonic() - begin


def finish(instance, *producers):
    for producer in producers:
        if producer.process.poll() is None:
            producer.kill()
    expect(instance.collector.process.poll() is None, f"the collector ended: {instance.collector.lines[-4:]}")
    expect(instance.collector.stop() == 0, "exit status of the collector")
    settled = instance.start("collector")
    expect(settled.stop() == 0, "exit status of a run without trouble")
    for producer in producers:
        judge(instance, producer, killed=producer.process.returncode != 0)
    done = instance.run("tfctl", "verify", check=False)
    expect(done.returncode == 0, f"tfctl verify: {done.stdout[-300:]}")
    aside = [line for line in instance.collector.lines if "damaged" in line]
    expect(not aside and not list((instance.data / "logs").glob("*.damaged")), f"a partition was set aside: {aside}")


# --- each call ---


def one_trouble(instance, producer, kinds, first, count, error, mode):
    what = f"after {count if count < 9 else 'all'} of {kinds:#x} from the {first}. on failed with {errno.errorcode[error]} (mode {mode})"
    instance.faults.fail(kinds, first, count, error, mode)
    wait_until(lambda: instance.faults.failed >= min(count, 3), f"a call that fails, {what}", 10, pause=0.01)
    instance.faults.end()
    taken = wait_stored(instance, producer, what=what)
    expect(instance.collector.process.poll() is None, f"the collector ended {what}: {instance.collector.lines[-4:]}")
    return taken


def sweep(steps, config):
    with troubled(config) as instance:
        producer = Producer(instance, "app", threads=2, payload=60, mode="slow")
        slowest = max(one_trouble(instance, producer, *step) for step in steps)
        wait_stored(instance, producer)
        finish(instance, producer)
        return slowest


def sweep_all(steps, config="", together=6):
    """The steps in some instances side by side, since most of the time is waiting."""
    steps = list(steps)
    with concurrent.futures.ThreadPoolExecutor(together) as pool:
        slowest = max(pool.map(lambda part: sweep(part, config), (steps[i::together] for i in range(together))))
    print(f"     {len(steps)} troubles, the slowest was made up for in {slowest:.1f} s", flush=True)


def each_call_that_fails_once_is_made_up_for():
    calls = range(1, 200) if LONG else (*range(1, 25), *range(31, 61, 6))
    errors = itertools.cycle((errno.EIO, errno.ENOSPC, errno.EIO, errno.EROFS, errno.EDQUOT))
    sweep_all(((EVERY, first, 1, error, faults.REFUSE) for first, error in zip(calls, errors)), "  partition: 1s\n")


def each_kind_of_call_that_fails_from_some_call_on_is_made_up_for():
    calls = range(1, 41) if LONG else (1, 3)
    kinds = (WRITE, SYNC, SIZE, NAME, OPEN, EVERY)
    errors = itertools.cycle((errno.EIO, errno.ENOSPC, errno.EROFS))
    steps = ((kind, first, 3 if kind in (NAME, SIZE, OPEN) else faults.FOR_EVER, error, faults.REFUSE) for (first, kind), error in zip(itertools.product(calls, kinds), errors))
    sweep_all(steps, "  partition: 1s\n")


def a_write_that_was_made_and_said_to_have_failed_is_not_stored_twice():
    sweep_all(((WRITE, first, count, errno.EIO, faults.LIE) for first, count in itertools.product(range(1, 100 if LONG else 7), (1, 2))), "  partition: 2s\n")


def a_sync_that_fails_once_and_has_lost_its_pages_loses_nothing():
    sweep_all(((SYNC, first, 1, errno.EIO, faults.DROP) for first in range(1, 200 if LONG else 13)), "  partition: 1s\n")


# --- longer troubles ---


def spill_files(instance):
    return list((instance.root / "spill").glob("spill-*"))


def healthz(instance, exporter):
    connection = http.client.HTTPConnection("127.0.0.1", instance.port(exporter), timeout=10)
    try:
        connection.request("GET", "/healthz")
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def metric(instance, exporter, name):
    connection = http.client.HTTPConnection("127.0.0.1", instance.port(exporter), timeout=10)
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    connection.close()
    return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.split(" ")[0].split("{")[0] == name)


def while_the_store_fails_the_spill_takes_over_and_health_says_so():
    with troubled(ring_size="8MiB") as instance:
        exporter = instance.start("exporter")
        wait_until(lambda: healthz(instance, exporter)[0] == 200, "a healthy beginning")
        instance.faults.fail(EVERY, error=errno.EROFS, only="/data/")
        producer = Producer(instance, "app", threads=2, count=30000, payload=400, mode="wait")
        wait_until(lambda: spill_files(instance), "the spill")
        producer.wait()  # which needs more room than the ring has
        wait_until(lambda: healthz(instance, exporter)[0] == 503, "health to turn unhealthy", 2 * SOON)
        instance.faults.end()
        wait_stored(instance, producer)
        wait_until(lambda: not spill_files(instance), "the spill to be gone", SOON)
        wait_until(lambda: healthz(instance, exporter)[0] == 200, "health to come back", SOON)
        wait_until(lambda: metric(instance, exporter, "taskforge_store_spilled_batches_total") > 0, "the metric of spilled batches", SOON)
        expect(metric(instance, exporter, "taskforge_store_commit_failures_total") > 0, "failed commits are counted")
        exporter.stop()
        finish(instance, producer)


def a_spill_that_fails_now_and_then_keeps_each_batch_once():
    """The store fails all the time, and of the spill's calls each one once; killed in the middle of it at last."""
    with troubled(ring_size="8MiB") as instance:
        producer = Producer(instance, "app", threads=2, payload=3000, mode="slow")
        for first, (error, mode) in zip(range(1, 60 if LONG else 4), itertools.cycle(((errno.EIO, faults.REFUSE), (errno.ENOSPC, faults.LIE), (errno.EIO, faults.DROP)))):
            instance.faults.fail(EVERY, error=errno.EIO, only="/data/logs")
            wait_until(lambda: instance.faults.failed and spill_files(instance), "the spill", 20)
            before = producer.accepted()
            instance.faults.fail(SYNC if mode == faults.DROP else EVERY & ~faults.READ, first // 3 + 1, 2, error, mode, only="")
            wait_until(lambda: instance.faults.failed >= 2, f"calls that fail, {first}", 20, pause=0.005)
            instance.faults.end()
            wait_until(lambda: producer.accepted() > before, "the producer to go on", 20)
            wait_stored(instance, producer)
        instance.faults.fail(EVERY, error=errno.EIO, only="/data/logs")
        wait_until(lambda: spill_files(instance), "the spill", 20)
        instance.faults.fail(EVERY, error=errno.EIO)
        instance.collector.wait_line("what is new is dropped and counted")
        instance.collector.kill()
        instance.faults.end()
        instance.collector = start(instance)
        producer.kill()
        wait_stored(instance, producer)
        finish(instance, producer)


def where_the_spill_fails_too_what_finds_no_room_is_counted():
    with troubled(ring_size="8MiB") as instance:
        instance.faults.fail(WRITE | SIZE, error=errno.ENOSPC)
        producer = Producer(instance, "app", threads=2, count=30000, payload=400, mode="drop")
        producer.wait()
        instance.collector.wait_line("what is new is dropped and counted")
        expect(sum(c[2] for c in producer.counters()) > 0, "nothing was dropped")
        instance.faults.end()
        wait_stored(instance, producer)
        finish_losses(instance, producer)


def finish_losses(instance, producer):
    expect(instance.collector.stop() == 0, "exit status")
    found = {}
    for entry in instance.query("-s", "app"):
        _, thread, number, *_ = entry["message"].split(" ", 3)
        found.setdefault(int(thread), []).append(int(number))
    for thread, (attempted, accepted, dropped) in enumerate(producer.counters()):
        numbers = found.get(thread, [])
        expect(numbers == sorted(set(numbers)), f"thread {thread}: doubled, or out of order")
        expect(len(numbers) == accepted == attempted - dropped, f"thread {thread}: {len(numbers)} stored, {accepted} accepted")
    losses_add_up(instance, producer)


if __name__ == "__main__":
    sys.exit(
        main(
            [
                each_call_that_fails_once_is_made_up_for,
                each_kind_of_call_that_fails_from_some_call_on_is_made_up_for,
                a_write_that_was_made_and_said_to_have_failed_is_not_stored_twice,
                a_sync_that_fails_once_and_has_lost_its_pages_loses_nothing,
                while_the_store_fails_the_spill_takes_over_and_health_says_so,
                a_spill_that_fails_now_and_then_keeps_each_batch_once,
                where_the_spill_fails_too_what_finds_no_room_is_counted,
            ]
        )
    )

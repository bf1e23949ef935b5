#!/usr/bin/env python3
"""Simulated power cuts: all writes, syncs and names of a real collector's store and spill are recorded, over rolls, merges and a time in
which the store fails and the spill takes over; then power_cut.c makes the files that a cut at some moment could leave, with
whatever was not synced there in any part, and goes on from them. TASKFORGE_LONG=1: 10,000 cuts."""

import errno
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
import faults  # noqa: E402
from collector_kill import Producer  # noqa: E402
from faults import EVERY, Faults  # noqa: E402
from harness import BUILD, LONG, Instance, expect, main, wait_until  # noqa: E402

CUTS = 10000 if LONG else 150
THREADS = 6  # two of each app
WINDOW = 50e-3 + 2  # flush_interval, and what a commit may take on a busy machine


def record(instance, log):
    """One life of a collector; when its calm ended."""
    control = Faults(instance.root / "faults", [instance.data, instance.root / "spill"])
    before = dict(instance.env)
    instance.env.update(control.env(log))
    collector = instance.start("collector")
    instance.env = before
    producer = Producer(instance, "app0", threads=2, payload=100, mode="slow")
    partitions = lambda: len(list((instance.data / "logs").glob("*.mdb")))  # noqa: E731
    wait_until(lambda: partitions() >= 3, "partitions")
    producer.kill()
    calm_ends = time.time_ns()
    return collector, control, calm_ends


def trouble(instance, collector, control):
    """The second half: the store fails, the spill takes over, twice; and it is taken in."""
    for app in ("app1", "app2"):
        control.fail(EVERY, error=errno.ENOSPC, only="/data/logs")
        producer = Producer(instance, app, threads=2, count=1500, payload=3000, mode="wait")
        wait_until(lambda: list((instance.root / "spill").glob("spill-*")), "the spill")
        control.end()
        producer.wait()
        wait_until(lambda: not list((instance.root / "spill").glob("spill-*")), "the spill to be taken in")


def whatever_a_power_cut_leaves_is_consistent_and_has_all_that_was_safe():
    seed = int(os.environ.get("TASKFORGE_SEED", "0")) or random.randrange(1 << 30)
    print(f"     seed {seed}", flush=True)
    with Instance(ring_size="8MiB", collector="  output: none\n  partition: 1s\n  flush_interval: 50ms\n") as instance:
        log = instance.root / "log"
        collector, control, calm_ends = record(instance, log)
        trouble(instance, collector, control)
        expect(collector.stop() == 0, "exit status")
        scratch = tempfile.mkdtemp(prefix="taskforge-cut-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)
        try:
            done = subprocess.run(
                [BUILD / "tests/torture/power_cut", log, instance.root, scratch + "/image", str(CUTS), str(seed), str(THREADS), str(calm_ends), str(int(WINDOW * 1e9))],
                stdout=subprocess.PIPE, check=False,
            )
        finally:
            keep = os.environ.get("TASKFORGE_KEEP")
            if keep:
                shutil.copytree(scratch, keep, dirs_exist_ok=True)
                shutil.copy(log, keep)
            shutil.rmtree(scratch)
        print(f"     {done.stdout.decode().strip()}", flush=True)
        expect(done.returncode == 0, f"power_cut: {done.returncode}")


if __name__ == "__main__":
    sys.exit(main([whatever_a_power_cut_leaves_is_consistent_and_has_all_that_was_safe]))

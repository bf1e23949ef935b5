#!/usr/bin/env python3
"""Readers that stop or die in the middle of a big query: they hold nothing, so that nothing waits for them and the open partition grows as without them."""

import array
import fcntl
import pathlib
import random
import signal
import subprocess
import sys
import termios
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from harness import LONG, Instance, expect, main, wait_until  # noqa: E402

ROUNDS = 200 if LONG else 15
LINES = 400  # of a round


def waiting(pipe):
    """Bytes that nobody has read yet."""
    number = array.array("i", [0])
    fcntl.ioctl(pipe, termios.FIONREAD, number)
    return number[0]


def stopped_in_the_middle(instance):
    """A query of all whose reader does not read: it stands in a write, and is stopped there."""
    query = subprocess.Popen([instance.program("tfctl"), "query", "-o", "json"], env=instance.env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    wait_until(lambda: waiting(query.stdout.fileno()) >= 60000, "a full pipe")
    query.send_signal(signal.SIGSTOP)
    return query


def write_rounds(instance, name):
    """The longest that a round took to be stored, and how large the partition is then."""
    longest = 0.0
    for i in range(ROUNDS):
        begin = time.monotonic()
        lines = "".join(f"line {i} {j} of {random.getrandbits(64):x}\n" for j in range(LINES))
        instance.run("tflog", "-s", name, stdin=lines.encode())
        wait_until(lambda: instance.count("-s", name) == (i + 1) * LINES, "the lines", 20)
        longest = max(longest, time.monotonic() - begin)
    return longest


def grown(readers):
    """A run with so many stopped readers: bytes of the partition when all is closed."""
    with Instance() as instance:
        collector = instance.start("collector")
        instance.run("tflog", "-s", "first", stdin=b"".join(b"first line %d, long enough to fill a pipe\n" % i for i in range(2000)))
        instance.wait_count(2000, "-s", "first")
        stopped = [stopped_in_the_middle(instance) for _ in range(readers)]
        killed = [stopped_in_the_middle(instance) for _ in range(readers)]
        for query in killed:
            query.kill()
            query.wait()
        longest = write_rounds(instance, "app")
        expect(longest < 5, f"a round took {longest:.1f} s")
        for query in stopped:
            query.send_signal(signal.SIGCONT)
            lines = query.stdout.read().count(b"\n")
            expect(query.wait(30) == 0 and lines == 2000, f"a reader that went on: {query.returncode}, {lines} lines")
        expect(collector.stop() == 0, "exit status")
        (partition,) = (instance.data / "logs").glob("*.mdb")
        return partition.stat().st_size


def stopped_and_killed_readers_neither_delay_nor_bloat():
    without, with_readers = grown(0), grown(3)
    expect(with_readers < without * 1.25 + 500000, f"{with_readers} bytes with stopped readers, {without} without")


if __name__ == "__main__":
    sys.exit(main([stopped_and_killed_readers_neither_delay_nor_bloat]))

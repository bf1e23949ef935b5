#!/usr/bin/env python3
"""What stands in a ring's place and is none, what becomes of a ring while the collector has it mapped, and a full tmpfs: each time a line
or a ring set aside within a second, never a signal, and the next app's entry is stored."""

import json
import os
import pathlib
import socket
import struct
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
from harness import LONG, Instance, expect, in_time, main, wait_until  # noqa: E402
from stand_overload import app, check_balance, total  # noqa: E402

UID = os.geteuid()
SECOND = in_time(2)  # the collector looks once a second at what it does not read

# Where things stand in the header (common/shm/layout.h).
VERSION, RING_ID, OWNER, SLOTS, LANES, FILE_SIZE, LANES_AT, SLOTS_AT, SLOTS_USED = 8, 16, 32, 36, 44, 48, 56, 64, 100
LANE_HEADER = 256


class Host(Instance):
    def __init__(self):
        super().__init__(collector="  output: none\n  flush_interval: 10ms\n")
        self.ring = self.runtime / "rings" / str(UID)
        self.number = 0

    def log(self):
        """An app's entry, stored, as soon as the way is free."""
        self.number += 1
        wait_until(lambda: self.run("tflog", "-s", f"app{self.number}", "x", check=False).returncode == 0, "a ring to write to", SECOND)
        self.wait_count(1, "-s", f"app{self.number}")

    def rings(self):
        """How many the collector has open, those that were replaced a moment ago with them."""
        with socket.socket(socket.AF_UNIX) as control:
            control.connect(str(self.runtime / "collector.sock"))
            control.sendall(b"status\n")
            answer = b""
            while not answer.endswith(b"\n.\n"):
                answer += control.recv(65536)
        return json.loads(answer.splitlines()[1])["rings"]

    def front(self):
        """Header and lane headers of the ring as it is now."""
        with open(self.ring, "rb") as ring:
            return bytearray(ring.read(1 << 16))

    def put(self, make):
        """What make(path) makes into the ring's place; which file that is."""
        new = self.ring.with_name(".new")
        make(new)
        made = os.lstat(new).st_ino
        self.ring.unlink()
        os.rename(new, self.ring)
        return made


def file_of(data, size=None):
    def make(path):
        with open(path, "wb") as file:
            file.write(data)
            if size is not None:
                file.truncate(size)
            os.fchmod(file.fileno(), 0o660)

    return make


def file_at(path):
    """Which file has that name; None: none."""
    try:
        return os.lstat(path).st_ino
    except FileNotFoundError:
        return None


def within_a_second(collector, condition, what):
    since = time.monotonic()
    wait_until(condition, what, 20, pause=0.005)
    took = time.monotonic() - since
    expect(collector.process.poll() is None, f"{what}: the collector ended with {collector.process.returncode}")
    print(f"     {what}: {took:.2f} s", flush=True)
    expect(took < SECOND, f"{what}: {took:.1f} s")


def is_told(collector, part):
    """Of a stretch of such files the first twenty are told one by one."""
    return any(part in line for line in collector.lines) or any("more such lines" in line for line in collector.lines) or len(collector.lines) > 20


def patched(front, offset, kind, value):
    out = bytearray(front)
    struct.pack_into(kind, out, offset, value)
    return out


def what_is_no_ring_is_told_and_moved_away_within_a_second():
    with Host() as host:
        collector = host.start("collector")
        host.log()
        front, size = host.front(), os.stat(host.ring).st_size
        cases = (
            ("garbage", file_of(os.urandom(1 << 16)), "its first bytes are others"),
            ("an empty file", file_of(b""), "too short for a header"),
            ("an older format", file_of(patched(front, VERSION, "<I", 1), size), "format 1, of before the first release"),
            ("a ring that was cut", file_of(front, size // 2), "it was cut"),
            ("another user's ring", file_of(patched(front, OWNER, "<I", UID + 1), size), f"says it is user {UID + 1}'s"),
            ("no slots", file_of(patched(front, SLOTS, "<I", 0), size), "header is damaged"),
            ("lanes without end", file_of(patched(front, LANES, "<I", 2**32 - 1), size), "header is damaged"),
            ("a size without end", file_of(patched(front, FILE_SIZE, "<Q", 2**63), size), "header is damaged"),
            ("another ring's lanes", file_of(patched(front, 0x2000 + 64, "<Q", 8), size), "make no sense"),
            ("a link", lambda path: path.symlink_to("/etc/passwd"), "no regular file"),
            ("a pipe", os.mkfifo, "no regular file"),
            ("a folder", os.mkdir, "no regular file"),
        )
        for number, (what, make, part) in enumerate(cases if LONG else cases[::2]):
            if number % 6 == 5:  # one user's rings are not read without end
                wait_until(lambda: host.rings() <= 1, "the replaced rings to be let go")
            made = host.put(make)
            within_a_second(collector, lambda: file_at(host.ring) != made, f"{what} is away")
            wait_until(lambda: is_told(collector, part), f'"{part}" to be told')
            host.log()
        wait_until(lambda: host.rings() <= 1, "the replaced rings to be let go")
        host.put(file_of(patched(front, VERSION, "<I", 77), size))
        wait_until(lambda: is_told(collector, "format 77, newer than format"), "a newer format to be told")
        expect(host.ring.exists(), "a newer collector may come for it")
        host.ring.unlink()
        host.log()
        expect(collector.stop() == 0, "exit status")
        expect(len(list((host.runtime / "quarantine").iterdir())) <= 8, "the quarantine has no end")


def scribble(host, offset, data):
    with open(host.ring, "r+b") as ring:
        ring.seek(offset)
        ring.write(data)


def a_ring_that_is_cut_or_scribbled_on_while_it_is_mapped_is_set_aside_within_a_second():
    with Host() as host:
        collector = host.start("collector")
        host.log()
        size, (lanes,) = os.stat(host.ring).st_size, struct.unpack_from("<I", host.front(), LANES)
        lanes_at, slots_at = (struct.unpack_from("<Q", host.front(), at)[0] for at in (LANES_AT, SLOTS_AT))
        cases = (
            ("cut to nothing", lambda: os.truncate(host.ring, 0)),
            ("cut behind its header", lambda: os.truncate(host.ring, 4096)),
            ("cut within its slots", lambda: os.truncate(host.ring, slots_at + 4096)),
            ("cut by a page", lambda: os.truncate(host.ring, size - 4096)),
            ("longer", lambda: os.truncate(host.ring, size + 4096)),
            ("its magic number", lambda: scribble(host, 0, b"x")),
            ("its version", lambda: scribble(host, VERSION, b"\1")),
            ("its id", lambda: scribble(host, RING_ID, os.urandom(16))),
            ("its count of lanes", lambda: scribble(host, LANES, struct.pack("<I", lanes + 1))),
            ("a head", lambda: scribble(host, lanes_at + LANE_HEADER + 64, struct.pack("<Q", 2**63))),
            ("a tail", lambda: scribble(host, lanes_at + LANE_HEADER + 128, struct.pack("<Q", 8192))),
            ("an owner", lambda: scribble(host, lanes_at + LANE_HEADER, struct.pack("<Q", 0xFFFF))),
        )
        for what, harm in cases if LONG else cases[::2]:
            there = file_at(host.ring)
            harm()
            within_a_second(collector, lambda: file_at(host.ring) != there, f"{what}: set aside")
            host.log()
        expect(sum("is broken and set aside" in line for line in collector.lines) == len(cases if LONG else cases[::2]), f"not each was told: {collector.lines}")
        # What is no sign of damage by itself is put right, or passed over.
        for what, harm in (
            ("more slots in use than there are", lambda: scribble(host, SLOTS_USED, struct.pack("<I", 2**32 - 1))),
            ("no slots in use", lambda: scribble(host, SLOTS_USED, struct.pack("<I", 0))),
            ("an unknown state of a slot", lambda: scribble(host, slots_at, struct.pack("<Q", 0x1FF))),
            ("an anonymous ledger without end", lambda: scribble(host, 4096, b"\xff" * 1152)),
        ):
            harm()
            host.log()
            expect(collector.process.poll() is None, f"{what}: the collector ended with {collector.process.returncode}")
        expect(collector.stop() == 0, "exit status")


def on_a_full_tmpfs_apps_drop_and_count_and_nobody_dies():
    with Host() as host:
        rings = host.runtime / "rings"
        rings.mkdir(parents=True)
        mount = ["mount", "-t", "tmpfs", "-o", "size=1500k,mode=3773", "none", rings]
        if not (UID == 0 and subprocess.run(mount, capture_output=True).returncode == 0):
            return print("     skipped: no tmpfs can be mounted here")
        try:
            collector = host.start("collector")
            accounts = app(host, "write", "full", "info", 2, 4, 3000, 300)
            accepted = sum(total(accounts, "accepted").values())
            wait_until(lambda: host.count("-s", "full") >= accepted, f"{accepted} entries")
            expect(collector.stop() == 0, "exit status")
            expect(accepted > 0, "nothing was accepted")
            expect(sum(total(accounts, "refused").values()) > 0, "nothing was refused: the folder was not full")
            check_balance(host, "full", accounts)
        finally:
            subprocess.run(["umount", "-l", rings], check=True)


if __name__ == "__main__":
    sys.exit(
        main(
            [
                what_is_no_ring_is_told_and_moved_away_within_a_second,
                a_ring_that_is_cut_or_scribbled_on_while_it_is_mapped_is_set_aside_within_a_second,
                on_a_full_tmpfs_apps_drop_and_count_and_nobody_dies,
            ]
        )
    )

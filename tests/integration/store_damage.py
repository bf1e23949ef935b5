#!/usr/bin/env python3
"""The store damaged in every way, under the four running programs and before they start: what is sound is served, nothing else ever is, no program
dies, one line, the metric and the health say so, writing goes on within 5 s, and where all is sound again health returns."""

import http.client
import json
import os
import pathlib
import random
import shutil
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from harness import LONG, Instance, expect, in_time, main, wait_until  # noqa: E402

LINES = 2000


def get(port, path):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", path)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, text


class Place(Instance):
    """A store of several partitions with known lines in it, and the four programs."""

    def start_all(self):
        self.collector = self.start("collector")
        self.exporter = self.start("exporter")
        self.daemons = [self.collector, self.exporter, self.start("agent"), self.start("alerter")]
        self.http = self.port(self.exporter)

    def files(self):
        return sorted((self.data / "logs").glob("*.mdb"))

    def log(self, name, count=LINES):
        lines = "".join(f"{name} line {i} of {random.getrandbits(64):x}\n" for i in range(count))
        self.run("tflog", "-s", name, stdin=lines.encode())
        return lines.splitlines()

    def fill(self):
        """Lines in three partitions and in the open one, where partitions end with the second; else in the open one."""
        self.known = {}
        for i in range(3 if self.rolls else 1):
            seen = len(self.files())
            self.known[f"s{i}"] = self.log(f"s{i}")
            wait_until(lambda: self.count("-s", f"s{i}") == LINES, "the lines")
            if self.rolls:
                time.sleep(1.05)  # the clock itself: partitions end with a second
                self.run("tflog", "-s", "tick", "tick")
                wait_until(lambda: len(self.files()) > seen, "a new partition")

    def expect_alive(self):
        for daemon in self.daemons:
            expect(daemon.process.poll() is None, f"{daemon.argv[0]} ended: {daemon.lines[-3:]}")

    def damaged(self):
        line = next((line for line in get(self.http, "/metrics")[1].splitlines() if line.startswith("taskforge_store_damaged ")), "x -1")
        return float(line.split()[1])

    def health(self):
        checks = json.loads(get(self.http, "/api/v1/health")[1])
        return next(c for c in checks["checks"] if c["name"] == "database")

    def expect_only_known(self, least):
        """Of all that was written at least so many lines are found, by tfctl and the API; nothing that was not."""
        done = self.run("tfctl", "query", "-o", "json", check=False)
        expect(done.returncode in (0, 1), f"tfctl query: {done.returncode}")
        found = 0
        for entry in map(json.loads, done.stdout.splitlines()):
            if entry["service"] in self.known:
                expect(entry["message"] in self.known_sets[entry["service"]], f"never written: {entry}")
                found += 1
        total = sum(len(lines) for lines in self.known.values())
        expect(least <= found <= total, f"{found} lines of {total}, at least {least} were expected")
        status, text = get(self.http, "/api/v1/logs?limit=1000&order=asc")
        expect(status == 200, f"the API: {status} {text[:200]}")
        return found, done

    def __init__(self, rolls=False):
        super().__init__(collector="  output: none\n" + ("  partition: 1s\n" if rolls else ""))
        self.rolls = rolls

    def __enter__(self):
        self.start_all()
        self.fill()
        self.known_sets = {name: set(lines) for name, lines in self.known.items()}
        return self


def cut(size):
    def apply(path):
        os.truncate(path, min(size, path.stat().st_size - 1))

    return apply


def half(path):
    os.truncate(path, path.stat().st_size // 2 + 100)


def garbage(path):
    path.write_bytes(random.randbytes(200000))


def text(path):
    path.write_text("this is a letter to somebody\n" * 1000)


def sqlite(path):
    path.write_bytes(b"SQLite format 3\0" + bytes(4080) + random.randbytes(40960))


def grown(path):
    with open(path, "ab") as file:
        file.write(random.randbytes(100000))


def flips(path):
    data = bytearray(path.read_bytes())
    for _ in range(40):
        data[random.randrange(8192, len(data))] ^= 1 << random.randrange(8)
    path.write_bytes(data)


def meta_page(path):
    with open(path, "r+b") as file:
        file.seek(20)
        file.write(random.randbytes(40))


def removed(path):
    path.unlink()


def some(kinds, count):
    """All of them in the long run; in the short one so many, and others each time."""
    return kinds if LONG else random.sample(kinds, count)


def closed_partitions_are_served_as_far_as_they_are_sound_and_health_returns():
    with Place(rolls=True) as place:
        victim = place.files()[1]
        total = sum(len(lines) for lines in place.known.values())
        wait_until(lambda: victim.with_name(victim.name + ".sum").exists(), "the sum of a closed partition")
        wait_until(lambda: place.health()["status"] == "healthy", "health at first")
        pristine = place.root / "pristine.mdb"
        shutil.copy2(victim, pristine)
        for damage in some((flips, half, cut(0), cut(5000), garbage, sqlite, meta_page, grown), 2):
            least = total if damage is grown else LINES
            name = getattr(damage, "__name__", "cut")
            new = place.root / "new.mdb"
            shutil.copy2(pristine, new)
            damage(new)
            os.replace(new, victim)  # a file that is cut in its place: the next test
            found, done = place.expect_only_known(least)
            if found < total:
                expect(done.returncode == 1 and victim.name in done.stderr.decode(), f"{name}: nothing is said: {done.stderr[-300:]}")
                wait_until(lambda: place.health()["status"] == "degraded", f"{name}: degraded health", 20)
                expect(victim.name in place.health()["details"], f"{name}: {place.health()}")
                wait_until(lambda: place.damaged() == 1, f"{name}: the metric", 20)
                verify = place.run("tfctl", "verify", check=False)
                expect(verify.returncode == 1 and victim.name.encode() in verify.stdout, f"{name}: verify {verify.returncode} {verify.stdout[-300:]}")
            place.expect_alive()
            shutil.copy2(pristine, new)
            os.replace(new, victim)
            wait_until(lambda: place.health()["status"] == "healthy", f"{name}: health again", 20)
            wait_until(lambda: place.damaged() == 0, f"{name}: the metric again", 20)
            expect(place.expect_only_known(total)[0] == total, f"{name}: not all are back")
        expect(place.run("tfctl", "verify").returncode == 0, "verify in the end")


def the_open_partition_may_be_hit_and_writing_goes_on_within_5_s():
    for damage in some((cut(0), half, flips, meta_page, removed, garbage), 3):
        name = getattr(damage, "__name__", "cut")
        with Place() as place:
            victim = place.files()[-1]
            damage(victim)
            begin = time.monotonic()
            lines = place.log("after", 200)
            wait_until(lambda: place.run("tfctl", "query", "-s", "after", "--count", check=False).stdout.strip() == b"200", f"{name}: the lines behind it", 20)
            took = time.monotonic() - begin
            expect(took < in_time(5), f"{name}: {took:.1f} s until writing went on")
            place.known_sets["after"] = set(lines)
            place.known["after"] = lines
            place.expect_only_known(200)
            place.expect_alive()


def starts_over_any_damage_to_the_newest_partition():
    for damage in some((cut(0), half, flips, garbage, text), 2):
        name = getattr(damage, "__name__", "cut")
        with Place() as place:
            for daemon in place.daemons:
                daemon.stop()
            damage(place.files()[-1])
            place.start_all()
            lines = place.log("after", 200)
            wait_until(lambda: place.run("tfctl", "query", "-s", "after", "--count", check=False).stdout.strip() == b"200", f"{name}: the lines behind it", 20)
            place.known_sets["after"] = set(lines)
            place.known["after"] = lines
            place.expect_only_known(200)
            place.expect_alive()


if __name__ == "__main__":
    sys.exit(
        main(
            [
                closed_partitions_are_served_as_far_as_they_are_sound_and_health_returns,
                the_open_partition_may_be_hit_and_writing_goes_on_within_5_s,
                starts_over_any_damage_to_the_newest_partition,
            ]
        )
    )

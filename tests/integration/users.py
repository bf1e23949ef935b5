#!/usr/bin/env python3
"""Two users on one host: neither can open, read, fill or harm the other's ring, and a flood or a hostile ring of one costs the other
nothing but its fair share of the collector. The collector is a user of its own, as where it is installed. Needs root."""

import json
import os
import pathlib
import shutil
import stat
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
from harness import BUILD, LONG, Instance, expect, in_time, main, wait_until  # noqa: E402

COLLECTOR, ALICE, BOB, CAROL = 64000, 64001, 64002, 64003

# What BOB tries, each line one attempt; printed is what came of it.
ATTEMPTS = """
import json, os, sys
rings, other, own, new = sys.argv[1:5]
def attempt(name, function):
    try:
        function()
        result = "done"
    except OSError as error:
        result = type(error).__name__
    print(json.dumps([name, result]))
def into(path, flags, text=b"x"):
    fd = os.open(path, flags)
    os.write(fd, text)
    os.close(fd)
attempt("list", lambda: os.listdir(rings))
attempt("read", lambda: os.close(os.open(f"{rings}/{other}", os.O_RDONLY)))
attempt("write", lambda: into(f"{rings}/{other}", os.O_WRONLY))
attempt("read and write", lambda: into(f"{rings}/{other}", os.O_RDWR))
attempt("truncate", lambda: os.truncate(f"{rings}/{other}", 0))
attempt("create over it", lambda: into(f"{rings}/{other}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC))
attempt("remove", lambda: os.unlink(f"{rings}/{other}"))
attempt("rename", lambda: os.rename(f"{rings}/{other}", f"{rings}/{own}.moved"))
attempt("rename over it", lambda: (open(f"{rings}/.mine", "w").close(), os.rename(f"{rings}/.mine", f"{rings}/{other}")))
attempt("chmod", lambda: os.chmod(f"{rings}/{other}", 0o666))
attempt("link", lambda: os.link(f"{rings}/{other}", f"{rings}/{own}.link"))
attempt("remove the folder", lambda: os.rename(rings, rings + ".away"))
attempt("symlink", lambda: os.symlink(f"{rings}/{other}", f"{rings}/{new}"))
"""
REFUSED = {"list", "read", "write", "read and write", "truncate", "create over it", "remove", "rename", "rename over it", "chmod", "remove the folder"}


class Host(Instance):
    """An instance whose collector is user COLLECTOR, and in which any user runs copies of the programs."""

    def __init__(self):
        super().__init__(collector="  output: none\n  flush_interval: 10ms\n")

    def __enter__(self):
        self.root.chmod(0o755)
        for folder in (self.runtime, self.data, self.root / "spill"):
            folder.mkdir(exist_ok=True)
            os.chown(folder, COLLECTOR, COLLECTOR)
        self.bin = self.root / "bin"
        self.bin.mkdir()
        for program in (self.program("collector"), self.program("tflog"), BUILD / "tests/integration/user_app", BUILD / "tests/integration/stand_app"):
            shutil.copy(program, self.bin)
        self.rings = self.runtime / "rings"
        return self

    def program(self, name):
        copy = self.root / "bin" / pathlib.Path(super().program(name)).name
        return copy if copy.exists() else super().program(name)

    def start_collector(self):
        return self.start("collector", user=COLLECTOR)

    def begin(self, user, program, *arguments):
        return subprocess.Popen(
            [self.bin / program, *map(str, arguments)], env=self.env, user=user, group=user, extra_groups=[], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )

    def app(self, user, program, *arguments):
        return end(self.begin(user, program, *arguments))

    def python(self, user, script, *arguments):
        done = subprocess.run(
            [sys.executable, "-c", script, *map(str, arguments)], user=user, group=user, extra_groups=[], capture_output=True, text=True, timeout=60
        )
        expect(done.returncode == 0, f"as {user}: {done.stderr[-500:]}")
        return done.stdout

    def log(self, user, service, message):
        """Whether it is in the ring."""
        done = self.begin(user, "tflog", "-s", service, "--wait", "10s", "--", message)
        _, said = done.communicate(timeout=60)
        expect(done.returncode == (3 if said else 0), f"tflog as {user}: {done.returncode}: {said}")
        return done.returncode == 0


def bound_us(quiet):
    """What waiting for the store may take at most while another does his worst: some commits as large as they get, on a slow disk."""
    return 10 * quiet["worst_us"] + in_time(1000000)


def end(process, seconds=120):
    out, said = process.communicate(timeout=seconds)
    expect(process.returncode == 0, f"{process.args[0]} ended with {process.returncode}: {said[-300:]}")
    return [json.loads(line) for line in out.splitlines()]


def alive(collector):
    expect(collector.process.poll() is None, f"the collector ended with {collector.process.returncode}: {collector.lines[-3:]}")


def neither_can_open_read_or_remove_the_others_ring():
    with Host() as host:
        collector = host.start_collector()
        expect(host.log(ALICE, "alice", "mine"), "no ring")
        expect(host.log(BOB, "bob", "mine"), "no ring")
        folder, ring = os.stat(host.rings), os.stat(host.rings / str(ALICE))
        expect(stat.S_IMODE(folder.st_mode) == 0o3773, f"the folder's mode is {stat.S_IMODE(folder.st_mode):o}")
        expect((ring.st_uid, ring.st_gid, stat.S_IMODE(ring.st_mode)) == (ALICE, COLLECTOR, 0o660), f"the ring's is {ring.st_uid}:{ring.st_gid} {ring.st_mode:o}")
        results = dict(map(json.loads, host.python(BOB, ATTEMPTS, host.rings, ALICE, BOB, CAROL).splitlines()))
        for name in REFUSED:
            expect(results[name] == "PermissionError", f"{name}: {results[name]}")
        if pathlib.Path("/proc/sys/fs/protected_hardlinks").read_text().strip() == "1":
            expect(results["link"] == "PermissionError", f"link: {results['link']}")
        after = os.stat(host.rings / str(ALICE))
        expect((after.st_ino, after.st_size, after.st_mode) == (ring.st_ino, ring.st_size, ring.st_mode), "the ring is another one")
        expect(host.log(ALICE, "alice", "still mine"), "no ring")
        wait_until(lambda: host.log(CAROL, "carol", "behind the link that bob left"), "the link to be removed", 20)
        host.wait_count(2, "-s", "alice")
        host.wait_count(1, "-s", "carol")
        expect(host.count("-s", "bob") == 1, "bob's entry")
        alive(collector)
        expect(collector.stop() == 0, "exit status")


# Names that belong to CAROL and to nobody, taken by BOB in every shape there is.
SQUAT = """
import os, socket, sys, time
rings, name, shape = sys.argv[1:4]
path = f"{rings}/{name}"
if shape == "file": open(path, "wb").write(b"x" * 100000)
elif shape == "empty": open(path, "wb").close()
elif shape == "link": os.symlink("/etc/passwd", path)
elif shape == "loop": os.symlink(path, path)
elif shape == "fifo": os.mkfifo(path)
elif shape == "socket": socket.socket(socket.AF_UNIX).bind(path)
elif shape == "folder": os.mkdir(path)
elif shape == "full folder":
    os.mkdir(f"{rings}/.full", 0o755)
    open(f"{rings}/.full/file", "w").close()
    os.rename(f"{rings}/.full", path)
elif shape == "copy":
    os.link(f"{rings}/{os.getuid()}", path)
elif shape == "replace":
    with open(path, "rb") as ring: head, size = ring.read(4096), os.fstat(ring.fileno()).st_size
    for i in range(150):
        with open(f"{rings}/.again", "wb") as again:
            again.write(head[:16] + os.urandom(16) + head[32:])  # a ring like any other
            again.truncate(size)
            os.fchmod(again.fileno(), 0o660)
        os.rename(f"{rings}/.again", path)
        time.sleep(0.006)  # so that most are seen
elif shape == "many":
    for i in range(300):
        open(f"{rings}/{70000 + i}", "w").close()
        os.mkdir(f"{rings}/{71000 + i}")
        os.symlink("/", f"{rings}/{72000 + i}")
"""


def a_name_that_another_has_taken_is_free_again_within_a_second():
    with Host() as host:
        collector = host.start_collector()
        expect(host.log(BOB, "bob", "mine"), "no ring")
        for number, shape in enumerate(("file", "empty", "link", "loop", "fifo", "socket", "folder", "full folder", "copy")):
            user = CAROL + number
            begin = time.monotonic()
            host.python(BOB, SQUAT, host.rings, user, shape)
            wait_until(lambda: host.log(user, f"user{number}", "here all the same"), f"the name of {user} to be free ({shape})", 20)
            took = time.monotonic() - begin
            print(f"     {shape}: {took:.2f} s until another user's entry was in the ring", flush=True)
            expect(took < in_time(5), f"{shape}: {took:.1f} s")
            host.wait_count(1, "-s", f"user{number}")
            expect(os.stat(host.rings / str(user)).st_uid == user, f"{shape}: the ring is not its user's")
        host.python(BOB, SQUAT, host.rings, BOB, "replace")
        expect(host.log(CAROL + 20, "late", "beside a ring that is replaced 150 times"), "no ring")
        host.wait_count(1, "-s", "late")
        expect(not any("more than" in line for line in collector.lines), "one user had all the rings there may be")
        said = len(collector.lines)
        host.python(BOB, SQUAT, host.rings, CAROL, "many")
        app = host.begin(ALICE, "user_app", "alice", 20, 1000)
        wait_until(lambda: not (set(map(int, filter(str.isdigit, os.listdir(host.rings)))) & set(range(70000, 73000))), "900 squatters to be removed", 20)
        account = end(app)[0]
        expect(account["accepted"] == 20 and account["refused"] == 0, f"alice: {account}")
        host.wait_count(20, "-s", "alice")
        print(f"     {len(collector.lines) - said} lines said of 900 squatters; alice waited {account['worst_us'] / 1000:.0f} ms at most", flush=True)
        alive(collector)
        expect(collector.stop() == 0, "exit status")
        expect(pathlib.Path("/etc/passwd").exists(), "a link was followed")


class Flood(threading.Thread):
    """BOB writes as fast as he can on 16 threads, over and over."""

    def __init__(self, host):
        super().__init__(daemon=True)
        self.host, self.accounts, self.over = host, [], threading.Event()

    def run(self):
        while not self.over.is_set():
            self.accounts += self.host.app(BOB, "stand_app", "write", "flood", "info", 2, 8, 10000, 200)

    def sum(self, key):
        return sum(sum(account[key].values()) for account in self.accounts)


def a_flood_of_one_costs_the_other_its_fair_share_only():
    number = 2000 if LONG else 12
    with Host() as host:
        collector = host.start_collector()
        host.app(ALICE, "user_app", "warm", 5, 1000)
        quiet = host.app(ALICE, "user_app", "quiet", number, 1000)[0]
        flood = Flood(host)
        flood.start()
        wait_until(lambda: host.count("-s", "flood") > 1000, "the flood to be on")
        busy = host.app(ALICE, "user_app", "busy", number, 1000)[0]
        flood.over.set()
        flood.join()
        for account in (quiet, busy):
            expect(account["accepted"] == number and account["refused"] == 0, f"alice: {account}")
        print(
            f"     alice waited {quiet['median_us'] / 1000:.0f} ms for the store, {quiet['worst_us'] / 1000:.0f} at most; "
            f"under the flood {busy['median_us'] / 1000:.0f} and {busy['worst_us'] / 1000:.0f}",
            flush=True,
        )
        expect(busy["worst_us"] < bound_us(quiet), f"{busy['worst_us']} us, without the flood {quiet['worst_us']}")
        accepted, refused = flood.sum("accepted"), flood.sum("refused")
        wait_until(lambda: host.count("-s", "flood") >= accepted, "the flood's entries", 60, pause=0.2)
        alive(collector)
        expect(collector.stop() == 0, "exit status")
        expect(host.count("-s", "busy") == number, "alice's entries")
        expect(host.count("-s", "flood") == accepted, "the flood's entries")
        told = [json.loads(line) for line in host.run("tfctl", "losses", "-o", "json").stdout.splitlines()]
        expect({row["service"] for row in told} <= {"flood"}, f"losses of others: {told}")
        expect(sum(row["count"] for row in told) == refused, f"{told}, refused {refused}")
        print(f"     the flood: {accepted} stored, {refused} refused and told", flush=True)


# BOB writes into his own ring what hurts, and cuts it, without end.
SCRIBBLE = """
import os, random, sys
path = sys.argv[1]
chance = random.Random(int(sys.argv[2]))
evil = [0, 1, 7, 8, 4095, 2**31 - 1, 2**32 - 1, 2**63 - 1, 2**64 - 1, 2**62 | 65537, 2**63 | 65537]
while True:
    try:
        fd = os.open(path, os.O_RDWR)
        size = os.fstat(fd).st_size
        for _ in range(chance.randrange(1, 2000)):
            os.pwrite(fd, chance.choice(evil).to_bytes(8, "little"), chance.randrange(0, chance.choice((4096, 65536, 1 << 20, size))) & ~7)
        if chance.random() < 0.2:
            os.ftruncate(fd, chance.randrange(size))
        os.close(fd)
    except OSError:
        pass
"""


def a_hostile_ring_of_one_is_set_aside_and_the_other_goes_on():
    seconds = 60 if LONG else 1
    with Host() as host:
        collector = host.start_collector()
        quiet = host.app(ALICE, "user_app", "quiet", 20, 1000)[0]
        scribbler = subprocess.Popen([sys.executable, "-c", SCRIBBLE, str(host.rings / str(BOB)), str(os.getpid())], user=BOB, group=BOB, extra_groups=[])
        try:
            end_at = time.monotonic() + seconds
            worst = number = rounds = 0
            while time.monotonic() < end_at:
                bob = host.begin(BOB, "tflog", "-s", "bob", "--", "x")  # makes the ring anew; whatever becomes of it
                account = host.app(ALICE, "user_app", "alice", 20, 1000)[0]
                bob.communicate(timeout=60)
                expect(account["accepted"] == 20 and account["refused"] == 0, f"alice: {account}")
                number, worst, rounds = number + 20, max(worst, account["worst_us"]), rounds + 1
                alive(collector)
        finally:
            scribbler.kill()
            scribbler.wait()
        host.wait_count(number, "-s", "alice")
        aside = sum("64002" in line and "set aside" in line or "set rings/64002 aside" in line for line in collector.lines)
        print(f"     {aside} rings of bob set aside in {rounds} rounds; alice waited {worst / 1000:.0f} ms at most, alone {quiet['worst_us'] / 1000:.0f}", flush=True)
        expect(aside > 0, f"nothing was set aside: {collector.lines[-3:]}")
        expect(worst < bound_us(quiet), f"{worst} us, alone {quiet['worst_us']}")
        expect(collector.stop() == 0, "exit status")


if __name__ == "__main__":
    if os.geteuid() != 0:
        print("skipped: only root can be several users")
        sys.exit(77)
    sys.exit(
        main(
            [
                neither_can_open_read_or_remove_the_others_ring,
                a_name_that_another_has_taken_is_free_again_within_a_second,
                a_flood_of_one_costs_the_other_its_fair_share_only,
                a_hostile_ring_of_one_is_set_aside_and_the_other_goes_on,
            ]
        )
    )

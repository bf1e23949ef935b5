"""run_calls.py BENCH_CALL [PEER...] - one table of what a log call costs: the floor, ours, LTTng-UST, spdlog, and their ratios.

Each program is run in turn, several times over; each figure is the median of its runs. A peer whose development
package was not there when this was built is named and left out; nothing is installed. LTTng-UST gets a session daemon
of its own, run as "nobody" where we are root (root's would be the whole system's), with its home in a temporary folder.
TASKFORGE_BENCH_QUICK: one short run, for a first look.
"""

import contextlib
import os
import pathlib
import pwd
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROUNDS = 1 if os.environ.get("TASKFORGE_BENCH_QUICK") else 3
PACKAGES = {"peer_lttng": "liblttng-ust-dev and lttng-tools", "peer_spdlog": "libspdlog-dev"}
FLOOR, BOUND, LTTNG, SPDLOG = "floor", "bound", "LTTng-UST", "spdlog"
MEAN, P50, P999 = 0, 2, 4  # columns of timed_print
LTTNG_EVENT_BYTES = 100 + 32 + 16 + 4  # of the four fields, without header and NULs: what a recorded event takes at least


def parse(output):
    """{(name, lanes): [figures]} of timed_print's lines; and how many calls the program says it made."""
    rows, called = {}, 0
    for line in output.splitlines():
        parts = re.split(r"\s{2,}", line.strip())
        if len(parts) == 9 and parts[1] in ("emptied", "beside"):
            rows[parts[0], parts[1]] = [float(part) for part in parts[2:]]
        elif line.startswith("called: "):
            called = int(line.split()[1])
    if not rows:
        raise RuntimeError(f"no figures in {output!r}")
    return rows, called


def run(argv, **options):
    done = subprocess.run([str(a) for a in argv], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=600, **options)
    if done.returncode != 0:
        raise RuntimeError(f"{argv[0]} ended with {done.returncode}: {(done.stderr or done.stdout).strip()[-500:]}")
    return done.stdout


def run_ours(program):
    return parse(run([program]))[0]


# --- spdlog ---


def run_spdlog(program):
    with tempfile.TemporaryDirectory(prefix="taskforge-bench-") as folder:
        file = pathlib.Path(folder) / "log"
        rows, called = parse(run([program, file]))
        with open(file, "rb") as lines:
            written = sum(1 for _ in lines)
        if written != called:
            raise RuntimeError(f"spdlog wrote {written} of {called} messages")
        return rows


# --- LTTng-UST ---


class Tracing:
    """A session daemon of its own, and what it leaves behind removed."""

    def __init__(self):
        self.home = pathlib.Path(tempfile.mkdtemp(prefix="taskforge-bench-"))
        self.options = {"env": {**os.environ, "HOME": str(self.home), "LTTNG_HOME": str(self.home)}, "cwd": self.home}
        self.uid = os.geteuid()
        if self.uid == 0:
            nobody = pwd.getpwnam("nobody")
            self.uid = nobody.pw_uid
            self.options.update(user=nobody.pw_uid, group=nobody.pw_gid, extra_groups=[])
            os.chown(self.home, nobody.pw_uid, nobody.pw_gid)
        self.shared_before = self.shared()
        self.daemon = None

    @staticmethod
    def shared():
        return set(pathlib.Path("/dev/shm").glob("lttng-ust-*"))

    def lttng(self, *arguments):
        return run(["lttng", "--no-sessiond", *arguments], **self.options)

    def __enter__(self):
        self.daemon = subprocess.Popen(["lttng-sessiond", "--no-kernel"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                       stderr=subprocess.DEVNULL, **self.options)
        end = time.monotonic() + 30
        while True:
            try:
                self.lttng("list")
                return self
            except RuntimeError:
                if time.monotonic() > end or self.daemon.poll() is not None:
                    self.__exit__()
                    raise
                time.sleep(0.05)

    def __exit__(self, *_):
        self.daemon.terminate()
        try:
            self.daemon.wait(30)
        except subprocess.TimeoutExpired:
            self.daemon.kill()
            self.daemon.wait()
        for left in self.shared() - self.shared_before:
            with contextlib.suppress(OSError):
                if left.stat().st_uid == self.uid:
                    left.unlink()
        shutil.rmtree(self.home, ignore_errors=True)


def run_lttng(program):
    with Tracing() as tracing:
        copy = tracing.home / "peer_lttng"  # where that user can reach it
        shutil.copy(program, copy)
        output = tracing.home / "trace"
        tracing.lttng("create", "bench", f"--output={output}")
        tracing.lttng("enable-event", "--userspace", "taskforge_bench:job")
        tracing.lttng("start")
        rows, called = parse(run([copy], **tracing.options))
        tracing.lttng("stop")
        found = re.search(r"Discarded events: (\d+)", tracing.lttng("list", "bench"))
        discarded = int(found.group(1)) if found else 0
        tracing.lttng("destroy", "bench")
        size = sum(file.stat().st_size for file in output.rglob("*") if file.is_file())
        recorded = called - discarded
        if not recorded or size < recorded * LTTNG_EVENT_BYTES:
            raise RuntimeError(f"LTTng says {recorded} of {called} events were recorded, but there are {size} bytes")
        print(f"LTTng-UST recorded {recorded} of {called} events, {size / recorded:.0f} bytes each", flush=True)
        return rows


# --- all of them ---


def median_of(runs):
    return {key: [statistics.median(column) for column in zip(*(each[key] for each in runs))] for key in runs[0]}


def print_table(rows):
    floors = {lanes: figures[0] for (name, lanes), figures in rows.items() if name.startswith(FLOOR)}
    columns = ("mean", "best", "p50", "p99", "p99.9", "x floor", "bytes")
    print(f"\n{'ns a call':48}  {'lanes':8}" + "".join(f"  {column:>7}" for column in columns))
    for (name, lanes), figures in rows.items():
        mean, best, p50, p99, p999, _, size = figures
        print(f"{name:48}  {lanes:8}" + "".join(f"  {value:7.1f}" for value in (mean, best, p50, p99, p999))
              + f"  {mean / floors[lanes]:7.2f}  {f'{size:.0f}' if size else '-':>7}")


def print_ratios(rows):
    def figures(part, lanes):
        return next((found for (name, where), found in rows.items() if name.startswith(part) and where == lanes), None)

    print(f"\n{'times':48}  {'lanes':8}  {'mean':>7}  {'p50':>7}  {'p99.9':>7}")
    for what, above, below, lanes in (
        ("ours / floor", BOUND, FLOOR, "emptied"),
        ("ours / floor", BOUND, FLOOR, "beside"),
        ("LTTng / ours", LTTNG, BOUND, "beside"),
        ("spdlog / ours", SPDLOG, BOUND, "beside"),
    ):
        one, other = figures(above, lanes), figures(below, lanes)
        if one and other:
            ratios = (one[column] / other[column] if other[column] else 0 for column in (MEAN, P50, P999))
            print(f"{what:48}  {lanes:8}" + "".join(f"  {ratio:7.2f}" for ratio in ratios))


def main():
    programs = [pathlib.Path(argument).resolve() for argument in sys.argv[1:]]
    runners = {"bench_call": run_ours, "peer_lttng": run_lttng, "peer_spdlog": run_spdlog}
    named = {program.name for program in programs}
    if "peer_lttng" in named and not (shutil.which("lttng") and shutil.which("lttng-sessiond")):
        programs = [program for program in programs if program.name != "peer_lttng"]
    for name, packages in PACKAGES.items():
        if name not in {program.name for program in programs}:
            print(f"{name} is left out: Debian packages {packages}")
    runs = {program: [] for program in programs}
    for _ in range(ROUNDS):
        for program in programs:
            runs[program].append(runners[program.name](program))
    rows = {}
    for program in programs:
        rows.update(median_of(runs[program]))
    print_table(rows)
    print_ratios(rows)


if __name__ == "__main__":
    main()

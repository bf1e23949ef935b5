"""run_pipeline.py REALISTIC_NDJSON - NDJSON on stdin -> agent -> ring -> collector -> store: entries a second, and the CPU of all processes together.

A million realistic entries (200,000 with TASKFORGE_BENCH_QUICK), once with the store alone and once with the NDJSON output to a file as well;
nothing may be lost. The writer of the text is no part of it: it reads a file in the page cache.
"""

import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

import place
from place import harness

COUNT = 200000 if os.environ.get("TASKFORGE_BENCH_QUICK") else 1000000
TICKS = os.sysconf("SC_CLK_TCK")


def cpu_s(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def anonymous_mib(pid):
    return int(re.search(r"RssAnon:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text()).group(1)) / 1024


def measure(text, output):
    with place.instance() as instance:
        out = pathlib.Path(instance.data).parent / "out.ndjson"
        instance.config.write_text(
            instance.config.read_text().replace("collector: { ", f"collector: {{ output: {out if output else 'none'}, ")
            + "agent: { inputs: [{ type: stdin, service: bench }] }\n"
        )
        collector = instance.start("collector")
        idle = cpu_s(collector.process.pid)
        begun = time.monotonic()
        with text.open("rb") as source:
            agent = instance.start("agent", stdin=source, ready=None)
            most, count = 0.0, 0
            deadline = begun + 120
            while count < COUNT and time.monotonic() < deadline:
                time.sleep(0.1)
                most = max(most, anonymous_mib(collector.process.pid))
                if time.monotonic() - begun > 1.0:
                    count = instance.count()
            seconds = time.monotonic() - begun
        used = cpu_s(agent.process.pid), cpu_s(collector.process.pid) - idle
        harness.expect(count == COUNT, f"{count} entries are in the store, not {COUNT}")
        if output:
            harness.wait_until(lambda: lines_of(out) >= COUNT, "the output to be whole")
            used = used[0], cpu_s(collector.process.pid) - idle
        what = "with the output file" if output else "store only"
        total = sum(used) / COUNT * 1e6
        print(
            f"{what}: {COUNT / seconds:,.0f} entries/s (reach 500,000), CPU s a million: agent {used[0] / COUNT * 1e6:.2f}, collector {used[1] / COUNT * 1e6:.2f}, "
            f"together {total:.2f} (reach {3 if output else 2.2}); collector's private memory at most {most:.1f} MiB (reach 64); none lost",
            flush=True,
        )
        agent.stop()
        collector.stop()


def lines_of(path):
    return sum(int(subprocess.run(["wc", "-l", str(p)], stdout=subprocess.PIPE, check=True).stdout.split()[0]) for p in path.parent.glob(path.name + "*"))


def main():
    with tempfile.TemporaryDirectory(prefix="bench-pipeline-", dir=harness.BUILD) as name:
        text = pathlib.Path(name) / "text.ndjson"
        with text.open("wb") as out:
            subprocess.run([sys.argv[1], "--in", str(COUNT)], stdout=out, check=True)
        measure(text, False)
        measure(text, True)


if __name__ == "__main__":
    main()

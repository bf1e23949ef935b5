"""run_visible.py BENCH_VISIBLE - how long after its call an entry can be read in the store, and what a collector costs that has nothing to do.

A real collector with its default configuration; the store is on the disk of the build folder. The processor time is that of all
of the collector's threads over ten seconds, while a program is attached to its ring and logs nothing.
"""

import pathlib
import subprocess
import sys
import time

import place
from place import harness

IDLE_S = 10


def processor_ns(pid):
    return sum(int((task / "schedstat").read_text().split()[0]) for task in pathlib.Path(f"/proc/{pid}/task").iterdir())


def main():
    bench = sys.argv[1]
    with place.instance() as instance:
        collector = instance.start("collector")
        app = subprocess.Popen([bench, instance.data], env=instance.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            for line in app.stdout:
                if line.startswith("idle"):
                    break
                print(line, end="", flush=True)
            else:
                raise harness.Failure(f"{bench} ended with {app.wait()}")
            time.sleep(1)  # what it wrote last is stored, and the collector is back at its idle pace
            begin, used = time.monotonic(), processor_ns(collector.process.pid)
            time.sleep(IDLE_S)
            used = processor_ns(collector.process.pid) - used
            share = used / 1e9 / (time.monotonic() - begin)
            print(f"idle collector, a program attached: {share * 100:.2f} % of a processor over {IDLE_S} s   goal 1 %")
        finally:
            app.stdin.close()
            if app.wait() != 0:
                raise harness.Failure(f"{bench} ended with {app.returncode}")
        harness.expect(collector.stop() == 0, "the collector did not end well")


if __name__ == "__main__":
    main()

"""run_process.py BENCH_PROCESS ONE_LINE [ONE_LINE_STATIC NOTHING_STATIC] - what one logged line adds to a short process.

A collector runs beside, as it does on a host, and takes back what each process leaves. Afterwards every line has to be in the
store that its process did not see lost, and none too many; where processes come faster than the collector frees their slots, the
rest finds none, and is counted here. 2,000 processes of each kind, 10,000 with TASKFORGE_LONG.
"""

import re
import subprocess
import sys

import place
from place import harness

RUNS = 10000 if harness.LONG else 2000


def main():
    bench, one_line, *static = sys.argv[1:]
    groups = ["one line, /bin/true", one_line, "/bin/true"]
    if static:
        groups += ["static, against nothing", *static]
    with place.instance() as instance:
        instance.start("collector")
        done = subprocess.run(
            [bench, str(RUNS), *groups], env=instance.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, timeout=900
        )
        print(done.stdout, end="", flush=True)
        if done.returncode != 0:
            raise harness.Failure(f"{bench} ended with {done.returncode}")
        lines, lost = map(int, re.search(r"lines: (\d+), lost: (\d+)", done.stdout).groups())
        instance.wait_count(lines - lost, "--service", "one_line")
    print(f"goal: it adds at most 200 us, and loses none; {lines - lost} lines are in the store, none missing or doubled")


if __name__ == "__main__":
    main()

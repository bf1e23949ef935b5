"""run_scrape.py BENCH_SCRAPE - what a scrape of /metrics costs, as a client sees it, beside prometheus-pushgateway with the same series.

A segment of realistic series (a tenth of the lines are timers' buckets), the real exporter, HTTP over loopback; all values change between two
scrapes. The pushgateway (Debian's prometheus-pushgateway; where it is missing it is named and left out) gets the same lines pushed once. Figures
are the best and the median of all turns. TASKFORGE_BENCH_QUICK: a few turns. TASKFORGE_BENCH_EXPORTER names another exporter to be measured.
"""

import http.client
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
from harness import Instance, wait_until

QUICK = bool(os.environ.get("TASKFORGE_BENCH_QUICK"))
LIMITS = {(100_000, "plain"): 8.0, (100_000, "gzip"): 25.0, (10_000, "plain"): 1.0, (10_000, "gzip"): 2.5}  # ms
REACH = {"plain": 15, "gzip": 6}  # times faster than the peer
GZIP_MOST, MEMORY_MOST, SERIES_MOST = 950_000, 24.0, 400  # bytes; MiB; bytes of a counter or gauge


class Bench:
    def __init__(self, program, runtime, lines):
        self.process = subprocess.Popen([program, runtime, str(lines)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        ready = self.process.stdout.readline().split()
        if not ready or ready[0] != "ready":
            raise RuntimeError(f"bench_scrape: {ready}")
        self.used, self.series, self.each = int(ready[1]), int(ready[2]), float(ready[3])

    def ask(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer or answer.startswith("what"):
            raise RuntimeError(f"bench_scrape did not do {line!r}: {answer!r}")
        return [float(part) for part in answer.split()]

    def close(self):
        self.process.stdin.close()
        self.process.wait(30)


def private_mib(pid):
    return int(re.search(r"RssAnon:\s+(\d+) kB", pathlib.Path(f"/proc/{pid}/status").read_text()).group(1)) / 1024


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


class Pushgateway:
    def __init__(self, folder):
        self.port = free_port()
        self.process = subprocess.Popen(
            [shutil.which("prometheus-pushgateway"), f"--web.listen-address=127.0.0.1:{self.port}", "--log.level=error",
             "--push.disable-consistency-check"], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(self.answers, "the pushgateway")

    def answers(self):
        try:
            return self.request("GET", "/-/ready") == 200
        except OSError:
            return False

    def request(self, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        connection.request(method, path, body)
        status = connection.getresponse().status
        connection.close()
        return status

    def push(self, body):
        status = self.request("PUT", "/metrics/job/bench", body)
        if status not in (200, 202):
            raise RuntimeError(f"the pushgateway answers {status}")

    def close(self):
        self.process.terminate()
        self.process.wait(30)


def scrape(bench, port, peer, lines, turns):
    for format_ in ("text", "openmetrics"):
        for coding in ("plain", "gzip"):
            best, median, body = bench.ask(f"fetch {port} {format_} {coding} {turns}")
            limit = LIMITS[lines, coding]
            raw = bench.ask(f"raw {int(body)} {turns}")[0]
            text = f"  {format_:11} {coding:5}  best {best / 1e6:7.2f} ms, median {median / 1e6:7.2f}, {body / 1e6:6.3f} MB"
            text += f"   {best / 1e6 / limit:4.2f} of {limit:g} ms, {best / raw:4.1f} x what the sockets take"
            if coding == "gzip" and lines == 100_000:
                text += f", {body / GZIP_MOST:4.2f} of {GZIP_MOST / 1e6:g} MB"
            if peer and format_ == "text":
                theirs = bench.ask(f"peek {peer.port} /metrics {coding} {max(3, turns // 10)}")
                text += f"   pushgateway {theirs[0] / 1e6:7.1f} ms, {theirs[2] / 1e6:6.3f} MB: {theirs[0] / best:5.1f} x, reach {REACH[coding]}"
            print(text, flush=True)


def run(program, lines, turns):
    with Instance() as one:
        pathlib.Path(one.runtime).mkdir(exist_ok=True)
        bench = Bench(program, one.runtime, lines)
        print(f"{lines} lines of {bench.series} series; segment {bench.used / 1e6:.1f} MB, {bench.each:.0f} bytes a series without octaves"
              f": {bench.each / SERIES_MOST:4.2f} of {SERIES_MOST}", flush=True)
        plain, packed = bench.ask(f"inside {turns}")
        print(f"  in process         best plain {plain / 1e6:.2f} ms, {plain / lines:.0f} ns a line; gzip {packed / 1e6:.2f} ms", flush=True)
        peer = None
        try:
            exporter = one.start("exporter")
            port = one.port(exporter)
            if shutil.which("prometheus-pushgateway"):
                peer = Pushgateway(one.runtime)
                body = pathlib.Path(one.runtime) / "body.txt"
                bench.ask(f"body {body}")
                peer.push(body.read_bytes())
            else:
                print("  no pushgateway here: install prometheus-pushgateway to compare")
            scrape(bench, port, peer, lines, turns)
            memory = private_mib(exporter.process.pid)
            print(f"  private memory of the exporter afterwards {memory:.1f} MiB: {memory / MEMORY_MOST:4.2f} of {MEMORY_MOST:g}", flush=True)
        finally:
            if peer:
                peer.close()
            bench.close()


def main(program):
    print("a double as text")
    subprocess.run([program, "numbers"], check=True)
    run(program, 10_000, 20 if QUICK else 300)
    run(program, 100_000, 5 if QUICK else 60)


main(sys.argv[1])

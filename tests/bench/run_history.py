"""run_history.py BENCH_HISTORY - what metric history takes on the disk and in time, and what Prometheus and VictoriaMetrics take for the same samples.

The peers are Debian's prometheus (promtool makes its blocks out of a text of the samples; no server runs) and victoria-metrics (a server of its own,
which the text is sent to, and which is stopped before its files are counted). What is not installed is named and left out. The folder of the
figures is in memory, so that the disk's speed is not what is measured; bytes are what the files occupy.
"""

import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

SAMPLES = 250 * 5760
MIXES = (("random", "a quarter random"), ("plain", "none random"))
BLOCK = "24h"


def occupied(folder, names=("*",)):
    return sum(path.stat().st_blocks * 512 for pattern in names for path in pathlib.Path(folder).rglob(pattern) if path.is_file())


def prometheus(text, folder):
    """Bytes a sample: all of its blocks, index included; and of its chunks alone."""
    command = ["promtool", "tsdb", "create-blocks-from", "openmetrics", "--max-block-duration=" + BLOCK, str(text), str(folder)]
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        command.pop(4)
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    chunks = sum(path.stat().st_size for path in folder.rglob("chunks/*"))
    return occupied(folder) / SAMPLES, chunks / SAMPLES


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def wait_for(url, server):
    end = time.monotonic() + 30
    while time.monotonic() < end and server.poll() is None:
        try:
            return urllib.request.urlopen(url, timeout=1).read()
        except OSError:
            time.sleep(0.05)
    raise SystemExit("victoria-metrics does not answer")


def victoria(program, text, folder):
    port = free_port()
    command = [program, f"-storageDataPath={folder}", f"-httpListenAddr=127.0.0.1:{port}", "-retentionPeriod=100y"]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(f"http://127.0.0.1:{port}/health", server)
        # its text has milliseconds, ours, as OpenMetrics has it, seconds
        lines = (line.rsplit(" ", 1) for line in text.read_text().splitlines() if not line.startswith("#"))
        body = "\n".join(f"{head} {stamp}000" for head, stamp in lines).encode()
        urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/import/prometheus", data=body, timeout=120).read()
        urllib.request.urlopen(f"http://127.0.0.1:{port}/internal/force_flush", timeout=60).read()
        urllib.request.urlopen(f"http://127.0.0.1:{port}/internal/force_merge", timeout=60).read()
    finally:
        server.terminate()
        server.wait()
    data = pathlib.Path(folder) / "data"
    return occupied(data) / SAMPLES, occupied(folder) / SAMPLES


def peers(bench, folder):
    program = shutil.which("victoria-metrics")
    for mix, name in MIXES:
        text = folder / f"{mix}.txt"
        subprocess.run([bench, str(folder), mix, str(text)], check=True)
        if shutil.which("promtool"):
            whole, chunks = prometheus(text, folder / f"prometheus-{mix}")
            print(f"Prometheus, {name}: {whole:.3f} bytes a sample on the disk, {chunks:.3f} in its chunks", flush=True)
        if program:
            data, whole = victoria(program, text, folder / f"victoria-{mix}")
            print(f"VictoriaMetrics, {name}: {data:.3f} bytes a sample on the disk, {whole:.3f} with its index", flush=True)
    if not shutil.which("promtool"):
        print("Prometheus: not installed (Debian: prometheus)")
    if not program:
        print("VictoriaMetrics: not installed (Debian: victoria-metrics)")


def main():
    bench = sys.argv[1]
    with tempfile.TemporaryDirectory(prefix="taskforge-bench-", dir="/dev/shm") as memory:
        subprocess.run([bench, memory], check=True)
        peers(bench, pathlib.Path(memory))


if __name__ == "__main__":
    main()

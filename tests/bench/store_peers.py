"""store_peers.py - the peers of the store, each where it is installed: systemd-journal-remote with journalctl, SQLite with indexes, zstd, grep.

Each takes the same entries as NDJSON text made by realistic_ndjson. Turning the text into what a peer reads is not counted.
"""

import json
import os
import pathlib
import resource
import shutil
import sqlite3
import subprocess
import time

JOURNAL_REMOTE = pathlib.Path("/lib/systemd/systemd-journal-remote")
PRIORITIES = {"trace": 7, "debug": 7, "info": 6, "warn": 4, "error": 3, "critical": 2}


def children_cpu():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def on_disk(path):
    return os.stat(path).st_blocks * 512


def timed(argv, runs=3, **options):
    """The least wall time of some runs in ms, and what the last one printed: how many lines."""
    best, lines = float("inf"), 0
    for _ in range(runs):
        begun = time.monotonic()
        done = subprocess.run([str(a) for a in argv], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, **options)
        best = min(best, (time.monotonic() - begun) * 1e3)
        lines = done.stdout.count(b"\n")
    return best, lines


def stamp(entry):
    """RFC 3339 with nanoseconds to microseconds since 1970."""
    whole, _, fraction = entry["timestamp"].rstrip("Z").partition(".")
    seconds = int(time.mktime(time.strptime(whole, "%Y-%m-%dT%H:%M:%S"))) - time.timezone
    return seconds * 1000000 + int((fraction + "000000")[:6])


class Journal:
    """systemd-journal-remote writing one file, journalctl reading it."""

    name = "journal"
    package = "systemd-journal-remote"

    def __init__(self, folder):
        self.file = folder / "peer.journal"
        self.export = folder / "peer.export"

    @staticmethod
    def there():
        return JOURNAL_REMOTE.exists() and shutil.which("journalctl")

    def write(self, text):
        with text.open() as lines, self.export.open("w") as out:
            for line in lines:
                entry = json.loads(line)
                fields = {
                    "__REALTIME_TIMESTAMP": stamp(entry),
                    "_BOOT_ID": "0" * 31 + "1",
                    "_HOSTNAME": entry["host"],
                    "_PID": entry["pid"],
                    "PRIORITY": PRIORITIES[entry["level"]],
                    "SYSLOG_IDENTIFIER": entry["service"],
                    "MODULE": entry["module"],
                    "OPERATION": entry["operation"],
                    "MESSAGE": entry["message"],
                    "ID": entry["id"],
                    "METADATA": json.dumps(entry["metadata"]),
                }
                for key in ("trace_id", "span_id", "correlation_id", "user_id", "organization_id"):
                    if key in entry:
                        fields[key.upper()] = entry[key]
                out.write("".join(f"{k}={v}\n" for k, v in fields.items()) + "\n")
        cpu, begun = children_cpu(), time.monotonic()
        subprocess.run([str(JOURNAL_REMOTE), f"--output={self.file}", str(self.export)], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        size = sum(on_disk(f) for f in self.file.parent.glob("peer*.journal"))  # it begins a new one now and then
        figures = children_cpu() - cpu, time.monotonic() - begun, size
        self.export.unlink()
        return figures

    def command(self, *arguments):
        return ["journalctl", f"--file={self.file.parent}/peer*.journal", "--no-pager", "-q", *arguments]


class Sqlite:
    """SQLite with the indexes that the same questions need; one transaction for each 10,000 entries, durable as ours."""

    name = "SQLite"
    package = "python3 with its sqlite3"
    COLUMNS = "id timestamp level service module operation message trace_id span_id correlation_id user_id organization_id metadata error_details host pid".split()

    def __init__(self, folder):
        self.file = folder / "peer.sqlite"

    @staticmethod
    def there():
        return True

    def write(self, text):
        base = sqlite3.connect(self.file, isolation_level=None)
        base.execute("PRAGMA journal_mode=WAL")
        base.execute("PRAGMA synchronous=FULL")
        base.execute(f"CREATE TABLE logs ({', '.join(self.COLUMNS)})")
        base.execute("CREATE INDEX by_time ON logs (timestamp)")
        base.execute("CREATE INDEX by_service ON logs (service, level, timestamp)")
        base.execute("CREATE INDEX by_trace ON logs (trace_id) WHERE trace_id IS NOT NULL")
        insert = f"INSERT INTO logs VALUES ({', '.join('?' * len(self.COLUMNS))})"
        cpu = wall = 0.0
        with text.open() as lines:
            while True:
                rows = []
                for line in lines:
                    entry = json.loads(line)
                    rows.append([json.dumps(v) if isinstance(v := entry.get(c), (dict, list)) else v for c in self.COLUMNS])
                    if len(rows) == 10000:
                        break
                if not rows:
                    break
                begun, used = time.monotonic(), time.process_time()
                base.execute("BEGIN")
                base.executemany(insert, rows)
                base.execute("COMMIT")
                cpu += time.process_time() - used
                wall += time.monotonic() - begun
        base.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        base.close()
        return cpu, wall, on_disk(self.file)

    def query(self, text, *arguments):
        """The least of three, in ms, and how many rows."""
        best, count = float("inf"), 0
        base = sqlite3.connect(self.file)
        for _ in range(3):
            begun = time.monotonic()
            count = len(base.execute(text, arguments).fetchall())
            best = min(best, (time.monotonic() - begun) * 1e3)
        base.close()
        return best, count


def zstd_size(text, level):
    """Bytes of the text compressed as a whole; None without the program."""
    if not shutil.which("zstd"):
        return None
    out = subprocess.run(["zstd", f"-{level}", "-T0", "-q", "-c", str(text)], stdout=subprocess.PIPE, check=True).stdout
    return len(out)

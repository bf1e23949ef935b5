"""run_store.py BENCH_STORE BENCH_QUERY REALISTIC_NDJSON - what the store and its queries cost, with the peers in the same run.

1 and 10 million realistic entries (tests/lib/realistic.h); 200,000 and no more with TASKFORGE_BENCH_QUICK. Queries: inside a process
(bench_query) and as whole commands. Files are in the page cache. A peer that is not installed is named and passed over.
"""

import os
import pathlib
import re
import subprocess
import sys
import tempfile
import threading
import time

import place
import store_peers
from place import harness

QUICK = bool(os.environ.get("TASKFORGE_BENCH_QUICK"))
MILLION = 200000 if QUICK else 1000000
FROM, UNTIL = "2026-11-24T08:00:00Z", "2026-11-24T09:00:00Z"
TFCTL = harness.BUILD / harness.PROGRAMS["tfctl"]


def say(text):
    print(text, flush=True)


def run(argv):
    return subprocess.run([str(a) for a in argv], stdout=subprocess.PIPE, text=True, check=True).stdout


def figures(line):
    words = line.split()
    return dict(zip(words[::2], map(float, words[1::2])))


def write_ours(bench, folder, count, *options):
    folder.mkdir()
    return figures(run([bench, count, folder, *options]))


def write(bench, folder, text, peers):
    """Everything that writes; the ratios are against ours."""
    ours = write_ours(bench, folder / "ours", MILLION)
    plain = write_ours(bench, folder / "plain", MILLION, "--plain-ids")
    say(
        f"store, one thread: {ours['entries_per_s'] / 1e6:.2f} M entries/s, {ours['cpu_s_per_million']:.2f} CPU s a million, "
        f"{ours['of_it_checks']:.2f} of it checking entries (reach 1.0 and 0.8), a commit of 10,000 takes {ours['commit_mean_ms']:.1f} ms, at worst {ours['commit_worst_ms']:.1f}"
    )
    say(f"on disk with the index: {ours['bytes_per_entry']:.1f} bytes an entry (reach 60), {plain['bytes_per_entry']:.1f} without the random bits of ids (reach 45)")
    small = figures(run([bench, "--flushes", 100000, _new(folder / "flushes")]))
    say(f"in flushes of 100: {small['commit_mean_ms']:.2f} ms each, at worst {small['commit_worst_ms']:.1f}, {small['cpu_s_per_million']:.2f} CPU s a million, {small['bytes_per_entry']:.1f} bytes an entry")
    bytes_of_text = text.stat().st_size
    say(f"the text: {bytes_of_text / MILLION:.1f} bytes an entry, {bytes_of_text / MILLION / ours['bytes_per_entry']:.1f} x ours")
    for level in (1, 19):
        size = store_peers.zstd_size(text, level)
        say(f"zstd -{level} of the text: {size / MILLION:.1f} bytes an entry, {size / MILLION / ours['bytes_per_entry']:.2f} x ours" if size else "skipped: zstd is missing (package zstd)")
    for peer in peers:
        cpu, wall, size = peer.write(text)
        say(
            f"{peer.name}: {MILLION / wall / 1e6:.3f} M entries/s, {cpu / MILLION * 1e6:.2f} CPU s a million ({cpu / MILLION * 1e6 / ours['cpu_s_per_million']:.0f} x ours), "
            f"{size / MILLION:.0f} bytes an entry ({size / MILLION / ours['bytes_per_entry']:.1f} x ours)"
        )
    return ours


def _new(folder):
    folder.mkdir()
    return folder


def in_process(bench, folder, what):
    say(f"in process, {what}:")
    out = run([bench, folder])
    for line in out.splitlines():
        if not line.startswith("trace "):
            say(f"  {line}")
    return re.search(r"^trace (\w+)", out, re.M).group(1)


def whole(data, *arguments):
    return store_peers.timed([TFCTL, "--data-dir", data, "query", *arguments], runs=5)


def compare(name, ours, others):
    """One line: ours, each peer and how many times ours it takes."""
    line = f"  {name}: {ours[0]:.1f} ms, {ours[1]} lines"
    for who, (ms, lines) in others.items():
        line += f"; {who} {ms:.1f} ms ({ms / ours[0]:.1f} x), {lines}"
    say(line)


def commands(data, text, trace, peers):
    say("as whole commands:")
    journal = next((p for p in peers if p.name == "journal"), None)
    sqlite = next((p for p in peers if p.name == "SQLite"), None)

    def others(sql, parameters, journalctl, grep=None):
        out = {}
        if sqlite:
            out["SQLite in process"] = sqlite.query(sql, *parameters)
        if journal and journalctl:
            out["journalctl"] = store_peers.timed(journal.command(*journalctl), runs=1 if "-g" in journalctl else 3, env={**os.environ, "TZ": "UTC"})
        if grep:
            out["grep -F"] = store_peers.timed(["grep", "-F", grep, text], env={**os.environ, "LC_ALL": "C"})
        return out

    compare(
        "service and level in an hour",
        whole(data, "-o", "json", "-s", "queue", "--level", "error", "-S", FROM, "-U", UNTIL),
        others(
            "SELECT * FROM logs WHERE service='queue' AND level='error' AND timestamp >= ? AND timestamp < ?", (FROM[:-1], UNTIL[:-1]),
            ["-o", "json", "SYSLOG_IDENTIFIER=queue", "PRIORITY=3", "--since=2026-11-24 08:00:00", "--until=2026-11-24 08:59:59.999999"],
        ),
    )
    compare("trace id", whole(data, "-o", "json", "--trace-id", trace), others("SELECT * FROM logs WHERE trace_id = ?", (trace,), ["-o", "json", f"TRACE_ID={trace}"], trace))
    for name, needle in (("a word", "mailbox"), ("a substring", "he dead lett"), ("a substring that is nowhere", "zepp")):
        compare(name, whole(data, "-o", "json", "-F", needle), others("SELECT * FROM logs WHERE instr(message, ?)", (needle,), ["-o", "json", "-g", needle], needle))
    compare("count all", whole(data, "--count"), others("SELECT count(*) FROM logs", (), None))
    compare("last 100", whole(data, "-o", "json", "-r", "-n", "100"), others("SELECT * FROM logs ORDER BY timestamp DESC LIMIT 100", (), ["-o", "json", "-n", "100"]))
    compare("--limit 1", whole(data, "--limit", "1"), {})
    everything = store_peers.timed([TFCTL, "--data-dir", data, "query", "-o", "json"], runs=3)
    line = f"  all as JSON: {everything[0]:.0f} ms (reach 700 for a million), {everything[1]} lines"
    if journal:
        ms, _ = store_peers.timed(journal.command("-o", "json", "-n", str(MILLION // 20)), runs=1)
        line += f"; journalctl -o json of a twentieth: {ms:.0f} ms ({ms * 20 / everything[0]:.0f} x)"
    say(line)


class Anonymous(threading.Thread):
    """The most anonymous memory that a process had, in MiB."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid, self.most = pid, 0.0
        self.start()

    def run(self):
        while True:
            try:
                text = pathlib.Path(f"/proc/{self.pid}/status").read_text()
            except OSError:
                return
            found = re.search(r"RssAnon:\s+(\d+)", text)
            if not found:
                return
            self.most = max(self.most, int(found.group(1)) / 1024)
            time.sleep(0.005)


def memory(data):
    say("anonymous memory of tfctl, at most:")
    for arguments in (["-o", "json"], ["-r", "-o", "json"], ["-F", "mailbox", "-C", "3"], ["--count", "-g", "attempt [45]"], ["-n", "100", "-r"]):
        process = subprocess.Popen([str(TFCTL), "--data-dir", str(data), "query", *arguments], stdout=subprocess.DEVNULL)
        watch = Anonymous(process.pid)
        process.wait()
        watch.join()
        say(f"  query {' '.join(arguments)}: {watch.most:.1f} MiB (reach 100)")


def ten(bench_store, bench_query, folder, ours):
    count = 10 * MILLION
    big = write_ours(bench_store, folder / "ten", count)
    say(
        f"store of {count}: {big['entries_per_s'] / 1e6:.2f} M entries/s, {big['entries_per_s'] / ours['entries_per_s'] * 100:.0f} % of that of {MILLION} (reach 80), "
        f"{big['cpu_s_per_million']:.2f} CPU s a million, {big['bytes_per_entry']:.1f} bytes an entry"
    )
    in_process(bench_query, folder / "ten", f"{count} entries")
    ms, _ = whole(folder / "ten", "--limit", "1")
    reverse, _ = whole(folder / "ten", "-r", "--limit", "1")
    say(f"  tfctl query --limit 1 as a whole command: {ms:.1f} ms, with -r {reverse:.1f} ms (reach 8)")
    memory(folder / "ten")
    files = sorted((folder / "ten" / "logs").glob("*.mdb"))
    size = sum(store_peers.on_disk(f) for f in files)
    begun = time.monotonic()
    for file in files:
        file.unlink()
    say(f"unlinking it ({len(files)} files, {size / 1e6:.0f} MB): {(time.monotonic() - begun) * 1e3:.1f} ms (reach 100)")


def main():
    bench_store, bench_query, ndjson = sys.argv[1:]
    with tempfile.TemporaryDirectory(prefix="bench-store-", dir=harness.BUILD) as name:
        folder = pathlib.Path(name)
        text = folder / "text.ndjson"
        with text.open("wb") as out:
            subprocess.run([ndjson, str(MILLION)], stdout=out, check=True)
        peers = []
        for kind in (store_peers.Journal, store_peers.Sqlite):
            if kind.there():
                peers.append(kind(folder))
            else:
                say(f"skipped: {kind.name} is missing (package {kind.package})")
        ours = write(bench_store, folder, text, peers)
        trace = in_process(bench_query, folder / "ours", f"{MILLION} entries")
        commands(folder / "ours", text, trace, peers)
        if not QUICK:
            ten(bench_store, bench_query, folder, ours)


if __name__ == "__main__":
    main()

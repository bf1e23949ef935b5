#!/usr/bin/env python3
"""Bad input through every door is stored repaired, with a mark, and the next line is unharmed; no terminal sees a control
character of the data."""

import csv
import io
import json
import os
import pathlib
import pty
import re
import socket
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
from harness import Instance, expect, main, wait_until  # noqa: E402

MEBIBYTE = b"x" * 500_000 + b"MIDDLE" + b"y" * 548_570 + b" the end"
BIG = json.dumps({"message": "big metadata", "metadata": {"blob": "b" * 100_000}}).encode()
EXACT = json.dumps({"message": "metadata within the limit", "metadata": {"blob": "b" * 64_000}}).encode()
# name, line, message it must have (None: checked otherwise), marks, level
LINES = [
    ("broken JSON", b'{"message": "half', '{"message": "half', {"json"}, "info"),
    ("broken JSON in the middle", b'{"message": "a", "level": error}', '{"message": "a", "level": error}', {"json"}, "info"),
    ("1 MiB", MEBIBYTE, None, {"cut"}, "info"),
    ("invalid UTF-8", b"caf\xe9 \xff\xfe ok", "caf\ufffd \ufffd\ufffd ok", {"utf8"}, "info"),
    ("surrogates and overlong", b"a \xed\xa0\x80 b \xc0\xaf c", None, {"utf8"}, "info"),
    ("unknown level", b'{"message": "odd level", "level": "loud"}', "odd level", {"level"}, "info"),
    ("empty message", b'{"message": "", "level": "error", "k": 1}', "(empty)", {"empty"}, "error"),
    ("NUL", b"nul \x00 inside", None, {"utf8"}, "info"),
    ("metadata over 64 KiB", BIG, "big metadata", {"metadata"}, "info"),
    ("a service too long", json.dumps({"message": "long service", "service": "s" * 5000}).encode(), "long service", {"cut"}, "info"),
    ("a bad user id", b'{"message": "bad user", "user_id": "me"}', "bad user", {"id"}, "info"),
    ("a trace id too long", json.dumps({"message": "long trace", "trace_id": "t" * 500}).encode(), "long trace", {"id"}, "info"),
    ("details of an info", b'{"message": "details", "error_details": {"a": 1}}', "details", {"error_details"}, "info"),
    ("deep nesting", b'{"message": "deep", "a": ' + b"[" * 5000 + b"]" * 5000 + b"}", None, {"json"}, None),
]
GOOD = [
    ("metadata of 64000 bytes", EXACT, "metadata within the limit"),
    ("emoji", "😀 Ünïcödé ﷽".encode(), "😀 Ünïcödé ﷽"),
    ("a JSON array", b'["not", "an", "object"]', '["not", "an", "object"]'),
    ("braces only", b"{}}", "{}}"),
]
LEVEL_NAMES = {"trace", "debug", "info", "warn", "error", "critical"}


def document():
    """Each bad line with a good one before and behind it."""
    out = [b"before all\n"]
    for number, (_, line, *_) in enumerate(LINES):
        out += [line + b"\n", b"after bad %d\n" % number]
    for number, (_, line, _) in enumerate(GOOD):
        out += [line + b"\n"]
    return b"".join(out) + b"the last"


def check_entries(entries, door):
    expect(len(entries) == 2 + 2 * len(LINES) + len(GOOD), f"{door}: {len(entries)} entries: {[e['message'][:20] for e in entries]}")
    expect(entries[0]["message"] == "before all" and entries[-1]["message"] == "the last", f"{door}: first and last")
    for number, (name, line, message, marks, level) in enumerate(LINES):
        bad, after = entries[1 + 2 * number : 3 + 2 * number]
        check_bad(bad, f"{door}, {name}", message, marks, level)
        expect(after["message"] == f"after bad {number}" and "repaired" not in after["metadata"], f"{door}: the line after {name}: {after}")
    for entry, (name, _, message) in zip(entries[-1 - len(GOOD) : -1], GOOD):
        expect(entry["message"] == message and "repaired" not in entry["metadata"], f"{door}, {name}: {entry['message'][:100]} {str(entry['metadata'])[:60]}")


def check_bad(entry, what, message, marks, level):
    short = json.dumps(entry)[:300]
    expect(marks <= set(entry["metadata"].get("repaired", [])), f"{what}: no mark {marks}: {short}")
    expect(message is None or entry["message"] == message, f"{what}: {short}")
    expect(level is None or entry["level"] == level, f"{what}: level {entry['level']}")
    expect(0 < len(entry["message"]) <= 10_000, f"{what}: message of {len(entry['message'])}")
    expect("\x00" not in entry["message"], f"{what}: NUL is in it")
    expect(len(json.dumps(entry["metadata"])) <= 70_000, f"{what}: metadata of {len(json.dumps(entry['metadata']))}")
    expect(entry["level"] in LEVEL_NAMES and len(entry["service"]) <= 100, f"{what}: {short}")
    if marks == {"cut"} and "1 MiB" in what:
        expect(entry["message"].startswith("xxxx") and entry["message"].endswith(" the end"), f"{what}: both ends are kept: {short}")
        expect("MIDDLE" not in entry["message"], f"{what}: not cut in the middle")


def lines_of_stdin_are_repaired():
    with Instance(agent_inputs="[{ type: stdin, service: in }]") as instance:
        instance.start("collector")
        agent = instance.start("agent", stdin=subprocess.PIPE)
        agent.process.stdin.write(document())
        agent.process.stdin.close()
        expect(agent.process.wait(60) == 0, "the agent ends with its only input")
        agent.reader.join(10)
        check_all_of(instance, "stdin")
        counted = " ".join(agent.lines)
        for mark in ("json", "cut", "utf8", "level", "empty", "metadata", "id"):
            expect(f"repaired ({mark})" in counted, f"{mark} is not counted: {counted}")


def check_all_of(instance, door):
    number = 2 + 2 * len(LINES) + len(GOOD)
    wait_until(lambda: len(foreign(instance)) >= number, f"{door}: {number} entries")
    check_entries(foreign(instance), door)
    expect(instance.run("tfctl", "verify", check=False).returncode == 0, f"{door}: tfctl verify")


def foreign(instance):
    return [e for e in instance.query() if not e["service"].startswith("taskforge")]


def lines_of_a_tailed_file_are_repaired():
    with Instance() as instance:
        instance.write_config(agent_inputs=f'[{{ type: tail, paths: ["{instance.logs}/*.log"], service: in, format: auto }}]')
        instance.start("collector")
        instance.start("agent")
        (instance.logs / "app.log").write_bytes(document() + b"\n")
        check_all_of(instance, "tail")


def lines_of_tflog_are_repaired():
    texts = [line for _, line, *_ in LINES]
    with Instance() as instance:
        instance.start("collector")
        document = b"".join(text + b"\nafter\n" for text in texts) + b"\nlast\n"
        instance.run("tflog", "-s", "in", stdin=document)
        instance.wait_count(2 * len(texts) + 2, "-s", "in")
        entries = instance.query("-s", "in")
        for text, bad, after in zip(texts, entries[::2], entries[1::2]):
            marks = set(bad["metadata"].get("repaired", []))
            expect(after["message"] == "after" and not after["metadata"], f"the line after {text[:30]}: {after}")
            expect(len(text) <= 10_000 or "cut" in marks, f"a long line without a mark: {len(text)}")
            expect("utf8" in marks or (text.isascii() and b"\0" not in text), f"{text[:30]}: {marks}")
        expect(entries[-2]["metadata"]["repaired"] == ["empty"] and entries[-1]["message"] == "last", str(entries[-2:])[:300])


def wrong_options_of_tflog_are_refused_by_name():
    with Instance() as instance:
        instance.start("collector")
        for arguments, word in (
            (["-l", "loud", "x"], "level"),
            (["--metadata", "{broken", "x"], "metadata"),
            (["--metadata", "[1]", "x"], "metadata"),
            (["--metadata", json.dumps({"k": "v" * 70_000}), "x"], "metadata"),
            (["--user-id", "me", "x"], "user"),
            (["--trace-id", "t" * 129, "x"], "trace"),
            (["-s", "s" * 101, "x"], "service"),
            (["--error-details", "{}", "x"], "error"),
            (["--wait", "soon", "x"], "wait"),
            (["--no-such", "x"], "no-such"),
            ([""], "message"),
        ):
            done = instance.run("tflog", *arguments, check=False)
            expect(done.returncode == 2 and len(done.stderr.splitlines()) == 1, f"{str(arguments)[:60]}: {done.returncode} {done.stderr[:200]}")
            expect(word.encode() in done.stderr, f"{str(arguments)[:60]}: {done.stderr[:200]}")


def tfrun_repairs_what_a_command_prints():
    with Instance() as instance:
        instance.start("collector")
        script = r"printf 'bad \377 byte\nnul \000 x\n'; head -c 1048576 /dev/zero | tr '\0' z; echo; echo fine; printf 'no newline'"
        expect(instance.run("tfrun", "-s", "cmd", "--", "sh", "-c", script, check=False).returncode == 0, "tfrun")
        wait_until(lambda: instance.count("-s", "cmd", "-F", "no newline") == 1, "the last line")
        found = [e for e in instance.query("-s", "cmd") if e["operation"] != "exit"]
        expect(found[0]["message"] == "bad \ufffd byte" and found[0]["metadata"]["repaired"] == ["utf8"], str(found[0])[:300])
        long = [e for e in found if "cut" in e["metadata"].get("repaired", [])]
        expect(len(long) >= 1 and len(long[0]["message"]) <= 10_000, "the long line")
        fine = next(e for e in found if e["message"] == "fine")
        expect("repaired" not in fine["metadata"], str(fine))


def syslog_datagrams_are_repaired():
    with Instance() as instance:
        path = instance.root / "syslog.sock"
        instance.write_config(agent_inputs=f'[{{ type: syslog, listen: "unixgram://{path}" }}]')
        instance.start("collector")
        instance.start("agent")
        out = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        bad = [b"", b"<", b"<999>x", b"<13>", b"<13>tag: caf\xe9\xff", b"<13>tag: nul\0x", b"\x80" * 100, b"<11>1 - - - - - [", b"<13>tag: " + b"z" * 100_000]
        for i, datagram in enumerate(bad):
            out.sendto(datagram, str(path))
            out.sendto(b"<14>good: after %d" % i, str(path))
        logger = subprocess.run(["logger", "-u", str(path), "-t", "script", "-p", "user.err", "from logger"], check=False)
        expect(logger.returncode == 0, "logger(1)")
        wait_until(lambda: instance.count("-s", "script") == 1, "logger's entry")
        good = [e["message"] for e in instance.query("-s", "good")]
        expect(good == [f"after {i}" for i in range(len(bad))], str(good))
        script = instance.query("-s", "script")[0]
        expect(script["message"] == "from logger" and script["level"] == "error", str(script))
        tagged = instance.query("-s", "tag")
        for part, mark in (("caf\ufffd", "utf8"), ("nul", "utf8"), ("zzz", "cut")):
            entry = next((e for e in tagged if part in e["message"]), None)
            expect(entry and mark in entry["metadata"]["repaired"], f"{part}: {str(entry)[:200]}")


NASTY = "esc \x1b[31m bel \x07 c1 \x9b2J osc \x1b]0;title\x07 bidi \u202edlrow\u202c iso \u2066x\u2069 del \x7f cr \r bs \b nul-ish \x01 tab\t end"


def in_terminal(instance, *arguments):
    """What tfctl writes to a terminal."""
    pid, fd = pty.fork()
    if pid == 0:
        os.execve(instance.program("tfctl"), ["tfctl", *arguments], {k: v for k, v in instance.env.items() if k != "NO_COLOR"} | {"TERM": "xterm"})
    out = b""
    while True:
        try:
            chunk = os.read(fd, 65536)
        except OSError:  # EIO: the other side is closed
            break
        if not chunk:
            break
        out += chunk
    os.close(fd)
    expect(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0, f"tfctl {arguments} on a terminal")
    return out


def no_control_character_reaches_a_terminal():
    with Instance() as instance:
        instance.start("collector")
        instance.run("tflog", "-s", "nasty", "-m", "m\x1b[1m", "--metadata", json.dumps({"k\x1b[5m": NASTY}), "--trace-id", "t\x1b[7m", NASTY)
        instance.run("tflog", "-s", "nasty\x9b3J", stdin=(NASTY + "\n").encode())
        wait_until(lambda: instance.count() >= 2, "the entries")
        colour = re.compile(rb"\x1b\[[0-9;]*m")
        for arguments in (
            ["query", "--no-pager"],
            ["query", "--no-pager", "-o", "json"],
            ["query", "--no-pager", "-o", "csv"],
            ["tail", "-n", "5"],
            ["stats"],
            ["losses"],
        ):
            out = in_terminal(instance, *arguments)
            expect(out or arguments[0] == "losses", f"{arguments}: nothing")
            plain = colour.sub(b"", out).decode("utf-8")
            bad = [c for c in plain if (ord(c) < 32 and c not in "\r\n\t") or 0x7F <= ord(c) < 0xA0 or 0x202A <= ord(c) <= 0x202E or 0x2066 <= ord(c) <= 0x2069]
            expect(not bad, f"{arguments}: {[hex(ord(c)) for c in bad]} in {plain[:300]!r}")
            expect("\r" not in plain.replace("\r\r\n", "").replace("\r\n", ""), f"{arguments}: a carriage return of the data")
            expect(not re.search(rb"esc \x1b\[", out), f"{arguments}: the data's colour went through")


def json_and_csv_are_valid_for_all_of_it():
    with Instance() as instance:
        out = instance.root / "out.ndjson"
        instance.write_config(collector=f"  output: {out}\n")
        instance.start("collector")
        instance.run("tflog", "-s", "nasty", NASTY)
        instance.run("tflog", "-s", "lines", stdin=document())
        wait_until(lambda: instance.count("-F", "the last") == 1, "the last line")
        entries = instance.query()
        expect(entries[0]["message"] == NASTY, f"{entries[0]['message']!r}")
        rows = list(csv.DictReader(io.StringIO(instance.run("tfctl", "query", "-o", "csv").stdout.decode("utf-8"), newline="")))
        expect([r["message"] for r in rows] == [e["message"] for e in entries], "csv and json differ")
        wait_until(lambda: len(out.read_bytes().splitlines()) >= len(entries), "the output file")
        printed = [json.loads(line) for line in out.read_bytes().decode("utf-8").split("\n") if line]
        expect(printed == entries, "the output file and tfctl differ")


if __name__ == "__main__":
    sys.exit(
        main(
            [
                lines_of_stdin_are_repaired,
                lines_of_a_tailed_file_are_repaired,
                lines_of_tflog_are_repaired,
                wrong_options_of_tflog_are_refused_by_name,
                tfrun_repairs_what_a_command_prints,
                syslog_datagrams_are_repaired,
                no_control_character_reaches_a_terminal,
                json_and_csv_are_valid_for_all_of_it,
            ]
        )
    )

"""tfctl on stores that stand still: query, stats, verify, tail; every format. Arguments: tfctl, tfctl_make_store."""

import csv
import io
import json
import os
import pathlib
import pty
import random
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time

TFCTL, MAKE_STORE = sys.argv[1:3]
ROOT = pathlib.Path(tempfile.mkdtemp(prefix="taskforge-tfctl-"))
ENV = {k: v for k, v in os.environ.items() if not k.startswith("TASKFORGE_") and k not in ("NO_COLOR", "PAGER", "LESS")}
ENV |= {"TZ": "WIB-7", "TASKFORGE_CONFIG": str(ROOT / "taskforge.yaml"), "TERM": "xterm"}
(ROOT / "taskforge.yaml").write_text(f"runtime_dir: {ROOT}/run\ndata_dir: {ROOT}/data\n")
USER = "0190163d-8694-739b-aea5-966c26f8ad91"


def at(second):
    return f"2026-11-23T12:{second // 60:02d}:{second % 60:02d}Z"


def make_store(entries, folder="data", first=1, block=7):
    lines = "".join(json.dumps(e) + "\n" for e in entries)
    subprocess.run([MAKE_STORE, ROOT / folder, str(first), str(block)], input=lines.encode(), check=True)


LEVELS = ["trace", "debug", "info", "warn", "error", "critical"]
ENTRIES = [
    {
        "timestamp": at(i if i % 10 else max(i - 25, 0)),  # every tenth comes late
        "level": LEVELS[i % 6],
        "service": ["queue", "mail", "web"][i % 3],
        "message": f"job {i} " + ("timeout" if i % 5 == 0 else "done") + f", id={i}",
        "metadata": {"tries": i % 4, "http": {"status": 500 + i % 4}},
        **({"trace_id": f"{i:032x}", "user_id": USER} if i % 7 == 0 else {}),
        **({"error_details": {"code": i}} if i % 6 >= 4 else {}),
    }
    for i in range(200)
]
BY_TIME = [i for _, i in sorted((e["timestamp"], i) for i, e in enumerate(ENTRIES))]


def run(*arguments, status=0, env=None, stdin=None):
    done = subprocess.run([TFCTL, *map(str, arguments)], env={**ENV, **(env or {})}, capture_output=True, timeout=60)
    assert done.returncode == status, f"{arguments}: {done.returncode}, not {status}: {done.stderr.decode()}{done.stdout.decode()[-300:]}"
    return done


def ids(*arguments):
    """The numbers in the messages of what a query prints."""
    out = run("query", "-o", "json", *arguments).stdout.decode()
    return [int(json.loads(line)["message"].split()[1]) for line in out.splitlines()]


def expect(wanted, *arguments):
    got = ids(*arguments)
    assert got == wanted, f"{arguments}: {got} not {wanted}"
    count = int(run("query", "--count", *arguments).stdout)
    assert count == len(wanted), f"{arguments}: counts {count}, not {len(wanted)}"


def where(condition):
    return [i for i in BY_TIME if condition(i, ENTRIES[i])]


def prints_everything_oldest_first_and_newest_first():
    expect(BY_TIME)
    assert ids("-r") == BY_TIME[::-1]


def takes_every_filter():
    expect(where(lambda i, e: e["service"] == "mail"), "-s", "mail")
    expect(where(lambda i, e: e["service"] != "queue"), "-s", "mail", "--service=web")
    expect(where(lambda i, e: e["level"] == "error"), "--level", "err")
    expect(where(lambda i, e: i % 6 >= 3), "-p", "warn")
    expect(where(lambda i, e: at(60) <= e["timestamp"] < at(90)), "-S", at(60), "-U", at(90))
    expect(where(lambda i, e: i == 21), "--trace-id", f"{21:032x}")
    expect(where(lambda i, e: i % 7 == 0), "--user-id", USER.upper())
    expect([], "--user-id", USER[:-1] + "2")
    expect(where(lambda i, e: re.search("id=1[0-9]$", e["message"])), "-g", "id=1[0-9]$")
    expect(where(lambda i, e: "timeout, id=1" in e["message"]), "-F", "timeout, id=1")
    expect(where(lambda i, e: i % 15 == 0), "-F", "timeout", "-s", "queue")
    expect(
        where(lambda i, e: e["service"] == "queue" and e["level"] in ("error", "warn") and "timeout" not in e["message"]),
        '{service="queue",level=~"error|warn"} != "timeout" |~ "id=[0-9]+"',
    )
    expect(where(lambda i, e: i % 4 == 2 and i % 3 != 1), '{tries="2",http.status="502",service!="mail"}')


def limits_and_offsets():
    expect(BY_TIME[:5], "-n", 5)
    expect(BY_TIME[3:8], "--limit", 5, "--offset", 3)
    assert ids("-r", "-n", 4, "--offset", 1) == BY_TIME[::-1][1:5]
    expect([], "-n", 0)
    expect([], "--offset", 1000)


def shows_neighbours_by_arrival():
    assert ids("-C", 1, "-F", "id=50") == [49, 50, 51]
    text = run("query", "-C", "1", "-g", "id=(50|52|60)$", "--utc").stdout.decode().splitlines()
    marks = [line[:2] for line in text]
    assert marks == ["  ", "> ", "  ", "> ", "  ", "--", "  ", "> ", "  "], marks


def says_nothing_when_nothing_is_found():
    (ROOT / "empty").mkdir()
    for arguments in (["-s", "nobody"], ["-s", "nobody", "-o", "csv"], ["--data-dir", ROOT / "empty"]):
        done = run("query", *arguments)
        assert done.stdout == b"" and done.stderr == b"", done
    assert run("query", "--count", "-s", "nobody").stdout == b"0\n"
    for command in ("tail", "stats", "losses"):
        assert run(command, "--data-dir", ROOT / "empty").stdout == b""


def says_that_a_named_store_is_not_there():
    for command in ("query", "tail", "stats", "losses", "verify"):
        done = run(command, "--data-dir", ROOT / "none", status=1)
        assert b"none: No such file or directory" in done.stderr and done.stdout == b"", done


def prints_json_with_the_contracts_keys():
    line = json.loads(run("query", "-o", "json", "-F", "id=28").stdout)
    assert list(line) == ["id", "timestamp", "level", "service", "module", "operation", "message", "trace_id", "user_id",
                          "metadata", "error_details", "host", "pid"], list(line)
    assert line["timestamp"] == "2026-11-23T12:00:28.000000000Z" and line["metadata"] == {"tries": 0, "http": {"status": 500}}


def prints_csv_that_a_csv_reader_reads():
    rows = list(csv.DictReader(io.StringIO(run("query", "-o", "csv").stdout.decode(), newline="")))
    assert [int(r["message"].split()[1]) for r in rows] == BY_TIME
    assert rows[0]["pid"] == "42" and json.loads(rows[0]["metadata"])["tries"] == BY_TIME[0] % 4
    assert run("query", "-o", "csv", "-n", "1").stdout.count(b"\r\n") == 2
    make_store([{"message": 'a "b",\r\nc', "service": " x"}], "quotes")
    row = list(csv.reader(io.StringIO(run("query", "--data-dir", ROOT / "quotes", "-o", "csv").stdout.decode(), newline="")))[1]
    assert row[6] == 'a "b",\r\nc' and row[3] == " x", row


def prints_text_for_people():
    line = run("query", "-F", "id=28").stdout.decode()
    assert line == (f"2026-11-23 19:00:28.000+07:00 ERROR    mail[42] main/run: job 28 done, id=28  trace_id={28:032x} "
                    f'user_id={USER} tries=0 http="{{\\"status\\":500}}" error_details={{"code":28}}\n'.replace('"{\\"status\\":500}"', '{"status":500}')), line
    assert run("query", "-F", "id=28", "--utc").stdout.startswith(b"2026-11-23 12:00:28.000Z ")


NASTY = "red \x1b[31m \x07bell\x00\x9b2J \u202eevil \x7f\r\nsecond line\n2026-11-23 12:00:00.000Z CRITICAL faked"


def lets_no_control_character_through():
    make_store([{"message": NASTY.replace("\x00", ""), "service": "a\x1b]0;x\x07", "metadata": {"k\x1b": "v\x9b", "m": "a\nb"}}], "nasty")
    text = run("query", "--data-dir", ROOT / "nasty", "--utc").stdout.decode()
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]", text), repr(text)
    assert [line[:4] for line in text.splitlines()][1:] == ["    ", "    "], text
    assert 'm="a\\nb"' in text, text
    for form in ("text", "json", "csv"):
        seen = terminal("query", "--data-dir", ROOT / "nasty", "--no-pager", "-o", form, env={"NO_COLOR": "1"})
        assert not re.search("[\x00-\x08\x0b-\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e]", seen), (form, repr(seen))
    assert json.loads(run("query", "--data-dir", ROOT / "nasty", "-o", "json").stdout)["message"] == NASTY.replace("\x00", "")


def terminal(*arguments, env=None, wait_for=None):
    """What a command writes to a terminal of 24 lines."""
    pid, fd = pty.fork()
    if pid == 0:
        os.execve(TFCTL, [TFCTL, *map(str, arguments)], {**ENV, **(env or {})})
    seen = b""
    while True:
        try:
            part = os.read(fd, 65536)
        except OSError:
            part = b""
        if not part:
            break
        seen += part
    os.close(fd)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0, (arguments, status, seen[-300:])
    return seen.decode()


def colours_on_a_terminal_only():
    assert "\x1b[31mERROR" in terminal("query", "-n", "3", "--level", "error")
    assert "\x1b" not in terminal("query", "-n", "3", "--level", "error", env={"NO_COLOR": "1"})
    assert b"\x1b" not in run("query", "-n", "3", "--level", "error").stdout


def pages_what_is_longer_than_the_screen():
    pager = {"PAGER": "sed 's/^/paged: /'", "NO_COLOR": "1"}
    assert terminal("query", env=pager).count("paged: ") == 200
    assert "paged: " not in terminal("query", "-n", "5", env=pager)
    assert "paged: " not in terminal("query", "--no-pager", env=pager)
    assert terminal("query", env={"PAGER": "head -n 3", "NO_COLOR": "1"}).count("\n") == 3
    assert run("query", env={"PAGER": "false"}).stdout.count(b"\n") == 200


def goes_quietly_when_nobody_reads():
    pipe = subprocess.Popen([TFCTL, "query"], env=ENV, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    pipe.stdout.close()
    assert pipe.wait(60) == 0 and pipe.stderr.read() == b""
    with open("/dev/full", "wb") as full:
        done = subprocess.run([TFCTL, "query"], env=ENV, stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 1 and b"standard output" in done.stderr, done


def takes_a_folder_a_copied_partition_and_one_file():
    copies = ROOT / "copies"
    copies.mkdir()
    for file in (ROOT / "data/logs").glob("*.mdb"):
        shutil.copy(file, copies)
    file = next(copies.glob("*.mdb"))
    for place in (copies, file):
        assert run("query", "--data-dir", place, "--count").stdout == b"200\n"
        assert run("query", "--count", env={"TASKFORGE_DATA_DIR": str(place)}).stdout == b"200\n"
    os.chmod(file, 0o444)
    os.chmod(copies, 0o555)
    assert run("--data-dir", copies, "query", "--count").stdout == b"200\n"
    os.chmod(copies, 0o755)


def reads_on_over_several_partitions():
    make_store(ENTRIES[:50], "many", 1)
    make_store(ENTRIES[50:120], "many", 51)
    make_store(ENTRIES[120:], "many", 121)
    assert ids("--data-dir", ROOT / "many") == BY_TIME
    assert run("stats", "--data-dir", ROOT / "many", "-o", "json").stdout == run("stats", "-o", "json").stdout


def counts_by_service_and_level():
    rows = [json.loads(line) for line in run("stats", "--format", "json").stdout.splitlines()]
    assert [r["service"] for r in rows] == ["mail", "queue", "web"]
    assert list(rows[0]) == ["service", "total_logs", "error_logs", "warn_logs", "levels", "start_time", "end_time"]
    for row in rows:
        mine = [e["level"] for e in ENTRIES if e["service"] == row["service"]]
        assert row["total_logs"] == len(mine) and row["levels"] == {l: mine.count(l) for l in LEVELS}
        assert row["error_logs"] == mine.count("error") + mine.count("critical") and row["warn_logs"] == mine.count("warn")
        assert row["start_time"] == "2026-11-23T12:00:00.000000000Z" and row["end_time"] == "2026-11-23T12:03:19.000000000Z"
    row = json.loads(run("stats", "--service", "web", "-S", at(60), "-U", at(90), "-o", "json").stdout)
    assert row["total_logs"] == len(where(lambda i, e: e["service"] == "web" and at(60) <= e["timestamp"] < at(90)))
    assert row["start_time"].startswith("2026-11-23T12:01:00") and row["end_time"].startswith("2026-11-23T12:01:30")
    table = run("stats").stdout.decode().splitlines()
    assert table[0].split() == ["service", "total", *LEVELS] and table[4].split()[:2] == ["(all)", "200"], table


def counts_over_time():
    rows = [json.loads(line) for line in run("stats", "--step", "1m", "-o", "json", "{level!=`trace`}").stdout.splitlines()]
    assert [r["start_time"][11:19] for r in rows] == ["12:00:00", "12:01:00", "12:02:00", "12:03:00"], rows
    for minute, row in enumerate(rows):
        mine = [e for e in ENTRIES if e["level"] != "trace" and e["timestamp"][14:16] == f"{minute:02d}"]
        assert row["total_logs"] == len(mine) and row["levels"] == {l: sum(e["level"] == l for e in mine) for l in LEVELS}, row
        assert {s["service"]: s["total_logs"] for s in row["services"]} == {s: sum(e["service"] == s for e in mine) for s in ("mail", "queue", "web")}
    days = run("stats", "--step", "1d").stdout.decode().splitlines()  # midnight is local
    assert days[1].startswith("2026-11-23 00:00:00.000+07:00") and days[1].split()[2] == "200" and len(days) == 2, days
    with_gap = run("stats", "--step", "30s", "-S", at(0), "-U", at(600), "-o", "csv").stdout.decode().splitlines()
    assert len(with_gap) == 21 and with_gap[20].split(",")[1] == "0", with_gap
    assert run("stats", "--step", "1s", "-S", "2001-01-01", status=1).stderr.count(b"too many") == 1


def finds_the_most_frequent_statements():
    rows = [json.loads(line) for line in run("stats", "--templates", "-o", "json").stdout.splitlines()]
    texts = {"job <*> timeout, id=<*>", "job <*> done, id=<*>"}
    assert {r["text"] for r in rows} == texts and len(rows) == 6 and sum(r["total_logs"] for r in rows) == 200, rows
    assert [r["total_logs"] for r in rows] == sorted((r["total_logs"] for r in rows), reverse=True)
    for row in rows[:1] + rows[-1:]:
        word = row["text"].split()[2].rstrip(",")
        wanted = where(lambda i, e: e["service"] == row["service"] and f" {word}," in e["message"])
        assert row["total_logs"] == len(wanted)
        expect(wanted, "--template", row["template"], "-s", row["service"])
        expect(wanted, f'{{template="{row["template"].upper()}",service="{row["service"]}"}}')
    expect([], "--template", "0123456789abcdef")
    text = run("stats", "--templates", "-n", 2, "-p", "error").stdout.decode().splitlines()
    assert len(text) == 3 and "job <*> done" in text[1], text


def judges_labels_behind_a_pipe():
    expect(where(lambda i, e: i % 4 > 1), "{} | json | tries > 1")
    expect(where(lambda i, e: i % 4 == 3 and i % 3 == 0 or e["level"] == "critical"), '| tries >= 3 and service="queue" or level="critical"')
    expect(where(lambda i, e: i % 4 > 1 and "timeout" in e["message"]), "| logfmt | (http.status > 501) |= `timeout`")


def agrees_with_python_on_the_json_lines():
    """As jq would judge the lines: filters drawn at random."""
    draw = random.Random(5)
    lines = [json.loads(line) for line in run("query", "-o", "json").stdout.splitlines()]

    def condition():
        number, word = draw.randrange(4), draw.choice(["timeout", "done, id=1", "job 1", "7", "nothing"])
        level, service = draw.choice(LEVELS), draw.choice(["queue", "mail", "web"])
        return draw.choice([
            (f"|= `{word}`", lambda e: word in e["message"]),
            (f"!= `{word}`", lambda e: word not in e["message"]),
            (f"|~ `{number}$`", lambda e: e["message"].endswith(str(number))),
            (f"| tries <= {number}", lambda e: e["metadata"]["tries"] <= number),
            (f"| tries = {number} or service!=`{service}`", lambda e: e["metadata"]["tries"] == number or e["service"] != service),
            (f"| level=`{level}` or trace_id!=``", lambda e: e["level"] == level or "trace_id" in e),
        ])

    for _ in range(60):
        conditions = [condition() for _ in range(draw.randrange(4))]
        wanted = [int(e["message"].split()[1]) for e in lines if all(test(e) for _, test in conditions)]
        expect(wanted, "{} " + " ".join(text for text, _ in conditions))


def agrees_with_jq_on_the_json_lines():
    """The same with somebody else's reading of the lines: a hundred filters, one run of jq."""
    if not shutil.which("jq"):
        return print("     skipped: jq is missing (package jq)")
    draw = random.Random(6)

    def condition():
        number, word = draw.randrange(4), draw.choice(["timeout", "done, id=1", "job 1", "7", "nothing"])
        level, service, second = draw.choice(LEVELS), draw.choice(["queue", "mail", "web"]), draw.randrange(200)
        return draw.choice([
            (["-F", word], f'(.message | contains("{word}"))'),
            (["-s", service], f'.service == "{service}"'),
            (["--level", level], f'.level == "{level}"'),
            (["-S", at(second)], f'.timestamp >= "{at(second)[:-1]}.000000000Z"'),
            (["-U", at(second)], f'.timestamp < "{at(second)[:-1]}.000000000Z"'),
            (["-g", f"id=[0-9]*{number}$"], f'(.message | test("id=[0-9]*{number}$"))'),
            (["--user-id", USER], f'.user_id == "{USER}"'),
        ])

    asked = [{c[0][0]: c for c in (condition() for _ in range(draw.randrange(1, 4)))}.values() for _ in range(100)]
    judged = ",".join("[.[] | select(" + " and ".join(jq for _, jq in conditions) + ") | .message]" for conditions in asked)
    lines = run("query", "-o", "json").stdout
    answers = subprocess.run(["jq", "-cs", judged], input=lines, stdout=subprocess.PIPE, check=True).stdout.splitlines()
    for conditions, answer in zip(asked, answers, strict=True):
        expect([int(m.split()[1]) for m in json.loads(answer)], *(word for options, _ in conditions for word in options))


def sums_the_losses_in_the_log():
    def loss(service, count, first, last, level="info", reason="lane_full", told="warn"):
        return {"service": "taskforge", "module": "loss", "operation": reason, "level": told, "timestamp": last, "message": "lost",
                "metadata": {"service": service, "level": level, "reason": reason, "count": count, "first": first, "last": last, "pid": 1}}

    make_store([loss("queue", 3, at(1), at(2)), loss("queue", 4, at(5), at(9)), loss("mail", 1, at(3), at(3)),
                loss("mail", 6, at(1), at(2), reason="rate_limited", told="info"),
                {"service": "taskforge", "module": "loss", "level": "warn", "message": "not one of them"}], "losses")
    rows = [json.loads(l) for l in run("losses", "--data-dir", ROOT / "losses", "--format", "json").stdout.splitlines()]
    assert [(r["service"], r["level"], r["reason"], r["count"]) for r in rows] == [
        ("mail", "info", "lane_full", 1),
        ("mail", "info", "rate_limited", 6),
        ("queue", "info", "lane_full", 7),
    ]
    assert list(rows[0]) == ["service", "level", "reason", "count", "first", "last"]
    assert rows[2]["first"].startswith("2026-11-23T12:00:01") and rows[2]["last"].startswith("2026-11-23T12:00:09")
    rows = run("losses", "--data-dir", ROOT / "losses", "--since", at(4), "-o", "json").stdout.splitlines()
    assert len(rows) == 1 and json.loads(rows[0])["count"] == 4
    assert b"queue" in run("losses", "--data-dir", ROOT / "losses").stdout


def shows_the_last_by_arrival():
    def last(*arguments):
        return [int(json.loads(l)["message"].split()[1]) for l in run("tail", "-o", "json", *arguments).stdout.splitlines()]

    assert last() == list(range(190, 200))
    assert last("-n", "3", "-s", "mail") == [193, 196, 199]
    assert last("-n", "0") == []
    assert last("-n", "1000", '{level="error"}') == [i for i in range(200) if i % 6 == 4]


def ends_following_on_a_signal_and_when_nobody_reads():
    for number in (signal.SIGINT, signal.SIGTERM):
        follower = subprocess.Popen([TFCTL, "tail", "-f", "-n", "1"], env=ENV, stdout=subprocess.PIPE)
        assert b"job 199" in follower.stdout.readline()
        follower.send_signal(number)
        assert follower.wait(30) == 0
    follower = subprocess.Popen([TFCTL, "tail", "-f", "-n", "1"], env=ENV, stdout=subprocess.PIPE)
    follower.stdout.readline()
    follower.stdout.close()
    assert follower.wait(30) == 0


def follows_what_is_stored():
    make_store(ENTRIES[:10], "growing", 1)
    follower = subprocess.Popen([TFCTL, "tail", "-f", "-n", "1", "-o", "json", "--data-dir", ROOT / "growing", "-s", "mail"], env=ENV, stdout=subprocess.PIPE)
    assert json.loads(follower.stdout.readline())["message"].startswith("job 7 ")
    make_store(ENTRIES[10:20], "growing", 11)
    assert [json.loads(follower.stdout.readline())["message"].split()[1] for _ in range(4)] == ["10", "13", "16", "19"]
    follower.send_signal(signal.SIGTERM)
    assert follower.wait(30) == 0 and follower.stdout.read() == b""


def finds_faults_and_reads_on_without_the_damaged():
    lines = run("verify").stdout.decode().splitlines()
    assert len(lines) == 2 and lines[0].endswith(", 200 entries, 0 spans: sound") and "1 partition, " in lines[1] and lines[1].endswith(": sound"), lines
    (sound,) = map(json.loads, run("verify", "--format", "json").stdout.splitlines())
    assert sound["verdict"] == "sound" and sound["entries"] == 200 and sound["faults"] == 0 and sound["partition"].endswith(".mdb"), sound
    make_store(ENTRIES[:100], "damaged", 1)
    make_store(ENTRIES[100:], "damaged", 101)
    file = sorted((ROOT / "damaged/logs").glob("*.mdb"))[0]
    data = bytearray(file.read_bytes())
    for place in range(16384, len(data), 997):
        data[place] ^= 0x55
    file.write_bytes(data)
    assert b"fault" in run("verify", "--data-dir", ROOT / "damaged", status=1).stdout
    objects = [json.loads(line) for line in run("verify", "-o", "json", "--data-dir", ROOT / "damaged", status=1).stdout.splitlines()]
    assert [o["partition"] for o in objects if "verdict" in o] == sorted(f.name for f in (ROOT / "damaged/logs").glob("*.mdb")), objects
    assert any("fault" in o for o in objects) and objects[-1]["verdict"] == "sound", objects
    done = run("query", "--data-dir", ROOT / "damaged", "-o", "json", status=1)
    assert b"passed over" in done.stderr and done.stdout.count(b"\n") >= 100
    (ROOT / "garbage").mkdir()
    (ROOT / "garbage/0000000000000001-20261123T181504Z.mdb").write_bytes(b"not a partition at all" * 1000)
    done = run("query", "--data-dir", ROOT / "garbage", status=1)
    assert done.stdout == b"" and done.stderr.count(b"\n") == 1, done


def refuses_wrong_usage_in_one_line():
    cases = [
        ([], "expected a command"), (["quary"], "unknown command"), (["eval"], "not built yet"), (["top"], "not built yet"),
        (["query", "--key", "k", "-C", "2"], "--key and --context do not go together"), (["--url", "http://x", "query"], "not built yet"), (["query", "--nothing"], "unknown option --nothing"),
        (["query", "-Z"], "unknown option -Z"), (["query", "-n"], "a value is expected"), (["query", "-n", "-1"], "whole number"),
        (["query", "--level", "loud"], "expected trace, debug"), (["query", "-S", "soon"], "expected a time"), (["query", "-g", "("], "regular expression"),
        (["query", "-o", "xml"], "expected text, json or csv"), (["query", "{service=}"], "character 10"), (["query", "{}", "{}"], "expected one FILTER"),
        (["query", "--user-id", "me"], "no UUID"), (["query", "-C", "99999999"], "up to"), (["stats", "x"], "expected { or a line"),
        (["query", "{} | line_format `x`"], "character 6: the stage line_format is not taken"), (["query", "--template", "12"], "16 hex digits"),
        (["stats", "--step", "0"], "--step"), (["stats", "--step", "1h", "--templates"], "one of them"), (["stats", "-n", "3"], "goes with --templates"),
        (["tail", "--count"], "unknown option --count"), (["verify", "--since", "1h"], "unknown option"), (["losses", "-o", "csv"], "expected text or json"),
    ]
    for arguments, part in cases:
        done = run(*arguments, status=2)
        assert part in done.stderr.decode() and done.stderr.count(b"\n") == 1 and done.stdout == b"", (arguments, done)


def helps():
    for command in ([], ["query"], ["tail"], ["stats"], ["losses"], ["verify"]):
        assert run(*command, "--help").stdout.startswith(b"usage: tfctl")
    assert run("--version").stdout.startswith(b"tfctl ")


def says_what_is_wrong_with_the_configuration():
    (ROOT / "bad.yaml").write_text("data_dirr: /x\n")
    done = run("--config", ROOT / "bad.yaml", "query", status=1)
    assert b"bad.yaml:1:1:" in done.stderr, done


def gives_up_on_an_expression_without_end():
    make_store([{"message": "a" * 9000 + "b"}], "costly")
    done = run("query", "--data-dir", ROOT / "costly", "-g", "(a+)+$", status=1)
    assert b"too many steps" in done.stderr, done


TESTS = [value for name, value in list(globals().items()) if callable(value) and getattr(value, "__module__", "") == "__main__"
         and name not in ("at", "make_store", "run", "ids", "expect", "where", "terminal")]

make_store(ENTRIES)
failed = 0
for test in TESTS:
    try:
        test()
        print(f"ok   {test.__name__}", flush=True)
    except Exception as error:  # told with its kind, and the others run
        failed += 1
        print(f"FAIL {test.__name__}: {type(error).__name__}: {error}", flush=True)
subprocess.run(["chmod", "-R", "u+w", ROOT])
shutil.rmtree(ROOT)
sys.exit(1 if failed else 0)

#!/usr/bin/env python3
"""The agent's inputs on files, stdin, the journal and syslog: each line once, in order, whatever is rotated or restarted."""

import os
import pathlib
import shutil
import socket
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
from harness import Failure, Instance, Process, expect, main, wait_until  # noqa: E402

CORPORA = pathlib.Path(os.environ.get("TASKFORGE_CORPORA", pathlib.Path(__file__).resolve().parents[3] / "shared/data"))
JOURNAL_REMOTE = shutil.which("systemd-journal-remote", path="/lib/systemd:/usr/lib/systemd:/usr/bin")


def tail(instance, **more):
    """A tail of the logs folder, with more keys."""
    keys = {"type": "tail", "paths": f'["{instance.logs}/*.log"]', "service": "f", "format": "text", **more}
    instance.write_config(agent_inputs="[{ " + ", ".join(f"{k}: {v}" for k, v in keys.items()) + " }]")


def append(path, first, last, end="\n"):
    with open(path, "a") as file:
        for i in range(first, last):
            file.write(f"{i}{end}")


def messages(instance, *arguments):
    return [e["message"] for e in instance.query("-s", "f", *arguments)]


def wait_numbers(instance, number, *arguments):
    wait_until(lambda: instance.count("-s", "f", *arguments) >= number, f"{number} lines", pause=0.05)
    found = messages(instance, *arguments)
    expect(found == [str(i) for i in range(number)], f"{len(found)} lines, not {number} in order: {found[:3]} .. {found[-3:]}")


def globs_take_what_matches_and_exclude_takes_away():
    with Instance() as instance:
        tail(instance, paths=f'["{instance.logs}/*.log", "{instance.logs}/sub/*/deep.txt"]', exclude='["*secret*", "*.gz"]')
        (instance.logs / "sub/one").mkdir(parents=True)
        for name in ("a.log", "secret.log", "b.txt", "c.log.gz", "sub/one/deep.txt"):
            (instance.logs / name).write_text(f"from {name}\n")
        instance.start("collector")
        instance.start("agent")
        instance.wait_count(2, "-s", "f")
        (instance.logs / "new.log").write_text("from new.log\n")
        (instance.logs / "new-secret.log").write_text("from new-secret.log\n")
        (instance.logs / "sub/two").mkdir()
        (instance.logs / "sub/two/deep.txt").write_text("from sub/two/deep.txt\n")
        instance.wait_count(4, "-s", "f")
        expect(sorted(messages(instance)) == ["from a.log", "from new.log", "from sub/one/deep.txt", "from sub/two/deep.txt"], str(messages(instance)))


def rotation_by_rename_loses_and_doubles_nothing():
    with Instance() as instance:
        tail(instance)
        instance.start("collector")
        instance.start("agent")
        log = instance.logs / "app.log"
        for part in range(6):
            append(log, part * 310, part * 310 + 300)
            wait_until(lambda: instance.count("-s", "f") > part * 310, "a look at the new file")  # before it has a name nobody asked for
            append(log, part * 310 + 300, part * 310 + 310)  # most likely not yet read when it is renamed
            for old in range(part, 0, -1):  # as logrotate: .1 to .2 and so on
                if log.with_name(f"app.log.{old}").exists():
                    log.with_name(f"app.log.{old}").rename(log.with_name(f"app.log.{old + 1}"))
            if part < 5:
                log.rename(log.with_name("app.log.1"))
        wait_numbers(instance, 1860)


def a_writer_that_keeps_the_renamed_file_open_is_read_to_its_end():
    with Instance() as instance:
        tail(instance)
        instance.start("collector")
        instance.start("agent")
        log = instance.logs / "app.log"
        with open(log, "w", buffering=1) as file:
            file.write("0\n")
            wait_numbers(instance, 1)
            log.rename(log.with_name("app.log.1"))
            file.write("1\n2\n")
        append(log, 3, 5)
        wait_numbers(instance, 5)


def copytruncate_goes_on_from_the_start():
    with Instance() as instance:
        tail(instance)
        instance.start("collector")
        instance.start("agent")
        log = instance.logs / "app.log"
        for part in range(4):
            append(log, part * 100, part * 100 + 100)
            wait_numbers(instance, part * 100 + 100)
            shutil.copy(log, log.with_name("app.log.copy"))
            os.truncate(log, 0)


def start_at_end_takes_only_what_comes():
    with Instance() as instance:
        tail(instance, start_at="end")
        log = instance.logs / "app.log"
        log.write_text("old\nold\n")
        instance.start("collector")
        agent = instance.start("agent")
        wait_until(lambda: first_look_is_known(instance), "the agent's first look")
        append(log, 0, 10)
        wait_numbers(instance, 10)
        append(instance.logs / "later.log", 10, 20)
        wait_numbers(instance, 20)
        agent.stop()
        append(log, 20, 30)
        instance.start("agent")
        wait_numbers(instance, 30)


def first_look_is_known(instance):
    """Whether the store knows that the tail's first look has been: the key "started", in hexadecimal."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as control:
        control.connect(str(instance.runtime / "collector.sock"))
        control.settimeout(10)
        control.sendall(b"positions tail\n")
        control.shutdown(socket.SHUT_WR)
        answer = b""
        while chunk := control.recv(65536):
            answer += chunk
    return b"started".hex().encode() in answer


def lines_written_while_the_agent_is_away_are_taken_when_it_comes():
    with Instance() as instance:
        tail(instance)
        log = instance.logs / "app.log"
        instance.start("collector")
        for part in range(5):
            agent = instance.start("agent")
            append(log, part * 200, part * 200 + 100)
            wait_numbers(instance, part * 200 + 100)
            agent.kill() if part % 2 else expect(agent.stop() == 0, "exit status")
            append(log, part * 200 + 100, part * 200 + 200)
            if part == 3:
                log.rename(log.with_name("app.log.1"))
        instance.start("agent")
        instance.wait_count(1000, "-s", "f")
        wait_numbers(instance, 1000)


def the_agent_goes_on_where_the_store_ends_when_the_collector_is_killed():
    with Instance() as instance:
        tail(instance)
        log = instance.logs / "app.log"
        agent = instance.start("agent")
        for part in range(5):
            collector = instance.start("collector")
            append(log, part * 2000, part * 2000 + 1000)
            wait_until(lambda: instance.count("-s", "f") > part * 2000, "some lines")
            collector.kill()
            append(log, part * 2000 + 1000, part * 2000 + 2000)
            if part == 2:
                agent.kill()
                agent = instance.start("agent")
        instance.start("collector")
        wait_numbers(instance, 10000)


def stdin_ends_the_agent_when_it_is_the_only_input():
    with Instance(agent_inputs="[{ type: stdin, service: f }]") as instance:
        instance.start("collector")
        text = b"".join(b"%d\n" % i for i in range(30000)) + b"30000"
        done = instance.run("agent", stdin=text)
        expect(b"30001 lines, 30001 entries" in done.stderr, done.stderr.decode())
        wait_numbers(instance, 30001)


def json_lines_fill_the_entrys_fields():
    with Instance(agent_inputs="[{ type: stdin, service: f }]") as instance:
        instance.start("collector")
        line = (b'{"timestamp":"2026-11-20T10:00:00.123456789Z","level":"err","message":"m","service":"own","module":"mod","operation":"op",'
                b'"trace_id":"t1","span_id":"s1","correlation_id":"c1","user_id":"6f1c0f0e-5c0e-4b8e-9f0a-0d5e3a7c1b11","extra":{"a":[1,2]},"error_details":{"x":1}}\n')
        instance.run("agent", stdin=line)
        instance.wait_count(1, "-s", "own")
        entry = instance.query("-s", "own")[0]
        wanted = {"timestamp": "2026-11-20T10:00:00.123456789Z", "level": "error", "message": "m", "module": "mod", "operation": "op", "trace_id": "t1",
                  "span_id": "s1", "correlation_id": "c1", "user_id": "6f1c0f0e-5c0e-4b8e-9f0a-0d5e3a7c1b11", "metadata": {"extra": {"a": [1, 2]}},
                  "error_details": {"x": 1}}
        expect({k: entry.get(k) for k in wanted} == wanted, str(entry))


def real_logs_come_through_line_by_line():
    files = sorted(CORPORA.glob("loghub/*/*.log")) or sorted(CORPORA.glob("loghub/**/*.log"))
    if not files:
        return print("     skipped: no corpora")
    with Instance() as instance:
        tail(instance, format="auto")
        lines = 0
        for file in files:
            (instance.logs / file.name).write_bytes(file.read_bytes() + b"\n")  # the last line is whole, too
            lines += sum(1 for line in file.read_bytes().split(b"\n") if line.strip())
        instance.start("collector")
        instance.start("agent")
        instance.wait_count(lines, "-s", "f")
        expect(instance.run("tfctl", "verify", check=False).returncode == 0, "tfctl verify")


def add_to_journal(path, first, last):
    boot = pathlib.Path("/proc/sys/kernel/random/boot_id").read_text().strip().replace("-", "")  # an earlier boot's are passed over
    text = "".join(
        f"__REALTIME_TIMESTAMP={1795000000000000 + i}\n__MONOTONIC_TIMESTAMP={1000 + i}\n_BOOT_ID={boot}\n"
        f"PRIORITY={i % 8}\nMESSAGE={i}\nSYSLOG_IDENTIFIER=j\n_PID=42\n_HOSTNAME=h\n\n" for i in range(first, last)
    )
    done = subprocess.run([JOURNAL_REMOTE, "-o", path, "-"], input=text.encode(), capture_output=True)
    expect(done.returncode == 0, f"journal-remote: {done.stderr.decode()}")


def the_journal_is_read_by_cursor():
    machine = pathlib.Path("/etc/machine-id")
    if not JOURNAL_REMOTE or os.geteuid() != 0 or not machine.exists() or subprocess.run(["unshare", "-m", "true"]).returncode != 0:
        return print("     skipped: needs root, unshare, /etc/machine-id and systemd-journal-remote")
    with Instance(agent_inputs="[{ type: journal }]") as instance:
        folder = instance.root / "var-log/journal" / machine.read_text().strip()
        folder.mkdir(parents=True)
        script = 'mount --bind "$0" /var/log && mount -t tmpfs none /run/log 2>/dev/null; exec "$@"'  # a namespace of its own

        def start_agent():
            agent = Process(["unshare", "-m", "sh", "-c", script, folder.parent.parent, instance.program("agent")], instance.env)
            instance.processes.append(agent)
            agent.wait_line("ready")
            return agent

        add_to_journal(folder / "a.journal", 0, 200)
        instance.start("collector")
        try:
            agent = start_agent()
        except Failure as failure:
            if "no journal input" not in str(failure):
                raise
            return print("     skipped: this build has no journal input")
        instance.wait_count(200, "-s", "j")
        agent.kill()
        add_to_journal(folder / "b.journal", 200, 300)
        agent = start_agent()
        instance.wait_count(300, "-s", "j")
        expect(agent.stop() == 0, "exit status")
        entries = instance.query("-s", "j")
        expect([int(e["message"]) for e in entries] == list(range(300)), "each once, in order")
        expect({e["level"] for e in entries} == {"critical", "error", "warn", "info", "debug"}, str({e["level"] for e in entries}))


if __name__ == "__main__":
    sys.exit(
        main(
            [
                globs_take_what_matches_and_exclude_takes_away,
                rotation_by_rename_loses_and_doubles_nothing,
                a_writer_that_keeps_the_renamed_file_open_is_read_to_its_end,
                copytruncate_goes_on_from_the_start,
                start_at_end_takes_only_what_comes,
                lines_written_while_the_agent_is_away_are_taken_when_it_comes,
                the_agent_goes_on_where_the_store_ends_when_the_collector_is_killed,
                stdin_ends_the_agent_when_it_is_the_only_input,
                json_lines_fill_the_entrys_fields,
                real_logs_come_through_line_by_line,
                the_journal_is_read_by_cursor,
            ]
        )
    )

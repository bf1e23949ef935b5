"""The agent as a user meets it: files, stdin, syslog by logger(1), reload, refusals, bad input."""

import fcntl
import json
import os
import pathlib
import shutil
import signal
import socket
import struct
import subprocess
import sys
import termios

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from harness import Instance, expect, main, wait_until  # noqa: E402


def tail_of(instance, more=""):
    return f'{{ type: tail, paths: ["{instance.logs}/*.log"]{more} }}'


def bad_lines_are_stored_repaired_and_the_next_is_unharmed():
    with Instance() as instance:
        instance.write_config(f"[{tail_of(instance, ', format: json')}]")
        collector = instance.start("collector")
        agent = instance.start("agent")
        lines = [
            b'{"message": broken',
            b'{"message":"weird level","level":"loud"}',
            b'{"message":""}',
            b"not utf-8: \xff\xfe",
            b'{"message":"begin ' + b"x" * (1 << 20) + b' end"}',
            b'{"message":"good","level":"WARNING","n":1}',
        ]
        (instance.logs / "a.log").write_bytes(b"\n".join(lines) + b"\n")
        instance.wait_count(len(lines), "-s", "a")
        found = instance.query("-s", "a")
        marks = [entry["metadata"].get("repaired") for entry in found]
        expect(marks[0] == ["json"], f"broken JSON: {marks[0]}")
        expect(marks[1] == ["level"] and found[1]["metadata"]["level"] == "loud", f"unknown level: {marks[1]}")
        expect(marks[2] == ["empty"], f"empty message: {marks[2]}")
        expect("utf8" in marks[3] and "\ufffd" in found[3]["message"], f"bad UTF-8: {marks[3]}")
        expect("cut" in marks[4], f"long line: {marks[4]}")
        expect('begin' in found[4]["message"] and found[4]["message"].rstrip('"}').endswith("end"), "both ends are kept")
        expect(marks[5] is None and found[5]["level"] == "warn" and found[5]["metadata"]["n"] == 1, "the good line")
        expect(agent.stop() == 0 and collector.stop() == 0, "a daemon did not end with 0")
        expect(any("repaired (level)" in line for line in agent.lines), f"counters: {agent.lines}")


def logger_writes_in_both_formats():
    if not shutil.which("logger"):
        print("skipped: logger(1) is not installed")
        return
    with Instance() as instance:
        path = instance.runtime / "syslog.sock"
        instance.write_config(f'[{{ type: syslog, listen: "unixgram://{path}" }}]')
        instance.start("collector")
        agent = instance.start("agent")
        expect(os.stat(path).st_mode & 0o777 == 0o666, "everybody may write to the socket")
        subprocess.run(["logger", "-u", path, "-t", "old", "-i", "-p", "daemon.err", "three one six four"], check=True)
        subprocess.run(["logger", "-u", path, "--rfc5424", "-t", "new", "-p", "user.debug", "five four"], check=True)
        subprocess.run(["logger", "-u", path, "-t", "taskforge-agent", "a name proves nothing"], check=True)
        instance.wait_count(3)
        old, new = instance.query("-s", "old")[0], instance.query("-s", "new")[0]
        expect(old["level"] == "error" and old["message"] == "three one six four", f"{old}")
        expect(old["metadata"]["facility"] == "daemon" and int(old["metadata"]["procid"]) > 0, f"{old}")
        expect(new["level"] == "debug" and new["message"] == "five four", f"{new}")
        agent.kill()  # what it leaves behind does not keep the next one out
        agent = instance.start("agent")
        subprocess.run(["logger", "-u", path, "-t", "again", "hello"], check=True)
        instance.wait_count(4)
        expect(agent.stop() == 0 and not path.exists(), "the socket is removed at the end")


def a_socket_that_another_listens_on_is_left_alone():
    with Instance() as instance:
        path = instance.root / "s.sock"
        instance.write_config(f'[{{ type: syslog, listen: "unixgram://{path}" }}]')
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
            other.bind(str(path))
            agent = instance.start("agent", ready=None)
            expect(agent.process.wait(20) == 1, "the agent must refuse")
            agent.reader.join(5)
            expect("another process listens" in agent.lines[-1], f"{agent.lines}")
            expect(path.exists(), "the other's socket is still there")


def stdin_is_taken_to_its_end():
    with Instance() as instance:
        instance.write_config("[{ type: stdin, service: piped }]")
        instance.start("collector")
        text = "".join(f"line {i}\n" for i in range(20000)) + "without newline"
        done = instance.run("agent", stdin=text.encode())
        expect(done.returncode == 0, "the agent ends with its input")
        instance.wait_count(20001, "-s", "piped")
        messages = [entry["message"] for entry in instance.query("-s", "piped")]
        expect(messages == text.split("\n"), "lines in order")
        path = instance.root / "input"
        path.write_text('{"msg":"from a file","service":"named"}\n')
        with open(path, "rb") as file:
            agent = instance.start("agent", ready=None, stdin=file)
            expect(agent.process.wait(30) == 0, "a regular file as stdin")
        instance.wait_count(1, "-s", "named")


def stdin_is_held_back_without_a_collector():
    with Instance(ring_size="8MiB") as instance:
        instance.write_config("[{ type: stdin, service: piped }]", ring_size="8MiB")
        reader, writer = os.pipe()
        agent = instance.start("agent", stdin=reader)
        os.close(reader)
        os.set_blocking(writer, False)
        line = b"x" * 999 + b"\n"
        written = 0

        def is_full():
            nonlocal written
            try:
                while True:
                    written += os.write(writer, line * 4)
            except BlockingIOError:
                return written > 300_000

        wait_until(is_full, "the pipe to fill")
        instance.start("collector")
        os.set_blocking(writer, True)
        while written % 1000:
            written += os.write(writer, line[written % 1000 :])
        os.close(writer)
        expect(agent.process.wait(60) == 0, "the agent ends with its input")
        instance.wait_count(written // 1000, "-s", "piped")


def stdin_lines_that_find_no_room_until_the_end_are_counted():
    with Instance() as instance:
        instance.write_config("[{ type: stdin, service: piped }]", ring_size="8MiB")
        instance.start("collector").stop()  # has left word of how large the ring is to be
        reader, writer = os.pipe()
        agent = instance.start("agent", stdin=reader)
        fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 1 << 20)
        text = b"".join(b"line %d\n" % n for n in range(60000))  # less than the pipe takes, more than its lanes
        expect(os.write(writer, text) == len(text), "all in the pipe")
        wait_until(lambda: agent.process.poll() is None and unread(reader) <= len(text) - 65536, "the agent to have read more than fits")
        agent.process.terminate()
        agent.wait_line("are counted as lost")
        expect(agent.process.wait(30) == 0, "the agent ended well")
        os.close(writer)
        left = os.read(reader, 1 << 20) if unread(reader) else b""  # what it never took is not its to lose
        os.close(reader)
        taken = 60000 - left.count(b"\n") + (left != b"" and not left.startswith(b"line "))
        expect(instance.start("collector").stop() == 0, "the collector takes all in and ends well")
        told = [json.loads(line) for line in instance.run("tfctl", "losses", "--format", "json").stdout.splitlines()]
        lost = sum(loss["count"] for loss in told)
        stored = instance.count("-s", "piped")
        expect(lost > 0 and stored + lost == taken, f"{stored} stored, {lost} told as lost, {taken} taken")


def unread(pipe):
    return struct.unpack("=i", fcntl.ioctl(pipe, termios.FIONREAD, b"\0" * 4))[0]


def a_second_agent_names_the_first():
    with Instance() as instance:
        instance.write_config("[]")
        first = instance.start("agent")
        second = instance.start("agent", ready=None)
        expect(second.process.wait(20) == 1, "the second must refuse")
        second.reader.join(5)
        expect(str(first.process.pid) in second.lines[-1], f"{second.lines}")
        expect(first.stop() == 0, "the first goes on and ends with 0")


def a_reload_keeps_what_did_not_change_and_goes_on_with_what_did():
    with Instance() as instance:
        extra = instance.root / "extra"
        extra.mkdir()
        instance.write_config(f"[{tail_of(instance)}]")
        collector = instance.start("collector")
        agent = instance.start("agent")
        log = instance.logs / "a.log"
        log.write_text("one\ntwo\n")
        instance.wait_count(2)
        instance.write_config(f'[{tail_of(instance, ", service: renamed")}, {{ type: tail, name: b, paths: ["{extra}/*"] }}]')
        agent.process.send_signal(signal.SIGHUP)
        (extra / "b.log").write_text("new input\n")
        instance.wait_count(3, '{service!="taskforge"}')
        with open(log, "a") as file:
            file.write("three\n")
        instance.wait_count(4, '{service!="taskforge"}')
        expect([e["message"] for e in instance.query("-s", "renamed")] == ["three"], "the changed input goes on")
        good = instance.config.read_text()
        instance.config.write_text("agent: { inputs: 7 }\n")
        agent.process.send_signal(signal.SIGHUP)
        agent.wait_line("agent.inputs must be a list")
        instance.config.write_text(good)
        with open(log, "a") as file:
            file.write("four\n")
        instance.wait_count(2, "-s", "renamed")
        collector.process.send_signal(signal.SIGHUP)
        instance.wait_count(2, '{service="taskforge",module="audit",operation="reload",reason="SIGHUP"}')
        told = sorted(entry["message"].split()[1] for entry in instance.query('{module="audit"}'))
        expect(told == ["agent", "collector"], f"reloads told: {told}")
        expect(agent.stop() == 0, "the agent ends with 0")


def nothing_of_our_own_comes_in_again():
    with Instance() as instance:
        output = instance.logs / "out.log"
        inputs = f"[{tail_of(instance)}]"
        instance.write_config(inputs, f"  output: {output}\n")
        instance.start("collector")
        (instance.logs / "a.log").write_text("one\n")
        with open(instance.logs / "printed.log", "ab") as printed:
            agent = instance.start("agent", stdout=printed)
            instance.wait_count(1, "-s", "a")
            wait_until(lambda: output.exists() and output.stat().st_size > 0, "the output")
            printed.write(b"as if the agent had printed this\n")
            printed.flush()
            with open(instance.logs / "a.log", "a") as file:
                file.write("two\n")
            instance.wait_count(2, "-s", "a")
            expect(instance.count() == 2, f"{instance.count()} entries, not 2")
            expect(agent.stop() == 0, "the agent ends with 0")


def a_read_only_runtime_folder_is_one_clear_line():
    with Instance() as instance:
        instance.write_config("[]")
        instance.env["TASKFORGE_RUNTIME_DIR"] = "/proc/nowhere"
        agent = instance.start("agent", ready=None)
        expect(agent.process.wait(20) == 1, "the agent must refuse")
        agent.reader.join(5)
        expect(len(agent.lines) == 1 and "runtime" in agent.lines[0], f"{agent.lines}")


if __name__ == "__main__":
    sys.exit(
        main(
            [
                bad_lines_are_stored_repaired_and_the_next_is_unharmed,
                logger_writes_in_both_formats,
                a_socket_that_another_listens_on_is_left_alone,
                stdin_is_taken_to_its_end,
                stdin_is_held_back_without_a_collector,
                stdin_lines_that_find_no_room_until_the_end_are_counted,
                a_second_agent_names_the_first,
                a_reload_keeps_what_did_not_change_and_goes_on_with_what_did,
                nothing_of_our_own_comes_in_again,
                a_read_only_runtime_folder_is_one_clear_line,
            ]
        )
    )

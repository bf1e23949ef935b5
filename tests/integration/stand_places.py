#!/usr/bin/env python3
"""Bad places, a full disk, bad configuration, a second daemon: one clear line, the right exit status, nothing damaged."""

import os
import pathlib
import shutil
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
from harness import Instance, expect, main, wait_until  # noqa: E402

ROOT = os.geteuid() == 0
DAEMONS = ("collector", "agent")


def one_line(done, status, *parts):
    text = done.stderr.decode("utf-8", "replace")
    expect(done.returncode == status, f"{done.args}: exit status {done.returncode}, not {status}: {text}")
    expect(len(text.splitlines()) == 1, f"{done.args}: not one line: {text}")
    for part in parts:
        expect(str(part) in text, f'{done.args}: "{part}" is not in: {text}')


def fill(instance, service="before", number=200):
    """Something in the store that must not be damaged."""
    collector = instance.start("collector")
    instance.run("tflog", "-s", service, stdin=b"".join(b"line %d\n" % i for i in range(number)))
    expect(collector.stop() == 0, "exit status")


def check_whole(instance, service="before", number=200):
    lines = [e["message"] for e in instance.query("-s", service)]
    expect(lines == [f"line {i}" for i in range(number)], f"{len(lines)} of {number} lines of {service}")
    done = instance.run("tfctl", "verify", check=False)
    expect(done.returncode == 0, f"tfctl verify: {done.stdout} {done.stderr}")


def as_nobody(instance, name, env=None, arguments=()):
    """A run as somebody who may not write: nobody when we are root, else ourselves."""
    user = {"user": 65534, "group": 65534, "extra_groups": []} if ROOT else {}
    program = instance.root / f"copy-of-{name}"  # where nobody may reach it, which the build folder need not be
    if not program.exists():
        shutil.copy(instance.program(name), program)
    return subprocess.run(
        [program, *arguments], env={**instance.env, **(env or {})}, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, **user
    )


def folders_that_are_files_or_cannot_be_made_are_refused():
    with Instance() as instance:
        fill(instance)
        file = instance.root / "file"
        file.write_text("")
        for name, key in (("collector", "DATA"), ("collector", "RUNTIME"), ("agent", "RUNTIME")):
            for path in (file, file / "below", instance.root / "no/such/folder", "/proc/taskforge", "relative"):
                done = instance.run(name, check=False, env={f"TASKFORGE_{key}_DIR": str(path)})
                one_line(done, 1, path)
        check_whole(instance)


def read_only_folders_are_refused():
    with Instance() as instance:
        fill(instance)
        instance.root.chmod(0o755)
        closed = instance.root / "closed"
        closed.mkdir()
        opened = instance.root / "opened"
        opened.mkdir()
        opened.chmod(0o777)
        closed.chmod(0o555)
        for name, folders in (
            ("collector", {"TASKFORGE_DATA_DIR": closed, "TASKFORGE_RUNTIME_DIR": opened / "run1"}),
            ("collector", {"TASKFORGE_DATA_DIR": opened / "data2", "TASKFORGE_RUNTIME_DIR": closed / "run"}),
            ("agent", {"TASKFORGE_RUNTIME_DIR": closed / "run"}),
            ("agent", {"TASKFORGE_RUNTIME_DIR": closed}),
        ):
            done = as_nobody(instance, name, {k: str(v) for k, v in folders.items()})
            one_line(done, 1, closed, "permission")
        done = as_nobody(instance, "tflog", {"TASKFORGE_RUNTIME_DIR": str(closed)}, ("x",))
        one_line(done, 3)
        expect(list(closed.iterdir()) == [], "something was left there")
        check_whole(instance)


def a_full_disk_holds_spills_and_goes_on_when_there_is_room():
    with Instance() as instance:
        disk = instance.root / "disk"
        disk.mkdir()
        mounted = ROOT and subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "none", disk], capture_output=True).returncode == 0
        if not mounted:
            return print("     skipped: no tmpfs can be mounted here")
        try:
            instance.data = disk / "data"
            instance.env["TASKFORGE_DATA_DIR"] = str(instance.data)
            # max_size: its default is a tenth of the small disk, and then retention would remove what this looks for
            instance.write_config(collector="  output: none\n  retention: { keep_free: 0%, max_size: 200MiB }\n")
            fill(instance)
            collector = instance.start("collector")
            ballast = open(disk / "ballast", "wb")
            os.posix_fallocate(ballast.fileno(), 0, os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize - 64 * 1024)
            writers = [
                subprocess.Popen([instance.program("tflog"), "-s", f"full{i}", "--wait", "60s"], env=instance.env, stdin=subprocess.PIPE) for i in range(2)
            ]
            lines = b"".join(b"line %d %s\n" % (i, os.urandom(100).hex().encode()) for i in range(20000))
            for writer in writers:
                writer.stdin.write(lines)
                writer.stdin.close()
            for writer in writers:
                expect(writer.wait(120) == 0, "a writer lost something although it might wait")
            collector.wait_line("cannot be written")
            wait_until(lambda: any((instance.root / "spill").iterdir()), "a spill file")
            expect(instance.run("tfctl", "verify", check=False).returncode == 0, "tfctl verify on the full disk")
            expect(len(collector.lines) < 20, f"{len(collector.lines)} lines said of it")
            collector.kill()
            collector = instance.start("collector")
            ballast.close()
            (disk / "ballast").unlink()
            subprocess.run(["mount", "-o", "remount,size=256m", disk], check=True)
            for i in range(2):
                instance.wait_count(20000, "-s", f"full{i}")
                numbers = [int(e["message"].split()[1]) for e in instance.query("-s", f"full{i}")]
                expect(numbers == list(range(20000)), f"full{i}: not in order")
            expect(collector.stop() == 0, "exit status")
            check_whole(instance)
        finally:
            subprocess.run(["umount", "-l", disk], check=True)


def a_collector_cannot_start_on_a_full_disk_and_damages_nothing():
    with Instance() as instance:
        disk = instance.root / "disk"
        disk.mkdir()
        if not (ROOT and subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", disk], capture_output=True).returncode == 0):
            return print("     skipped: no tmpfs can be mounted here")
        try:
            with open(disk / "ballast", "wb") as ballast:
                os.posix_fallocate(ballast.fileno(), 0, os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize)
            done = instance.run("collector", check=False, env={"TASKFORGE_DATA_DIR": str(disk / "data")})
            one_line(done, 1, "disk is full")
            done = instance.run("tflog", "-s", "lost", "x", check=False, env={"TASKFORGE_RUNTIME_DIR": str(disk / "run")})
            one_line(done, 3)
        finally:
            subprocess.run(["umount", "-l", disk], check=True)


FAULTS = (
    ("nope: 1\n", "1:1", "nope"),
    ("collector:\n  flush_interva: 1s\n", "2:3", "flush_interval"),
    ("collector:\n  flush_interval: soon\n", "2:19", "flush_interval"),
    ("ring: { size: 5 }\n", "1:15", "size"),
    ("agent:\n  inputs:\n    - { type: tail, paths: [/a], exclud: [b] }\n", "3:34", "exclude"),
    ("agent: { inputs: [{ type: taill, paths: [a] }] }\n", "1:27", "taill"),
    ("ring: [\n", "2:1", "YAML"),
    ("data_dir: [a]\n", "1:11", "data_dir"),
    ("alerter: { interval: 5 }\n", "1:22", "alerter.interval"),
    ("exporter: { listen: x }\n", "1:21", "exporter.listen"),
    ("exporter: { sinks: [] }\n", "1:13", "exporter.sinks is not built yet"),
    ("labels: { 2site: a }\n", "1:11", "labels"),
    ("collector: { redact: { patterns: ['a('] } }\n", "1:35", "missing closing parenthesis"),
    ("collector: { dedup: { window: 1 } }\n", "1:31", "collector.dedup.window"),
    ("collector: { retention: { levels: { loud: { max_age: 1d } } } }\n", "1:37", "collector.retention.levels"),
    ("collector: { encrypt: { keys: [email] } }\n", "1:23", "public_key_file"),
    ("collector: { history: { interval: 7s } }\n", "1:35", "collector.history.interval"),
    ("agent: { inputs: [{ type: otlp }] }\n", "1:27", "otlp"),
    ("agent: { host_metrics: { interval: 1 } }\n", "1:36", "agent.host_metrics.interval"),
)


def a_faulty_configuration_is_told_by_place_and_key():
    with Instance() as instance:
        fill(instance)
        file = instance.root / "bad.yaml"
        for text, place, word in FAULTS:
            file.write_text(text)
            for name in DAEMONS:
                one_line(instance.run(name, "--config", file, check=False), 1, f"{file}:{place}: ", word)
                check = instance.run(name, "--config", file, "--check", check=False)
                expect(check.returncode == 1, f"--check: {check.returncode}")
                said = (check.stdout + check.stderr).decode().splitlines()
                expect(len(said) == 1 and said[0].startswith(f"{file}:{place}: "), f"--check: {said}")
        file.write_text("nope: 1\nring: { size: many }\n")
        check = instance.run("collector", "--config", file, "--check", check=False)
        expect(len((check.stdout + check.stderr).splitlines()) == 2, "each fault is told")
        one_line(instance.run("collector", "--config", instance.root / "none.yaml", check=False), 1, "none.yaml")
        check_whole(instance)


def a_good_configuration_passes_the_check_in_silence():
    with Instance() as instance:
        for name in DAEMONS:
            done = instance.run(name, "--check")
            expect(done.stderr == b"", f"{name} --check: {done.stderr}")
            (instance.root / "empty.yaml").write_text("")
            instance.run(name, "--check", "--config", instance.root / "empty.yaml")
        expect(not instance.runtime.exists() and not any(instance.data.iterdir()), "--check made something")


def wrong_usage_is_two_and_one_line():
    with Instance() as instance:
        for name in DAEMONS:
            for arguments in (["--nope"], ["--config"], ["extra"], ["--check=yes"]):
                one_line(instance.run(name, *arguments, check=False), 2, arguments[0].split("=")[0])
        for arguments in ([], ["nope"], ["query", "--nope"], ["query", "-n", "many"], ["query", "-S", "whenever"], ["query", "-g", "("], ["query", "{bad"], ["top"]):
            one_line(instance.run("tfctl", *arguments, check=False), 2)
        one_line(instance.run("tfrun", check=False), 2)
        for name in (*DAEMONS, "tfctl", "tflog", "tfrun"):
            expect(instance.run(name, "--version").stdout.count(b"\n") == 1, f"{name} --version")
            expect(b"usage" in instance.run(name, "--help").stdout.lower(), f"{name} --help")


def a_second_daemon_is_refused_and_names_the_first():
    with Instance() as instance:
        fill(instance)
        first = {name: instance.start(name) for name in DAEMONS}
        other = str(instance.root / "other")
        for name in DAEMONS:
            one_line(instance.run(name, check=False), 1, first[name].process.pid)
        one_line(instance.run("collector", check=False, env={"TASKFORGE_RUNTIME_DIR": other}), 1, first["collector"].process.pid)
        one_line(instance.run("collector", check=False, env={"TASKFORGE_DATA_DIR": other}), 1, first["collector"].process.pid)
        instance.run("tflog", "-s", "still", "here")
        instance.wait_count(1, "-s", "still")
        first["collector"].kill()
        expect(instance.start("collector").stop() == 0, "the next one takes the place of a dead one")
        check_whole(instance)


def garbage_in_the_folders_harms_nothing():
    with Instance() as instance:
        fill(instance)
        rings = instance.runtime / "rings"
        (rings / "4242").write_bytes(b"garbage" * 1000)
        (rings / "name").write_text("x")
        (rings / "77").symlink_to("/etc/passwd")
        (rings / "78").mkdir()
        (instance.data / "garbage").write_bytes(os.urandom(5000))
        collector = instance.start("collector")
        instance.run("tflog", "-s", "after", stdin=b"line 0\nline 1\n")
        instance.wait_count(2, "-s", "after")
        expect(collector.stop() == 0, "exit status")
        expect(pathlib.Path("/etc/passwd").exists(), "a link was followed")
        check_whole(instance)
        check_whole(instance, "after", 2)


if __name__ == "__main__":
    sys.exit(
        main(
            [
                folders_that_are_files_or_cannot_be_made_are_refused,
                read_only_folders_are_refused,
                a_full_disk_holds_spills_and_goes_on_when_there_is_room,
                a_collector_cannot_start_on_a_full_disk_and_damages_nothing,
                a_faulty_configuration_is_told_by_place_and_key,
                a_good_configuration_passes_the_check_in_silence,
                wrong_usage_is_two_and_one_line,
                a_second_daemon_is_refused_and_names_the_first,
                garbage_in_the_folders_harms_nothing,
            ]
        )
    )

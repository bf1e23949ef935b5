#!/usr/bin/env python3
"""deploy/up with the programs of this build: runs, says where to look, restarts what dies, gives up what cannot start."""

import fcntl
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.request

SOURCE = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(SOURCE / "tests" / "lib"))
from harness import BUILD, PROGRAMS, Process, expect, main, wait_until  # noqa: E402

DAEMONS = re.findall(r'^    "(\S+) (\S+)"$', (SOURCE / "deploy" / "up").read_text(), re.M)  # its table: name, folder
TOOLS = ("tfctl", "tflog")


class Up:
    """A copy of the project as deploy/up sees it, with a build folder in which nothing is left to build."""

    def __init__(self):
        self.temporary = tempfile.TemporaryDirectory(prefix="taskforge-up-")
        self.root = pathlib.Path(self.temporary.name)
        shutil.copytree(SOURCE / "deploy", self.root / "deploy")
        build = self.root / "build"
        for path in [f"{folder}/taskforge-{name}" for name, folder in DAEMONS] + [PROGRAMS[tool] for tool in TOOLS]:
            (build / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(BUILD / path, build / path)
        (build / "build.ninja").write_text("build all: phony\ndefault all\n")
        self.runtime, self.data = self.root / "run", self.root / "data"
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("TASKFORGE_")}
        self.env["NO_COLOR"] = "1"
        self.process = None
        with socket.socket() as probe:  # a port that nobody has
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process and self.process.process.poll() is None:
            self.process.process.send_signal(signal.SIGINT)
            self.process.process.wait(60)
        self.temporary.cleanup()

    def start(self, *arguments):
        """Both of its streams, line by line."""
        script = 'exec "$0" "$@" >&2'
        folders = ["--runtime-dir", self.runtime, "--data-dir", self.data, "--port", str(self.port)]
        self.process = Process(["/bin/sh", "-c", script, self.root / "deploy" / "up", *folders, *arguments], self.env)
        return self.process

    def start_ready(self, *arguments):
        up = self.start(*arguments)
        up.wait_line("losses", 60)  # the last line of where to look
        return up

    def end(self, up, status, seconds=60):
        expect(up.process.wait(seconds) == status, f"exit status {up.process.returncode}, not {status}: {up.lines}")
        up.reader.join(10)
        for name, _ in DAEMONS:
            expect(not self.pids(name), f"taskforge-{name} is left: {up.lines}")

    def pids(self, name):
        """Of our own alone: the path has the folder of this test."""
        binary = str(self.root / "build" / "bin" / f"taskforge-{name}")
        found = []
        for process in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                if (process / "cmdline").read_bytes().split(b"\0")[0].decode() == binary:
                    found.append(int(process.name))
            except (OSError, UnicodeDecodeError):
                pass
        return found

    def tool(self, name, *arguments):
        env = {**self.env, "TASKFORGE_RUNTIME_DIR": str(self.runtime), "TASKFORGE_DATA_DIR": str(self.data)}
        done = subprocess.run([self.root / "build" / "bin" / name, *arguments], env=env, capture_output=True, timeout=60)
        expect(done.returncode == 0, f"{name}: {done.stderr}")
        return done.stdout.decode()


def all_of_the_table_run_until_sigint():
    with Up() as up:
        process = up.start_ready()
        for name, _ in DAEMONS:
            expect(any(line.startswith(f"taskforge-{name}: ready: ") for line in process.lines), f"{name} is not ready")
            expect(len(up.pids(name)) == 1, f"{name} runs not once")
        url = f"http://127.0.0.1:{up.port}/"
        expect(any(line.startswith("The dashboard: ") and url.rstrip("/") in line for line in process.lines), process.lines)
        with urllib.request.urlopen(url + "livez", timeout=30) as answer:
            expect(answer.status == 200, answer.status)
        up.tool("tflog", "-s", "up", "hello")
        wait_until(lambda: up.tool("tfctl", "query", "-s", "up", "--count").strip() == "1", "the entry")
        process.process.send_signal(signal.SIGINT)
        up.end(process, 0)
        expect(process.lines[-1].startswith("stopped; the data stays in "), process.lines[-1])


def a_second_one_on_the_same_folders_is_refused():
    with Up() as up:
        process = up.start_ready()
        second = Process(process.argv, up.env)
        expect(second.process.wait(60) == 1, "the second one's exit status")
        second.reader.join(10)
        expect(len(second.lines) == 1 and "it runs already" in second.lines[0], second.lines)
        process.process.send_signal(signal.SIGINT)
        up.end(process, 0)


def a_folder_of_other_processes_is_left_alone():
    if os.geteuid() != 0:  # nobody else can make such a folder
        return
    for name in ("run/rings", "data/logs"):
        with Up() as up:
            folder = up.root / name
            folder.mkdir(parents=True)
            os.chown(folder, 65534, 65534)
            process = up.start()
            up.end(process, 1)
            expect(len(process.lines) == 1 and f"{folder} belongs to nobody" in process.lines[0], process.lines)
            expect(os.listdir(folder.parent) == [folder.name] and os.listdir(folder) == [], "something was made")


def what_is_killed_is_started_again():
    with Up() as up:
        process = up.start_ready()
        for name, _ in DAEMONS:
            before = up.pids(name)
            os.kill(before[0], signal.SIGKILL)
            process.wait_line(f"taskforge-{name} (terminated by SIGKILL) and is started again")
            wait_until(lambda: up.pids(name) and up.pids(name) != before, f"another {name}")
        process.process.send_signal(signal.SIGINT)
        up.end(process, 0)


def what_cannot_start_says_so_once_and_ends_all():
    with Up() as up:
        up.runtime.mkdir()
        with open(up.runtime / "agent.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            lock.write("somebody (pid 1)\n")
            lock.flush()
            process = up.start()
            up.end(process, 1)
        said = [line for line in process.lines if line.startswith("taskforge-agent: ")]
        expect(len(said) == 1 and "is held by somebody (pid 1)" in said[0], process.lines)
        expect("deploy/up: taskforge-agent cannot start; stopping (what it said is above)" in process.lines, process.lines)


def a_port_in_use_is_told_once_and_ends_all():
    with Up() as up, socket.socket() as holder:
        holder.bind(("127.0.0.1", up.port))
        holder.listen()
        process = up.start()
        up.end(process, 1)
        said = [line for line in process.lines if line.startswith("taskforge-exporter: ")]
        expect(len(said) == 1 and f"127.0.0.1:{up.port}" in said[0] and "--port" in said[0], process.lines)
        expect("deploy/up: taskforge-exporter cannot start; stopping (what it said is above)" in process.lines, process.lines)


def wrong_usage_is_two_and_one_line():
    with Up() as up:
        for arguments in (["--what"], ["--port"], ["--port="], ["--port", "nine"], ["--port", "0"], ["--port", "65536"]):
            process = up.start(*arguments)
            up.end(process, 2)
            expect(len(process.lines) == 1 and process.lines[0].startswith("deploy/up: "), process.lines)


if __name__ == "__main__":
    if not (shutil.which("supervisord") and shutil.which("ninja")):
        print("no supervisord: skipped")
        sys.exit(77)
    sys.exit(
        main(
            [
                all_of_the_table_run_until_sigint,
                a_second_one_on_the_same_folders_is_refused,
                a_folder_of_other_processes_is_left_alone,
                what_is_killed_is_started_again,
                what_cannot_start_says_so_once_and_ends_all,
                a_port_in_use_is_told_once_and_ends_all,
                wrong_usage_is_two_and_one_line,
            ]
        )
    )

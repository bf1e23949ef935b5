"""What the integration and torture tests share: a private instance of the real programs, started as a user would.

Every wait is for an event (a line on stderr, a condition that a query shows) with a deadline; nothing sleeps for luck.
Only the standard library is used.
"""

import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import threading
import time

BUILD = pathlib.Path(os.environ.get("TASKFORGE_BUILD", pathlib.Path.cwd()))
LONG = bool(os.environ.get("TASKFORGE_LONG"))
PROGRAMS = {
    "collector": "collector/taskforge-collector",
    "agent": "agent/taskforge-agent",
    "alerter": "alerter/taskforge-alerter",
    "exporter": "exporter/taskforge-exporter",
    "tfctl": "exporter/tfctl/tfctl",
    "tflog": "agent/tools/tflog",
    "tfmetric": "agent/tools/tfmetric",
    "tfrun": "agent/tools/tfrun",
    "worker": "agent/examples/worker",
    "hello": "agent/examples/hello",
}


def in_time(seconds):
    """A bound of time as it is held: the machine of a short run has other work, too."""
    return seconds if LONG else 4 * seconds


class Failure(AssertionError):
    """A test's own verdict, told in one line."""


def expect(condition, text):
    if not condition:
        raise Failure(text)


def wait_until(condition, what, seconds=60.0, pause=0.02):
    """Poll condition() until it is true; its last value is returned."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise Failure(f"waited {seconds:.0f} s for {what}")
        time.sleep(pause)


class Process:
    """A daemon under test; its stderr is kept line by line."""

    def __init__(self, argv, env, stdin=None, stdout=None, user=None):
        self.argv = [str(a) for a in argv]
        self.lines = []
        self.process = subprocess.Popen(
            self.argv, env=env, stdin=stdin or subprocess.DEVNULL, stdout=stdout or subprocess.DEVNULL, stderr=subprocess.PIPE,
            user=user, group=user, extra_groups=None if user is None else [],
        )
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.process.stderr:
            self.lines.append(line.decode("utf-8", "replace").rstrip("\n"))

    def wait_line(self, part, seconds=30.0):
        def seen():
            if any(part in line for line in self.lines):
                return True
            if self.process.poll() is not None:
                self.reader.join(5)
                if any(part in line for line in self.lines):
                    return True
                raise Failure(f"{self.argv[0]} ended with {self.process.returncode}: {' | '.join(self.lines[-5:])}")
            return False

        wait_until(seen, f'"{part}" from {self.argv[0]}', seconds)

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.reader.join(5)

    def stop(self, seconds=30.0):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise Failure(f"{self.argv[0]} did not end within {seconds:.0f} s of SIGTERM")
        self.reader.join(5)
        return status


class Instance:
    """Folders, a configuration and the programs of one private instance."""

    def __init__(self, agent_inputs="[]", collector="", ring_size="16MiB", exporter=""):
        self.temporary = tempfile.TemporaryDirectory(prefix="taskforge-test-")
        self.root = pathlib.Path(self.temporary.name)
        self.runtime = self.root / "run"
        self.data = self.root / "data"
        self.logs = self.root / "logs"
        self.logs.mkdir()
        self.data.mkdir()
        self.config = self.root / "taskforge.yaml"
        self.write_config(agent_inputs, collector, ring_size, exporter)
        self.processes = []
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("TASKFORGE_") or k == "TASKFORGE_LONG"}
        self.env["TASKFORGE_CONFIG"] = str(self.config)
        self.env["TASKFORGE_RUNTIME_DIR"] = str(self.runtime)
        self.env["TASKFORGE_DATA_DIR"] = str(self.data)
        self.env["NO_COLOR"] = "1"

    def write_config(self, agent_inputs="[]", collector="", ring_size="16MiB", exporter=""):
        self.config.write_text(
            f"runtime_dir: {self.runtime}\ndata_dir: {self.data}\nring: {{ size: {ring_size} }}\n"
            f"agent:\n  inputs: {agent_inputs}\n"
            f"collector:\n  spill_dir: {self.root}/spill\n"
            + (collector if collector else "  output: none\n")
            + 'exporter:\n  listen: "127.0.0.1:0"\n'  # a port that the kernel chooses: port()
            + exporter
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.processes:
            if process.process.poll() is None:
                process.kill()
        self.temporary.cleanup()

    def program(self, name):
        return BUILD / PROGRAMS[name]

    def start(self, name, *arguments, ready="ready", stdin=None, stdout=None, user=None):
        process = Process([self.program(name), *arguments], self.env, stdin, stdout, user)
        self.processes.append(process)
        if ready:
            process.wait_line(ready)
        return process

    def run(self, name, *arguments, stdin=None, check=True, env=None):
        done = subprocess.run(
            [str(self.program(name)), *map(str, arguments)],
            env={**self.env, **(env or {})},
            input=stdin,
            stdin=None if stdin is not None else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            timeout=300,
        )
        if check and done.returncode != 0:
            raise Failure(f"{name} {' '.join(map(str, arguments))}: {done.returncode}: {done.stderr.decode('utf-8', 'replace')[-500:]}")
        return done

    @staticmethod
    def port(exporter):
        """Where a started exporter listens."""
        line = next(line for line in exporter.lines if "listening on http://" in line)
        return int(line.rsplit(":", 1)[1].strip("/"))

    def query(self, *arguments):
        """Entries as tfctl prints them, oldest first."""
        done = self.run("tfctl", "query", "-o", "json", *arguments)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def count(self, *arguments):
        return int(self.run("tfctl", "query", "--count", *arguments).stdout)

    def wait_count(self, number, *arguments, seconds=60.0):
        wait_until(lambda: self.count(*arguments) >= number, f"{number} entries of {arguments}", seconds, pause=0.1)
        found = self.count(*arguments)
        expect(found == number, f"{found} entries of {arguments}, not {number}")


def main(tests):
    """Run each test function; names are the specification. The last line is what the suite counts."""
    failed = 0
    wanted = sys.argv[1:]
    for test in tests:
        name = test.__name__
        if wanted and name not in wanted:
            continue
        begin = time.monotonic()
        try:
            test()
            print(f"ok   {name} ({time.monotonic() - begin:.1f} s)", flush=True)
        except Exception as error:  # any exception is the test's failure, told with its kind
            failed += 1
            print(f"FAIL {name}: {type(error).__name__}: {error}", flush=True)
    return 1 if failed else 0

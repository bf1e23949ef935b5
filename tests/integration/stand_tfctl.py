#!/usr/bin/env python3
"""tfctl beside the real programs: what was written is found by every filter, in every format, alive, dead and copied."""

import csv
import datetime
import io
import json
import pathlib
import shutil
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
from harness import Instance, expect, main, wait_until  # noqa: E402

LEVELS = ["trace", "debug", "info", "warn", "error", "critical"]
USERS = ["6f1c0f0e-5c0e-4b8e-9f0a-0d5e3a7c1b11", "6f1c0f0e-5c0e-4b8e-9f0a-0d5e3a7c1b12"]
UTC = datetime.timezone.utc
AGES = [30, 600, 5400, 4 * 3600, 3 * 86400, 30 * 86400]  # seconds


def stamp(when):
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Data:
    """A known set, through the agent's stdin as a user's JSON lines; sorted as a query prints it."""

    def __init__(self):
        self.instance = Instance(agent_inputs="[{ type: stdin }]")
        self.now = datetime.datetime.now(UTC).replace(microsecond=0)
        self.entries = [self.entry(i) for i in range(240)]
        instance = self.instance
        collector = instance.start("collector")
        instance.run("agent", stdin="".join(json.dumps(e) + "\n" for e in self.entries).encode())
        expect(collector.stop() == 0, "exit status")
        expect(instance.count("-F", "number ") == 240, "not all is stored")

    def entry(self, i):
        entry = {"timestamp": stamp(self.now - datetime.timedelta(seconds=AGES[i // 40])), "level": LEVELS[i % 6], "service": ["queue", "mail", "web"][i % 3],
                 "module": f"m{i % 2}", "operation": "op", "message": f"number {i} " + ("timeout" if i % 5 == 0 else "done"), "tries": i % 4}
        if i % 7 == 0:
            entry |= {"trace_id": f"{i:032x}", "correlation_id": f"c{i % 14}", "user_id": USERS[i % 2], "organization_id": USERS[1 - i % 2], "span_id": f"{i:016x}"}
        return entry

    def found(self, *arguments):
        return [int(e["message"].split()[1]) for e in self.instance.query("-F", "number ", *arguments)]

    def where(self, condition):
        """Oldest first; of one time in the order of arrival."""
        return sorted((i for i, e in enumerate(self.entries) if condition(i, e)), key=lambda i: (self.entries[i]["timestamp"], i))

    def check(self, condition, *arguments):
        wanted, found = self.where(condition), self.found(*arguments)
        expect(found == wanted, f"{arguments}: {len(found)} found, {len(wanted)} wanted: {found[:5]} {wanted[:5]}")
        expect(self.instance.count("-F", "number ", *arguments) == len(wanted), f"{arguments}: --count differs")

    def age(self, i):
        return AGES[i // 40]


def every_filter_finds_what_was_written():
    data = Data()
    with data.instance:
        for arguments, condition in (
            ((), lambda i, e: True),
            (("-s", "mail"), lambda i, e: i % 3 == 1),
            (("-s", "mail", "--service", "web"), lambda i, e: i % 3 > 0),
            (("--level", "error"), lambda i, e: i % 6 == 4),
            (("-p", "warning"), lambda i, e: i % 6 >= 3),
            (("--min-level", "crit"), lambda i, e: i % 6 == 5),
            (("--trace-id", f"{21:032x}"), lambda i, e: i == 21),
            (("--span-id", f"{21:016x}"), lambda i, e: i == 21),
            (("--correlation-id", "c7"), lambda i, e: i % 14 == 7),
            (("--user-id", USERS[0]), lambda i, e: i % 14 == 0),
            (("--organization-id", USERS[0]), lambda i, e: i % 14 == 7),
            (("-g", "number 1?5 "), lambda i, e: i in (5, 15)),
            (("-g", "number [0-9]+ (timeout|never)$"), lambda i, e: i % 5 == 0),
            (('{service="queue"}',), lambda i, e: i % 3 == 0),
            (('{service=~"que.*|mail",level!="info"} |= "timeout"',), lambda i, e: i % 3 < 2 and i % 6 != 2 and i % 5 == 0),
            (('{module="m1"} != "timeout" !~ "number 1[0-9]+ "',), lambda i, e: i % 2 == 1 and i % 5 and not (str(i)[0] == "1" and i > 9)),
            (('{tries="3"} |~ "number [0-9] "',), lambda i, e: i % 4 == 3 and i < 10),
            (("-s", "web", "-p", "error", "-g", "done", "-S", "1h"), lambda i, e: i % 3 == 2 and i % 6 >= 4 and i % 5 and AGES[i // 40] <= 3600),
        ):
            data.check(condition, *arguments)


def since_and_until_take_every_form_of_time():
    data = Data()
    with data.instance:
        local = data.now.astimezone()
        midnight = local.replace(hour=0, minute=0, second=0)
        at = data.now - datetime.timedelta(hours=2)
        for form, since in (
            ("90s", data.now - datetime.timedelta(seconds=90)),
            ("15m", data.now - datetime.timedelta(minutes=15)),
            ("2h", at),
            ("7d", data.now - datetime.timedelta(days=7)),
            (stamp(at), at),
            (at.astimezone(datetime.timezone(datetime.timedelta(hours=7))).isoformat(), at),
            (str(int(at.timestamp())), at),
            (at.astimezone().strftime("%Y-%m-%d %H:%M:%S"), at),
            (at.astimezone().strftime("%Y-%m-%d %H:%M"), at.replace(second=0)),
            (local.strftime("%Y-%m-%d"), midnight),
            ("today", midnight),
            ("yesterday", midnight - datetime.timedelta(days=1)),
        ):
            data.check(lambda i, e: e["timestamp"] >= stamp(since), "-S", form)
            data.check(lambda i, e: e["timestamp"] < stamp(since), "-U", form)
        noon = local.replace(hour=12, minute=34, second=0)
        data.check(lambda i, e: e["timestamp"] >= stamp(noon), "-S", "12:34")
        data.check(lambda i, e: stamp(data.now - datetime.timedelta(hours=2)) <= e["timestamp"] < stamp(data.now - datetime.timedelta(seconds=60)), "-S", "2h", "-U", stamp(data.now - datetime.timedelta(seconds=60)))


def limit_offset_reverse_and_context():
    data = Data()
    with data.instance:
        everything = data.where(lambda i, e: True)
        expect(data.found("-n", 7) == everything[:7], "-n")
        expect(data.found("-n", 7, "--offset", 5) == everything[5:12], "--offset")
        expect(data.found("-r") == everything[::-1], "-r")
        expect(data.found("-r", "-n", 3, "--offset", 2) == everything[::-1][2:5], "-r with limit and offset")
        expect(data.found("-n", 0) == [] and data.found("--offset", 240) == [], "nothing")
        around = [int(e["message"].split()[1]) for e in data.instance.query("-C", 2, "-g", "number 100 ")]
        expect(around == [98, 99, 100, 101, 102], f"-C: {around}")
        done = data.instance.run("tfctl", "query", "-s", "nobody")
        expect(done.stdout == b"" and done.stderr == b"", "nothing found is silence")


def text_json_and_csv_tell_the_same():
    data = Data()
    with data.instance:
        everything = data.where(lambda i, e: True)
        rows = list(csv.DictReader(io.StringIO(data.instance.run("tfctl", "query", "-F", "number ", "-o", "csv").stdout.decode(), newline="")))
        expect([int(r["message"].split()[1]) for r in rows] == everything, "csv")
        lines = data.instance.run("tfctl", "query", "-F", "number ", "--utc").stdout.decode().splitlines()
        expect(len(lines) == 240, f"{len(lines)} lines of text")
        for line, i in zip(lines, everything):
            expect(f"number {i} " in line and LEVELS[i % 6].upper() in line, line)
        stats = data.instance.run("tfctl", "stats").stdout.decode()
        expect("240" in stats or "80" in stats, f"stats: {stats}")
        queue = data.instance.run("tfctl", "stats", "--service", "queue").stdout.decode()
        expect("80" in queue and "mail" not in queue, f"stats of a service: {queue}")


def a_copied_partition_is_queried_elsewhere():
    data = Data()
    with data.instance as instance:
        copy = instance.root / "copy"
        (copy / "logs").mkdir(parents=True)
        for file in (instance.data / "logs").glob("*.mdb"):
            shutil.copy(file, copy / "logs")
        shutil.rmtree(instance.data)
        shutil.rmtree(instance.runtime)
        here = ("--data-dir", copy)
        found = instance.run("tfctl", *here, "query", "-o", "json", "-F", "number ").stdout.splitlines()
        expect(len(found) == 240, f"{len(found)} entries in the copy")
        expect(instance.run("tfctl", *here, "verify", check=False).returncode == 0, "verify of the copy")
        expect(instance.run("tfctl", *here, "query", "--count", "-s", "mail").stdout == b"80\n", "--count in the copy")


class Tail:
    def __init__(self, instance, *arguments):
        self.process = subprocess.Popen([instance.program("tfctl"), "tail", "-o", "json", *arguments], env=instance.env, stdout=subprocess.PIPE, text=True)
        self.seen = []
        self.thread = threading.Thread(target=lambda: self.seen.extend(json.loads(line)["message"] for line in iter(self.process.stdout.readline, "")))
        self.thread.start()

    def end(self):
        self.process.send_signal(signal.SIGINT)
        expect(self.process.wait(20) == 0, f"tail ended with {self.process.returncode}")
        self.thread.join(10)
        self.process.stdout.close()


def tail_follows_what_comes_over_a_restart_of_the_collector():
    with Instance() as instance:
        collector = instance.start("collector")
        instance.run("tflog", "-s", "t", stdin=b"".join(b"%d\n" % i for i in range(20)))
        instance.wait_count(20, "-s", "t")
        last = instance.run("tfctl", "tail", "-n", "3", "-s", "t", "-o", "json").stdout.splitlines()
        expect([json.loads(e)["message"] for e in last] == ["17", "18", "19"], f"tail -n: {last}")
        follower = Tail(instance, "-f", "-n", "2", "-s", "t", "-p", "info")
        wait_until(lambda: follower.seen == ["18", "19"], "the last two")
        for part in range(3):
            instance.run("tflog", "-s", "t", stdin=b"".join(b"%d\n" % i for i in range(20 + part * 50, 70 + part * 50)))
            instance.run("tflog", "-s", "t", "-l", "debug", "not wanted")
            wait_until(lambda: len(follower.seen) >= 52 + part * 50, "what came")
            collector.kill()
            instance.run("tflog", "-s", "other", "not wanted either")
            if part < 2:
                collector = instance.start("collector")
        expect(follower.seen == [str(i) for i in range(18, 170)], f"each once, in order: {follower.seen}")
        follower.end()


def tail_and_losses_work_with_the_collector_dead():
    with Instance() as instance:
        collector = instance.start("collector")
        instance.run("tflog", "-s", "t", "stored")
        instance.wait_count(1, "-s", "t")
        collector.kill()
        begin = time.monotonic()
        instance.run("tflog", "-s", "t", "in the ring")
        instance.run("tflog", "-s", "loud", stdin=b"".join(b"%d %s\n" % (i, b"." * 200) for i in range(20000)), check=False)
        seen = [json.loads(e)["message"] for e in instance.run("tfctl", "tail", "-s", "t", "-o", "json").stdout.splitlines()]
        expect(seen == ["stored", "in the ring"], str(seen))
        told = [json.loads(e) for e in instance.run("tfctl", "losses", "-o", "json").stdout.splitlines()]
        kept = len(instance.run("tfctl", "tail", "-n", "100000", "-s", "loud", "-o", "json").stdout.splitlines())
        expect([e["service"] for e in told] == ["loud"] and told[0]["count"] + kept == 20000, f"{told}, {kept} kept")
        expect(instance.count("-s", "t") == 1, "query reads the store alone")
        age = f"{int(time.monotonic() - begin) + 5}s"
        expect(instance.run("tfctl", "losses", "--since", age).stdout.count(b"\n") == 2, "losses of the last seconds, with a head")
        expect(instance.run("tfctl", "losses", "--since", stamp(datetime.datetime.now(UTC) + datetime.timedelta(minutes=1))).stdout == b"", "losses of the future")


if __name__ == "__main__":
    sys.exit(
        main(
            [
                every_filter_finds_what_was_written,
                since_and_until_take_every_form_of_time,
                limit_offset_reverse_and_context,
                text_json_and_csv_tell_the_same,
                a_copied_partition_is_queried_elsewhere,
                tail_follows_what_comes_over_a_restart_of_the_collector,
                tail_and_losses_work_with_the_collector_dead,
            ]
        )
    )

"""tfctl tail and losses over rings and store, with the collector down, coming and being killed. Argument: tfctl_write_ring."""

import json
import pathlib
import signal
import subprocess
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "lib"))
from harness import Instance, expect, main, wait_until  # noqa: E402

WRITE_RING = sys.argv.pop(1)


class Writer:
    """An application that does what it is told."""

    def __init__(self, instance, service):
        self.process = subprocess.Popen([WRITE_RING, service], env=instance.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def tell(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def end(self):
        self.process.stdin.close()
        expect(self.process.wait(30) == 0, "the writer failed")
        self.process.stdout.close()


class Follower:
    """tfctl tail -f; its lines as they come."""

    def __init__(self, instance, *arguments):
        self.process = subprocess.Popen(
            [instance.program("tfctl"), "tail", "-f", "-o", "json", *arguments], env=instance.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.entries = []
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self):
        for line in self.process.stdout:
            self.entries.append(json.loads(line))

    def texts(self):
        return [e["message"] for e in self.entries]

    def end(self):
        self.process.send_signal(signal.SIGINT)
        expect(self.process.wait(30) == 0, f"tail ended badly: {self.process.stderr.read()}")
        self.thread.join(10)
        self.process.stdout.close()
        self.process.stderr.close()


def said(text):
    return f"said: {text} ({len(text)} bytes)"


def tail(instance, *arguments):
    return [json.loads(line) for line in instance.run("tfctl", "tail", "-o", "json", *arguments).stdout.splitlines()]


def shows_what_stands_in_the_rings_without_a_collector():
    with Instance() as instance:
        writer = Writer(instance, "shop")
        writer.tell("log info first")
        writer.tell("log error second")
        writer.tell("large warn third")
        found = tail(instance)
        expect([e["message"] for e in found[:2]] == [said("first"), said("second")], f"found {[e['message'][:30] for e in found]}")
        expect(len(found) == 3 and found[2]["message"].startswith("third"), "the large one is not there")
        expect(all(e["service"] == "shop" and e["pid"] == writer.process.pid and e["operation"] == "obey" and e["host"] for e in found), f"{found[0]}")
        expect([e["message"] for e in tail(instance, "-p", "warn", "-F", "said")] == [said("second")], "filters do not hold")
        expect([e["message"][:5] for e in tail(instance, "-n", "1")] == ["third"], "-n 1 is not the last")
        expect(instance.count() == 0, "query reads the store alone")
        writer.end()
        expect(len(tail(instance)) == 3, "what the application left is not there")
        expect(len(tail(instance, "--data-dir", instance.data)) == 3, "the runtime folder of the environment holds beside the option")


def shows_each_entry_once_when_it_is_stored_later():
    with Instance() as instance:
        writer = Writer(instance, "shop")
        writer.tell("log info before")
        follower = Follower(instance)
        wait_until(lambda: follower.texts() == [said("before")], "what stands in the ring")
        writer.tell("log info without")
        wait_until(lambda: len(follower.entries) == 2, "what came without a collector")
        instance.start("collector")
        instance.wait_count(2, "-s", "shop")
        writer.tell("log info with")
        writer.tell("large info with")
        instance.wait_count(4, "-s", "shop")
        wait_until(lambda: len([e for e in follower.entries if e["service"] == "shop"]) >= 4, "what came with it")
        follower.end()
        texts = [e["message"][:30] for e in follower.entries if e["service"] == "shop"]
        expect(texts[:3] == [said("before"), said("without"), said("with")] and len(texts) == 4, f"{texts}")
        stored = {e["id"] for e in instance.query("-s", "shop")}
        expect({e["id"] for e in follower.entries if e["service"] == "shop"} == stored, "the ids are others than those stored")
        expect(len(tail(instance, "-s", "shop")) == 4, "tail doubles")
        writer.end()


def shows_each_entry_once_while_the_collector_is_killed():
    with Instance() as instance:
        writer = Writer(instance, "shop")
        follower = Follower(instance, "-s", "shop")
        count = 0
        for _ in range(6):
            collector = instance.start("collector")
            for _ in range(100):
                writer.tell(f"log info number {count}")
                count += 1
            collector.kill()
            for _ in range(20):
                writer.tell(f"log info number {count}")
                count += 1
            wait_until(lambda: len(follower.entries) >= count, "what is partly stored, partly in the ring")
        instance.start("collector")
        instance.wait_count(count, "-s", "shop")
        wait_until(lambda: len(follower.entries) >= count, "all entries")
        follower.end()
        numbers = [int(e["message"].split()[2]) for e in follower.entries]
        expect(sorted(numbers) == list(range(count)), f"{len(numbers)} entries of {count}, {len(set(numbers))} different")
        expect(numbers == list(range(count)), "the order is another than that of writing")
        writer.end()


def losses(instance, *arguments):
    rows = instance.run("tfctl", "losses", "--format", "json", *arguments).stdout.splitlines()
    return [json.loads(row) for row in rows]


def counts_losses_once_with_and_without_a_collector():
    with Instance() as instance:
        writer = Writer(instance, "shop")
        lost = int(writer.tell("flood info 20000"))
        expect(lost > 0, "nothing was lost")
        rows = losses(instance)
        expect(sum(r["count"] for r in rows) == lost, f"{rows} are not {lost}")
        expect(all(r["service"] == "shop" and r["level"] == "info" and r["first"] <= r["last"] for r in rows), f"{rows}")
        expect(losses(instance, "-s", "other") == [] and losses(instance, "--since", "2200-01-01") == [], "filters do not hold")
        collector = instance.start("collector")
        instance.wait_count(20000 - lost, "-s", "shop")
        wait_until(lambda: instance.count('{service="taskforge",module="loss"}') > 0, "the loss entry")
        expect(sum(r["count"] for r in losses(instance)) == lost, f"{losses(instance)} with a collector are not {lost}")
        collector.kill()
        lost = int(writer.tell("flood debug 20000"))
        expect(sum(r["count"] for r in losses(instance)) == lost, f"{losses(instance)} after it died are not {lost}")
        writer.end()
        expect(sum(r["count"] for r in losses(instance)) == lost, "the dead application's ledger is not read")
        instance.start("collector")
        wait_until(lambda: instance.count('{service="taskforge",module="loss",level="warn"} |= "debug"') > 0, "the second loss entry")
        expect(sum(r["count"] for r in losses(instance)) == lost, f"{losses(instance)} at the end are not {lost}")


TESTS = [
    shows_what_stands_in_the_rings_without_a_collector,
    shows_each_entry_once_when_it_is_stored_later,
    shows_each_entry_once_while_the_collector_is_killed,
    counts_losses_once_with_and_without_a_collector,
]

sys.exit(main(TESTS))

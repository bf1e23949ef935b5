#!/usr/bin/env python3
"""The table of the commit protocol (DESIGN section 5), line by line: the collector killed or failing at each named point, and
at random instants, producers killed too. After each: every accepted entry and span is in the store once, in order, and the
producers' attempted = stored + told as lost. TASKFORGE_LONG=1: many more rounds."""

import json
import os
import pathlib
import random
import resource
import signal
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
import harness  # noqa: E402
from harness import BUILD, LONG, Instance, expect, in_time, main, wait_until  # noqa: E402

harness.PROGRAMS["faults"] = "collector/taskforge-collector-faults"
PROBE = BUILD / "tests/integration/collector_probe"
ROUNDS, LIVES = (40, 25) if LONG else (6, 1)  # kills at random instants of one instance, and instances


class Producer:
    """A process that writes for ever until it is killed, or COUNT entries a thread."""

    def __init__(self, instance, service, threads=2, count=0, payload=150, level="info", mode="slow"):
        self.instance, self.service, self.threads, self.mode = instance, service, threads, mode
        self.counters_path = instance.root / f"counters-{service}"
        self.process = subprocess.Popen(
            [PROBE, "produce", instance.runtime, service, self.counters_path, str(threads), str(count), str(payload), level, mode],
            env=instance.env,
        )
        instance.processes.append(self)  # ended with the instance, however the test goes

    def counters(self):
        words = self.counters_path.read_bytes() if self.counters_path.exists() else b""
        numbers = [int.from_bytes(words[i : i + 8], "little") for i in range(0, len(words), 8)]
        return [tuple(numbers[i : i + 3]) for i in range(0, len(numbers), 3)]

    def accepted(self):
        return sum(c[1] for c in self.counters())

    def wait_progress(self, more=200):
        begin = self.accepted()
        wait_until(lambda: self.accepted() >= begin + more or self.process.poll() is not None, f"{self.service} to be accepted", pause=0.002)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def wait(self):
        expect(self.process.wait(120) == 0, f"{self.service}: exit status {self.process.returncode}")


def span_numbers(instance, service, thread, count):
    """Of all spans that are stored, doubled ones twice: the probe has a thousand of them in a trace."""
    numbers = []
    for part in range(count // 1000 + 1):
        trace = service.encode()[:8].ljust(8, b"\0") + part.to_bytes(7, "little") + bytes([thread])
        told = instance.run("tfctl", "trace", trace.hex(), "-o", "json").stdout
        numbers += [int(span["operation"]) for span in json.loads(told)["spans"]] if told else []
    return numbers


def numbers_by_thread(instance, producer):
    found, service = {}, producer.service
    if producer.mode == "spans":
        return {t: span_numbers(instance, service, t, c[0]) for t, c in enumerate(producer.counters())}
    for entry in instance.query("-s", service, '{module!="crash"}'):
        _, thread, number, *_ = entry["message"].split(" ", 3)
        found.setdefault(int(thread), []).append(int(number))
    return found


def judge(instance, producer, killed=True):
    """Everything accepted once: numbers 0 .. accepted - 1, and one more at most where a kill came between commit and count."""
    found = numbers_by_thread(instance, producer)
    for thread, (attempted, accepted, _) in enumerate(producer.counters()):
        numbers = found.get(thread, [])
        expect(len(numbers) == len(set(numbers)), f"{producer.service} {thread}: {len(numbers) - len(set(numbers))} doubled")
        missing = set(range(accepted)) - set(numbers)
        expect(not missing, f"{producer.service} {thread}: {len(missing)} of {accepted} missing, the first {min(missing, default=0)}")
        expect(producer.mode == "spans" or numbers == sorted(numbers), f"{producer.service} {thread}: out of order")
        expect(len(numbers) <= (attempted if killed else accepted), f"{producer.service} {thread}: {len(numbers)} of {attempted}")
    told = instance.count("-s", producer.service, '{module="crash"}')
    gone = producer.process.returncode == -signal.SIGKILL
    expect(told == gone, f"{producer.service}: its end was told {told} times, it was {'killed' if gone else 'not killed'}")


def settle(instance, name="collector"):
    """A clean run that takes in all there is."""
    collector = instance.start(name)
    expect(collector.stop() == 0, "exit status of the last run")
    return collector


def fault(instance, spec, ready="ready"):
    instance.env["TASKFORGE_FAULT"] = spec
    collector = instance.start("faults", ready=ready)
    del instance.env["TASKFORGE_FAULT"]
    return collector


def wait_killed(collector, producer=None):
    wait_until(lambda: collector.process.poll() is not None, "the named point", 60)
    expect(collector.process.returncode == -signal.SIGKILL, f"ended with {collector.process.returncode}: {collector.lines[-3:]}")


def killed_at(point, first, collector_config="", settled="collector", **produced):
    with Instance(collector="  output: none\n" + collector_config) as instance:
        settle(instance)
        producers = [Producer(instance, "app", **produced), Producer(instance, "traced", threads=1, mode="spans")]
        for attempt in range(2):
            collector = fault(instance, f"{point}:{first + attempt}:1:kill")
            wait_killed(collector)
        for producer in producers:
            producer.kill()
        settle(instance, settled)
        for producer in producers:
            judge(instance, producer)
        expect(instance.run("tfctl", "verify", check=False).returncode == 0, "tfctl verify")


def killed_before_the_commit():
    killed_at("before_commit", 5)


def killed_after_the_commit_before_the_tails_advance():
    killed_at("after_commit", 5)


def killed_after_the_tails_advanced():
    killed_at("after_tails", 5)


def killed_at_each_point_of_rolling():
    for point in ("roll_created", "roll_closed", "roll_ready"):
        killed_at(point, 2, "  partition: 1s\n")


def killed_while_dead_producers_are_reaped():
    for point in ("lane_freed", "slot_freed"):
        with Instance(ring_size="16MiB") as instance:
            settle(instance)
            producers = []
            for i in range(3):
                producers.append(Producer(instance, f"app{i}", mode="drop", count=4000 if i == 2 else 0, payload=400))
                producers[-1].wait() if i == 2 else (producers[-1].wait_progress(), producers[-1].kill())
                collector = fault(instance, f"{point}:1:1:kill", ready=None)
                wait_killed(collector)
            collector = instance.start("collector")
            wait_until(lambda: instance.count("-s", "app2") >= producers[2].accepted(), "the last producer")
            collector.stop()
            settle(instance)
            for producer in producers:
                judge(instance, producer)
            losses_add_up(instance, producers[2])


def losses_add_up(instance, producer):
    told = sum(
        e["metadata"]["count"] for e in instance.query("-s", "taskforge") if e["module"] == "loss" and e["metadata"]["service"] == producer.service
    )
    dropped = sum(c[2] for c in producer.counters())
    expect(told == dropped, f"{producer.service}: {told} told, {dropped} dropped")


def killed_at_random_instants_with_its_producers():
    seed = int(os.environ.get("TASKFORGE_SEED", random.randrange(1 << 30)))
    dice = random.Random(seed)
    print(f"     seed {seed}", flush=True)
    for _ in range(LIVES):
        random_kills(dice)


FAILING = "commit:1:1000000:28"  # every commit: no space left


def random_kills(dice):
    """With rolls and merges, and in one life of three the spill instead of the store."""
    with Instance(ring_size="32MiB", collector="  output: none\n  partition: 2s\n") as instance:
        settle(instance)
        producers, living = [], []
        for _ in range(ROUNDS):
            collector = fault(instance, FAILING, ready=None) if dice.random() < 0.33 else instance.start("collector", ready=None)
            while len(living) < 3:
                mode = "spans" if len(producers) % 3 == 1 else "slow"
                payload = dice.choice([150, 150, 3000])
                producer = Producer(instance, f"app{len(producers)}", threads=dice.randint(1, 3), payload=payload, level=dice.choice(["info", "error"]), mode=mode)
                producers.append(producer)
                living.append(producer)
            time.sleep(dice.random() * 0.6)  # the instant itself is what is random
            collector.kill()
            if dice.random() < 0.6:
                victim = living.pop(dice.randrange(len(living)))
                victim.kill()
        for producer in living:
            producer.kill()
        settle_spilled(instance)
        for producer in producers:
            judge(instance, producer)
        expect(instance.run("tfctl", "verify", check=False).returncode == 0, "tfctl verify")


def settle_spilled(instance):
    """A clean run that takes in the spill, too: an end does not wait for that."""
    collector = instance.start("collector")
    wait_until(lambda: not spill_files(instance), "the spill to be taken in", 120)
    expect(collector.stop() == 0, "exit status of the last run")


POINTS = ("before_commit", "after_commit", "before_fold", "after_fold", "after_tails", "roll_created", "roll_closed", "roll_ready")
SPILL_POINTS = ("spill_before", "spill_after")


def killed_at_each_point_again_and_again():
    """One instance, a life for each point and each of the first times that it is passed; then the spill's."""
    with Instance(ring_size="8MiB", collector="  output: none\n  partition: 1s\n  flush_interval: 20ms\n") as instance:
        settle(instance)
        producers = [Producer(instance, "app", threads=2, payload=1500), Producer(instance, "traced", threads=1, mode="spans")]
        for point in POINTS:
            for passed in range(1, 41 if LONG and "roll" not in point else 11 if LONG else 2):
                wait_killed(fault(instance, f"{point}:{passed}:1:kill", ready=None))
        for point in SPILL_POINTS:
            for passed in range(1, 21 if LONG else 2):
                wait_killed(fault(instance, f"{FAILING},{point}:{passed}:1:kill", ready=None))
        for producer in producers:
            producer.kill()
        if spill_files(instance):
            wait_killed(fault(instance, "spill_unlink:1:1:kill", ready=None))
        settle_spilled(instance)
        for producer in producers:
            judge(instance, producer)
        expect(instance.run("tfctl", "verify", check=False).returncode == 0, "tfctl verify")


def a_store_that_cannot_be_written_fills_the_spill_and_is_made_up_for():
    with Instance(ring_size="8MiB") as instance:
        settle(instance)
        collector = fault(instance, "commit:3:12:28")
        producer = Producer(instance, "app", threads=2, count=30000, payload=400, mode="wait")
        collector.wait_line("cannot be written")
        wait_until(lambda: spill_files(instance), "the spill file")
        producer.wait()
        collector.wait_line("the spill is in the store", 120)
        expect(not spill_files(instance), "the spill file is gone")
        collector.stop()
        judge(instance, producer, killed=False)
        losses_add_up(instance, producer)


def spill_files(instance):
    return list((instance.root / "spill").glob("spill-*"))


def killed_at_each_point_of_the_spill():
    for point, passed in (("spill_before", 2), ("spill_after", 1), ("spill_after", 3)):
        with Instance(ring_size="8MiB") as instance:
            settle(instance)
            producer = Producer(instance, "app", threads=2, count=12000, payload=400, mode="wait")
            traced = Producer(instance, "traced", threads=1, count=2000, mode="spans")
            for _ in range(2):
                wait_killed(fault(instance, f"{FAILING},{point}:{passed}:1:kill"))
            collector = fault(instance, FAILING)
            producer.wait_progress(500)  # or all that is left
            collector.kill()
            expect(spill_files(instance), "the spill file")
            wait_killed(fault(instance, "after_commit:2:1:kill", ready=None))  # while it is taken in
            wait_killed(fault(instance, "spill_unlink:1:1:kill", ready=None))
            collector = instance.start("collector")
            producer.wait()
            traced.wait()
            collector.stop()
            judge(instance, producer, killed=False)
            judge(instance, traced, killed=False)
            expect(not spill_files(instance), "the spill file is gone")


def where_neither_store_nor_spill_can_grow_the_lanes_hold():
    with Instance(ring_size="8MiB") as instance:
        settle(instance)
        (partition,) = (instance.data / "logs").glob("*.mdb")
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (partition.stat().st_size + (64 << 10), before[1]))
        try:
            collector = instance.start("collector")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        producer = Producer(instance, "app", threads=2, count=12000, payload=400, mode="wait")
        collector.wait_line("cannot write the spill")
        held = wait_until(lambda: held_at(producer), "the producer to be held")
        collector.stop()
        expect(held < 24000, f"{held} were accepted")
        collector = instance.start("collector")
        producer.wait()
        collector.stop()
        judge(instance, producer, killed=False)


def held_at(producer):
    """How many were accepted, once that has not changed for a while."""
    accepted = producer.accepted()
    time.sleep(0.3)
    return accepted if producer.accepted() == accepted else 0


def a_damaged_authority_is_set_aside_and_the_rings_are_read_on():
    for keep in (3 * 4096, 12 * 4096):  # seen at the start, or at the first commit that reaches the hole
        with Instance() as instance:
            settle(instance)
            settle_after(instance, Producer(instance, "first", count=2000))
            (partition,) = (instance.data / "logs").glob("*.mdb")
            os.truncate(partition, keep)
            second = Producer(instance, "second", count=1000)
            second.wait()
            collector = instance.start("collector")
            wait_until(lambda: any("damaged" in line for line in collector.lines), "the line that says so")
            wait_until(lambda: list((instance.data / "logs").glob("*.damaged")), "the file that is set aside")
            instance.wait_count(2000, "-s", "second")
            collector.stop()
            settle(instance)
            judge(instance, second, killed=False)


def settle_after(instance, producer):
    collector = instance.start("collector")
    producer.wait()
    expect(collector.stop() == 0, "exit status")


def a_cut_ring_is_set_aside_within_a_second_and_clients_go_on_in_a_new_one():
    with Instance() as instance:
        collector = instance.start("collector")
        producer = Producer(instance, "app", threads=1)
        producer.wait_progress()
        ring = instance.runtime / "rings" / str(os.getuid())
        ring_before = ring.stat().st_ino
        producer.process.send_signal(signal.SIGSTOP)
        os.truncate(ring, 8192)
        begin = time.monotonic()
        collector.wait_line("set aside")
        expect(time.monotonic() - begin < in_time(2), "it took longer than a second")
        expect(list((instance.runtime / "quarantine").iterdir()), "the quarantine")
        producer.process.kill()
        producer.process.wait()
        after = Producer(instance, "after", threads=2, count=500)
        after.wait()
        expect(ring.stat().st_ino != ring_before, "a new ring")
        instance.wait_count(1000, "-s", "after")
        expect(collector.stop() == 0, "exit status")


def a_scribbled_ring_is_set_aside_and_the_collector_lives():
    dice = random.Random(7)
    with Instance() as instance:
        collector = instance.start("collector")
        ring = instance.runtime / "rings" / str(os.getuid())
        for number in range(4 if not LONG else 40):
            producer = Producer(instance, f"app{number}", threads=2)
            producer.wait_progress()
            with ring.open("r+b") as file:
                for _ in range(50):
                    file.seek(dice.randrange(0, 16384) & ~7)
                    file.write(dice.randbytes(64))
            wait_until(lambda: sum("set aside" in line for line in collector.lines) > number, "the quarantine", 10)
            producer.kill()
        after = Producer(instance, "after", threads=2, count=500)
        after.wait()
        instance.wait_count(1000, "-s", "after")
        expect(collector.stop() == 0, "exit status")


def a_stopped_producer_delays_nobody():
    with Instance() as instance:
        instance.start("collector")
        stopped = Producer(instance, "stopped", threads=2)
        stopped.wait_progress()
        stopped.process.send_signal(signal.SIGSTOP)
        other = Producer(instance, "other", threads=2, count=2000)
        other.wait()
        instance.wait_count(4000, "-s", "other", seconds=20)
        stopped.process.send_signal(signal.SIGCONT)
        stopped.wait_progress()
        stopped.kill()


if __name__ == "__main__":
    sys.exit(
        main(
            [
                killed_before_the_commit,
                killed_after_the_commit_before_the_tails_advance,
                killed_after_the_tails_advanced,
                killed_at_each_point_of_rolling,
                killed_while_dead_producers_are_reaped,
                killed_at_each_point_again_and_again,
                killed_at_random_instants_with_its_producers,
                a_store_that_cannot_be_written_fills_the_spill_and_is_made_up_for,
                killed_at_each_point_of_the_spill,
                where_neither_store_nor_spill_can_grow_the_lanes_hold,
                a_damaged_authority_is_set_aside_and_the_rings_are_read_on,
                a_cut_ring_is_set_aside_within_a_second_and_clients_go_on_in_a_new_one,
                a_scribbled_ring_is_set_aside_and_the_collector_lives,
                a_stopped_producer_delays_nobody,
            ]
        )
    )

#!/usr/bin/env python3
"""The collector as a user meets it: from ring to store and output, restart, refusal, reload, bad places."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
from harness import BUILD, Failure, Instance, expect, main, wait_until  # noqa: E402

PROBE = BUILD / "tests/integration/collector_probe"
OUTPUT = "  output: {root}/out.ndjson\n"


def produce(instance, service, threads=1, count=10, payload=20, level="info", mode="wait"):
    counters = instance.root / f"counters-{service}"
    return subprocess.run(
        [PROBE, "produce", instance.runtime, service, counters, str(threads), str(count), str(payload), level, mode],
        env=instance.env,
        check=True,
        timeout=60,
    )


def positions(instance, name):
    done = subprocess.run([PROBE, "positions", instance.runtime, name], env=instance.env, stdout=subprocess.PIPE, timeout=30, check=True)
    pairs = [line.split(" ") for line in done.stdout.decode().splitlines()]
    return {bytes.fromhex(key).decode(): bytes.fromhex(value).decode() for key, value in pairs}


def with_output(instance, extra=""):
    instance.write_config(collector=OUTPUT.format(root=instance.root) + extra)
    return instance.root / "out.ndjson"


def lines(path):
    whole = path.read_bytes().rpartition(b"\n")[0] if path.exists() else b""  # the last line may be being written
    return [json.loads(line) for line in whole.splitlines()]


def what_a_process_writes_is_stored_once_and_printed():
    with Instance() as instance:
        out = with_output(instance)
        collector = instance.start("collector")
        produce(instance, "billing", threads=3, count=500)
        instance.wait_count(1500, "-s", "billing")
        wait_until(lambda: len(lines(out)) >= 1500, "the output")
        printed = lines(out)
        expect(len({entry["id"] for entry in printed}) == 1500, "ids of the output are not unique")
        expect(list(printed[0])[:7] == ["id", "timestamp", "level", "service", "module", "operation", "message"], str(printed[0]))
        expect(oct(out.stat().st_mode & 0o777) == "0o640", "the output file's mode")
        expect(collector.stop() == 0, "exit status")


def order_within_a_thread_is_kept():
    with Instance() as instance:
        out = with_output(instance)
        instance.start("collector")
        produce(instance, "order", threads=4, count=2000, payload=100)
        wait_until(lambda: len(lines(out)) >= 8000, "the output")
        last = {}
        for entry in lines(out):
            _, thread, number, *_ = entry["message"].split(" ")
            expect(int(number) == last.get(thread, -1) + 1, f"{entry['message'][:40]} after {last.get(thread)}")
            last[thread] = int(number)


def what_was_written_without_a_collector_is_stored_when_it_comes():
    with Instance() as instance:
        instance.start("collector").stop()
        produce(instance, "early", threads=2, count=100)
        instance.start("collector")
        instance.wait_count(200, "-s", "early")


def a_second_collector_is_refused_and_names_the_first():
    with Instance() as instance:
        first = instance.start("collector")
        second = instance.run("collector", check=False)
        expect(second.returncode == 1, f"exit status {second.returncode}")
        expect(str(first.process.pid) in second.stderr.decode(), second.stderr.decode())
        expect(len(second.stderr.splitlines()) == 1, "one line")


def positions_say_how_far_the_store_goes():
    with Instance() as instance:
        collector = instance.start("collector")
        produce(instance, "in", threads=2, count=300)
        found = positions(instance, "in")
        expect(found == {"0": "300", "1": "300"}, str(found))
        expect(instance.count("-s", "in") == 600, "what the answer covers is in the store")
        expect(positions(instance, "unheard") == {}, "an unknown input")
        collector.stop()
        instance.start("collector")
        expect(positions(instance, "in") == found, "after a restart")


def sigterm_stores_what_is_in_the_rings():
    with Instance() as instance:
        collector = instance.start("collector")
        produce(instance, "late", threads=1, count=1000)
        expect(collector.stop() == 0, "exit status")
        expect(instance.count("-s", "late") == 1000, f"{instance.count('-s', 'late')} entries")


def sighup_reopens_the_output_and_keeps_the_old_configuration_when_the_new_is_faulty():
    with Instance() as instance:
        out = with_output(instance)
        collector = instance.start("collector")
        produce(instance, "one", count=5)
        wait_until(lambda: len(lines(out)) == 5, "the output")
        out.rename(instance.root / "moved")
        collector.process.send_signal(signal.SIGHUP)
        wait_until(out.exists, "the new output file")
        produce(instance, "two", count=5)
        wait_until(lambda: len(lines(out)) == 6, "the output in the new file, and the audit entry of the reload")
        instance.config.write_text("collector: { flush_interval: never }\n")
        collector.process.send_signal(signal.SIGHUP)
        collector.wait_line("flush_interval")
        produce(instance, "three", count=5)
        wait_until(lambda: len(lines(out)) == 11, "the output after the faulty reload")


def a_blocked_stdout_delays_nothing():
    with Instance(collector="  output: stdout\n") as instance:
        collector = instance.start("collector", stdout=subprocess.PIPE)
        produce(instance, "noisy", threads=2, count=3000, payload=200)
        instance.wait_count(6000, "-s", "noisy")
        expect(collector.stop(10) == 0, "exit status with nobody reading")


def losses_are_stored_as_entries_that_add_up():
    with Instance(ring_size="8MiB") as instance:
        instance.start("collector").stop()
        produce(instance, "greedy", threads=1, count=20000, payload=200, mode="drop")
        instance.start("collector")
        attempted, accepted, dropped = counters(instance, "greedy")[0]
        expect(attempted == 20000 and dropped > 0, f"{attempted} {accepted} {dropped}")
        instance.wait_count(accepted, "-s", "greedy")
        wait_until(lambda: instance.count("-s", "taskforge"), "the loss entry")
        told = sum(e["metadata"]["count"] for e in instance.query("-s", "taskforge") if e["module"] == "loss")
        expect(told == dropped, f"{told} told, {dropped} dropped")


def counters(instance, service):
    words = (instance.root / f"counters-{service}").read_bytes()
    numbers = [int.from_bytes(words[i : i + 8], "little") for i in range(0, len(words), 8)]
    return [tuple(numbers[i : i + 3]) for i in range(0, len(numbers), 3)]


def the_output_goes_on_across_partitions_and_a_kill():
    with Instance() as instance:
        out = with_output(instance, "  partition: 1s\n")
        for number in range(6):
            collector = instance.start("collector")
            produce(instance, "rolled", threads=2, count=300)
            instance.wait_count(600 * (number + 1), "-s", "rolled")
            if number % 2:
                collector.kill()
            else:
                wait_until(lambda: time.time() % 1 < 0.5, "the next second")
                collector.stop()
        instance.start("collector")
        stored = {entry["id"] for entry in instance.query("-s", "rolled")}
        expect(len(stored) == 3600, f"{len(stored)} stored")
        wait_until(lambda: {entry["id"] for entry in lines(out)} >= stored, "all of it in the output")
        partitions = list((instance.data / "logs").glob("*.mdb"))
        expect(len(partitions) > 1, f"{len(partitions)} partitions")


def old_partitions_go_and_the_authority_stays():
    with Instance(collector="  output: none\n  partition: 1s\n  retention: { max_age: 1s, keep_free: 0% }\n") as instance:
        collector = instance.start("collector")
        produce(instance, "old", count=10)
        instance.wait_count(10, "-s", "old")
        wait_until(lambda: time.time() % 1 < 0.2, "another second")
        produce(instance, "new", count=10)
        instance.wait_count(10, "-s", "new")
        collector.stop()
        time.sleep(1.2)  # what is waited for is age itself
        collector = instance.start("collector")
        collector.wait_line("retention removed")
        expect(instance.count("-s", "old") == 0, "the old partition is gone")
        expect(instance.count("-s", "new") == 10, "the newest stays, old or not")
        expect(collector.stop() == 0, "exit status")


def a_full_disk_is_survived():
    with Instance() as instance:
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", instance.data], stderr=subprocess.DEVNULL).returncode != 0:
            print("     skipped: no right to mount a small disk", flush=True)
            return
        try:
            collector = instance.start("collector")
            produce(instance, "before", count=10)
            instance.wait_count(10, "-s", "before")
            filler = instance.data / "filler"
            with filler.open("wb", buffering=0) as file:
                try:
                    while True:
                        file.write(bytes(4096))
                except OSError:
                    pass
            written = 0
            while not any("cannot be written" in line for line in collector.lines) and written < 4_000_000:
                produce(instance, "while", threads=2, count=100000, payload=300)  # until the file has no room left as it is
                written += 200000
            collector.wait_line("cannot be written")
            filler.unlink()
            collector.wait_line("can be written again")
            instance.wait_count(written, "-s", "while")
            expect(collector.stop() == 0, "exit status")
            expect(instance.run("tfctl", "verify", check=False).returncode == 0, "tfctl verify")
        finally:
            for process in instance.processes:
                if process.process.poll() is None:
                    process.kill()
            subprocess.run(["umount", instance.data], check=True)


def bad_places_give_one_line_and_a_status():
    with Instance() as instance:
        file = instance.root / "file"
        file.write_text("")
        for key, value in (("TASKFORGE_DATA_DIR", file), ("TASKFORGE_RUNTIME_DIR", file), ("TASKFORGE_DATA_DIR", file / "x"), ("TASKFORGE_RUNTIME_DIR", "/proc/taskforge")):
            done = instance.run("collector", check=False, env={key: str(value)})
            expect(done.returncode == 1, f"{key}={value}: exit status {done.returncode}")
            expect(len(done.stderr.splitlines()) == 1, f"{key}={value}: {done.stderr.decode()}")
        done = instance.run("collector", "--config", instance.root / "none.yaml", check=False)
        expect(done.returncode == 1 and len(done.stderr.splitlines()) == 1, "a missing configuration")
        with_output(instance)
        instance.config.write_text(instance.config.read_text().replace("out.ndjson", "no/such/folder/out"))
        done = instance.run("collector", check=False)
        expect(done.returncode == 1 and b"no/such/folder" in done.stderr, "an output that cannot be opened")


def an_idle_collector_uses_next_to_no_processor():
    with Instance() as instance:
        collector = instance.start("collector")
        produce(instance, "idle", count=1)
        instance.wait_count(1, "-s", "idle")
        stat = pathlib.Path(f"/proc/{collector.process.pid}/stat")

        def ticks():
            fields = stat.read_text().rsplit(")", 1)[1].split()
            return int(fields[11]) + int(fields[12])

        before, begin = ticks(), time.monotonic()
        wait_until(lambda: time.monotonic() - begin > 3, "three seconds of rest", pause=0.5)
        used = (ticks() - before) / os.sysconf("SC_CLK_TCK") / (time.monotonic() - begin)
        expect(used < 0.03, f"{used * 100:.1f} % of a processor at rest")


if __name__ == "__main__":
    sys.exit(
        main(
            [
                what_a_process_writes_is_stored_once_and_printed,
                order_within_a_thread_is_kept,
                what_was_written_without_a_collector_is_stored_when_it_comes,
                a_second_collector_is_refused_and_names_the_first,
                positions_say_how_far_the_store_goes,
                sigterm_stores_what_is_in_the_rings,
                sighup_reopens_the_output_and_keeps_the_old_configuration_when_the_new_is_faulty,
                a_blocked_stdout_delays_nothing,
                losses_are_stored_as_entries_that_add_up,
                the_output_goes_on_across_partitions_and_a_kill,
                old_partitions_go_and_the_authority_stays,
                a_full_disk_is_survived,
                bad_places_give_one_line_and_a_status,
                an_idle_collector_uses_next_to_no_processor,
            ]
        )
    )

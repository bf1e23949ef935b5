#!/usr/bin/env python3
"""Repeats are stored once with a count, and none is lost or doubled: at the end of a window, at a stop, over kills at each point of a commit."""

import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
from harness import LONG, PROGRAMS, Instance, expect, main, wait_until  # noqa: E402

PROGRAMS["faults"] = "collector/taskforge-collector-faults"
POINTS = ("before_commit", "after_commit", "before_fold", "after_fold", "after_tails")


def with_window(instance, window, extra=""):
    instance.write_config(collector=f"  output: none\n  dedup: {{ window: {window} }}\n{extra}")


def write(instance, lines, level="info"):
    instance.run("tflog", "-s", "shop", "-l", level, "--wait", "10s", stdin="".join(line + "\n" for line in lines).encode())


def counts(instance):
    """How many entries of each message there were, by what the store says."""
    found = {}
    for entry in instance.query("-s", "shop"):
        number, stored = found.get(entry["message"], (0, 0))
        found[entry["message"]] = (number + entry["metadata"].get("repeated", 1), stored + 1)
    return found


def repeats_are_stored_once_with_a_count_when_the_window_ends():
    with Instance() as instance:
        with_window(instance, "1s")
        instance.start("collector")
        write(instance, ["again"] * 50 + ["other"] + ["again"] * 50)
        wait_until(lambda: counts(instance).get("again", (0, 0))[0] == 100, "the count")
        expect(counts(instance) == {"again": (100, 2), "other": (1, 1)}, str(counts(instance)))
        first, told = instance.query("-s", "shop", "-F", "again")
        expect(first["metadata"] == {} and set(told["metadata"]) == {"repeated", "repeated_first", "repeated_last"}, str(told))
        expect(first["timestamp"] < told["metadata"]["repeated_first"] <= told["metadata"]["repeated_last"] == told["timestamp"], str(told))


def statistics_tell_what_was_written():
    with Instance() as instance:
        with_window(instance, "1h")
        collector = instance.start("collector")
        write(instance, ["again"] * 50 + ["other"])
        instance.run("tflog", "-s", "sampled", "--metadata", '{"sample_share": 0.25}', "--wait", "10s", "one of four")
        collector.stop()
        rows = {row["service"]: row for row in map(json.loads, instance.run("tfctl", "stats", "-o", "json").stdout.splitlines())}
        expect(rows["shop"]["total_logs"] == 3 and rows["shop"]["estimated_total"] == 51, str(rows["shop"]))
        expect(rows["sampled"]["total_logs"] == 1 and rows["sampled"]["estimated_levels"]["info"] == 4, str(rows["sampled"]))
        text = instance.run("tfctl", "stats").stdout.decode()
        expect("shop: some 51 were written; sampling and dedup stored 3" in text, text)


def a_stop_tells_what_was_counted():
    with Instance() as instance:
        with_window(instance, "1h")
        collector = instance.start("collector")
        write(instance, ["again"] * 10)
        instance.wait_count(1, "-s", "shop")
        collector.stop()
        expect(counts(instance) == {"again": (10, 2)}, str(counts(instance)))


def repeats_of_errors_do_not_wait_for_the_window():
    with Instance() as instance:
        with_window(instance, "1h")
        instance.start("collector")
        write(instance, ["broken"] * 10, "error")
        wait_until(lambda: counts(instance).get("broken", (0, 0))[0] == 10, "the count of errors", seconds=20)


def an_alert_counts_repeats():
    with Instance() as instance:
        rules = instance.root / "rules.yaml"
        rules.write_text(
            "rules:\n  - { id: many, name: many errors, severity: error,\n"
            "      condition: { log: { level: error, service: shop, count_threshold: 50, time_window: 5m } } }\n"
        )
        with_window(instance, "1h")
        with instance.config.open("a") as config:
            config.write(f"alerter: {{ interval: 200ms, rules_files: [{rules}] }}\n")
        instance.start("collector")
        instance.start("alerter")
        write(instance, ["broken"] * 60, "error")
        wait_until(lambda: b"many" in instance.run("tfctl", "alerts").stdout, "the alert", seconds=20)


def a_kill_at_any_point_loses_and_doubles_none():
    with Instance() as instance:
        with_window(instance, "1h")
        written = 0
        for turn in range(20 if LONG else 1):
            for point in POINTS:
                instance.env["TASKFORGE_FAULT"] = f"{point}:{1 + turn % 3}:1:kill"
                collector = instance.start("faults", ready=None)
                del instance.env["TASKFORGE_FAULT"]
                for _ in range(4):
                    write(instance, [f"again {n % 3}" for n in range(30)])
                    written += 30
                wait_until(lambda: collector.process.poll() is not None, f"the kill at {point}")
        collector = instance.start("collector")
        wait_until(lambda: sum(number for number, _ in counts(instance).values()) > 0, "entries")
        collector.stop()
        found = counts(instance)
        expect(sum(number for number, _ in found.values()) == written, f"{found}, written {written}")
        expect(sum(stored for _, stored in found.values()) < written / 3, f"hardly anything was held back: {found}")


def what_is_sealed_stays_so_while_it_is_counted():
    with Instance() as instance:
        key = instance.root / "reader"
        instance.run("tfctl", "keygen", key)
        with_window(instance, "1h", f"  encrypt: {{ keys: [message], public_key_file: {key}.pub }}\n")
        collector = instance.start("collector")
        write(instance, ["hidden text"] * 10)
        instance.wait_count(1, "-s", "shop")
        collector.kill()
        expect(not any(b"hidden text" in path.read_bytes() for path in instance.data.rglob("*") if path.is_file()), "in the state in clear")
        instance.start("collector").stop()
        entries = instance.query("-s", "shop", "--key", key)
        expect([entry["metadata"].get("repeated", 1) for entry in entries] == [1, 9], str(entries))
        expect({entry["message"] for entry in entries} == {"hidden text"}, str(entries))


if __name__ == "__main__":
    sys.exit(
        main(
            [
                repeats_are_stored_once_with_a_count_when_the_window_ends,
                statistics_tell_what_was_written,
                a_stop_tells_what_was_counted,
                repeats_of_errors_do_not_wait_for_the_window,
                an_alert_counts_repeats,
                a_kill_at_any_point_loses_and_doubles_none,
                what_is_sealed_stays_so_while_it_is_counted,
            ]
        )
    )

#!/usr/bin/env python3
"""More series than there may be, and series that nobody updates: what users see of it, and how it is told."""

import json
import pathlib
import signal
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
from harness import Instance, expect, main, wait_until  # noqa: E402


def metrics(instance, name):
    """The value of each series of that name, by its first label's value."""
    rows = [json.loads(line) for line in instance.run("tfctl", "metrics", "-o", "json").stdout.splitlines()]
    return {next(iter(row["labels"].values()), ""): row["value"] for row in rows if row["name"] == name}


def count(instance, label, n=1):
    instance.run("tfmetric", "--wait", "30s", "counter", "jobs", n, f"queue={label}")


def updates_beyond_the_limit_are_kept_and_told_and_a_reload_raises_it():
    limits = "  output: none\n  metrics: {{ max_series_per_metric: {}, stale_after: never }}\n"
    with Instance(collector=limits.format(2)) as instance:
        collector = instance.start("collector")
        for label in ("a", "b", "c", "d", "c"):
            count(instance, label, 5)
        wait_until(lambda: sum(metrics(instance, "taskforge_jobs_total").values()) == 25, "all updates")
        expect(metrics(instance, "taskforge_jobs_total") == {"a": 5, "b": 5, "true": 15}, str(metrics(instance, "taskforge_jobs_total")))
        wait_until(lambda: metrics(instance, "taskforge_metric_overflow_total") == {"jobs": 3}, "the metric that tells it")
        entries = instance.query("-s", "taskforge", "-F", "metric jobs has too many series")
        expect(len(entries) == 1 and entries[0]["operation"] == "overflow" and "max_series_per_metric" in entries[0]["message"], str(entries))
        count(instance, "x" * 1025)
        wait_until(lambda: metrics(instance, "taskforge_jobs_total") == {"a": 5, "b": 5, "true": 16}, "a label that is too long")
        instance.write_config(collector=limits.format(3))
        collector.process.send_signal(signal.SIGHUP)
        wait_until(lambda: instance.count("-s", "taskforge", "-F", "read its configuration again"), "the reload")
        count(instance, "e")
        wait_until(lambda: metrics(instance, "taskforge_jobs_total") == {"a": 5, "b": 5, "true": 16, "e": 1}, "a series more")
        expect(collector.stop() == 0, "exit status")


def a_stale_series_leaves_and_returns_with_its_total_also_over_a_kill():
    with Instance(collector="  output: none\n  metrics: { stale_after: 1s }\n") as instance:
        collector = instance.start("collector")
        count(instance, "a", 5)
        wait_until(lambda: metrics(instance, "taskforge_jobs_total") == {"a": 5}, "the counter", pause=0.01)
        wait_until(lambda: metrics(instance, "taskforge_jobs_total") == {}, "it to leave")
        count(instance, "a", 2)
        wait_until(lambda: metrics(instance, "taskforge_jobs_total") == {"a": 7}, "it to return", pause=0.01)
        wait_until(lambda: metrics(instance, "taskforge_jobs_total") == {}, "it to leave again")
        collector.kill()
        instance.start("collector")
        count(instance, "a", 1)
        wait_until(lambda: metrics(instance, "taskforge_jobs_total") == {"a": 8}, "it to return", pause=0.01)


if __name__ == "__main__":
    sys.exit(
        main(
            [
                updates_beyond_the_limit_are_kept_and_told_and_a_reload_raises_it,
                a_stale_series_leaves_and_returns_with_its_total_also_over_a_kill,
            ]
        )
    )

#!/usr/bin/env python3
"""The table of the commit protocol (DESIGN section 5) for metrics: the collector killed at each named point while apps count by name
and by handle, apps killed too. Afterwards every total is what its app counted, or one more where the app was killed between counting
and noting it."""

import json
import os
import pathlib
import random
import signal
import struct
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from collector_kill import FAILING, ROUNDS, fault, settle, spill_files, wait_killed  # noqa: E402
from harness import BUILD, Instance, expect, main, wait_until  # noqa: E402

APP = BUILD / "tests/torture/counting_app"
FIELDS = ("entries", "by_handle", "timed", "by_name", "refused", "level_coming", "level")


class App:
    """An app that counts; its account outlives it."""

    def __init__(self, instance, name, rate=2000, progress=None):
        self.name, self.killed = name, False
        self.path = instance.root / f"{progress or name}.progress"
        self.path.write_bytes(b"\0" * 8 * len(FIELDS))
        self.process = subprocess.Popen([str(APP), name, str(rate), str(self.path)], env=instance.env, stdin=subprocess.PIPE)

    def progress(self):
        return dict(zip(FIELDS, struct.unpack(f"={len(FIELDS)}Q", self.path.read_bytes())))

    def wait_progress(self, more=100):
        begin = self.progress()["by_handle"]
        wait_until(lambda: self.progress()["by_handle"] >= begin + more, f"{self.name} to count", pause=0.002)

    def kill(self):
        self.killed = True
        self.process.kill()
        self.process.wait()

    def finish(self):
        self.process.stdin.close()
        expect(self.process.wait(90) == 0, f"{self.name}: exit status {self.process.returncode}")


def totals(instance, app):
    """By handle, timed, by name: as the segment has them, which outlives the collector."""
    found = {}
    for line in instance.run("tfctl", "metrics", "-o", "json").stdout.splitlines():
        row = json.loads(line)
        if row["labels"].get("app") == app.name:
            found[row["name"]] = row
    return {
        "by_handle": found.get("taskforge_torture_by_handle_total", {}).get("value", 0),
        "timed": found.get("taskforge_torture_timed_seconds", {}).get("count", 0),
        "by_name": found.get("taskforge_torture_by_name_total", {}).get("value", 0),
    }


def judge(instance, *apps):
    for app in apps:
        told, seen = app.progress(), totals(instance, app)
        for what, total in seen.items():
            expect(told[what] <= total <= told[what] + app.killed, f"{app.name} {what}: {total}, counted {told[what]}")
        expect(told["refused"] == 0, f"{app.name}: {told['refused']} refused")


def killed_at(point, first, collector_config=""):
    with Instance(collector="  output: none\n" + collector_config) as instance:
        settle(instance)
        apps = [App(instance, "app"), App(instance, "dying")]
        for attempt in range(2):
            wait_killed(fault(instance, f"{point}:{first + attempt}:1:kill"))
        apps[1].kill()
        wait_killed(fault(instance, f"{point}:1:1:kill", ready=None))
        apps[0].finish()
        settle(instance)
        judge(instance, *apps)
        settle(instance)  # once more from the store alone
        judge(instance, *apps)


def killed_at_each_point_of_a_flush():
    for point in ("before_commit", "after_commit", "before_fold", "after_fold", "after_tails"):
        killed_at(point, 4)


def killed_at_each_point_of_rolling():
    for point in ("roll_created", "roll_closed", "roll_ready"):
        with Instance(collector="  output: none\n  partition: 1s\n") as instance:
            settle(instance)
            app = App(instance, "app")
            for attempt in range(3):
                wait_killed(fault(instance, f"{point}:{1 + attempt}:1:kill", ready=None))
            app.kill()
            settle(instance)
            judge(instance, app)


def killed_while_dead_apps_are_reaped():
    for point in ("lane_freed", "slot_freed", "before_commit", "after_commit"):
        with Instance() as instance:
            settle(instance)
            apps = []
            for i in range(4):
                apps.append(App(instance, f"app{i}"))
                apps[-1].wait_progress()
                apps[-1].kill() if i % 2 else apps[-1].finish()
                wait_killed(fault(instance, f"{point}:1:1:kill", ready=None))
            settle(instance)
            collector = instance.start("collector")  # whose slots are freed, and taken again
            apps.append(App(instance, "last"))
            apps[-1].wait_progress()
            apps[-1].finish()
            expect(collector.stop() == 0, "exit status")
            settle(instance)
            judge(instance, *apps)


def killed_at_each_point_of_the_spill():
    for point, passed in (("spill_before", 2), ("spill_after", 1), ("spill_after", 3)):
        with Instance(ring_size="8MiB") as instance:
            settle(instance)
            app = App(instance, "app", rate=20000)
            for _ in range(2):
                wait_killed(fault(instance, f"{FAILING},{point}:{passed}:1:kill"))
            dying = App(instance, "dying", rate=20000)
            collector = fault(instance, FAILING)
            dying.wait_progress(2000)
            dying.kill()
            app.wait_progress(2000)
            collector.kill()
            expect(spill_files(instance), "the spill file")
            wait_killed(fault(instance, "after_commit:2:1:kill", ready=None))  # while it is taken in
            wait_killed(fault(instance, "before_fold:1:1:kill", ready=None))
            collector = instance.start("collector")
            app.finish()
            expect(collector.stop() == 0, "exit status")
            judge(instance, app, dying)
            expect(not spill_files(instance), "the spill file is gone")


def killed_at_random_instants_with_its_apps():
    seed = int(os.environ.get("TASKFORGE_SEED", random.randrange(1 << 30)))
    dice = random.Random(seed)
    print(f"     seed {seed}", flush=True)
    with Instance(ring_size="32MiB", collector="  output: none\n  partition: 2s\n") as instance:
        settle(instance)
        apps, living = [], []
        for _ in range(2 * ROUNDS):
            collector = instance.start("collector", ready=None)
            while len(living) < 3:
                apps.append(App(instance, f"app{len(apps)}"))
                living.append(apps[-1])
            time.sleep(dice.random() * 0.5)  # the instant itself is what is random
            collector.kill()
            if dice.random() < 0.6:
                living.pop(dice.randrange(len(living))).kill()
        for app in living:
            app.finish() if dice.random() < 0.5 else app.kill()
        settle(instance)
        judge(instance, *apps)


def with_too_many_series_that_become_stale():
    """Beyond the limit what is counted goes to the overflow series, and what nobody updates leaves and returns: in sum nothing is lost."""
    seed = int(os.environ.get("TASKFORGE_SEED", random.randrange(1 << 30)))
    dice = random.Random(seed)
    print(f"     seed {seed}", flush=True)
    config = "  output: none\n  partition: 2s\n  metrics: {{ max_series_per_metric: {}, stale_after: {} }}\n"
    with Instance(ring_size="32MiB", collector=config.format(2, "1s")) as instance:
        settle(instance)
        names, living, told = 0, [], []
        for _ in range(2 * ROUNDS):
            collector = instance.start("collector", ready=None)
            while len(living) < 3:
                # Some have the label of one that is gone and stale, and go on with its total where that finds room.
                names += 1
                living.append(App(instance, f"app{dice.randrange(6)}", progress=f"{names}"))
                told.append(living[-1])
            time.sleep(dice.random() * 0.8)  # the instant itself is what is random; some live long enough for others to become stale
            collector.kill()
            living.pop(dice.randrange(len(living))).kill()
        for app in living:
            app.finish()
        instance.write_config(ring_size="32MiB", collector=config.format(2, "never"))
        settle(instance)
        rows = [json.loads(line) for line in instance.run("tfctl", "metrics", "-o", "json").stdout.splitlines()]
        for field, name, value in (
            ("by_handle", "taskforge_torture_by_handle_total", "value"),
            ("timed", "taskforge_torture_timed_seconds", "count"),
            ("by_name", "taskforge_torture_by_name_total", "value"),
        ):
            series = {row["labels"].get("app", "overflow"): row[value] for row in rows if row["name"] == name}
            total, counted = sum(series.values()), sum(app.progress()[field] for app in told)
            killed = sum(app.killed for app in told)
            expect(counted <= total <= counted + killed, f"{name}: {total}, counted {counted}, {killed} killed: {series}")
            expect(series.get("overflow", 0) > 0, f"{name}: none overflowed: {series}")


def levels(instance):
    """The gauges with a rule, as readers see them: none when nobody living has a value."""
    rows = [json.loads(line) for line in instance.run("tfctl", "metrics", "-o", "json").stdout.splitlines()]
    return {row["name"].split("_")[2]: row["value"] for row in rows if row["name"].startswith(("taskforge_torture_sum_", "taskforge_torture_min_", "taskforge_torture_max_"))}


def levels_are_of(instance, apps):
    """Whether they are what these apps, which stand still, have set: each its level, or the one it was about to set."""
    seen, told = levels(instance), [app.progress() for app in apps]
    low, high = [each["level"] for each in told], [each["level_coming"] for each in told]
    if not apps:
        return not seen
    return len(seen) == 3 and all(rule(low) <= seen[rule.__name__] <= rule(high) for rule in (sum, min, max))


def gauges_are_those_of_the_living():
    seed = int(os.environ.get("TASKFORGE_SEED", random.randrange(1 << 30)))
    dice = random.Random(seed)
    print(f"     seed {seed}", flush=True)
    with Instance(ring_size="32MiB") as instance:
        settle(instance)
        living = []
        for turn in range(max(3, ROUNDS // 2)):
            collector = instance.start("collector", ready=None)
            while len(living) < 3:
                living.append(App(instance, f"app{turn}-{len(living)}"))
                living[-1].wait_progress(10)
            victims = [living.pop(dice.randrange(len(living))) for _ in range(dice.randint(1, 2))]
            if dice.random() < 0.5:  # before, or after the collector, so that another one finds the dead
                collector.kill()
            for victim in victims:
                victim.kill()
            if collector.process.poll() is None:
                collector.kill()
            for app in living:
                app.process.send_signal(signal.SIGSTOP)
            collector = instance.start("collector")
            wait_until(lambda: levels_are_of(instance, living), f"the gauges of {len(living)} apps that live: {levels(instance)}, {[app.progress() for app in living]}")
            for app in living:
                app.process.send_signal(signal.SIGCONT)
            collector.kill()
        for app in living:
            app.kill()
        collector = instance.start("collector")
        wait_until(lambda: levels_are_of(instance, []), "the gauges to leave with the last app")
        expect(collector.stop() == 0, "exit status")


def a_damaged_store_takes_the_totals_of_the_segment_and_counts_on():
    with Instance() as instance:
        collector = instance.start("collector")
        app = App(instance, "app")
        app.wait_progress(1000)
        app.process.send_signal(19)  # SIGSTOP: what it counts is folded before the damage
        wait_until(lambda: totals(instance, app)["by_handle"] >= app.progress()["by_handle"], "the totals")
        wait_until(lambda: totals(instance, app)["by_name"] >= app.progress()["by_name"], "the totals by name")
        collector.kill()
        (partition,) = (instance.data / "logs").glob("*.mdb")
        os.truncate(partition, 3 * 4096)
        wait_killed(fault(instance, "after_commit:1:1:kill", ready=None))  # the first commit: totals and cells, or neither
        collector = instance.start("collector")
        app.process.send_signal(18)
        app.wait_progress(100)
        app.finish()
        expect(collector.stop() == 0, "exit status")
        judge(instance, app)


if __name__ == "__main__":
    sys.exit(
        main(
            [
                killed_at_each_point_of_a_flush,
                killed_at_each_point_of_rolling,
                killed_while_dead_apps_are_reaped,
                killed_at_each_point_of_the_spill,
                killed_at_random_instants_with_its_apps,
                with_too_many_series_that_become_stale,
                gauges_are_those_of_the_living,
                a_damaged_store_takes_the_totals_of_the_segment_and_counts_on,
            ]
        )
    )

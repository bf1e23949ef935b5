"""Metrics from the library's call to /metrics, through the real programs: random sets with naughty labels come out bit for bit in both formats;
totals are exact to the last digit over kills, restarts and a reboot; and what was known is told when every daemon is dead."""

import gzip
import http.client
import json
import os
import pathlib
import random
import shutil
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import exposition_rules  # noqa: E402
import metric_sets  # noqa: E402
from harness import LONG, Failure, Instance, expect, main  # noqa: E402
from metric_sets import MetricApp  # noqa: E402

try:
    from prometheus_client import parser as text_parser
    from prometheus_client.openmetrics import parser as openmetrics_parser
except ImportError:
    text_parser = openmetrics_parser = None

SETS = 60 if LONG else 3
SETS_IN_A_PLACE = 20
DAEMONS = ("collector", "agent", "alerter", "exporter")
OPENMETRICS = "application/openmetrics-text; version=1.0.0"


def scrape(port, openmetrics, compressed=False):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    headers = {"Accept": OPENMETRICS if openmetrics else "text/plain", "Accept-Encoding": "gzip" if compressed else "identity"}
    connection.request("GET", "/metrics", headers=headers)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    expect(answer.status == 200, f"{answer.status}: {body[:200]}")
    return gzip.decompress(body) if answer.getheader("Content-Encoding") == "gzip" else body


def samples_of(body, openmetrics):
    return {key: exposition_rules.number_of(value) for key, value in exposition_rules.read(body, openmetrics).samples.items()}


def judge(port, series, openmetrics, where):
    metric_sets.wait_equal(lambda: samples_of(scrape(port, openmetrics), openmetrics), series, openmetrics, where)
    body = scrape(port, openmetrics, compressed=True)
    metric_sets.compare(metric_sets.of_set(samples_of(body, openmetrics), series), series, openmetrics, f"{where}, gzip")
    families = exposition_rules.read(body, openmetrics).families
    for name, (type_, text, unit) in metric_sets.expected_families(series, openmetrics).items():
        found = families[name]
        expect((found.type, found.help, found.unit) == (type_, text, unit), f"{where}: {name}: {found.type}, {found.help!r}, {found.unit}")
    if text_parser:
        list((openmetrics_parser if openmetrics else text_parser).text_string_to_metric_families(body.decode()))


def judge_sets(seeds, base, strings):
    """One after the other in one place, under names of their own."""
    with Instance() as instance:
        instance.start("collector")
        port = instance.port(instance.start("exporter"))
        for seed in seeds:
            try:
                rng = random.Random(seed)
                series = metric_sets.written_live(rng, metric_sets.random_set(rng, strings, 40, namings=(0,), hidden=False), f"s{seed - base}_")
                with MetricApp(instance) as app:
                    metric_sets.write_live(instance, app, series)
                    app.end()
                for openmetrics in (True, False):
                    judge(port, series, openmetrics, "openmetrics" if openmetrics else "text")
            except Exception as error:
                raise Failure(f"TASKFORGE_SEED={seed}: {type(error).__name__}: {error}") from error


def what_the_library_was_told_is_what_is_read():
    strings = metric_sets.naughty_strings()
    base = int(os.environ.get("TASKFORGE_SEED", random.randrange(10**9)))
    for begin in range(base, base + SETS, SETS_IN_A_PLACE):  # series stay
        judge_sets(range(begin, min(begin + SETS_IN_A_PLACE, base + SETS)), base, strings)


def steady(n):
    """The same series each time, with more to count: by handle, by name, a timer, a histogram with bounds."""
    return [
        {"kind": "counter", "name": "kept", "labels": {"how": 'by "handle"\n'}, "value": n, "way": "handle"},
        {"kind": "counter", "name": "kept", "labels": {"how": "by name"}, "value": n + 0.25, "way": "name"},
        {"kind": "timer", "name": "kept_time", "labels": {}, "observations": [n / 1024, 0.5], "way": "handle"},
        {"kind": "histogram", "name": "kept_size", "labels": {}, "bounds": [1, 100], "observations": [n, 3.5], "way": "handle"},
    ]


class Account:
    """What was counted so far, as a set."""

    def __init__(self):
        self.series = [{"naming": 0, "unit": "", "help": "", "bounds": [], **one, **({"value": 0.0} if "value" in one else {"observations": []})} for one in steady(0)]
        self.rounds = 0

    def count(self, app):
        self.rounds += 1
        more = steady(self.rounds)
        app.write(more)
        for one, grown in zip(self.series, more):
            if "value" in one:
                one["value"] += grown["value"]
            else:
                one["observations"] = one["observations"] + grown["observations"]


def totals_are_exact_over_kills_restarts_and_a_reboot():
    with Instance() as instance:
        running = {name: instance.start(name) for name in DAEMONS}
        account = Account()
        apps = [MetricApp(instance), MetricApp(instance)]

        def exact(what):
            port = instance.port(running["exporter"])
            metric_sets.wait_equal(lambda: samples_of(scrape(port, True), True), account.series, True, what)

        def count():
            for app in apps:
                account.count(app)

        def new_apps():
            apps[0].__exit__()  # killed
            apps[1].end()
            apps[:] = [MetricApp(instance), MetricApp(instance)]

        def end_all(kill):
            for name in reversed(DAEMONS):
                expect((running[name].kill() if kill else running[name].stop()) in (None, 0), f"the {name}'s end")

        def start_all():
            running.update({name: instance.start(name) for name in DAEMONS})

        try:
            count()
            exact("at first")
            running["collector"].kill()
            count()
            running["collector"] = instance.start("collector")
            count()
            exact("after SIGKILL of the collector")
            new_apps()
            count()
            exact("after new apps, one of the old killed")
            end_all(kill=False)
            count()
            start_all()
            exact("after a restart of all four")
            end_all(kill=True)
            count()
            new_apps()
            count()
            start_all()
            exact("after SIGKILL of all four and new apps")
            running["collector"].kill()  # and once more from the store, with what the last commit says
            apps[0].__exit__(), apps[1].__exit__()
            end_all(kill=True)
            shutil.rmtree(instance.runtime)
            start_all()
            exact("after a reboot")
            apps[:] = [MetricApp(instance), MetricApp(instance)]
            count()
            exact("counted on after a reboot")
        finally:
            for app in apps:
                app.__exit__()


def tfctl_tells_them_with_every_daemon_dead():
    with Instance() as instance:
        running = {name: instance.start(name) for name in DAEMONS}
        port = instance.port(running["exporter"])
        account = Account()
        with MetricApp(instance) as app:
            account.count(app)
            metric_sets.wait_equal(lambda: samples_of(scrape(port, True), True), account.series, True, "before")
        for process in running.values():
            process.kill()
        done = instance.run("tfctl", "metrics", "-o", "json", "kept")
        rows = [json.loads(line) for line in done.stdout.splitlines()]
        expect([row["name"] for row in rows] == ["taskforge_kept_size", "taskforge_kept_time_seconds", "taskforge_kept_total", "taskforge_kept_total"], f"{rows}")
        expect({row["labels"]["how"]: row["value"] for row in rows[2:]} == {'by "handle"\n': 1, "by name": 1.25}, f"{rows}")
        expect([row["count"] for row in rows[:2]] == [2, 2] and rows[1]["sum"] == 1 / 1024 + 0.5, f"{rows}")
        lines = instance.run("tfctl", "metrics", "kept").stdout.decode().splitlines()
        expect(len(lines) == 4 and any('{how="by \\"handle\\"\\n"}' in line for line in lines), f"{lines}")


if __name__ == "__main__":
    sys.exit(main([what_the_library_was_told_is_what_is_read, totals_are_exact_over_kills_restarts_and_a_reboot, tfctl_tells_them_with_every_daemon_dead]))

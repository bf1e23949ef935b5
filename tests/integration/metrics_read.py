"""Reading metrics as users do, of a segment that a collector left: /metrics, /api/v1/metrics, tfctl metrics; no daemon but the exporter."""

import gzip
import http.client
import json
import math
import os
import pathlib
import random
import re
import subprocess
import sys
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import metric_sets  # noqa: E402
from harness import BUILD, LONG, Failure, Instance, expect, main  # noqa: E402

SERIES = [
    {"kind": "counter", "name": "jobs", "labels": {"queue": "mail"}, "value": 7, "help": "Jobs done."},
    {"kind": "counter", "name": "jobs", "labels": {"queue": "a\"b\\\n\u001b[31m"}, "value": 0.5},
    {"kind": "gauge", "name": "depth", "value": math.nan},
    {"kind": "timer", "name": "run", "observations": [0.1] * 90 + [2.0] * 10},
    {"kind": "histogram", "name": "empty"},
    {"kind": "gauge", "name": "node_load1", "naming": 2, "value": 1.25, "unit": "", "updated": 1700000000000000000},
    {"kind": "gauge", "name": "old", "value": 1, "hidden": True},
]
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
TEXT = "text/plain; version=0.0.4; charset=utf-8"


def make_segment(instance, series=SERIES):
    instance.runtime.mkdir(exist_ok=True)
    lines = "".join(map(metric_sets.json_of, series))
    subprocess.run([BUILD / "tests/integration/make_segment", instance.runtime], input=lines.encode(), check=True)


class Exporter:
    def __init__(self, instance):
        self.port = instance.port(instance.start("exporter"))

    def get(self, path, **headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        return answer.status, answer.getheader("Content-Type"), answer.getheader("Content-Encoding"), body

    def metrics(self, path, status=200):
        got, _, _, body = self.get(path)
        expect(got == status, f"{path}: {got}: {body[:200]}")
        return json.loads(body)


def metrics_come_in_the_format_that_was_asked_for():
    with Instance() as instance:
        make_segment(instance)
        exporter = Exporter(instance)
        status, kind, encoding, text = exporter.get("/metrics")
        expect((status, kind, encoding) == (200, TEXT, None), f"{status} {kind} {encoding}")
        expect(b"# TYPE taskforge_jobs_total counter\n" in text and b'taskforge_jobs_total{queue="mail"} 7\n' in text, text)
        expect(b"taskforge_depth_gauge NaN\n" in text and b"# EOF" not in text and b"taskforge_old" not in text, text)
        status, kind, encoding, body = exporter.get("/metrics", Accept="application/openmetrics-text;version=1.0.0", Accept_Encoding="gzip")
        text = gzip.decompress(body)
        expect((status, kind, encoding) == (200, OPENMETRICS, "gzip"), f"{status} {kind} {encoding}")
        expect(b"# TYPE taskforge_jobs counter\n" in text and text.endswith(b"# EOF\n"), text)
        expect(b'taskforge_run_seconds_bucket{le="0.25"} 90\n' in text and b"taskforge_run_seconds_count 100\n" in text, text)
        expect(exporter.get("/metrics", Accept="*/*")[1] == TEXT, "*/* is text")


def a_counter_never_falls_when_another_segment_takes_the_place():
    with Instance() as instance:
        make_segment(instance)
        exporter = Exporter(instance)
        last = 0
        for value in range(7, 40):
            make_segment(instance, [{"kind": "counter", "name": "jobs", "value": value}])
            text = exporter.get("/metrics")[3].decode()
            now = float(text.split("\ntaskforge_jobs_total ")[1].split()[0])
            expect(now == value and now > last, f"{now} after {last}, not {value}")
            last = now


def without_a_segment_it_says_why_and_comes_back():
    with Instance() as instance:
        exporter = Exporter(instance)
        status, kind, _, body = exporter.get("/metrics")
        expect(status == 503 and "collector" in json.loads(body)["error"], f"{status} {body}")
        expect("collector" in exporter.metrics("/api/v1/metrics", 503)["error"], "no reason")
        done = instance.run("tfctl", "metrics", check=False)
        expect(done.returncode == 1 and b"collector" in done.stderr, f"{done}")
        make_segment(instance)
        expect(exporter.get("/metrics")[0] == 200 and exporter.metrics("/api/v1/metrics")["metrics"], "still not there")
        os.truncate(instance.runtime / "metrics", 0)
        expect(exporter.get("/metrics")[0] == 503, "a cut one is no reason to answer")
        expect("damaged" in exporter.metrics("/api/v1/metrics", 503)["error"], "no reason")
        make_segment(instance)
        expect(exporter.get("/metrics")[0] == 200 and exporter.metrics("/api/v1/metrics")["metrics"], "not back")
        expect(exporter.get("/livez")[0] == 200, "alive")


def current_values_are_told_as_json():
    with Instance() as instance:
        make_segment(instance)
        exporter = Exporter(instance)
        metrics = exporter.metrics("/api/v1/metrics")["metrics"]
        names = [metric["name"] for metric in metrics]
        expect(names == sorted(names) and len(names) == 6 and "taskforge_old_gauge" not in names, f"{names}")
        by_name = {metric["name"]: metric for metric in metrics}
        mail = [m for m in metrics if m["labels"] == {"queue": "mail"}]
        expect(mail[0]["name"] == "taskforge_jobs_total" and mail[0]["kind"] == "counter" and mail[0]["value"] == 7, f"{mail}")
        expect(by_name["taskforge_depth_gauge"]["value"] is None, "NaN is null")
        run = by_name["taskforge_run_seconds"]
        expect(run["kind"] == "timer" and run["count"] == 100 and abs(run["sum"] - 29) < 1e-9 and run["unit"] == "seconds", f"{run}")
        expect(abs(run["p50"] / 0.1 - 1) < 0.006 and abs(run["p95"] / 2 - 1) < 0.006 and abs(run["p99"] / 2 - 1) < 0.006, f"{run}")
        empty = by_name["taskforge_empty"]
        expect(empty["count"] == 0 and empty["sum"] == 0 and empty["avg"] is None and empty["p50"] is None, f"{empty}")
        expect(by_name["node_load1"]["updated"].startswith("2023-11-14T22:13:20"), f"{by_name['node_load1']}")
        for prefix, count in (("jobs", 2), ("taskforge_jobs", 2), ("node_", 1), ("run_seconds", 1), ("", 6), ("nothing", 0)):
            found = exporter.metrics("/api/v1/metrics?" + urllib.parse.urlencode({"prefix": prefix}))["metrics"]
            expect(len(found) == count, f"prefix {prefix}: {found}")
        for name in ("jobs", "jobs_total", "taskforge_jobs_total"):
            expect(len(exporter.metrics("/api/v1/metrics/" + name)["metrics"]) == 2, name)
        exporter.metrics("/api/v1/metrics/job", 404)
        exporter.metrics("/api/v1/metrics/a-b", 404)
        exporter.metrics("/api/v1/metrics?name=x", 400)
        exporter.metrics("/api/v1/metrics/jobs?prefix=x", 400)


def tfctl_shows_them_without_any_daemon():
    with Instance() as instance:
        make_segment(instance)
        done = instance.run("tfctl", "metrics")
        lines = done.stdout.decode().splitlines()
        expect(not done.stderr, f"{done.stderr}")
        expect(any(line.split() == ['taskforge_jobs_total{queue="mail"}', "7"] for line in lines), f"{lines}")
        expect(b"\x1b" not in done.stdout and b"\\u001b[31m" in done.stdout, f"{lines}")
        run = next(line for line in lines if line.startswith("taskforge_run_seconds")).split()
        expect(run[1:6] == ["count", "100", "sum", run[4], "avg"] and abs(float(run[4]) - 29) < 1e-9 and run[6] == "0.29", f"{run}")
        expect(abs(float(run[8]) / 0.1 - 1) < 0.006 and run[9] == "p95" and run[11] == "p99", f"{run}")
        expect(next(line for line in lines if line.startswith("taskforge_empty")).endswith("count 0  sum 0"), f"{lines}")
        expect(next(line for line in lines if line.startswith("taskforge_depth")).endswith("NaN"), f"{lines}")
        expect(len(instance.run("tfctl", "metrics", "jobs").stdout.splitlines()) == 2, "PREFIX of the app's own name")
        expect(instance.run("tfctl", "metrics", "nothing").stdout == b"", "nothing found is no output")
        rows = [json.loads(line) for line in instance.run("tfctl", "metrics", "-o", "json", "taskforge_").stdout.splitlines()]
        expect(len(rows) == 5 and rows[-1]["name"] == "taskforge_run_seconds" and rows[-1]["count"] == 100, f"{rows}")
        for arguments, status in ((["a", "b"], 2), (["-o", "csv"], 2), (["--no-such"], 2), (["--help"], 0)):
            done = instance.run("tfctl", "metrics", *arguments, check=False)
            expect(done.returncode == status, f"{arguments}: {done}")


def tfctl_tells_the_age_of_values_that_nobody_keeps():
    with Instance() as instance:
        make_segment(instance)
        with open(instance.runtime / "metrics", "r+b") as file:  # a beat of long ago: header of the segment, version 1
            file.seek(280)
            file.write((10**18).to_bytes(8, "little"))
        done = instance.run("tfctl", "metrics", "--utc")
        expect(b"the collector does not run: values as of 2001-09-09 01:46:40" in done.stderr and done.stdout, f"{done}")


# --- random sets with naughty strings: what is told is what was written, and no terminal acts on it ---

SETS = 100 if LONG else 3
# What a terminal acts on: C0 but the newline, DEL, C1, marks of direction, separators of lines.
ACTS = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def strict(text):
    def refuse(constant):
        raise Failure(f"{constant} is no JSON")

    def pairs(found):
        expect(len(dict(found)) == len(found), f"a key stands there twice: {found}")
        return dict(found)

    return json.loads(text, parse_int=float, parse_constant=refuse, object_pairs_hook=pairs)


def expected_rows(series):
    """What both should tell, by name and labels."""
    rows = {}
    for one in series:
        if one.get("hidden"):
            continue
        name = metric_sets.family_of(one) + ("_total" if one["kind"] == "counter" else "")
        row = {"kind": one["kind"]}
        if one["kind"] in ("histogram", "timer"):
            row |= {"count": len(one["observations"]), "sum": metric_sets.sum_of(one["observations"])}
        else:
            row |= {"value": float(one["value"]) if math.isfinite(one["value"]) else None}
        rows[(name, tuple(sorted(one["labels"].items())))] = row
    return rows


def compare_rows(rows, series, where):
    expected = expected_rows(series)
    got = {(row["name"], tuple(sorted(row["labels"].items()))): row for row in rows}
    expect(len(got) == len(rows) and set(got) == set(expected), f"{where}: {set(got) ^ set(expected)}")
    for key, row in expected.items():
        for field, value in row.items():
            found = got[key][field]
            equal = metric_sets.bits(float(found)) == metric_sets.bits(float(value)) if isinstance(value, float) else found == value
            expect(equal, f"{where}: {field} of {key} is {found!r}, not {value!r}")


def naughty_labels_are_told_as_they_are_and_harm_no_terminal():
    strings = metric_sets.naughty_strings()
    base = int(os.environ.get("TASKFORGE_SEED", random.randrange(10**9)))
    with Instance() as instance:
        make_segment(instance, [])
        exporter = Exporter(instance)
        for seed in range(base, base + SETS):
            where = f"TASKFORGE_SEED={seed}"
            series = metric_sets.random_set(random.Random(seed), strings)
            make_segment(instance, series)
            status, kind, _, body = exporter.get("/api/v1/metrics")
            expect(status == 200 and kind == "application/json", f"{where}: {status} {kind}")
            compare_rows(strict(body.decode())["metrics"], series, f"{where}, API")
            told = instance.run("tfctl", "metrics", "-o", "json").stdout.decode()
            compare_rows([strict(line) for line in told.split("\n")[:-1]], series, f"{where}, tfctl")
            text = instance.run("tfctl", "metrics").stdout.decode()
            expect(len(text.split("\n")) - 1 == len(expected_rows(series)), f"{where}: {len(text.splitlines())} lines of text")
            for what in (told, text):
                found = ACTS.search(what)
                expect(not found, f"{where}: {found and what[max(0, found.start() - 60) : found.end() + 20]!r}")


if __name__ == "__main__":
    sys.exit(
        main(
            [
                metrics_come_in_the_format_that_was_asked_for,
                a_counter_never_falls_when_another_segment_takes_the_place,
                without_a_segment_it_says_why_and_comes_back,
                current_values_are_told_as_json,
                tfctl_shows_them_without_any_daemon,
                tfctl_tells_the_age_of_values_that_nobody_keeps,
                naughty_labels_are_told_as_they_are_and_harm_no_terminal,
            ]
        )
    )

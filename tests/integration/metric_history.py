"""Samples of metrics over time: what tfmetric wrote comes back as it was, by tfctl and by the API, also over a killed collector."""

import csv
import http.client
import json
import os
import pathlib
import signal
import subprocess
import sys
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from harness import Instance, expect, main, wait_until  # noqa: E402

EACH_SECOND = "  output: none\n  flush_interval: 10ms\n  history: { interval: 1s }\n"

NOTHING = {"points": []}


def history(instance, name, *arguments):
    """Series by their labels' values, as tfctl prints them."""
    done = instance.run("tfctl", "metrics", name, "--since", "1h", "--step", "1s", "-o", "json", *arguments)
    return {tuple(sorted(one["labels"].values())): one for one in map(json.loads, done.stdout.splitlines())}


def last(instance, name, key="last", labels=()):
    series = history(instance, name).get(labels)
    return series["points"][-1][key] if series else None


def increase(series, key="increase"):
    return sum(point[key] or 0 for point in series["points"])


def seconds_of(text):
    return int(subprocess.run(["date", "-d", text, "+%s"], stdout=subprocess.PIPE, check=True).stdout)


def check_ticks(series):
    """No step of a second has two samples, none stands beside its second."""
    for point in series["points"]:
        expect(point["samples"] == 1 and point["time"].endswith(".000000000Z"), f"{point}")


def values_come_back_as_they_were():
    with Instance(collector=EACH_SECOND) as instance:
        collector = instance.start("collector")
        for queue, number in (("mail", 5), ("sms", 1)):
            instance.run("tfmetric", "counter", "jobs", number, f"queue={queue}")
        instance.run("tfmetric", "gauge", "depth", "2.5")
        for text in ["100ms"] * 9 + ["3s"]:
            instance.run("tfmetric", "timer", "run", text)
        wait_until(lambda: last(instance, "jobs", labels=("mail",)) == 5, "the counter")
        wait_until(lambda: increase(history(instance, "run").get((), NOTHING), "count") == 10, "the timer")
        instance.run("tfmetric", "counter", "jobs", 7, "queue=mail")
        instance.run("tfmetric", "gauge", "depth", "-4")
        wait_until(lambda: last(instance, "taskforge_jobs_total", labels=("mail",)) == 12, "more of the counter")
        wait_until(lambda: last(instance, "depth") == -4, "the gauge")

        collector.kill()
        instance.run("tfmetric", "counter", "jobs", 30, "queue=mail")
        before = history(instance, "jobs")[("mail",)]
        expect(increase(before) == 12, f"the collector is dead, tfctl reads: {before}")
        instance.start("collector")
        wait_until(lambda: last(instance, "jobs", labels=("mail",)) == 42, "what came while it was dead")

        jobs, depth, run = (history(instance, name) for name in ("jobs", "depth", "run"))
        for series in (*jobs.values(), *depth.values(), *run.values()):
            check_ticks(series)
        mail = jobs[("mail",)]
        expect((mail["name"], mail["kind"], increase(mail)) == ("taskforge_jobs_total", "counter", 42), f"{mail}")
        expect(mail["points"][: len(before["points"])] == before["points"], "what was committed is as it was")
        expect(increase(jobs[("sms",)]) == 1, f"{jobs}")
        found = {point["avg"] for point in depth[()]["points"]}
        expect(found == {2.5, -4}, f"the gauge: {found}")
        minute = instance.run("tfctl", "metrics", "run", "--since", "1h", "--step", "1h", "--quantiles", "0.5,0.99", "-o", "json")
        whole = [point for point in json.loads(minute.stdout)["points"] if point["count"]]
        expect(sum(point["count"] for point in whole) == 10 and abs(sum(point["sum"] for point in whole) - 3.9) < 1e-6, f"{whole}")
        if len(whole) == 1:  # no hour began meanwhile
            expect(abs(whole[0]["p50"] - 0.1) < 0.001 and abs(whole[0]["p99"] - 3) < 0.03, f"{whole}")
        as_text_and_csv(instance)
        the_api_says_the_same(instance)


def as_text_and_csv(instance):
    text = instance.run("tfctl", "metrics", 'jobs{queue="mail"}', "--since", "1h").stdout.decode().splitlines()
    expect("steps of 30s" in text[0] and text[1].startswith('taskforge_jobs_total{queue="mail"}  '), f"{text}")
    expect("increase 42" in text[1] and "█" in text[1] and text[2].split() == ["time", "increase", "rate", "last"], f"{text}")
    text = instance.run("tfctl", "metrics", "taskforge_", "--since", "1h").stdout.decode()
    expect("taskforge_depth_gauge" in text and "taskforge_history_ticks_total" in text and "  time" not in text, "by its beginning: a line each")
    rows = list(csv.DictReader(instance.run("tfctl", "metrics", "jobs", "--since", "1h", "-o", "csv").stdout.decode().splitlines()))
    mail = [row for row in rows if row["series"] == 'taskforge_jobs_total{queue="mail"}']
    expect(sum(float(row["increase"] or 0) for row in mail) == 42 and mail[0]["avg"] == "", f"{rows}")
    expect(instance.run("tfctl", "metrics", "nothing_is_called_so", "--since", "1h").stdout == b"", "nothing found")
    for wrong in (["--step", "1s"], ["--since", "1h", "--step", "1ms"], ["--since", "1h", "--until", "2h"], ["jobs{", "--since", "1h"], ["-o", "csv"]):
        done = instance.run("tfctl", "metrics", *wrong, check=False)
        expect(done.returncode == 2 and done.stderr.count(b"\n") == 1, f"{wrong}: {done}")
    much = instance.run("tfctl", "metrics", "jobs", "--since", "7d", "--step", "1s", check=False)
    expect(much.returncode == 1 and b"at most 11000" in much.stderr, f"{much}")


def the_api_says_the_same(instance):
    port = instance.port(instance.start("exporter"))

    def get(path, status=200, **parameters):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        connection.request("GET", path + ("?" + urllib.parse.urlencode(parameters) if parameters else ""))
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        expect(answer.status == status, f"{path} {parameters}: {answer.status} {body[:200]}")
        return json.loads(body)

    wanted = history(instance, "jobs")
    answer = get("/api/v1/metrics/jobs", start="1h", step="1s")
    expect((answer["name"], answer["kind"], answer["unit"], answer["step"]) == ("taskforge_jobs_total", "counter", None, 1), f"{answer}")
    for series in answer["series"]:
        known = wanted[tuple(series["labels"].values())]["points"]
        expect(series["points"][: len(known)] == known, f"{series} is not {known}")
    one = get("/api/v1/metrics/taskforge_jobs_total", start="1h", match='{queue=~"s.*"}')["series"]
    expect([series["labels"] for series in one] == [{"queue": "sms"}], f"{one}")
    expect("value" in get("/api/v1/metrics/jobs")["metrics"][0], "without a time: what is now")
    get("/api/v1/metrics/jobs", 404, start="1h", match='{queue="fax"}')
    get("/api/v1/metrics/jobs", 400, start="1h", match="{queue}")
    get("/api/v1/metrics/jobs", 400, start="1h", step="1ms")
    get("/api/v1/metrics/jobs", 400, start="1h", quantiles="2")
    get("/api/v1/metrics/jobs", 400, begin="1h")
    get("/api/v1/metrics/jobs", 422, start="7d", step="1s")
    get("/api/v1/metrics/jobs", 422, start="1h", end="2h")


def what_the_host_has_counted_before_is_no_increase():
    with Instance("[]\n  host_metrics: { interval: 1s }", collector=EACH_SECOND) as instance:
        for name in ("collector", "agent"):
            instance.start(name)
        ticks = wait_until(
            lambda: [p for p in history(instance, "node_context_switches_total").get((), NOTHING)["points"] if p["increase"] is not None],
            "two samples of the host's",
        )
        expect(0 < ticks[0]["increase"] < ticks[0]["last"] / 2, f"{ticks[0]}")


def another_interval_holds_from_its_next_tick_on():
    with Instance(collector=EACH_SECOND) as instance:
        collector = instance.start("collector")
        instance.run("tfmetric", "gauge", "depth", 1)
        wait_until(lambda: last(instance, "depth") == 1, "a tick")
        instance.write_config(collector=EACH_SECOND.replace("1s", "2s"))
        collector.process.send_signal(signal.SIGHUP)
        collector.wait_line("configuration")
        points = history(instance, "depth")[()]["points"]
        ticks = wait_until(lambda: history(instance, "depth")[()]["points"][len(points) + 1 :], "two ticks more")
        expect(all(seconds_of(point["time"]) % 2 == 0 for point in ticks), f"{ticks}")
        expect(collector.stop() == 0, "SIGTERM")


def what_cannot_be_written_is_told_once_and_tried_again():
    with Instance(collector=EACH_SECOND) as instance:
        (instance.data / "metrics").write_text("in the way")
        collector = instance.start("collector")
        collector.wait_line("metric history cannot be written")
        instance.run("tflog", "an entry")
        instance.run("tfmetric", "gauge", "depth", 1)
        instance.wait_count(1, "-F", "an entry")
        os.unlink(instance.data / "metrics")
        collector.wait_line("metric history is written again")
        wait_until(lambda: last(instance, "depth") == 1, "a tick")
        expect(sum("cannot be written" in line for line in collector.lines) == 1, f"{collector.lines}")
        mode = {path.stat().st_mode & 0o777 for path in (instance.data / "metrics").glob("*.mdb")}
        expect(mode == {0o640}, f"{mode}")


def history_that_is_off_writes_nothing():
    with Instance(collector="  output: none\n  history: off\n") as instance:
        collector = instance.start("collector")
        instance.run("tflog", "an entry")
        instance.wait_count(1)
        expect(collector.stop() == 0 and not (instance.data / "metrics").exists(), "there are samples")
        done = instance.run("tfctl", "metrics", "x", "--since", "1h")
        expect(done.stdout + done.stderr == b"", f"{done}")


if __name__ == "__main__":
    sys.exit(main([values_come_back_as_they_were, what_the_host_has_counted_before_is_no_increase, another_interval_holds_from_its_next_tick_on, what_cannot_be_written_is_told_once_and_tried_again,
                   history_that_is_off_writes_nothing]))

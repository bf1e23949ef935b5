"""A real Prometheus scrapes the exporter, in OpenMetrics and in text: what it stores is what was written, label for label and bit for bit,
with its metadata; no counter resets and `up` stays 1 over kills and restarts; promtool finds nothing but the names that were asked for."""

import http.client
import http.server
import json
import os
import pathlib
import random
import shutil
import subprocess
import sys
import threading
import time
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import metric_sets  # noqa: E402
from harness import Failure, Instance, Process, expect, main, wait_until  # noqa: E402
from metric_sets import MetricApp  # noqa: E402

PROMETHEUS, PROMTOOL = shutil.which("prometheus"), shutil.which("promtool")
SKIPPED = 77
SCRAPE_MS = 250

# What promtool says of names that are not ours to choose: node_exporter's, and those of the contract.
ASKED_FOR = ("node_", "taskforge_queue_count", "taskforge_worker_count", "taskforge_job_count")


def free_port():
    server = http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    server.server_close()
    return server.server_address[1]


def fetch(port, path, headers=None):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path, headers=headers or {})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


class TextOnly:
    """Stands before an exporter and asks it for text, whatever Prometheus asks for: 2.42 cannot be told to."""

    def __init__(self, place):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                headers = {"Accept": "text/plain;version=0.0.4;q=1", "Accept-Encoding": self.headers.get("Accept-Encoding", "identity")}
                try:
                    status, told, body = fetch(place.at, self.path, headers)
                except (OSError, http.client.HTTPException):
                    self.close_connection = True
                    return
                place.text_was_sent |= told["Content-Type"].startswith("text/plain; version=0.0.4")
                self.send_response(status)
                for name in ("Content-Type", "Content-Encoding"):
                    if told[name]:
                        self.send_header(name, told[name])
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def end(self):
        self.server.shutdown()
        self.server.server_close()


class Place(Instance):
    """Collector and exporter (on a port that stays), and a Prometheus with two jobs: `form` says by which format a sample came."""

    def __enter__(self):
        self.at, self.own, self.text_was_sent = free_port(), free_port(), False
        self.config.write_text(self.config.read_text().replace("127.0.0.1:0", f"127.0.0.1:{self.at}"))
        self.start("collector")
        self.exporter = self.start("exporter")
        self.proxy = TextOnly(self)
        jobs = "".join(
            f"  - job_name: {form}\n    honor_labels: true\n    static_configs: [{{ targets: ['127.0.0.1:{port}'] }}]\n"
            f"    metric_relabel_configs: [{{ target_label: form, replacement: {form} }}]\n"
            for form, port in (("openmetrics", self.at), ("text", self.proxy.port))
        )
        settings = self.root / "prometheus.yml"
        settings.write_text(f"global: {{ scrape_interval: {SCRAPE_MS}ms, scrape_timeout: {SCRAPE_MS}ms }}\nscrape_configs:\n{jobs}")
        arguments = [f"--config.file={settings}", f"--storage.tsdb.path={self.root}/tsdb", f"--web.listen-address=127.0.0.1:{self.own}"]
        self.server = Process([PROMETHEUS, *arguments, "--enable-feature=exemplar-storage"], self.env)
        self.processes.append(self.server)
        wait_until(self.reached, "prometheus to scrape us", 60, pause=0.05)
        return self

    def __exit__(self, *arguments):
        self.proxy.end()
        super().__exit__(*arguments)

    def reached(self):
        try:
            if fetch(self.own, "/-/ready")[0] != 200:
                return False
            return all(self.value(f'up{{job="{form}"}}') == 1 for form in ("openmetrics", "text"))
        except OSError:
            if self.server.process.poll() is not None:
                raise Failure(f"prometheus ended: {' | '.join(self.server.lines[-3:])}") from None
            return False

    def api(self, what, **parameters):
        status, _, body = fetch(self.own, f"/api/v1/{what}?" + urllib.parse.urlencode(parameters))
        expect(status == 200, f"{what} {parameters}: {status} {body[:300]}")
        return json.loads(body)["data"]

    def query(self, expression):
        return self.api("query", query=expression)["result"]

    def value(self, expression):
        result = self.query(expression)
        return float(result[0]["value"][1]) if result else None

    def stored(self, form, series):
        """{(name, labels): value} of the newest samples; the labels that a sample has by its target are taken off."""
        samples = {}
        for one in self.query(f'{{form="{form}"}}'):
            labels = {k: v for k, v in one["metric"].items() if k not in ("__name__", "form")}
            given = {"job": form, "instance": f"127.0.0.1:{self.at if form == 'openmetrics' else self.proxy.port}"}
            labels = {k: v for k, v in labels.items() if given.get(k) != v}
            samples[(one["metric"]["__name__"], tuple(sorted(labels.items())))] = float(one["value"][1])
        return metric_sets.of_set(samples, series)


def metadata_is_there(place, form, series):
    told = {one["metric"]: (one["type"], one["help"], one["unit"]) for one in place.api("targets/metadata", match_target=f'{{job="{form}"}}')}
    for name, (type_, text, unit) in metric_sets.expected_families(series, form == "openmetrics").items():
        type_ = "unknown" if type_ == "untyped" else type_
        expect(told.get(name) == (type_, text, unit or ""), f"{form}: metadata of {name}: {told.get(name)}, not {(type_, text, unit)}")


def what_is_stored_is_what_was_written():
    seed = int(os.environ.get("TASKFORGE_SEED", random.randrange(10**9)))
    rng = random.Random(seed)
    series = metric_sets.written_live(rng, metric_sets.random_set(rng, metric_sets.naughty_strings(), 60, namings=(0,), hidden=False), "")
    with Place() as place:
        with MetricApp(place) as app:
            metric_sets.write_live(place, app, series)
            app.end()
        for form in ("openmetrics", "text"):
            metric_sets.wait_equal(lambda: place.stored(form, series), series, form == "openmetrics", f"TASKFORGE_SEED={seed}, {form}")
            metadata_is_there(place, form, series)
        expect(place.text_was_sent, "the second job got text")
        exemplars_are_stored(place)
        counters_go_on_over_kills(place)
        expect(place.server.stop() == 0, "prometheus did not end well")


def exemplars_are_stored(place):
    """By name and by handle; with its trace, its value and its time, from OpenMetrics alone."""
    trace, begin = "4bf92f3577b34da6a3ce929d0e0e4736", time.time()
    timer = {"kind": "timer", "name": "traced_time", "labels": {}, "observations": [0.25], "way": "handle"}
    with MetricApp(place) as app:
        app.write([timer])  # by handle an exemplar is for a series that the collector has seen
        wait_until(lambda: place.value('taskforge_traced_time_seconds_count{form="openmetrics"}') == 1, "the timer", pause=0.05)
        app.write([
            {"kind": "counter", "name": "traced", "labels": {}, "value": 3, "way": "name", "trace_id": trace},
            {"kind": "histogram", "name": "traced_size", "labels": {}, "observations": [2.5], "way": "name", "trace_id": 'not "hex"\n'},
            {**timer, "trace_id": trace},
        ])  # fmt: skip
        app.end()
    expected = {("taskforge_traced_total", trace, 3.0), ("taskforge_traced_size_bucket", 'not "hex"\n', 2.5), ("taskforge_traced_time_seconds_bucket", trace, 0.25)}
    found = set()

    def stored():
        found.clear()
        for one in place.api("query_exemplars", query='{__name__=~"taskforge_traced.*"}', start=begin - 60, end=time.time() + 60):
            expect(one["seriesLabels"]["form"] == "openmetrics", f"{one}")
            for exemplar in one["exemplars"]:
                expect(abs(exemplar["timestamp"] - begin) < 60, f"{exemplar}, written at {begin}")
                told = exemplar["labels"]["trace_id"].replace('\\"', '"').replace("\\n", "\n")  # 2.42 leaves escapes there as they are
                found.add((one["seriesLabels"]["__name__"], told, float(exemplar["value"])))
        return found == expected

    try:
        wait_until(stored, "exemplars in prometheus", 20, pause=0.05)
    except Failure as failure:
        raise Failure(f"{failure}: {found}, not {expected}") from None


def refused_scrapes(place):
    """When `up` was 0, and not because the machine was too busy to answer in time."""
    by_time = lambda name: {(one["metric"]["job"], at): float(value) for one in place.query(f"{name}[1h]") for at, value in one["values"]}
    took = by_time("scrape_duration_seconds")
    return [key for key, up in by_time("up").items() if up == 0 and took[key] < SCRAPE_MS / 1000]


def counters_go_on_over_kills(place):
    """Collector killed, app killed, exporter restarted: rate() sees no reset, and only the exporter's own end is seen in `up`."""
    total = 0

    def count(app, n=1000):
        nonlocal total
        total += n
        app.write([{"kind": "counter", "name": "steady", "labels": {}, "value": n, "way": "handle"}, {"kind": "timer", "name": "steady_time", "labels": {}, "observations": [0.25], "way": "handle"}])

    def seen(what):
        wait_until(lambda: all(place.value(f'taskforge_steady_total{{form="{form}"}}') == total for form in ("openmetrics", "text")), f"{total} in prometheus {what}", 30, pause=0.05)

    with MetricApp(place) as app:
        count(app)
        seen("at first")
        collector = place.processes[0]
        collector.kill()
        count(app)
        scraped = place.value("count_over_time(up{job='openmetrics'}[1h])")
        wait_until(lambda: place.value("count_over_time(up{job='openmetrics'}[1h])") > scraped, "a scrape without a collector", pause=0.05)
        place.start("collector")
        count(app)
        seen("after SIGKILL of the collector")
        fallen = refused_scrapes(place)
        expect(not fallen, f"up fell: {fallen}")
    with MetricApp(place) as app:
        count(app)
        seen("after another app")
        place.exporter.kill()
        wait_until(lambda: refused_scrapes(place), "the exporter's end in `up`", pause=0.05)
        place.exporter = place.start("exporter")
        count(app)
        seen("after a restart of the exporter")
        app.end()
    wait_until(lambda: place.query("up == 0") == [], "up again", pause=0.05)
    for one in place.query('{__name__=~"taskforge_.*_(total|count|bucket|sum)",__name__!="taskforge_process_cpu_seconds_total"}[1h]'):
        values = [float(value) for _, value in one["values"]]
        falls = [(a, b) for a, b in zip(values, values[1:]) if b < a]
        expect(not falls, f"{one['metric']} fell: {falls}")
    grown = place.value('increase(taskforge_steady_time_seconds_count{form="text"}[1h])')
    expect(grown is not None and grown > 0, f"the timer grew: {grown}")


def promtool_finds_nothing_but_the_names_that_were_asked_for():
    with Instance(agent_inputs="[]") as instance:
        instance.start("collector")
        instance.start("agent")
        port = instance.port(instance.start("exporter"))
        instance.run("tfmetric", "counter", "mails_sent", "3", "queue=outgoing")
        instance.run("tfmetric", "gauge", "depth", "17.5", 'label=with "quotes" and \\ and\nlines')
        for duration in ("12ms", "80ms", "2s"):
            instance.run("tfmetric", "timer", "render", duration)
        instance.run("worker")
        wait_until(lambda: all(name in fetch(port, "/metrics")[2] for name in (b"taskforge_mails_sent_total", b"node_load1")), "metrics", 60, pause=0.2)
        status, _, text = fetch(port, "/metrics")
        done = subprocess.run([PROMTOOL, "check", "metrics"], input=text, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        complaints = [line for line in done.stdout.decode().splitlines() if line and not line.startswith(ASKED_FOR) and "_gauge " not in line]
        expect(status == 200 and not complaints, f"promtool: {complaints[:5]}")


if __name__ == "__main__":
    if not PROMETHEUS or not PROMTOOL:
        print("skipped: prometheus (with promtool) is not installed")
        sys.exit(SKIPPED)
    sys.exit(main([what_is_stored_is_what_was_written, promtool_finds_nothing_but_the_names_that_were_asked_for]))

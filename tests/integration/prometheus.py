"""A real Prometheus scrapes the exporter, and holds what was counted; promtool finds nothing but the names that were asked for."""

import http.client
import http.server
import json
import pathlib
import shutil
import subprocess
import sys
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from harness import Failure, Instance, Process, expect, main, wait_until  # noqa: E402

PROMETHEUS, PROMTOOL = shutil.which("prometheus"), shutil.which("promtool")
SKIPPED = 77

# What promtool says of names that are not ours to choose: node_exporter's, and those of the contract.
ASKED_FOR = ("node_", "taskforge_queue_count", "taskforge_worker_count", "taskforge_job_count")


def counted(instance):
    instance.run("tfmetric", "counter", "mails_sent", "3", "queue=outgoing")
    instance.run("tfmetric", "counter", "mails_sent", "4", "queue=outgoing")
    instance.run("tfmetric", "gauge", "depth", "17.5", 'label=with "quotes" and \\ and\nlines')
    for duration in ("12ms", "80ms", "2s"):
        instance.run("tfmetric", "timer", "render", duration)


def free_port():
    server = http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    server.server_close()
    return server.server_address[1]


def ask(port, path):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", path)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, body


def prometheus_holds_what_was_counted():
    with Instance() as instance:
        instance.start("collector")
        exporter = instance.start("exporter")
        port, own = instance.port(exporter), free_port()
        counted(instance)
        settings = instance.root / "prometheus.yml"
        settings.write_text(
            "global: { scrape_interval: 1s }\nscrape_configs:\n"
            f"  - job_name: taskforge\n    static_configs: [{{ targets: ['127.0.0.1:{port}'] }}]\n"
        )
        arguments = [f"--config.file={settings}", f"--storage.tsdb.path={instance.root}/tsdb", f"--web.listen-address=127.0.0.1:{own}"]
        server = Process([PROMETHEUS, *arguments], instance.env)
        instance.processes.append(server)

        def value(expression):
            status, body = ask(own, "/api/v1/query?" + urllib.parse.urlencode({"query": expression}))
            if status != 200:
                return None
            result = json.loads(body)["data"]["result"]
            return float(result[0]["value"][1]) if result else None

        def reached():
            try:
                return value('up{job="taskforge"}') == 1
            except OSError:
                if server.process.poll() is not None:
                    raise Failure(f"prometheus ended: {' | '.join(server.lines[-3:])}") from None
                return False

        wait_until(reached, "prometheus to scrape us", 60, pause=0.2)
        wait_until(lambda: value('taskforge_mails_sent_total{queue="outgoing"}') == 7, "the counter in prometheus", 30, pause=0.2)
        expect(value("taskforge_depth_gauge") == 17.5, f"the gauge: {value('taskforge_depth_gauge')}")
        wait_until(lambda: value("taskforge_render_seconds_count") == 3, "the timer's count", 30, pause=0.2)
        expect(abs(value("taskforge_render_seconds_sum") - 2.092) < 1e-9, f"the timer's sum: {value('taskforge_render_seconds_sum')}")
        expect(value('taskforge_render_seconds_bucket{le="0.1"}') == 2, f"a bucket: {value('taskforge_render_seconds_bucket')}")
        instance.run("tfmetric", "counter", "mails_sent", "5", "queue=outgoing")
        wait_until(lambda: value("sum(taskforge_mails_sent_total)") == 12, "the counter to grow in prometheus", 30, pause=0.2)
        expect(server.stop() == 0, "prometheus did not end well")


def promtool_finds_nothing_but_the_names_that_were_asked_for():
    with Instance(agent_inputs="[]") as instance:
        instance.start("collector")
        instance.start("agent")
        port = instance.port(instance.start("exporter"))
        counted(instance)
        instance.run("worker")
        wait_until(lambda: b"taskforge_mails_sent_total" in ask(port, "/metrics")[1] and b"node_load1" in ask(port, "/metrics")[1], "metrics", 60, pause=0.2)
        status, text = ask(port, "/metrics")
        done = subprocess.run([PROMTOOL, "check", "metrics"], input=text, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        complaints = [line for line in done.stdout.decode().splitlines() if line and not line.startswith(ASKED_FOR) and "_gauge " not in line]
        expect(status == 200 and not complaints, f"promtool: {complaints[:5]}")


if __name__ == "__main__":
    if not PROMETHEUS or not PROMTOOL:
        print("skipped: prometheus (with promtool) is not installed")
        sys.exit(SKIPPED)
    sys.exit(main([prometheus_holds_what_was_counted, promtool_finds_nothing_but_the_names_that_were_asked_for]))

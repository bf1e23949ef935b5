"""GET /metrics as Prometheus asks for it: formats, compression, its own metrics, and what it says without a collector."""

import gzip
import http.client
import json
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
import harness
from harness import Instance, expect, wait_until

MAKE_SEGMENT = harness.BUILD / "tests/integration/make_segment"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"


def ask(port, method="GET", **headers):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request(method, "/metrics", headers={name.replace("_", "-"): value for name, value in headers.items()})
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, answer.headers, body


def value(port, series):
    found = re.search(rb"^" + re.escape(series.encode()) + rb" (\S+)", ask(port)[2], re.M)
    return float(found.group(1)) if found else None


def both_formats_are_served_plain_and_compressed():
    with Instance() as one:
        one.start("collector")
        port = one.port(one.start("exporter"))
        one.run("tfmetric", "-s", "shop", "counter", "sold", "3", "what=tea")
        wait_until(lambda: value(port, 'taskforge_sold_total{what="tea"}') == 3, "the counter")
        status, headers, body = ask(port)
        expect(status == 200 and headers["Content-Type"].startswith("text/plain; version=0.0.4"), f"{headers}")
        expect(b"# EOF" not in body and headers["Vary"] == "Accept, Accept-Encoding", f"{headers}")
        status, headers, body = ask(port, Accept="application/openmetrics-text;version=1.0.0,text/plain;q=0.5")
        expect(status == 200 and headers["Content-Type"] == OPENMETRICS and body.endswith(b"# EOF\n"), f"{headers}")
        status, headers, packed = ask(port, Accept_Encoding="gzip")
        expect(headers["Content-Encoding"] == "gzip" and b"taskforge_sold_total" in gzip.decompress(packed), f"{headers}")
        status, headers, nothing = ask(port, "HEAD")
        expect(status == 200 and nothing == b"" and int(headers["Content-Length"]) > 1000, f"{headers}")
        status, headers, body = ask(port, "POST")
        expect(status == 405 and headers["Allow"] == "GET, HEAD", f"{status} {headers}")


def many_clients_at_once_get_whole_bodies():
    """Some thousand series, so that a body has several pieces; each client has its own wishes, and values change meanwhile."""
    with Instance() as one:
        one.runtime.mkdir()
        lines = [{"kind": "counter", "name": "sold", "labels": {"what": f"tea {n}", "shop": "a\\b\"c"}, "value": n} for n in range(8000)]
        subprocess.run([MAKE_SEGMENT, one.runtime], input="\n".join(map(json.dumps, lines)), text=True, check=True)
        port = one.port(one.start("exporter"))
        expected = ask(port)[2]
        expect(expected.count(b"\n") == 8002, f"{expected[:200]}")
        answers = []

        def client(number):
            headers = {"Accept_Encoding": "gzip"} if number % 2 else {}
            status, got, body = ask(port, **headers)
            body = gzip.decompress(body) if got.get("Content-Encoding") == "gzip" else body
            answers.append(status == 200 and body == expected and int(got["Content-Length"]) > 0)

        threads = [threading.Thread(target=client, args=(number,)) for number in range(24)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        expect(len(answers) == 24 and all(answers), f"{answers}")
        status, headers, nothing = ask(port, "HEAD")
        expect(status == 200 and nothing == b"" and int(headers["Content-Length"]) == len(expected), f"{headers}")
        if shutil.which("curl"):  # which takes the first member of a gzip stream for the whole
            done = subprocess.run(["curl", "-sS", "--compressed", f"http://127.0.0.1:{port}/metrics"], capture_output=True, check=True)
            expect(done.stdout == expected, f"{len(done.stdout)} bytes from curl")
        for late in ("0.000001", "0.0000001"):
            status, _, body = ask(port, X_Prometheus_Scrape_Timeout_Seconds=late)
            expect(status == 503 and "time" in json.loads(body)["error"], f"{late}: {status} {body[:100]}")
        for harmless in ("10", "0", "-1", "1e-9", "NaN", "", "9" * 22, "99999999", "0x1", "1;2", "0.5"):
            status, _, body = ask(port, X_Prometheus_Scrape_Timeout_Seconds=harmless)
            expect(status == 200 and body == expected, f"{harmless}: {status} {body[:100]}")


def it_tells_since_when_it_counts_where_that_is_on():
    with Instance(exporter="  created_samples: true\n") as one:
        one.runtime.mkdir()
        lines = '{"kind": "counter", "name": "sold", "value": 3}\n{"kind": "timer", "name": "run", "observations": [0.1]}\n{"kind": "gauge", "name": "depth"}'
        subprocess.run([MAKE_SEGMENT, one.runtime], input=lines, text=True, check=True)
        port = one.port(one.start("exporter"))
        expect(b"_created" not in ask(port)[2], "text has none")
        body = ask(port, Accept="application/openmetrics-text")[2].decode()
        created = re.findall(r"^(\w+)_created (\d{10}\.\d{3})$", body, re.M)
        expect([name for name, _ in created] == ["taskforge_run_seconds", "taskforge_sold"], body)


def it_tells_about_itself():
    with Instance() as one:
        one.start("collector")
        port = one.port(one.start("exporter"))
        wait_until(lambda: (value(port, "taskforge_exporter_http_requests_total") or 0) >= 3, "its requests")
        expect(ask(port, "POST")[0] == 405, "a refusal")
        wait_until(lambda: (value(port, "taskforge_exporter_http_requests_refused_total") or 0) >= 1, "its refusals")
        with socket.create_connection(("127.0.0.1", port)):
            wait_until(lambda: (value(port, "taskforge_exporter_http_connections_open") or 0) >= 1, "a connection that is open")
        expect(value(port, "taskforge_exporter_http_connections_accepted_total") >= 3, "its connections")
        expect(value(port, "taskforge_exporter_http_response_bytes_total") > 1000, "its bytes")
        expect(value(port, "taskforge_exporter_scrape_seconds_count") >= 3, "its scrapes")


def without_a_segment_it_says_so():
    with Instance() as one:
        port = one.port(one.start("exporter"))
        status, headers, body = ask(port)
        expect(status == 503 and headers["Content-Type"] == "application/json" and json.loads(body)["error"], f"{status} {body}")
        collector = one.start("collector")
        wait_until(lambda: ask(port)[0] == 200, "the segment")
        collector.kill()
        expect(ask(port)[0] == 200, "what is known is served without a collector")


def a_damaged_segment_is_an_answer():
    with Instance() as one:
        collector = one.start("collector")
        exporter = one.start("exporter")
        port = one.port(exporter)
        wait_until(lambda: ask(port)[0] == 200, "the segment")
        collector.kill()
        (one.runtime / "metrics").write_bytes(b"")
        status, _, body = ask(port)
        expect(status == 503 and json.loads(body)["error"], f"{status} {body}")
        one.start("collector")
        wait_until(lambda: ask(port)[0] == 200, "the next segment")
        expect(exporter.stop() == 0, "it ends with 0")


if __name__ == "__main__":
    sys.exit(
        harness.main(
            [
                both_formats_are_served_plain_and_compressed,
                many_clients_at_once_get_whole_bodies,
                it_tells_since_when_it_counts_where_that_is_on,
                it_tells_about_itself,
                without_a_segment_it_says_so,
                a_damaged_segment_is_an_answer,
            ]
        )
    )

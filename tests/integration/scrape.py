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
import exposition_rules
import harness
from harness import BUILD, LONG, Instance, expect, wait_until

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


# --- what a client may ask for ---

PROMETHEUS_2 = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,/;q=0.1"
)
ACCEPTS = {  # whether it is OpenMetrics
    None: False, "": False, "*/*": False, "text/plain": False, "text/*": False, "application/json": False, "text/html,application/xhtml+xml,*/*;q=0.8": False,
    "application/openmetrics-text": True, "application/openmetrics-text; version=1.0.0": True, 'application/openmetrics-text; version="1.0.0"': True,
    "APPLICATION/OpenMetrics-Text;VERSION=1.0.0": True, "application/openmetrics-text;version=1.0.0; charset=utf-8": True,
    "application/openmetrics-text;version=0.0.1": False, "application/openmetrics-text;version=2.0.0": False, "application/openmetrics-text;q=0": False, "application/openmetrics-text;q=nonsense": False,
    PROMETHEUS_2: True, PROMETHEUS_3: True, "application/openmetrics-text;version=1.0.0,text/plain": True, "text/plain,application/openmetrics-text": True,
    "application/openmetrics-text;q=0.5,text/plain;q=0.6": False, "application/openmetrics-text;q=0.5,text/plain;q=0.5": True, "application/openmetrics-text;q=0.001": True,
    "application/openmetrics-text;q=0.5,*/*": False, "application/openmetrics-text;q=0.5,text/*;q=0.4,*/*;q=0.9": True, "text/plain;version=0.0.4;q=0.2,application/openmetrics-text;q=0.3": True,
    ",,;;,=,": False, "application/openmetrics-text" + ";x=y" * 200: True, "text/plain;q=1,application/openmetrics-text;q=1.000": True, '";,application/openmetrics-text': False,
}  # fmt: skip
ENCODINGS = {None: False, "": False, "identity": False, "gzip": True, "gzip, deflate, br": True, "GZIP": True, "deflate": False, "br;q=1.0, gzip;q=0.8": True, "gzip;q=0": False, "gzip;q=0.0, identity": False}


def the_format_is_the_one_that_was_asked_for():
    with Instance() as one:
        one.start("collector")
        port = one.port(one.start("exporter"))
        wait_until(lambda: len(ask(port)[2]) > 2000, "some series")
        for accept, openmetrics in ACCEPTS.items():
            status, headers, body = ask(port, **({} if accept is None else {"Accept": accept}))
            kind = headers["Content-Type"]
            expect(status == 200 and kind == (OPENMETRICS if openmetrics else "text/plain; version=0.0.4; charset=utf-8"), f"{accept}: {status} {kind}")
            exposition_rules.read(body, openmetrics)
            expect(headers["Content-Length"] == str(len(body)) and headers["Vary"] == "Accept, Accept-Encoding", f"{accept}: {headers}")
        for encoding, compressed in ENCODINGS.items():
            status, headers, body = ask(port, **({} if encoding is None else {"Accept-Encoding": encoding}))
            expect(status == 200 and headers["Content-Encoding"] == ("gzip" if compressed else None), f"{encoding}: {headers}")
            exposition_rules.read(gzip.decompress(body) if compressed else body, False)


TIMEOUT = "X-Prometheus-Scrape-Timeout-Seconds"


def a_scrape_that_cannot_be_done_in_time_says_so():
    with Instance() as one:
        one.start("collector")
        port = one.port(one.start("exporter"))
        wait_until(lambda: len(ask(port)[2]) > 2000, "some series")
        status, headers, body = ask(port, **{TIMEOUT: "0.000001"})
        expect(status == 503 and headers["Content-Type"] == "application/json" and "time" in json.loads(body)["error"], f"{status} {body}")
        for timeout in ("10", "60.5", "1e9", "0", "-1", "", "nan", "inf", "0x10", "1" * 400, "1e-400", "10 s", "1,2", "\\xff"):
            status, headers, body = ask(port, Accept=OPENMETRICS, **{TIMEOUT: timeout})
            expect(status == 200, f"{timeout}: {status} {body[:200]}")
            exposition_rules.read(body, True)


def other_methods_are_refused_with_those_that_are_allowed():
    with Instance() as one:
        one.start("collector")
        port = one.port(one.start("exporter"))
        wait_until(lambda: len(ask(port)[2]) > 2000, "some series")
        for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
            status, headers, body = ask(port, method)
            expect(status == 405 and headers["Allow"] == "GET, HEAD" and json.loads(body)["error"], f"{method}: {status} {headers} {body}")
        for accept in ("text/plain", OPENMETRICS):
            for encoding in ("identity", "gzip"):
                status, headers, body = ask(port, "HEAD", Accept=accept, Accept_Encoding=encoding)
                expect(status == 200 and body == b"" and int(headers["Content-Length"]) > 100, f"{headers}")
                expect((headers["Content-Encoding"] == "gzip") == (encoding == "gzip") and headers["Content-Type"].startswith(accept[:20]), f"{headers}")


# --- whole bodies, whatever happens meanwhile ---


class Scrapers:
    """Eight clients that scrape without a pause, each in its way; judge(body, openmetrics) raises where a body is not whole."""

    def __init__(self, port, judge):
        self.port, self.judge, self.stopping = port, judge, threading.Event()
        self.answers, self.refusals, self.cut, self.wrong = [0] * 8, 0, 0, []
        self.threads = [threading.Thread(target=self.run, args=(number,), daemon=True) for number in range(8)]
        for thread in self.threads:
            thread.start()

    def run(self, number):
        openmetrics, compressed = number % 2 == 1, number % 4 >= 2
        headers = {"Accept": OPENMETRICS if openmetrics else "text/plain", "Accept_Encoding": "gzip" if compressed else "identity"}
        while not self.stopping.is_set():
            try:
                status, told, body = ask(self.port, **headers)
                if status == 200:
                    self.judge(gzip.decompress(body) if told["Content-Encoding"] else body, openmetrics)  # a short one goes as it is
                    self.answers[number] += 1
                else:
                    expect(status == 503 and json.loads(body)["error"], f"{status} {body[:200]}")
                    self.refusals += 1
            except (http.client.IncompleteRead, http.client.RemoteDisconnected, ConnectionResetError):
                self.cut += 1  # nobody takes that for a whole body
            except Exception as error:
                self.wrong.append(f"{type(error).__name__}: {error}")
                return

    def end(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join(60)
        expect(not self.wrong, f"{self.wrong[:2]}")
        expect(min(self.answers) > 0 and sum(self.answers) > 2 * (self.refusals + self.cut), f"{self.answers} answers, {self.refusals} refusals, {self.cut} cut")


def bodies_are_whole_while_segments_are_replaced():
    series = 300  # of some kinds; all have the value of their segment
    rounds = 400 if LONG else 10
    with Instance() as one:
        one.runtime.mkdir()
        maker = subprocess.Popen([BUILD / "tests/integration/make_segment", one.runtime, "text", "openmetrics"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

        def replace(value):
            kinds = ({"kind": "counter", "value": value}, {"kind": "gauge", "value": value}, {"kind": "histogram", "observations": [1] * value, "bounds": [0.5, 2]})
            lines = [json.dumps({"name": f"m{n}", "labels": {"n": str(n), "pad": "x" * (n % 50)}, **kinds[n % 3]}) for n in range(series)]
            maker.stdin.write(("\n".join(lines) + "\n\n").encode())
            maker.stdin.flush()
            for _ in range(2):
                maker.stdout.read(int(maker.stdout.readline()))

        def judge(body, openmetrics):
            samples = exposition_rules.read(body, openmetrics).samples
            values = {float(value) for (name, labels), value in samples.items() if dict(labels).get("le") != "0.5"}
            expect(len(samples) == series // 3 * 2 + series // 3 * 5 and len(values) == 1, f"{len(samples)} samples, values {sorted(values)[:5]}")

        replace(1)
        scrapers = Scrapers(one.port(one.start("exporter")), judge)
        for value in range(2, rounds):
            replace(value)
        scrapers.end()
        maker.stdin.close()
        expect(maker.wait(30) == 0, "make_segment's end")
        maker.stdout.close()


def bodies_are_whole_while_the_collector_is_killed():
    with Instance() as one:
        collector = one.start("collector")
        port = one.port(one.start("exporter"))
        highest, lock = {}, threading.Lock()

        def judge(body, openmetrics):
            value = float(exposition_rules.read(body, openmetrics).samples.get(("taskforge_sold_total", (("what", "tea"),)), 0))
            with lock:
                highest[openmetrics] = max(highest.get(openmetrics, 0), value)
            expect(value <= total[0], f"{value} of {total[0]}")

        total = [0]
        scrapers = Scrapers(port, judge)
        for _ in range(40 if LONG else 4):
            total[0] += 1
            one.run("tfmetric", "counter", "sold", "1", "what=tea")
            collector.kill()
            collector = one.start("collector")
            wait_until(lambda: value(port, 'taskforge_sold_total{what="tea"}') == total[0], "the counter")
        scrapers.end()


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
                the_format_is_the_one_that_was_asked_for,
                a_scrape_that_cannot_be_done_in_time_says_so,
                other_methods_are_refused_with_those_that_are_allowed,
                bodies_are_whole_while_segments_are_replaced,
                bodies_are_whole_while_the_collector_is_killed,
            ]
        )
    )

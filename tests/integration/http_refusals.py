"""The exporter's refusals, byte for byte over raw sockets, its tokens, and how it starts, reloads and ends."""

import base64
import json
import pathlib
import re
import signal
import socket
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
import harness
from harness import Instance, expect, in_time, wait_until

HOST = b"Host: localhost\r\n"


def exchange(port, request, seconds=20.0):
    """Send bytes, read until the end: (status, headers in small letters, body)."""
    with socket.create_connection(("127.0.0.1", port), seconds) as client:
        client.sendall(request)
        return hear(client)


def hear(client):
    data = b""
    while piece := client.recv(65536):
        data += piece
    expect(data, "the connection was closed without an answer")
    head, _, body = data.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    headers = {}
    for line in lines[1:]:
        name, _, value = line.partition(": ")
        headers[name.lower()] = headers[name.lower()] + ", " + value if name.lower() in headers else value
    return int(lines[0].split()[1]), headers, body


def refused(port, request, *statuses):
    status, headers, body = exchange(port, request)
    expect(status in statuses, f"{request[:80]!r}: {status} {body!r}, not {statuses}")
    expect(headers["content-type"] == "application/json", f"{request[:80]!r}: {headers}")
    expect(isinstance(json.loads(body)["error"], str), f"{request[:80]!r}: {body!r}")
    return headers


def get(port, path, headers=b""):
    return exchange(port, b"GET " + path + b" HTTP/1.1\r\n" + HOST + headers + b"\r\n")


def bad_framing_is_refused():
    with Instance() as one:
        port = one.port(one.start("exporter"))
        post = b"POST /livez HTTP/1.1\r\n" + HOST
        refused(port, post + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400)
        refused(port, post + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\nabc", 400)
        refused(port, post + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", 400)
        refused(port, post + b"Content-Length: 3\r\nCONTENT-LENGTH: 30\r\n\r\nabc", 400)
        refused(port, post + b"Content-Length: 3, 3\r\n\r\nabc", 400)
        refused(port, post + b"Content-Length: -3\r\n\r\n", 400)
        refused(port, post + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n", 400)
        refused(port, post + b"Transfer-Encoding: identity\r\n\r\n", 501)
        refused(port, post + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400)
        refused(port, b"GET /livez HTTP/1.1\r\n" + HOST + b" folded: line\r\n\r\n", 400)
        refused(port, b"GET /livez HTTP/1.1\r\n" + HOST + b"X : y\r\n\r\n", 400)
        refused(port, b"GET /livez HTTP/1.1\r\n" + HOST + HOST + b"\r\n", 400)
        refused(port, b"GET /livez HTTP/1.1\r\n\r\n", 400)
        refused(port, b"GET /livez HTTP/1.1\nHost: a\n\n", 400)
        refused(port, b"GET /livez HTTP/3.0\r\n" + HOST + b"\r\n", 505)
        expect(get(port, b"/livez")[0] == 200, "/livez after all that")


def a_nul_is_refused_wherever_it_stands():
    with Instance() as one:
        port = one.port(one.start("exporter"))
        whole = b"GET /livez HTTP/1.1\r\n" + HOST + b"X-A: b\r\n\r\n"
        for at in range(len(whole) - 1):
            refused(port, whole[:at] + b"\0" + whole[at + 1 :], 400)
        refused(port, b"GET /%00 HTTP/1.1\r\n" + HOST + b"\r\n", 400)
        refused(port, b"GET /livez?a=%00 HTTP/1.1\r\n" + HOST + b"\r\n", 400)


def bad_targets_are_refused():
    with Instance() as one:
        port = one.port(one.start("exporter"))
        for target in (b"*", b"livez", b"/%", b"/%zz", b"/%ff", b"/livez?a=%c3", b"/a#b", b"/\xc3\xa4", b"/?" + b"a=b&" * 65):
            refused(port, b"GET " + target + b" HTTP/1.1\r\n" + HOST + b"\r\n", 400)


def what_is_too_large_is_refused():
    with Instance() as one:
        port = one.port(one.start("exporter"))
        refused(port, b"GET /" + b"a" * 40000, 414)
        refused(port, b"GET / HTTP/1.1\r\n" + HOST + b"A: " + b"b" * 40000, 431)
        refused(port, b"GET / HTTP/1.1\r\n" + HOST + b"A: b\r\n" * 100 + b"\r\n", 431)
        refused(port, b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 65537\r\n\r\n" + b"a" * 65537, 413)
        refused(port, b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 999999999999\r\n\r\n", 413)
        chunk = b"4000\r\n" + b"a" * 0x4000 + b"\r\n"
        refused(port, b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n" + 5 * chunk, 413)
        small = b"1;" + b"x" * 200 + b"\r\na\r\n"
        refused(port, b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n" + 1000 * small, 413)


def paths_and_methods_are_told():
    with Instance() as one:
        port = one.port(one.start("exporter"))
        refused(port, b"GET /nowhere HTTP/1.1\r\n" + HOST + b"\r\n", 404)
        for method in (b"POST", b"PUT", b"DELETE", b"OPTIONS", b"TRACE", b"BREW"):
            headers = refused(port, method + b" /livez HTTP/1.1\r\n" + HOST + b"Content-Length: 0\r\n\r\n", 405)
            expect(headers["allow"] == "GET, HEAD", f"{method}: {headers}")
        status, headers, body = exchange(port, b"HEAD / HTTP/1.1\r\n" + HOST + b"\r\n")
        expect(status == 200 and body == b"" and int(headers["content-length"]) > 0, f"HEAD: {status} {headers} {body!r}")


def the_page_is_strict():
    with Instance() as one:
        port = one.port(one.start("exporter"))
        status, headers, body = get(port, b"/")
        policy = headers["content-security-policy"]
        expect(status == 200 and b"<html" in body, f"{status}")
        expect("default-src 'none'" in policy and "unsafe" not in policy and "http" not in policy, policy)
        expect("frame-ancestors 'none'" in policy, policy)
        expect(b"style=" not in body and b"<style" not in body and b"onclick" not in body, "nothing inline")
        again = get(port, b"/", b"If-None-Match: " + headers["etag"].encode() + b"\r\n")
        expect(again[0] == 304 and again[2] == b"", f"{again}")
        for path in re.findall(rb'(?:href|src)="(/static/[^"]+)"', body):
            expect(get(port, path)[0] == 200, f"{path}")
        expect(get(port, b"/static/../index.html")[0] == 404, "no path leads out")


def who_is_slow_is_cut_by_the_clock():
    """One that says nothing, one that sends a byte each second, one whose body does not come: 10 seconds for each."""
    with Instance() as one:
        port = one.port(one.start("exporter"))
        begin = time.monotonic()
        silent, dripping, bodiless = (socket.create_connection(("127.0.0.1", port), 20) for _ in range(3))
        bodiless.sendall(b"POST /livez HTTP/1.1\r\n" + HOST + b"Content-Length: 10\r\n\r\n")
        dripping.settimeout(1.0)
        bytes_sent = 0
        answer = b""
        for byte in b"GET /livez HTTP/1.1\r\nX-Slow: aaaaaaaaaaaaa":
            try:
                dripping.sendall(bytes([byte]))
                bytes_sent += 1
                answer = dripping.recv(4096)  # the pause of a second, ended by an answer
                break
            except socket.timeout:
                pass
        took = time.monotonic() - begin
        expect(answer.startswith(b"HTTP/1.1 408 "), f"{answer!r}")
        expect(9.5 < took < 10 + in_time(2), f"cut after {took:.1f} s")
        expect(bytes_sent >= 8, f"{bytes_sent} bytes were taken")
        status, _, body = hear(bodiless)
        expect(status == 408 and "error" in json.loads(body), f"{status} {body!r}")
        expect(silent.recv(1) == b"", "the silent one is closed without a word")
        expect(time.monotonic() - begin < 10 + in_time(3), "all of them in time")
        for client in (silent, dripping, bodiless):
            client.close()


def tokens_are_asked_for():
    with Instance() as one:
        reader, admin = one.root / "reader", one.root / "admin"
        reader.write_text("reading\n")
        admin.write_text("writing\n")
        reader.chmod(0o640)
        admin.chmod(0o600)
        one.write_config(exporter=f"  token_file: {reader}\n  admin_token_file: {admin}\n")
        one.start("collector")
        exporter = one.start("exporter")
        port = one.port(exporter)
        for path in (b"/" + b"a" * 600, b"/", b"/static/x"):
            headers = refused(port, b"GET " + path + b" HTTP/1.1\r\n" + HOST + b"\r\n", 401)
            expect(headers["www-authenticate"].startswith("Bearer"), f"{headers}")
        refused(port, b"GET / HTTP/1.1\r\n" + HOST + b"Authorization: Bearer readin\r\n\r\n", 401)
        refused(port, b"GET / HTTP/1.1\r\n" + HOST + b"Authorization: Bearer reading2\r\n\r\n", 401)
        for good in (b"Bearer reading", b"Bearer writing", b"Basic " + base64.b64encode(b"me:reading")):
            expect(get(port, b"/", b"Authorization: " + good + b"\r\n")[0] == 200, f"{good}")
        expect(get(port, b"/livez")[0] == 200, "/livez is open")
        wait_until(lambda: get(port, b"/readyz")[0] == 200, "/readyz, open as well")
        wait_until(lambda: one.count("-s", "taskforge", "--limit", "1"), "the audit entry")
        entry = one.query("-s", "taskforge")[0]
        expect((entry["module"], entry["operation"], entry["level"]) == ("audit", "token_refused", "warn"), f"{entry}")
        expect(entry["metadata"]["actor"].startswith("127.0.0.1:") and entry["metadata"]["reason"] == "missing", f"{entry}")
        expect(entry["metadata"]["target"] == "/" + "a" * 511, f"{entry}")
        reader.write_text("changed\n")
        exporter.process.send_signal(signal.SIGHUP)
        exporter.wait_line("read again")
        expect(get(port, b"/", b"Authorization: Bearer changed\r\n")[0] == 200, "the new token")
        expect(get(port, b"/", b"Authorization: Bearer reading\r\n")[0] == 401, "the old token")
        reader.chmod(0o644)
        exporter.process.send_signal(signal.SIGHUP)
        exporter.wait_line("the old one stays")
        expect(get(port, b"/", b"Authorization: Bearer changed\r\n")[0] == 200, "the token of before")


def six_is_spoken_as_well():
    with Instance() as one:
        try:
            socket.create_server(("::1", 0), family=socket.AF_INET6).close()
        except OSError:
            print("     this host has no IPv6")
            return
        token = one.root / "token"
        token.write_text("secret")
        token.chmod(0o600)
        one.write_config(exporter=f"  token_file: {token}\n")
        one.config.write_text(one.config.read_text().replace("127.0.0.1:0", "[::1]:0"))
        one.start("collector")
        exporter = one.start("exporter")
        expect(any("http://[::1]:" in line for line in exporter.lines), f"{exporter.lines}")
        with socket.create_connection(("::1", one.port(exporter)), 20) as client:
            client.sendall(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
            expect(hear(client)[0] == 401, "no token")
        wait_until(lambda: one.count("-s", "taskforge"), "the audit entry")
        actor = one.query("-s", "taskforge")[0]["metadata"]["actor"]
        expect(actor.startswith("[::1]:"), actor)


def readiness_follows_the_collector():
    with Instance() as one:
        port = one.port(one.start("exporter"))
        status, _, body = get(port, b"/readyz")
        expect(status == 503 and "error" in json.loads(body), f"{status} {body!r}")
        collector = one.start("collector")
        one.run("tflog", "-s", "a", "hello")
        wait_until(lambda: get(port, b"/readyz")[0] == 200, "/readyz")
        collector.process.send_signal(signal.SIGSTOP)
        wait_until(lambda: get(port, b"/readyz")[0] == 503, "/readyz to see that the collector hangs")
        collector.process.send_signal(signal.SIGCONT)
        wait_until(lambda: get(port, b"/readyz")[0] == 200, "/readyz to see that it goes on")
        collector.kill()
        wait_until(lambda: get(port, b"/readyz")[0] == 503, "/readyz to see the dead collector")
        one.start("collector")
        wait_until(lambda: get(port, b"/readyz")[0] == 200, "/readyz to see the next one")
        expect(get(port, b"/livez")[0] == 200, "/livez asks nobody")


def fails(one, part, status=1):
    done = one.run("exporter", check=False)
    lines = done.stderr.decode().splitlines()
    expect(done.returncode == status and len(lines) == 1 and part in lines[0], f"{done.returncode} {lines}, not {part}")


def what_keeps_it_from_starting_is_one_line():
    with Instance() as one, socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        config = one.config.read_text()
        one.config.write_text(config.replace("127.0.0.1:0", f"127.0.0.1:{port}"))
        fails(one, f"cannot listen on 127.0.0.1:{port}: the port is in use")
        one.config.write_text(config.replace("127.0.0.1:0", "0.0.0.0:0"))
        fails(one, "exporter.token_file")
        token = one.root / "token"
        one.write_config(exporter=f"  token_file: {token}\n")
        fails(one, f"{token} cannot be read")
        token.write_text("")
        token.chmod(0o600)
        fails(one, f"{token} is empty")
        token.write_text("secret")
        token.chmod(0o604)
        fails(one, f"{token} is open to everybody")
        token.write_text("s" * 5000)
        token.chmod(0o600)
        fails(one, f"{token} is longer")


def a_second_one_names_the_first():
    with Instance() as one:
        first = one.start("exporter")
        fails(one, f"taskforge-exporter (pid {first.process.pid})")
        expect(first.stop() == 0, "it ends with 0")
        again = one.start("exporter")
        expect(again.stop() == 0, "the next one starts")


def a_restart_takes_the_same_port():
    with Instance() as one:
        first = one.start("exporter")
        port = one.port(first)
        clients = [socket.create_connection(("127.0.0.1", port), 20) for _ in range(20)]
        for client in clients[:10]:
            client.sendall(b"GET /livez HTTP/1.1\r\n" + HOST + b"\r\n")
            hear(client)
        first.kill()
        one.config.write_text(one.config.read_text().replace("127.0.0.1:0", f"127.0.0.1:{port}"))
        second = one.start("exporter")
        expect(get(port, b"/livez")[0] == 200, "/livez")
        second.process.send_signal(signal.SIGHUP)
        second.wait_line("read again")
        one.config.write_text(one.config.read_text().replace(f"127.0.0.1:{port}", "127.0.0.1:1"))
        second.process.send_signal(signal.SIGHUP)
        second.wait_line("exporter.listen has changed")
        expect(second.stop() == 0, "it ends with 0")
        for client in clients:
            client.close()


if __name__ == "__main__":
    sys.exit(
        harness.main(
            [
                bad_framing_is_refused,
                a_nul_is_refused_wherever_it_stands,
                bad_targets_are_refused,
                what_is_too_large_is_refused,
                paths_and_methods_are_told,
                the_page_is_strict,
                who_is_slow_is_cut_by_the_clock,
                tokens_are_asked_for,
                six_is_spoken_as_well,
                readiness_follows_the_collector,
                what_keeps_it_from_starting_is_one_line,
                a_second_one_names_the_first,
                a_restart_takes_the_same_port,
            ]
        )
    )

#!/usr/bin/env python3
"""common/process/http_client against peers that answer well, badly, for ever or not at all.
Usage: http_client.py HTTP_CLIENT_PROBE [TEST...]"""

import email.utils
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
from harness import expect, main, wait_until  # noqa: E402
from peers import Http, Mail, Peer, answer, certificate  # noqa: E402

PROBE = sys.argv.pop(1)
MAIL = ("--from", "a@example.org", "--to", "b@example.org", "--body", "Subject: x\r\n\r\n.dots\r\nend\r\n")
BLOCKED_MS = 500  # no peer may hold the loop for longer (a busy machine may, for a while)


def probe(*arguments, env=None):
    """The ends in the order they came, and the last line. The loop must have run all the time."""
    done = subprocess.run(
        [PROBE, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60, env={**os.environ, **(env or {})}
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    expect(done.returncode == 0 and lines and "gap" in lines[-1], f"ended with {done.returncode}: {done.stdout!r} {done.stderr!r}")
    expect(lines[-1]["gap"] < BLOCKED_MS, f"the loop stood still for {lines[-1]['gap']} ms")
    return lines[:-1], lines[-1]


def one(*arguments, **more):
    ends, _ = probe(*arguments, **more)
    expect(len(ends) == 1, f"one end, not {ends}")
    return ends[0]


def mute(sock, _number):
    while sock.recv(100000):
        pass


def a_request_arrives_as_it_was_given_and_the_answer_comes_back():
    with Http(lambda request, sock, number: answer("201 Made", b"hello")) as peer:
        end = one("--answer-max", 100, "--header", "X-A", "b c", "--header", "X-Empty", "", "--body", "{}", peer.url("/in?x=1"))
        expect((end["status"], end["line"], end["body"], end["cut"]) == (201, "HTTP/1.1 201 Made", "hello", False), str(end))
        got = peer.requests[0]
        expect((got.method, got.path, got.body) == ("POST", "/in?x=1", b"{}"), f"{got.method} {got.path} {got.body}")
        expect(got.headers["x-a"] == "b c" and got.headers["x-empty"] == "" and "expect" not in got.headers, str(got.headers))
        end = one(peer.url())
        expect(peer.requests[1].method == "GET" and end["cut"] and end["body"] == "", f"{peer.requests[1].method} {end}")


def a_large_body_goes_out_whole():
    with Http(lambda request, sock, number: answer("200 OK")) as peer:
        expect(one("--body-size", 5_000_000, peer.url())["status"] == 200, "no answer")
        expect(peer.requests[0].body == bytes(5_000_000), f"{len(peer.requests[0].body)} bytes")
        end = one("--body-size", 17_000_000, peer.url())
        expect(end == {"error": -7, "sentence": "the body has more than 16777216 bytes"}, str(end))


def a_redirect_is_an_answer_and_is_not_followed():
    with Http(lambda request, sock, number: answer("307 Elsewhere", Location="/other")) as peer:
        end = one("--body", "x", peer.url())
        expect(end["status"] == 307 and [r.path for r in peer.requests] == ["/"], f"{end} {len(peer.requests)} requests")


def no_proxy_of_the_environment_is_asked():
    with Http(lambda request, sock, number: answer("200 OK")) as peer, Http(lambda *_: answer("502 Proxy")) as proxy:
        env = {name: proxy.url() for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY")}
        expect(one(peer.url(), env=env)["status"] == 200 and proxy.connections == 0, "the proxy was asked")


def retry_after_is_read_as_seconds_and_as_a_date_and_is_bounded():
    for value, low, high in (
        ("7", 7, 7),
        (email.utils.formatdate(time.time() + 100, usegmt=True), 90, 101),
        (email.utils.formatdate(time.time() - 100, usegmt=True), 0, 0),
        ("100000", 86400, 86400),
        ("999999999999999999999", 0, 0),
        ("-5", 0, 0),
        ("soon", 0, 0),
    ):
        with Http(lambda request, sock, number: answer("429 Slow", Retry_After=value)) as peer:
            end = one(peer.url())
            expect(end["status"] == 429 and low <= end["retry_after"] <= high, f"{value}: {end}")


def an_endless_answer_is_cut_and_counts():
    def handler(request, sock, number):
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
        for _ in range(100):
            sock.sendall(bytes(1_000_000))
        return None

    with Http(handler) as peer:
        end = one("--answer-max", 1000, peer.url())
        expect(end["status"] == 200 and end["cut"] and len(end["body"]) == 1000, f"{end['status']} {len(end['body'])}")


def endless_headers_end_the_request():
    def handler(request, sock, number):
        sock.sendall(b"HTTP/1.1 200 OK\r\n")
        while True:
            sock.sendall(b"X-More: " + b"x" * 1000 + b"\r\n")

    with Http(handler) as peer:
        end = one("--timeout", 20000, peer.url())
        expect(end["status"] == 0 and end["failure"] and end["ms"] < 15000, str(end))


def an_answer_that_breaks_off_behind_its_headers_counts_one_within_them_does_not():
    def handler(request, sock, number):
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n" + (b"\r\nhalf" if request.path == "/body" else b""))
        return "close"

    with Http(handler) as peer:
        expect(one("--answer-max", 100, peer.url("/body"))["status"] == 200, "the status was there")
        end = one(peer.url("/head"))
        expect(end["status"] == 0 and end["failure"], str(end))


def garbage_and_interim_answers_are_told_apart():
    with Peer(lambda sock, number: (sock.recv(1000), sock.sendall(b"\x00\xff" * 1000))) as peer:
        end = one(f"http://127.0.0.1:{peer.port}/")
        expect(end["status"] == 0 and end["failure"], str(end))
    with Http(lambda *_: b"HTTP/1.1 102 Processing\r\n\r\n" + answer("204 None")) as peer:
        end = one(peer.url())
        expect((end["status"], end["line"]) == (204, "HTTP/1.1 204 None"), str(end))
    with Http(lambda *_: answer("200 \x1b[31mred")) as peer:
        expect("\x1b" not in one(peer.url())["line"], "a control character in the line")


def what_hangs_ends_in_time_and_holds_nobody_up():
    def handler(request, sock, number):
        return None if request.path == "/hang" else answer("200 OK")

    with Http(handler) as peer, Peer(mute) as silent, Mail(GREETING=None) as mail:
        ends, _ = probe(
            "--timeout", 1500, *MAIL, peer.url("/hang"), f"http://hang.test:{peer.port}/", f"http://127.0.0.1:{silent.port}/", mail.url(),
            f"smtp://hang.test:{peer.port}", peer.url("/good"),
        )  # fmt: skip
        expect(ends[0]["status"] == 200 and ends[0]["ms"] < 1000, f"the good one waited: {ends}")
        expect(len(ends) == 6 and all(e["status"] == 0 and e["timed_out"] and "timed out" in e["failure"] and e["ms"] < 4000 for e in ends[1:]), str(ends))


def a_connection_that_does_not_come_about_has_a_limit_of_its_own():
    expect("timed out" in one("--connect-timeout", 300, "http://hang.test/")["failure"], "no limit")
    expect("onnect" in one("http://127.0.0.1:1/")["failure"], "no sentence")
    expect(not one("http://127.0.0.1:1/")["timed_out"], "it was not the time")


def own_connections_are_closed_after_the_answer_others_are_kept():
    for own, low, high in ((["--own"], 0, 0.7), ([], 0.8, 10)):
        with Http(lambda *_: answer("200 OK")) as peer, Peer(mute) as silent:
            probe("--timeout", 1000, *own, peer.url(), f"http://127.0.0.1:{silent.port}/")  # the second keeps the client busy
            wait_until(lambda p=peer: p.closed, "the end of the connection", 10)
            kept = peer.closed[0] - peer.requests[0].at
            expect(low <= kept <= high, f"{own}: the connection was kept {kept:.2f} s")


def too_many_at_a_time_are_refused():
    with Peer(mute) as peer:
        ends, _ = probe("--quit", 500, *[f"http://127.0.0.1:{peer.port}/"] * 130)
        expect([e["error"] for e in ends] == [-11, -11], str(ends))


def cancelled_requests_are_never_told():
    with Peer(mute) as peer:
        ends, last = probe("--cancel", 300, *MAIL, f"http://127.0.0.1:{peer.port}/", f"smtp://127.0.0.1:{peer.port}", "smtp://hang.test")
        expect(ends == [] and last["destroyed"] < 1000, f"{ends} {last}")


def taking_the_client_down_does_not_wait_for_who_hangs():
    with Peer(mute) as peer:
        urls = [f"smtp://127.0.0.1:{peer.port}", "smtp://hang.test", "http://hang.test", f"http://127.0.0.1:{peer.port}/"]
        ends, last = probe("--quit", 300, *MAIL, *urls * 3)
        expect(ends == [] and last["destroyed"] < 3000, f"{ends} {last}")


def addresses_and_headers_that_could_inject_are_refused():
    for url in (
        "http://127.0.0.1/\r\nX: y", "http://127.0.0.1/a b", "http://ü.example/", "file:///etc/passwd", "ftp://127.0.0.1/", "gopher://127.0.0.1/",
        "127.0.0.1", "http://", "", "http://" + "x" * 2100, "scp://x", "smtp://127.0.0.1/\nRCPT",
    ):  # fmt: skip
        end = one(*MAIL, url)
        expect(end.get("error") == -22 and end["sentence"], f"{url}: {end}")
    for header in (("X", "a\r\nY: b"), ("X\nY", "a"), ("", "a"), ("X Y", "a"), ("X:", "a"), ("X", "\x7f"), ("X", "y" * 5000)):
        end = one("--header", *header, "http://127.0.0.1:1/")
        expect(end.get("error") == -22, f"{header}: {end}")
    for address in ("", "a b@c", "a@b\r\nRCPT TO:<x@y>", "<a@b>", "A <a@b>", "a@b,c@d", "ü@b", "a@" + "b" * 260):
        for arguments in (("--from", address, "--to", "b@c"), ("--from", "b@c", "--to", "ok@c", "--to", address)):
            end = one(*arguments, "--body", "x", "smtp://127.0.0.1:1")
            expect(end.get("error") == -22, f"{arguments}: {end}")
    for arguments in (("--to", "b@c", "--body", "x"), ("--from", "b@c", "--body", "x"), ("--from", "b@c", "--to", "b@c")):
        expect(one(*arguments, "smtp://127.0.0.1:1").get("error") == -22, str(arguments))


def a_mail_goes_to_all_its_recipients_with_its_dots():
    with Mail() as mail:
        end = one(*MAIL, "--to", "c@example.org", mail.url())
        expect((end["status"], end["line"], end["refused"]) == (250, "250 taken", ""), str(end))
        expect([s for s in mail.said if "<" in s] == ["MAIL FROM:<a@example.org>", "RCPT TO:<b@example.org>", "RCPT TO:<c@example.org>"], str(mail.said))
        expect(mail.mails == [b"Subject: x\r\n\r\n..dots\r\nend\r\n"], str(mail.mails))


def a_refused_recipient_keeps_the_mail_from_nobody_else_and_is_told():
    with Mail(RCPT=["550 who", "250 ok"]) as mail:
        end = one(*MAIL, "--to", "c@example.org", mail.url())
        expect((end["status"], end["refused"]) == (250, "550 who") and len(mail.mails) == 1, str(end))


def a_refusal_is_told_with_its_code_wherever_it_comes():
    for replies, status in (
        ({"GREETING": "554 no service"}, 554), ({"EHLO": "502 no", "HELO": "502 no"}, 502), ({"MAIL": "452 full"}, 452),
        ({"RCPT": "550-no\n550 such"}, 550), ({"DATA": "451 later"}, 451), ({"END": "554 spam"}, 554), ({"END": "451 greylisted"}, 451),
    ):  # fmt: skip
        with Mail(**replies) as mail:
            end = one(*MAIL, mail.url())
            expect(end["status"] == status and end["line"].startswith(str(status)) and not end["failure"], f"{replies}: {end}")


def a_server_silent_about_the_end_has_not_taken_one_silent_about_quit_has():
    with Mail(END=None) as mute, Mail(QUIT=None) as impolite, Mail(END="250-first\n250 taken") as wordy:
        ends, _ = probe("--timeout", 3000, *MAIL, mute.url(), impolite.url(), wordy.url())
        expect(len(ends) == 3 and ends[-1]["status"] == 0 and ends[-1]["ms"] >= 2900, str(ends))
        expect([e["line"] for e in ends[:2]] == ["250 taken"] * 2 and ends[1]["ms"] < 2900, str(ends))
    with Mail(RCPT=["550 who", None]) as mail:
        end = one("--timeout", 500, *MAIL, "--to", "c@example.org", mail.url())
        expect(end["status"] == 0 and "timed out" in end["failure"], f"a time-out is no refusal: {end}")


def endless_replies_end_the_mail():
    def play(sock, number):
        while True:
            sock.sendall(b"220-" + b"x" * 200 + b"\r\n")

    with Peer(play) as peer:
        end = one("--timeout", 20000, *MAIL, f"smtp://127.0.0.1:{peer.port}")
        expect(end["status"] == 0 and end["failure"] and end["ms"] < 15000, str(end))


def certificates_are_checked():
    with tempfile.TemporaryDirectory() as folder:
        pem, tls = certificate(pathlib.Path(folder))
        with Http(lambda *_: answer("200 OK"), tls) as peer, Mail(tls) as mail:
            for url in (peer.url(), mail.url()):
                end = one(*MAIL, url)
                expect(end["status"] == 0 and "certificate" in end["failure"], f"{url}: {end}")
                end = one("--ca", pem, *MAIL, url.replace("127.0.0.1", "other.test"))  # resolves to 127.0.0.1
                expect(end["status"] == 0 and end["failure"], f"another host's name: {end}")
                expect(one("--ca", pem, *MAIL, url)["status"] in (200, 250), url)
            expect(len(peer.requests) == 1 and len(mail.mails) == 1, "something was sent without trust")


def nothing_is_said_in_clear_where_tls_is_wanted():
    with Mail() as mail:
        end = one("--starttls", "--user", "u", "--password", "secret", *MAIL, mail.url())
        expect(end["status"] == 0 and end["failure"] and mail.mails == [], str(end))
        expect(not any(s.startswith(("AUTH", "MAIL")) for s in mail.said), str(mail.said))


if __name__ == "__main__":
    sys.exit(
        main(
            [
                a_request_arrives_as_it_was_given_and_the_answer_comes_back,
                a_large_body_goes_out_whole,
                a_redirect_is_an_answer_and_is_not_followed,
                no_proxy_of_the_environment_is_asked,
                retry_after_is_read_as_seconds_and_as_a_date_and_is_bounded,
                an_endless_answer_is_cut_and_counts,
                endless_headers_end_the_request,
                an_answer_that_breaks_off_behind_its_headers_counts_one_within_them_does_not,
                garbage_and_interim_answers_are_told_apart,
                what_hangs_ends_in_time_and_holds_nobody_up,
                a_connection_that_does_not_come_about_has_a_limit_of_its_own,
                own_connections_are_closed_after_the_answer_others_are_kept,
                too_many_at_a_time_are_refused,
                cancelled_requests_are_never_told,
                taking_the_client_down_does_not_wait_for_who_hangs,
                addresses_and_headers_that_could_inject_are_refused,
                a_mail_goes_to_all_its_recipients_with_its_dots,
                a_refused_recipient_keeps_the_mail_from_nobody_else_and_is_told,
                a_refusal_is_told_with_its_code_wherever_it_comes,
                a_server_silent_about_the_end_has_not_taken_one_silent_about_quit_has,
                endless_replies_end_the_mail,
                certificates_are_checked,
                nothing_is_said_in_clear_where_tls_is_wanted,
            ]
        )
    )

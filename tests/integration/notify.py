#!/usr/bin/env python3
"""Notifications on their way: outbox and channels against servers that are well, ill, slow, gone, or killed between.
Usage: notify.py NOTIFY_PROBE [TEST...]"""

import email
import email.policy
import json
import os
import pathlib
import queue
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
from harness import expect, main, wait_until  # noqa: E402
from peers import Http, Mail, Peer, answer  # noqa: E402

PROBE = sys.argv.pop(1)
RULES = "rules:\n  - { id: r, name: R, severity: info, condition: { silence: { service: s, time_window: 1h } } }\n"


class Sender:
    """The probe over a rules file; killed and started again at will, on one store."""

    def __init__(self, *channels, env=None):
        self.temporary = tempfile.TemporaryDirectory(prefix="taskforge-test-")
        self.root = pathlib.Path(self.temporary.name)
        self.rules = self.root / "rules.yaml"
        self.env = {**os.environ, **(env or {})}
        self.lines = []
        self.channels(*channels)
        self.start()

    def channels(self, *channels):
        self.rules.write_text("channels:\n" + "".join(f"  - {c}\n" for c in channels) + RULES)

    def start(self):
        self.process = subprocess.Popen(
            [PROBE, self.rules, self.root], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=self.env
        )
        self.answers = queue.Queue()
        for stream, take in ((self.process.stdout, self.answers.put), (self.process.stderr, self.lines.append)):
            threading.Thread(target=lambda s=stream, t=take: [t(line.rstrip("\n")) for line in s], daemon=True).start()

    def ask(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.answers.get(timeout=30)

    def put(self, channel, rule_id, count=1):
        expect(self.ask(f"put {channel} {rule_id} {count}") == "put", "not put")

    def counts(self):
        return json.loads(self.ask("counts"))

    def wait_counts(self, **wanted):
        wait_until(lambda: wanted.items() <= self.counts().items(), f"{wanted}", 30)

    def said(self, part):
        return any(part in line for line in self.lines)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.stdin.close()
            status = self.process.wait(10)
            if status != 0 and sys.exc_info()[0] is None:
                expect(False, f"the probe ended with {status}: {self.lines[-3:]}")
        self.temporary.cleanup()


def hook(peer, name="hook"):
    return f'{{ name: {name}, type: webhook, url: "{peer.url("/alert")}" }}'


def mail_channel(url, more=""):
    return f'{{ name: mail, type: email, smtp_url: "{url}", from: a@example.org, recipients: [b@example.org, c@example.org]{more} }}'


def rule_ids(peer):
    return [json.loads(r.body)["rule_id"] for r in peer.requests]


def a_webhook_receives_the_alert():
    with Http(lambda *_: answer("200 OK")) as peer, Sender(hook(peer)) as sender:
        sender.put("hook", "disk")
        sender.wait_counts(delivered=1, waiting=0)
        got = peer.requests[0]
        body = json.loads(got.body)
        expect(
            list(body) == "id rule_id name severity status message timestamp details last_notified labels annotations dedup_key entries".split(),
            str(list(body)),
        )
        expect(got.method == "POST" and got.path == "/alert" and got.headers["content-type"] == "application/json", f"{got.method} {got.headers}")
        expect(got.headers["user-agent"].startswith("taskforge-alerter/"), got.headers["user-agent"])
        expect(got.headers["idempotency-key"].startswith(body["dedup_key"] + ":active:"), got.headers["idempotency-key"])
        expect(body["entries"][0]["message"] == "first line\nsecond\x1b[31m line" and body["labels"] == {"queue": "mail"}, str(body))


def a_failure_is_tried_again_and_the_order_stays():
    with Http(lambda request, sock, number: answer("500 Ill") if number == 1 else answer("200 OK")) as peer, Sender(hook(peer)) as sender:
        for name in ("one", "two", "three"):
            sender.put("hook", name)
        sender.wait_counts(delivered=3, waiting=0, failed=1)
        expect(rule_ids(peer) == ["one", "one", "two", "three"], str(rule_ids(peer)))
        keys = [r.headers["idempotency-key"] for r in peer.requests]
        expect(keys[0] == keys[1] and len(set(keys)) == 3, str(keys))
        expect(peer.requests[1].at - peer.requests[0].at > 0.7, "tried again too soon")
        expect(sender.said("500 Ill; tried again in"), str(sender.lines))


def retry_after_is_waited_for():
    with Http(lambda request, sock, number: answer("429 Slow", Retry_After="3") if number == 1 else answer("200 OK")) as peer, Sender(hook(peer)) as sender:
        sender.put("hook", "one")
        sender.wait_counts(delivered=1)
        waited = peer.requests[1].at - peer.requests[0].at
        expect(2.9 < waited < 10, f"{waited:.1f} s")


def what_is_refused_is_set_aside_and_the_next_goes_on():
    with Http(lambda request, sock, number: answer("400 Bad", b"no such room") if number == 1 else answer("200 OK")) as peer, Sender(hook(peer)) as sender:
        sender.put("hook", "one")
        sender.put("hook", "two")
        sender.wait_counts(delivered=1, refused=1, waiting=0)
        expect(rule_ids(peer) == ["one", "two"] and sender.said("for good, it is not sent again: HTTP/1.1 400 Bad: no such room"), str(sender.lines))


def a_redirect_is_not_followed():
    with Http(lambda *_: answer("302 Found", Location="/other")) as peer, Sender(hook(peer)) as sender:
        sender.put("hook", "one")
        sender.wait_counts(refused=1, waiting=0)
        expect(len(peer.requests) == 1, f"{len(peer.requests)} requests")


def who_hangs_closes_or_floods_delays_nobody():
    def flood(request, sock, number):
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
        for _ in range(100):
            sock.sendall(bytes(1_000_000))

    def mute(sock, _number):
        while sock.recv(100000):
            pass

    with (
        Peer(mute) as hangs, Http(lambda *_: "close") as closes, Http(flood) as floods, Mail(DATA=None) as mail, Http(lambda *_: answer("200 OK")) as good,
        Sender(
            f'{{ name: hangs, type: webhook, url: "http://127.0.0.1:{hangs.port}/" }}', hook(closes, "closes"), hook(floods, "floods"),
            mail_channel(mail.url()), '{ name: nobody, type: webhook, url: "http://127.0.0.1:1/" }', hook(good, "good"),
        ) as sender,
    ):  # fmt: skip
        for name in ("hangs", "mail", "closes", "floods", "nobody"):
            sender.put(name, name)
        begin = time.monotonic()
        sender.put("good", "g", 100)
        sender.wait_counts(delivered=101)
        expect(time.monotonic() - begin < 5, "the good channel waited for the others")
        wait_until(lambda: sender.counts()["failed"] >= 2, "failures of those that close", 10)
        expect(sender.counts()["waiting"] == 4, str(sender.counts()))


def a_kill_loses_nothing_and_repeats_at_most_what_was_in_hand():
    killed = threading.Event()

    def handler(request, sock, number):
        if number == 4:
            killed.wait(30)  # received, but the answer comes too late
            return "close"
        return answer("200 OK")

    with Http(handler) as peer, Sender(hook(peer)) as sender:
        sender.put("hook", "first")
        sender.put("hook", "all", 9)
        wait_until(lambda: len(peer.requests) == 4, "the fourth request", 10)
        sender.kill()
        killed.set()
        sender.start()
        sender.wait_counts(waiting=0, delivered=7)
        keys = [r.headers["idempotency-key"] for r in peer.requests]
        expect(len(keys) == 11 and len(set(keys)) == 10 and keys[3] == keys[4], str(keys))
        expect(rule_ids(peer)[0] == "first" and sorted(keys[1:]) == keys[1:], str(keys))


def kills_at_any_moment_lose_nothing():
    with Http(lambda *_: answer("200 OK")) as peer, Sender(hook(peer)) as sender:
        for i in range(15):
            sender.put("hook", f"r{i}", 20)
            wait_until(lambda n=len(peer.requests): len(peer.requests) > n, "a request", 10)
            sender.kill()
            sender.start()
        sender.wait_counts(waiting=0)
        keys = [r.headers["idempotency-key"] for r in peer.requests]
        expect(len(set(keys)) == 300 and len(keys) <= 315, f"{len(set(keys))} of {len(keys)}")
        firsts = list(dict.fromkeys(rule_ids(peer)))
        expect(firsts == [f"r{i}" for i in range(15)], str(firsts))


def a_repaired_channel_is_tried_at_once():
    with Http(lambda *_: answer("200 OK")) as peer, Sender('{ name: hook, type: webhook, url: "http://127.0.0.1:1/" }') as sender:
        sender.put("hook", "one")
        wait_until(lambda: sender.counts()["failed"] >= 3, "three failures", 20)  # the next in 3 s or more
        sender.channels(hook(peer))
        begin = time.monotonic()
        expect(sender.ask("reload") == "reloaded", "not reloaded")
        sender.wait_counts(delivered=1, waiting=0)
        expect(time.monotonic() - begin < 2.9, "it waited")


def no_proxy_is_asked():
    with Http(lambda *_: answer("200 OK")) as peer, Http(lambda *_: answer("200 Proxy")) as proxy:
        with Sender(hook(peer), env={"http_proxy": proxy.url(), "ALL_PROXY": proxy.url()}) as sender:
            sender.put("hook", "one")
            sender.wait_counts(delivered=1)
            expect(len(peer.requests) == 1 and proxy.connections == 0, "the proxy was asked")


class Mailbox:
    """A real mail server, aiosmtpd's."""

    def __enter__(self):
        from aiosmtpd.controller import Controller

        self.mails = []
        mailbox = self

        class Handler:
            async def handle_DATA(self, server, session, envelope):
                mailbox.mails.append(envelope)
                return "250 Kept"

        def authenticate(server, session, envelope, mechanism, data):
            from aiosmtpd.smtp import AuthResult

            return AuthResult(success=(data.login, data.password) == (b"u", b"word"), handled=False)

        self.controller = Controller(Handler(), hostname="127.0.0.1", port=0, authenticator=authenticate, auth_require_tls=False)
        self.controller.port = free_port()
        self.controller.start()
        return self

    def __exit__(self, *_):
        self.controller.stop()

    def url(self):
        return f"smtp://127.0.0.1:{self.controller.port}"


def free_port():
    with Peer(lambda *_: None) as peer:
        return peer.port


def a_mail_arrives_and_reads_as_it_should():
    with Mailbox() as mailbox, Sender(mail_channel(mailbox.url(), ", starttls: false")) as sender:
        sender.put("mail", "größe")
        sender.wait_counts(delivered=1, waiting=0)
        envelope = mailbox.mails[0]
        expect(envelope.mail_from == "a@example.org" and envelope.rcpt_tos == ["b@example.org", "c@example.org"], str(envelope.rcpt_tos))
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        expect(mail["Subject"] == "[CRITICAL] Many errors in the queue service: active", mail["Subject"])
        expect(mail["To"] == "<b@example.org>, <c@example.org>" or str(mail["To"]) == "b@example.org, c@example.org", str(mail["To"]))
        expect(not mail.defects and mail["Date"].datetime and mail["Message-ID"], str(mail.defects))
        text = mail.get_content().replace("\r\n", "\n")
        expect("Rule id:        größe\n" in text and "second\\x1b[31m line\n" in text and "12 errors\n" in text, text)


def a_mail_server_asks_for_a_login_and_a_wrong_one_is_tried_again():
    with Mailbox() as mailbox, Sender(mail_channel(mailbox.url(), ", username: u, password: wrong")) as sender:
        sender.put("mail", "one")
        wait_until(lambda: sender.said("535 5.7.8 Authentication credentials invalid; tried again"), "a failure", 10)
        word = sender.root / "word"
        word.write_text("word\n")
        sender.channels(mail_channel(mailbox.url(), f", username: u, password_file: {word}"))
        sender.ask("reload")
        sender.wait_counts(delivered=1, waiting=0, refused=0)


def mail_that_is_put_off_is_tried_again_and_refused_mail_is_not():
    with Mail(END=["451 later", "250 ok"]) as mail, Sender(mail_channel(mail.url())) as sender:
        sender.put("mail", "one")
        sender.wait_counts(delivered=1, failed=1)
        expect(len(mail.mails) == 2 and mail.mails[0] == mail.mails[1] and sender.said("451 later; tried again"), str(sender.lines))
    with Mail(END=["554 spam", "250 ok"]) as mail, Sender(mail_channel(mail.url())) as sender:
        sender.put("mail", "one")
        sender.put("mail", "two")
        sender.wait_counts(delivered=1, refused=1, failed=0)
        expect(sender.said("for good, it is not sent again: 554 spam"), str(sender.lines))
    with Mail(RCPT=["550 who", "250 ok"]) as mail, Sender(mail_channel(mail.url())) as sender:
        sender.put("mail", "one")
        sender.wait_counts(delivered=1, refused=0, failed=0)
        expect(sender.said("not for all its recipients: 550 who"), str(sender.lines))


def an_unreadable_secret_is_waited_for():
    with Http(lambda *_: answer("200 OK")) as peer, Sender("{ name: hook, type: webhook, url_file: /nonexistent/url }") as sender:
        sender.put("hook", "one")
        wait_until(lambda: sender.said("/nonexistent/url: No such file or directory; tried again"), "a sentence", 10)
        (sender.root / "url").write_text(peer.url("/secret") + "\n")
        sender.channels(f"{{ name: hook, type: webhook, url_file: {sender.root}/url }}")
        sender.ask("reload")
        sender.wait_counts(delivered=1)
        expect(peer.requests[0].path == "/secret" and not sender.said("/secret"), "the secret was said")


def send_test(channel, rules):
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "rules.yaml"
        path.write_text(f"channels:\n  - {channel}\n" + RULES)
        done = subprocess.run([PROBE, "send-test", path, rules], stdout=subprocess.PIPE, timeout=60, text=True, check=True)
    status, _, text = done.stdout.partition("\n")
    return int(status), text.strip()


def send_test_tells_the_answer():
    with Http(lambda *_: answer("200 OK", b"thanks\x1b[0m")) as peer:
        expect(send_test(hook(peer), "hook") == (0, "HTTP/1.1 200 OK\nthanks\\x1b[0m"), "not told")
        body = json.loads(peer.requests[0].body)
        expect(body["rule_id"] == "send-test" and body["status"] == "active" and "test of the channel hook" in body["message"], str(body))
    with Http(lambda *_: answer("404 Gone")) as peer:
        expect(send_test(hook(peer), "hook") == (-121, "HTTP/1.1 404 Gone"), "not told")
    with Mail(RCPT=["550 who", "250 ok"], END="250 kept as 17") as mail:
        expect(send_test(mail_channel(mail.url()), "mail") == (0, "250 kept as 17\nrefused for one recipient: 550 who"), "not told")
    with Mail(RCPT="550 who") as mail:
        expect(send_test(mail_channel(mail.url()), "mail") == (-121, "550 who"), "not told")
    status, text = send_test('{ name: hook, type: webhook, url: "http://127.0.0.1:1/" }', "hook")
    expect(status == -5 and "onnect" in text, f"{status} {text}")
    status, text = send_test("{ name: hook, type: webhook, url_file: /nonexistent/url }", "hook")
    expect(status == -2 and "/nonexistent/url" in text, f"{status} {text}")


if __name__ == "__main__":
    sys.exit(
        main(
            [
                a_webhook_receives_the_alert,
                a_failure_is_tried_again_and_the_order_stays,
                retry_after_is_waited_for,
                what_is_refused_is_set_aside_and_the_next_goes_on,
                a_redirect_is_not_followed,
                who_hangs_closes_or_floods_delays_nobody,
                a_kill_loses_nothing_and_repeats_at_most_what_was_in_hand,
                kills_at_any_moment_lose_nothing,
                a_repaired_channel_is_tried_at_once,
                no_proxy_is_asked,
                a_mail_arrives_and_reads_as_it_should,
                a_mail_server_asks_for_a_login_and_a_wrong_one_is_tried_again,
                mail_that_is_put_off_is_tried_again_and_refused_mail_is_not,
                an_unreadable_secret_is_waited_for,
                send_test_tells_the_answer,
            ]
        )
    )

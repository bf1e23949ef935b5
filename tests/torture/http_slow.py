"""500 slow clients of three sorts hang on the exporter: headers a byte at a time, bodies a byte at a time, readers of large
answers that hardly read. /metrics and /livez go on answering within a second, and every connection is given back."""

import os
import pathlib
import socket
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
import harness
from harness import Instance, expect, in_time, wait_until

SLOW = 500
SECONDS = 60 if harness.LONG else 15  # longer than a request may take to arrive
HOST = b"Host: localhost\r\n"
LARGE = b"/api/v1/logs?limit=40&service=large"  # 40 entries of 9 KB: more than the kernel keeps for a reader


class Client:
    """One slow client: what it says at once, and then a byte a second or one read a second."""

    def __init__(self, port, hello, drip):
        self.port, self.hello, self.drip = port, hello, drip
        self.cut = 0
        self.dial()

    def dial(self):
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.socket.connect(("127.0.0.1", self.port))
        self.socket.setblocking(False)
        self.socket.sendall(self.hello)

    def tick(self):
        try:
            if self.drip:
                self.socket.sendall(self.drip)
            if self.socket.recv(1 if not self.drip else 4096) == b"":
                raise ConnectionResetError
            if self.drip:  # an answer: we were refused
                raise ConnectionResetError
        except BlockingIOError:
            pass
        except OSError:
            self.cut += 1
            self.socket.close()
            self.dial()


def sorts(port):
    headers = b"GET /livez HTTP/1.1\r\nX-Slow: ", b"a"
    body = b"POST /livez HTTP/1.1\r\n" + HOST + b"Content-Length: 60000\r\n\r\n", b"a"
    reader = b"GET " + LARGE + b" HTTP/1.1\r\n" + HOST + b"\r\n", b""
    return headers, body, reader


class Crowd(threading.Thread):
    def __init__(self, port):
        super().__init__(daemon=True)
        kinds = sorts(port)
        self.clients = [Client(port, *kinds[i % 3]) for i in range(SLOW)]
        self.stopping = threading.Event()
        self.ticks = 0

    def run(self):
        while not self.stopping.wait(1.0):
            for client in self.clients:
                client.tick()
            self.ticks += 1

    def stop(self):
        self.stopping.set()
        self.join()
        for client in self.clients:
            client.socket.close()


def ask(port, path):
    """One request in time: how long it took."""
    begin = time.monotonic()
    with socket.create_connection(("127.0.0.1", port), 5) as client:
        client.sendall(b"GET " + path + b" HTTP/1.1\r\n" + HOST + b"\r\n")
        data = b""
        while piece := client.recv(65536):
            data += piece
    expect(data.startswith(b"HTTP/1.1 200 "), f"{path}: {data[:100]!r}")
    return time.monotonic() - begin


def sockets_of(process):
    folder = f"/proc/{process.process.pid}/fd"
    count = 0
    for name in os.listdir(folder):
        try:
            count += os.readlink(f"{folder}/{name}").startswith("socket:")
        except FileNotFoundError:
            pass
    return count


def start(one):
    one.start("collector")
    line = "x" * 9000 + "\n"
    one.run("tflog", "-s", "large", "--wait", "20s", stdin=(line * 60).encode())
    one.run("tfmetric", "counter", "scraped", "1")
    one.wait_count(60, "-s", "large")
    exporter = one.start("exporter")
    port = one.port(exporter)
    wait_until(lambda: ask(port, b"/readyz"), "/readyz")
    return exporter, port


def five_hundred_slow_clients_keep_nobody_out():
    with Instance() as one:
        exporter, port = start(one)
        before = sockets_of(exporter)
        crowd = Crowd(port)
        wait_until(lambda: sockets_of(exporter) >= before + SLOW * 2 // 3, "the crowd to be connected", 20)
        crowd.start()
        slowest = {b"/metrics": 0.0, b"/livez": 0.0}
        asked = most = 0
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            for path in slowest:
                slowest[path] = max(slowest[path], ask(port, path))
                asked += 1
            most = max(most, sockets_of(exporter) - before)
            crowd.stopping.wait(0.1)
        cut = [sum(client.cut > 0 for client in crowd.clients[sort::3]) for sort in range(3)]
        crowd.stop()
        for path, seconds in slowest.items():
            expect(seconds < in_time(1), f"{path} took {seconds:.2f} s among {SLOW} slow clients")
        expect(cut[0] > 0.9 * SLOW / 3 and cut[1] > 0.9 * SLOW / 3, f"slow headers and bodies were cut: {cut}")
        expect(0.75 * SLOW < most <= 520, f"{most} connections")
        wait_until(lambda: sockets_of(exporter) <= before, "all connections to be given back", 20)
        print(f"     {asked} requests, the slowest {1000 * max(slowest.values()):.0f} ms, at most {most} connections, cut {cut}")
        expect(exporter.stop() == 0, "it ends with 0")


def more_readers_than_places_keep_nobody_out():
    """600 readers take every place with a large answer that they do not read: each new one is served all the same."""
    with Instance() as one:
        exporter, port = start(one)
        before = sockets_of(exporter)
        hello = sorts(port)[2][0]
        readers = []
        for i in range(600):
            reader = Client(port, hello, b"")
            readers.append(reader)
            reader.socket.settimeout(10)
            expect(reader.socket.recv(12) == b"HTTP/1.1 200", f"reader {i} gets its answer's beginning")
            reader.socket.setblocking(False)
            if i % 50 == 49:
                took = max(ask(port, b"/metrics"), ask(port, b"/livez"))
                expect(took < in_time(1), f"{took:.2f} s among {i + 1} readers")
        expect(sockets_of(exporter) - before <= 513, f"{sockets_of(exporter)}")
        for reader in readers:
            reader.socket.close()
        wait_until(lambda: sockets_of(exporter) <= before, "all connections to be given back", 20)
        expect(exporter.stop() == 0, "it ends with 0")


def is_held(port, client):
    """Whether the exporter's end of the client's connection is established."""
    ends = f":{port:04X} 0100007F:{client.socket.getsockname()[1]:04X} 01 "
    return ends in pathlib.Path("/proc/net/tcp").read_text()


def who_takes_nothing_is_cut():
    """After 30 seconds; with --long only."""
    with Instance() as one:
        _, port = start(one)
        reader = Client(port, sorts(port)[2][0], b"")
        begin = time.monotonic()
        wait_until(lambda: is_held(port, reader), "the reader to be served")
        wait_until(lambda: not is_held(port, reader), "the reader to be cut", 45)
        took = time.monotonic() - begin
        expect(25 < took < 30 + in_time(10), f"cut after {took:.0f} s")
        reader.socket.close()


if __name__ == "__main__":
    import resource

    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
    tests = [five_hundred_slow_clients_keep_nobody_out, more_readers_than_places_keep_nobody_out]
    sys.exit(harness.main(tests + [who_takes_nothing_is_cut] * harness.LONG))

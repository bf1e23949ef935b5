"""The other side of what the daemons send: HTTP and mail servers that behave well, badly or not at all, as a test says."""

import contextlib
import socket
import ssl
import subprocess
import threading
import time


class Peer:
    """A TCP server on a free port of 127.0.0.1; each connection is played by play(sock, number) in a thread of its own."""

    def __init__(self, play, tls=None):
        self.play = play
        self.tls = tls
        self.connections = 0
        self.open = []
        self.closing = False
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while not self.closing:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            self.open.append(sock)
            threading.Thread(target=self._serve, args=(sock, self.connections), daemon=True).start()

    def _serve(self, sock, number):
        with contextlib.suppress(OSError, ValueError):  # the daemon may go away at any time
            if self.tls:
                sock = self.tls.wrap_socket(sock, server_side=True)
            self.play(sock, number)
        with contextlib.suppress(OSError):
            sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.closing = True
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for sock in self.open:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)


class Request:
    def __init__(self, method, path, headers, body):
        self.method, self.path, self.headers, self.body = method, path, headers, body
        self.at = time.monotonic()


def read_request(file):
    """One HTTP request, or None at the end."""
    first = file.readline().decode("latin-1").split()
    if len(first) < 2:
        return None
    headers = {}
    for line in iter(lambda: file.readline().decode("latin-1").rstrip("\r\n"), ""):
        name, _, value = line.partition(":")
        headers.setdefault(name.lower(), []).append(value.strip())
    body = file.read(int(headers.get("content-length", ["0"])[0]))
    return Request(first[0], first[1], {name: ", ".join(values) for name, values in headers.items()}, body)


def answer(status, body=b"", **headers):
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}"] + [f"{k.replace('_', '-')}: {v}" for k, v in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class Http(Peer):
    """HTTP: handler(request, sock, number) sends something itself, or returns the bytes of an answer; None: says nothing
    more until the other side closes; "close": closes at once. What came is in `requests`, when the other side closed
    (monotonic) in `closed`."""

    def __init__(self, handler, tls=None):
        self.handler = handler
        self.requests = []
        self.closed = []
        super().__init__(self._play, tls)

    def _play(self, sock, _number):
        file = sock.makefile("rb")
        while request := read_request(file):
            self.requests.append(request)
            said = self.handler(request, sock, len(self.requests))
            if said == "close":
                return
            if said is None:
                file.read(1)
                return
            sock.sendall(said)
        self.closed.append(time.monotonic())

    def url(self, path="/"):
        return f"http{'s' if self.tls else ''}://127.0.0.1:{self.port}{path}"


class Mail(Peer):
    """SMTP by script, for what a well-behaved server does not do. `replies` gives, by verb (GREETING, EHLO, MAIL, RCPT, DATA,
    END, QUIT), the reply lines (a text), a list of them for the first, second ... time, or None: says nothing for ever."""

    def __init__(self, tls=None, **replies):
        self.replies = {
            "GREETING": "220 peer",
            "EHLO": "250 peer",
            "MAIL": "250 sender",
            "RCPT": "250 recipient",
            "DATA": "354 go on",
            "END": "250 taken",
            "QUIT": "221 bye",
            **replies,
        }
        self.mails = []
        self.said = []
        super().__init__(self._play, tls)

    def _reply(self, sock, verb):
        reply = self.replies.get(verb, "502 what")
        if isinstance(reply, list):
            reply = reply.pop(0) if len(reply) > 1 else reply[0]
        if reply is None:
            sock.recv(1)
            raise OSError
        sock.sendall(reply.replace("\n", "\r\n").encode() + b"\r\n")
        return reply

    def _play(self, sock, _number):
        file = sock.makefile("rb")
        self._reply(sock, "GREETING")
        while line := file.readline():
            self.said.append(line.decode().strip())
            verb = line.split()[0].decode().upper()
            if self._reply(sock, verb).startswith("354"):
                mail = b"".join(iter(file.readline, b".\r\n"))
                self.mails.append(mail)
                self._reply(sock, "END")
            if verb == "QUIT":
                return

    def url(self):
        return f"smtp{'s' if self.tls else ''}://127.0.0.1:{self.port}"


def certificate(folder):
    """A self-signed certificate of 127.0.0.1: the PEM file that trusts it, and a server's context."""
    pem = folder / "cert.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost", "-keyout", str(folder / "key.pem"), "-out", str(pem)],
        check=True,
        capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem, folder / "key.pem")
    return pem, context

"""The world around a real Rspamd: name servers, the directory, a virus scanner."""

from __future__ import annotations

import http.server
import json
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dns.flags
import dns.message
import dns.rcode
import dns.rrset

from mailu.address import DomainName
from mailu.identity.dkim import SigningKey, ensure_keys

SECRET = "directory-secret"


@contextmanager
def _serving(server: socketserver.BaseServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass
class NameServer:
    """A recursive resolver that knows *texts* (name to TXT record) and *addresses*; all else does not exist."""

    texts: dict[str, str] = field(default_factory=dict)
    addresses: dict[str, str] = field(default_factory=dict)
    failing: set[str] = field(default_factory=set)
    """Names whose look-up fails; ``.`` for every name."""
    asked: list[str] = field(default_factory=list)
    port: int = 0

    def answer(self, wire: bytes) -> bytes:
        query = dns.message.from_wire(wire)
        reply = dns.message.make_response(query, recursion_available=True)
        question = query.question[0]
        name = question.name.to_text(omit_final_dot=True).lower()
        self.asked.append(name)
        value = (self.texts if question.rdtype == 16 else self.addresses if question.rdtype == 1 else {}).get(name)
        if self.failing & {name, "."}:
            reply.set_rcode(dns.rcode.SERVFAIL)
        elif value is not None:
            text = " ".join(f'"{value[at : at + 250]}"' for at in range(0, len(value), 250))
            kind = "TXT" if question.rdtype == 16 else "A"
            reply.answer.append(dns.rrset.from_text(question.name, 5, "IN", kind, text if kind == "TXT" else value))
        elif name not in self.texts and name not in self.addresses:
            reply.set_rcode(dns.rcode.NXDOMAIN)
        return reply.to_wire()

    @contextmanager
    def serving(self, address: str = "127.0.0.1", port: int = 0) -> Iterator[NameServer]:
        server = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                data, listener = self.request
                listener.sendto(server.answer(data), self.client_address)

        with socketserver.UDPServer((address, port), Handler) as listener, _serving(listener):
            self.port = listener.server_address[1]
            yield self


@dataclass
class Directory:
    """What Rspamd asks the directory: the domains that are ours, and their keys."""

    folder: Path
    domains: tuple[str, ...] = ("example.org", "alternative.example")
    port: int = 0
    refused: int = 0
    senders: Callable[[bytes], dict[str, Any]] | None = lambda _question: {}
    """What the lists of senders say; None: the directory does not know now."""
    keys: Callable[[str], tuple[int, bytes]] | None = None
    """What is said about the keys of a domain instead."""

    def signing_keys(self) -> list[SigningKey]:
        return ensure_keys(self.folder, DomainName("example.org"))

    def answer(self, path: str, headers: dict[str, str]) -> tuple[int, bytes]:
        basic = headers.get("authorization") == "Basic cnNwYW1kOmRpcmVjdG9yeS1zZWNyZXQ="
        if not basic and headers.get("x-vault-token") != SECRET:
            self.refused += 1
            return 403, b""
        if path == "/rspamd/local_domains":
            return 200, "".join(f"{domain}\n" for domain in self.domains).encode()
        domain = path.removeprefix("/rspamd/vault/v1/dkim/")
        return self.keys(domain) if self.keys else self.own_keys(domain)

    def own_keys(self, domain: str) -> tuple[int, bytes]:
        """What the directory says about the keys of *domain*."""
        if domain not in self.domains:
            return 404, b""
        selectors = [
            {"domain": domain, "selector": key.selector, "alg": key.algorithm, "key": key.rspamd_key}
            for key in self.signing_keys()
        ]
        return 200, json.dumps({"data": {"selectors": selectors}}).encode()

    @contextmanager
    def serving(self) -> Iterator[Directory]:
        directory = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, format: str, *args: object) -> None:
                pass

            def do_GET(self) -> None:
                headers = {name.lower(): value for name, value in self.headers.items()}
                status, body = directory.answer(self.path, headers)
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Connection", "close")
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(body)

            do_HEAD = do_GET

            def do_POST(self) -> None:
                question = self.rfile.read(int(self.headers["Content-Length"]))
                known = self.headers["X-Mailu-Secret"] == SECRET and self.path == "/rspamd/senders"
                body = json.dumps(directory.senders(question)).encode() if known and directory.senders else b""
                self.send_response((200 if directory.senders else 503) if known else 403)
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Connection", "close")
                self.end_headers()
                self.wfile.write(body)

        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listener, _serving(listener):
            self.port = listener.server_address[1]
            yield self


@contextmanager
def clamd(path: Path, virus: bytes) -> Iterator[None]:
    """A ClamAV that finds *virus* in everything, on the socket *path*."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.settimeout(5)
            data = b""
            while not data.endswith(b"\0\0\0\0"):
                data += self.request.recv(65_536)
            self.request.sendall(b"stream: " + virus + b"\0")

    path.parent.mkdir(parents=True, exist_ok=True)
    path.parent.chmod(0o755)
    with socketserver.UnixStreamServer(str(path), Handler) as listener, _serving(listener):
        path.chmod(0o666)
        yield
    path.unlink()


@dataclass
class Oletools:
    """A macro scanner (olefy's protocol) that finds *finds*, kinds and words, in every document."""

    address: str
    finds: list[tuple[str, str]] = field(default_factory=list)
    asked: int = 0

    def answer(self) -> bytes:
        analysis = [{"type": kind, "keyword": word, "description": ""} for kind, word in self.finds]
        macros = [{"code": "x", "ole_stream": "VBA", "vba_filename": "ThisDocument"}]
        document = [
            {"type": "MetaInformation", "script_name": "olevba", "version": "0.60"},
            {"type": "OpenXML", "file": "report", "analysis": analysis, "macros": macros},
            {"type": "MetaInformation", "return_code": 0, "n_processed": 1},
        ]
        return json.dumps(document).encode() + b"\t\n\n\t"

    @contextmanager
    def serving(self) -> Iterator[None]:
        scanner = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                while self.request.recv(65_536):
                    pass
                scanner.asked += 1
                self.request.sendall(scanner.answer())

        class Server(socketserver.TCPServer):
            allow_reuse_address = True

        with Server((self.address, 11343), Handler) as listener, _serving(listener):
            yield


def free_udp_port() -> int:
    """A port on loopback that nobody has just now."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Submission:
    """Postfix's socket for mail of this machine's services; keeps what it was given."""

    path: Path
    messages: list[str] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)

    @contextmanager
    def serving(self) -> Iterator[None]:
        submission = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                self.wfile.write(b"220 mail.example.org\r\n")
                for line in self.rfile:
                    verb = line[:4].upper()
                    if verb == b"RCPT":
                        submission.recipients.append(line.decode().strip())
                    if verb == b"DATA":
                        self.wfile.write(b"354 go on\r\n")
                        lines = iter(self.rfile.readline, b".\r\n")
                        submission.messages.append(b"".join(lines).decode())
                    self.wfile.write(b"221 bye\r\n" if verb == b"QUIT" else b"250 ok\r\n")
                    if verb == b"QUIT":
                        return

        self.path.parent.mkdir(parents=True, exist_ok=True)
        with socketserver.UnixStreamServer(str(self.path), Handler) as listener, _serving(listener):
            yield

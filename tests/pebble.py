"""Pebble, the small certification authority of Let's Encrypt's own tests, with the DNS server that belongs to it."""

from __future__ import annotations

import json
import os
import shutil
import socket
import ssl
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.pki import self_signed_server

PEBBLE = shutil.which("pebble")
DNS = shutil.which("pebble-challtestsrv")
needs_pebble = pytest.mark.skipif(not (PEBBLE and DNS), reason="pebble is not installed: ./mailu install --tests")


@dataclass
class Authority:
    """A running authority at *address*; DNS names are set with ``point``."""

    address: str
    folder: Path
    http_port: int
    name_server: str
    process: subprocess.Popen[bytes] | None = None

    @property
    def server(self) -> str:
        """The URL of its directory."""
        return f"https://{self.address}:14000/dir"

    @property
    def ca_file(self) -> Path:
        """What its HTTPS is trusted by."""
        return self.folder / "cert.pem"

    def point(self, name: str, *addresses: str) -> None:
        """The A records of *name*."""
        self._manage("clear-a", {"host": f"{name}."})
        self._manage("add-a", {"host": f"{name}.", "addresses": list(addresses)})

    def set_txt(self, name: str, value: str) -> None:
        """The TXT record of *name*."""
        self._manage("set-txt", {"host": f"{name}.", "value": value})

    def root(self) -> x509.Certificate:
        """The certificate that stands behind what it issues; made anew at each start."""
        return x509.load_pem_x509_certificate(self._get("roots/0"))

    def revoked(self, serial: int) -> bool:
        """Whether it has revoked the certificate with this number."""
        try:
            return b"Revoked" in self._get(f"cert-status-by-serial/{serial:x}")
        except OSError:
            return False

    def start(self, **environment: str) -> None:
        """Start (again). *environment*: Pebble's knobs, such as PEBBLE_WFE_NONCEREJECT."""
        config = {
            "listenAddress": f"{self.address}:14000",
            "managementListenAddress": f"{self.address}:15000",
            "certificate": str(self.ca_file),
            "privateKey": str(self.folder / "key.pem"),
            "httpPort": self.http_port,
            "tlsPort": 5001,
            "ocspResponderURL": "",
            "externalAccountBindingRequired": False,
        }
        (self.folder / "pebble.json").write_text(json.dumps({"pebble": config}))
        assert PEBBLE
        with (self.folder / "pebble.log").open("ab") as journal:
            self.process = subprocess.Popen(
                [PEBBLE, "-config", str(self.folder / "pebble.json"), "-dnsserver", self.name_server],
                env={"PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "0", "PEBBLE_AUTHZREUSE": "0", **environment},
                stdout=journal,
                stderr=subprocess.STDOUT,
            )
        _wait_for(self.address, 14000)

    def stop(self) -> None:
        """The authority is down; DNS stays."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait(10)
            self.process = None

    def _manage(self, path: str, body: Mapping[str, object]) -> None:
        request = urllib.request.Request(f"http://{self.address}:8055/{path}", json.dumps(body).encode())
        with urllib.request.urlopen(request, timeout=5) as answer:
            assert answer.status == 200

    def _get(self, path: str) -> bytes:
        context = ssl.create_default_context(cafile=str(self.ca_file))
        context.check_hostname = False
        with urllib.request.urlopen(f"https://{self.address}:15000/{path}", context=context, timeout=5) as answer:
            return bytes(answer.read())


@contextmanager
def authority(
    address: str, folder: Path, *, http_port: int = 80, name_server: str | None = None
) -> Iterator[Authority]:
    """Run both on *address*; the files are in *folder*. *name_server*: whom it asks instead of its own."""
    key, certificate = self_signed_server(address)
    (folder / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    (folder / "cert.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    assert DNS
    names = subprocess.Popen(
        [DNS, "-dns01", f"{address}:8053", "-http01", "", "-https01", "", "-tlsalpn01", "",
         "-management", f"{address}:8055", "-defaultIPv4", "", "-defaultIPv6", ""],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ},
    )  # fmt: skip
    made = Authority(address, folder, http_port, name_server or f"{address}:8053")
    try:
        _wait_for(address, 8055)
        made.start()
        yield made
    finally:
        made.stop()
        names.terminate()
        names.wait(10)


def _wait_for(address: str, port: int) -> None:
    end = time.monotonic() + 20
    while True:
        with suppress(OSError), socket.create_connection((address, port), timeout=1):
            return
        assert time.monotonic() < end, f"nobody answers at {address}:{port}"
        time.sleep(0.05)

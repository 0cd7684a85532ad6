"""The DNS of the tests' network: one server for the root and for ``test.``, both signed (Knot)."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import dns.exception
import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype

from tests.daemons.hosts.network import Machine
from tests.daemons.server import until

KNOT = Path(shutil.which("knotd") or "/usr/sbin/knotd")
KEYMGR, KNOTC = KNOT.with_name("keymgr"), KNOT.with_name("knotc")
ZONE = "test"
SECONDS = 60
_HEAD = "@ 5 IN SOA ns.test. hostmaster.test. {serial} 60 60 600 1\n@ 5 IN NS ns.test.\n"


class NameServer:
    """Serves what is given with ``publish``. Nothing lives longer than a second in the caches of those who ask."""

    def __init__(self, machine: Machine, folder: Path) -> None:
        self.machine = machine
        self._folder = folder
        self._parts: dict[str, str] = {}
        self._pointers: dict[str, str] = {}
        self._elsewhere = ""
        self._serial = 1
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start, sign, and hang ``test.`` below the root."""
        (self._folder / "knot.conf").write_text(
            f"server:\n  rundir: {self._folder}\n  listen: {self.machine.address}@53\n"
            f"database:\n  storage: {self._folder}\n"
            "policy:\n  - id: one\n    single-type-signing: on\n    algorithm: ecdsap256sha256\n"
            "    cds-cdnskey-publish: none\n    rrsig-lifetime: 14d\n"
            f"template:\n  - id: default\n    storage: {self._folder}\n    zonefile-load: difference-no-serial\n"
            "    zonefile-sync: -1\n    journal-content: all\n    dnssec-signing: on\n    dnssec-policy: one\n"
            f"zone:\n  - domain: .\n    file: root.zone\n  - domain: {ZONE}.\n    file: test.zone\n"
        )
        self._write("")
        self.up()
        self._write(self._delegation(f"{ZONE}."))
        self._reload()
        until(lambda: self._ask(f"{ZONE}.", "DS") or None, seconds=SECONDS, what="the delegation")
        self.anchor = self._delegation(".")

    def up(self) -> None:
        """Answer (again)."""
        with (self._folder / "knot.log").open("ab") as log:
            self._process = subprocess.Popen(
                [*self.machine.command, str(KNOT), "-c", str(self._folder / "knot.conf")], stdout=log, stderr=log
            )
        until(lambda: self._ask(f"{ZONE}.", "SOA") or None, seconds=SECONDS, what="an answer of the name server")

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(20)
            self._process = None

    def publish(self, **parts: str) -> None:
        """Put lines of a zone file into ``test.``, in place of what stood under the same keywords. Signed at once."""
        self._parts |= parts
        self._serial += 1
        self._write(self._root_delegation)
        self._reload()
        self._wait_for_serial()

    def point(self, pointers: Mapping[str, str]) -> None:
        """The names that addresses are said to have; an empty one takes it away."""
        self._pointers |= pointers
        self.publish()

    def publish_elsewhere(self, lines: str) -> None:
        """Set what is in DNS outside of ``test.``."""
        self._elsewhere = lines
        self.publish()

    def unbound(self, *, validating: bool = True) -> str:
        """What a resolver is told so that this is the DNS for it."""
        trust = f'trust-anchor: "{self.anchor}"' if validating else 'module-config: "iterator"'
        return (
            "server:\n"
            '    local-zone: "test." nodefault\n'
            f"    {trust}\n"
            "    cache-max-ttl: 1\n    cache-max-negative-ttl: 1\n    infra-host-ttl: 1\n"
            f'forward-zone:\n    name: "."\n    forward-addr: {self.machine.address}\n'
        )

    def _write(self, delegation: str) -> None:
        self._root_delegation = delegation
        head = _HEAD.format(serial=self._serial)
        glue = f"ns.test. 5 IN A {self.machine.address}\n"
        pointers = "".join(f"{name} 5 IN PTR {host}.\n" for name, host in self._pointers.items() if host)
        (self._folder / "root.zone").write_text(
            f"$ORIGIN .\n{head}test. 5 IN NS ns.test.\n{glue}{delegation}\n{pointers}{self._elsewhere}"
        )
        (self._folder / "test.zone").write_text(
            f"$ORIGIN test.\n{head}{glue}_serial 5 IN TXT {self._serial}\n" + "".join(self._parts.values())
        )

    def _reload(self) -> None:
        done = subprocess.run(
            [str(KNOTC), "-b", "-c", str(self._folder / "knot.conf"), "zone-reload"], capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        said = (self._folder / "knot.log").read_text()[-2000:]
        assert done.returncode == 0, f"{done.stderr}{done.stdout}{said}"

    def _wait_for_serial(self) -> None:
        wanted = f'"{self._serial}"'
        until(lambda: wanted in self._ask("_serial.test.", "TXT") or None, seconds=SECONDS, what="the new zone")

    def _delegation(self, zone: str) -> str:
        said = subprocess.run(
            [str(KEYMGR), "-c", str(self._folder / "knot.conf"), zone, "ds"], capture_output=True, text=True, check=True
        ).stdout
        # Three digests of one key; SHA-256 is the one that everybody knows.
        line = next(line for line in said.splitlines() if line.split()[4] == "2")
        return line.replace(" DS ", " 5 IN DS ") if " IN " not in line else line

    def text(self, name: bytes, timeout: int = 5) -> bytes | None:
        """A TXT record, as dkimpy asks for it."""
        found = self._ask(name.decode(), "TXT")
        return "".join(re.findall(r'"([^"]*)"', found[0])).encode() if found else None

    def _ask(self, name: str, kind: str) -> list[str]:
        question = dns.message.make_query(name, kind)
        try:
            with self.machine.here():
                answer = dns.query.udp(question, self.machine.address, timeout=1)
        except (OSError, dns.exception.DNSException):
            return []
        if answer.rcode() != dns.rcode.NOERROR or not answer.flags & dns.flags.AA:
            return []
        return [record.to_text() for rrset in answer.answer for record in rrset]


def pointer_of(address: str) -> str:
    """The name under which the name of an IPv4 address stands."""
    return ".".join(reversed(address.split("."))) + ".in-addr.arpa."

"""Gathering what ``doctor`` judges: from the machine, from DNS, from the running services."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import os
import socket
import struct
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from mailu.address import DomainName
from mailu.daemons.asking import any_certificate, reachable
from mailu.daemons.postfix import queue
from mailu.deploy import doctor, ports
from mailu.deploy.doctor import Finding
from mailu.deploy.ground import Verdict, port_names
from mailu.deploy.resolver import answers_from_memory, judge, remembered
from mailu.deploy.smart_hosts import ask, trusted_roots
from mailu.identity.authoritative import Dns
from mailu.identity.dns_answers import DnsUnknown
from mailu.identity.dns_check import Comparison, check_domain, check_host, spf_allows
from mailu.identity.dns_records import DomainFacts
from mailu.identity.egress import egress_address, public_addresses
from mailu.places import Places
from mailu.settings import Settings

TIME_SERVER = "pool.ntp.org"
NTP_SECONDS = 2.0
_NTP_EPOCH = 2_208_988_800
BLOCK_LISTS = ("zen.spamhaus.org",)
CONNECT_SECONDS = 3.0
GREETINGS = {
    25: b"220", 465: b"220", 587: b"220", 143: b"* OK", 993: b"* OK", 110: b"+OK", 995: b"+OK", 4190: b'"',
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Patient:
    """Whom the examination is about. *facts*: every domain and alternative."""

    settings: Settings
    places: Places
    facts: Sequence[DomainFacts]
    dns: Dns

    def dns_values(self, name: str, kind: str) -> Sequence[str]:
        """The records of *name*; none where DNS does not say."""
        try:
            return self.dns.resolve(name, kind).values
        except DnsUnknown:
            return ()


def machine(patient: Patient) -> Iterator[Finding]:
    """What is looked at with root's rights: whoever asks for the database gives them up."""
    settings, places = patient.settings, patient.places
    for folder in file_systems(places):
        yield from doctor.space(folder, *doctor.space_of(folder))
    yield doctor.inotify(_number(Path("/proc/sys/fs/inotify/max_user_instances")))
    yield from doctor.secrets(secret_files(places))
    yield waiting_mail(places)
    listening = ports.taken(settings.bind_addresses, settings.listening_ports)
    yield from doctor.foreign_listeners(listening, own_processes(places))
    yield doctor.userland_proxy(listening)
    yield from doctor.open_ports(reach(settings))
    # Whether Postfix can be led to our own resolver is tried with a mount, which only root may do.
    verdict = resolver_now(settings, places)
    from_memory = bool(verdict.port) and answers_from_memory("127.0.0.1", verdict.port)
    yield doctor.resolver(verdict, from_memory=from_memory)


def names(patient: Patient) -> Iterator[Finding]:
    """What DNS says, and the time."""
    yield from doctor.dns(compare(patient))
    yield from _egress(patient)
    address = None if patient.settings.relayhost else egress_address(patient.settings)
    for zone in BLOCK_LISTS:
        yield doctor.dnsbl(zone, _answers(patient.dns, f"{doctor.DNSBL_TEST}.{zone}"))
        if address:
            turned = ".".join(reversed(address.split(".")))
            if finding := doctor.listed(zone, address, _answers(patient.dns, f"{turned}.{zone}")):
                yield finding
    yield doctor.clock(clock_offset())


def smart_hosts(patient: Patient, levels: Mapping[str, str]) -> list[Finding]:
    """Ask the smart hosts that get a password who they are. *levels*: next hop to what was said of it, or nothing."""
    roots = trusted_roots(patient.places.service("smtp") / "etc")
    own = _own_policies(patient.places)
    found = []
    for next_hop, said in levels.items():
        level = own.get(next_hop.lower(), said)
        asked = level in ("", "verify", "secure")
        found.append(doctor.smart_host(next_hop, level, ask(next_hop, roots, patient.dns_values) if asked else None))
    return doctor.all_smart_hosts(len(levels), [one for one in found if one is not None])


def _own_policies(places: Places) -> dict[str, str]:
    """Next hop to TLS level, as the operator's own table has them, which beats all else."""
    file = places.overrides / "postfix" / "tls_policy.map"
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return {}
    words = [line.split() for line in lines if line and line[0] not in "# \t"]
    return {entry[0].lower(): entry[1] for entry in words if len(entry) > 1}


def resolver_now(settings: Settings, places: Places) -> Verdict:
    """Who resolves names, asked anew: what the agent found out may be minutes old."""
    file, _ = port_names(places)
    try:
        port = int(json.loads(file.read_text(encoding="ascii"))["resolver"])
    except (OSError, ValueError, KeyError, TypeError):
        port = 0
    return judge(settings.resolver, port)


def compare(patient: Patient) -> list[Comparison]:
    """Every record of every domain, and the hosts."""
    found: list[Comparison] = []
    public = public_addresses(patient.settings)
    leaving = () if patient.settings.relayhost else public
    for facts in patient.facts:
        found += check_domain(facts, patient.dns.look, egress=leaving)
    for host in patient.settings.hostnames:
        found += check_host(DomainName(host), patient.dns.look, public=public)
    return found


def _egress(patient: Patient) -> Iterator[Finding]:
    settings = patient.settings
    if settings.relayhost:
        yield doctor.relayed(settings.relayhost)
        return
    addresses = public_addresses(settings)
    if not addresses:
        yield from doctor.egress(None, (), settings.hostname, None)
    for address in addresses:
        pointer = ipaddress.ip_address(address).reverse_pointer
        try:
            called = [value.rstrip(".") for value in patient.dns.resolve(pointer, "PTR").values]
            allowed = spf_allows(settings.domain, address, patient.dns.look)
        except DnsUnknown as error:
            yield Finding("egress", "warning", f"DNS does not answer about {address}", str(error), "Try again later")
        else:
            yield from doctor.egress(address, called, settings.hostname, allowed)


def _answers(dns: Dns, name: str) -> list[str] | None:
    try:
        return list(dns.resolve(name, "A").values)
    except DnsUnknown:
        return None


def reach(settings: Settings) -> dict[int, str | None]:
    """Connect to every port that should be open, at our own address, and wait for the greeting where there is one.

    Where the PROXY protocol is spoken we are nobody who may speak it, so that a connection has to do.
    """
    address = reachable(settings.bind_addresses[0]) if settings.bind_addresses else "127.0.0.1"
    return {
        port: _try(address, port, proxied=port in settings.proxy_protocol, tls=port in settings.tls_listening_ports)
        for port in sorted(settings.listening_ports)
    }


def _try(address: str, port: int, *, proxied: bool, tls: bool) -> str | None:
    try:
        with socket.create_connection((address, port), timeout=CONNECT_SECONDS) as connection:
            if proxied:
                return None
            if not tls:
                return _greeting(connection, port)
            with any_certificate().wrap_socket(connection) as encrypted:
                return _greeting(encrypted, port)
    except OSError as error:
        return str(error)


def _greeting(connection: socket.socket, port: int) -> str | None:
    expected = GREETINGS.get(port)
    if expected and not (said := connection.recv(200)).startswith(expected):
        return f"it says {said[:60]!r}"
    return None


def clock_offset(server: str = TIME_SERVER, port: int = 123) -> float | None:
    """Seconds that this machine's clock is behind a time server (RFC 4330); None when none answers."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as question:
            question.settimeout(NTP_SECONDS)
            question.connect((server, port))
            before = time.time()
            question.send(b"\x1b" + 47 * b"\0")
            answer = question.recv(512)
            after = time.time()
    except OSError:
        return None
    if len(answer) < 48:
        return None
    seconds, fraction = struct.unpack("!II", answer[40:48])
    return float(seconds - _NTP_EPOCH + fraction / 2**32 - (before + after) / 2)


def waiting_mail(places: Places) -> Finding:
    """How Postfix's queue is. Its own program is asked: the times of its files say when it tries next."""
    configuration = places.service("smtp") / "etc"
    if not (configuration / "main.cf").exists():
        return doctor.queue(0, None)  # it has never run here
    try:
        messages = asyncio.run(queue.waiting(configuration))
    except queue.QueueError as error:
        return doctor.unknown_queue(str(error))
    oldest = timedelta(seconds=max(0, time.time() - messages[0]["arrival_time"])) if messages else None
    return doctor.queue(len(messages), oldest)


def file_systems(places: Places) -> list[Path]:
    """The folders of the root that grow, one for each file system that they are on."""
    found: dict[int, Path] = {}
    for folder in (places.root, places.mail, places.mail_queue, places.data):
        with suppress(FileNotFoundError):
            found.setdefault(folder.stat().st_dev, folder)
    return list(found.values())


def secret_files(places: Places) -> list[Path]:
    """Files of a root that hold secrets."""
    found = [
        places.env_file,
        places.service("directory") / "secret",
        places.certs / "dns.ini",
        places.certs / "key.pem",
    ]
    found += places.certs.glob("last-good/*/pair.pem")
    found += places.run.glob("*/etc/tls/*/key.pem")
    found += places.dkim.glob("*.key*")
    found += places.certs.glob("letsencrypt/archive/*/privkey*.pem")
    found += places.certs.glob("letsencrypt/accounts/**/private_key.json")
    found += places.run.glob("*/etc/settings.json")
    found += places.data.glob("*.db*")
    return found


def own_processes(places: Places) -> set[int]:
    """The processes of this root: those its agents remember, and everything below them."""
    from mailu.deploy.hosting import running_pids

    parents = _parents()
    roots = set(running_pids(places))
    found = set(roots)
    grown = True
    while grown:
        more = {pid for pid, parent in parents.items() if parent in found} - found
        grown = bool(more)
        found |= more
    return found


def _parents() -> dict[int, int]:
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError, ValueError, IndexError):
                found[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    return found


def _number(file: Path) -> int | None:
    try:
        return int(file.read_text())
    except (OSError, ValueError):
        return None


def versions(places: Places) -> dict[str, str]:
    """What runs here, for a report."""
    from mailu.deploy import machine as host

    found = host.installed_versions()
    try:
        release = Path("/etc/os-release").read_text(encoding="utf-8", errors="replace")
    except OSError:
        release = ""
    pretty = next(
        (line.partition("=")[2].strip('"') for line in release.splitlines() if line.startswith("PRETTY_NAME")), ""
    )
    return {
        "system": pretty,
        "kernel": os.uname().release,
        **{name: ".".join(map(str, getattr(found, name))) for name in ("dovecot", "postfix", "rspamd")},
        "verdict": json.dumps(str(remembered(places))),
    }

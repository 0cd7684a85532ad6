"""What must be there before any service: folders, ports of the root's own, the directory's secret, certificates."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mailu.daemons.room import Folder, Host
from mailu.deploy import aside, machine, name_service
from mailu.deploy.generation import give, make_folder
from mailu.deploy.ports import loopback_ports
from mailu.deploy.situation import Situation
from mailu.identity.issuing.certbot import RSA_ENDING
from mailu.identity.issuing.state import (
    IssuingState,
    NameState,
    chain_with_root,
    issuing_folder,
    load_state,
    state_file,
)
from mailu.identity.pairs import Content, Pair, is_self_signed_pair
from mailu.places import Places
from mailu.settings import Settings

if TYPE_CHECKING:
    from mailu.identity.certificates import Candidate

SOCKET_PATH_LIMIT_BYTES = 107
LONGEST_SOCKET_BELOW_ROOT = "/run/imap/srv.auth-worker.000000000/00000000"
CONTROL_PLANE_GROUP = "mailu"


class Unsuitable(Exception):
    """This root or machine cannot be used; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Who resolves names: *port* of our own resolver, 0 where the system's is used; who of them validates DNSSEC; and
    whether anybody resolves names at all."""

    port: int = 0
    own_validates: bool = False
    system_validates: bool = False
    resolves: bool = True

    @property
    def validates(self) -> bool:
        """Whether Postfix gets validated answers."""
        own_is_used = self.port and name_service.is_possible()
        return self.own_validates if own_is_used else self.system_validates


def prepare_root(places: Places) -> None:
    """Make the root and its generated folders. Raises Unsuitable."""
    if len(str(places.root)) + len(LONGEST_SOCKET_BELOW_ROOT) > SOCKET_PATH_LIMIT_BYTES:
        longest = SOCKET_PATH_LIMIT_BYTES - len(LONGEST_SOCKET_BELOW_ROOT)
        raise Unsuitable(
            f"ROOT={places.root} is too long a path: sockets below it need one of at most {longest} bytes."
        )
    try:
        for path in (places.root, places.certs, places.overrides, places.run):
            make_folder(Folder(path))
        make_folder(Folder(places.logs, "root", CONTROL_PLANE_GROUP, 0o750))
        make_folder(Folder(places.run / "pids", "root", "root", 0o700))
    except OSError as error:
        raise Unsuitable(f"{places.root} cannot be used: {error.strerror} ({error.filename}).") from error
    _require_passage(places.root)


def _require_passage(root: Path) -> None:
    """The daemons run as users of their own: every folder above the root must let them through."""
    for folder in (root, *root.parents):
        if not folder.stat().st_mode & 0o001:
            raise Unsuitable(
                f"{folder} is closed to the services' users (mode {folder.stat().st_mode & 0o777:o}); "
                f"open it with `chmod o+x {folder}` or choose another ROOT."
            )


PORT_OWNERS = {
    "directory": "directory",
    "resolver": "resolver",
    "fuzzy": "antispam",
    "oletools": "oletools",
    "webmail-imap": "imap",
    "webmail-sieve": "imap",
    "webmail-smtp": "smtp",
}
"""What the root's loopback ports are for, and the service that listens there."""


def port_names(places: Places) -> tuple[Path, tuple[str, ...]]:
    """The file that keeps this root's loopback ports, and what they are for."""
    return places.run / "ports.json", tuple(PORT_OWNERS)


def read_host(places: Places, settings: Settings, verdict: Verdict, *, only: str | None = None) -> Host:
    """Find out what the rooms must know of this machine. Raises UnknownSystem, PortTaken.

    *only*: the one service that this process will run; None for all of them.
    """
    file, names = port_names(places)
    ours = [name for name, owner in PORT_OWNERS.items() if only in (None, owner)]
    ports, moved = loopback_ports(file, names, ours=ours, reserved=settings.ports)
    if moved:
        _forget_configurations(places)
    versions = machine.installed_versions()
    return Host(
        debian=machine.debian_release(),
        dovecot=versions.dovecot,
        postfix=versions.postfix,
        rspamd=versions.rspamd,
        cpus=settings.cpu_count or machine.processors(),
        ipv6=machine.has_ipv6(),
        resolver_validates=verdict.validates,
        directory_port=ports["directory"],
        directory_secret=directory_secret(places),
        resolver_port=verdict.port,
        resolves=verdict.resolves,
        unbound_port=ports["resolver"],
        unbound_address=_unbound_address(places, settings, bind=only in (None, "resolver")),
        fuzzy_port=ports["fuzzy"],
        oletools_port=ports["oletools"],
        webmail_imap_port=ports["webmail-imap"],
        webmail_sieve_port=ports["webmail-sieve"],
        webmail_smtp_port=ports["webmail-smtp"],
    )


def _unbound_address(places: Places, settings: Settings, *, bind: bool) -> str:
    if settings.resolver == "system" or settings.resolver_address:
        return ""
    return name_service.own_address(places, bind=bind)


def _forget_configurations(places: Places) -> None:
    """Configurations of an earlier run name ports that are no longer ours; they must not be fallen back on."""
    for folder in places.run.iterdir():
        if folder.is_dir():
            (folder / "etc").unlink(missing_ok=True)


def directory_secret(places: Places) -> str:
    """What clients of the directory's HTTP port must know; made once for each run/ folder."""
    folder = places.service("directory")
    file = folder / "secret"
    if not file.exists():
        make_folder(Folder(folder, "root", CONTROL_PLANE_GROUP, 0o750))
        scratch = folder / ".secret.new"
        scratch.unlink(missing_ok=True)
        scratch.touch(mode=0o600)
        scratch.write_text(secrets.token_hex(32), encoding="ascii")
        give(scratch, "root", CONTROL_PLANE_GROUP, 0o640)
        scratch.replace(file)
    return file.read_text(encoding="ascii").strip()


@dataclass(frozen=True, slots=True)
class InForce:
    """The pairs that are served, and what is wrong with them: (host name, sentence)."""

    certificates: tuple[tuple[str, Path, Path], ...]
    rsa: tuple[tuple[str, Path, Path], ...]
    web: tuple[tuple[str, Path, Path], ...]
    contents: Mapping[Pair, Content]
    """What is served of each of these pairs; their files may hold something else by now."""
    problems: tuple[tuple[str, str], ...]
    refused: tuple[tuple[str, str], ...] = ()
    """The same for pairs that are there and are not served, while the one before them, or another one, is."""


def certificates_in_force(places: Places, settings: Settings) -> InForce:
    """The pairs that serve each host name, and what is wrong with them.

    Makes the self-signed pair when it is needed. Without TLS the daemons may still want one (STARTTLS inside), so
    there always is one. Loads a large library; the agent has others look (``aside``).
    """
    from mailu.identity.certificates import letsencrypt_pairs, serve
    from mailu.identity.placed import with_last_good

    if settings.tls_flavor != "letsencrypt":
        return _placed_in_force(places, settings)
    own = Pair(places.certs / settings.tls_cert_filename, places.certs / settings.tls_keypair_filename)
    pairs = [*letsencrypt_pairs(places.certs), *([own] if own.chain.exists() else [])]
    candidates, troubles = with_last_good(places.certs, pairs)
    served = serve(places.certs, settings.hostnames, candidates)
    state = load_state(state_file(places.certs))
    further = _further(places, settings, state, candidates)
    return InForce(
        served.certificates,
        served.beside,
        tuple((name, one.pair.chain, one.pair.key) for name, one in further),
        {**served.contents, **{one.pair: one.content for _, one in further}},
        tuple((name, _with_reason(text, state.of(name))) for name, text in served.problems),
        _about(settings, troubles),
    )


def _placed_in_force(places: Places, settings: Settings) -> InForce:
    from mailu.identity.certificates import serve
    from mailu.identity.placed import named_pair, placed_pairs, with_last_good

    names = settings.tls_cert_filename, settings.tls_keypair_filename
    candidates, troubles = with_last_good(places.certs, placed_pairs(places.certs, *names))
    named = named_pair(places.certs, *names)
    served = serve(places.certs, settings.hostnames, candidates, first=named)
    return InForce(served.certificates, served.beside, (), served.contents, served.problems, _about(settings, troubles))


def _about(settings: Settings, troubles: Sequence[str]) -> tuple[tuple[str, str], ...]:
    return tuple((settings.hostname, text) for text in troubles)


def _with_reason(text: str, state: NameState) -> str:
    """Why there is no certificate says more than that there is none."""
    if state.phase != "failed":
        return text
    moment = f" It is tried again at {state.next_try_at:%H:%M} UTC." if state.next_try_at else ""
    return f"{text}: {state.reason}. {state.advice}{moment}"


def _further(
    places: Places, settings: Settings, state: IssuingState, candidates: Sequence[Candidate]
) -> list[tuple[str, Candidate]]:
    """Pairs of names that are no host names, such as those of MTA-STS policies: the ones that were issued."""
    live = issuing_folder(places.certs) / "live"
    hosts = set(settings.hostnames)
    usable = {one.pair.chain.parent: one for one in candidates if not one.unusable}
    return [
        (name, usable[live / name])
        for name in sorted(state.names)
        if name.removesuffix(RSA_ENDING) not in hosts and live / name in usable
    ]


def _with_roots(places: Places, contents: Mapping[Pair, Content]) -> dict[Pair, bytes]:
    """The chains that there are with their roots. One that is of another certificate is left over, or to be renewed."""
    from mailu.identity.certificates import CertificateError, read_chain, to_pem

    found = {}
    for pair, content in contents.items():
        try:
            chain = to_pem(read_chain(chain_with_root(places.certs, pair.chain.parent.name)))
        except CertificateError:
            continue
        if chain.startswith(content.chain):
            found[pair] = chain
    return found


def _in_force_with_roots(places: Places, settings: Settings) -> tuple[InForce, dict[Pair, bytes]]:
    found = certificates_in_force(places, settings)
    return found, _with_roots(places, found.contents)


def situation_of(settings: Settings, host: Host) -> tuple[Situation, list[str]]:
    """Everything the rooms are rendered from, and warnings for the operator."""
    places = Places(settings.root)
    found, with_roots = aside.ask(_in_force_with_roots, places, settings)
    own = {name for name, chain, _ in found.certificates if is_self_signed_pair(chain)}
    warnings = list(settings.warnings)
    for name, text in (*found.refused, *found.problems):
        warnings.append(f"certificate of {name}: {text}" + ("; a self-signed one stands in" if name in own else ""))
    situation = Situation(
        settings,
        places,
        host,
        certificates=found.certificates,
        rsa_certificates=found.rsa,
        web_certificates=found.web,
        contents=found.contents,
        chains_with_root=with_roots,
        certificate_problems=found.problems,
    )
    return situation, warnings

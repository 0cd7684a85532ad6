"""What can be found wrong with a mail server from where it stands: one finding a line, with why it matters.

Each check is a function from plain values to findings, so that each can be tried; ``mailu doctor`` gathers the values.
A check that cannot be made says so as a warning: silence would look like health.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Literal, get_args

from mailu.deploy.ground import Verdict
from mailu.deploy.ports import Listener
from mailu.deploy.smart_hosts import Answer
from mailu.identity.dns_check import Comparison

State = Literal["ok", "warning", "failure"]
Check = Literal[
    "settings", "services", "disk", "inotify", "secrets", "queue", "listeners", "proxy", "ports", "resolver",
    "certificates", "database", "relays", "smart-hosts", "exceptions", "dns", "egress", "dnsbl", "clock",
]  # fmt: skip
CHECKS: tuple[Check, ...] = get_args(Check)
"""What is looked at, in this order. Each says something in every run, unless settings or database cannot be read."""

INOTIFY_INSTANCES = 1024
CLOCK_SECONDS = 5.0
DISK_WARNING, DISK_FAILURE = 0.15, 0.05
QUEUE_WARNING, QUEUE_FAILURE = 200, 5000
QUEUE_AGE = timedelta(hours=4)
PROXIES = frozenset({"docker-proxy", "rootlessport", "slirp4netns"})
DNSBL_TEST = "2.0.0.127"
"""Every list of RFC 5782 has 127.0.0.2, so that one can see whether it answers."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: what was looked at, what was found, why it matters, what to do."""

    check: Check
    state: State
    what: str
    why: str = ""
    advice: str = ""

    def to_json(self) -> dict[str, Any]:
        """All fields."""
        return asdict(self)

    def line(self) -> str:
        """For people."""
        parts = [self.what, self.why, self.advice]
        text = " ".join(f"{part.rstrip('.')}." for part in parts if part)
        return f"{self.state.upper():8} {self.check}: {text}"


def exit_code(findings: Iterable[Finding]) -> int:
    """For monitoring: 0 all is well, 1 warnings, 2 failures."""
    states = {finding.state for finding in findings}
    return 2 if "failure" in states else 1 if "warning" in states else 0


def dns(comparisons: Sequence[Comparison]) -> list[Finding]:
    """Records that are missing or wrong."""
    findings = []
    for one in comparisons:
        what = f"{one.name} {one.type}"
        if one.verdict == "unknown":
            findings.append(Finding("dns", "warning", f"{what} could not be looked up", one.why, "Try again later"))
        elif one.is_problem:
            found = f", found {' | '.join(one.found)[:200]}" if one.found else ""
            verb = "Have the provider set it to" if one.type == "PTR" else "Publish"
            advice = f"{verb} {' | '.join(one.expected)[:400]}" if one.expected else "Correct it"
            state: State = "failure" if one.needed else "warning"
            findings.append(Finding("dns", state, f"{what} is {one.verdict}{found}", one.why, advice))
    if not findings:
        findings.append(Finding("dns", "ok", f"{len(comparisons)} names and types are as they should be"))
    return findings


def open_ports(reached: Mapping[int, str | None]) -> list[Finding]:
    """*reached*: port to None when it answers as it should, else why not."""
    closed = {port: why for port, why in reached.items() if why is not None}
    if not closed:
        ports = ", ".join(map(str, sorted(reached)))
        return [Finding("ports", "ok", f"ports {ports} answer here; only somebody outside sees whether they do there")]
    return [
        Finding(
            "ports",
            "failure",
            f"port {port} does not answer: {why}",
            "Nobody can use what is behind it",
            "See `mailu status` and what stands between: firewall, BIND_ADDRESS4, BIND_ADDRESS6",
        )
        for port, why in sorted(closed.items())
    ]


def foreign_listeners(found: Sequence[Listener], own: set[int]) -> list[Finding]:
    """*found*: who listens on our ports; *own*: the processes of this root. Proxies are judged by userland_proxy()."""
    strangers = [one for one in found if one.pid not in own and one.name not in PROXIES]
    if not strangers:
        return [Finding("listeners", "ok", "nobody else listens on our ports")]
    return [
        Finding(
            "listeners",
            "failure",
            f"port {one.port} on {one.address} belongs to {one}",
            "Mail and people reach that",
            "Stop it, or bind Mailu to another address",
        )
        for one in strangers
    ]


def userland_proxy(found: Sequence[Listener]) -> Finding:
    """*found*: who listens on our ports. A proxy for other ports serves somebody else's containers."""
    proxies = sorted({one.name for one in found} & PROXIES)
    if not proxies:
        return Finding("proxy", "ok", "no proxy of a container engine stands in the way")
    ports = sorted({one.port for one in found if one.name in PROXIES})
    return Finding(
        "proxy",
        "warning",
        f"{', '.join(proxies)} passes connections to port {', '.join(map(str, ports))} on",
        "All clients then seem to have one address: limits and the spam filter judge the wrong one",
        'Set "userland-proxy": false in /etc/docker/daemon.json, or publish the ports in host mode; where it leads to '
        "another mail server, stop that",
    )


def relayed(smart_host: str) -> Finding:
    """Where mail leaves through a smart host."""
    return Finding("egress", "ok", f"mail leaves through {smart_host}, whose operator sees to names and SPF")


def smart_host(name: str, level: str, answer: Answer | None) -> Finding | None:
    """A smart host that gets a password. *level*: what the operator said of it, empty for nothing; *answer* is what it
    showed, None where another proof than its certificate is asked for.
    """
    if level in ("none", "may", "encrypt", "dane"):
        return Finding(
            "smart-hosts",
            "warning",
            f"the password for {name} is sent to whoever answers (TLS level {level})",
            "Whoever stands in between gets it",
            "Have its certificate put right and take the level back: OUTBOUND_TLS_LEVEL, OUTBOUND_TLS_DESTINATIONS, "
            "`mailu tls-exceptions end`, overrides/postfix/tls_policy.map",
        )
    if answer is not None and answer.untrusted:
        return Finding(
            "smart-hosts",
            "failure",
            f"{name} does not prove who it is: {answer.untrusted}",
            "It does not get the password, and mail for it waits",
            "Call it by the name in its certificate, or have that put right; meanwhile `mailu tls-exceptions allow "
            "HOST --level encrypt --because WHY`, or for good OUTBOUND_TLS_DESTINATIONS=HOST:encrypt",
        )
    if answer is not None and answer.away:
        return Finding(
            "smart-hosts",
            "failure",
            f"{name} cannot be asked for its certificate: {answer.away}",
            "Mail for it waits",
            "See whether the name and the port are right, and whether it speaks TLS",
        )
    return None


def all_smart_hosts(asked: int, problems: Sequence[Finding]) -> list[Finding]:
    """What smart_host() found of all that were *asked*."""
    if not asked:
        return [Finding("smart-hosts", "ok", "no smart host gets a password")]
    return list(problems) or [
        Finding("smart-hosts", "ok", f"{asked} smart hosts that get a password prove who they are")
    ]


def egress(address: str | None, names: Sequence[str], host: str, allowed: bool | None) -> list[Finding]:
    """*address* that mail leaves from (None: not known), *names* it has in DNS, *allowed* by the SPF of DOMAIN."""
    if address is None:
        return [
            Finding(
                "egress",
                "warning",
                "it is not known from which address mail leaves",
                "Behind a router only the outside knows",
                "Compare the Received lines of a mail you send",
            )
        ]
    findings = []
    if not names:
        findings.append(
            Finding(
                "egress",
                "failure",
                f"{address} has no name (PTR)",
                "Many servers refuse its mail",
                f"Have the provider set it to {host}",
            )
        )
    elif host not in names:
        findings.append(
            Finding(
                "egress",
                "warning",
                f"{address} is called {', '.join(names)}, not {host}",
                "Some servers score that down",
                f"Have the provider set it to {host}",
            )
        )
    if allowed is False:
        findings.append(
            Finding(
                "egress",
                "failure",
                f"the SPF record does not allow {address}",
                "Receivers take our mail for forged",
                "Add it to the record",
            )
        )
    return findings or [Finding("egress", "ok", f"mail leaves from {address}, which is {names[0]}")]


def resolver(verdict: Verdict, *, from_memory: bool = False) -> Finding:
    """Who resolves names, and whether it validates. *from_memory*: with what was known before, as nobody answers."""
    if from_memory:
        return Finding(
            "resolver",
            "failure",
            "names are answered from memory: nobody outside answers our resolver",
            "Mail to whomever it does not remember waits",
            "See whether port 53 is open outwards, or use the system's resolver (RESOLVER=system)",
        )
    if not verdict.resolves:
        return Finding(
            "resolver",
            "failure",
            "names are not resolved",
            "No mail leaves and none is checked",
            "See /etc/resolv.conf and whether port 53 is open outwards",
        )
    if not verdict.validates:
        return Finding(
            "resolver",
            "warning",
            "answers of DNS are not validated (DNSSEC)",
            "Mail is sent without DANE",
            "Let Mailu's own resolver reach port 53 outside (RESOLVER=unbound), or use one that validates",
        )
    return Finding("resolver", "ok", "names are resolved and validated")


def dnsbl(zone: str, answers: Sequence[str] | None) -> Finding:
    """*answers* of *zone* for the test entry; None: no answer."""
    if answers is None:
        return Finding("dnsbl", "warning", f"{zone} does not answer", "Spam is judged without it", "Try again later")
    if any(answer.startswith("127.255.255.") for answer in answers):
        return Finding(
            "dnsbl",
            "failure",
            f"{zone} refuses to answer ({', '.join(answers)})",
            "It does not answer who asks through a public resolver or too often: spam passes",
            "Use Mailu's own resolver (RESOLVER=unbound)",
        )
    if "127.0.0.2" not in answers:
        return Finding(
            "dnsbl",
            "warning",
            f"{zone} does not know its own test entry ({', '.join(answers) or 'nothing'})",
            "Something changes its answers",
            "See which resolver answers: `mailu doctor` says it above",
        )
    return Finding("dnsbl", "ok", f"{zone} answers")


def listed(zone: str, address: str, answers: Sequence[str] | None) -> Finding | None:
    """Whether *zone* lists the *address* that mail leaves from."""
    bad = [answer for answer in answers or () if answer.startswith("127.0.0.")]
    if not bad:
        return None
    return Finding(
        "dnsbl",
        "failure",
        f"{address} is on the list {zone} ({', '.join(bad)})",
        "Others refuse our mail",
        f"Find the cause (a broken-into account?), then ask for removal at {zone}",
    )


def clock(offset_seconds: float | None) -> Finding:
    """*offset_seconds* of this machine's clock; None: nobody could be asked."""
    if offset_seconds is None:
        return Finding(
            "clock",
            "warning",
            "no time server answers",
            "A wrong clock breaks TLS, DNSSEC and one-time codes",
            "Let `timedatectl` or chrony keep the time",
        )
    if abs(offset_seconds) > CLOCK_SECONDS:
        return Finding(
            "clock",
            "failure",
            f"the clock is {abs(offset_seconds):.0f} s {'behind' if offset_seconds > 0 else 'ahead'}",
            "TLS, DNSSEC and one-time codes fail",
            "Install chrony or systemd-timesyncd",
        )
    return Finding("clock", "ok", f"the clock is right to {abs(offset_seconds):.1f} s")


def space(folder: Path, free_share: float, free_inodes_share: float) -> list[Finding]:
    """*free_share* of the disk that *folder* is on, from 0 to 1, and of its inodes."""
    findings = []
    for what, share in (("space", free_share), ("inodes", free_inodes_share)):
        if share >= DISK_WARNING:
            continue
        state: State = "failure" if share < DISK_FAILURE else "warning"
        findings.append(
            Finding(
                "disk",
                state,
                f"{share:.0%} of the {what} of {folder} is left",
                "Without any, mail is turned away and databases stop",
                "Make room",
            )
        )
    return findings or [Finding("disk", "ok", f"{free_share:.0%} of {folder} is free")]


def space_of(folder: Path) -> tuple[float, float]:
    """Free shares of space and inodes; file systems that count no inodes have enough."""
    facts = os.statvfs(folder)
    inodes = facts.f_favail / facts.f_files if facts.f_files else 1.0
    return facts.f_bavail / max(facts.f_blocks, 1), inodes


def services(running: bool, found: Sequence[Mapping[str, Any]]) -> list[Finding]:
    """*found*: items of ``mailu status --json``."""
    if not running:
        return [Finding("services", "failure", "Mailu does not run here", "No mail comes or goes", "Run `mailu up`")]
    findings = []
    for one in found:
        name = one["name"]
        if not one["ready"]:
            why = "Mail waits unfiltered, none passes" if name == "antispam" else "What it does is not done"
            findings.append(
                Finding(
                    "services",
                    "failure",
                    f"{name} does not answer: {one['reason'] or one['state']}",
                    why,
                    f"See `mailu logs {name}`",
                )
            )
        for problem in one["problems"]:
            findings.append(
                Finding(
                    "services",
                    "warning",
                    f"{name}: {problem}",
                    "It runs as it did before the change",
                    "Correct it; it is taken up within a second",
                )
            )
    return findings or [Finding("services", "ok", f"{len(found)} services answer")]


def queue(messages: int, oldest: timedelta | None) -> Finding:
    """How much mail waits, and for how long the *oldest* has; None when none waits."""
    advice = "See why: `mailu queue list`"
    if messages >= QUEUE_WARNING:
        state: State = "failure" if messages >= QUEUE_FAILURE else "warning"
        return Finding(
            "queue", state, f"{messages} messages wait", "Mail does not get out, or somebody sends spam", advice
        )
    if oldest is not None and oldest > QUEUE_AGE:
        hours = int(oldest.total_seconds() // 3600)
        return Finding(
            "queue", "warning", f"{messages} messages wait, one for {hours} hours", "It does not get out", advice
        )
    return Finding("queue", "ok", f"{messages} messages wait")


def relays(takes_all: Iterable[str]) -> list[Finding]:
    """*takes_all*: relayed domains with mail taken for everybody (``relay_recipients``)."""
    findings = [
        Finding(
            "relays",
            "warning",
            f"mail for any address in {name} is taken",
            "What the target server refuses comes back to forged senders, and brings this server on lists of spammers",
            f"Run `mailu relays set {name} --recipients ask`, or list those who exist",
        )
        for name in sorted(takes_all)
    ]
    return findings or [Finding("relays", "ok", "no relayed domain takes mail for everybody")]


def unknown_queue(reason: str) -> Finding:
    """The queue could not be read."""
    return Finding(
        "queue",
        "warning",
        f"the mail queue cannot be read: {reason}",
        "It may hide mail that waits",
        "Run this as root",
    )


def tls_exceptions(found: Mapping[str, tuple[str, date]]) -> list[Finding]:
    """*found*: destinations with the TLS level that is enough for them, and the last day of that."""
    findings = [
        Finding(
            "exceptions",
            "warning",
            f"mail to {name} needs no more than the TLS level {level} until {last_day}",
            "Somebody made this exception; others may read or take what is sent there",
            f"Run `mailu tls-exceptions end {name}` when the other side has mended its server",
        )
        for name, (level, last_day) in sorted(found.items())
    ]
    return findings or [Finding("exceptions", "ok", "no destination is excepted from encryption")]


def inotify(instances: int | None) -> Finding:
    """fs.inotify.max_user_instances."""
    if instances is None or instances >= INOTIFY_INSTANCES:
        return Finding("inotify", "ok", "mailboxes can be watched")
    return Finding(
        "inotify",
        "warning",
        f"fs.inotify.max_user_instances is {instances}",
        "Beyond as many open mailboxes, new mail is shown late and memory is not given back",
        f"Put fs.inotify.max_user_instances={INOTIFY_INSTANCES} into /etc/sysctl.d/mailu.conf",
    )


def secrets(paths: Iterable[Path]) -> list[Finding]:
    """Files that nobody but their owner and group may read."""
    findings = []
    for path in paths:
        try:
            facts = path.stat()
        except OSError:
            continue
        if facts.st_mode & (stat.S_IROTH | stat.S_IWOTH):
            findings.append(
                Finding(
                    "secrets",
                    "failure",
                    f"{path} can be read by everybody on this machine",
                    "It holds a secret",
                    f"Run `chmod o-rwx {path}`",
                )
            )
    return findings or [Finding("secrets", "ok", "secrets are readable by their owners only")]


def certificate(name: str, state: str, reason: str, advice: str, days_left: int | None) -> Finding | None:
    """One name as `mailu certificates` shows it; None when all is well."""
    if state == "problem":
        return Finding(
            "certificates",
            "failure",
            f"{name}: {reason or 'no certificate that clients trust'}",
            "Programs and browsers warn or refuse",
            advice or "Put a certificate that covers the name, with its chain and key, into ROOT/certs",
        )
    if state == "warning" or (days_left is not None and days_left <= 14):
        what = f"{name}: {reason}" if reason else f"the certificate of {name} ends in {days_left} days"
        return Finding(
            "certificates", "warning", what, "When it ends programs and browsers refuse", advice or "Renew it"
        )
    return None


def all_certificates(shown: int, problems: Sequence[Finding]) -> list[Finding]:
    """What certificate() found of all that are *shown*; none is shown where TLS is switched off."""
    if not shown:
        return [
            Finding("certificates", "ok", "TLS is switched off here (TLS_FLAVOR=notls): what stands before does it")
        ]
    return list(problems) or [Finding("certificates", "ok", f"{shown} names have certificates in date")]


def settings(problems: Sequence[str], file: Path | None) -> list[Finding]:
    """What keeps the settings from being used; *file* is where they come from, None for the environment."""
    if not problems:
        return [Finding("settings", "ok", f"{file or 'the environment'} can be used")]
    return [
        Finding(
            "settings",
            "failure",
            problem,
            "What runs goes on with the settings before; nothing starts with these, and nothing else was looked at",
            "Correct it; a running server notices within a second",
        )
        for problem in problems
    ]


def database(problems: Sequence[str], domains: int) -> list[Finding]:
    """What keeps the database from being read, or how many *domains* are in it."""
    if not problems:
        return [Finding("database", "ok", f"the database is sound; {domains} domains are in it")]
    return [
        Finding(
            "database",
            "failure",
            problem,
            "Look-ups are answered from memory as long as the services run; nothing can be changed",
            "See that it runs, and that SQLALCHEMY_DATABASE_URI is right; put a backup in place of a damaged file",
        )
        for problem in problems
    ]

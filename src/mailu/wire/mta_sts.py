"""MTA-STS as a sender reads it: the DNS record, the policy file, and what Postfix is told (RFC 8461).

Written here and not taken from postfix-mta-sts-resolver, whose parser is inseparable from a second DNS client and a
second HTTP client; the directory needs its own resolver anyway, to know what DNSSEC says (s2: MTA-STS must not
override DANE).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from mailu.wire import BadRequest

Mode = Literal["enforce", "testing", "none"]

MAX_POLICY_BYTES = 65_536
"""RFC 8461 s3.3 suggests 64 KiB."""
MAX_AGE_SECONDS = 31_557_600
"""RFC 8461 s3.2: the most that ``max_age`` may be."""
MAX_HOSTS = 100

_ID = re.compile(r"[A-Za-z0-9]{1,32}\Z")
_HOST = re.compile(r"(?:\*\.)?(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\Z")


@dataclass(frozen=True, slots=True)
class StsPolicy:
    """A domain's policy. ``hosts`` are names or ``*.`` and a name, in lower case; empty only in the mode none."""

    mode: Mode
    max_age_seconds: int
    hosts: tuple[str, ...]


def parse_record(texts: Sequence[str]) -> str | None:
    """Return the policy id in the TXT records at ``_mta-sts.<domain>``; None when the domain has no MTA-STS.

    More than one record that begins with the version counts as none (s3.1).
    """
    records = [text for text in texts if re.match(r"v=STSv1\s*(?:;|\Z)", text)]
    if len(records) != 1:
        return None
    fields = dict(_field(part, "=") for part in records[0].split(";") if part.strip())
    return fields["id"] if _ID.match(fields.get("id", "")) else None


def parse_policy(text: bytes) -> StsPolicy:
    """Parse the file at ``https://mta-sts.<domain>/.well-known/mta-sts.txt``. Raises BadRequest (s3.2).

    Of a key given twice the first counts, except ``mx``; keys that are not known are passed over.
    """
    if len(text) > MAX_POLICY_BYTES:
        raise BadRequest("the policy is too long")
    fields: dict[str, str] = {}
    hosts: list[str] = []
    for line in text.decode("utf-8", "replace").splitlines():
        key, value = _field(line, ":")
        if key == "mx":
            hosts.append(_host(value))
        else:
            fields.setdefault(key, value)
    if fields.get("version") != "STSv1":
        raise BadRequest("the policy is not of version STSv1")
    mode = fields.get("mode", "")
    if mode not in get_args(Mode):
        raise BadRequest(f"the mode of the policy is {mode[:40]!r}")
    if mode != "none" and not 0 < len(hosts) <= MAX_HOSTS:
        raise BadRequest(f"the policy names {len(hosts)} hosts")
    return StsPolicy(mode, _age(fields.get("max_age", "")), tuple(hosts))  # type: ignore[arg-type]


def postfix_policy(policy: StsPolicy) -> str:
    """The right side of ``smtp_tls_policy_maps`` for a policy that is to be enforced.

    ``.example.com`` is Postfix' form of ``*.example.com``; the server is asked for by its own name (SNI).
    """
    names = ":".join(host.removeprefix("*") for host in policy.hosts)
    return f"secure match={names} servername=hostname"


def _field(text: str, separator: str) -> tuple[str, str]:
    key, _, value = text.partition(separator)
    return key.strip(), value.strip()


def _host(value: str) -> str:
    host = value.lower().rstrip(".")
    if len(host) > 255 or not _HOST.match(host):
        raise BadRequest(f"the policy names {value[:80]!r} as a host")
    return host


def _age(digits: str) -> int:
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 10):
        raise BadRequest("max_age of the policy is no number")
    return min(int(digits), MAX_AGE_SECONDS)

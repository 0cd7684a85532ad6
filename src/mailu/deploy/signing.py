"""Signing the set-up profile for Apple devices with the certificate that is served, for the pages.

The pages may not read private keys: a hole in them would give away the key that all of TLS rests on. nginx and Postfix
cannot sign documents, and a key of its own would not be trusted by any device. So the agent that hosts ``front``, which
runs as root and has the certificates in force, signs. It is told an address and nothing else, and writes the profile
itself: who takes over the pages can have profiles of this server signed, which anybody can have, and no other text.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mailu.address import parse_address
from mailu.deploy import aside
from mailu.deploy.control import ControlServer
from mailu.deploy.operations import pages_server
from mailu.deploy.situation import Situation
from mailu.identity.pairs import Pair, is_self_signed_pair


def signing_server(path: Path, situation: Callable[[], Situation]) -> ControlServer | None:
    """A server for the pages; None on a machine without their group, where no pages run."""

    async def signed(request: dict[str, Any]) -> dict[str, Any]:
        given = request.get("address")
        address = str(parse_address(given)) if given else None
        profile = await asyncio.to_thread(aside.ask, signed_profile, situation(), address)
        return {"profile": base64.b64encode(profile).decode("ascii")}

    return pages_server(path, {"mobileconfig": signed})


def signed_profile(situation: Situation, address: str | None, now: datetime | None = None) -> bytes:
    """The profile for *address*, signed (CMS, DER); empty without a certificate that devices could trust.

    Raises CertificateError. RSA comes first: devices of every age verify it.
    """
    from mailu.identity.autoconfig import mobileconfig, service_of, sign_mobileconfig  # here: the agent has others sign
    from mailu.identity.certificates import parse_chain, parse_private_key

    settings = situation.settings
    pair = _pair_of(settings.hostname, (*situation.rsa_certificates, *situation.certificates))
    if not settings.has_tls or pair is None or is_self_signed_pair(pair.chain):
        return b""
    content, when = situation.contents[pair], now or datetime.now(UTC)
    chain, key = parse_chain(content.chain, pair.chain), parse_private_key(content.key, pair.key)
    if not chain[0].not_valid_before_utc <= when < chain[0].not_valid_after_utc:
        return b""
    return sign_mobileconfig(mobileconfig(service_of(settings), address), chain, key)


def _pair_of(host: str, served: Sequence[tuple[str, Path, Path]]) -> Pair | None:
    return next((Pair(chain, key) for name, chain, key in served if name == host), None)

"""Passkeys by the webauthn library: what the browser is asked, and whether what it answers is good.

The relying party is our first host name; the origin has to be one of our host names over https.

The library is loaded by whoever needs it: with all that it brings along it takes 14 MiB, and few people have passkeys.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mailu.settings import Settings

if TYPE_CHECKING:
    from webauthn.helpers.structs import PublicKeyCredentialDescriptor


class BadPasskey(Exception):
    """What the browser sent proves nothing."""


@dataclass(frozen=True, slots=True)
class Registered:
    """A new passkey, as it is stored."""

    credential: str
    public_key: str
    uses: int


def registration_options(settings: Settings, email: str, known: Sequence[str]) -> tuple[str, str]:
    """What the browser is asked for a new passkey (JSON), and the challenge to keep."""
    import webauthn
    from webauthn.helpers import bytes_to_base64url
    from webauthn.helpers.structs import (
        AuthenticatorSelectionCriteria,
        ResidentKeyRequirement,
        UserVerificationRequirement,
    )

    options = webauthn.generate_registration_options(
        rp_id=settings.hostname,
        rp_name=settings.sitename,
        user_name=email,
        user_id=email.encode()[:64],
        exclude_credentials=_described(known),
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.DISCOURAGED, user_verification=UserVerificationRequirement.PREFERRED
        ),
    )
    return webauthn.options_to_json(options), bytes_to_base64url(options.challenge)


def registered(settings: Settings, answer: str, challenge: str) -> Registered:
    """The passkey that the browser made. Raises BadPasskey."""
    import webauthn
    from webauthn.helpers import base64url_to_bytes, bytes_to_base64url
    from webauthn.helpers.exceptions import WebAuthnException

    try:
        proven = webauthn.verify_registration_response(
            credential=_read(answer),
            expected_challenge=base64url_to_bytes(challenge),
            expected_rp_id=settings.hostname,
            expected_origin=_origins(settings),
        )
    except (WebAuthnException, ValueError, KeyError, TypeError) as error:
        raise BadPasskey(str(error)) from error
    return Registered(
        bytes_to_base64url(proven.credential_id), bytes_to_base64url(proven.credential_public_key), proven.sign_count
    )


def sign_on_options(settings: Settings, known: Sequence[str]) -> tuple[str, str]:
    """What the browser is asked to prove a passkey (JSON), and the challenge to keep."""
    import webauthn
    from webauthn.helpers import bytes_to_base64url
    from webauthn.helpers.structs import UserVerificationRequirement

    options = webauthn.generate_authentication_options(
        rp_id=settings.hostname,
        allow_credentials=_described(known),
        user_verification=UserVerificationRequirement.PREFERRED,
    )
    return webauthn.options_to_json(options), bytes_to_base64url(options.challenge)


def named_credential(answer: str) -> str:
    """Which passkey the browser answered with. Raises BadPasskey."""
    return str(_read(answer).get("id", ""))[:2000]


def proven_uses(settings: Settings, answer: str, challenge: str, *, public_key: str, uses: int) -> int:
    """The device's new count when the browser proved the passkey. Raises BadPasskey."""
    import webauthn
    from webauthn.helpers import base64url_to_bytes
    from webauthn.helpers.exceptions import WebAuthnException

    try:
        proven = webauthn.verify_authentication_response(
            credential=_read(answer),
            expected_challenge=base64url_to_bytes(challenge),
            expected_rp_id=settings.hostname,
            expected_origin=_origins(settings),
            credential_public_key=base64url_to_bytes(public_key),
            credential_current_sign_count=uses,
        )
    except (WebAuthnException, ValueError, KeyError, TypeError) as error:
        raise BadPasskey(str(error)) from error
    return int(proven.new_sign_count)


def _described(known: Sequence[str]) -> list[PublicKeyCredentialDescriptor]:
    from webauthn.helpers import base64url_to_bytes
    from webauthn.helpers.structs import PublicKeyCredentialDescriptor

    return [PublicKeyCredentialDescriptor(id=base64url_to_bytes(name)) for name in known]


def _origins(settings: Settings) -> list[str]:
    return [f"https://{settings.hostname}"]


def _read(answer: str) -> dict[str, Any]:
    try:
        value = json.loads(answer)
    except (ValueError, RecursionError) as error:
        raise BadPasskey("not JSON") from error
    if not isinstance(value, dict):
        raise BadPasskey("not an object")
    return value

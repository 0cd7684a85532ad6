"""What nginx offers for each TLS profile: versions, ciphers, whose order counts."""

from __future__ import annotations

from dataclasses import dataclass

_AEAD = (
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
    "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
)
_CBC = (
    "ECDHE-ECDSA-AES128-SHA256:ECDHE-RSA-AES128-SHA256:ECDHE-ECDSA-AES128-SHA:ECDHE-RSA-AES128-SHA:"
    "ECDHE-ECDSA-AES256-SHA:ECDHE-RSA-AES256-SHA:AES128-GCM-SHA256:AES128-SHA:AES256-SHA"
)


@dataclass(frozen=True, slots=True)
class Profile:
    """One profile in nginx's terms; empty *ciphers* leave the library's own."""

    comment: str
    protocols: str
    ciphers: str
    server_preference: bool


PROFILES = {
    "modern": Profile("Modern: TLS 1.3 only.", "TLSv1.3", "", server_preference=False),
    "intermediate": Profile(
        "Intermediate: TLS 1.2 and 1.3, forward secrecy and authenticated encryption only.",
        "TLSv1.2 TLSv1.3",
        _AEAD,
        server_preference=False,
    ),
    # OpenSSL 3 speaks TLS 1.0 and 1.1 at security level 0 only.
    "old": Profile(
        "Old: TLS 1.0 and up, for programs that know nothing better.",
        "TLSv1 TLSv1.1 TLSv1.2 TLSv1.3",
        f"{_AEAD}:{_CBC}:@SECLEVEL=0",
        server_preference=True,
    ),
}

"""Certificates and the TLS that is spoken."""

from __future__ import annotations

from dataclasses import dataclass

from mailu.settings import values
from mailu.settings.fields import setting
from mailu.settings.values import Routed

_profile = values.words("modern", "intermediate", "old")
_group_profile = values.optional(_profile)
_LEVELS = ("none", "may", "encrypt", "dane", "dane-only", "fingerprint", "verify", "secure")


@dataclass(frozen=True, kw_only=True)
class Tls:
    """Certificates and TLS."""

    tls_flavor: str = setting(
        values.words("letsencrypt", "cert", "notls", same={"certs": "cert", "none": "notls"}),
        "cert",
        "Where certificates come from: fetched and renewed (letsencrypt), put into ROOT/certs by somebody else (cert), "
        "or no TLS at all (notls). What is put there is served once it is good; until then the one before it is, or a "
        "self-signed one, and the pages say so.",
    )
    tls_cert_filename: str = setting(
        values.file_name,
        "cert.pem",
        "File below ROOT/certs with the certificate and its chain, or a folder with both files. Further folders there "
        "with a pair each (fullchain.pem and privkey.pem, tls.crt and tls.key) serve the names that they are for.",
    )
    tls_keypair_filename: str = setting(values.file_name, "key.pem", "File below ROOT/certs with the private key.")
    letsencrypt_shortchain: bool = setting(
        values.boolean, False, "Send the shorter chain that leaves out the authority's root."
    )
    acme_server: str = setting(
        values.url,
        "https://acme-v02.api.letsencrypt.org/directory",
        "Directory of the certificate authority that TLS_FLAVOR=letsencrypt asks.",
    )
    acme_rsa: bool = setting(
        values.boolean,
        True,
        "Have an RSA certificate issued beside the ECDSA one of each host name, for old programs and servers.",
    )
    acme_dns_plugin: str | None = setting(
        values.optional(values.matching(r"[a-z0-9][a-z0-9-]*", "the name of a plug-in, such as cloudflare")),
        None,
        "Prove host names by DNS (dns-01) in place of port 80: certbot's plug-in, such as cloudflare, which reads "
        "ROOT/certs/dns.ini and is installed when it is one of certbot's own; or hook, for the programs dns-add and "
        "dns-remove in ROOT/overrides/certificates.",
        default_note="port 80 is used",
    )
    acme_dns_seconds: int | None = setting(
        values.optional(values.integer(1, 86400)),
        None,
        "How long (seconds) a change of DNS takes until everybody sees it; for ACME_DNS_PLUGIN.",
        default_note="the plug-in's own",
    )
    acme_roots: str | None = setting(
        values.optional(values.file_name),
        None,
        "File below ROOT/certs with the certificates that ACME_SERVER itself is trusted by, for an authority of your "
        "own.",
        default_note="the system's",
    )
    tls_profile: str = setting(
        _profile,
        "intermediate",
        "Versions and ciphers offered to people's programs: TLS 1.3 only (modern), 1.2 and 1.3 (intermediate), 1.0 and "
        "up (old).",
    )
    tls_profile_web: str | None = setting(_group_profile, None, "The same for the web.", default_note="TLS_PROFILE")
    tls_profile_imap: str | None = setting(
        _group_profile, None, "The same for IMAP, POP3 and ManageSieve.", default_note="TLS_PROFILE"
    )
    tls_profile_submission: str | None = setting(
        _group_profile, None, "The same for sending, ports 465 and 587.", default_note="TLS_PROFILE"
    )
    tls_permissive: bool = setting(
        values.boolean,
        True,
        "Offer old TLS on port 25, where other servers would otherwise send in plain text.",
    )
    inbound_tls_enforce: bool = setting(
        values.boolean, False, "Refuse mail on port 25 from servers that do not start TLS."
    )
    outbound_tls_level: str = setting(
        values.words(*_LEVELS),
        "dane",
        "How mail is sent to other servers: Postfix's smtp_tls_security_level. A smart host that gets a password is "
        "asked for a good certificate at all levels but none.",
    )
    outbound_tls_destinations: tuple[Routed, ...] = setting(
        values.routed(_LEVELS, None),
        (),
        "Destinations that need another level, as domain:level, for example broken.example:may; a smart host or a "
        "relay target by the name of its host.",
    )
    defer_on_tls_error: bool = setting(
        values.boolean,
        True,
        "Wait and try again when a destination's DANE records are incomplete or its MTA-STS policy fails in testing "
        "mode. When false such mail is delivered, and the failure is reported.",
    )

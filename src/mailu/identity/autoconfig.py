"""How mail programs set themselves up: Mozilla's, Microsoft's and Apple's formats. Pure: settings in, texts out.

Programs and scripts in the field read these answers, so their shapes stay: IMAP on 993 and SMTP on 465, both with TLS
from the first byte, the full address as user name, the password in clear inside TLS.
"""

from __future__ import annotations

import json
import plistlib
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote
from xml.parsers import expat
from xml.sax.saxutils import escape

from mailu.address import DomainName
from mailu.settings import Settings

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

MOZILLA_TYPE = "text/xml; charset=utf-8"
AUTODISCOVER_XML_TYPE = "text/xml; charset=utf-8"
AUTODISCOVER_JSON_TYPE = "application/json"
MOBILECONFIG_TYPE = "application/x-apple-aspen-config"

MAX_REQUEST_BYTES = 65_536
DAV_PATH = "/webdav/"

_RESPONSE_SCHEMA = "http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a"
_REQUEST_SCHEMA = "http://schemas.microsoft.com/exchange/autodiscover/outlook/requestschema/2006"
_PROFILES = uuid.UUID("6f5d1c3e-8a43-5f0e-9c55-0b6d4a3a2c11")
"""Name space of the profiles' identifiers: the same server always gives the same profile, so a new one replaces it."""


class BadAutodiscoverRequest(ValueError):
    """The body is not an Autodiscover request; the answer is 400."""


class UnknownAutodiscoverSchema(ValueError):
    """The client wants an answer in a form that we do not have; the answer is 404."""


@dataclass(frozen=True, slots=True)
class Service:
    """Where this server is and what it is called."""

    host: DomainName
    name: str
    """For people, such as "Example Mail"."""
    documentation_url: str
    """A page that says how to set up a program by hand."""
    dav_path: str | None = None
    """Where calendars and contacts are on *host*, such as ``/webdav/``; None without them."""


def service_of(settings: Settings) -> Service:
    """What is told to programs of this server's people."""
    scheme = "https" if settings.has_tls else "http"
    return Service(
        settings.hostname,
        settings.sitename,
        f"{scheme}://{settings.hostname}{settings.web_admin}/client",
        DAV_PATH if settings.webdav and settings.has_tls else None,
    )


def mozilla(service: Service) -> str:
    """Return ``config-v1.1.xml``. Thunderbird puts the user's address and domain in where the marks stand.

    Source: https://wiki.mozilla.org/Thunderbird:Autoconfiguration:ConfigFileFormat
    """
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<clientConfig version="1.1">
  <emailProvider id="%EMAILDOMAIN%">
    <domain>%EMAILDOMAIN%</domain>
    <displayName>{escape(service.name)}</displayName>
    <displayShortName>{escape(service.name)}</displayShortName>
    <incomingServer type="imap">
      <hostname>{service.host}</hostname>
      <port>993</port>
      <socketType>SSL</socketType>
      <username>%EMAILADDRESS%</username>
      <authentication>password-cleartext</authentication>
    </incomingServer>
    <outgoingServer type="smtp">
      <hostname>{service.host}</hostname>
      <port>465</port>
      <socketType>SSL</socketType>
      <username>%EMAILADDRESS%</username>
      <authentication>password-cleartext</authentication>
      <addThisServer>true</addThisServer>
      <useGlobalPreferredServer>false</useGlobalPreferredServer>
    </outgoingServer>
    <documentation url="{escape(service.documentation_url, {'"': "&quot;"})}">
      <descr lang="en">Configure your email client</descr>
    </documentation>
  </emailProvider>
</clientConfig>
"""


def autodiscover_json(service: Service, protocol: str = "Autodiscoverv1") -> str | None:
    """Return the answer of ``autodiscover.json``: where the XML is. None (404) for another *protocol*."""
    if protocol.lower() != "autodiscoverv1":
        return None
    url = f"https://{service.host}/autodiscover/autodiscover.xml"
    return json.dumps({"Protocol": "Autodiscoverv1", "Url": url}, separators=(",", ":"))


def autodiscover_xml(service: Service, request: bytes) -> str:
    """Return the answer to the body of a POST to ``autodiscover.xml``.

    Raises BadAutodiscoverRequest for what is no request, UnknownAutodiscoverSchema for another answer than Outlook's of
    2006. Source: [MS-OXDSCLI] 3.1.5.
    """
    address, schema = parse_autodiscover_request(request)
    if schema != _RESPONSE_SCHEMA:
        raise UnknownAutodiscoverSchema(f"no answer in the schema {schema[:200]!r}")
    protocols = "".join(_outlook_protocol(kind, service.host, port, address) for kind, port in _OUTLOOK_PROTOCOLS)
    return f"""<?xml version="1.0" encoding="utf-8"?>
<Autodiscover xmlns="http://schemas.microsoft.com/exchange/autodiscover/responseschema/2006">
  <Response xmlns="{_RESPONSE_SCHEMA}">
    <Account>
      <AccountType>email</AccountType>
      <Action>settings</Action>
{protocols}    </Account>
  </Response>
</Autodiscover>
"""


_OUTLOOK_PROTOCOLS = (("IMAP", 993), ("SMTP", 465))


def _outlook_protocol(kind: str, host: str, port: int, address: str) -> str:
    return f"""      <Protocol>
        <Type>{kind}</Type>
        <Server>{host}</Server>
        <Port>{port}</Port>
        <LoginName>{escape(address)}</LoginName>
        <DomainRequired>on</DomainRequired>
        <SPA>off</SPA>
        <SSL>on</SSL>
      </Protocol>
"""


def parse_autodiscover_request(request: bytes) -> tuple[str, str]:
    """Return the address and the wanted schema of an Autodiscover request. Raises BadAutodiscoverRequest.

    A document type is refused: it is how small bodies are blown up to large ones, and files are read.
    """
    if len(request) > MAX_REQUEST_BYTES:
        raise BadAutodiscoverRequest("the request is too long")
    found: dict[str, str] = {}
    wanted = {f"{_REQUEST_SCHEMA}}}EMailAddress": "address", f"{_REQUEST_SCHEMA}}}AcceptableResponseSchema": "schema"}
    path: list[str] = []

    def start(name: str, _attributes: dict[str, str]) -> None:
        path.append(name)

    def end(_name: str) -> None:
        path.pop()

    def text(data: str) -> None:
        if path and (field := wanted.get(path[-1])):
            found[field] = found.get(field, "") + data

    def refuse(*_: object) -> None:
        raise BadAutodiscoverRequest("a document type is not taken")

    parser = expat.ParserCreate(namespace_separator="}")
    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = start, end, text
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(request, True)
    except (expat.ExpatError, LookupError, ValueError) as error:
        raise BadAutodiscoverRequest(f"the request cannot be read: {error}") from None
    if "schema" not in found or "@" not in found.get("address", ""):
        raise BadAutodiscoverRequest("the request lacks the address or the wanted schema")
    return found["address"].strip(), found["schema"].strip()


def mobileconfig(service: Service, address: str | None = None) -> bytes:
    """Return Apple's profile, not signed: mail, and calendars and contacts where we have them.

    Without *address* the device asks for it. The identifiers are those of the server and the address: a device puts a
    newer profile in the place of the one before, and keeps that of another account.
    Source: Apple's Device Management reference, "Mail", "CalDAV", "CardDAV".
    """
    whose = uuid.uuid5(_PROFILES, address).hex[:12] if address else "anybody"
    identifier = f"{service.host}.mailu.{whose}"
    payloads = [_apple_mail(service, address)]
    if service.dav_path is not None:
        payloads += [_apple_dav(service, service.dav_path, kind, address) for kind in ("CalDAV", "CardDAV")]
    for payload in payloads:
        inner = f"{identifier}.{payload['PayloadType'].split('.')[2]}"
        payload |= _payload(inner, address, service.name)
    profile: dict[str, Any] = {
        **_payload(identifier, address, f"{service.name}: {address}" if address else service.name),
        "PayloadContent": payloads,
        "PayloadDescription": f"Sets up {service.name} ({service.host})",
        "PayloadOrganization": service.name,
        "PayloadRemovalDisallowed": False,
        "PayloadType": "Configuration",
    }
    return plistlib.dumps(profile, sort_keys=True)


def _payload(identifier: str, address: str | None, shown: str) -> dict[str, Any]:
    unique = str(uuid.uuid5(_PROFILES, f"{identifier}/{address or ''}")).upper()
    return {
        "PayloadDisplayName": shown,
        "PayloadIdentifier": identifier,
        "PayloadUUID": unique,
        "PayloadVersion": 1,
    }


def _apple_mail(service: Service, address: str | None) -> dict[str, Any]:
    account: dict[str, Any] = {
        "EmailAccountDescription": service.name,
        "EmailAccountType": "EmailTypeIMAP",
        "IncomingMailServerAuthentication": "EmailAuthPassword",
        "IncomingMailServerHostName": str(service.host),
        "IncomingMailServerPortNumber": 993,
        "IncomingMailServerUseSSL": True,
        "OutgoingMailServerAuthentication": "EmailAuthPassword",
        "OutgoingMailServerHostName": str(service.host),
        "OutgoingMailServerPortNumber": 465,
        "OutgoingMailServerUseSSL": True,
        "OutgoingPasswordSameAsIncomingPassword": True,
        "PayloadType": "com.apple.mail.managed",
        "SMIMEEnabled": False,
    }
    if address:
        account |= {
            "EmailAddress": address,
            "IncomingMailServerUsername": address,
            "OutgoingMailServerUsername": address,
        }
    return account


def _apple_dav(service: Service, path: str, kind: str, address: str | None) -> dict[str, Any]:
    account: dict[str, Any] = {
        f"{kind}AccountDescription": service.name,
        f"{kind}HostName": str(service.host),
        f"{kind}Port": 443,
        f"{kind}UseSSL": True,
        "PayloadType": f"com.apple.{kind.lower()}.account",
    }
    if address:
        account |= {f"{kind}Username": address, f"{kind}PrincipalURL": f"{path}{quote(address)}/"}
    return account


def sign_mobileconfig(
    profile: bytes,
    chain: Sequence[x509.Certificate],
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey,
) -> bytes:
    """Return *profile* signed with the server's certificate (CMS, DER): devices then show it as verified.

    *chain* has the leaf first. Sign only with a certificate that devices trust: a broken signature looks worse than
    none.
    """
    from cryptography.hazmat.primitives.hashes import SHA256  # here: whoever makes the other answers need not load it
    from cryptography.hazmat.primitives.serialization import Encoding
    from cryptography.hazmat.primitives.serialization.pkcs7 import PKCS7Options, PKCS7SignatureBuilder

    builder = PKCS7SignatureBuilder().set_data(profile).add_signer(chain[0], key, SHA256())
    for certificate in chain[1:]:
        builder = builder.add_certificate(certificate)
    return builder.sign(Encoding.DER, [PKCS7Options.Binary])

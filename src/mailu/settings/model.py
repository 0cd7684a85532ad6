"""``Settings``: every variable, typed, in one frozen object; and the few facts that follow from several of them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import unquote, urlsplit, urlunsplit

from mailu.address import DomainName, EmailAddress, Localpart
from mailu.settings import keys
from mailu.settings.fields import Variable, variables_of
from mailu.settings.sections.accounts import LogIn, People
from mailu.settings.sections.general import General
from mailu.settings.sections.mail import Filter, Mailboxes, MailFlow
from mailu.settings.sections.network import Listeners, Services
from mailu.settings.sections.tls import Tls
from mailu.settings.sections.web import Storage, Web
from mailu.settings.values import TLS_PORTS

_SECTIONS: tuple[type, ...] = (
    General, Listeners, Tls, LogIn, People, MailFlow, Filter, Mailboxes, Web, Storage, Services,
)  # fmt: skip

HIDDEN = "<hidden>"
SERVICE_KEYS = ("REDIS", "RSPAMD", "ROUNDCUBE", "SECRET")
"""Names that ``service_key`` is asked for."""


@dataclass(frozen=True, kw_only=True)
class Settings(General, Listeners, Tls, LogIn, People, MailFlow, Filter, Mailboxes, Web, Storage, Services):
    """All settings of one installation. One attribute a variable, in lower case.

    Comes from ``load_settings``, or from another process by ``from_json``. ``domain``, ``hostnames`` and
    ``secret_key`` have no default here, everything else has; absent is None.
    """

    secret_key_from_file: bool = field(default=False, metadata={})
    """The secret key was read from SECRET_KEY_FILE, which makes a difference to derived keys."""
    warnings: tuple[str, ...] = field(default=(), compare=False, repr=False)
    """What the operator should know; nothing that stops the services."""

    # Keys

    def service_key(self, name: str) -> str:
        """The key of a service, for names such as ``ROUNDCUBE``, ``REDIS``: 64 hexadecimal digits."""
        return keys.service_key(self.secret_key, name)

    def derive_key(self, name: str) -> bytes:
        """The web application's key for *name*: ``SRS_KEY``, ``DEVICE_COOKIE_KEY``, ``TRUNCATED_PW_KEY`` and so on.
        New things are made with it."""
        return self.derive_keys(name)[0]

    def derive_keys(self, name: str) -> tuple[bytes, ...]:
        """All keys with which something that is out in the world may have been made; ``derive_key`` first.
        Whoever verifies tries each."""
        candidates = keys.application_keys(self.secret_key, from_file=self.secret_key_from_file)
        return tuple(keys.derive(candidate, name) for candidate in candidates)

    @property
    def srs_keys(self) -> tuple[bytes, ...]:
        """Keys of SRS addresses: the first to make them, all of them to reverse one."""
        return self.derive_keys("SRS_KEY")

    # Names and addresses

    @property
    def counted_elsewhere(self) -> tuple[str, ...]:
        """Settings that lead mail, or those who count it, past this machine: then not all of it may be counted."""
        addresses = {"SMTP_ADDRESS": self.smtp_address, "IMAP_ADDRESS": self.imap_address,
                     "DIRECTORY_ADDRESS": self.directory_address}  # fmt: skip
        return tuple(name for name, address in addresses.items() if address is not None)

    @property
    def hostname(self) -> DomainName:
        """The first host name: MX records, greeting, Message-IDs."""
        return self.hostnames[0]

    @property
    def postmaster_address(self) -> EmailAddress:
        """Sender and receiver of system mail."""
        return EmailAddress(Localpart(self.postmaster), self.domain)

    @property
    def bind_addresses(self) -> tuple[str, ...]:
        """The addresses that public services listen on: IPv4 first, IPv6 without brackets. On a machine without IPv6
        leave out what has a colon."""
        return tuple(address for address in (self.bind_address4, self.bind_address6) if address)

    # Listeners and TLS

    @property
    def has_tls(self) -> bool:
        """Whether TLS is spoken at all."""
        return self.tls_flavor != "notls"

    @property
    def listening_ports(self) -> frozenset[int]:
        """The ports that are really opened: without TLS, those that begin with TLS stay closed."""
        return self.ports if self.has_tls else self.ports - TLS_PORTS

    @property
    def tls_listening_ports(self) -> frozenset[int]:
        """Those of the listening ports that begin with TLS here."""
        return self.listening_ports & self.tls if self.has_tls else frozenset()

    @property
    def web_is_plain(self) -> bool:
        """Whether port 80 serves the whole site, because TLS is off or ends before us."""
        return 443 not in self.tls_listening_ports

    @property
    def secure_cookies(self) -> bool:
        """Whether session cookies are marked Secure."""
        return self.has_tls if self.session_cookie_secure is None else self.session_cookie_secure

    def tls_profile_of(self, group: str) -> str:
        """The TLS profile of a listener *group*: ``web``, ``imap`` or ``submission``."""
        chosen = {"web": self.tls_profile_web, "imap": self.tls_profile_imap, "submission": self.tls_profile_submission}
        return chosen[group] or self.tls_profile

    # Storage

    @property
    def database_uri(self) -> str:
        """The URL of the main database."""
        return self.sqlalchemy_database_uri or f"sqlite:///{self.root}/data/main.db"

    @property
    def roundcube_database_uri(self) -> str:
        """The URL of the webmail's database."""
        return self.sqlalchemy_database_uri_roundcube or f"sqlite:///{self.root}/webmail/roundcube.db"

    # Pages

    @property
    def homepage(self) -> str | None:
        """Where ``/`` leads to; None when there is nothing, or an override decides."""
        if self.webroot_redirect == "none":
            return None
        if self.webroot_redirect:
            return self.webroot_redirect
        if self.webmail:
            return self.web_webmail
        return self.web_admin if self.admin else None

    # As text

    def text_of(self, variable: Variable) -> str:
        """The value of *variable* as it would be written in ``mailu.env``."""
        shown: str = variable.kind.show(getattr(self, variable.attribute))
        return shown

    def shown(self, variable: Variable) -> str:
        """The same with nothing secret in it, for people and logs."""
        text = self.text_of(variable)
        if not variable.secret or not text:
            return text
        return _without_password(text) if "://" in text else HIDDEN

    def secrets(self) -> list[str]:
        """Everything that no log may show: secret values, passwords in URLs, and the keys of services."""
        texts = [self.text_of(variable) for variable in VARIABLES if variable.secret]
        passwords = [unquote(urlsplit(text).password or "") for text in texts if "://" in text]
        derived = [self.service_key(name) for name in SERVICE_KEYS]
        return [*texts, *passwords, *derived]

    def to_json(self) -> str:
        """All values as text, secrets included, for another process of ours. Store it where only that can read it."""
        values = {variable.name: self.text_of(variable) for variable in VARIABLES}
        document = {"values": values, "secret_key_from_file": self.secret_key_from_file}
        return json.dumps(document, indent=1, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what ``to_json`` wrote. A variable that is not there has its default. Raises ValueError or KeyError."""
        document: dict[str, Any] = json.loads(text)
        written: dict[str, str] = document["values"]
        values = {
            variable.attribute: variable.kind.parse(written[variable.name])
            for variable in VARIABLES
            if variable.name in written
        }
        return cls(**values, secret_key_from_file=document["secret_key_from_file"])


VARIABLES: tuple[Variable, ...] = tuple(variables_of(_SECTIONS))
"""Every variable, in the order of the reference."""
BY_NAME: dict[str, Variable] = {variable.name: variable for variable in VARIABLES}


def _without_password(url: str) -> str:
    """*url* with its password hidden; hidden as a whole when it cannot be taken apart."""
    try:
        parts = urlsplit(url)
        if parts.password is None and not parts.query:
            return url
        name = parts.netloc.rpartition("@")[2]
        user = f"{parts.username or ''}:{HIDDEN}@" if parts.password is not None else parts.netloc[: -len(name)]
        return urlunsplit(parts._replace(netloc=f"{user}{name}", query=HIDDEN if parts.query else ""))
    except ValueError:
        return HIDDEN

"""Where things are: every folder and socket under one state root, named once.

State that must survive stands directly under the root, with the names a Mailu root has always had; ``run/`` is
generated and can be deleted while nothing runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Places:
    """The folders and sockets of one root. Socket paths must stay below 108 bytes (unix(7)), so keep roots short."""

    root: Path

    @property
    def env_file(self) -> Path:
        """The settings file that belongs to this root."""
        return self.root / "mailu.env"

    @property
    def certs(self) -> Path:
        """``cert.pem`` and ``key.pem``, and one folder a name below ``letsencrypt/``."""
        return self.root / "certs"

    @property
    def acme(self) -> Path:
        """Where challenges are put for nginx: files below ``.well-known/acme-challenge/``, as certbot's webroot is."""
        return self.root / "run" / "acme"

    @property
    def data(self) -> Path:
        """The SQLite database; owned by the control plane's user."""
        return self.root / "data"

    @property
    def dkim(self) -> Path:
        """Signing keys, ``<domain>.<selector>.key``; owned by the control plane's user."""
        return self.root / "dkim"

    @property
    def mail(self) -> Path:
        """One Maildir home a mailbox; owned by the mail user."""
        return self.root / "mail"

    @property
    def mail_queue(self) -> Path:
        """Postfix's queue; on a disk that keeps what it was told."""
        return self.root / "mailqueue"

    @property
    def filter(self) -> Path:
        """Rspamd's DBDIR: compiled expressions, statistics that are not in Redis, saved scores."""
        return self.root / "filter"

    @property
    def redis(self) -> Path:
        """Redis' own files."""
        return self.root / "redis"

    @property
    def dav(self) -> Path:
        """Calendars and contacts."""
        return self.root / "dav"

    @property
    def webmail(self) -> Path:
        """Roundcube's database and users' keys."""
        return self.root / "webmail"

    @property
    def overrides(self) -> Path:
        """What the operator adds to the daemons' own configuration: one folder a daemon."""
        return self.root / "overrides"

    @property
    def run(self) -> Path:
        """Generated: configurations, sockets, logs, pids."""
        return self.root / "run"

    @property
    def logs(self) -> Path:
        """One file a service, ``<service>.log``."""
        return self.root / "run" / "log"

    def service(self, name: str) -> Path:
        """The generated folder of one service; ``etc`` below it is a link to the configuration in force."""
        return self.run / name

    # Sockets. The folder of a socket says who may talk: it belongs to the server's user and the client's group.

    @property
    def lookups(self) -> Path:
        """Folder of what Postfix asks the directory: the sockets ``map``, ``policy`` and ``sasl``."""
        return self.run / "lookups"

    @property
    def socketmap(self) -> Path:
        """The socketmap_table(5) server of the directory."""
        return self.lookups / "map"

    @property
    def policy(self) -> Path:
        """The policy server of the directory (SMTPD_POLICY_README)."""
        return self.lookups / "policy"

    @property
    def sasl(self) -> Path:
        """Dovecot's auth protocol, spoken by the directory to Postfix."""
        return self.lookups / "sasl"

    @property
    def quota_dict(self) -> Path:
        """Dovecot's dict protocol, spoken by the directory to Dovecot: used bytes of a mailbox."""
        return self.run / "usage" / "dict"

    @property
    def mailbox_lookups(self) -> Path:
        """Dovecot's master protocol, spoken by the directory to Dovecot: where a mailbox is."""
        return self.run / "usage" / "mailboxes"

    @property
    def lmtp(self) -> Path:
        """Dovecot's LMTP server; Postfix delivers here."""
        return self.run / "imap" / "lmtp"

    @property
    def milter(self) -> Path:
        """Rspamd's proxy worker; Postfix filters here."""
        return self.run / "antispam" / "milter"

    @property
    def filter_controller(self) -> Path:
        """Rspamd's controller: learning, statistics, its own pages."""
        return self.run / "antispam" / "controller"

    @property
    def redis_socket(self) -> Path:
        """Redis, with a password derived from the secret key."""
        return self.run / "redis" / "redis"

    @property
    def admin_socket(self) -> Path:
        """The web application, for nginx."""
        return self.run / "admin" / "http"

    @property
    def webmail_php(self) -> Path:
        """php-fpm of the webmail, for nginx."""
        return self.run / "webmail" / "php"

    @property
    def webdav_socket(self) -> Path:
        """Radicale, for nginx."""
        return self.run / "webdav" / "http"

    @property
    def clamav(self) -> Path:
        """Signatures of viruses."""
        return self.root / "clamav"

    @property
    def fetchmail(self) -> Path:
        """Which messages of accounts elsewhere were fetched already."""
        return self.root / "fetchmail"

    @property
    def fetch_lmtp(self) -> Path:
        """Dovecot's LMTP server for mail that was fetched and is not to be filtered."""
        return self.run / "fetched" / "lmtp"

    @property
    def fetch_ready(self) -> Path:
        """Where the agent asks whether fetching goes on."""
        return self.run / "fetchmail" / "http"

    @property
    def operations(self) -> Path:
        """The agents, for the web application: state of the services, and the mail queue."""
        return self.run / "operations" / "ask"

    @property
    def signing(self) -> Path:
        """The agent of ``front``, for the web application: signatures with the certificate that is served."""
        return self.run / "signing" / "ask"

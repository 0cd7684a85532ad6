"""The references: Postfix and Dovecot with static tables, as fast as the daemons alone can be here.

The bare one only stores mail. The other one also does for each message what people get from ours: it counts quota, runs
a Sieve script, compresses what is to be compressed, indexes words for searching. What ours costs beside that one is the
control plane; what that one costs beside the bare one are Dovecot's features.
"""

from __future__ import annotations

import pwd
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.bench.loads import Target
from tests.bench.processes import Daemon, wait_until

MAIN_CF = """\
compatibility_level = 3.6
queue_directory = {root}/spool
data_directory = {root}/lib
mail_owner = postfix
setgid_group = postdrop
maillog_file = /dev/stdout
myhostname = reference.test
mydestination =
local_recipient_maps =
alias_maps =
virtual_alias_domains =
fast_flush_domains =
virtual_mailbox_domains = lmdb:{root}/domains
virtual_mailbox_maps = lmdb:{root}/mailboxes
virtual_alias_maps = lmdb:{root}/aliases
transport_maps = lmdb:{root}/transports
relay_domains = lmdb:{root}/relays
recipient_canonical_maps = lmdb:{root}/canonical
recipient_canonical_classes = envelope_recipient
virtual_transport = lmtp:unix:{root}/run/lmtp
recipient_delimiter = +
inet_interfaces = all
inet_protocols = ipv4
mynetworks =
in_flow_delay = 0
smtpd_relay_restrictions = permit_sasl_authenticated, reject_unauth_destination
smtpd_tls_cert_file = {certificate}
smtpd_tls_key_file = {key}
smtpd_tls_security_level = may
smtpd_sasl_type = dovecot
smtpd_sasl_path = {root}/run/auth-postfix
smtpd_peername_lookup = no
"""

MASTER_CF = """\
{address}:25 inet n - n - - smtpd
{address}:465 inet n - n - - smtpd
  -o smtpd_tls_wrappermode=yes -o smtpd_sasl_auth_enable=yes
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
lmtp unix - - n - - lmtp
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""

DOVECOT_CONF = """\
base_dir = {root}/run
state_dir = {root}/state
instance_name = reference
log_path = /dev/stderr
info_log_path = /dev/stdout
protocols = imap lmtp
listen = {address}
ssl = yes
ssl_cert = <{certificate}
ssl_key = <{key}
disable_plaintext_auth = no
first_valid_uid = 1
mail_location = maildir:~/Maildir
mail_fsync = optimized
mailbox_list_index = yes
auth_mechanisms = plain login
mail_max_userip_connections = 0
passdb {{
  driver = passwd-file
  args = scheme=PLAIN {root}/users
}}
userdb {{
  driver = passwd-file
  args = {root}/users
}}
default_client_limit = 4000
default_process_limit = 2000
service imap-login {{
  service_count = 0
  process_min_avail = 2
  process_limit = 2
  client_limit = 4000
}}
service auth {{
  client_limit = 20000
  unix_listener auth-postfix {{
    mode = 0666
  }}
}}
service anvil {{
  client_limit = 20000
}}
service stats {{
  client_limit = 20000
}}
service imap {{
  process_limit = 2000
}}
service lmtp {{
  process_min_avail = 4
  process_limit = 100
  unix_listener lmtp {{
    mode = 0600
    user = postfix
  }}
}}
"""

FEATURES = """\
mail_plugins = quota zlib fts fts_xapian
plugin {{
  quota = count:User quota
  quota_rule = *:storage=1G
  quota_vsizes = yes
  fts = xapian
  fts_xapian = partial=3 full=20 verbose=0
  fts_autoindex = yes
  fts_enforced = yes
  sieve = file:~/sieve;active=~/.dovecot.sieve
  sieve_before = {root}/system.sieve
  sieve_extensions = +spamtest +spamtestplus +editheader +vacation-seconds
  sieve_global_extensions = +vnd.dovecot.environment
}}
protocol lmtp {{
  mail_plugins = $mail_plugins sieve
}}
service indexer-worker {{
  executable = /usr/bin/nice -n 19 /usr/lib/dovecot/indexer-worker
  process_limit = 1
}}
"""
SYSTEM_SIEVE = Path(__file__).resolve().parents[2] / "src/mailu/daemons/dovecot/templates/system.sieve"


@dataclass(frozen=True)
class Reference:
    """A running reference: where it listens, where its mail is, which processes it is."""

    root: Path
    address: str
    processes: tuple[int, ...]

    @property
    def mail(self) -> Path:
        return self.root / "mail"

    @property
    def target(self) -> Target:
        """For the loads."""
        return Target(self.address, self.processes, self.mail, self.root / "spool")


@contextmanager
def running(
    root: Path, *, address: str, users: list[str], password: str, pair: tuple[Path, Path], features: bool = False
) -> Iterator[Reference]:
    """Start Postfix and Dovecot for *users* (addresses) with one *password* and the certificate *pair* (chain, key)."""
    _write(root, address, users, password, pair)
    if features:
        shutil.copyfile(SYSTEM_SIEVE, root / "system.sieve")
        with (root / "dovecot.conf").open("a") as stream:
            stream.write(FEATURES.format(root=root))
        subprocess.run(["sievec", "-c", root / "dovecot.conf", root / "system.sieve"], check=True, capture_output=True)
    log = root / "log"
    dovecot = Daemon(["/usr/sbin/dovecot", "-F", "-c", str(root / "dovecot.conf")], log)
    postfix = Daemon(["/usr/lib/postfix/sbin/master", "-c", str(root / "postfix"), "-s"], log)
    try:
        for port in (25, 143):
            wait_until(lambda port=port: _greets(address, port), seconds=20, what=f"the reference on port {port}")  # type: ignore[misc]
        yield Reference(root, address, (dovecot.pid, postfix.pid))
    finally:
        postfix.stop()
        dovecot.stop()


def _greets(address: str, port: int) -> bool:
    try:
        with socket.create_connection((address, port), 1) as connection:
            return bool(connection.recv(1))
    except OSError:
        return False


def _write(root: Path, address: str, users: list[str], password: str, pair: tuple[Path, Path]) -> None:
    if root.exists():
        shutil.rmtree(root)
    for name in ("postfix", "spool", "run", "state", "mail"):
        (root / name).mkdir(parents=True)
    (root / "lib").mkdir(mode=0o700)
    owner, postfix = pwd.getpwnam("vmail"), pwd.getpwnam("postfix")
    shutil.chown(root / "lib", postfix.pw_uid)
    shutil.chown(root / "mail", owner.pw_uid, owner.pw_gid)
    values = {"root": root, "address": address, "certificate": pair[0], "key": pair[1]}
    (root / "postfix" / "main.cf").write_text(MAIN_CF.format(**values))
    (root / "postfix" / "master.cf").write_text(MASTER_CF.format(**values))
    (root / "dovecot.conf").write_text(DOVECOT_CONF.format(**values))
    (root / "users").write_text(
        "".join(f"{user}:{{PLAIN}}{password}:{owner.pw_uid}:{owner.pw_gid}::{root}/mail/{user}::\n" for user in users)
    )
    domains = sorted({user.partition("@")[2] for user in users})
    _table(root / "domains", [f"{domain} x" for domain in domains], root)
    _table(root / "mailboxes", [f"{user} x" for user in users], root)
    for name in ("aliases", "transports", "relays", "canonical"):
        _table(root / name, ["nobody@nowhere.test nobody"], root)
    subprocess.run(["postfix", "-c", root / "postfix", "check"], check=True, capture_output=True)


def _table(path: Path, lines: list[str], root: Path) -> None:
    path.write_text("\n".join(lines) + "\n")
    subprocess.run(["postmap", "-c", root / "postfix", f"lmdb:{path}"], check=True)

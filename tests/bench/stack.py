"""Our side of the benchmark: a whole server, started as an operator starts it, with any number of mailboxes."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import insert

from mailu.deploy.ground import port_names
from mailu.directory.models import Alias, Domain, User
from mailu.directory.store import Store, open_store
from mailu.places import Places
from tests.bench.loads import Target
from tests.bench.processes import parent

REPOSITORY = Path(__file__).resolve().parents[2]
COMMAND = REPOSITORY / "mailu"

POSTFIX_FOR_LOADS = """\
in_flow_delay = 0
smtpd_sender_restrictions =
smtpd_peername_lookup = no
"""
"""Both sides: no brake on the sender, and no DNS look-up of the sender's domain or the client's name, which have no
answer here."""

WITHOUT_FILTER = POSTFIX_FOR_LOADS + "smtpd_milters =\nnon_smtpd_milters =\n"


@dataclass(frozen=True)
class Stack:
    """A root of ours on an address of its own."""

    root: Path
    address: str

    @property
    def env_file(self) -> Path:
        return self.root.with_suffix(".env")

    def command(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run the command line on this root."""
        line = [str(COMMAND), "--env", str(self.env_file), *words]
        return subprocess.run(line, check=check, capture_output=True, text=True, timeout=600)

    def up(self) -> float:
        """Start and return the seconds until every service answers."""
        begin = time.perf_counter()
        done = self.command("up", "--detach", check=False)
        if done.returncode:
            raise RuntimeError(f"up: {done.stdout}\n{done.stderr}")
        return time.perf_counter() - begin

    def down(self) -> None:
        self.command("down", check=False)

    def status(self) -> list[dict[str, Any]]:
        services: list[dict[str, Any]] = json.loads(self.command("status", "--json", check=False).stdout)["services"]
        return services

    def override(self, text: str) -> None:
        """Put *text* into overrides/postfix/postfix.cf and have it applied."""
        folder = self.root / "overrides" / "postfix"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "postfix.cf").write_text(text)
        self.command("apply")

    def target(self, *services: str) -> Target:
        """For the loads; the CPU of *services* counts, and that of the process that hosts their agents."""
        pids = {service["name"]: service["pid"] for service in self.status() if service["pid"]}
        counted = tuple(pids[name] for name in services if name in pids)
        return Target(self.address, counted, self.root / "mail", self.root / "mailqueue", self.hosts())

    def metrics(self) -> str:
        """The numbers that the directory counts, as Prometheus reads them."""
        ports, _ = port_names(Places(self.root))
        port = json.loads(ports.read_text())["directory"]
        secret = (self.root / "run/directory/secret").read_text().strip()
        answer = httpx.get(f"http://127.0.0.1:{port}/metrics", headers={"X-Mailu-Secret": secret}, timeout=60)
        return answer.raise_for_status().text

    def hosts(self) -> tuple[int, ...]:
        """The processes that host the agents: those that the services are children of."""
        return tuple({parent(service["pid"]) for service in self.status() if service["pid"]})


def write_settings(stack: Stack, domain: str, **more: str) -> None:
    """Write the settings file of *stack*."""
    values = {
        "ROOT": str(stack.root),
        "SECRET_KEY": "benchmark0123456789",
        "DOMAIN": domain,
        "HOSTNAMES": f"mail.{domain}",
        "BIND_ADDRESS4": stack.address,
        "PORTS": "25,80,443,465,587,993,995,143,110,4190",
        "TLS_FLAVOR": "cert",
        "WEBMAIL": "none",
        "MESSAGE_RATELIMIT": "1000000/day",
        "RESOLVER": "system",
        **more,
    }
    stack.env_file.write_text("".join(f"{name}={value}\n" for name, value in values.items()))
    stack.env_file.chmod(0o600)


def open_directory(stack: Stack) -> Store:
    """The database of *stack*, brought up to date."""
    data = stack.root / "data"
    data.mkdir(parents=True, exist_ok=True)
    store = open_store(f"sqlite:///{data}/main.db")
    store.upgrade()
    return store


def fill(stack: Stack, users: Sequence[str], hashes: Sequence[str], *, aliases: int = 0) -> None:
    """Add mailboxes (addresses) with their password hashes, and some aliases, before the first start."""
    store = open_directory(stack)
    domains = sorted({user.partition("@")[2] for user in users})
    with store.session() as session:
        session.execute(insert(Domain), [{"name": domain} for domain in domains])
        session.execute(insert(User), [_row(user, hashed) for user, hashed in zip(users, hashes, strict=True)])
        if aliases:
            session.execute(insert(Alias), [_alias(number, domains[0], users[0]) for number in range(aliases)])
    store.close()
    owner = pwd.getpwnam("mailu")
    for path in [stack.root / "data", *(stack.root / "data").iterdir()]:
        os.chown(path, owner.pw_uid, owner.pw_gid)


def _row(user: str, hashed: str) -> dict[str, object]:
    localpart, _, domain = user.partition("@")
    return {"email": user, "localpart": localpart, "domain_name": domain, "password": hashed, "home": user}


def _alias(number: int, domain: str, destination: str) -> dict[str, object]:
    name = f"alias{number}"
    return {"email": f"{name}@{domain}", "localpart": name, "domain_name": domain, "destination": (destination,)}


@contextmanager
def prepared(root: Path, *, address: str, domain: str, **settings: str) -> Iterator[Stack]:
    """An empty root with its settings; stopped and removed at the end."""
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    root.chmod(0o755)
    stack = Stack(root, address)
    write_settings(stack, domain, **settings)
    try:
        yield stack
    finally:
        stack.down()
        shutil.rmtree(root, ignore_errors=True)
        stack.env_file.unlink(missing_ok=True)

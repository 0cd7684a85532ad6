"""Installing what Mailu needs on a Debian machine: packages, users, one kernel limit.

It starts no daemon of the distribution and leaves none enabled: Mailu runs the same programs itself, with its own
configuration. It refuses, before it changes anything, where another mail server runs.
"""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path

from mailu.deploy import machine
from mailu.deploy.dns_plugin import ensure_plugin
from mailu.deploy.leftovers import all_processes
from mailu.deploy.packages import Package, missing_packages
from mailu.settings import Settings

POLICY = Path("/usr/sbin/policy-rc.d")
POLICY_TEXT = "#!/bin/sh\n# Mailu is installing; it runs the daemons itself.\nexit 101\n"
PENDING = Path("/var/lib/mailu/units-to-disable")
INOTIFY = Path("/proc/sys/fs/inotify/max_user_instances")
INOTIFY_INSTANCES = 8192
SYSCTL_FILE = Path("/etc/sysctl.d/60-mailu.conf")
POSTFIX_ANSWERS = (
    "postfix postfix/main_mailer_type select No configuration\npostfix postfix/mailname string localhost\n"
)
ACCOUNTS = ("mailu", "vmail", "mailu-webmail", "mailu-webdav", "mailu-fetch", "mailu-scan")
MAIL_SERVERS = {
    "exim4": "Exim",
    "sendmail": "Sendmail",
    "sendmail-mta": "Sendmail",
    "opensmtpd": "OpenSMTPD",
    "courierd": "Courier",
    "maddy": "maddy",
    "stalwart-mail": "Stalwart",
}
"""By the name of the program (the process's own name may be anybody's: Postfix has an `smtpd` too)."""
APT = (
    "apt-get",
    "-y",
    "-q",
    "--no-install-recommends",
    "-o",
    "Dpkg::Use-Pty=0",
    "-o",
    "Dpkg::Options::=--force-confold",
)

Progress = Callable[[str], None]


class CannotInstall(Exception):
    """Nothing was, or no more will be, installed; one sentence says why."""


def require_root() -> None:
    """Raise CannotInstall for anybody but root."""
    if os.geteuid() != 0:
        raise CannotInstall("Mailu opens ports below 1024 and runs services as several users: run it as root.")


def install(settings: Settings, *, told: Progress, tests: bool = False) -> list[str]:
    """Bring the machine up to what *settings* need. Quick when nothing is missing.

    *told* gets a line for each step of some length. Returns warnings. Raises CannotInstall, UnknownSystem.
    """
    require_root()
    release = machine.debian_release()
    missing = missing_packages(settings, release, tests=tests)
    if missing:
        refuse_foreign_mail_server()
        install_packages(missing, told=told)
        still = missing_packages(settings, release, tests=tests)
        if still:
            names = ", ".join(package.name for package in still)
            raise CannotInstall(f"These packages were installed but their programs are not there: {names}.")
    ensure_accounts()
    return raise_inotify_limit() + ensure_plugin(settings, told=told)


# -- what is in the way


def refuse_foreign_mail_server() -> None:
    """Raise CannotInstall when a mail server runs here that is not ours: installing would replace or break it."""
    for facts in all_processes():
        product = _mail_server(facts.pid)
        if product is not None:
            raise CannotInstall(
                f"{product} already runs on this machine ({facts.name}, pid {facts.pid}); "
                "stop and remove it first, or install Mailu on another machine."
            )


def _mail_server(pid: int) -> str | None:
    """The product whose mail server process *pid* is, unless it is one of ours."""
    try:
        program = Path(f"/proc/{pid}/exe").readlink()
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return None
    return MAIL_SERVERS.get(program.name) or _distribution_daemon(program, arguments)


def _distribution_daemon(program: Path, arguments: Sequence[str]) -> str | None:
    """Postfix or Dovecot, run with the distribution's configuration in /etc; ours name their own folder."""
    products = {"/usr/lib/postfix/sbin/master": "Postfix", "/usr/sbin/dovecot": "Dovecot"}
    product = products.get(str(program))
    if product is None:
        return None
    configuration = [value for flag, value in pairwise(arguments) if flag == "-c"]
    if configuration and not configuration[0].startswith("/etc/"):
        return None
    return product


# -- packages


def install_packages(packages: Sequence[Package], *, told: Progress) -> None:
    """Install *packages* without starting any of their services, now or at the next boot. Raises CannotInstall."""
    if shutil.which("apt-get") is None:
        raise CannotInstall("apt-get is not there: this does not look like a Debian system.")
    _keep_for_later(unit for package in packages for unit in package.units)
    with _no_services_start():
        told("reading the package lists")
        _apt(["update"], told=told)
        if any(package.name == "debconf" for package in packages):
            _apt(["install", "debconf"], told=told)
        _answer_postfix()
        told(f"installing {len(packages)} packages: {', '.join(package.name for package in packages)}")
        _apt(["install", *(package.name for package in packages)], told=told)
    disable_units()


def _answer_postfix() -> None:
    """Postfix asks what to write into /etc; the answer is nothing, all of ours is below the root."""
    done = subprocess.run(
        ["debconf-set-selections"], input=POSTFIX_ANSWERS, text=True, capture_output=True, check=False
    )
    if done.returncode != 0:
        raise CannotInstall(f"debconf-set-selections failed: {done.stderr.strip()}")


def _apt(arguments: Sequence[str], *, told: Progress) -> None:
    """Run apt-get; its own progress (apt's README.progress-reporting) is told every tenth."""
    reader, writer = os.pipe()
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(
            [*APT, "-o", f"APT::Status-Fd={writer}", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"},
            pass_fds=(writer,),
        )
        os.close(writer)
        with os.fdopen(reader, encoding="utf-8", errors="replace") as stream:
            for line in _tenths(stream):
                told(line)
        if process.wait() != 0:
            said.seek(0)
            raise CannotInstall(f"apt-get {arguments[0]} failed: {_reason(said.read())}")


def _tenths(lines: Iterable[str]) -> Iterator[str]:
    told: dict[str, int] = {}
    for line in lines:
        kind, _, rest = line.partition(":")
        fields = rest.split(":")
        if kind not in ("dlstatus", "pmstatus") or len(fields) < 2:
            continue
        tenth = int(float(fields[1]) // 10) * 10
        if tenth > told.get(kind, 0):
            told[kind] = tenth
            yield f"{'downloaded' if kind == 'dlstatus' else 'installed'} {tenth} %"


def _reason(text: str) -> str:
    errors = [line for line in text.splitlines() if line.startswith("E:") or "error" in line.lower()]
    lines = errors or [line for line in text.splitlines() if line.strip()] or ["no reason was given"]
    return " / ".join(lines[-3:])


@contextlib.contextmanager
def _no_services_start() -> Iterator[None]:
    """Packages ask policy-rc.d before they start their service (invoke-rc.d(8)); while we install it says no."""
    if POLICY.exists():
        yield
        return
    POLICY.write_text(POLICY_TEXT, encoding="ascii")
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink(missing_ok=True)


def _keep_for_later(units: Iterator[str]) -> None:
    """Write down what to disable before installing: an installation that is interrupted is finished next time."""
    PENDING.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    known = PENDING.read_text(encoding="ascii").split() if PENDING.exists() else []
    PENDING.write_text("\n".join(dict.fromkeys([*known, *units])), encoding="ascii")


def disable_units() -> None:
    """Switch off, for every boot to come, the services of the packages that we installed."""
    units = PENDING.read_text(encoding="ascii").split() if PENDING.exists() else []
    if units and shutil.which("systemctl"):
        now = ["--now"] if machine.runs_systemd() else []
        for unit in units:
            machine.text_of(["systemctl", "disable", *now, unit])
    for unit in units:
        script = unit.removesuffix(".service")
        if Path("/etc/init.d", script).exists() and shutil.which("update-rc.d"):
            machine.text_of(["update-rc.d", script, "disable"])
    PENDING.unlink(missing_ok=True)


# -- users and limits


def ensure_accounts() -> None:
    """The system users that own state: `mailu` (control plane) and `vmail` (mail), each with its own group."""
    for account in ACCOUNTS:
        _ensure_group(account)
        _ensure_user(account)
    _ensure_member("mailu", "postdrop")


def _ensure_member(name: str, group: str) -> None:
    """Put *name* into *group*, where there is such a group: the pages hand Postfix mail as its own tools do."""
    try:
        members = grp.getgrnam(group).gr_mem
    except KeyError:
        return
    if name not in members:
        _must(["usermod", "--append", "--groups", group, name])


def _ensure_group(name: str) -> None:
    try:
        grp.getgrnam(name)
    except KeyError:
        _must(["groupadd", "--system", name])


def _ensure_user(name: str) -> None:
    try:
        pwd.getpwnam(name)
    except KeyError:
        shell = "/usr/sbin/nologin"
        _must(
            [
                "useradd",
                "--system",
                "--no-create-home",
                "--gid",
                name,
                "--home-dir",
                "/nonexistent",
                "--shell",
                shell,
                name,
            ]
        )


def _must(command: list[str]) -> None:
    code, text = machine.text_of(command)
    if code != 0:
        raise CannotInstall(f"{' '.join(command)} failed: {text}")


def raise_inotify_limit() -> list[str]:
    """Every IDLE session takes an inotify instance of the mail user; Linux allows 128.

    Returns a warning when it stays so.

    Source: inotify(7), /proc/sys/fs/inotify/max_user_instances.
    """
    try:
        before = int(INOTIFY.read_text(encoding="ascii"))
        if before < INOTIFY_INSTANCES:
            INOTIFY.write_text(str(INOTIFY_INSTANCES), encoding="ascii")
    except (OSError, ValueError) as error:
        return [
            f"fs.inotify.max_user_instances could not be raised to {INOTIFY_INSTANCES} ({error}): "
            "mail programs that wait for new mail (IDLE) will see it late when there are many of them"
        ]
    line = f"fs.inotify.max_user_instances = {INOTIFY_INSTANCES}\n"
    if not SYSCTL_FILE.exists() or SYSCTL_FILE.read_text(encoding="ascii") != line:
        with contextlib.suppress(OSError):
            SYSCTL_FILE.parent.mkdir(parents=True, exist_ok=True)
            SYSCTL_FILE.write_text(line, encoding="ascii")
    return []

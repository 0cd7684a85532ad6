"""What the tests of the daemons' rooms share: a request on a root of their own, golden files, real daemons.

Golden files are written anew with ``UPDATE_GOLDEN=1``; look at the difference before committing it.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from mailu.daemons.room import ConfigFile, Host, RenderRequest, Room
from mailu.deploy.generation import Generations, make_folder
from mailu.deploy.machine import debian_release, installed_versions
from mailu.places import Places
from mailu.settings import Settings, load_settings

GOLDEN = Path(__file__).parent / "golden"
GOLDEN_ROOT = Path("/mailu")

HOST = Host(
    debian=12,
    dovecot=(2, 3),
    postfix=(3, 7),
    rspamd=(3, 4),
    cpus=2,
    ipv6=True,
    resolver_validates=True,
    directory_port=21_001,
    directory_secret="directory-secret",
    resolver_port=21_002,
)
"""The machine of the golden files."""


def make_settings(root: Path = GOLDEN_ROOT, **variables: str) -> Settings:
    """Settings as an operator would have written them; variables in capitals."""
    written = {
        "SECRET_KEY": "SECRETKEYOFTESTS",
        "DOMAIN": "example.org",
        "HOSTNAMES": "mail.example.org,mx.example.org",
        "ROOT": str(root),
    }
    return load_settings(None, written | variables)


def make_request(
    variables: Mapping[str, str] | None = None,
    *,
    root: Path = GOLDEN_ROOT,
    service: str = "service",
    host: Host = HOST,
    overrides: Mapping[str, str] | None = None,
    certificates: Sequence[tuple[str, Path, Path]] = (),
) -> RenderRequest:
    """What the agent would hand to a room on *root* with *variables* in mailu.env."""
    places = Places(root)
    return RenderRequest(
        settings=make_settings(root, **(variables or {})),
        places=places,
        host=host,
        etc=places.service(service) / "etc",
        overrides=overrides or {},
        certificates=certificates,
    )


def compare_with_golden(name: str, files: Mapping[str, ConfigFile]) -> None:
    """Compare rendered files with ``tests/golden/<name>/``; each begins with a line that tells owner and mode."""
    folder = GOLDEN / name
    rendered = {path: f"# {file.owner}:{file.group} {file.mode:04o}\n{file.text}" for path, file in files.items()}
    if os.environ.get("UPDATE_GOLDEN"):
        shutil.rmtree(folder, ignore_errors=True)
        for path, text in rendered.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text, encoding="utf-8")
    golden = {
        path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8")
        for path in folder.rglob("*")
        if path.is_file()
    }
    assert sorted(rendered) == sorted(golden)
    for path, text in rendered.items():
        assert text == golden[path], f"{name}/{path} differs from its golden file"


@dataclass
class RunningDaemon:
    """A daemon that a test started."""

    request: RenderRequest
    process: subprocess.Popen[bytes]
    log: Path
    ready_seconds: float

    def said(self) -> str:
        """Everything it wrote to stdout and stderr."""
        return self.log.read_text(encoding="utf-8", errors="replace")


def install(room: Room, request: RenderRequest) -> None:
    """Make the room's folders and write its configuration, as the agent does."""
    for folder in (request.places.root, request.places.run):
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o755)
    for folder_wanted in room.folders(request):
        make_folder(folder_wanted)
    Generations(request.etc.parent).write(request.etc, room.render(request))


@contextmanager
def running(room: Room, request: RenderRequest, *, seconds: float = 60) -> Iterator[RunningDaemon]:
    """Install, check, start and wait for the daemon of *room*; end it with everything it started."""
    install(room, request)
    result = room.check(request)
    assert result.problems == (), result.problems
    log = request.places.run / f"{room.name}.log"
    user = room.user()
    started = time.monotonic()
    with log.open("wb") as stream:
        process = subprocess.Popen(
            room.command(request, request.etc),
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", **room.environment(request)},
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            user=user,
            group=user,
            extra_groups=[] if user else None,
        )
    try:
        _wait(room, request, process, log, started + seconds)
        yield RunningDaemon(request, process, log, time.monotonic() - started)
    finally:
        _end(process)


def _wait(room: Room, request: RenderRequest, process: subprocess.Popen[bytes], log: Path, until: float) -> None:
    while (reason := room.ready(request)) is not None:
        said = log.read_text(encoding="utf-8", errors="replace")[-3000:]
        assert process.poll() is None, f"{room.name} ended with {process.returncode}:\n{said}"
        assert time.monotonic() < until, f"{room.name} does not answer: {reason}\n{said}"
        time.sleep(0.05)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(10)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(10)


@contextmanager
def root_folder(builder: str) -> Iterator[Path]:
    """A root with a short path that every user may pass through: sockets below it have a limit of 107 bytes."""
    base = Path("/tmp") / builder
    base.mkdir(exist_ok=True)
    base.chmod(0o755)
    root = Path(tempfile.mkdtemp(prefix="r", dir=base))
    root.chmod(0o755)
    try:
        yield root
    finally:
        shutil.rmtree(root, ignore_errors=True)


def this_host(**changes: object) -> Host:
    """This machine, for tests that run its daemons."""
    versions = installed_versions()
    facts = {
        "debian": debian_release(),
        "dovecot": versions.dovecot,
        "postfix": versions.postfix,
        "rspamd": versions.rspamd,
        "cpus": 2,
        "ipv6": False,
        "resolver_validates": False,
        "directory_port": 0,
        "directory_secret": "directory-secret",
        "resolver_port": 0,
    }
    return Host(**(facts | changes))  # type: ignore[arg-type]

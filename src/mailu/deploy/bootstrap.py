"""The first steps of ``./mailu``, on a machine where only Python itself is there. Standard library only.

It makes a virtual environment of the locked libraries, sees to it that the services' users can read it and the source,
and goes on as ``python -m mailu.cli`` in it. When all that is done already it costs some milliseconds.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable

STATE = "/var/lib/mailu"
PYTHON_MINIMUM = (3, 11)


def main(checkout: str, arguments: list[str]) -> None:
    """Become the command line of the checkout at *checkout*. Does not return."""
    if sys.version_info < PYTHON_MINIMUM:
        fail(f"Mailu needs Python 3.11 or later; {sys.executable} is {sys.version.split()[0]}.")
    if os.geteuid() != 0:
        fail("Run ./mailu as root: it opens ports below 1024 and runs services as several users.")
    python = ensure_environment(os.path.join(checkout, "requirements.lock"), STATE)
    source = readable_source(os.path.join(checkout, "src"), STATE)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    environment.update(PYTHONPATH=source, PYTHONPYCACHEPREFIX=f"{STATE}/pycache", PYTHONSAFEPATH="1")
    # One heap for all threads of the agents: see deploy/python_room.py.
    environment.setdefault("MALLOC_ARENA_MAX", "1")
    os.execve(python, [python, "-m", "mailu.cli", *arguments], environment)  # noqa: S606


def fail(text: str) -> None:
    """Say why and end."""
    sys.stderr.write(f"mailu: {text}\n")
    sys.exit(1)


def say(text: str) -> None:
    """Progress of a long step."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def environment_name(lock: bytes, version: str) -> str:
    """The folder of the environment for these locked libraries under this Python; another lock gives another one."""
    return f"venv-{hashlib.sha256(lock + version.encode()).hexdigest()[:16]}"


def ensure_environment(lock_file: str, state: str) -> str:
    """The Python of the environment; made when it is not there. Ends the program, with the reason, when that fails."""
    with open(lock_file, "rb") as stream:
        lock = stream.read()
    folder = os.path.join(state, environment_name(lock, f"{sys.version_info[0]}.{sys.version_info[1]}"))
    python = os.path.join(folder, "bin", "python")
    if not os.path.exists(os.path.join(folder, ".complete")):
        make_environment(folder, lock_file, lock.count(b"=="))
    return python


def make_environment(folder: str, lock_file: str, count: int) -> None:
    """Make the environment; one that was interrupted half-way is thrown away first."""
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(os.path.dirname(folder), mode=0o755, exist_ok=True)
    say(f"mailu: making a Python environment in {folder} (once)")
    if run([sys.executable, "-m", "venv", folder])[0] != 0:
        # Debian keeps ensurepip in a package of its own; half an environment may be left.
        shutil.rmtree(folder, ignore_errors=True)
        install_venv_package()
        must([sys.executable, "-m", "venv", folder], "the Python environment cannot be made")
    install_libraries(os.path.join(folder, "bin", "python"), lock_file, count)
    with open(os.path.join(folder, ".complete"), "w"):
        pass


def install_venv_package() -> None:
    """Install python3-venv (it brings ensurepip)."""
    if shutil.which("apt-get") is None:
        fail("python3-venv is missing and this is not a Debian system.")
    say("mailu: installing python3-venv")
    must(["apt-get", "-q", "update"], "apt-get update failed")
    must(
        ["apt-get", "-y", "-q", "--no-install-recommends", "install", "python3-venv"],
        "python3-venv cannot be installed",
    )


def install_libraries(python: str, lock_file: str, count: int) -> None:
    """Install what is locked, with a line whenever another ten libraries are there."""
    command = [
        python,
        "-m",
        "pip",
        "install",
        "--disable-pip-version-check",
        "--no-input",
        "--no-deps",
        "-r",
        lock_file,
    ]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    say(f"mailu: fetching {count} libraries")
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment
    ) as process:
        last = tell_progress(process.stdout or (), count)
    if process.returncode != 0:
        fail("the libraries cannot be installed:\n" + "\n".join(last))


def tell_progress(lines: Iterable[bytes], count: int) -> list[str]:
    """Read what pip says, tell how far it is, and give back its last words."""
    seen = 0
    last: list[str] = []
    for raw in lines:
        line = raw.decode(errors="replace").rstrip()
        last = [*last[-10:], line]
        if line.startswith("Collecting"):
            seen += 1
            if seen % 10 == 0:
                say(f"mailu: {seen} of {count}")
        elif line.startswith("Installing collected"):
            say("mailu: unpacking them")
    return last


def run(command: list[str]) -> tuple[int, str]:
    """Run a program without input; its return code and words."""
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    return done.returncode, done.stdout.decode(errors="replace").strip()


def must(command: list[str], complaint: str) -> None:
    """Run a program or end."""
    code, text = run(command)
    if code != 0:
        fail(f"{complaint}:\n{text}")


def readable_source(source: str, state: str) -> str:
    """The folder of the source that every user can read: *source* itself, or a copy when a folder above is closed.

    A checkout below /root is closed (0700), and the services do not run as root.
    """
    if is_open(source):
        return source
    files = sorted(source_files(source))
    digest = hashlib.sha256(repr([(name, stamp(os.path.join(source, name))) for name in files]).encode()).hexdigest()
    copy = os.path.join(state, f"src-{digest[:16]}")
    if not os.path.isdir(copy):
        copy_files(source, files, copy)
        drop_old_copies(state, keep=copy)
    return copy


def is_open(path: str) -> bool:
    """Whether others may enter every folder from the root down to *path*, and read it."""
    if os.stat(path).st_mode & 0o005 != 0o005:
        return False
    while path != "/":
        path = os.path.dirname(path)
        if not os.stat(path).st_mode & 0o001:
            return False
    return True


def source_files(source: str) -> list[str]:
    """Every file of the source, relative, without compiled ones."""
    found = []
    for folder, folders, names in os.walk(source):
        folders[:] = [name for name in folders if name != "__pycache__" and not name.endswith(".egg-info")]
        found += [os.path.relpath(os.path.join(folder, name), source) for name in names]
    return found


def stamp(path: str) -> tuple[int, int]:
    """Changes when the file does."""
    facts = os.stat(path)
    return facts.st_mtime_ns, facts.st_size


def copy_files(source: str, files: list[str], copy: str) -> None:
    """Copy *files* so that all can read them; the folder appears at once or not at all."""
    scratch = f"{copy}.{os.getpid()}"
    for name in files:
        target = os.path.join(scratch, name)
        os.makedirs(os.path.dirname(target), mode=0o755, exist_ok=True)
        shutil.copyfile(os.path.join(source, name), target)
        os.chmod(target, 0o644)
    try:
        os.rename(scratch, copy)
    except OSError:  # another start made the same copy meanwhile
        shutil.rmtree(scratch, ignore_errors=True)


def drop_old_copies(state: str, keep: str, kept: int = 3) -> None:
    """Keep the newest copies: services of other roots may run from the ones before."""
    copies = [os.path.join(state, name) for name in os.listdir(state) if name.startswith("src-")]
    copies.sort(key=os.path.getmtime, reverse=True)
    for path in copies[kept:]:
        if path != keep:
            shutil.rmtree(path, ignore_errors=True)


if __name__ == "__main__":
    os.umask(0o022)
    main(sys.argv[1], sys.argv[2:])

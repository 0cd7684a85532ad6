"""What the commands of ``service_commands`` do. Apart from them, so that other commands need not import all this."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import NoReturn

import typer

from mailu.cli.surroundings import Surroundings
from mailu.deploy import installer, native, trial
from mailu.deploy.control import ControlError, NotRunning
from mailu.deploy.ground import Unsuitable
from mailu.deploy.hosting import AlreadyRunning
from mailu.deploy.installer import CannotInstall
from mailu.deploy.log_reader import LogLine, follow, last_lines, log_files
from mailu.deploy.machine import UnknownSystem
from mailu.deploy.native import NotReady, Overview
from mailu.deploy.ports import PortTaken
from mailu.deploy.process import StartError
from mailu.deploy.services import UnknownService
from mailu.deploy.source import DEFAULT_ROOT, Source
from mailu.places import Places
from mailu.settings import Settings, SettingsError

_REFUSALS = (AlreadyRunning, CannotInstall, PortTaken, StartError, UnknownService, UnknownSystem, Unsuitable)


def up(around: Surroundings, *, detach: bool) -> None:
    """Install, start, and say where to go. Without any settings a trial is made first."""
    made = _trial_if_nothing_is_set(around)
    source = around.source
    settings = _load(source)
    _install(settings)
    try:
        if detach:
            overview = native.host_detached(source, settings, told=_tell)
            _tell_arrival(settings, source, overview, made)
            return
        _tell_arrival(settings, source, None, made)
        raise typer.Exit(native.host(source, settings, stream=sys.stdout.buffer))
    except (*_REFUSALS, NotReady) as error:
        _fail(str(error))


def run(around: Surroundings, service: str) -> None:
    """One service in the foreground."""
    source = around.source
    settings = _load(source)
    try:
        raise typer.Exit(native.host(source, settings, only=service, stream=sys.stdout.buffer))
    except _REFUSALS as error:
        _fail(str(error))


def down(around: Surroundings) -> None:
    """Stop what runs."""
    places = _places(around)
    try:
        pids, leftovers = native.down(places)
    except TimeoutError as error:
        _fail(str(error))
    for sentence in leftovers:
        _tell(sentence)
    _tell(f"Mailu at {places.root} is stopped." if pids else f"Mailu does not run at {places.root}.")


def status(around: Surroundings, *, as_json: bool) -> None:
    """Show the services."""
    overview = native.overview(_places(around))
    if as_json:
        typer.echo(json.dumps(overview.to_json(), indent=2))
    else:
        _print_overview(overview)
    if not overview.ready:
        raise typer.Exit(1)


def logs(around: Surroundings, service: str | None, *, followed: bool, lines: int) -> None:
    """Show log lines."""
    folder = _places(around).logs
    files = log_files(folder, service)
    if not files and not followed:
        _fail(f"There is no log of {service or 'any service'} in {folder}.")
    try:
        for line in last_lines(files, lines):
            _print_line(line)
        if followed:
            for line in follow(folder, service):
                _print_line(line)
    except (BrokenPipeError, KeyboardInterrupt):
        # The reader has seen enough; Python would complain when it flushes a closed pipe at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def apply(around: Surroundings) -> None:
    """Have the agents read everything again."""
    try:
        changes, problems = native.apply(_places(around))
    except (NotRunning, ControlError, TimeoutError) as error:
        _fail(str(error))
    for problem in problems:
        typer.echo(f"settings: rejected: {problem}")
    for change in changes:
        reasons = f": {'; '.join(change['reasons'])}" if change["reasons"] else ""
        typer.echo(f"{change['service']}: {change['outcome']}{reasons}")
    if problems or any(change["outcome"] == "rejected" for change in changes):
        raise typer.Exit(1)


def install(around: Surroundings, *, tests: bool) -> None:
    """Install and start nothing."""
    source = around.source
    _install(_load(source) if source.file or source.environ.get("DOMAIN") else _any_settings(), tests=tests)
    _tell("Everything that is needed is installed.")


# -- what the commands share


def _load(source: Source) -> Settings:
    try:
        return source.load()
    except SettingsError as error:
        where = f" in {source.file}" if source.file else ""
        _fail(f"The settings{where} cannot be used:\n" + "\n".join(f"  {problem}" for problem in error.problems))


def _any_settings() -> Settings:
    """Defaults, for `install` before there are settings."""
    return Source(None, {"DOMAIN": str(trial.TRIAL_DOMAIN), "SECRET_KEY": "not used by the installer"}).load()


def _places(around: Surroundings) -> Places:
    """The root that a command is about. Settings that cannot be used must not keep anybody from stopping or looking."""
    source = around.source
    try:
        return Places(source.load().root)
    except SettingsError as error:
        root = _root_in(source)
        if root is None:
            _fail("\n".join(error.problems))
        return Places(root)


def _root_in(source: Source) -> Path | None:
    if source.environ.get("ROOT"):
        return Path(source.environ["ROOT"])
    if source.file is None:
        return DEFAULT_ROOT
    try:
        lines = source.file.read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    found = [line.partition("=")[2].strip("\"' ") for line in lines if line.startswith("ROOT=")]
    return Path(found[-1]) if found else DEFAULT_ROOT


def _install(settings: Settings, *, tests: bool = False) -> None:
    try:
        for warning in installer.install(settings, told=_tell, tests=tests):
            _tell(f"warning: {warning}")
    except (CannotInstall, UnknownSystem) as error:
        _fail(str(error))


def _trial_if_nothing_is_set(around: Surroundings) -> trial.Trial | None:
    if around.source.file is not None or around.effective_environ.get("DOMAIN"):
        return None
    try:
        installer.require_root()
        made = trial.make_trial(around.effective_environ)
        del around.source  # it is there now
        return made
    except (CannotInstall, OSError) as error:
        _fail(str(error))


def _tell_arrival(settings: Settings, source: Source, overview: Overview | None, made: trial.Trial | None) -> None:
    scheme = "http" if settings.web_is_plain else "https"
    address = settings.bind_address4 if settings.bind_address4 not in ("", "0.0.0.0") else settings.hostname  # noqa: S104
    if overview is not None:
        _tell("Mailu is up.")
    _tell(f"  web       {scheme}://{address}{settings.web_admin}")
    _tell(f"  settings  {source.file or 'the environment'}")
    if made is not None:
        _tell(f"  log in as {made.login}")
        _tell(f"  password  {made.password}   (shown once; it is INITIAL_ADMIN_PW in {made.file})")
    for warning in overview.warnings if overview else []:
        _tell(f"  warning: {warning}")


def _print_overview(overview: Overview) -> None:
    if not overview.running:
        typer.echo(f"Mailu does not run at {overview.root}.")
        return
    for item in overview.services:
        pid = f"pid {item['pid']}" if item["pid"] else ""
        typer.echo(f"{item['name']:<12} {item['state']:<10} {pid:<12} {item['reason']}".rstrip())
        for text in (*item["problems"], *item["notes"]):
            typer.echo(f"{'':<12} {text}")
    for problem in overview.settings_problems:
        typer.echo(f"settings not used: {problem}")
    for warning in overview.warnings:
        typer.echo(f"warning: {warning}")


def _print_line(line: LogLine) -> None:
    sys.stdout.write(f"{line.moment} {line.service:<10} {line.text}\n")
    sys.stdout.flush()


def _tell(text: str) -> None:
    typer.echo(text)
    sys.stdout.flush()


def _fail(text: str) -> NoReturn:
    typer.echo(f"mailu: {text}", err=True)
    raise typer.Exit(1)

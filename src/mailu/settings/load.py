"""From a file and an environment to ``Settings``: merge, translate, parse, and check what only fits together.

Everything that is wrong is collected and reported at once.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mailu.settings import legacy
from mailu.settings.envfile import EnvFile, read_env_file
from mailu.settings.fields import Variable
from mailu.settings.model import BY_NAME, VARIABLES, Settings

_MIN_SECRET_KEY = 16
_EXAMPLE_SECRET_KEYS = frozenset({"changeme", "changemechangeme"})
_MAX_SHOWN = 60
_NEAR = 0.75
_VERY_NEAR = 0.88
_NOT_MISSPELT = frozenset({"HOSTNAME"})
"""Names that every environment has and that are near one of ours."""


class SettingsError(Exception):
    """The settings cannot be used. ``problems`` holds one sentence for each thing that is wrong."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True)
class Loaded:
    """Settings, and where each value came from: ``mailu.env line 3``, ``environment``, ``/run/secrets/key``."""

    settings: Settings
    sources: dict[str, str]


@dataclass
class _Work:
    """What is known while loading."""

    values: dict[str, str] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def where(self, name: str) -> str:
        """Where *name* comes from, as a prefix of a sentence."""
        source = self.sources.get(name)
        return f"{source}: " if source else ""


def load_settings(env_file: Path | None, environ: Mapping[str, str]) -> Settings:
    """Load from *env_file* (None: there is none) and *environ*. Raises SettingsError with everything that is wrong."""
    return load(env_file, environ).settings


def load(env_file: Path | None, environ: Mapping[str, str]) -> Loaded:
    """The same, with where each value came from.

    A variable in the environment beats the file, as in Compose; ``NAME_FILE`` (the path of a file that holds the
    value) beats ``NAME``; an empty value is the same as none. Names in the file that are not known are reported with
    the nearest known one. An environment is full of names that are not ours, so there only a near miss is reported,
    and only when there is no file.
    """
    work = _Work()
    if env_file is None:
        _report_misspelt(work, environ)
    else:
        _take_file(work, env_file)
    _take_environment(work, environ)
    from_file = _take_contents_of_files(work)
    work.values, notes = legacy.translate(work.values)
    work.warnings += notes
    parsed = _parse_all(work)
    _fill_in(work, parsed)
    _check_together(work, parsed)
    if work.problems:
        raise SettingsError(work.problems)
    settings = Settings(**parsed, secret_key_from_file="SECRET_KEY" in from_file, warnings=tuple(work.warnings))
    return Loaded(settings, {name: work.sources.get(name, "translated") for name in work.values if name in BY_NAME})


# Gathering


def _take_file(work: _Work, path: Path) -> None:
    try:
        content = read_env_file(path)
    except OSError as error:
        work.problems.append(f"{path}: cannot be read: {error.strerror}")
        return
    work.problems += [f"{path.name} {problem}" for problem in content.problems]
    work.warnings += [f"{path.name} {warning}" for warning in content.warnings]
    _report_unknown(work, path, content)
    for name, entry in content.entries.items():
        work.values[name] = entry.value
        work.sources[name] = f"{path.name} line {entry.line}"


def _report_unknown(work: _Work, path: Path, content: EnvFile) -> None:
    for name, entry in content.entries.items():
        if not _is_known(name):
            near = nearest(name)
            hint = f"; did you mean {near}?" if near else ""
            work.warnings.append(f"{path.name} line {entry.line}: {name} is not a setting{hint}")


def _report_misspelt(work: _Work, environ: Mapping[str, str]) -> None:
    for name in environ:
        if not _is_known(name) and name not in _NOT_MISSPELT and (near := nearest(name, cutoff=_VERY_NEAR)):
            work.warnings.append(f"environment: {name} is not a setting; did you mean {near}?")


def _is_known(name: str) -> bool:
    """Whether *name* is a variable, an old one, the ``_FILE`` form of either, or one of our own processes' names."""
    return any(each in BY_NAME or each in legacy.KNOWN for each in (name, name.removesuffix("_FILE"))) or (
        name.startswith("MAILU_")
    )


def nearest(name: str, *, cutoff: float = _NEAR) -> str | None:
    """The known name that is most like *name*, or None when none is like it."""
    known = [*BY_NAME, *legacy.KNOWN, *(f"{variable.name}_FILE" for variable in VARIABLES if variable.secret)]
    return next(iter(difflib.get_close_matches(name.upper(), known, n=1, cutoff=cutoff)), None)


def _take_environment(work: _Work, environ: Mapping[str, str]) -> None:
    for name, value in environ.items():
        if not value or not _is_known(name) or name in legacy.GENERIC:
            continue
        if work.values.get(name, value) != value and work.values[name]:
            work.warnings.append(f"{work.sources[name]}: {name} is something else in the environment, which holds")
        work.values[name] = value
        work.sources[name] = "environment"


def _take_contents_of_files(work: _Work) -> set[str]:
    """Replace each ``NAME_FILE`` by the content of that file, without white space around it. Return the NAMEs."""
    taken: set[str] = set()
    for file_name in [name for name in work.values if name.endswith("_FILE") and name not in legacy.KNOWN]:
        name = file_name.removesuffix("_FILE")
        path = work.values.pop(file_name).strip()
        if not path or not (name in BY_NAME or name in legacy.KNOWN):
            continue
        try:
            work.values[name] = Path(path).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
            work.problems.append(f"{work.where(file_name)}{file_name}={path}: cannot be read: {reason}")
            continue
        work.sources[name] = path
        taken.add(name)
    return taken


# Parsing


def _parse_all(work: _Work) -> dict[str, Any]:
    """Parse what was given. An empty value is the default; what cannot be parsed becomes a problem."""
    parsed: dict[str, Any] = {}
    for variable in VARIABLES:
        given = work.values.get(variable.name, "")
        if not given.strip():
            work.values.pop(variable.name, None)
            continue
        try:
            parsed[variable.attribute] = variable.kind.parse(given)
        except ValueError as error:
            work.problems.append(work.where(variable.name) + explain(variable, given, error))
    return parsed


def explain(variable: Variable, given: str, error: ValueError) -> str:
    """A sentence that names the variable, the value, what is wrong with it and the form that was expected."""
    if variable.secret:
        return f"{variable.name}: the value is not usable; expected {variable.kind.form}"
    value = given if len(given) <= _MAX_SHOWN else given[:_MAX_SHOWN] + "…"
    return f"{variable.name}={value}: {error}; expected {variable.kind.form}"


def _fill_in(work: _Work, parsed: dict[str, Any]) -> None:
    """Work out what was not given and follows from something else."""
    failed = {variable.name for variable in VARIABLES if variable.name in work.values} - {
        name.upper() for name in parsed
    }
    if "domain" not in parsed and "DOMAIN" not in failed:
        work.problems.append("DOMAIN is not set; expected the main mail domain, such as example.com")
    if not parsed.get("hostnames") and "HOSTNAMES" not in failed and "domain" in parsed:
        parsed["hostnames"] = BY_NAME["HOSTNAMES"].kind.parse(f"mail.{parsed['domain']}")
        work.warnings.append(f"HOSTNAMES is not set; mail.{parsed['domain']} is assumed")
    if "bind_address6" not in parsed and parsed.get("bind_address4", "") not in {"", "0.0.0.0"}:  # noqa: S104
        parsed["bind_address6"] = ""


# What fits together


def _check_together(work: _Work, parsed: dict[str, Any]) -> None:
    for check in _CHECKS:
        check(work, parsed)


def _secret_key(work: _Work, parsed: dict[str, Any]) -> None:
    key = parsed.get("secret_key", "")
    if not key:
        work.problems.append(f"SECRET_KEY is not set; expected at least {_MIN_SECRET_KEY} random characters")
    elif key.lower() in _EXAMPLE_SECRET_KEYS:
        work.problems.append(f"SECRET_KEY is the one of the example; expected {_MIN_SECRET_KEY} random characters")
    elif len(key) < _MIN_SECRET_KEY:
        work.warnings.append(f"SECRET_KEY is short; at least {_MIN_SECRET_KEY} random characters are advised")


def _initial_admin(work: _Work, parsed: dict[str, Any]) -> None:
    names = ("INITIAL_ADMIN_ACCOUNT", "INITIAL_ADMIN_DOMAIN", "INITIAL_ADMIN_PW")
    missing = [name for name in names if not parsed.get(name.lower())]
    if missing and len(missing) < len(names):
        work.warnings.append(f"no first administrator is made: {' and '.join(missing)} must be set too")


def _proxies(work: _Work, parsed: dict[str, Any]) -> None:
    if parsed.get("proxy_protocol") and not parsed.get("real_ip_from"):
        work.problems.append("PROXY_PROTOCOL needs REAL_IP_FROM: the addresses of the load balancer")
    if parsed.get("real_ip_header") and not parsed.get("real_ip_from"):
        work.warnings.append("REAL_IP_HEADER has no effect without REAL_IP_FROM, the addresses of the proxies")
    if parsed.get("proxy_protocol", frozenset()) & {80, 443} and parsed.get("real_ip_header"):
        work.problems.append("REAL_IP_HEADER and PROXY_PROTOCOL on a web port exclude each other; leave one empty")


def _paths(work: _Work, parsed: dict[str, Any]) -> None:
    names = ("web_admin", "web_webmail", "web_api")
    chosen = {name: parsed.get(name, BY_NAME[name.upper()].default) for name in names}
    for name in ("web_admin", "web_api"):
        if chosen[name] == "/":
            work.problems.append(f"{name.upper()}=/: only WEB_WEBMAIL can be /; expected a path such as /admin")
    if len(set(chosen.values())) < len(names):
        work.problems.append("WEB_ADMIN, WEB_WEBMAIL and WEB_API must be three different paths")


def _relay_login(work: _Work, parsed: dict[str, Any]) -> None:
    if bool(parsed.get("relayuser")) != bool(parsed.get("relaypassword")):
        work.problems.append("RELAYUSER and RELAYPASSWORD must be given together")
    if parsed.get("relayuser") and not parsed.get("relayhost"):
        work.warnings.append("RELAYUSER has no effect without RELAYHOST")


def _scores(work: _Work, parsed: dict[str, Any]) -> None:
    names = ("GREYLIST_SCORE", "ADD_HEADER_SCORE", "REJECT_SCORE")
    chosen = [parsed.get(name.lower(), float(BY_NAME[name].default or 0)) for name in names]
    if chosen != sorted(chosen):
        work.problems.append("GREYLIST_SCORE, ADD_HEADER_SCORE and REJECT_SCORE must not decrease in this order")


def _needs(work: _Work, parsed: dict[str, Any]) -> None:
    if parsed.get("api") and not parsed.get("api_token"):
        work.warnings.append("API is on without API_TOKEN: only tokens made in the administration can use it")
    if parsed.get("full_text_search_attachments") and not parsed.get("fts_attachments_address"):
        work.warnings.append("FULL_TEXT_SEARCH_ATTACHMENTS needs FTS_ATTACHMENTS_ADDRESS; attachments are not indexed")
    if parsed.get("relaynets") and any(network.prefixlen == 0 for network in parsed["relaynets"]):
        work.problems.append("RELAYNETS holds a network of all addresses, which is an open relay")


_CHECKS: tuple[Callable[[_Work, dict[str, Any]], None], ...] = (
    _secret_key, _initial_admin, _proxies, _paths, _relay_login, _scores, _needs,
)  # fmt: skip

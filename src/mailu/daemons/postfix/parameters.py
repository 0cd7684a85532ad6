"""The operator's ``postfix.cf``: parameters of main.cf, one ``name = value`` a line, put over ours."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from mailu.daemons.room import OverrideError

SOURCE = "overrides/postfix/postfix.cf"

PROTECTED = {
    "queue_directory": "the queue belongs to the state root",
    "data_directory": "it belongs to the state root",
    "config_directory": "it is a new folder each time",
    "command_directory": "the package says where its programs are",
    "daemon_directory": "the package says where its programs are",
    "meta_directory": "the package says where its files are",
    "shlib_directory": "the package says where its files are",
    "mail_owner": "the queue belongs to that user",
    "setgid_group": "the queue belongs to that group",
    "maillog_file": "the agent reads the log",
    "multi_instance_enable": "there is one instance a root",
    "multi_instance_directories": "there is one instance a root",
    "compatibility_level": "the configuration is written for one level",
    "myhostname": "it is the first of HOSTNAMES, for all services",
    "directory": "sockets belong to the state root",
}

_PARAMETER = re.compile(r"([A-Za-z0-9_]+)\s*=\s*(.*)", re.DOTALL)
_NAME = re.compile(r"([A-Za-z0-9_]+)\s*=")
_TABLE = re.compile(r"(?:\b(hash|btree|lmdb|cdb|dbm):)?/etc/postfix/([A-Za-z0-9._-]+\.map)(?![\w.])")


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter that the operator sets, and the line of the file that it begins on."""

    name: str
    value: str
    line: int


def parse(text: str, tables: Collection[str] = ()) -> list[Parameter]:
    """Read a ``postfix.cf``: postconf(5)'s form, with comments, empty lines and continuation lines.

    Of a parameter that is there twice the last counts. ``/etc/postfix/NAME.map``, where such files once stood, means
    the compiled table when NAME.map is one of *tables*. Raises OverrideError with the line for anything else.
    """
    found: dict[str, Parameter] = {}
    for number, line in _logical_lines(text):
        match = _PARAMETER.fullmatch(line)
        if match is None:
            raise OverrideError(f"{SOURCE} line {number}: {line!r} is not a parameter; expected name = value")
        name, value = match[1], _own_tables(match[2].strip(), tables)
        if name in PROTECTED:
            raise OverrideError(f"{SOURCE} line {number}: {name} cannot be set here: {PROTECTED[name]}")
        found[name] = Parameter(name, value, number)
    return list(found.values())


def apply(main_cf: str, parameters: Sequence[Parameter]) -> str:
    """Return *main_cf* with *parameters* at its end; ours of those names stay as comments: each may be there once."""
    if not parameters:
        return main_cf
    names = {parameter.name for parameter in parameters}
    lines, replaced = [], False
    for line in main_cf.splitlines():
        if not line.startswith((" ", "\t", "#")):
            match = _NAME.match(line)
            replaced = match is not None and match[1] in names
        lines.append(f"# (overridden below) {line}" if replaced and line.strip() else line)
    lines += ["", f"# From {SOURCE}", *(f"{parameter.name} = {parameter.value}" for parameter in parameters)]
    return "\n".join(lines) + "\n"


def _logical_lines(text: str) -> list[tuple[int, str]]:
    """Lines with their continuation lines (those that begin with a blank) joined, and the number of the first."""
    logical: list[tuple[int, str]] = []
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        if line[0] in " \t" and logical:
            first, before = logical[-1]
            logical[-1] = (first, f"{before} {stripped}")
        else:
            logical.append((number, stripped))
    return logical


def _own_tables(value: str, tables: Collection[str]) -> str:
    def own(match: re.Match[str]) -> str:
        if match[2] not in tables:
            return match[0]
        return f"{'lmdb:' if match[1] else ''}$config_directory/{match[2]}"

    return _TABLE.sub(own, value)

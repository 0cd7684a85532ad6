"""``mailu.env``: every line kept, translated or explained, and written so that its operator knows it again.

What belongs to a place (where it listens, where its root and its other services are) is the new place's business.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from mailu.settings import BY_NAME, legacy
from mailu.settings.envfile import Entry, EnvFile, parse_env, quote_value
from mailu.settings.load import explain, nearest

PLACE = {
    "ROOT": "the new root holds",
    "BIND_ADDRESS4": "where to listen is said at the new place; without a word it is everywhere",
    "BIND_ADDRESS6": "where to listen is said at the new place; without a word it is everywhere",
    "LOG_DRIVER": "logs are in ROOT/run/log",
    "SQLALCHEMY_DATABASE_URI": "the rows are taken over into the database of the new place",
    "RATELIMIT_STORAGE_URL": "the new place has its own Redis",
    "SESSION_STORAGE_URL": "the new place has its own Redis",
    **{
        name: "services of one machine find each other; set it when this one runs elsewhere"
        for name in BY_NAME
        if name.endswith("_ADDRESS")
    },
}
"""Variables that are not taken over, and why."""

EARLIER_DEFAULTS = {
    "RECIPIENT_DELIMITER": "none",
    "ADMIN": "false",
    "WEBMAIL": "none",
    "FETCHMAIL_ENABLED": "true",
}
"""What held when nothing was said, where something else holds today."""

EARLIER_WORDS = {
    "REJECT_UNLISTED_RECIPIENT": "was no and is true: recipients of ours that do not exist are refused at once",
}
"""Defaults that have changed for the better, and are not written down as they were."""

_LINE = re.compile(r"[ \t]*(?:export[ \t]+)?(?P<name>[A-Za-z_][A-Za-z0-9_.-]*)[ \t]*=")


@dataclass(slots=True)
class Line:
    """What becomes of one variable."""

    name: str
    outcome: str
    """``kept``, ``translated``, ``explained`` or ``refused``."""
    text: str
    variables: dict[str, str] = field(default_factory=dict)
    """What is written for it."""


def account_for(env: EnvFile) -> list[Line]:
    """Say of each variable of *env* what becomes of it, then what is added because defaults have changed."""
    values = env.values
    translated, _notes = legacy.translate(values)
    lines = [_line(entry, values, translated) for entry in env.entries.values()]
    written = {name for line in lines for name in line.variables}
    for name, value in translated.items():
        if name in BY_NAME and name not in written and name not in PLACE and not values.get(name) and value.strip():
            _give_to_origin(lines, name, value)
    return [*lines, *_earlier_defaults(values)]


def _give_to_origin(lines: list[Line], name: str, value: str) -> None:
    """A variable that is not in the file stands for others that are; the first that became it gets it."""
    for line in lines:
        if name in line.text:
            line.variables[name] = value
            line.outcome = "translated"
            return
    lines.append(Line(name, "translated", f"it follows from other lines: {name}={shown(name, value)}", {name: value}))


def _line(entry: Entry, values: Mapping[str, str], translated: Mapping[str, str]) -> Line:
    name, value = entry.name, entry.value
    where = f"line {entry.line}"
    base = name.removesuffix("_FILE")
    if name in legacy.NO_EFFECT:
        return Line(name, "explained", f"{where}: it has no effect any more: {legacy.NO_EFFECT[name]}")
    if name in legacy.RENAMED:
        return _renamed(name, legacy.RENAMED[name], where, values, translated)
    if name in legacy.CONSUMED:
        return _consumed(name, where, translated)
    if base in PLACE:
        return Line(name, "explained", f"{where}: not taken: {PLACE[base]}")
    if base not in BY_NAME:
        near = nearest(name)
        hint = f"; did you mean {near}?" if near else ""
        return Line(name, "explained", f"{where}: this is not a setting, and never had an effect{hint}")
    if not value.strip():
        return _empty(name, where)
    if name not in BY_NAME:
        return Line(name, "kept", f"{where}: read from {value}, which has to be there", {name: value})
    return _value(name, value, where, translated)


def _renamed(name: str, today: str, where: str, values: Mapping[str, str], translated: Mapping[str, str]) -> Line:
    if today in PLACE:
        return Line(name, "explained", f"{where}: not taken ({today} now): {PLACE[today]}")
    if values.get(today) or not values[name].strip():
        return Line(name, "explained", f"{where}: {today} is its name now, and holds")
    value = translated[today]
    return Line(name, "translated", f"{where}: {today}={shown(today, value)}", {today: value})


def _consumed(name: str, where: str, translated: Mapping[str, str]) -> Line:
    if name == "ENABLE_CERTBOT":
        return Line(name, "explained", f"{where}: TLS_FLAVOR={translated.get('TLS_FLAVOR', 'cert')} says it")
    if name.startswith("ROUNDCUBE_"):
        return Line(name, "explained", f"{where}: SQLALCHEMY_DATABASE_URI_ROUNDCUBE says it in one line")
    return Line(name, "explained", f"{where}: not taken: {PLACE['SQLALCHEMY_DATABASE_URI']}")


def _empty(name: str, where: str) -> Line:
    if name in EARLIER_DEFAULTS:
        value = EARLIER_DEFAULTS[name]
        return Line(name, "translated", f"{where}: empty, which meant {value}", {name: value})
    if name in EARLIER_WORDS:
        return Line(name, "kept", f"{where}: empty, so the default holds, which {EARLIER_WORDS[name]}", {name: ""})
    return Line(name, "kept", f"{where}: empty, so the default holds", {name: ""})


def _value(name: str, value: str, where: str, translated: Mapping[str, str]) -> Line:
    today = translated.get(name)
    if today is None:
        return Line(name, "explained", f"{where}: {name}={value} has no effect: the filter is always on")
    variable = BY_NAME[name]
    try:
        parsed = variable.kind.parse(today)
    except ValueError as error:
        text = f"{where}: {explain(variable, today, error)}; put it right in a copy, and give that with --settings"
        return Line(name, "refused", text)
    text = f"{where}: kept"
    if name == "SQLALCHEMY_DATABASE_URI_ROUNDCUBE":
        return _roundcube(where, today)
    if today != value:
        return Line(name, "translated", f"{where}: {name}={shown(name, today)}", {name: today})
    canonical = variable.kind.show(parsed)
    if name in _OTHER_WORDS and canonical and canonical.lower() != value.strip().lower():
        return Line(name, "translated", f"{where}: {name}={shown(name, canonical)}", {name: canonical})
    return Line(name, "kept", text, {name: value})


_OTHER_WORDS = frozenset({"WEBMAIL", "TLS_FLAVOR"})
"""Variables of which some old values mean something else today."""


def _roundcube(where: str, value: str) -> Line:
    name = "SQLALCHEMY_DATABASE_URI_ROUNDCUBE"
    if value.startswith("sqlite"):
        return Line(name, "explained", f"{where}: the file is taken over to ROOT/webmail/roundcube.db, the default")
    text = (
        f"{where}: kept: the webmail goes on with that database itself. Two webmails must not use it at a time; for a "
        "trial give it a copy"
    )
    return Line(name, "kept", text, {name: value})


def _earlier_defaults(values: Mapping[str, str]) -> list[Line]:
    return [
        Line(name, "translated", f"not given, which meant {value}", {name: value})
        for name, value in EARLIER_DEFAULTS.items()
        if name not in values
    ]


def shown(name: str, value: str) -> str:
    """A value for people: without secrets."""
    return "<hidden>" if name in BY_NAME and BY_NAME[name].secret else value


# Writing


def first_text(source: str, lines: list[Line], more: Mapping[str, str]) -> str:
    """The first ``mailu.env`` of the new place: the old one, line by line. What was not taken stays as a comment with
    the reason; *more* stands at the end."""
    by_name = {line.name: line for line in lines}
    written: dict[str, str] = {}
    text: list[str] = []
    if any("\n" in value for line in lines for value in line.variables.values()):
        source = ""  # Values over several lines: only the list at the end is certain to be right.
    for number, raw in enumerate(source.replace("\r\n", "\n").splitlines(), 1):
        match = _LINE.match(raw)
        line = by_name.get(match["name"]) if match and not raw.lstrip().startswith("#") else None
        if line is None:
            text.append(raw if match is None or raw.lstrip().startswith("#") else f"# {raw}")
            continue
        text += _rewritten(raw, line, number, written, more)
    rest = {name: value for line in lines for name, value in line.variables.items() if name not in written} | dict(more)
    rest = {name: value for name, value in rest.items() if name not in written}
    if rest:
        text += ["", "# Of this place, or because a default has changed."]
        text += [f"{name}={quote_value(value)}" for name, value in rest.items()]
    return "\n".join(text) + "\n"


def _rewritten(raw: str, line: Line, number: int, written: dict[str, str], more: Mapping[str, str]) -> list[str]:
    mine = {name: value for name, value in line.variables.items() if name not in more and name not in written}
    written.update(mine)
    is_secret = line.name in BY_NAME and BY_NAME[line.name].secret
    before = f"# {line.name}=..." if is_secret or "PW" in line.name or "PASS" in line.name else f"# {raw.strip()}"
    if mine == parse_env(raw).values:
        return [raw]
    reason = re.sub(rf"^line {number}: ", "", line.text)
    if not mine:
        return [f"{before}   # {reason}"]
    return [f"{before}   # {reason}", *(f"{name}={quote_value(value)}" for name, value in mine.items())]


def changed_text(text: str, changes: Mapping[str, str]) -> str:
    """*text*, a ``mailu.env``, with other values for *changes*; a name that is not in it stands at the end."""
    left = dict(changes)
    lines = []
    for raw in text.splitlines():
        match = _LINE.match(raw)
        name = match["name"] if match and not raw.lstrip().startswith("#") else None
        if name in left and not _is_open_quote(raw):
            lines.append(f"{name}={quote_value(left.pop(name))}")
        else:
            lines.append(raw)
    if left:
        lines += [f"{name}={quote_value(value)}" for name, value in left.items()]
    return "\n".join(lines) + "\n"


def _is_open_quote(raw: str) -> bool:
    """Whether a quoted value goes on in the next line; a line at the end of the file then holds instead."""
    value = raw.partition("=")[2].strip()
    return value[:1] in ("'", '"') and (len(value) == 1 or not value.endswith(value[0]))

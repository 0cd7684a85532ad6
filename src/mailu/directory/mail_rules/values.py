"""Rules as values: what they may hold, reading them from what a page, the API or a file gives, and writing them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from typing import Any, Literal, get_args

from mailu.address import AddressError, parse_address

Field = Literal["from", "to", "cc", "recipient", "subject", "list-id", "header", "size"]
"""What of a message is looked at; ``recipient`` is To or Cc, ``header`` any other, ``size`` counts megabytes."""
Test = Literal["contains", "not-contains", "is", "is-not", "matches", "exists", "absent", "over", "under"]
Match = Literal["all", "any", "always"]

FIELDS: tuple[Field, ...] = get_args(Field)
TESTS: tuple[Test, ...] = get_args(Test)
MATCHES: tuple[Match, ...] = get_args(Match)
MAX_RULES = 100
MAX_CONDITIONS = 20
MAX_FORWARDS = 10
"""Rules that send a copy elsewhere: one message may not become many (Dovecot's own limit is 20)."""
MAX_TEXT = 500
MAX_FOLDER_OCTETS = 250
MAX_STORED_OCTETS = 60_000
_MAX_MEGABYTES = 1000
_HEADER = re.compile(r"[!-9;-~]{1,76}")
"""RFC 5322 s3.6.8: printable ASCII without the colon."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


class BadRule(ValueError):
    """A rule cannot be used. *rule* counts from 1; *part* is the name of its field, *reason* a sentence's end."""

    def __init__(self, rule: int, part: str, reason: str) -> None:
        super().__init__(f"rule {rule}, {part}: {reason}" if rule else reason)
        self.rule, self.part, self.reason = rule, part, reason


@dataclass(frozen=True, slots=True)
class Condition:
    """One thing that is looked at. *value* is what is looked for; with ``exists`` and ``absent`` there is none."""

    field: Field
    test: Test
    value: str = ""
    header: str = ""
    """The header's name where *field* is ``header``."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What is done with mail that fits."""

    name: str = ""
    enabled: bool = True
    match: Match = "all"
    """Whether all conditions must fit, or any; ``always`` has none."""
    conditions: tuple[Condition, ...] = ()
    folder: str = ""
    """File it there; ``/`` or ``.`` stands between levels, and what is missing is made. Empty: it stays where it is."""
    mark_read: bool = False
    mark_flagged: bool = False
    forward: str = ""
    """Send a copy to this address."""
    discard: bool = False
    """Delete it unseen."""
    stop: bool = True
    """Look at no further rule when this one fitted."""

    @property
    def does_something(self) -> bool:
        return bool(self.folder or self.mark_read or self.mark_flagged or self.forward or self.discard or self.stop)


def read_rules(given: Any) -> tuple[Rule, ...]:
    """The rules in *given*: a list of mappings, as JSON and YAML have them. Raises BadRule."""
    if given is None:
        return ()
    if not isinstance(given, Sequence) or isinstance(given, str | bytes):
        raise BadRule(0, "", "a list of rules is needed")
    if len(given) > MAX_RULES:
        raise BadRule(0, "", f"at most {MAX_RULES} rules are possible, these are {len(given)}")
    found = tuple(_rule(number, entry) for number, entry in enumerate(given, 1))
    if sum(bool(rule.forward) for rule in found) > MAX_FORWARDS:
        raise BadRule(0, "", f"at most {MAX_FORWARDS} rules can send copies elsewhere")
    return found


def stored_rules(text: str | None) -> tuple[Rule, ...]:
    """The rules in the column's text. None of them where it cannot be read: it was written by ``written_rules``."""
    return read_rules(json.loads(text)) if text else ()


def written_rules(rules: Sequence[Rule]) -> str | None:
    """The column's text, the same for the same rules; None for none. Raises BadRule where they need too much room."""
    if not rules:
        return None
    text = json.dumps([shown_rule(rule) for rule in rules], ensure_ascii=False, separators=(",", ":"))
    if len(text.encode()) > MAX_STORED_OCTETS:
        raise BadRule(0, "", f"the rules are too long: at most {MAX_STORED_OCTETS} octets together")
    return text


def shown_rule(rule: Rule) -> dict[str, Any]:
    """A rule as JSON has it: what differs from the defaults."""
    found = _differing(rule)
    if rule.conditions:
        found["conditions"] = [_differing(condition) for condition in rule.conditions]
    return found


def _differing(value: Rule | Condition) -> dict[str, Any]:
    return {
        each.name: getattr(value, each.name)
        for each in fields(value)
        if each.default is MISSING or getattr(value, each.name) != each.default
    }


def _rule(number: int, given: Any) -> Rule:
    reader = _Reader(number, given, {each.name for each in fields(Rule)})
    conditions = reader.given.get("conditions") or []
    if not isinstance(conditions, Sequence) or isinstance(conditions, str | bytes):
        raise BadRule(number, "conditions", "a list is needed")
    if len(conditions) > MAX_CONDITIONS:
        raise BadRule(number, "conditions", f"at most {MAX_CONDITIONS} are possible")
    rule = Rule(
        name=reader.text("name", 100),
        enabled=reader.flag("enabled", True),
        match=reader.one_of("match", MATCHES, "all"),
        conditions=tuple(_condition(number, place, entry) for place, entry in enumerate(conditions, 1)),
        folder=_folder(reader),
        mark_read=reader.flag("mark_read", False),
        mark_flagged=reader.flag("mark_flagged", False),
        forward=_forward(reader),
        discard=reader.flag("discard", False),
        stop=reader.flag("stop", True),
    )
    _check_whole(number, rule)
    return rule


def _check_whole(number: int, rule: Rule) -> None:
    if rule.match == "always" and rule.conditions:
        raise BadRule(number, "match", "a rule for all mail has no conditions")
    if rule.match != "always" and not rule.conditions:
        raise BadRule(number, "conditions", "a condition is needed, or the rule is for all mail")
    if rule.discard and (rule.folder or rule.mark_read or rule.mark_flagged):
        raise BadRule(number, "discard", "what is deleted cannot be filed or marked")
    if not rule.does_something:
        raise BadRule(number, "folder", "the rule does nothing")


def _condition(rule: int, place: int, given: Any) -> Condition:
    where = f"condition {place}"
    reader = _Reader(rule, given, {each.name for each in fields(Condition)}, where)
    field = reader.one_of("field", FIELDS, None)
    test = reader.one_of("test", TESTS, "over" if field == "size" else "contains")
    value, header = reader.text("value", MAX_TEXT), reader.text("header", 76)
    if (field == "size") is not (test in ("over", "under")):
        raise BadRule(rule, where, "a size is over or under a number, and nothing else is")
    if field == "size" and not (value.isascii() and value.isdecimal() and 0 < int(value[:9]) <= _MAX_MEGABYTES):
        raise BadRule(rule, where, f"a whole number of megabytes from 1 to {_MAX_MEGABYTES} is needed")
    if field == "header" and not _HEADER.fullmatch(header):
        raise BadRule(rule, where, "the name of a header has no blanks and no colon")
    if field != "header" and header:
        raise BadRule(rule, where, "only the field header has the name of one")
    if test in ("exists", "absent") and value:
        raise BadRule(rule, where, "whether a header is there is asked without a text")
    if test not in ("exists", "absent") and not value:
        raise BadRule(rule, where, "the text to look for is missing")
    return Condition(field, test, str(int(value)) if field == "size" else value, header)


def _folder(reader: _Reader) -> str:
    """A folder's name as people write it; a dot parts levels too, since our Maildirs have no other separator."""
    name = reader.text("folder", MAX_FOLDER_OCTETS).strip()
    parts = re.split(r"[/.]", name)
    if name and (len(name.encode()) > MAX_FOLDER_OCTETS or any(not part or part.strip() != part for part in parts)):
        raise BadRule(reader.rule, "folder", "the name of a folder, such as Lists/News, is needed")
    if any(letter in name for letter in "*%\\~"):
        raise BadRule(reader.rule, "folder", "none of * % \\ ~ can be in the name of a folder")
    return name


def _forward(reader: _Reader) -> str:
    given = reader.text("forward", 255).strip()
    if not given:
        return ""
    try:
        return str(parse_address(given))
    except AddressError as error:
        raise BadRule(reader.rule, "forward", str(error)) from None


@dataclass(frozen=True, slots=True)
class _Reader:
    """Takes fields out of a mapping, and says where one is wrong."""

    rule: int
    entry: Any
    known: set[str]
    where: str = ""

    @property
    def given(self) -> Mapping[str, Any]:
        if not isinstance(self.entry, Mapping):
            raise BadRule(self.rule, self.where or "rule", "a mapping is needed")
        for name in self.entry:
            if name not in self.known:
                expected = ", ".join(sorted(self.known))
                raise BadRule(self.rule, self.where or str(name), f"{name!r} is unknown; expected: {expected}")
        return self.entry

    def text(self, name: str, most: int) -> str:
        value = self.given.get(name)
        if value is None:
            return ""
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        if not isinstance(value, str):
            raise self._bad(name, "a text is needed")
        if len(value) > most:
            raise self._bad(name, f"at most {most} characters")
        if _CONTROL.search(value):
            raise self._bad(name, "control characters and line ends are not allowed")
        return value.strip()

    def flag(self, name: str, default: bool) -> bool:
        value = self.given.get(name, default)
        if not isinstance(value, bool):
            raise self._bad(name, "true or false is needed")
        return value

    def one_of(self, name: str, names: Sequence[Any], default: Any) -> Any:
        value = self.given.get(name, default)
        if value not in names:
            raise self._bad(name, f"one of {', '.join(names)} is needed")
        return value

    def _bad(self, name: str, reason: str) -> BadRule:
        return BadRule(self.rule, self.where or name, reason)


def checked_rules(given: Any) -> str | None:
    """*given*, rules in any of their forms, as the column holds them. Raises BadRule."""
    if isinstance(given, str):
        try:
            given = json.loads(given)
        except ValueError:
            raise BadRule(0, "", "a list of rules is needed") from None
    return written_rules(read_rules(given))

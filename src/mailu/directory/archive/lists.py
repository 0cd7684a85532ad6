"""Lists in a document: a replacing import takes them as they are, an update adds to what is there.

In an update ``-item`` takes an item away and ``-prune-`` all that were there before. A replacing import starts with
empty lists, so there an item that begins with a hyphen is meant as it stands.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mailu.directory.archive.attributes import PRUNE, Attribute
from mailu.directory.archive.errors import Problems
from mailu.directory.changes import Invalid, values
from mailu.directory.changes.values import Rule


def merged(attribute: Attribute, present: tuple[str, ...], given: Any, *, update: bool) -> Any:
    """What a list attribute is to be. Raises Invalid."""
    if not update:
        return attribute.rule(attribute.name, _without_prune(given))
    wanted, pruned = dict.fromkeys(present), False
    for item in _items(attribute.name, given):
        if item == PRUNE and not pruned:
            wanted, pruned = {}, True
        elif item.startswith("-"):
            (name,) = attribute.rule(attribute.name, [item[1:]])
            if name not in wanted:
                raise Invalid(attribute.name, f"{name} cannot be taken away: it is not in the list")
            del wanted[name]
        else:
            wanted.update(dict.fromkeys(attribute.rule(attribute.name, [item])))
    return attribute.rule(attribute.name, list(wanted))


def merged_names(
    present: Mapping[str, str],
    given: Any,
    path: str,
    key: str,
    problems: Problems,
    *,
    update: bool,
    rule: Rule = values.domain_name,
) -> dict[str, str]:
    """The same for names, of domains if no *rule* says otherwise, each with a comment: ``name`` or ``{KEY: name,
    comment: text}``."""
    wanted = dict(present) if update else {}
    if given is None:
        return wanted
    for place, item in _named_items(given, path, problems):
        if item == PRUNE:
            wanted = {}
            continue
        with problems.at(place):
            name, comment = _name_and_comment(item, key)
            if name.startswith("-") and update:
                canonical = rule(key, name[1:])
                if wanted.pop(canonical, None) is None:
                    raise Invalid(key, f"{canonical} cannot be taken away: it is not in the list")
                continue
            canonical = rule(key, name)
            wanted[canonical] = wanted.get(canonical, "") if comment is None else values.text(255)("comment", comment)
    return wanted


def _named_items(given: Any, path: str, problems: Problems) -> list[tuple[str, Any]]:
    if isinstance(given, str):
        return [(path, item.strip()) for item in given.split(",") if item.strip()]
    if not isinstance(given, list):
        problems.add(path, "a list is needed")
        return []
    return [(f"{path}[{number}]", item) for number, item in enumerate(given)]


def _name_and_comment(item: Any, key: str) -> tuple[str, Any]:
    if isinstance(item, Mapping):
        if not isinstance(item.get(key), str) or not item.keys() <= {key, "comment"}:
            raise Invalid(key, f"a name, or a mapping with {key} and comment, is needed")
        return item[key], item.get("comment")
    if not isinstance(item, str):
        raise Invalid(key, "a name is needed")
    return item, None


def _items(name: str, given: Any) -> list[str]:
    items = given.split(",") if isinstance(given, str) else given
    if not isinstance(items, list | tuple) or not all(isinstance(item, str) for item in items):
        raise Invalid(name, "a list of texts is needed")
    return [item.strip() for item in items if item.strip()]


def _without_prune(given: Any) -> Any:
    return [item for item in given if item != PRUNE] if isinstance(given, list) else given

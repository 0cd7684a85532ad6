"""How a variable is declared: one dataclass field that carries its form, default, meaning and secrecy."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from mailu.settings.values import Kind

T = TypeVar("T")
_KEY = "variable"


@dataclass(frozen=True, slots=True)
class Variable:
    """One variable as an operator knows it."""

    name: str
    """As it stands in ``mailu.env``."""
    attribute: str
    kind: Kind[Any]
    meaning: str
    section: str
    default: str | None
    """The default as text; None where the variable must be given."""
    default_note: str
    """What holds when it is not given and the default depends on something else; for people."""
    secret: bool


@dataclass(frozen=True, slots=True)
class _Declared:
    kind: Kind[Any]
    meaning: str
    default_note: str
    secret: bool


def setting(kind: Kind[T], default: T, meaning: str, *, default_note: str = "", secret: bool = False) -> T:
    """Declare a variable with a default. The name is the attribute's, in capitals."""
    declared = _Declared(kind, meaning, default_note, secret)
    return dataclasses.field(default=default, metadata={_KEY: declared}, repr=not secret)


def required(kind: Kind[T], meaning: str, *, default_note: str = "", secret: bool = False) -> T:
    """Declare a variable that has no default in the program: it is given, or the loader works it out."""
    declared = _Declared(kind, meaning, default_note, secret)
    return cast(T, dataclasses.field(metadata={_KEY: declared}, repr=not secret))


def variables_of(sections: tuple[type, ...]) -> Iterator[Variable]:
    """The variables that the dataclasses *sections* declare, in order."""
    for section in sections:
        title = (section.__doc__ or "").partition(".")[0]
        for field in dataclasses.fields(section):
            declared = cast(_Declared, field.metadata[_KEY])
            missing = field.default is dataclasses.MISSING
            yield Variable(
                name=field.name.upper(),
                attribute=field.name,
                kind=declared.kind,
                meaning=" ".join(declared.meaning.split()),
                section=title,
                default=None if missing else declared.kind.show(field.default),
                default_note=declared.default_note,
                secret=declared.secret,
            )

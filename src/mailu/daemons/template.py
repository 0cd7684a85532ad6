"""Fill a room's native configuration templates.

A template is a whole configuration file as an administrator of that daemon would write it, with Jinja2 marks where
values go. Values that reach it come from settings, and some of them from people; so a value that is missing, is None
or holds a line end stops the rendering instead of becoming a directive of its own.
"""

from __future__ import annotations

from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined

_LINE_ENDS = frozenset("\n\r\0\v\f\x1c\x1d\x1e\x85\u2028\u2029")


class TemplateError(ValueError):
    """A value cannot be written into a configuration file; the text shows it."""


class Lines(str):
    """Text of several lines that may be written as it stands: made by code, never by a setting."""

    __slots__ = ()


def fill(package: str, name: str, /, **values: object) -> str:
    """Return the template *name* in the folder of *package* (a room passes its ``__name__``), filled with *values*.

    Raises jinja2.UndefinedError for a value the template asks for and was not given, TemplateError for one that is
    None or holds a line end. ``{{ text | lines }}`` and values of type Lines may hold several lines. A line that holds
    a block mark only leaves no line behind; the last line end of the file stays.
    """
    return _environment(package).get_template(name).render(values)


@cache
def _environment(package: str) -> Environment:
    environment = Environment(
        loader=PackageLoader(package, ""),
        undefined=StrictUndefined,
        autoescape=False,  # noqa: S701 - these are configuration files, not web pages
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=_one_line,
    )
    environment.filters["lines"] = Lines
    return environment


def _one_line(value: object) -> object:
    if value is None:
        raise TemplateError("a value of the configuration is None")
    if isinstance(value, str) and not isinstance(value, Lines) and not _LINE_ENDS.isdisjoint(value):
        raise TemplateError(f"a value of the configuration holds a line end: {value!r}")
    return value

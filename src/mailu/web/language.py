"""Languages of the pages: which there are, which one a visitor gets, and the translated texts.

The source is English. Translations are gettext's ``.po`` files in ``locale/``, read when a language is first used; the
few hundred texts need no compiled form. The language of the moment is a context variable, so texts are looked up
without handing it around, also in threads.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from babel import Locale
from babel.messages.pofile import read_po
from babel.support import LazyProxy

FOLDER = Path(__file__).parent / "locale"
LANGUAGES = {
    "de": "Deutsch",
    "en": "English",
    "es": "Español",
    "fr": "Français",
    "it": "Italiano",
    "ja": "日本語",
    "nl": "Nederlands",
    "pl": "Polski",
    "pt": "Português",
    "zh": "中文",
}
"""Code and own name, in the order of the list to choose from."""


@dataclass(frozen=True, slots=True)
class Language:
    """One language of the pages."""

    code: str
    texts: Mapping[str, str]

    @property
    def html(self) -> str:
        """As the ``lang`` attribute has it."""
        return "zh-Hans" if self.code == "zh" else self.code

    @property
    def locale(self) -> Locale:
        """How dates and numbers are written in it."""
        return Locale.parse(self.code)


_ENGLISH = Language("en", {})
_current: ContextVar[Language] = ContextVar("language", default=_ENGLISH)
_loaded: dict[str, Language] = {"en": _ENGLISH}
_loading = threading.Lock()


def load(code: str) -> Language:
    """Return a language that we have; KeyError for another."""
    with _loading:
        if code not in _loaded:
            if code not in LANGUAGES:
                raise KeyError(code)
            _loaded[code] = Language(code, read_texts(FOLDER / f"{code}.po"))
        return _loaded[code]


def read_texts(path: Path) -> dict[str, str]:
    """The translated texts of one file by their English ones; what is missing or uncertain there is left out."""
    with path.open("rb") as stream:
        catalog = read_po(stream)
    return {
        str(message.id): str(message.string)
        for message in catalog
        if message.id and message.string and not message.fuzzy
    }


def use(language: Language) -> None:
    """Make *language* the one of this request."""
    _current.set(language)


def current() -> Language:
    """The language of this request."""
    return _current.get()


def _(text: str, **values: Any) -> str:
    """Return *text* in the language of this request, with ``%(name)s`` filled in."""
    found = _current.get().texts.get(text, text)
    return found % values if values else found


def lazy(text: str) -> Any:
    """As ``_``, but looked up when it is shown: for labels, which are made when the program starts."""
    return LazyProxy(_, text, enable_cache=False)


def choose(wanted: str | None, accept: str, default: str) -> Language:
    """The language a visitor gets: the one they chose, the best of what their browser accepts, or *default*.

    *accept* is an Accept-Language header (RFC 9110 s12.5.4), which may be anything.
    """
    if wanted in LANGUAGES:
        return load(wanted)
    for code in _accepted(accept):
        if code in LANGUAGES:
            return load(code)
    plain = default.replace("-", "_").partition("_")[0].lower()
    return load(plain if plain in LANGUAGES else "en")


def _accepted(header: str) -> list[str]:
    """Primary subtags, the most wanted first."""
    ranked: list[tuple[float, int, str]] = []
    for number, item in enumerate(header[:500].split(",")):
        tag, _sep, weight = item.strip().partition(";")
        try:
            quality = float(weight.strip().removeprefix("q=") or 1) if weight else 1.0
        except ValueError:
            continue
        if tag and quality > 0:
            ranked.append((-quality, number, tag.replace("_", "-").partition("-")[0].lower()))
    return [code for _quality, _number, code in sorted(ranked)]

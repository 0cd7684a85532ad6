"""What all forms share: fields of our own, and how a refusal of the directory becomes an error beside its field."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, ClassVar

from markupsafe import Markup
from wtforms import Form, StringField
from wtforms.fields import Field
from wtforms.validators import ValidationError
from wtforms.widgets import TextArea, TextInput

from mailu.directory.changes import ChangeError, Conflict, Invalid, LimitReached, NotFound
from mailu.web.language import _, lazy
from mailu.web.refusals import shown_reason

if TYPE_CHECKING:
    from mailu.web.visit import Visit

GIGABYTE = Decimal(1_000_000_000)


class Required:
    """The field cannot be empty."""

    field_flags: ClassVar[dict[str, bool]] = {"required": True}

    def __call__(self, form: Form, field: Field) -> None:
        if not field.data or not str(field.data).strip():
            raise ValidationError(_("Please fill this in."))


class PageForm(Form):
    """A form of ours. ``read`` makes one; ``accepted`` says whether it was sent and every field is good."""

    groups: Sequence[tuple[Any, Sequence[str]]] = ()
    """Headings and the names of the fields below each; none: all fields, as they come."""
    general: list[str]

    @classmethod
    def read(cls, visit: Visit, obj: object = None, **values: Any) -> Any:
        """The form as it was sent, or filled from *obj* and *values* when it is only shown."""
        form = cls(visit.fields if visit.posted else None, obj=obj, **values)
        form.general = []
        form.visit = visit  # type: ignore[attr-defined]
        return form

    @property
    def accepted(self) -> bool:
        """Whether it was sent and each field is good in itself."""
        return bool(self.visit.posted and self.validate())  # type: ignore[attr-defined]

    @property
    def status(self) -> int:
        """Of the page that shows it: 422 when something has to be corrected."""
        return 422 if self.general or self.errors else 200

    @contextmanager
    def refusals(self, **names: str) -> Iterator[None]:
        """Turn what the directory refuses into errors of the fields; *names* maps its columns to our fields."""
        try:
            yield
        except ChangeError as error:
            self.refuse(error, names)

    def refuse(self, error: ChangeError, names: dict[str, str] | None = None) -> None:
        """Show *error* beside the field it is about, or above the form."""
        column, text = described(error)
        self.complain((names or {}).get(column, column), text)

    def complain(self, name: str, text: str) -> None:
        """Show *text* beside the field *name*, or above the form when there is none."""
        if name in self:
            self[name].errors = [*self[name].errors, text]
        else:
            self.general = [*self.general, text]


def described(error: ChangeError) -> tuple[str, str]:
    """The column that *error* is about, and what to say."""
    match error:
        case Invalid():
            return error.field, shown_reason(error.reason)
        case Conflict():
            return "name", _("%(name)s exists already.", name=error.name)
        case LimitReached():
            return "", _("%(domain)s is full: it may hold %(maximum)s.", domain=error.domain, maximum=error.maximum)
        case NotFound():
            return "", _("There is no %(name)s.", name=error.name)
    return "", str(error)


class LinesField(StringField):
    """Several values, one a line or with commas between them."""

    widget = TextArea()

    def process_formdata(self, valuelist: list[Any]) -> None:
        self.data = [item.strip() for item in re.split(r"[,;\s]+", valuelist[0])] if valuelist else []  # type: ignore[assignment]
        self.data = [item for item in self.data or () if item]  # type: ignore[assignment]

    def _value(self) -> str:
        if self.raw_data:
            return str(self.raw_data[0])
        return "\n".join(self.data or ())


class SizeField(Field):
    """A number of bytes, written in gigabytes; empty or 0 is without limit."""

    widget = TextInput()

    def process_formdata(self, valuelist: list[Any]) -> None:
        text = (valuelist[0] if valuelist else "").strip().replace(",", ".")
        try:
            given = Decimal(text or 0) * GIGABYTE
        except InvalidOperation:
            raise ValueError(_("Please write a number, such as 2 or 0.5.")) from None
        if not given.is_finite() or not 0 <= given < 2**63:
            raise ValueError(_("Please write a number, such as 2 or 0.5."))
        self.data = int(given)

    def _value(self) -> str:
        if self.raw_data:
            return str(self.raw_data[0])
        return format((Decimal(self.data or 0) / GIGABYTE).normalize(), "f")


class CountField(Field):
    """How many there may be; empty is without limit, which is stored as -1."""

    widget = TextInput()

    def process_formdata(self, valuelist: list[Any]) -> None:
        text = (valuelist[0] if valuelist else "").strip()
        if not text:
            self.data = -1
        elif text.isdecimal() and len(text) < 10:
            self.data = int(text)
        else:
            raise ValueError(_("Please write a whole number."))

    def _value(self) -> str:
        if self.raw_data:
            return str(self.raw_data[0])
        return "" if self.data is None or self.data < 0 else str(self.data)


def attributes(**values: str) -> dict[str, str]:
    """HTML attributes for ``render_kw``; an underscore becomes a hyphen, but one at the end vanishes."""
    return {name.rstrip("_").replace("_", "-"): value for name, value in values.items()}


NEW_PASSWORD = attributes(autocomplete="new-password", minlength="8", maxlength="1024")
OWN_PASSWORD = attributes(autocomplete="current-password", maxlength="1024")
ADDRESS = attributes(inputmode="email", autocapitalize="none", spellcheck="false", autocomplete="off")

__all__ = [
    "ADDRESS", "NEW_PASSWORD", "OWN_PASSWORD", "CountField", "LinesField", "Markup", "PageForm", "Required",
    "SizeField", "attributes", "described", "lazy",
]  # fmt: skip

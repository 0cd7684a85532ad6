"""Rules for arriving mail: built from fields, in the order in which they are looked at."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from starlette.responses import Response
from wtforms import BooleanField, FieldList, Form, FormField, SelectField, StringField
from wtforms.fields.choices import SelectChoice  # type: ignore[attr-defined]

from mailu import operations
from mailu.directory import changes
from mailu.directory.mail_rules import (
    FIELDS,
    MAX_CONDITIONS,
    TESTS,
    BadRule,
    Condition,
    Rule,
    read_rules,
    shown_rule,
    sieve_script,
    stored_rules,
)
from mailu.web.forms import ADDRESS, PageForm, attributes, lazy
from mailu.web.language import _
from mailu.web.pages.account import titled, whom
from mailu.web.permission import ACTS_FOR, SIGNED_IN
from mailu.web.refusals import shown_reason
from mailu.web.routes import Pages
from mailu.web.visit import Refusal, Visit

pages = Pages()

_SPARE = 2
"""Empty lines below the conditions that there are."""
_PLAIN = attributes(spellcheck="false", autocapitalize="none")

FIELD_NAMES = {
    "from": lazy("From"), "to": lazy("To"), "cc": lazy("Cc"), "recipient": lazy("To or Cc"),
    "subject": lazy("Subject"), "list-id": lazy("Mailing list"), "header": lazy("Other header"),
    "size": lazy("Size (MB)"),
}  # fmt: skip
TEST_NAMES = {
    "contains": lazy("contains"), "not-contains": lazy("does not contain"), "is": lazy("is"), "is-not": lazy("is not"),
    "matches": lazy("matches (* and ?)"), "exists": lazy("is there"), "absent": lazy("is not there"),
    "over": lazy("is larger than"), "under": lazy("is smaller than"),
}  # fmt: skip


class ConditionForm(Form):
    """One line of conditions; without a text it is none, unless the question is whether something is there."""

    field = SelectField(lazy("What"), choices=[SelectChoice(name, FIELD_NAMES[name]) for name in FIELDS])
    header = StringField(lazy("Header"), render_kw={**_PLAIN, "placeholder": "X-Header", "maxlength": "76"})
    test = SelectField(lazy("How"), choices=[SelectChoice(name, TEST_NAMES[name]) for name in TESTS])
    value = StringField(lazy("Text"), render_kw={**_PLAIN, "maxlength": "500"})

    @property
    def said(self) -> dict[str, str] | None:
        """As the rule has it; None for an empty line."""
        found = {name: (self[name].data or "").strip() for name in ("field", "header", "test", "value")}
        if not found["value"] and found["test"] not in ("exists", "absent"):
            return None
        if found["field"] != "header":
            del found["header"]
        return found


class RuleForm(PageForm):
    """One rule."""

    name = StringField(lazy("Name"), render_kw=attributes(maxlength="100", autofocus="autofocus"))
    enabled = BooleanField(lazy("Switched on"), default=True)
    match = SelectField(
        lazy("For mail"),
        choices=[
            SelectChoice("all", lazy("to which all of these apply")),
            SelectChoice("any", lazy("to which any of these applies")),
            SelectChoice("always", lazy("of every kind")),
        ],
    )  # fmt: skip
    conditions = FieldList(FormField(ConditionForm), max_entries=MAX_CONDITIONS)
    folder = StringField(
        lazy("File into the folder"), description=lazy("Such as Lists/News; it is made where it is missing."),
        render_kw={**_PLAIN, "maxlength": "250"},
    )  # fmt: skip
    mark_read = BooleanField(lazy("Mark as read"))
    mark_flagged = BooleanField(lazy("Flag"))
    forward = StringField(lazy("Send a copy to"), render_kw=ADDRESS)
    discard = BooleanField(lazy("Delete unseen"), description=lazy("It cannot be brought back."))
    stop = BooleanField(lazy("Look at no further rule"), default=True)


# The list


@pages.show("rules", "{admin}/user/rules", SIGNED_IN)
def own_rules(visit: Visit) -> Response:
    """The visitor's rules."""
    return _list(visit)


@pages.show("user_rules", "{admin}/user/rules/{email:path}", ACTS_FOR)
def rules_of(visit: Visit) -> Response:
    """Somebody's rules."""
    return _list(visit)


def _list(visit: Visit) -> Response:
    rules, mark = _rules(visit)
    other = _script_of_another_program(visit)
    return visit.render(
        "account/rules.html", rules=[(rule, _said(rule)) for rule in rules], mark=mark, script=sieve_script(rules),
        other=other,
        edit=lambda number: _url(visit, "rule", id=number), change=_url(visit, "rules_change"),
        **titled(visit, _("Rules for arriving mail")),
    )  # fmt: skip


def _script_of_another_program(visit: Visit) -> str | None:
    """The name of the mailbox's own active script; None where there is none, or nobody can say."""
    entry = visit.snapshot.users.get(whom(visit))
    if entry is None:
        return None
    try:
        answer = operations.ask(visit.control.places, "sieve-script", home=entry.home)
    except (operations.Unreachable, operations.NotDone):
        return None
    return answer["active"]  # type: ignore[no-any-return]


def _rules(visit: Visit) -> tuple[tuple[Rule, ...], str]:
    """The rules, and what tells them from others."""
    with visit.store.read() as session:
        text = changes.get_user(session, whom(visit)).mail_rules
    return stored_rules(text), hashlib.sha256((text or "").encode()).hexdigest()[:16]


def _url(visit: Visit, name: str, **values: object) -> str:
    """The address of the visitor's own page, or of the same for whom this one is about."""
    email = visit.parameters.get("email")
    return visit.url(f"user_{name}", email=email, **values) if email else visit.url(name, **values)


def _said(rule: Rule) -> tuple[str, str]:
    """When and what, in words."""
    joint = f" {_('and')} " if rule.match == "all" else f" {_('or')} "
    when = joint.join(map(_condition_said, rule.conditions)) or _("Every message")
    done = [
        (rule.folder, _("file into “%(name)s”", name=rule.folder)),
        (rule.mark_read, _("mark as read")),
        (rule.mark_flagged, _("flag")),
        (rule.forward, _("copy to %(address)s", address=rule.forward)),
        (rule.discard, _("delete unseen")),
        (rule.stop, _("then stop")),
    ]
    return when, ", ".join(words for wanted, words in done if wanted)


def _condition_said(condition: Condition) -> str:
    field = condition.header or str(FIELD_NAMES[condition.field])
    value = f" “{condition.value}”" if condition.value else ""
    return f"{field} {TEST_NAMES[condition.test]}{value}"


@pages.form("rules_change", "{admin}/user/rules-change", SIGNED_IN)
def change_own(visit: Visit) -> Response:
    """Move, switch or delete one of the visitor's rules."""
    return _change(visit)


@pages.form("user_rules_change", "{admin}/user/rules-change/{email:path}", ACTS_FOR)
def change_of(visit: Visit) -> Response:
    """Move, switch or delete one of somebody's rules."""
    return _change(visit)


def _change(visit: Visit) -> Response:
    back = _url(visit, "rules")
    if not visit.posted:
        return visit.lead_to(back)
    rules, mark = _rules(visit)
    what, _sign, text = visit.fields.get("do", "").partition(" ")
    number = int(text) if text.isdecimal() and len(text) < 4 else 0
    if what not in ("up", "down", "on", "off", "delete") or not 0 < number <= len(rules):
        raise Refusal(400)
    if visit.fields.get("mark") != mark:
        visit.tell("warn", _("The rules were changed elsewhere meanwhile. Please look again."))
        return visit.lead_to(back)
    if what == "delete" and "sure" not in visit.fields:
        hidden = [("do", f"delete {number}"), ("mark", mark), ("sure", "yes")]
        text = _("Delete the rule “%(name)s”?", name=rules[number - 1].name or number)
        return visit.render(
            "confirm.html", title=_("Delete rule"), text=text, hidden=hidden, back=back, button=_("Delete")
        )
    _store(visit, _changed(list(rules), what, number - 1))
    visit.tell("good", _("Saved."))
    return visit.lead_to(back)


def _changed(rules: list[Rule], what: str, index: int) -> list[Rule]:
    rule = rules.pop(index)
    match what:
        case "up":
            rules.insert(max(index - 1, 0), rule)
        case "down":
            rules.insert(index + 1, rule)
        case "on" | "off":
            rules.insert(index, replace(rule, enabled=what == "on"))
    return rules


def _store(visit: Visit, rules: Sequence[Rule]) -> None:
    with visit.store.session() as session:
        shown = [shown_rule(rule) for rule in rules]
        changes.update_user(session, whom(visit), actor=visit.actor, mail_rules=shown)


# One rule


@pages.form("rule", "{admin}/user/rule/{id:int}", SIGNED_IN)
def own_rule(visit: Visit) -> Response:
    """One of the visitor's rules; 0 is a new one."""
    return _edit(visit)


@pages.form("user_rule", "{admin}/user/rule/{id:int}/{email:path}", ACTS_FOR)
def rule_of(visit: Visit) -> Response:
    """One of somebody's rules; 0 is a new one."""
    return _edit(visit)


def _edit(visit: Visit) -> Response:
    rules, mark = _rules(visit)
    number = int(visit.parameters["id"])
    if number > len(rules):
        raise changes.NotFound("rule", number)
    before = rules[number - 1] if number else Rule()
    form = RuleForm.read(visit, before)
    more = visit.posted and "more" in visit.fields
    if not more and form.accepted:
        rule = _read(form)
        if rule is not None and visit.fields.get("mark") != mark:
            form.complain("", _("The rules were changed elsewhere meanwhile. Please look again."))
        elif rule is not None and rule.discard and not before.discard and "sure" not in visit.fields:
            return _edit_page(visit, form, number, mark, ask=True)
        elif rule is not None and _kept(visit, form, rules, number, rule):
            visit.tell("good", _("Saved. It holds for mail that arrives from now on."))
            return visit.lead_to(_url(visit, "rules"))
    return _edit_page(visit, form, number, mark, spare=4 if more else _SPARE)


def _read(form: Any) -> Rule | None:
    """The rule that was typed; None: *form* says what is wrong with it."""
    given = {name: value for name, value in form.data.items() if name != "conditions"}
    lines = [line.form.said for line in form.conditions]
    given["conditions"] = [line for line in lines if line is not None]
    if given["match"] == "always":
        given["conditions"] = []
    try:
        return read_rules([given])[0]
    except BadRule as error:
        _complain(form, error)
        return None


def _complain(form: Any, error: BadRule) -> None:
    place = error.part.removeprefix("condition ")
    lines = [line for line in form.conditions if line.form.said is not None]
    if place.isdecimal() and 0 < int(place) <= len(lines):
        lines[int(place) - 1].form["value"].errors = (shown_reason(error.reason),)
        form.errors_below = True
    else:
        form.complain(error.part if error.part != "conditions" else "", shown_reason(error.reason))


def _kept(visit: Visit, form: Any, rules: Sequence[Rule], number: int, rule: Rule) -> bool:
    """Put the rule in its place, a new one at the end. False: *form* says why not."""
    changed = [*rules[: number - 1], rule, *rules[number:]] if number else [*rules, rule]
    try:
        _store(visit, changed)
    except changes.Invalid as error:
        form.complain("", error.reason)
        return False
    return True


def _edit_page(visit: Visit, form: Any, number: int, mark: str, *, spare: int = _SPARE, ask: bool = False) -> Response:
    wanted = min(MAX_CONDITIONS, sum(line.form.said is not None for line in form.conditions) + spare)
    while len(form.conditions) < wanted:
        form.conditions.append_entry()
    shown = titled(visit, _("Rule") if number else _("New rule"))
    crumbs = [*shown["crumbs"], (_("Rules for arriving mail"), _url(visit, "rules"))]
    failed = bool(form.general or form.errors or getattr(form, "errors_below", False))
    return visit.render(
        "account/rule.html", status=422 if failed else 200, form=form, mark=mark, ask=ask,
        back=_url(visit, "rules"), title=shown["title"], crumbs=crumbs,
    )  # fmt: skip

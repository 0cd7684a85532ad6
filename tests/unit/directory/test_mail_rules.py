"""Rules for arriving mail: read, kept as they are, and made into scripts that the real compiler takes."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mailu.directory.mail_rules import (
    FIELDS,
    BadRule,
    Condition,
    Rule,
    Test,
    checked_rules,
    read_rules,
    shown_rule,
    sieve_script,
    stored_rules,
    written_rules,
)
from mailu.directory.mail_rules.values import Match

SIEVEC = "/usr/bin/sievec"
TEXTS = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1, max_size=40).map(str.strip)
NASTY = st.sampled_from(
    ['"', "\\", '\\"', '"; discard; #', "${env.x}", "${hex: 22}", "/* x */", "#x", '"]; stop', ".", "text:", "*?", "ü"]
)
TESTS: list[Test] = ["contains", "not-contains", "is", "is-not", "matches"]
MATCHES: list[Match] = ["all", "any", "always"]
SOMETHING = (TEXTS | NASTY).filter(lambda text: bool(text.strip()))


@st.composite
def conditions(draw: st.DrawFn) -> Condition:
    field = draw(st.sampled_from(FIELDS))
    if field == "size":
        return Condition(field, draw(st.sampled_from(["over", "under"])), str(draw(st.integers(1, 1000))))
    header = draw(st.sampled_from(["X-Spam", "Reply-To", 'X"', "X\\", "X;#"])) if field == "header" else ""
    if draw(st.booleans()):
        return Condition(field, draw(st.sampled_from(["exists", "absent"])), "", header)
    test = draw(st.sampled_from(TESTS))
    return Condition(field, test, draw(SOMETHING).strip(), header)


@st.composite
def rules(draw: st.DrawFn) -> Rule:
    match = draw(st.sampled_from(MATCHES))
    found = tuple(draw(st.lists(conditions(), min_size=1, max_size=4))) if match != "always" else ()
    discard = draw(st.booleans())
    folders = st.sampled_from(["", "Lists", "Lists/News", 'A "b"', "Größe", "a b"])
    return Rule(
        name=draw(st.just("") | SOMETHING), enabled=draw(st.booleans()), match=match, conditions=found,
        folder="" if discard else draw(folders), mark_read=not discard and draw(st.booleans()),
        mark_flagged=not discard and draw(st.booleans()), discard=discard,
        forward=draw(st.sampled_from(["", "ann@example.org", "o'x+{}@example.org"])), stop=draw(st.booleans()),
    )  # fmt: skip


SOME = st.lists(rules().filter(lambda rule: rule.does_something), max_size=6)


@given(SOME)
def test_rules_come_back_as_they_were(some: list[Rule]) -> None:
    text = written_rules(some)
    assert stored_rules(text) == tuple(some)
    assert checked_rules(text) == text
    assert checked_rules([shown_rule(rule) for rule in some]) == text


@pytest.mark.skipif(not shutil.which(SIEVEC), reason="needs Dovecot's compiler")
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(some=SOME)
def test_the_real_compiler_takes_every_script(some: list[Rule], tmp_path: Path) -> None:
    script = sieve_script(some)
    compile_sieve(script, tmp_path)


def compile_sieve(script: str, folder: Path) -> str:
    """Have sievec compile *script*; returns its reading of it. Fails for errors and warnings."""
    source = folder / "rules.sieve"
    source.write_text(script, encoding="utf-8")
    command = [SIEVEC, "-c", "/dev/null", "-D", "-d", str(source), "-"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    words = [line for line in done.stderr.splitlines() if "error" in line.lower() or "warning" in line.lower()]
    assert (done.returncode, words) == (0, []), script + done.stderr
    return done.stdout


@pytest.mark.skipif(not shutil.which(SIEVEC), reason="needs Dovecot's compiler")
def test_what_people_type_stays_a_text(tmp_path: Path) -> None:
    """The compiler's own listing shows the text whole, and no command that was not asked for."""
    sly = '"; discard; stop; redirect "me@evil.test'
    rule = Rule(conditions=(Condition("subject", "contains", sly),), folder='In "box', stop=False)
    listing = compile_sieve(sieve_script([rule]), tmp_path)
    assert sly in listing
    assert not {"DISCARD", "REDIRECT", "STOP"} & set(listing.split())
    assert "FILEINTO" in listing


def test_the_script_says_what_the_rules_say() -> None:
    script = sieve_script(
        [
            Rule(match="any", conditions=(Condition("from", "is", "ann@example.org"), Condition("size", "over", "5")),
                 folder="Big", mark_read=True, forward="bob@example.org"),
            Rule(enabled=False, match="always", discard=True),
            Rule(match="always", mark_flagged=True, stop=False),
        ]
    )  # fmt: skip
    assert script == (
        'require ["copy", "fileinto", "imap4flags", "mailbox"];\n\n'
        '# Rule 1\nif anyof (address :is "from" "ann@example.org", size :over 5M) {\n'
        '  redirect :copy "bob@example.org";\n  addflag "\\\\Seen";\n  fileinto :create "Big";\n  stop;\n}\n\n'
        '# Rule 3\nif true {\n  addflag "\\\\Flagged";\n}\n'
    )
    assert sieve_script([]) == sieve_script([Rule(enabled=False, match="always")]) == ""


SUBJECT = {"field": "subject", "value": "x"}


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ("no list", "a list of rules"),
        (7, "a list of rules"),
        ([7], "rule 1, rule: a mapping"),
        ([{"folder": "x"}], "rule 1, conditions: a condition is needed"),
        ([{"match": "always"}, {"match": "always", "conditions": [SUBJECT]}], "rule 2, match"),
        ([{"match": "sometimes"}], "rule 1, match: one of"),
        ([{"conditions": [SUBJECT], "colour": "x"}], "'colour' is unknown; expected: conditions, discard"),
        ([{"conditions": [{"field": "body", "value": "x"}]}], "condition 1: one of from, to"),
        ([{"conditions": [{"field": "subject"}]}], "condition 1: the text to look for is missing"),
        ([{"conditions": [{"field": "subject", "test": "exists", "value": "x"}]}], "without a text"),
        ([{"conditions": [{"field": "subject", "test": "over", "value": "1"}]}], "a size is over or under"),
        ([{"conditions": [{"field": "size", "value": "x"}]}], "a whole number of megabytes"),
        ([{"conditions": [{"field": "size", "value": "0"}]}], "a whole number of megabytes"),
        ([{"conditions": [{"field": "header", "header": "a b", "value": "x"}]}], "no blanks and no colon"),
        ([{"conditions": [{"field": "header", "header": "X:", "value": "x"}]}], "no blanks and no colon"),
        ([{"conditions": [{"field": "subject", "header": "X", "value": "x"}]}], "only the field header"),
        ([{"conditions": [{"field": "subject", "value": "a\nb"}]}], "control characters"),
        ([{"conditions": [{"field": "subject", "value": "x" * 501}]}], "at most 500 characters"),
        ([{"conditions": [SUBJECT] * 21}], "conditions: at most 20"),
        ([{"conditions": [SUBJECT], "folder": "a//b"}], "folder: the name of a folder"),
        ([{"conditions": [SUBJECT], "folder": "../b"}], "folder: the name of a folder"),
        ([{"conditions": [SUBJECT], "folder": "a*"}], "folder: none of"),
        ([{"conditions": [SUBJECT], "forward": "nobody"}], "forward: 'nobody' is not an address"),
        ([{"conditions": [SUBJECT], "discard": True, "folder": "x"}], "cannot be filed"),
        ([{"conditions": [SUBJECT], "discard": "yes"}], "true or false"),
        ([{"conditions": [SUBJECT], "stop": False}], "does nothing"),
        ([{"match": "always"}] * 101, "at most 100 rules"),
        ([{"match": "always", "forward": "a@b.test"}] * 11, "at most 10 rules can send copies"),
        ([{"match": "always", "name": "x" * 90, "conditions": []}] * 100, None),
        ([{"conditions": [{"field": "subject", "value": "ü" * 500}] * 20}] * 20, "too long"),
    ],
)  # fmt: skip
def test_what_is_no_rule_is_refused_with_its_place(given: Any, reason: str | None) -> None:
    if reason is None:
        assert checked_rules(given)
        return
    with pytest.raises(BadRule) as caught:
        checked_rules(given)
    assert reason in str(caught.value)


def test_no_rules_are_nothing() -> None:
    assert checked_rules(None) is checked_rules([]) is checked_rules("[]") is None
    assert read_rules(None) == stored_rules(None) == ()

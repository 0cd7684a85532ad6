"""What Dovecot is told about a person's rules."""

from __future__ import annotations

import pytest
from tests.unit.directory.build import user

from mailu.directory.mail_rules import checked_rules
from mailu.servers.rule_scripts import RuleScripts

RULES = checked_rules([{"match": "always", "folder": "Here"}])


def test_a_script_has_a_name_that_changes_with_it() -> None:
    scripts = RuleScripts()
    entry = user("ann@example.org")._replace(mail_rules=RULES)
    name = scripts.look_up(entry, "priv/sieve/name/rules")
    text = scripts.look_up(entry, f"priv/sieve/data/{name}")
    assert text
    assert 'fileinto :create "Here";' in text
    other = entry._replace(mail_rules=checked_rules([{"match": "always", "folder": "There"}]))
    assert scripts.look_up(other, "priv/sieve/name/rules") != name
    assert scripts.look_up(other, f"priv/sieve/data/{name}") is None


@pytest.mark.parametrize("key", ["priv/sieve/name/other", "priv/sieve/data/", "priv/sieve/", "priv/sieve/data/x"])
def test_other_names_lead_to_nothing(key: str) -> None:
    assert RuleScripts().look_up(user("ann@example.org")._replace(mail_rules=RULES), key) is None


@pytest.mark.parametrize("rules", [None, checked_rules([{"match": "always", "enabled": False}])])
def test_without_rules_in_force_there_is_no_script(rules: str | None) -> None:
    entry = user("ann@example.org")._replace(mail_rules=rules)
    assert RuleScripts().look_up(entry, "priv/sieve/name/rules") is None


@pytest.mark.parametrize("rules", [None, checked_rules([{"match": "always", "enabled": False}]), "{"])
def test_who_asks_for_a_script_always_gets_an_empty_one(rules: str | None) -> None:
    entry = user("ann@example.org")._replace(mail_rules=rules)
    assert RuleScripts().look_up(entry, "priv/sieve/name/rules-or-none") == "none"
    assert RuleScripts().look_up(entry, "priv/sieve/data/none") == "# There are no rules.\n"


def test_who_asks_for_a_script_always_gets_the_one_that_there_is() -> None:
    scripts, entry = RuleScripts(), user("ann@example.org")._replace(mail_rules=RULES)
    name = scripts.look_up(entry, "priv/sieve/name/rules")
    assert name
    assert scripts.look_up(entry, "priv/sieve/name/rules-or-none") == name


@pytest.mark.parametrize("text", ["{", "[1]", '[{"match": "never"}]', "7"])
def test_what_cannot_be_read_is_no_script_and_is_said(text: str, caplog: pytest.LogCaptureFixture) -> None:
    entry = user("ann@example.org")._replace(mail_rules=text)
    assert RuleScripts().look_up(entry, "priv/sieve/name/rules") is None
    assert "the rules of ann@example.org cannot be read" in caplog.text

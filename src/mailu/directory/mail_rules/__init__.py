"""What people want done with their mail: an ordered list of rules, as values, and the Sieve script made of them.

``values`` reads and checks rules and writes them as JSON, which the column ``user.mail_rules`` holds; ``script`` makes
the Sieve script. What people type is never code: it becomes a quoted string there, and nothing else.
"""

from mailu.directory.mail_rules.script import sieve_script
from mailu.directory.mail_rules.values import (
    FIELDS,
    MAX_CONDITIONS,
    MAX_RULES,
    TESTS,
    BadRule,
    Condition,
    Field,
    Rule,
    Test,
    checked_rules,
    read_rules,
    shown_rule,
    stored_rules,
    written_rules,
)

__all__ = [
    "FIELDS",
    "MAX_CONDITIONS",
    "MAX_RULES",
    "TESTS",
    "BadRule",
    "Condition",
    "Field",
    "Rule",
    "Test",
    "checked_rules",
    "read_rules",
    "shown_rule",
    "sieve_script",
    "stored_rules",
    "written_rules",
]

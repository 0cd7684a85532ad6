"""From rules to a Sieve script (RFC 5228), which Dovecot runs after ours and before the person's own.

Texts of people stand between quotation marks, where RFC 5228 s2.4.2 knows two characters only that mean anything; no
extension is asked for that would read more into them (variables, encoded-character).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mailu.directory.mail_rules.values import Condition, Rule

SEPARATOR = "."
"""Between the levels of a folder's name: that of Maildir++, since Dovecot is not told another one."""
_ADDRESSES = {"from": '"from"', "to": '"to"', "cc": '"cc"', "recipient": '["to", "cc"]'}
_HEADERS = {**_ADDRESSES, "subject": '"subject"', "list-id": '"list-id"'}


def sieve_script(rules: Sequence[Rule]) -> str:
    """The script for all *rules* that are switched on, in their order. Empty where there are none."""
    used = [rule for rule in rules if rule.enabled]
    if not used:
        return ""
    needed = sorted({name for rule in used for name in _extensions(rule)})
    head = f"require [{', '.join(map(quoted, needed))}];\n" if needed else ""
    return head + "".join(f"\n# Rule {number}\n{_rule(rule)}" for number, rule in enumerate(rules, 1) if rule.enabled)


def quoted(text: str) -> str:
    """*text* as a quoted string: backslash and quotation mark are escaped. It holds no control characters."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _extensions(rule: Rule) -> list[str]:
    found = []
    if rule.folder:
        found += ["fileinto", "mailbox"]
    if rule.mark_read or rule.mark_flagged:
        found.append("imap4flags")
    if rule.forward:
        found.append("copy")
    return found


def _rule(rule: Rule) -> str:
    lines = [f"  {action};\n" for action in _actions(rule)]
    return f"if {_test(rule)} {{\n{''.join(lines)}}}\n"


def _actions(rule: Rule) -> list[str]:
    found = []
    if rule.forward:
        found.append(f"redirect :copy {quoted(rule.forward)}")
    if rule.mark_read:
        found.append('addflag "\\\\Seen"')
    if rule.mark_flagged:
        found.append('addflag "\\\\Flagged"')
    if rule.folder:
        found.append(f"fileinto :create {quoted(rule.folder.replace('/', SEPARATOR))}")
    if rule.discard:
        found.append("discard")
    if rule.stop:
        found.append("stop")
    return found


def _test(rule: Rule) -> str:
    if rule.match == "always":
        return "true"
    tests = [_condition(condition) for condition in rule.conditions]
    if len(tests) == 1:
        return tests[0]
    return f"{'allof' if rule.match == 'all' else 'anyof'} ({', '.join(tests)})"


def _condition(condition: Condition) -> str:
    if condition.field == "size":
        return f"size :{condition.test} {condition.value}M"
    header = quoted(condition.header) if condition.field == "header" else _HEADERS[condition.field]
    return _TESTS[condition.test](condition, header)


def _contains(condition: Condition, header: str) -> str:
    return f"header :contains {header} {quoted(condition.value)}"


def _is(condition: Condition, header: str) -> str:
    """The whole address without the name beside it; of List-Id what stands in angle brackets (RFC 2919 s2)."""
    value = quoted(condition.value)
    if condition.field in _ADDRESSES:
        return f"address :is {header} {value}"
    if condition.field == "list-id":
        return f"anyof (header :is {header} {value}, header :contains {header} {quoted(f'<{condition.value}>')})"
    return f"header :is {header} {value}"


def _matches(condition: Condition, header: str) -> str:
    """``*`` stands for any characters, ``?`` for one."""
    kind = "address" if condition.field in _ADDRESSES else "header"
    return f"{kind} :matches {header} {quoted(condition.value)}"


_TESTS: dict[str, Callable[[Condition, str], str]] = {
    "contains": _contains,
    "not-contains": lambda condition, header: f"not {_contains(condition, header)}",
    "is": _is,
    "is-not": lambda condition, header: f"not {_is(condition, header)}",
    "matches": _matches,
    "exists": lambda _condition, header: f"exists {header}",
    "absent": lambda _condition, header: f"not exists {header}",
}

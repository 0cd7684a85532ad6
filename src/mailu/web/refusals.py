"""The directory's reasons in the visitor's language.

The directory gives its reasons in English, for every interface. The usual ones are known here by their form; one that
is not is shown as it is, which is better than hiding it.
"""

from __future__ import annotations

import re

from mailu.web.language import lazy

_KNOWN: tuple[tuple[re.Pattern[str], object], ...] = tuple(
    (re.compile(pattern), text)
    for pattern, text in (
        (r"at least 8 characters are needed", lazy("Please use at least 8 characters.")),
        (r"no blank can stand at the beginning or at the end", lazy("No blank can stand at the beginning or the end.")),
        (r"at most (?P<maximum>\d+) characters", lazy("At most %(maximum)s characters fit here.")),
        (r"at most (?P<maximum>\d+) octets, these are (?P<size>\d+) .*",
         lazy("This text is too long: it takes %(size)s of %(maximum)s bytes.")),
        (r"at most (?P<maximum>\d+) octets", lazy("This text is too long.")),
        (r"control characters and line ends are not allowed", lazy("Only one line of plain text fits here.")),
        (r"this cannot be empty", lazy("Please fill this in.")),
        (r"this is needed", lazy("Please fill this in.")),
        (r"(?P<given>'.*') is not an address: .*", lazy("%(given)s is not an e-mail address.")),
        (r"(?P<given>'.*') cannot stand before the @.*", lazy("%(given)s cannot stand before the @.")),
        (r"the part before the @ is missing", lazy("The part before the @ is missing.")),
        (r"the part before the @ is longer than .*", lazy("The part before the @ is too long.")),
        (r"(?P<given>'.*') is not a domain name: .*", lazy("%(given)s is not a domain name.")),
        (r"a domain name is missing", lazy("Please fill this in.")),
        (r"(?P<given>'.*') is not an IP address or a network.*",
         lazy("%(given)s is not an address or a network such as 192.0.2.0/24.")),
        (r"(?P<given>'.*') is not a number and a time.*", lazy("Please write a number and a time, such as 200/day.")),
        (r"(?P<domain>\S+) allows at most \d+ bytes a mailbox", lazy("%(domain)s allows less for a mailbox.")),
        (r"(?P<given>'.*') is not an address of (?P<domain>\S+)",
         lazy("%(given)s is not an address of %(domain)s.")),
        (r"at most (?P<days>\d+) days are possible: up to (?P<day>\S+)",
         lazy("At most %(days)s days are possible: up to %(day)s.")),
        (r"this day is over", lazy("This day is over.")),
        (r"a host is needed, such as .*", lazy("Please write a host, such as smtp.example.com:587.")),
        (r"a colon cannot be part of a user name here", lazy("A colon cannot be part of the user name.")),
        (r"an alias cannot stand for itself", lazy("An alias cannot stand for itself.")),
        (r"a whole number from (?P<low>-?\d+) to (?P<high>\d+) is needed",
         lazy("Please write a whole number from %(low)s to %(high)s.")),
        (r"letters, digits, dots, hyphens and underscores, up to 64, are possible",
         lazy("Letters, digits, dots, hyphens and underscores are possible, up to 64.")),
        (r"none of (?P<delimiters>\S+) can be in it, because a detail follows these",
         lazy("None of %(delimiters)s can be in a name.")),
        (r"this name is reserved", lazy("This name is reserved.")),
        (r"it is below (?P<domain>\S+), which somebody else looks after",
         lazy("It is below %(domain)s, which somebody else looks after.")),
        (r"a condition is needed, or the rule is for all mail",
         lazy("A condition is needed, or the rule is for mail of every kind.")),
        (r"what is deleted cannot be filed or marked", lazy("What is deleted cannot be filed or marked.")),
        (r"the rule does nothing", lazy("This rule would do nothing.")),
        (r"a size is over or under a number, and nothing else is",
         lazy("A size is larger or smaller than a number; nothing else is.")),
        (r"a whole number of megabytes from 1 to (?P<high>\d+) is needed",
         lazy("Please write a whole number of megabytes, up to %(high)s.")),
        (r"the name of a header has no blanks and no colon", lazy("The name of a header has no blanks and no colon.")),
        (r"whether a header is there is asked without a text",
         lazy("Whether something is there is asked without a text.")),
        (r"the name of a folder, such as Lists/News, is needed", lazy("Please write the name of a folder.")),
        (r"none of (?P<letters>.+) can be in the name of a folder",
         lazy("None of %(letters)s can be in the name of a folder.")),
        (r"(mail_rules: )?at most (?P<maximum>\d+) rules can send copies elsewhere",
         lazy("At most %(maximum)s rules can send copies elsewhere.")),
        (r"at most (?P<maximum>\d+) rules are possible.*", lazy("At most %(maximum)s rules are possible.")),
        (r"the name of a host has no blanks", lazy("The name of a host has no blanks.")),
    )
)  # fmt: skip


def shown_reason(reason: str) -> str:
    """*reason* for the visitor: a sentence."""
    for pattern, text in _KNOWN:
        if match := pattern.fullmatch(reason):
            return str(text) % match.groupdict() if match.groupdict() else str(text)
    return f"{reason[:1].upper()}{reason[1:]}."

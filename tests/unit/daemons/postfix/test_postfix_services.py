"""The operator's postfix.master: services replaced, added, or given one parameter more."""

from __future__ import annotations

import pytest

from mailu.daemons.postfix.services import apply, parse, write
from mailu.daemons.room import OverrideError

OURS = """# Services
192.0.2.1:25 inet n - n - - smtpd
  -o one=1
[2001:db8::1]:25 inet n - n - - smtpd
  -o one=1

# The queue
cleanup unix n - n - 0 cleanup
  -o { one = 1 2 }
"""
LISTENERS = {25: [("192.0.2.1:25", "inet"), ("[2001:db8::1]:25", "inet")], 587: [("gate-587", "pass")]}


def test_a_file_is_written_as_it_was_read() -> None:
    assert write(parse(OURS)) == OURS


def test_a_parameter_is_added_to_each_listener_of_a_port() -> None:
    text = apply(OURS, "smtp/inet/two = 2\n", LISTENERS)
    assert text.count("  -o one=1\n  -o { two = 2 }\n") == 2


def test_a_parameter_that_is_there_is_replaced_whatever_its_form() -> None:
    text = apply(OURS, "25/inet/one = 7\ncleanup/unix/one=a, b\n", LISTENERS)
    assert "one=1" not in text
    assert "one = 1 2" not in text
    assert text.count("  -o { one = 7 }\n") == 2
    assert "cleanup unix n - n - 0 cleanup\n  -o { one = a, b }\n" in text


def test_an_entry_is_replaced_on_every_address_and_keeps_its_comment() -> None:
    text = apply(OURS, "# mine\nsmtp/inet=smtp inet n - n - 5 smtpd -v -o a=b\n", LISTENERS)
    assert "192.0.2.1:25 inet n - n - 5 smtpd -v -o a=b\n" in text
    assert "[2001:db8::1]:25 inet n - n - 5 smtpd -v -o a=b\n" in text
    assert "one=1\n[" not in text
    assert text.startswith("# Services\n# Replaced by overrides/postfix/postfix.master\n")


def test_an_entry_of_its_own_is_added() -> None:
    text = apply(OURS, "policy/unix = policy unix - n n - 0 spawn user=nobody argv=/bin/true\n", LISTENERS)
    assert text.endswith(
        "\n# From overrides/postfix/postfix.master\npolicy unix - n n - 0 spawn user=nobody argv=/bin/true\n"
    )


def test_a_gated_listener_is_meant_by_its_port_too() -> None:
    ours = "gate-587 pass - - n - - smtpd\n"
    assert apply(ours, "submission/inet/a = 1", LISTENERS) == ours + "  -o { a = 1 }\n"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("smtp inet n - n - - smtpd", "expected service/type = entry"),
        ("smtp/inet = smtp inet n -", "at least 8 fields"),
        ("smtp/inet = smtp inet n - y - - smtpd", "chroot"),
        ("smtp/tcp = smtp tcp n - n - - smtpd", "no type of service"),
        ("10025/inet/a = b", "submission/inet"),
        ("smtps/inet/a = b", "port 465 is not open"),
        ("nothing/unix/a = b", "there is no service nothing/unix"),
    ],
)
def test_a_line_that_cannot_be_used_is_refused_with_its_number(line: str, words: str) -> None:
    with pytest.raises(OverrideError, match=rf"overrides/postfix/postfix.master line 2: .*{words}"):
        apply(OURS, f"# first\n{line}\n", LISTENERS)

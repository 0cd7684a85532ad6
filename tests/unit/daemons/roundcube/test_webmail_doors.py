"""The listeners that only the webmail uses."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.room_harness import HOST, make_request, make_settings

from mailu.daemons.dovecot.room import DovecotRoom
from mailu.daemons.postfix import ROOM as POSTFIX
from mailu.daemons.webmail_doors import Door, doors

WITH_DOORS = replace(HOST, webmail_imap_port=21_003, webmail_sieve_port=21_004, webmail_smtp_port=21_005)


def test_there_are_none_without_webmail() -> None:
    assert doors(make_settings(WEBMAIL="none"), WITH_DOORS) is None
    assert doors(make_settings(), HOST) is None


def test_on_one_machine_they_are_on_loopback() -> None:
    found = doors(make_settings(), WITH_DOORS)
    assert found is not None
    assert found.imap == Door("127.0.0.1", 21_003)
    assert found.smtp == Door("127.0.0.1", 21_005)


def test_for_a_webmail_elsewhere_they_have_their_old_numbers() -> None:
    found = doors(make_settings(WEBMAIL_ADDRESS="webmail"), WITH_DOORS)
    assert found is not None
    assert [door.port for door in (found.imap, found.sieve, found.smtp)] == [10143, 14190, 10025]


@pytest.mark.parametrize("version", [(2, 3), (2, 4)])
def test_dovecot_tells_the_judge_who_comes_by_them(version: tuple[int, int]) -> None:
    request = make_request(service="imap", host=replace(WITH_DOORS, dovecot=version))
    files = DovecotRoom().render(request)
    assert '["21003"] = true, ["21004"] = true' in files["directory.lua"].text
    assert 'return "webmail-" .. protocol' in files["directory.lua"].text
    configuration = files["dovecot.conf"].text
    for port in ("21003", "21004"):
        block = configuration.partition(f"port = {port}")[0].rpartition("inet_listener")[2]
        assert "= 127.0.0.1" in block


def test_postfix_asks_for_tokens_there_and_nowhere_else() -> None:
    text = POSTFIX.render(make_request(service="smtp", host=WITH_DOORS))["master.cf"].text
    before, mark, after = text.partition("127.0.0.1:21005 inet")
    assert mark
    assert "smtpd_sasl_service" not in before
    assert after.count("smtpd_sasl_service=webmail-smtp") == 1
    assert "smtpd_relay_restrictions=$submission_relay_restrictions" in after

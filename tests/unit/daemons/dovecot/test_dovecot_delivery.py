"""Delivery: where mail goes, what it is answered with, what is told to the directory."""

from __future__ import annotations

import time

import pytest
from tests.unit.daemons.dovecot.house import House, eventually, message

pytestmark = pytest.mark.daemons


def test_mail_for_nobody_is_refused(home: House) -> None:
    assert home.deliver("nobody@example.org").startswith("550 5.1.1")


def test_a_delivery_can_be_traced_by_its_message_id(home: House) -> None:
    home.deliver(home.person(), message(Message_ID="<trace.me@remote.example>"))
    assert "msgid=<trace.me@remote.example>, from=<stranger@remote.example>" in home.daemon.said()


def test_letters_other_than_ascii_in_a_header_are_kept(home: House) -> None:
    address = home.person()
    home.deliver(address, message(Subject="über"), sender="bücher@remote.example")
    assert home.messages(address)[0]["Subject"] == "über"


def test_the_usual_folders_are_there_and_subscribed(home: House) -> None:
    session = home.imap(home.person())
    listed = b"\n".join(line for line in session.lsub()[1] if isinstance(line, bytes))
    special = b"\n".join(line for line in session.list()[1] if isinstance(line, bytes))
    session.logout()
    for folder in (b"Trash", b"Drafts", b"Sent", b"Junk"):
        assert folder in listed
        assert b"\\" + folder in special


def test_the_directory_is_told_what_a_mailbox_holds(home: House) -> None:
    address = home.person(quota_bytes=10**6)
    home.deliver(address)
    after_delivery = home.around.usage.used_bytes[address]
    assert after_delivery > 100
    session = home.imap(address)
    session.select("INBOX")
    session.store("1", "+FLAGS", "\\Deleted")
    session.expunge()
    session.logout()
    assert eventually(lambda: home.around.usage.used_bytes[address] == 0)


def test_a_full_mailbox_defers_what_passed_the_check_before(home: House) -> None:
    address = home.person(quota_bytes=1000)
    big = message() + b"x" * 2000 + b"\r\n"
    assert home.deliver(address, big).startswith("452 4.2.2")
    assert home.deliver(address).startswith("250 ")


def test_imap_shows_the_quota(home: House) -> None:
    session = home.imap(home.person(quota_bytes=2_048_000))
    answer = session.getquotaroot("INBOX")
    session.logout()
    assert b'"User quota" (STORAGE 0 2000)' in answer[1][1][0]


def test_no_limit_is_no_limit(home: House) -> None:
    address = home.person(quota_bytes=0)
    assert home.deliver(address, message() + b"x" * 100_000 + b"\r\n").startswith("250 ")


@pytest.mark.parametrize(
    ("stars", "tolerance_percent", "folder"),
    [
        (12, 80, "INBOX"),
        (13, 80, "Junk"),
        (15, 100, "INBOX"),
        (1, 0, "Junk"),
        (0, 0, "INBOX"),
        (7, 46, "Junk"),
        (7, 47, "INBOX"),
    ],
)
def test_the_scale_of_the_tolerance(home: House, stars: int, tolerance_percent: int, folder: str) -> None:
    address = home.person(spam_threshold=tolerance_percent)
    home.deliver(address, message(X_Spam_Level="*" * stars))
    assert len(home.messages(address, folder)) == 1


@pytest.mark.parametrize(("mark", "seen"), [(True, True), (False, False)])
def test_what_is_filed_is_marked_as_read_when_that_is_wanted(home: House, mark: bool, seen: bool) -> None:
    address = home.person(spam_mark_as_read=mark)
    home.deliver(address, message(X_Spam_Level="*" * 15))
    [filed] = home.messages(address, "Junk")
    assert ("\\Seen" in filed["X-Flags"]) is seen


def test_without_the_filter_nothing_is_filed(home: House) -> None:
    address = home.person(spam_enabled=False)
    home.deliver(address, message(X_Spam_Level="*" * 15))
    assert len(home.messages(address)) == 1


def test_mail_for_an_alias_says_which(home: House) -> None:
    address = home.person()
    received = (
        "from a.example (a [192.0.2.1]) by mail.example.org (Postfix) with ESMTPS id 1 for <sales@example.org>; now"
    )
    home.deliver(address, f"Received: {received}\r\n".encode() + message())
    assert home.messages(address)[0].get_all("Delivered-To") == ["sales@example.org"]


def test_an_address_with_a_detail_belongs_to_its_person(home: House) -> None:
    address = home.person()
    detailed = address.replace("@", "+shop@")
    home.around.directory.accounts[detailed] = home.around.directory.accounts[address]
    assert home.deliver(detailed).startswith("250 ")
    assert len(home.messages(address)) == 1


def test_a_localpart_that_holds_a_delimiter_is_not_cut(home: House) -> None:
    home.around.directory.add("anna-maria@example.org")
    home.around.directory.add("anna@example.org")
    home.deliver("anna-maria@example.org")
    assert len(home.messages("anna-maria@example.org")) == 1
    assert home.messages("anna@example.org") == []


def test_waiting_clients_see_new_mail_also_after_their_process_is_put_away(home: House) -> None:
    address = home.person()
    session = home.imap(address)
    session.select("INBOX")
    session.send(b"x IDLE\r\n")
    assert session.readline().startswith(b"+")
    assert eventually(lambda: hibernates(home), 40), "SMALL_HOST hibernates after five seconds; idle processes end"
    home.deliver(address)
    assert b"EXISTS" in session.readline()
    session.send(b"DONE\r\n")
    while not session.readline().startswith(b"x OK"):
        pass
    session.logout()


def hibernates(home: House) -> bool:
    """Whether a process of this house holds hibernated connections and no imap process is there."""
    import subprocess

    listed = subprocess.run(
        ["ps", "-o", "comm=", "-g", str(home.daemon.process.pid)], capture_output=True, text=True, check=True
    ).stdout.split()
    return "imap-hibernate" in listed and "imap" not in listed


def test_the_configuration_starts_without_a_word_of_warning(home: House) -> None:
    first = home.daemon.said().partition("Connect from local")[0]
    assert not any(word in first for word in ("Warning", "Error", "Fatal")), first


def test_the_system_script_is_not_compiled_again_for_each_message(home: House) -> None:
    home.deliver(home.person())
    assert "system.svbin" not in home.daemon.said(), "Dovecot complains when it compiles and cannot store the result"


def test_searching_finds_words(home: House) -> None:
    address = home.person()
    home.deliver(address, message(Subject="Elderberry"))
    session = home.imap(address)
    session.select("INBOX")
    found = session.search(None, "SUBJECT", "elderberry")[1]
    session.logout()
    assert found == [b"1"]


def test_the_sieve_environment_does_not_outlive_its_message(home: House) -> None:
    """LMTP processes serve one person after another."""
    tolerant, strict = home.person(spam_threshold=100), home.person(spam_threshold=10)
    for _ in range(3):
        home.deliver(strict, message(X_Spam_Level="*****"))
        home.deliver(tolerant, message(X_Spam_Level="*****"))
    assert (len(home.messages(strict, "Junk")), len(home.messages(tolerant))) == (3, 3)
    assert time.time() > 0

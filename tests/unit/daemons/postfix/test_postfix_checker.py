"""Postfix's own tools read a configuration before it is used; what they say is said in the operator's terms."""

from __future__ import annotations

import dataclasses
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.daemons.postfix.stage import HOST, NAMES, certificate, networks, settings

from mailu.daemons.postfix import ROOM, checker
from mailu.daemons.room import CheckResult, OverrideError, RenderRequest
from mailu.deploy.generation import Generations, make_folder
from mailu.places import Places
from mailu.settings import Routed

pytestmark = pytest.mark.daemons


@pytest.fixture(scope="module")
def root() -> Iterator[Path]:
    """A root with certificates, in a place that Postfix's users can enter."""
    made = Path(tempfile.mkdtemp(prefix="pfc", dir="/tmp"))
    made.chmod(0o755)
    for name in NAMES:
        certificate(made / "certs", name)
    yield made
    shutil.rmtree(made)


def checked(root: Path, overrides: dict[str, str] | None = None, host: object = None, **other: object) -> CheckResult:
    """Render and check, as the agent does it."""
    generations = Generations(Places(root).service("smtp"))
    etc = generations.next()
    pairs = [(name, root / "certs" / f"{name}.pem", root / "certs" / f"{name}.key") for name in NAMES]
    facts = dataclasses.replace(HOST, **(host or {}))  # type: ignore[arg-type]
    request = RenderRequest(settings(root, **other), Places(root), facts, etc, overrides or {}, pairs)
    for folder in ROOM.folders(request):
        make_folder(folder)
    generations.write(etc, ROOM.render(request))
    return ROOM.check(request)


@pytest.mark.parametrize(
    "other",
    [
        {},
        {"bind_address4": "0.0.0.0", "bind_address6": "::"},
        {"tls_flavor": "notls"},
        {"proxy_protocol": frozenset({25, 465, 587}), "real_ip_from": networks("10.0.0.0/8")},
        {"relayhost": "[smart.example]:465", "relayuser": "us", "relaypassword": "secret"},
        {"relayhost": "[smart.example]:587", "relayuser": "us", "relaypassword": "secret"},
        {"slow_destinations": (Routed(NAMES[1], "turtle"),), "relaynets": networks("192.0.2.0/24", "2001:db8::/32")},
        {"tls_permissive": False, "tls_profile_submission": "modern", "inbound_tls_enforce": True},
        {"host": {"ipv6": False}},
    ],
)
def test_what_is_rendered_passes(root: Path, other: dict[str, object]) -> None:
    assert checked(root, **other) == CheckResult()  # type: ignore[arg-type]


def test_good_overrides_pass_and_tables_are_compiled(root: Path) -> None:
    overrides = {
        "postfix.cf": "smtpd_client_restrictions = check_client_access hash:/etc/postfix/own.map\n"
        "submission_recipient_restrictions = permit_sasl_authenticated, reject\n"
        "smtpd_restriction_classes = check_ours\ncheck_ours = reject_unlisted_sender\n"
        "smtpd_helo_restrictions = check_ours\n",
        "postfix.master": "smtp/inet/smtpd_client_connection_count_limit = 10\n",
        "own.map": "198.51.100.7 REJECT\n",
        "transport.map": "slow.example polite:\n",
        "tls_policy.map": "old.example may\n",
    }
    assert checked(root, overrides) == CheckResult()
    assert len(list(root.glob("run/smtp/etc.*/own.map.lmdb"))) == 1


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        (
            "postfix.cf",
            "# one\nsmtpd_foo = 1\n",
            "overrides/postfix/postfix.cf line 2: Postfix has no parameter smtpd_foo",
        ),
        ("postfix.cf", "message_size_limit = much\n", "message_size_limit"),
        ("postfix.cf", "smtpd_helo_restrictions = reject_foo\n", "unknown restriction reject_foo"),
        ("postfix.cf", "inet_protocols = ipv5\n", "ipv5"),
        ("postfix.master", "smtp/inet/smtpd_foo = 1\n", "postfix.master: Postfix has no parameter smtpd_foo"),
        (
            "postfix.master",
            "smtp/inet/smtpd_client_restrictions = reject_bar, permit\n",
            "unknown restriction reject_bar",
        ),
        ("postfix.master", "own/unix = own unix - n n - many pipe\n", "many"),
        ("transport.map", "good.example smtp:\nbad.example\n", "overrides/postfix/transport.map, line 2"),
        ("own.map", "a b\na c\n", "overrides/postfix/own.map"),
    ],
)
def test_a_mistake_is_a_problem_that_names_the_operators_file(root: Path, name: str, text: str, words: str) -> None:
    result = checked(root, {name: text})
    assert any(words in problem for problem in result.problems), result


def test_a_mistake_that_cannot_be_rendered_is_an_error_of_the_override(root: Path) -> None:
    with pytest.raises(OverrideError, match="line 1"):
        checked(root, {"postfix.cf": "what is this\n"})


@pytest.mark.parametrize(
    ("host", "level", "words"),
    [
        ({"resolver_validates": False}, "dane", ["OUTBOUND_TLS_LEVEL=dane needs a resolver that validates DNSSEC"]),
        ({"resolver_validates": False}, "encrypt", []),
        ({"resolves": False}, "encrypt", ["Nobody resolves names"]),
    ],
)
def test_what_the_machine_cannot_do_is_noted(root: Path, host: dict[str, object], level: str, words: list[str]) -> None:
    result = checked(root, host=host, outbound_tls_level=level)
    assert not result.problems
    assert [note for note, word in zip(result.notes, words, strict=True) if not note.startswith(word)] == []


def test_relay_rights_by_override_are_possible_and_noted(root: Path) -> None:
    result = checked(root, {"postfix.cf": "mynetworks = 192.0.2.0/24\n"})
    assert not result.problems
    assert "line 1: mynetworks decides who may send to others" in result.notes[0]


def test_files_of_old_that_have_no_effect_are_noted(root: Path) -> None:
    result = checked(root, {"mta-sts-daemon.yml": "a: b\n", "logrotate.conf": "x\n", "notes.txt": "x\n"})
    assert not result.problems
    assert [note.partition(" ")[0] for note in result.notes] == [
        "overrides/postfix/mta-sts-daemon.yml",
        "overrides/postfix/logrotate.conf",
        "overrides/postfix/notes.txt",
    ]


@pytest.mark.parametrize("word", ["reject_unknown_sender_domain", "check_policy_service", "permit_sasl_authenticated"])
def test_restrictions_of_the_installed_postfix_are_known(word: str) -> None:
    assert checker.smtpd_knows(word)
    assert not checker.smtpd_knows(word + "_x")

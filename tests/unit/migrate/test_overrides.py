"""What becomes of each override."""

from __future__ import annotations

import pytest

from mailu.migrate.overrides import Override, translate
from mailu.settings import BY_NAME


def outcomes(override: Override) -> list[str]:
    return [outcome for outcome, _text in override.sentences]


@pytest.mark.parametrize(
    ("path", "text", "variables"),
    [
        ("postfix/postfix.cf", "smtpd_banner = $myhostname ESMTP hello", {"SMTP_BANNER": "ESMTP hello"}),
        ("postfix/postfix.cf", "smtpd_banner = ${myhostname} ready\n", {"SMTP_BANNER": "ready"}),
        ("postfix/postfix.cf", "message_size_limit=100000000", {"MESSAGE_SIZE_LIMIT": "100000000"}),
        ("postfix/postfix.cf", "relayhost =\n  [smart.example]:587", {"RELAYHOST": "[smart.example]:587"}),
        ("postfix/postfix.cf", "maximal_queue_lifetime = 2d", {"QUEUE_LIFETIME": "172800"}),
        ("postfix/postfix.cf", "maximal_queue_lifetime = 3", {"QUEUE_LIFETIME": "259200"}),
        ("postfix/postfix.cf", "delay_warning_time = 4", {"DELAY_NOTICE": "14400"}),
        ("postfix/postfix.cf", "smtp_tls_security_level = encrypt", {"OUTBOUND_TLS_LEVEL": "encrypt"}),
        ("postfix/transport.map", "a.example polite:\nb.example  turtle:\n",
         {"SLOW_DESTINATIONS": "a.example:polite,b.example:turtle"}),
        ("postfix/tls_policy.map", "a.example may\nb.example dane-only\n",
         {"OUTBOUND_TLS_DESTINATIONS": "a.example:may,b.example:dane-only"}),
        ("dovecot/dovecot.conf", "mail_max_userip_connections=50\n", {"IMAP_MAX_CONNECTIONS": "50"}),
        ("dovecot/dovecot.conf", "login_greeting = Welcome\n", {"IMAP_GREETING": "Welcome"}),
        ("rspamd/actions.conf", "reject = 20;\nadd_header = 7;\ngreylist: 5\n",
         {"REJECT_SCORE": "20", "ADD_HEADER_SCORE": "7", "GREYLIST_SCORE": "5"}),
    ],
)  # fmt: skip
def test_what_has_a_setting_becomes_one(path: str, text: str, variables: dict[str, str]) -> None:
    override = translate(path, text)
    assert override.variables == variables
    assert override.kept is None
    assert set(outcomes(override)) == {"translated"}
    for name, value in variables.items():
        BY_NAME[name].kind.parse(value)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("postfix/postfix.cf", "smtp_destination_concurrency_limit = 5\n"),
        ("postfix/postfix.cf", "smtpd_banner = welcome to $mydomain\n"),
        ("postfix/postfix.cf", "message_size_limit = lots\n"),
        ("postfix/transport.map", "a.example smtp:[192.0.2.1]:25\n.b.example polite:\n"),
        ("postfix/tls_policy.map", "a.example secure match=nexthop\n[b.example]:587 encrypt\n"),
        ("postfix/own.map", "a b\n"),
        ("postfix/postfix.master", "smtp/inet/smtpd_client_connection_count_limit = 5\n"),
        ("dovecot/dovecot.conf", "protocol imap {\n  mail_max_userip_connections = 50\n}\n"),
        ("rspamd/actions.conf", "greylist = null;\n"),
        ("rspamd/multimap.conf", "X { type = \"from\"; }\n"),
        ("rspamd/forbidden_file_extension.map", "exe\n"),
        ("nginx/hello.conf", "location /hello { return 200; }\n"),
        ("roundcube/own.inc.php", "<?php\n"),
    ],
)  # fmt: skip
def test_the_rest_is_kept_to_the_letter(path: str, text: str) -> None:
    override = translate(path, text)
    assert override.kept == text
    assert not override.variables
    assert set(outcomes(override)) == {"kept"}


@pytest.mark.parametrize(
    "path",
    ["postfix/mta-sts-daemon.yml", "postfix/logrotate.conf", "postfix/readme.txt", "nginx/dovecot/proxy.conf",
     "nginx/readme", "dovecot/other.conf", "snappymail/x.ini", "roundcube/config.bak", "certs/x", "loose.txt"],
)  # fmt: skip
def test_what_nothing_reads_is_explained(path: str) -> None:
    override = translate(path, "something = else\n")
    assert override.kept is None
    assert outcomes(override) == ["explained"]


def test_a_file_is_divided_line_by_line() -> None:
    text = "# ours\nsmtpd_banner = $myhostname hi\nsmtpd_client_restrictions =\n  permit_mynetworks,\n  permit\n"
    override = translate("postfix/postfix.cf", text)
    assert override.kept == "# ours\nsmtpd_client_restrictions =\n  permit_mynetworks,\n  permit\n"
    assert override.variables == {"SMTP_BANNER": "hi"}


def test_a_policy_for_mta_sts_gives_way_to_our_own() -> None:
    policy = 'location ^~ /.well-known/mta-sts.txt {\n  if ($x) { return 200 "mode: enforce"; }\n}\n'
    override = translate("nginx/sts.conf", policy)
    assert (override.kept, outcomes(override)) == (None, ["explained"])
    assert "enforce" in override.sentences[0][1]
    both = translate("nginx/sts.conf", f"{policy}location /hello {{ return 200; }}\n")
    assert (both.kept or "").strip() == "location /hello { return 200; }"
    assert outcomes(both) == ["explained", "kept"]


def test_what_would_give_relay_rights_or_break_the_place_is_left_out() -> None:
    text = "mynetworks = 10.0.0.0/8\nqueue_directory = /var/spool\nnonsense\nsmtp_helo_timeout = 5\n"
    override = translate("postfix/postfix.cf", text)
    assert outcomes(override) == ["explained", "explained", "explained", "kept"]
    assert "10.0.0.0/8" in override.sentences[0][1]
    active = [line for line in (override.kept or "").splitlines() if not line.startswith("#")]
    assert active == ["smtp_helo_timeout = 5"]


def test_listeners_that_are_gone_are_left_out() -> None:
    override = translate("postfix/postfix.master", "10025/inet/x = y\nsmtp/inet/a = b\n")
    assert outcomes(override) == ["explained", "kept"]
    assert [line for line in (override.kept or "").splitlines() if not line.startswith("#")] == ["smtp/inet/a = b"]

"""The MTA-STS policy and its id."""

from __future__ import annotations

import re

from mailu.address import DomainName
from mailu.identity.mta_sts import policy, policy_id

HOSTS = [DomainName("mail.example.org"), DomainName("mx.example.org")]


def test_the_policy_has_the_lines_of_the_standard() -> None:
    assert policy(HOSTS) == (
        "version: STSv1\r\nmode: enforce\r\nmx: mail.example.org\r\nmx: mx.example.org\r\nmax_age: 604800\r\n"
    )


def test_the_id_changes_with_the_policy_only() -> None:
    assert policy_id(policy(HOSTS)) == policy_id(policy(HOSTS))
    assert len({policy_id(policy(HOSTS)), policy_id(policy(HOSTS, "testing")), policy_id(policy(HOSTS[:1]))}) == 3


def test_the_id_has_the_form_that_senders_accept() -> None:
    assert re.fullmatch(r"[A-Za-z0-9]{1,32}", policy_id(policy(HOSTS)))

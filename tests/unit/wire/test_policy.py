"""Policy requests as Postfix sends them, in any pieces, and replies that fit an SMTP line."""

from __future__ import annotations

import pytest

from mailu.wire import BadRequest, policy
from mailu.wire.policy import PolicyDecoder

REQUEST = b"""request=smtpd_access_policy
protocol_state=RCPT
protocol_name=ESMTP
client_address=192.0.2.7
client_name=client.example.net
client_port=51234
reverse_client_name=client.example.net
server_address=127.0.0.1
server_port=465
helo_name=laptop
sender=ann@example.com
recipient=bob@example.org
recipient_count=0
queue_id=
instance=1a2b.65f0c0de.3c4d5.0
size=4096
etrn_domain=
stress=
sasl_method=PLAIN
sasl_username=ann@example.com
sasl_sender=
ccert_subject=
ccert_issuer=
ccert_fingerprint=
ccert_pubkey_fingerprint=
encryption_protocol=TLSv1.3
encryption_cipher=TLS_AES_256_GCM_SHA384
encryption_keysize=256
policy_context=

"""


@pytest.mark.parametrize("size", [1, 16, 128, 4096])
def test_two_merged_requests_are_read_at_every_size(size: int) -> None:
    decoder, stream = PolicyDecoder(), REQUEST * 2
    requests = [
        request for start in range(0, len(stream), size) for request in decoder.feed(stream[start : start + size])
    ]
    assert len(requests) == 2
    first = requests[0]
    assert first == requests[1]
    assert (first.protocol_state, first.sender, first.recipient) == ("RCPT", "ann@example.com", "bob@example.org")
    assert (first.sasl_username, first.size_bytes, first.client_port, first.server_port) == (
        "ann@example.com",
        4096,
        51234,
        465,
    )
    assert first.instance == "1a2b.65f0c0de.3c4d5.0"


def test_absent_and_unknown_numbers_are_zero() -> None:
    (request,) = PolicyDecoder().feed(b"request=smtpd_access_policy\nclient_port=unknown\nsize=\n\n")
    assert (request.client_port, request.size_bytes, request.recipient_count) == (0, 0, 0)
    assert request.sender == ""


def test_a_value_may_hold_an_equals_sign() -> None:
    (request,) = PolicyDecoder().feed(b"request=smtpd_access_policy\nsender=prvs=abc=ann@example.com\n\n")
    assert request.sender == "prvs=abc=ann@example.com"


def test_bytes_that_are_no_text_can_be_logged_and_equal_no_address() -> None:
    (request,) = PolicyDecoder().feed(b"request=smtpd_access_policy\nsender=\xff\xfeann@example.com\n\n")
    assert request.sender == r"\xff\xfeann@example.com"
    request.sender.encode()


@pytest.mark.parametrize(
    "stream",
    [
        b"\n\n",
        b"nonsense\n\n",
        b"request=junk\n\n",
        b"sender=a\n\n",
        b"sender=" + b"x" * policy.MAX_REQUEST_BYTES + b"\n\n",
        b"sender=" + b"x" * policy.MAX_REQUEST_BYTES,
    ],
)
def test_anything_else_is_refused(stream: bytes) -> None:
    with pytest.raises(BadRequest):
        list(PolicyDecoder().feed(stream))


def test_an_action_is_one_printable_line_that_fits_an_smtp_reply() -> None:
    assert policy.encode_action("DUNNO") == b"action=DUNNO\n\n"
    assert policy.encode_action("550 5.2.1 no\r\n\r\naction=OK") == b"action=550 5.2.1 no action=OK\n\n"
    assert policy.encode_action("550 \x1b[2J") == b"action=550 ?[2J\n\n"
    assert len(policy.encode_action("450 " + "x" * 5000)) < 512

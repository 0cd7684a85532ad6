"""A smart host takes all mail for others, and the password only through TLS."""

from __future__ import annotations

import base64
import ssl

import pytest
from tests.unit.daemons.postfix.stage import NAMES, Stage, address

from mailu.daemons.postfix import ROOM
from mailu.settings import Routed

pytestmark = pytest.mark.daemons

NO_ROUTES = {"transport.map": "# none\n"}
USER, PASSWORD = "us@smart.example", "pass $word#"


def test_implicit_tls_on_port_465_with_a_log_in() -> None:
    with Stage(
        bind_address4=address(14),
        overrides=NO_ROUTES | {"tls_policy.map": f"[{address(41)}]:465 encrypt\n"},
        relayhost=f"[{address(41)}]:465",
        slow_destinations=(Routed(NAMES[1], "turtle"),),
        relayuser=USER,
        relaypassword=PASSWORD,
    ) as stage:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(stage.root / "certs" / f"{NAMES[0]}.pem", stage.root / "certs" / f"{NAMES[0]}.key")
        smart, _ = stage.neighbours.smtp(address(41), 465, tls=context, more=("AUTH PLAIN LOGIN",))
        with stage.logged_in() as client:
            body = b"Subject: by the smart host\r\n\r\nx\r\n"
            assert client.mail("ann@example.com", "x@anywhere.example", f"y@{NAMES[1]}", body=body).startswith("250")
        smart.wait("anywhere.example")
        smart.wait(f"y@{NAMES[1]}")
        word = base64.b64decode(smart.log_ins[0].rpartition(" ")[2])
    assert word.decode() == f"\0{USER}\0{PASSWORD}"


@pytest.mark.parametrize(("level", "sent"), [("may", False), ("none", True)])
def test_without_tls_the_password_is_sent_only_if_tls_was_switched_off(level: str, sent: bool) -> None:
    with Stage(
        bind_address4=address(15),
        overrides=NO_ROUTES,
        relayhost=f"[{address(42)}]:587",
        outbound_tls_level=level,
        relayuser=USER,
        relaypassword=PASSWORD,
    ) as stage:
        smart, _ = stage.neighbours.smtp(address(42), 587, more=("AUTH PLAIN LOGIN",))
        with stage.logged_in() as client:
            client.mail("ann@example.com", "x@anywhere.example", body=b"Subject: plain\r\n\r\nx\r\n")
        if sent:
            smart.wait("plain")
            assert len(smart.log_ins) == 1
        else:
            stage.hear("status=deferred")
            assert smart.log_ins == []


def test_relayed_domains_take_that_way_too() -> None:
    with Stage(bind_address4=address(16), overrides=NO_ROUTES, relayhost=f"[{address(43)}]:2587") as stage:
        smart, _ = stage.neighbours.smtp(address(43), 2587)
        with stage.connect() as client:
            body = b"Subject: relayed on\r\n\r\nx\r\n"
            assert client.mail("stranger@remote.example", "x@relayed.example", body=body).startswith("250")
        assert smart.wait("relayed on").sender.startswith("SRS0=")
        assert ROOM.ready(stage.request(stage.places.service("smtp") / "etc")) is None

"""The rendered configuration: compared with golden files, and read by Postfix's own tools.

``UPDATE_GOLDEN=1`` writes the golden files anew; read the difference before you commit it.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path

import pytest
from tests.unit.daemons.postfix.stage import HOST, NAMES, networks, settings

from mailu.daemons.postfix import ROOM
from mailu.daemons.room import Folder, OverrideError, RenderRequest
from mailu.daemons.template import TemplateError
from mailu.places import Places
from mailu.settings import Routed

ROOT = Path("/mailu")
GOLDEN = Path(__file__).parents[3] / "golden" / "postfix"
CERTIFICATES = [(name, ROOT / "certs" / f"{name}.pem", ROOT / "certs" / f"{name}.key") for name in NAMES]
OVERRIDES = {
    "postfix.cf": "smtpd_timeout = 60s\nsmtpd_helo_restrictions = check_client_access hash:/etc/postfix/own.map\n",
    "postfix.master": "submission/inet/smtpd_client_connection_count_limit = 10\n",
    "own.map": "198.51.100.7 REJECT\n",
    "transport.map": "slow.example polite:",
    "tls_policy.map": "old.example may\n",
}
VARIANTS: dict[str, dict[str, object]] = {
    "default": {
        "bind_address4": "0.0.0.0",
        "bind_address6": "::",
        "ports": frozenset({25, 465}),
    },
    "own_address": {
        "bind_address4": "203.0.113.5",
        "bind_address6": "2001:db8::5",
        "relaynets": networks("192.0.2.0/24", "2001:db8:1::/48"),
        "message_size_limit": 20_000_000,
        "reject_unlisted_recipient": False,
        "smtp_banner": "ESMTP at $home",
        "postmaster": "admin",
    },
    "behind_a_balancer": {
        "proxy_protocol": frozenset({25, 465, 587}),
        "real_ip_from": networks("10.0.0.0/8"),
        "tls": frozenset({443, 993}),
    },
    "notls": {"tls_flavor": "notls", "outbound_tls_level": "none", "delay_notice": 0, "small_host": True},
    "strict": {
        "tls_permissive": False,
        "inbound_tls_enforce": True,
        "tls_profile_submission": "modern",
        "defer_on_tls_error": False,
        "queue_lifetime": 86_400,
    },
    "smart_host": {
        "relayhost": "[smart.example]:465",
        "relayuser": "us",
        "relaypassword": "pass word$",
        "outbound_tls_level": "secure",
        "slow_destinations": (Routed(NAMES[1], "polite"),),
    },
    "overrides": {"slow_destinations": (Routed(NAMES[1], "turtle"),)},
}


def request(variant: str = "default", overrides: Mapping[str, str] | None = None, **other: object) -> RenderRequest:
    """What the agent would hand over, for a root that is not there."""
    values: dict[str, object] = {"bind_address4": "127.0.15.1", "bind_address6": "", "message_size_limit": 50_000_000}
    chosen = settings(ROOT, **{**values, **VARIANTS[variant], **other})
    host = dataclasses.replace(HOST, resolver_validates=variant != "notls", resolves=variant != "notls")
    given = OVERRIDES if variant == "overrides" else {}
    certificates = CERTIFICATES[:1] if variant == "strict" else CERTIFICATES
    return RenderRequest(chosen, Places(ROOT), host, ROOT / "run/smtp/etc.1", overrides or given, certificates)


@pytest.mark.parametrize("variant", VARIANTS)
def test_each_variant_is_as_it_was(variant: str) -> None:
    folder = GOLDEN / variant
    files = {name: file.text for name, file in ROOM.render(request(variant)).items()}
    if os.environ.get("UPDATE_GOLDEN"):
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.iterdir():
            old.unlink()
        for name, text in files.items():
            (folder / name).write_text(text)
    assert {path.name: path.read_text() for path in folder.iterdir()} == files


def test_the_same_request_gives_the_same_files() -> None:
    assert ROOM.render(request("overrides")) == ROOM.render(request("overrides"))


@pytest.mark.parametrize("variant", VARIANTS)
def test_no_parameter_stands_twice_and_lines_can_be_read(variant: str) -> None:
    lines = ROOM.render(request(variant))["main.cf"].text.splitlines()
    names = [line.partition("=")[0].strip() for line in lines if line and line[0] not in "# \t"]
    assert len(names) == len(set(names))
    assert max(map(len, lines)) <= 200


def test_secrets_and_keys_are_for_root_only() -> None:
    files = ROOM.render(request("smart_host"))
    assert files["relay_password"].mode == 0o600
    assert files["certificates"].mode == 0o600
    assert [name for name, file in files.items() if "pass word$" in file.text] == ["relay_password"]


def test_nobody_is_trusted_for_being_near() -> None:
    for variant in VARIANTS:
        main_cf = ROOM.render(request(variant))["main.cf"].text
        listed = [line for line in main_cf.splitlines() if line.startswith("mynetworks")]
        assert listed == ["mynetworks = 192.0.2.0/24 [2001:db8:1::]/48" if variant == "own_address" else "mynetworks ="]


def test_a_setting_cannot_add_lines() -> None:
    with pytest.raises(TemplateError):
        ROOM.render(request("smart_host", relayuser="x\n* y"))
    with pytest.raises(TemplateError):
        ROOM.render(request("smart_host", relaypassword="x\n* y"))


def test_a_banner_is_text_and_looks_nothing_up() -> None:
    assert "smtpd_banner = $myhostname ESMTP at $$home\n" in ROOM.render(request("own_address"))["main.cf"].text


@pytest.mark.parametrize("name", ["deeper/own.map", "own table.map", ".map"])
def test_a_table_has_a_plain_name(name: str) -> None:
    with pytest.raises(OverrideError, match="a table stands in the folder itself"):
        ROOM.render(request(overrides={name: "a b\n"}))


def test_the_queue_and_the_state_have_their_folders() -> None:
    assert ROOM.folders(request()) == [
        Folder(ROOT / "mailqueue"),
        Folder(ROOT / "run/smtp"),
        Folder(ROOT / "run/smtp/data", "postfix", "postfix", 0o700),
        Folder(ROOT / "mailqueue/cache", "postfix", "postfix", 0o700),
    ]


def test_the_command_is_master_in_the_foreground_and_the_gate_only_where_it_is_needed() -> None:
    etc = ROOT / "run/smtp/etc"
    master = ["/usr/lib/postfix/sbin/master", "-c", str(etc), "-s"]
    assert ROOM.command(request(), etc) == master
    command = ROOM.command(request("behind_a_balancer"), etc)
    assert command[-4:] == master
    assert command[2:-5] == [
        *("--queue", "/mailu/mailqueue", "--from", "10.0.0.0/8"),
        *("--listen", "127.0.15.1", "25", "--listen", "127.0.15.1", "465", "--listen", "127.0.15.1", "587"),
    ]
    assert Path(command[1]).is_file()
    assert ROOM.user() is None
    assert ROOM.environment(request()) == {}

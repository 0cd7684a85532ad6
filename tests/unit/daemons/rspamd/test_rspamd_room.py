"""The room of Rspamd: what it writes, and what its checkers say."""

from __future__ import annotations

import struct
from dataclasses import replace
from pathlib import Path

import pytest
from tests.room_harness import HOST, compare_with_golden, install, make_request, root_folder, this_host

from mailu.daemons.room import ConfigFile, RenderRequest
from mailu.daemons.rspamd import ROOM, dmarc_report_command
from mailu.daemons.rspamd.checker import read_words
from mailu.daemons.rspamd.milter import negotiation, packet
from mailu.daemons.rspamd.overrides import merge

GOLDEN_HOST = replace(HOST, unbound_port=21_002, fuzzy_port=21_003)
EVERYTHING = {
    "ANTIVIRUS": "clamav",
    "ANTIVIRUS_ACTION": "discard",
    "SCAN_MACROS": "true",
    "DMARC_SEND_REPORTS": "true",
    "RELAYNETS": "192.0.2.0/24,2001:db8::/48",
    "SITENAME": 'Example "Mail"',
    "REJECT_SCORE": "20",
    "LOG_LEVEL": "WARNING",
}
MACHINES = {
    "REDIS_ADDRESS": "redis",
    "ANTISPAM_ADDRESS": "antispam",
    "ANTIVIRUS": "clamav",
    "ANTIVIRUS_ADDRESS": "antivirus",
    "DIRECTORY_ADDRESS": "directory",
}


def request_of(variant: str) -> RenderRequest:
    """The request of a golden variant."""
    match variant:
        case "default":
            return make_request(service="antispam", host=GOLDEN_HOST)
        case "everything":
            overrides = {"actions.conf": "reject = 30;\n", "custom.conf": "a = 1;\n", "phishing.conf": "x = y;\n"}
            return make_request(EVERYTHING, service="antispam", host=GOLDEN_HOST, overrides=overrides)
        case "small-offline":
            host = replace(GOLDEN_HOST, resolver_port=0, resolver_validates=False, resolves=False)
            return make_request({"SMALL_HOST": "true"}, service="antispam", host=host)
        case "machines":
            return make_request(MACHINES, service="antispam", host=GOLDEN_HOST)
    raise AssertionError(variant)


def text(request: RenderRequest, name: str) -> str:
    return ROOM.render(request)[name].text


@pytest.mark.parametrize("variant", ["default", "everything", "small-offline", "machines"])
def test_the_configuration_is_the_golden_one(variant: str) -> None:
    compare_with_golden(f"rspamd/{variant}", ROOM.render(request_of(variant)))


def test_files_with_passwords_are_for_root_and_the_filter_only() -> None:
    request = request_of("default")
    settings = request.settings
    secrets = (settings.service_key("REDIS"), settings.service_key("RSPAMD"), HOST.directory_secret)
    for name, file in ROOM.render(request).items():
        closed = (file.mode, file.owner, file.group) == (0o640, "root", "_rspamd")
        assert closed or not any(secret in file.text for secret in secrets), name


def test_the_stock_password_and_the_trust_in_loopback_are_gone() -> None:
    controller = text(request_of("default"), "local.d/worker-controller.inc")
    assert '"q1"' not in controller
    assert "secure_ip = [];" in controller


def test_only_listed_networks_are_local() -> None:
    assert "local_addrs = [];" in text(request_of("default"), "override.d/options.inc")
    listed = text(request_of("everything"), "override.d/options.inc")
    assert 'local_addrs = ["192.0.2.0/24", "2001:db8::/48"];' in listed


def test_the_extensions_of_old_are_refused_and_onenote_with_them() -> None:
    extensions = text(request_of("default"), "local.d/forbidden_file_extension.map").split()
    assert len(extensions) == len(set(extensions)) == 69
    assert {"exe", "one", "vhd", "iso", "jar", "ace", "xll"} <= set(extensions)


def test_block_lists_wait_for_a_resolver_of_our_own_or_one_that_validates() -> None:
    def lists_off(**changes: object) -> bool:
        host = replace(GOLDEN_HOST, **changes)  # type: ignore[arg-type]
        return "enabled = false;\n{" not in text(make_request(host=host), "local.d/rbl.conf") and (
            text(make_request(host=host), "local.d/rbl.conf").splitlines()[-1] == "enabled = false;"
        )

    assert not lists_off()
    assert not lists_off(resolver_port=0)
    assert lists_off(resolver_port=0, resolver_validates=False)
    assert lists_off(resolves=False)


def test_without_any_name_server_our_own_one_says_so_at_once() -> None:
    offline = replace(GOLDEN_HOST, resolver_port=0, resolver_validates=False, resolves=False)
    assert 'nameserver = ["127.0.0.1:21002:1"];' in text(make_request(host=offline), "local.d/options.inc")
    online = replace(offline, resolves=True)
    assert "nameserver" not in text(make_request(host=online), "local.d/options.inc")


def test_nothing_is_fetched_from_the_internet_but_dns_answers() -> None:
    for variant in ("default", "everything", "machines"):
        for name, file in ROOM.render(request_of(variant)).items():
            lines = [line for line in file.text.splitlines() if not line.lstrip().startswith(("#", "//", "--"))]
            assert "https://" not in "\n".join(lines), name


def test_a_small_machine_scans_in_one_process_with_a_short_list() -> None:
    files = ROOM.render(request_of("small-offline"))
    assert "self_scan = yes;" in files["local.d/worker-proxy.inc"].text
    assert "enabled = false;" in files["local.d/worker-normal.inc"].text
    assert "enabled = false;" in files["local.d/worker-fuzzy.inc"].text
    suffixes = files["suffixes.txt"].text.splitlines()
    assert {"com", "co.uk", "com.br", "github.io", "xn--p1ai"} & set(suffixes) >= {
        "com",
        "co.uk",
        "com.br",
        "github.io",
    }
    assert len(suffixes) < 4000


def test_the_operators_file_of_a_shipped_name_is_merged_above_it() -> None:
    shipped = {"local.d/a.conf": ConfigFile("ours\n", 0o640, "root", "_rspamd"), "override.d/b.conf": ConfigFile("b\n")}
    files = merge(shipped, {"a.conf": "theirs\n", "b.conf": "theirs\n"}, Path("/etc"))
    assert files["overrides/a.conf"].text == "theirs\n"
    assert files["local.d/a.conf"].text.startswith("ours\n")
    assert '.include(try=true; priority=2; duplicate=merge) "/etc/overrides/a.conf"' in files["local.d/a.conf"].text
    assert files["local.d/a.conf"].mode == 0o640
    assert '.include(try=true; priority=11; duplicate=merge) "/etc/overrides/b.conf"' in files["override.d/b.conf"].text


@pytest.mark.parametrize(
    ("given", "place"),
    [
        ("new.conf", "local.d/new.conf"),
        ("new.map", "local.d/new.map"),
        ("local.d/x.conf", "local.d/x.conf"),
        ("override.d/x.conf", "override.d/x.conf"),
        ("maps.d/x.map", "maps.d/x.map"),
        ("strange/x.conf", "local.d/strange/x.conf"),
    ],
)
def test_the_operators_other_files_stand_beside_ours(given: str, place: str) -> None:
    assert merge({}, {given: "x"}, Path("/etc"))[place].text == "x"


def test_the_operators_map_takes_the_place_of_ours() -> None:
    files = merge({"local.d/a.map": ConfigFile("ours\n")}, {"a.map": "theirs\n"}, Path("/etc"))
    assert {name: file.text for name, file in files.items()} == {"local.d/a.map": "theirs\n"}


def test_a_module_that_is_off_comes_back_with_an_override() -> None:
    assert "enabled = false" in text(make_request(), "local.d/ratelimit.conf")
    request = make_request(overrides={"ratelimit.conf": "rates { }\n"})
    assert text(request, "local.d/ratelimit.conf") == "rates { }\n"


def test_look_ups_that_fail_while_checking_are_no_problem() -> None:
    said = "address resolution for x failed: Name or service not known\nsyntax OK\n\nbad option: y\n"
    assert read_words(said) == ("bad option: y",)


def test_the_reports_are_sent_with_the_same_configuration() -> None:
    command = dmarc_report_command(request_of("default"), Path("/mailu/run/antispam/etc"))
    assert command[0] == "/usr/bin/rspamadm"
    assert "--var=LOCAL_CONFDIR=/mailu/run/antispam/etc" in command
    assert command[-3:] == ["dmarc_report", "-c", "/etc/rspamd/rspamd.conf"]


def test_a_packet_is_length_letter_and_data() -> None:
    assert packet(b"Q") == b"\0\0\0\x01Q"
    assert negotiation() == b"\0\0\0\x0dO" + struct.pack("!III", 6, 0x1FF, 0)


def test_not_ready_is_said_in_words(tmp_path: Path) -> None:
    reason = ROOM.ready(make_request(root=tmp_path))
    assert reason == f"Rspamd does not answer on {tmp_path}/run/antispam/controller: No such file or directory"


@pytest.mark.daemons
@pytest.mark.parametrize("variables", [{}, EVERYTHING, {"SMALL_HOST": "yes"}])
def test_the_checker_takes_every_variant(variables: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mailu.daemons.rspamd.compile_expressions", lambda *args, **kwargs: None)
    with root_folder("rs") as root:
        request = make_request(variables, root=root, service="antispam", host=GOLDEN_HOST)
        install(ROOM, request)
        assert ROOM.check(request).problems == ()


@pytest.mark.daemons
def test_a_bad_override_is_refused_with_its_name() -> None:
    with root_folder("rs") as root:
        overrides = {"actions.conf": "reject = {{{\n"}
        request = make_request(root=root, service="antispam", host=this_host(), overrides=overrides)
        install(ROOM, request)
        problems = ROOM.check(request).problems
        assert any("overrides/actions.conf" in problem for problem in problems), problems

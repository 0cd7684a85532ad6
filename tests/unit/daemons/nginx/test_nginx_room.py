"""The room of nginx: what it writes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tests.room_harness import HOST, compare_with_golden, install, make_request, root_folder, this_host

from mailu.daemons.nginx import ROOM, read_words
from mailu.daemons.room import RenderRequest

CERTIFICATES = (
    ("mail.example.org", Path("/mailu/certs/cert.pem"), Path("/mailu/certs/key.pem")),
    ("mx.example.org", Path("/mailu/certs/cert.pem"), Path("/mailu/certs/key.pem")),
)
PER_NAME = tuple(
    (name, Path(f"/mailu/certs/letsencrypt/live/{name}/fullchain.pem"), Path(f"/mailu/certs/letsencrypt/live/{name}/k"))
    for name in ("mail.example.org", "mx.example.org")
)
SELF_SIGNED = tuple(
    (name, Path("/mailu/certs/self-signed/cert.pem"), Path("/mailu/certs/self-signed/key.pem"))
    for name in ("mail.example.org", "mx.example.org")
)
EVERYTHING = {
    "TLS_FLAVOR": "letsencrypt",
    "API": "true",
    "WEBDAV": "radicale",
    "WEBROOT_REDIRECT": "/webmail",
    "TLS_PROFILE_WEB": "modern",
}
BEHIND_A_PROXY = {
    "REAL_IP_FROM": "192.0.2.1,2001:db8::/32",
    "PROXY_PROTOCOL": "all",
    "BIND_ADDRESS4": "192.0.2.9",
    "LOG_LEVEL": "WARNING",
}
OFFLOADED = {
    "TLS": "465,993,995",
    "REAL_IP_FROM": "10.0.0.0/8",
    "REAL_IP_HEADER": "X-Forwarded-For",
    "WEBROOT_REDIRECT": "none",
    "WEB_WEBMAIL": "/",
    "TLS_PROFILE": "old",
}


def request_of(variant: str) -> RenderRequest:
    """The request of a golden variant."""
    match variant:
        case "default":
            return make_request(service="front", certificates=CERTIFICATES)
        case "everything":
            host = replace(HOST, debian=13)
            overrides = {"hello.conf": 'location /hello { return 200 "hi"; }\n', "dovecot/proxy.conf": "x"}
            return make_request(EVERYTHING, service="front", host=host, certificates=PER_NAME, overrides=overrides)
        case "behind-a-proxy":
            return make_request(BEHIND_A_PROXY, service="front", certificates=CERTIFICATES)
        case "offloaded":
            return make_request(OFFLOADED, service="front", certificates=CERTIFICATES)
        case "notls-small":
            return make_request({"TLS_FLAVOR": "notls", "SMALL_HOST": "yes", "WEBMAIL": "none"}, service="front")
        case "self-signed":
            request = make_request(service="front", certificates=SELF_SIGNED)
            return replace(request, certificate_problems=(("mail.example.org", "cert.pem is <gone>"),))
        case "machines":
            variables = {"ADMIN_ADDRESS": "admin", "ANTISPAM_ADDRESS": "antispam", "WEBMAIL_ADDRESS": "webmail"}
            return make_request(variables, service="front", certificates=CERTIFICATES)
    raise AssertionError(variant)


VARIANTS = ["default", "everything", "behind-a-proxy", "offloaded", "notls-small", "self-signed", "machines"]


def site(request: RenderRequest) -> str:
    return ROOM.render(request)["site.conf"].text


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_configuration_is_the_golden_one(variant: str) -> None:
    compare_with_golden(f"nginx/{variant}", ROOM.render(request_of(variant)))


def test_the_file_with_the_filters_password_is_for_root_only() -> None:
    files = ROOM.render(request_of("default"))
    assert files["site.conf"].mode == 0o600
    password = request_of("default").settings.service_key("RSPAMD")
    assert [name for name, file in files.items() if password in file.text] == ["site.conf"]


def test_switched_off_parts_have_no_paths() -> None:
    text = site(make_request({"API": "false", "ADMIN": "false", "WEBMAIL": "none"}, certificates=CERTIFICATES))
    for path in (" /api/", " /admin/", " /sso/", " /webmail/", " /webdav/", "antispam"):
        assert f"location ^~{path}" not in text


def test_names_with_certificates_of_their_own_get_blocks_of_their_own() -> None:
    text = ROOM.render(request_of("everything"))["nginx.conf"].text
    assert text.count("include /mailu/run/front/etc/site.conf;") == 2
    assert "server_name mx.example.org;" in text
    assert text.count("default_server") == 2  # IPv4 and IPv6 of the first block only


def test_a_self_signed_certificate_is_not_pinned_to_browsers() -> None:
    text = ROOM.render(request_of("self-signed"))["nginx.conf"].text
    assert 'set $strict_transport "";\n        set $untrusted 1;' in text
    assert "max-age" not in text


def test_the_certificate_page_shows_the_problem_and_no_markup_of_it() -> None:
    page = ROOM.render(request_of("self-signed"))["pages/certificate.html"].text
    assert "cert.pem is &lt;gone&gt;" in page
    assert "/mailu/certs/cert.pem" in page


def test_on_a_machine_without_ipv6_nothing_listens_there() -> None:
    host = replace(HOST, ipv6=False)
    text = ROOM.render(make_request(host=host, certificates=CERTIFICATES))["nginx.conf"].text
    assert "[::]" not in text


def test_settings_cannot_smuggle_directives_in() -> None:
    page = ROOM.render(make_request({"SITENAME": 'x"; } server { <b>'}, certificates=CERTIFICATES))
    assert not any('x"; }' in file.text for file in page.values())


@pytest.mark.parametrize(
    ("returncode", "words", "problems", "notes"),
    [
        (0, "nginx: the configuration file x syntax is ok\nnginx: x test is successful\n", (), ()),
        (0, "2026/01/01 10:00:00 [warn] 12#12: odd in x:3\nnginx: x test is successful", (), ("odd in x:3",)),
        (1, "2026/01/01 10:00:00 [emerg] 12#12: unknown \"z\" in x:3\nnginx: x failed", ('unknown "z" in x:3',), ()),
        (1, "nginx: [emerg] cannot load certificate", ("cannot load certificate",), ()),
        (1, "", ("nginx -t ended with 1",), ()),
    ],
)  # fmt: skip
def test_the_words_of_the_checker_are_sorted(
    returncode: int, words: str, problems: tuple[str, ...], notes: tuple[str, ...]
) -> None:
    result = read_words(returncode, words)
    assert (result.problems, result.notes) == (problems, notes)


@pytest.mark.daemons
def test_a_bad_override_is_refused_with_its_file_and_line() -> None:
    with root_folder("rs") as root:
        request = make_request(
            {"TLS_FLAVOR": "notls", "BIND_ADDRESS4": "127.0.17.40"},
            root=root,
            service="front",
            host=this_host(),
            overrides={"bad.conf": "\nnonsense on;\n"},
        )
        install(ROOM, request)
        result = ROOM.check(request)
        assert result.problems == (f'unknown directive "nonsense" in {request.etc}/overrides/bad.conf:2',)


def test_not_ready_is_said_in_words() -> None:
    reason = ROOM.ready(make_request({"BIND_ADDRESS4": "127.0.17.41"}))
    assert reason == "nginx does not answer on 127.0.17.41 port 80: Connection refused"


def test_without_web_ports_there_is_nothing_to_ask() -> None:
    assert ROOM.ready(make_request({"PORTS": "25,465,993"})) is None

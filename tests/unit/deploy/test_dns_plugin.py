"""certbot's plug-in is installed when it is one of its authors', in the version that fits, and else left alone."""

from __future__ import annotations

import sys
from importlib import metadata
from pathlib import Path

import pytest
from tests.room_harness import make_settings

from mailu.deploy import dns_plugin, machine

ISSUED = {"TLS_FLAVOR": "letsencrypt"}


@pytest.mark.parametrize(
    ("variables", "package"),
    [
        (ISSUED | {"ACME_DNS_PLUGIN": "cloudflare"}, "certbot-dns-cloudflare"),
        ({"TLS_FLAVOR": "cert", "ACME_DNS_PLUGIN": "cloudflare"}, None),
        (ISSUED | {"ACME_DNS_PLUGIN": "cloudfare"}, None),
        (ISSUED | {"ACME_DNS_PLUGIN": "hook"}, None),
        (ISSUED, None),
    ],
)
def test_only_what_belongs_to_certbot_is_missing(
    tmp_path: Path, variables: dict[str, str], package: str | None
) -> None:
    missing = dns_plugin.missing_plugin(make_settings(tmp_path, **variables))
    assert missing == (f"{package}=={metadata.version('certbot')}" if package else None)


def test_a_plugin_that_is_there_is_not_installed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    versions = {"certbot": "5.8.0", "certbot-dns-ovh": "5.8.0"}
    monkeypatch.setattr(metadata, "version", versions.__getitem__)
    settings = make_settings(tmp_path, ACME_DNS_PLUGIN="ovh", **ISSUED)
    assert dns_plugin.missing_plugin(settings) is None
    versions["certbot"] = "5.9.0"
    assert dns_plugin.missing_plugin(settings) == "certbot-dns-ovh==5.9.0"


def test_without_the_network_it_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []

    def fails(command: list[str], *, seconds: float) -> tuple[int, str]:
        asked.append(command)
        return 1, "collecting\nERROR: no matching distribution"

    monkeypatch.setattr(machine, "text_of", fails)
    told: list[str] = []
    (warning,) = dns_plugin.ensure_plugin(make_settings(tmp_path, ACME_DNS_PLUGIN="ovh", **ISSUED), told=told.append)
    assert "no matching distribution" in warning
    assert asked[0][:4] == [sys.executable, "-m", "pip", "install"]
    assert told == [f"installing certbot-dns-ovh=={metadata.version('certbot')}"]

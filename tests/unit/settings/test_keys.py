"""Derived keys are those of the Mailu that is moved from."""

from __future__ import annotations

import base64
import hmac
from pathlib import Path

from mailu.settings import Settings, load_settings
from mailu.settings.keys import application_keys, service_key

ISSUED = "SRS0=ENC2=JM=example.net=alice@example.org"
"""Written by Mailu's own program whose secret key, FIXTURE0FIXTURE0, was the application's key itself."""


def settings_with(key: str, *, from_file: Path | None = None) -> Settings:
    given = {"DOMAIN": "example.org", "HOSTNAMES": "mail.example.org"}
    if from_file is None:
        return load_settings(None, given | {"SECRET_KEY": key})
    from_file.write_text(key)
    return load_settings(None, given | {"SECRET_KEY_FILE": str(from_file)})


def srs_hash(key: bytes) -> str:
    """The four characters of SRS0 for the issued address: HMAC-SHA-1 over stamp, domain and localpart in lower case."""
    return base64.b64encode(hmac.new(key, b"jmexample.netalice", "sha1").digest())[:4].decode()


def test_an_address_that_was_issued_can_be_reversed() -> None:
    keys = settings_with("FIXTURE0FIXTURE0").srs_keys
    assert ISSUED.split("=")[1] in [srs_hash(key) for key in keys]


def test_a_secret_key_from_a_file_is_the_application_s_key_itself(tmp_path: Path) -> None:
    settings = settings_with("FIXTURE0FIXTURE0", from_file=tmp_path / "key")
    assert srs_hash(settings.derive_key("SRS_KEY")) == "ENC2"


def test_otherwise_the_application_s_key_is_derived_first() -> None:
    # Computed by hand: HMAC-SHA-256 with key FIXTURE0FIXTURE0 over "SECRET", in hexadecimal.
    expected = hmac.new(b"FIXTURE0FIXTURE0", b"SECRET", "sha256").hexdigest()
    settings = settings_with("FIXTURE0FIXTURE0")
    assert application_keys("FIXTURE0FIXTURE0", from_file=False)[0] == expected
    assert settings.derive_key("SRS_KEY") == hmac.new(expected.encode(), b"SRS_KEY", "sha256").digest()


def test_both_ways_are_tried_whichever_is_right_first(tmp_path: Path) -> None:
    direct = settings_with("FIXTURE0FIXTURE0").derive_keys("SRS_KEY")
    from_file = settings_with("FIXTURE0FIXTURE0", from_file=tmp_path / "key").derive_keys("SRS_KEY")
    assert direct == tuple(reversed(from_file))


def test_the_key_of_a_service_is_hexadecimal_and_its_own() -> None:
    assert service_key("k", "ROUNDCUBE") == hmac.new(b"k", b"ROUNDCUBE", "sha256").hexdigest()
    assert service_key("k", "ROUNDCUBE") != service_key("k", "SNUFFLEUPAGUS") != service_key("l", "SNUFFLEUPAGUS")


def test_the_way_survives_being_handed_on(tmp_path: Path) -> None:
    settings = settings_with("FIXTURE0FIXTURE0", from_file=tmp_path / "key")
    assert Settings.from_json(settings.to_json()).derive_key("SRS_KEY") == settings.derive_key("SRS_KEY")

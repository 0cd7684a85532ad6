"""DKIM keys come and go with the rows, all of them or none."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from tests.unit.directory.archive.conftest import ME, exported, refused

from mailu.address import DomainName
from mailu.configuration import Configuration
from mailu.directory.archive import document_of, read_document
from mailu.directory.changes import Conflict
from mailu.identity.dkim import load_keys
from mailu.identity.dkim_staging import StagedKeys, canonical_pem, generated_pem

A = DomainName("a.test")


def files(configuration: Configuration) -> dict[str, str]:
    return {path.name: path.read_text() for path in configuration.places.dkim.iterdir()}


def update(configuration: Configuration, **domain: object) -> None:
    configuration.apply(document_of({"domain": [{"name": "a.test", **domain}]}), actor=ME, update=True)


def test_a_key_is_generated_replaced_kept_and_removed(filled: Configuration) -> None:
    update(filled, dkim_key="-generate-")
    (first,) = load_keys(filled.places.dkim, A)
    assert (first.selector, first.algorithm) == ("dkim", "rsa")
    update(filled, dkim_key="<hidden>")
    update(filled, comment="x")
    assert load_keys(filled.places.dkim, A) == [first]
    update(filled, dkim_key=generated_pem())
    assert load_keys(filled.places.dkim, A) != [first]
    update(filled, dkim_key="")
    assert files(filled) == {}


@pytest.mark.parametrize("form", ["pem", "lines", "base64", "indented"])
def test_a_key_is_taken_in_every_form_it_was_ever_written_in(filled: Configuration, form: str) -> None:
    pem = generated_pem()
    body = "".join(line for line in pem.splitlines() if "-----" not in line)
    forms = {
        "pem": pem,
        "lines": pem.splitlines(),
        "base64": body,
        "indented": "\n".join(f"  {line}\r" for line in pem.splitlines()),
    }
    update(filled, dkim_key=forms[form])
    assert files(filled) == {"a.test.dkim.key": pem}


def test_other_keys_move_between_their_states(filled: Configuration) -> None:
    pem = generated_pem("ed25519")
    update(filled, dkim_keys=[{"selector": "next", "state": "pending", "private_key": pem}])
    assert files(filled) == {"a.test.next.key-pending": pem}
    update(filled, dkim_keys=[{"selector": "next", "state": "active", "private_key": "<hidden>"}])
    assert files(filled) == {"a.test.next.key": pem}
    assert "private_key: |" in exported(filled, secrets=True)
    assert pem.splitlines()[1] not in exported(filled, full=True)


@pytest.mark.parametrize(
    "given",
    [
        {"dkim_key": "rubbish"},
        {"dkim_key": base64.b64encode(b"rubbish").decode()},
        {"dkim_key": 7},
        {"dkim_key": "-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n"},
        {"dkim_keys": [{"selector": "next", "state": "old", "private_key": "-"}]},
        {"dkim_keys": "x"},
    ],
)
def test_what_is_no_key_is_refused(filled: Configuration, given: dict[str, object]) -> None:
    document = document_of({"domain": [{"name": "a.test", **given}]})
    (said,) = refused(lambda each: filled.apply(each, actor=ME, update=True), document)
    assert said.startswith("domain[0].dkim_key")
    assert files(filled) == {}


def test_keys_that_a_document_does_not_speak_of_stay(filled: Configuration) -> None:
    update(filled, dkim_key="-generate-")
    before = files(filled)
    filled.apply(read_document("domain: [{name: a.test}]"), actor=ME)
    assert files(filled) == before


def test_the_keys_of_a_deleted_domain_go(filled: Configuration) -> None:
    update(filled, dkim_key="-generate-")
    filled.apply(read_document("domain: [{name: b.test}]"), actor=ME)
    assert files(filled) == {}


def test_a_transaction_that_fails_leaves_the_keys(filled: Configuration, monkeypatch: pytest.MonkeyPatch) -> None:
    update(filled, dkim_key="-generate-")
    before = files(filled)

    def fail(*_arguments: object, **_named: object) -> None:
        raise Conflict("a.test", "domain")

    monkeypatch.setattr("mailu.directory.archive.apply_plan", fail)
    with pytest.raises(Conflict):
        update(filled, dkim_key="-generate-")
    assert files(filled) == before


def test_a_folder_that_cannot_be_written_fails_before_the_rows_are(filled: Configuration) -> None:
    before = exported(filled)
    filled.places.dkim.rmdir()
    with pytest.raises(FileNotFoundError):
        update(filled, dkim_key="-generate-", comment="new")
    filled.places.dkim.mkdir()
    assert exported(filled) == before


def test_the_file_of_an_earlier_mailu_keeps_its_name(tmp_path: Path) -> None:
    (tmp_path / "bücher.test.dkim.key").write_text(generated_pem("ed25519"))
    pem = generated_pem("ed25519")
    with StagedKeys(tmp_path) as keys:
        keys.put(DomainName("xn--bcher-kva.test"), "dkim", "active", pem)
        keys.commit()
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"bücher.test.dkim.key": canonical_pem(pem)}

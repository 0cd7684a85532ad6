"""Rspamd gets the keys of each domain, under the name it asks for, and every domain has some."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from tests.directory_harness import snapshot, until

from mailu.directory.snapshot import DomainEntry, Snapshot
from mailu.identity.dkim import DkimKeyError, Selector, import_key, load_keys
from mailu.servers.signing import SigningKeys

SELECTORS = (Selector("dkim", "rsa"), Selector("dkim-ed25519", "ed25519"))
QUICK = (Selector("dkim", "ed25519"),)


def ask(keys: SigningKeys, domain: str) -> list[dict[str, Any]] | None:
    answer = asyncio.run(keys.vault_answer(snapshot(), domain))
    return None if answer is None else json.loads(answer)["data"]["selectors"]


def provide(keys: SigningKeys, directory: Snapshot, folder: Path, files: int) -> None:
    async def run() -> None:
        keys.snapshot_changed(directory)
        task = asyncio.create_task(keys.run(lambda: directory))
        await until(lambda: len(list(folder.glob("*.key"))) >= files, seconds=60)
        task.cancel()
        await asyncio.wait([task])

    asyncio.run(run())


def test_every_domain_gets_keys_and_an_alternative_signs_with_those_of_its_domain(tmp_path: Path) -> None:
    keys = SigningKeys(tmp_path, QUICK)
    assert ask(keys, "example.com") is None
    provide(keys, snapshot(), tmp_path, 3)
    own, other = ask(keys, "example.com"), ask(keys, "example.net")
    assert own is not None
    assert other is not None
    assert own[0]["domain"] == "example.com"
    assert other[0]["domain"] == "example.net"
    assert own[0]["key"] == other[0]["key"] == load_keys(tmp_path, snapshot().alternatives["example.net"])[0].rspamd_key
    assert own[0]["selector"] == "dkim"
    keys.close()


def test_a_domain_that_is_not_ours_has_no_keys(tmp_path: Path) -> None:
    keys = SigningKeys(tmp_path, QUICK)
    assert ask(keys, "elsewhere.test") is None
    assert ask(keys, "relayed.test") is None
    keys.close()


def test_keys_that_are_there_are_not_added_to(tmp_path: Path) -> None:
    domain = snapshot().alternatives["example.net"]
    other = tmp_path / "other"
    other.mkdir()
    keys = SigningKeys(other, QUICK)
    provide(keys, Snapshot(domains={domain: DomainEntry(domain, -1, -1, 0, False, False)}), other, 1)
    import_key(tmp_path, domain, "old", load_keys(other, domain)[0].private_pem.encode())
    provide(SigningKeys(tmp_path, SELECTORS), Snapshot(domains={domain: DomainEntry(domain, -1, -1, 0, False, False)}),
            tmp_path, 1)  # fmt: skip
    assert [key.selector for key in load_keys(tmp_path, domain)] == ["old"]
    keys.close()


def test_a_changed_folder_is_read_again(tmp_path: Path) -> None:
    keys = SigningKeys(tmp_path, QUICK)
    provide(keys, snapshot(), tmp_path, 3)
    before = ask(keys, "example.com")
    assert ask(keys, "example.com") == before
    (tmp_path / "example.com.dkim.key").rename(tmp_path / "example.com.second.key")
    after = ask(keys, "example.com")
    assert after is not None
    assert after[0]["selector"] == "second"
    keys.close()


def test_a_key_that_cannot_be_used_is_not_the_same_as_none(tmp_path: Path) -> None:
    (tmp_path / "example.com.dkim.key").write_text("rubbish")
    keys = SigningKeys(tmp_path, QUICK)
    with pytest.raises(DkimKeyError):
        ask(keys, "example.com")
    keys.close()

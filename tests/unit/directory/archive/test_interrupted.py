"""An import that is killed leaves the old state whole, and the next one works."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.unit.directory.archive.conftest import HASH, ME, exported

from mailu.configuration import Configuration
from mailu.directory.archive import document_of

SCRIPT = """
import sys
from mailu.configuration import Configuration
from mailu.directory.archive import read_document
from mailu.directory.changes import Actor
from mailu.directory.store import open_store
from mailu.settings import load_settings
root, document = sys.argv[1:]
settings = load_settings(None, {"ROOT": root, "SECRET_KEY": "0" * 16, "DOMAIN": "a.test", "HOSTNAMES": "m.a.test"})
configuration = Configuration(settings, open_store(settings.database_uri))
print("begin", flush=True)
configuration.apply(read_document(open(document).read()), actor=Actor("x", "y"))
print("done", flush=True)
"""


@pytest.mark.parametrize("moment", ["at the first row", "near the end"])
def test_a_killed_import_changed_nothing(filled: Configuration, tmp_path: Path, moment: str) -> None:
    before, root = exported(filled), filled.places.root
    document = tmp_path / "big.yml"
    users = "".join(f"  - {{email: u{n}@new.test, password: '{HASH}'}}\n" for n in range(20_000))
    document.write_text(f"domain: [{{name: new.test, dkim_key: -generate-}}]\nuser:\n{users}")
    importer = subprocess.Popen([sys.executable, "-c", SCRIPT, str(root), str(document)], stdout=subprocess.PIPE)
    try:
        _wait_for_writes(root, 1 if moment == "at the first row" else 6_000_000)
        assert importer.poll() is None
        os.kill(importer.pid, signal.SIGKILL)
        assert importer.wait() == -signal.SIGKILL
    finally:
        importer.kill()
        assert importer.stdout is not None
        assert b"done" not in importer.stdout.read()
        importer.stdout.close()
    assert exported(filled) == before
    with sqlite3.connect(root / "data" / "main.db") as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()
    assert not list((root / "dkim").glob("*.key"))
    filled.apply(document_of({"domain": [{"name": "next.test"}]}), actor=ME, update=True)
    assert "next.test" in exported(filled)


def _wait_for_writes(root: Path, octets: int) -> None:
    """Until so much of the transaction stands in the write-ahead log, which it reaches before it commits."""
    log, began = root / "data" / "main.db-wal", time.monotonic()
    start = log.stat().st_size if log.exists() else 0
    while not log.exists() or log.stat().st_size < start + octets:
        assert time.monotonic() - began < 60
        time.sleep(0.005)

"""What the long-lived processes have loaded while nothing happens: each library costs megabytes on every machine."""

from __future__ import annotations

import subprocess
import sys

import pytest

SELDOM = {"alembic", "mako", "pygments", "httpx", "rich", "typer", "dns", "smtplib", "xml", "prometheus_client"}
LARGE = {"fastapi", "pydantic", "webauthn", "OpenSSL", "pyasn1", "cryptography.hazmat"}


def loaded_by(module: str) -> set[str]:
    """Modules that are loaded once *module* is."""
    program = f"import sys, {module}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("module", "too_much"),
    [
        ("mailu.servers.directory", SELDOM | LARGE | {"jinja2", "mailu.daemons", "sqlalchemy.dialects.mysql"}),
        ("mailu.servers.admin", SELDOM - {"xml"} | LARGE | {"mailu.api", "mailu.identity.certificates"}),
        ("mailu.deploy.native", SELDOM | LARGE | {"sqlalchemy", "redis", "plistlib"}),
    ],
)
def test_a_process_does_not_load_what_it_rarely_needs(module: str, too_much: set[str]) -> None:
    assert not loaded_by(module) & too_much


def test_the_heap_gives_back_what_was_taken_for_a_moment() -> None:
    program = """
import gc
from mailu.memory import give_back

def resident_kib():
    return int(open("/proc/self/statm").read().split()[1]) * 4

taken = [bytes(1000) for _ in range(40_000)]
kept = [bytes(1000) for _ in range(10)]
full = resident_kib()
del taken
gc.collect()
give_back()
print(full - resident_kib())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert int(done.stdout) > 20_000, "of 40,000 KiB"

"""The scenarios of mail on the other Debian; only when MAILU_TEST_DEBIAN13 asks for it, because it takes long."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

RUN = Path(__file__).with_name("run")
CANNOT = 77


@pytest.mark.daemons
@pytest.mark.timeout(3600)
@pytest.mark.skipif(not os.environ.get("MAILU_TEST_DEBIAN13"), reason="MAILU_TEST_DEBIAN13 is not set")
def test_mail_flows_on_debian_13() -> None:
    environment = {**os.environ, "MAILU_TEST_NETWORK": os.environ.get("MAILU_TEST_NETWORK", "127.0.19")}
    done = subprocess.run([str(RUN)], capture_output=True, text=True, check=False, env=environment)
    if done.returncode == CANNOT:
        pytest.skip(done.stderr.strip().splitlines()[-1])
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]

"""What pages cost with many mailboxes: as much as with few."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.bench.pages import measure

FEW, MANY = 100, 10_000
LIMIT = 2.0
"""Times the cost with few. The goal of 1.2 is for `python -m tests.bench.pages` on a calm machine; here other tests run
beside, and what has to be found is a page that looks at every mailbox: that costs twenty times as much."""


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_every_page_costs_the_same_with_many_mailboxes(tmp_path: Path) -> None:
    found = measure(tmp_path, (FEW, MANY), rounds=3)
    assert len(found) > 70
    slower = {name: times for name, times in found.items() if times[MANY] > LIMIT * times[FEW]}
    assert slower == {}

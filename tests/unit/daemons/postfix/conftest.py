"""One stage for all tests of what a standing server does."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.unit.daemons.postfix.stage import Stage


@pytest.fixture(scope="session")
def stage() -> Iterator[Stage]:
    """Postfix with its defaults, on 25, 465 and 587."""
    with Stage() as standing:
        yield standing

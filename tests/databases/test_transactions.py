"""The tests of the store, on PostgreSQL and MariaDB."""

import pytest
from tests.unit.directory.test_store import *  # noqa: F403

pytestmark = [pytest.mark.databases]

"""The tests of the same name, on PostgreSQL and MariaDB."""

import pytest
from tests.unit.directory.archive.conftest import empty, filled, make, replace, update  # noqa: F401
from tests.unit.directory.archive.test_round_trip import *  # noqa: F403

pytestmark = [pytest.mark.databases]

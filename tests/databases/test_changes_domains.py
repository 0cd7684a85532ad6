"""The tests of the same name, on PostgreSQL and MariaDB."""

import pytest
from tests.unit.directory.test_changes_domains import *  # noqa: F403

pytestmark = [pytest.mark.databases]

"""The tests of the same name, on PostgreSQL and MariaDB."""

import pytest
from tests.unit.api.conftest import admin, client, connect, scoped_token  # noqa: F401
from tests.unit.api.test_resources import *  # noqa: F403

pytestmark = [pytest.mark.databases]

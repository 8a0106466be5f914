"""A Redis for the tests of a module."""

import pytest


@pytest.fixture(scope="module")
def module_redis(new_redis):
    server = new_redis()
    yield server
    server.stop()

"""State folders for the tests of `roadstead up`."""

from collections.abc import Iterator

import pytest

from tests.real.up.house import House


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    """One house for the tests of a module; each brings it into the state that it needs."""
    made = House()
    yield made
    made.remove()


@pytest.fixture
def empty_house() -> Iterator[House]:
    """A house in which nothing has run yet."""
    made = House()
    yield made
    made.remove()

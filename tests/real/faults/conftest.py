"""One deployment for all faults: what it has gone through makes it no worse for the next."""

from collections.abc import Iterator

import pytest

from tests.real.faults.place import Place, place
from tests.real.faults.truths import Kept


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with place(tmp_path_factory.mktemp("place")) as made:
        yield made


@pytest.fixture
def site(shared: Place) -> Place:
    """The deployment, whole."""
    shared.mend()
    return shared


@pytest.fixture(scope="session")
def kept() -> list[Kept]:
    """Servers that run since an earlier fault; every later one has to leave them alone."""
    return []

"""Databases for the ledger: SQLite and a real PostgreSQL."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.real.postgres import postgres


@pytest.fixture(scope="session")
def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = (
        Path("/tmp") / f"pg-{tmp_path_factory.getbasetemp().name}-{id(tmp_path_factory)}"
    )  # a folder that its own account reaches
    with postgres(folder) as url:
        yield url

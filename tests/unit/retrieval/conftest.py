"""A collection for each test."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from tests.collecting import Hashed, Shelved
from tests.servers import PostgresServer

from bottega.retrieval.collections.server import Server


@pytest.fixture
def shelved(tmp_path: Path) -> Shelved:
    """In files."""
    return Shelved(tmp_path, Hashed())


@pytest.fixture(params=["files", "postgresql"])
def either(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shelved]:
    """Each test runs on files and on a real PostgreSQL with pgvector."""
    if request.param == "files":
        yield Shelved(tmp_path, Hashed())
        return
    postgres: PostgresServer = request.getfixturevalue("postgres")
    with closing(Server(postgres.url())) as server:
        yield Shelved(tmp_path, Hashed(), server)

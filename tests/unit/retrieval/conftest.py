"""A collection for each test."""

from pathlib import Path

import pytest
from tests.collecting import Hashed, Shelved


@pytest.fixture
def shelved(tmp_path: Path) -> Shelved:
    return Shelved(tmp_path, Hashed())

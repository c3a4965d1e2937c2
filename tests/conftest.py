"""Fixtures that every test may use."""

from collections.abc import Callable
from pathlib import Path

import pytest

from bottega.core.artifact import Artifact
from bottega.core.canonical import digest_bytes
from bottega.engines.base import Bench
from bottega.settings import Settings


@pytest.fixture(scope="session")
def weights() -> Callable[[str], Path]:
    """A catalog model's folder; `make test` has pulled it."""
    models = Settings().home / "models"

    def folder(model: str) -> Path:
        path = models / model
        assert path.is_dir(), f"run: bottega pull {model}"
        return path

    return folder


class Files:
    """An artifact store in a folder: what tests hand to engines."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def __call__(self, content: Path | bytes | str, media_type: str) -> Artifact:
        if isinstance(content, str):
            content = content.encode()
        data = content if isinstance(content, bytes) else content.read_bytes()
        sha256 = digest_bytes(data)
        (self.root / sha256).write_bytes(data)
        return Artifact(sha256=sha256, media_type=media_type, size=len(data))

    def locate(self, artifact: Artifact) -> Path:
        return self.root / artifact.sha256


@pytest.fixture
def store_file(tmp_path: Path) -> Files:
    """Call it with bytes, text or a path to get an `Artifact` that `bench` can locate."""
    root = tmp_path / "artifacts"
    root.mkdir()
    return Files(root)


@pytest.fixture
def bench(tmp_path: Path, store_file: Files, weights: Callable[[str], Path]) -> Bench:
    """A bench over `store_file`."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    return Bench(scratch=scratch, locate=store_file.locate, weights=weights)

"""The artifact store."""

import os
from pathlib import Path

import pytest

from bottega.core.artifact import Artifact
from bottega.core.canonical import digest_bytes
from bottega.core.errors import NotFound, StorageFailed, Tampered
from bottega.storage.artifacts import ArtifactStore


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path / "artifacts")


def test_an_artifact_is_known_by_the_hash_of_its_bytes(store: ArtifactStore) -> None:
    artifact = store.put(b"hello", "text/plain")
    assert artifact == Artifact(sha256=digest_bytes(b"hello"), media_type="text/plain", size=5)
    assert store.locate(artifact).read_bytes() == b"hello"
    assert store.put(b"hello", "text/plain") == artifact


def test_a_file_and_its_bytes_are_the_same_artifact(store: ArtifactStore, tmp_path: Path) -> None:
    path = tmp_path / "big.bin"
    path.write_bytes(os.urandom(3 << 20))
    assert store.put_file(path, "application/octet-stream") == store.put(
        path.read_bytes(), "application/octet-stream"
    )


def test_a_damaged_artifact_is_found(store: ArtifactStore) -> None:
    artifact = store.put(b"hello", "text/plain")
    path = store.locate(artifact)
    path.chmod(0o644)
    path.write_bytes(b"hellO")
    with pytest.raises(Tampered, match="now hashes to"):
        store.verify(artifact)


def test_what_is_not_there_is_said(store: ArtifactStore) -> None:
    with pytest.raises(NotFound):
        store.locate(Artifact(sha256="0" * 64, media_type="text/plain", size=1))


def test_a_full_disk_leaves_nothing_half_written(
    store: ArtifactStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Path, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(StorageFailed, match="No space left"):
        store.put(b"hello", "text/plain")
    assert [path for path in store.root.rglob("*") if path.is_file()] == []

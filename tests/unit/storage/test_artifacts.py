"""The artifact store, on disk, in a bucket and sealed."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from bottega.core.artifact import Artifact
from bottega.core.canonical import digest_bytes
from bottega.core.errors import InvalidValue, NotFound, Tampered
from bottega.storage.artifacts import ArtifactStore
from bottega.storage.cache import Cache
from bottega.storage.s3 import S3Objects

KEY = bytes(range(32))
STRANGER = Artifact(sha256="0" * 64, media_type="text/plain", size=1)


@pytest.fixture
def disk(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path / "artifacts")


@pytest.fixture(params=["disk", "bucket", "sealed on disk", "sealed in a bucket"])
def store(request: pytest.FixtureRequest, tmp_path: Path, disk: ArtifactStore) -> Iterator[ArtifactStore]:
    outer = disk
    if "bucket" in request.param:
        outer = ArtifactStore(S3Objects(request.getfixturevalue("bucket"), access_key="key", secret_key="secret"),
                              tmp_path / "cache")  # fmt: skip
    yield outer.sealed(KEY) if "sealed" in request.param else outer
    outer.close()


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and path.name != ".lock"]


def test_an_artifact_is_known_by_the_hash_of_its_bytes(store: ArtifactStore) -> None:
    artifact = store.put(b"hello", "text/plain")
    assert artifact == Artifact(sha256=digest_bytes(b"hello"), media_type="text/plain", size=5)
    assert store.locate(artifact).read_bytes() == b"hello"
    assert store.put(b"hello", "text/plain") == artifact
    assert store.holds(artifact.sha256)
    store.verify(artifact)


def test_file_bytes_and_stream_are_the_same_artifact(store: ArtifactStore, tmp_path: Path) -> None:
    path = tmp_path / "big.bin"
    path.write_bytes(os.urandom(3 << 20))
    data = path.read_bytes()
    artifact = store.put_file(path, "application/octet-stream")
    assert path.read_bytes() == data  # the caller's file stays
    assert store.put(data, "application/octet-stream") == artifact
    assert (
        store.put_stream(
            (data[at : at + 777_777] for at in range(0, len(data), 777_777)), artifact.media_type
        )
        == artifact
    )
    with store.open(artifact) as reader:
        assert reader.read(1 << 20) + reader.read() == data
    assert store.put_stream([], "text/plain") == store.put(b"", "text/plain")


def test_what_is_not_there_is_said(store: ArtifactStore) -> None:
    for act in (store.locate, store.open, store.verify):
        with pytest.raises(NotFound, match="artifact 000000000000 is not in the store"):
            act(STRANGER)
    assert not store.holds(STRANGER.sha256)
    assert store.delete(STRANGER.sha256) is False


def test_what_is_deleted_is_gone_from_store_and_cache(store: ArtifactStore) -> None:
    artifact = store.put(b"hello", "text/plain")
    path = store.locate(artifact)
    assert store.delete(artifact.sha256) is True
    assert not store.holds(artifact.sha256)
    assert not path.exists()
    with pytest.raises(NotFound):
        store.locate(artifact)


def test_a_stream_that_fails_keeps_nothing(store: ArtifactStore, tmp_path: Path) -> None:
    def broken() -> Iterator[bytes]:
        yield b"half"
        raise ValueError("the source broke")

    with pytest.raises(ValueError, match="the source broke"):
        store.put_stream(broken(), "text/plain")
    assert not store.holds(digest_bytes(b"half"))
    assert [path for path in files(tmp_path) if path.name not in ("alive", "lock")] == []


def test_a_damaged_artifact_is_found(disk: ArtifactStore) -> None:
    artifact = disk.put(b"hello", "text/plain")
    path = disk.locate(artifact)
    path.chmod(0o644)
    path.write_bytes(b"hellO")
    with pytest.raises(Tampered, match="now hashes to"):
        disk.verify(artifact)


def test_a_damaged_artifact_of_a_bucket_is_never_handed_out(bucket: str, tmp_path: Path) -> None:
    objects = S3Objects(bucket, access_key="key", secret_key="secret")
    store = ArtifactStore(objects, tmp_path / "cache")
    artifact = store.put(b"hello", "text/plain")
    path = store.locate(artifact)
    (tmp_path / "other").write_bytes(b"hellO")
    objects.put(artifact.sha256, tmp_path / "other")
    assert store.locate(artifact) == path and path.read_bytes() == b"hello"  # fetched and checked before
    with pytest.raises(Tampered, match="now hashes to"):
        store.verify(artifact)
    store.cache.clear()
    with pytest.raises(Tampered, match="now hashes to"):
        store.locate(artifact)
    assert not path.exists()


def test_a_cut_artifact_is_written_again(disk: ArtifactStore) -> None:
    artifact = disk.put(b"hello", "text/plain")
    path = disk.locate(artifact)
    path.chmod(0o644)
    path.write_bytes(b"he")
    assert disk.put(b"hello", "text/plain") == artifact
    disk.verify(artifact)


def test_a_store_of_the_first_release_is_read(tmp_path: Path) -> None:
    sha256 = digest_bytes(b"hello")
    place = tmp_path / "artifacts" / sha256[:2] / sha256[2:]
    place.parent.mkdir(parents=True)
    place.write_bytes(b"hello")
    store = ArtifactStore(tmp_path / "artifacts")
    artifact = Artifact(sha256=sha256, media_type="text/plain", size=5)
    assert store.locate(artifact) == place
    assert store.put(b"hello", "text/plain") == artifact
    assert [each.name for each in store.list()] == [sha256]


def test_a_bucket_needs_a_cache(bucket: str) -> None:
    with pytest.raises(InvalidValue, match="cache"):
        ArtifactStore(S3Objects(bucket, access_key="key", secret_key="secret"))


def test_reading_works_while_a_cache_that_is_too_small_evicts(bucket: str, tmp_path: Path) -> None:
    objects = S3Objects(bucket, access_key="key", secret_key="secret")
    store = ArtifactStore(objects, Cache(tmp_path / "cache", limit=25_000, spare_seconds=0))
    kept = [(data, store.put(data, "text/plain")) for data in (os.urandom(10_000) for _ in range(6))]
    wrong: list[object] = []

    def read(start: int) -> None:
        for number in range(start, start + 24):
            data, artifact = kept[number * 5 % 6]
            with store.open(artifact) as reader:
                if reader.read() != data:
                    wrong.append(artifact)

    threads = [threading.Thread(target=read, args=(start,)) for start in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    for _, artifact in kept:
        store.locate(artifact)  # most are not there: each one that comes makes room for itself
    cached = [path for path in (tmp_path / "cache").iterdir() if path.is_file()]
    assert sum(path.stat().st_size for path in cached) <= 25_000


MEMORY = """
import sys
from pathlib import Path
from bottega.storage.artifacts import ArtifactStore
from bottega.storage.s3 import S3Objects

def most():  # KiB; unlike ru_maxrss it does not start with what the parent used
    return int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])

root, url, how = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
outer = ArtifactStore(S3Objects(url, access_key="a", secret_key="b") if url else root / "artifacts", root / "cache")
store = outer.sealed(bytes(32)) if how == "sealed" else outer
store.locate(store.put(b"small", "text/plain"))
block = bytes(range(256)) * 4096  # 1 MiB
before = most()
artifact = store.put_stream((block for _ in range(64)), "video/mp4")
store.put_file(store.locate(artifact), "video/mp4")
store.verify(artifact)
with store.open(artifact) as reader:
    assert sum(len(chunk) for chunk in iter(lambda: reader.read(1 << 20), b"")) == 64 << 20
if how == "all at once":
    store.put(store.locate(artifact).read_bytes(), "video/mp4")
print(most() - before)
outer.close()
"""


def memory(root: Path, url: str, how: str) -> float:
    """MiB that the life of a 64 MiB artifact takes beyond what the process had before."""
    command = [sys.executable, "-c", MEMORY, str(root), url, how]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout) / 1024


@pytest.mark.parametrize("how", ["plain", "sealed"])
def test_64_mib_do_not_pass_through_memory(tmp_path: Path, how: str) -> None:
    assert memory(tmp_path, "", how) < 12


@pytest.mark.parametrize("how", ["plain", "sealed"])
def test_64_mib_do_not_pass_through_memory_to_a_bucket(bucket: str, tmp_path: Path, how: str) -> None:
    assert memory(tmp_path, bucket, how) < 56  # four parts of 8 MiB are on their way at a time


def test_the_measure_sees_what_does_pass_through_memory(tmp_path: Path) -> None:
    assert memory(tmp_path, "", "all at once") > 60

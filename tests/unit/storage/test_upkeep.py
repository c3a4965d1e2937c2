"""The integrity scan and garbage collection."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from bottega.core.artifact import Artifact
from bottega.storage.artifacts import ArtifactStore
from bottega.storage.s3 import S3Objects
from bottega.storage.upkeep import gc, scan

DAY = 86_400  # seconds
KEY = bytes(range(32))
NOTHING = frozenset[str]()


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path / "artifacts")


@pytest.fixture
def remote(bucket: str, tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(S3Objects(bucket, access_key="key", secret_key="secret"), tmp_path / "cache")


def put(store: ArtifactStore, text: str, *, days: float = 0) -> Artifact:
    """Put, and let it have happened some days ago."""
    artifact = store.put(text.encode(), "text/plain")
    if days:
        age(store.locate(artifact), days)
    return artifact


def age(path: Path, days: float) -> None:
    then = time.time() - days * DAY
    os.utime(path, (then, then))


def damage(store: ArtifactStore, name: str, data: bytes) -> None:
    path = store.objects.local(name)
    assert path
    path.chmod(0o644)
    path.write_bytes(data)


def found(store: ArtifactStore) -> dict[str, str]:
    return {finding.name: finding.problem for finding in scan(store)}


def test_a_good_store_has_no_findings(store: ArtifactStore) -> None:
    for number in range(5):
        put(store, str(number))
    store.sealed(KEY).put(b"sealed", "text/plain")
    seen: list[tuple[int, int]] = []
    assert list(scan(store, lambda count, size: seen.append((count, size)))) == []
    assert [count for count, _ in seen] == [1, 2, 3, 4, 5, 6]
    assert seen[-1][1] == sum(each.size for each in store.list())
    store.close()


def test_each_kind_of_trouble_is_found_and_nothing_else(store: ArtifactStore, tmp_path: Path) -> None:
    good, bad, copied = put(store, "good"), put(store, "bad"), put(store, "copied")
    damage(store, bad.sha256, b"baD")
    damage(store, copied.sha256, b"good")
    sealed = store.sealed(KEY)
    rotten = sealed.stored_name(sealed.put(b"sealed", "text/plain").sha256)
    here = store.objects.local(rotten)
    assert here
    damage(store, rotten, here.read_bytes()[:-40] + bytes(40))
    (tmp_path / "artifacts" / "notes.txt").write_text("mine")
    (tmp_path / "artifacts" / good.sha256).write_text("at the wrong place")
    (tmp_path / "artifacts" / "incoming" / "fresh").write_text("in the making")
    (tmp_path / "artifacts" / "incoming" / ".old").write_text("killed")
    age(tmp_path / "artifacts" / "incoming" / ".old", 1)
    assert found(store) == {
        bad.sha256: "damaged",
        copied.sha256: "misnamed",
        rotten: "damaged",
        "./notes.txt": "foreign",
        f"./{good.sha256}": "foreign",
        ".old": "leftover",
    }
    store.close()


def test_a_bucket_is_scanned_as_well(remote: ArtifactStore, tmp_path: Path) -> None:
    good, bad = put(remote, "good"), put(remote, "bad")
    remote.locate(bad)  # a good copy in the cache does not hide what lies in the bucket
    (tmp_path / "changed").write_bytes(b"baD")
    remote.objects.put(bad.sha256, tmp_path / "changed")
    assert found(remote) == {bad.sha256: "damaged"}
    remote.verify(good)


def test_only_what_is_old_and_unreferenced_is_collected(store: ArtifactStore, tmp_path: Path) -> None:
    wanted, young, old = put(store, "wanted", days=9), put(store, "young"), put(store, "old", days=9)
    (tmp_path / "artifacts" / "notes.txt").write_text("mine")
    age(tmp_path / "artifacts" / "notes.txt", 9)
    left = tmp_path / "artifacts" / "incoming" / ".left"
    left.write_text("killed")
    age(left, 1)
    would = gc(store, {wanted.sha256})
    assert (would.count, would.bytes, would.names) == (2, 9, (old.sha256, "incoming/.left"))
    assert store.holds(old.sha256) and left.exists()  # a dry run
    assert gc(store, {wanted.sha256}, dry_run=False) == would
    assert not store.holds(old.sha256) and not left.exists()
    assert store.holds(wanted.sha256) and store.holds(young.sha256)
    assert (tmp_path / "artifacts" / "notes.txt").exists()
    assert gc(store, {wanted.sha256}, dry_run=False).count == 0


def test_what_is_put_again_counts_as_new(store: ArtifactStore) -> None:
    again = put(store, "again", days=9)
    store.put(b"again", "text/plain")  # nothing is written: it is there
    assert gc(store, NOTHING, dry_run=False).count == 0
    store.verify(again)


def test_a_put_between_the_look_and_the_deletion_is_safe(store: ArtifactStore) -> None:
    """The set of references is asked between the two: there another worker puts the same bytes again."""
    late = put(store, "late", days=9)

    class Late(set[str]):
        def __contains__(self, name: object) -> bool:
            store.put(b"late", "text/plain")
            return False

    assert gc(store, Late(), dry_run=False).count == 0
    store.verify(late)


def test_puts_racing_with_collections_never_lose_an_artifact(store: ArtifactStore) -> None:
    lost: list[int] = []
    stop = threading.Event()

    def collect() -> None:
        while not stop.is_set():
            gc(store, NOTHING, older_than_seconds=60, dry_run=False)

    collector = threading.Thread(target=collect)
    collector.start()
    for number in range(300):
        artifact = put(store, f"{number % 3}")
        if not store.holds(artifact.sha256):
            lost.append(number)
        if here := store.objects.local(artifact.sha256):
            age(here, 1)  # from now on it may go at any moment, until it is put again
    stop.set()
    collector.join()
    assert lost == []


def test_a_bucket_is_collected_as_well(remote: ArtifactStore) -> None:
    wanted, old = put(remote, "wanted"), put(remote, "old")
    assert gc(remote, {wanted.sha256}, dry_run=False).count == 0  # both are young
    collected = gc(remote, {wanted.sha256}, older_than_seconds=-60, dry_run=False)
    assert collected.names == (old.sha256,)
    assert remote.holds(wanted.sha256) and not remote.holds(old.sha256)


def test_sealed_objects_are_referenced_by_their_stored_names(store: ArtifactStore) -> None:
    sealed = store.sealed(KEY)
    artifact = sealed.put(b"sealed", "text/plain")
    name = sealed.stored_name(artifact.sha256)
    here = store.objects.local(name)
    assert here
    age(here, 9)
    assert gc(store, {name}, dry_run=False).count == 0
    assert gc(store, {artifact.sha256}, dry_run=False).names == (name,)
    store.close()


KILLED = """
import sys, time
from pathlib import Path
from bottega.storage.artifacts import ArtifactStore
store = ArtifactStore(Path(sys.argv[1]), Path(sys.argv[2]))
if sys.argv[3] == "sealed":
    store = store.sealed(bytes(32))

def chunks():
    yield b"plain text " * 200_000
    print("half", flush=True)
    time.sleep(600)

store.put_stream(chunks(), "text/plain")
"""


@pytest.mark.parametrize("how", ["plain", "sealed"])
def test_a_put_that_is_killed_leaves_no_object_and_is_cleared_away(tmp_path: Path, how: str) -> None:
    root, cache = tmp_path / "artifacts", tmp_path / "cache"
    command = [sys.executable, "-c", KILLED, str(root), str(cache), how]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout and process.stdout.readline() == "half\n"
        process.send_signal(signal.SIGKILL)
    left = [path for path in tmp_path.rglob("*") if path.is_file() and b"plain text" in path.read_bytes()]
    assert len(left) == 1
    store = ArtifactStore(root, cache)
    assert list(store.list()) == []
    if how == "sealed":  # it lay in the private folder of the dead process, which the next one has swept
        assert left[0].is_relative_to(cache) and not root.exists()
    else:
        assert list(scan(store)) == []  # it may still be in the making
        assert [each.problem for each in scan(store, leftover_after=-1)] == ["leftover"]
        assert gc(store, NOTHING, older_than_seconds=-1, dry_run=False).count == 1
    assert not left[0].exists()

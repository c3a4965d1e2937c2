"""One suite for every place of named blobs."""

import os
import threading
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from bottega.core.errors import InvalidValue, NotFound
from bottega.storage.objects import LocalObjects, Objects
from bottega.storage.s3 import S3Objects
from bottega.storage.sealed import SealedObjects

KEY = bytes(range(32))
SIZES = [0, 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 20 << 20]  # bytes; the last goes to a bucket in parts

Write = Callable[[bytes], tuple[str, Path]]


@pytest.fixture(params=["local", "s3", "sealed local", "sealed s3"])
def objects(request: pytest.FixtureRequest, tmp_path: Path) -> Objects:
    place: Objects = LocalObjects(tmp_path / "objects")
    if request.param.endswith("s3"):
        place = S3Objects(request.getfixturevalue("bucket"), access_key="key", secret_key="secret")
    if request.param.startswith("sealed"):
        return SealedObjects(place, KEY, tmp_path / "private")
    return place


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Make a file to put, with the name that its bytes have."""

    def made(data: bytes) -> tuple[str, Path]:
        path = tmp_path / f"source-{os.urandom(4).hex()}"
        path.write_bytes(data)
        return sha256(data).hexdigest(), path

    return made


@pytest.mark.parametrize("size", SIZES)
def test_what_is_put_is_fetched(objects: Objects, write: Write, tmp_path: Path, size: int) -> None:
    data = os.urandom(size)
    name, source = write(data)
    assert objects.size(name) is None
    objects.put(name, source)
    assert objects.size(name) == size
    objects.fetch(name, tmp_path / "target")
    assert (tmp_path / "target").read_bytes() == data
    if here := objects.local(name):
        assert here.read_bytes() == data


def test_a_put_uses_its_file_up_and_may_be_repeated(objects: Objects, write: Write, tmp_path: Path) -> None:
    name = sha256(b"hello").hexdigest()
    for _ in range(2):
        _, source = write(b"hello")
        objects.put(name, source)
        assert not source.exists()
    objects.fetch(name, tmp_path / "target")
    assert (tmp_path / "target").read_bytes() == b"hello"


def test_what_is_not_there_is_said_and_leaves_no_file(objects: Objects, tmp_path: Path) -> None:
    target = tmp_path / "out" / "target"
    with pytest.raises(NotFound, match="is not there"):
        objects.fetch("0" * 64, target)
    assert not target.parent.exists() or not list(target.parent.iterdir())
    assert objects.size("0" * 64) is None
    assert objects.local("0" * 64) is None
    assert objects.delete("0" * 64) is False
    assert objects.renew("0" * 64, 0) is False


def test_a_name_of_another_form_is_refused(objects: Objects, write: Write) -> None:
    _, source = write(b"hello")
    for name in ("../" * 20 + "etc/passwd", "A" * 64, "", f"{'0' * 64}\n"):
        for act in (objects.size, objects.delete):
            with pytest.raises(InvalidValue, match="not the name"):
                act(name)
        with pytest.raises(InvalidValue, match="not the name"):
            objects.put(name, source)
    assert source.read_bytes() == b"hello"


def test_what_is_deleted_is_gone_and_can_be_put_again(objects: Objects, write: Write) -> None:
    name, source = write(b"hello")
    objects.put(name, source)
    assert objects.delete(name) is True
    assert objects.size(name) is None
    objects.put(name, write(b"hello")[1])
    assert objects.size(name) == 5


def test_only_what_is_old_is_deleted_as_old(objects: Objects, write: Write) -> None:
    name, source = write(b"hello")
    os.utime(source, (1, 1))  # however old the file is, the blob is new
    objects.put(name, source)
    assert objects.delete(name, older_than=time.time() - 60) is False
    assert objects.size(name) == 5
    assert objects.delete(name, older_than=time.time() + 60) is True
    assert objects.size(name) is None


def test_a_whole_new_blob_can_be_renewed_and_a_cut_one_cannot(objects: Objects, write: Write) -> None:
    name, source = write(b"hello")
    objects.put(name, source)
    assert objects.renew(name, 5) is True
    assert objects.renew(name, 6) is False


def test_everything_is_listed(objects: Objects, write: Write) -> None:
    if isinstance(objects, SealedObjects):
        with pytest.raises(InvalidValue, match="cannot be listed"):
            list(objects.list())
        return
    assert list(objects.list()) == []
    put = {
        name: size
        for size in range(1, 30)
        for name, source in [write(bytes(size))]
        if not objects.put(name, source)
    }
    listed = list(objects.list())
    assert {each.name: each.size for each in listed} == put
    assert all(abs(each.modified - time.time()) < 600 for each in listed)


def test_many_may_put_and_fetch_the_same_blob_at_once(objects: Objects, write: Write, tmp_path: Path) -> None:
    data = os.urandom(300_000)
    sources = [write(data) for _ in range(6)]
    fetched: list[bytes] = []

    def work(number: int) -> None:
        name, source = sources[number]
        objects.put(name, source)
        objects.fetch(name, tmp_path / f"target-{number}")
        fetched.append((tmp_path / f"target-{number}").read_bytes())

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert fetched == [data] * 6

"""One key per data subject, destroyed for good."""

import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from bottega.core.errors import InvalidValue, NotFound, PolicyDenied, StorageFailed, Tampered
from bottega.governance.keyring import KeyRing
from bottega.storage.artifacts import ArtifactStore
from bottega.storage.sealing import open_file

ADA, BOB = "ada@example.org", "bob@example.org"


@pytest.fixture
def ring(tmp_path: Path) -> KeyRing:
    return KeyRing(tmp_path / "keys")


def test_each_subject_has_one_key_of_its_own(ring: KeyRing, tmp_path: Path) -> None:
    ada = ring.key(ADA, create=True)
    assert len(ada) == 32
    assert ring.key(ADA) == ring.key(ADA, create=True) == KeyRing(tmp_path / "keys").key(ADA) == ada
    assert ring.key(BOB, create=True) != ada


def test_a_key_is_made_only_when_asked(ring: KeyRing) -> None:
    with pytest.raises(NotFound, match=f"no key for subject {ring.pseudonym(ADA)}"):
        ring.key(ADA)
    assert ring.subjects() == ()


def test_pseudonyms_tell_no_names(ring: KeyRing, tmp_path: Path) -> None:
    ring.key(ADA, create=True)
    ring.key(BOB, create=True)
    ring.destroy(BOB)
    assert re.fullmatch("[0-9a-f]{32}", ring.pseudonym(ADA))
    assert ring.pseudonym(ADA) == ring.pseudonym(ADA) != ring.pseudonym(BOB)
    assert KeyRing(tmp_path / "other").pseudonym(ADA) != ring.pseudonym(ADA)  # another machine's master key
    assert ring.subjects() == (ring.pseudonym(ADA),)
    for path in (tmp_path / "keys").iterdir():
        assert "ada" not in path.name and "bob" not in path.name
        assert b"example" not in path.read_bytes()
    with pytest.raises(InvalidValue, match="needs a name"):
        ring.pseudonym("")


def test_keys_are_for_this_user_only(ring: KeyRing, tmp_path: Path) -> None:
    ring.key(ADA, create=True)
    assert (tmp_path / "keys").stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "keys").glob("*.key")} == {0o600}


def test_a_destroyed_key_is_gone_and_is_never_made_again(ring: KeyRing, tmp_path: Path) -> None:
    key = ring.key(ADA, create=True)
    assert ring.destroy(ADA) is True
    assert ring.destroy(ADA) is False
    for create in (False, True):
        with pytest.raises(PolicyDenied, match=f"subject {ring.pseudonym(ADA)} was erased") as refused:
            ring.key(ADA, create=create)
        assert ADA not in str(refused.value)
    assert all(key not in path.read_bytes() for path in (tmp_path / "keys").iterdir())
    assert ring.subjects() == ()


def test_who_never_had_a_key_can_be_erased_too(ring: KeyRing) -> None:
    assert ring.destroy(ADA) is False
    with pytest.raises(PolicyDenied):
        ring.key(ADA, create=True)


def test_an_erasure_that_was_cut_short_holds_and_can_be_finished(ring: KeyRing, tmp_path: Path) -> None:
    """Killed after the tombstone, before the key was written over."""
    ring.key(ADA, create=True)
    pseudonym = ring.pseudonym(ADA)
    (tmp_path / "keys" / f"{pseudonym}.erased").touch()
    with pytest.raises(PolicyDenied):
        ring.key(ADA)
    assert ring.subjects() == ()
    assert ring.destroy(ADA) is True
    assert not (tmp_path / "keys" / f"{pseudonym}.key").exists()


def test_a_lost_master_key_is_not_made_anew(ring: KeyRing, tmp_path: Path) -> None:
    ring.key(ADA, create=True)
    (tmp_path / "keys" / "master.key").unlink()
    with pytest.raises(StorageFailed, match="master key is missing"):
        ring.key(ADA, create=True)


@pytest.mark.parametrize("which", ["master", "subject"])
def test_a_damaged_key_is_named(ring: KeyRing, tmp_path: Path, which: str) -> None:
    ring.key(ADA, create=True)
    path = tmp_path / "keys" / f"{'master' if which == 'master' else ring.pseudonym(ADA)}.key"
    path.write_bytes(b"short")
    with pytest.raises(StorageFailed, match="not the length") as failed:
        ring.key(ADA)
    assert failed.value.where == str(path)


RACE = """
import sys
import threading
import time
from pathlib import Path
from bottega.governance.keyring import KeyRing
ring = KeyRing(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
print(ring.key("ada@example.org", create=True).hex())
"""


def test_processes_that_create_a_key_at_once_get_one_key(tmp_path: Path) -> None:
    command = [sys.executable, "-c", RACE, str(tmp_path / "keys")]
    started = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(4)
    ]
    for process in started:
        assert process.stdout and process.stdout.readline() == "ready\n"
    for process in started:
        assert process.stdin
        process.stdin.write("go\n")
        process.stdin.flush()
    keys = {process.communicate(timeout=60)[0].strip() for process in started}
    assert keys == {KeyRing(tmp_path / "keys").key(ADA).hex()}


def test_who_reads_while_the_key_is_destroyed_gets_the_key_or_the_refusal(ring: KeyRing) -> None:
    key = ring.key(ADA, create=True)
    got: list[bytes] = []
    refused = threading.Barrier(5)

    def read() -> None:
        try:
            while True:
                got.append(ring.key(ADA, create=True))
        except PolicyDenied:
            refused.wait(timeout=60)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    while len(got) < 100:
        time.sleep(0.001)
    ring.destroy(ADA)
    refused.wait(timeout=60)  # all four were refused
    assert set(got) == {key}


def test_what_was_sealed_is_unreadable_once_the_key_is_destroyed(ring: KeyRing, tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path / "artifacts", tmp_path / "cache")
    ring.key(BOB, create=True)
    view = store.sealed(ring.key(ADA, create=True))
    artifact = view.put(b"Ada Lovelace, 12 St James's Square", "text/plain")
    assert view.locate(artifact).read_bytes().startswith(b"Ada")
    ring.destroy(ADA)
    store.close()
    with pytest.raises(PolicyDenied):
        ring.key(ADA)
    (sealed,) = [store.objects.local(each.name) for each in store.list()]
    assert sealed
    left = [path.read_bytes() for path in (tmp_path / "keys").iterdir() if path.stat().st_size == 32]
    assert len(left) == 2  # the master key and Bob's
    for key in left:
        with pytest.raises(Tampered):
            open_file(sealed, tmp_path / "opened", key)
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or b"Lovelace" not in path.read_bytes()

"""Signed checkpoints: the formats of C2SP, and every way in which one may be wrong."""

import base64
import stat
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from bottega.core.errors import InvalidValue, StorageFailed, Tampered
from bottega.governance.certificates import key_pem
from bottega.governance.checkpoint import Checkpoint, RecordKey, verify

AT = "2026-01-01T00:00:00Z"
ROOT = sha256(b"root").hexdigest()

# The key pair and note of the tests of golang.org/x/mod/sumdb/note, the first implementation of signed notes.
GO_VKEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_SECRET = "AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
GO_TEXT = (
    "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
)
GO_SEAL = "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM="
GO_PEM = key_pem(Ed25519PrivateKey.from_private_bytes(base64.b64decode(GO_SECRET)[1:]))


@pytest.fixture
def key(tmp_path: Path) -> RecordKey:
    return RecordKey.local(tmp_path / "record")


def at_size(key: RecordKey, size: int = 8) -> Checkpoint:
    return Checkpoint(origin=key.name, size=size, root=ROOT, at=AT)


def test_the_text_is_a_tlog_checkpoint() -> None:
    root = "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I="  # the example of c2sp.org/tlog-checkpoint
    text = f"example.com/behind-the-sofa\n20852163\n{root}\ntime {AT}\n"
    checkpoint = Checkpoint.parse(text)
    assert checkpoint.origin == "example.com/behind-the-sofa"
    assert checkpoint.size == 20852163
    assert checkpoint.root == base64.b64decode(root).hex()
    assert checkpoint.at == AT
    assert checkpoint.text() == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        f"a b\n8\n{'A' * 43}=\ntime {AT}\n",
        f"a+b\n8\n{'A' * 43}=\ntime {AT}\n",
        f"\n8\n{'A' * 43}=\ntime {AT}\n",
        f"a\n08\n{'A' * 43}=\ntime {AT}\n",
        f"a\n-8\n{'A' * 43}=\ntime {AT}\n",
        f"a\n٨\n{'A' * 43}=\ntime {AT}\n",
        f"a\n9999999999999999\n{'A' * 43}=\ntime {AT}\n",
        f"a\n8\n{'A' * 42}==\ntime {AT}\n",
        f"a\n8\n{'A' * 42}B=\ntime {AT}\n",
        f"a\n8\n{'A' * 44}\ntime {AT}\n",
        f"a\n8\n{'A' * 43}=\n",
        f"a\n8\n{'A' * 43}=\ntime yesterday\n",
        f"a\n8\n{'A' * 43}=\ntime {AT}",
        f"a\n8\n{'A' * 43}=\ntime {AT}\nmore\n",
    ],
)
def test_what_is_no_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue):
        Checkpoint.parse(text)


def test_the_note_of_the_go_implementation_is_read_and_made() -> None:
    with pytest.raises(InvalidValue, match="no checkpoint"):  # its signature holds; its text is a proverb
        verify(f"{GO_TEXT}\n— PeterNeumann {GO_SEAL}\n", GO_VKEY)
    with pytest.raises(Tampered):
        verify(f"{GO_TEXT}!\n\n— PeterNeumann {GO_SEAL}\n", GO_VKEY)
    assert _signed_by(RecordKey("PeterNeumann", GO_VKEY, GO_PEM), GO_TEXT).endswith(f" {GO_SEAL}\n")


def test_what_is_signed_can_be_verified(key: RecordKey) -> None:
    note = key.sign(at_size(key))
    assert verify(note, key.vkey) == at_size(key)
    assert note.startswith(f"{at_size(key).text()}\n— {key.name} ")
    name, key_id, encoded = key.vkey.split("+", 2)
    raw = base64.b64decode(encoded)
    assert (name, raw[0], len(raw)) == (key.name, 1, 33)
    assert key_id == sha256(name.encode() + b"\n\x01" + raw[1:]).hexdigest()[:8]
    seal = base64.b64decode(note.split(" ")[-1])
    assert seal[:4].hex() == key_id
    Ed25519PublicKey.from_public_bytes(raw[1:]).verify(seal[4:], at_size(key).text().encode())


def test_every_altered_character_is_noticed(key: RecordKey) -> None:
    note = key.sign(at_size(key))
    for place, letter in enumerate(note):
        for other in {"0", "A", "/", "\n", " "} - {letter}:
            with pytest.raises((Tampered, InvalidValue)):
                verify(note[:place] + other + note[place + 1 :], key.vkey)
        with pytest.raises((Tampered, InvalidValue)):
            verify(note[:place], key.vkey)


def test_an_altered_text_is_tampered_with(key: RecordKey) -> None:
    note = key.sign(at_size(key))
    with pytest.raises(Tampered, match="does not fit"):
        verify(note.replace("\n8\n", "\n9\n"), key.vkey)
    with pytest.raises(Tampered, match="does not fit"):
        verify("no checkpoint at all\n\n" + note.rpartition("\n\n")[2], key.vkey)


def test_another_key_is_noticed(key: RecordKey, tmp_path: Path) -> None:
    other = RecordKey.local(tmp_path / "other")
    impostor = RecordKey.local(tmp_path / "impostor", key.name)
    for stranger in (other, impostor):
        with pytest.raises(Tampered, match="not signed by"):
            verify(stranger.sign(at_size(stranger)), key.vkey)


def test_lines_of_other_signers_are_not_looked_at(key: RecordKey, tmp_path: Path) -> None:
    other = RecordKey.local(tmp_path / "other")
    note = key.sign(at_size(key))
    cosigned = note + other.sign(at_size(other)).rpartition("\n\n")[2]
    assert verify(cosigned, key.vkey) == at_size(key)
    with pytest.raises(Tampered, match="does not fit"):  # two lines of the known key, one of them false
        verify(note + key.sign(at_size(key, 9)).rpartition("\n\n")[2], key.vkey)


def test_a_checkpoint_of_another_record_is_refused(key: RecordKey) -> None:
    foreign = Checkpoint(origin="another/record", size=8, root=ROOT, at=AT)
    with pytest.raises(InvalidValue, match="does not sign"):
        key.sign(foreign)
    with pytest.raises(Tampered, match="another/record"):
        verify(_signed_by(key, foreign.text()), key.vkey)
    with pytest.raises(InvalidValue):
        verify(_signed_by(key, "well signed, but no checkpoint\n"), key.vkey)


@pytest.mark.parametrize(
    "note", ["", "x", "text\n\n", "text\n\n— me\n", "text\n— me AAAA\n", "\ud800\n\n— me AAAA\n"]
)
def test_what_is_no_note_is_refused(key: RecordKey, note: str) -> None:
    with pytest.raises(InvalidValue):
        verify(note, key.vkey)


@pytest.mark.parametrize(
    "vkey",
    [
        "",
        "name",
        "name+00000000+",
        GO_VKEY.replace("c7", "c8"),
        GO_VKEY[:-1] + "X",
        GO_VKEY.replace("Peter", ""),
    ],
)
def test_what_is_no_verifier_key_is_refused(key: RecordKey, vkey: str) -> None:
    with pytest.raises(InvalidValue):
        verify(key.sign(at_size(key)), vkey)


def test_the_key_is_made_once_with_the_secret_for_the_owner_only(tmp_path: Path) -> None:
    folder = tmp_path / "state" / "record"
    first = RecordKey.local(folder)
    assert RecordKey.local(folder, "another/name") == first
    assert first.name.startswith("bottega-record/")
    assert (folder / "record.vkey").read_text() == f"{first.vkey}\n"
    assert stat.S_IMODE((folder / "record.pem").stat().st_mode) == 0o600
    assert sorted(path.name for path in folder.iterdir()) == ["record.pem", "record.vkey"]
    assert [path.name for path in folder.parent.iterdir()] == ["record"], "nothing half-made is left"
    assert "PRIVATE" not in repr(first)


def test_the_operator_can_name_the_record(tmp_path: Path) -> None:
    assert RecordKey.local(tmp_path / "record", "example.com/bottega").vkey.startswith("example.com/bottega+")
    with pytest.raises(InvalidValue):
        RecordKey.local(tmp_path / "other", "two words")
    assert not (tmp_path / "other").exists()


def test_many_at_once_agree_on_one_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(RecordKey.local, [tmp_path / "record"] * 8))) == 1


def test_a_damaged_folder_is_said(tmp_path: Path) -> None:
    key, other = RecordKey.local(tmp_path / "record"), RecordKey.local(tmp_path / "other")
    place = tmp_path / "record" / "record.vkey"
    for text in (other.vkey, "nonsense"):
        place.write_text(text)
        with pytest.raises(StorageFailed, match="backup"):
            RecordKey.local(tmp_path / "record")
    place.write_text(key.vkey)
    (tmp_path / "record" / "record.pem").write_text("nonsense")
    with pytest.raises(StorageFailed, match="backup"):
        RecordKey.local(tmp_path / "record")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("")
    with pytest.raises(StorageFailed, match="holds no key"):
        RecordKey.local(tmp_path / "full")


def _signed_by(key: RecordKey, text: str) -> str:
    """A note over any text, as somebody with the key could make it."""
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    secret = load_pem_private_key(key.private_key.encode(), password=None)
    assert isinstance(secret, Ed25519PrivateKey)
    seal = bytes.fromhex(key.vkey.split("+")[1]) + secret.sign(text.encode())
    return f"{text}\n— {key.name} {base64.b64encode(seal).decode()}\n"

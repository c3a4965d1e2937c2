"""Sealing: what was changed, cut, swapped or keyed otherwise does not open."""

import io
import os
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given, settings
from hypothesis import strategies as st

from bottega.core.canonical import digest_bytes
from bottega.core.errors import InvalidValue, Tampered
from bottega.storage.artifacts import ArtifactStore
from bottega.storage.sealing import (
    BLOCK,
    TAG,
    intact,
    object_name,
    open_bytes,
    open_file,
    plain_size,
    seal_bytes,
    seal_file,
    sealed_size,
)

KEY = bytes(range(32))
OTHER = bytes(range(1, 33))
HEADER, DIGEST = 40, 32  # bytes
FULL = BLOCK + TAG


def blocks(sealed: bytes) -> list[bytes]:
    body = sealed[HEADER:-DIGEST]
    return [body[at : at + FULL] for at in range(0, len(body), FULL)]


def joined(header: bytes, parts: list[bytes]) -> bytes:
    """A sealed object of these blocks, with the right hash at the end: only the cipher can refuse it."""
    whole = header + b"".join(parts)
    return whole + sha256(whole).digest()


@given(st.binary(max_size=300), st.binary(max_size=40))
def test_what_is_sealed_opens_and_shows_nothing(data: bytes, place: bytes) -> None:
    sealed = seal_bytes(data, KEY, place)
    assert open_bytes(sealed, KEY, place) == data
    assert len(sealed) == sealed_size(len(data)) and plain_size(len(sealed)) == len(data)
    assert len(data) < 8 or data not in sealed[8:]  # behind the magic
    assert sealed != seal_bytes(data, KEY, place)  # a salt of its own
    assert intact(io.BytesIO(sealed))


@pytest.mark.parametrize("size", [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, 2 * BLOCK + 5])
def test_sizes_around_the_block(size: int) -> None:
    data = os.urandom(size)
    sealed = seal_bytes(data, KEY, b"")
    assert len(sealed) == sealed_size(size) and plain_size(len(sealed)) == size
    assert open_bytes(sealed, KEY, b"") == data


@settings(max_examples=200)
@given(st.data())
def test_any_changed_bit_and_any_cut_is_refused(data: st.DataObject) -> None:
    sealed = bytearray(seal_bytes(b"a name and an address", KEY, b"entry 7"))
    if data.draw(st.booleans()):
        at = data.draw(st.integers(0, len(sealed) * 8 - 1))
        sealed[at // 8] ^= 1 << at % 8
    else:
        del sealed[data.draw(st.integers(0, len(sealed) - 1)) :]
    with pytest.raises(Tampered):
        open_bytes(bytes(sealed), KEY, b"entry 7")
    assert not intact(io.BytesIO(bytes(sealed)))


def test_blocks_cannot_be_dropped_swapped_repeated_or_brought_from_another_object() -> None:
    first = seal_bytes(os.urandom(3 * BLOCK), KEY, b"")
    second = seal_bytes(os.urandom(3 * BLOCK), KEY, b"")
    header, (a, b, c) = first[:HEADER], blocks(first)
    assert joined(header, [a, b, c]) == first
    wrong = {
        "the last is gone": [a, b],
        "only the first is left": [a],
        "the first is gone": [b, c],
        "the middle is gone": [a, c],
        "two are swapped": [b, a, c],
        "one is repeated": [a, a, b, c],
        "one is appended": [a, b, c, c],
        "one is from another object": [a, blocks(second)[1], c],
        "the last is cut": [a, b, c[:-1]],
        "nothing is left": list[bytes](),
    }
    for what, parts in wrong.items():
        with pytest.raises(Tampered):
            open_bytes(joined(header, parts), KEY, b"")
            pytest.fail(what)
    with pytest.raises(Tampered):
        open_bytes(joined(second[:HEADER], [a, b, c]), KEY, b"")


def test_another_key_or_place_does_not_open() -> None:
    sealed = seal_bytes(b"hello", KEY, b"entry 7")
    for key, place in ((OTHER, b"entry 7"), (KEY, b"entry 8"), (KEY, b"")):
        with pytest.raises(Tampered, match="cannot be opened"):
            open_bytes(sealed, key, place)
    with pytest.raises(InvalidValue, match="32 bytes, not 16"):
        seal_bytes(b"hello", bytes(16), b"")
    with pytest.raises(Tampered, match="not a sealed object"):
        open_bytes(b"something else, long enough to be one: " + bytes(100), KEY, b"")


def test_the_format_is_the_one_that_is_written_down() -> None:
    """Opened by hand from the description, so that what is sealed today opens tomorrow."""
    sealed = seal_bytes(b"x" * BLOCK + b"end", KEY, b"place")
    header, (first, last) = sealed[:HEADER], blocks(sealed)
    assert header[:8] == b"btgseal\x01"
    derived = HKDF(SHA256(), 39, salt=header[8:], info=b"bottega sealing 1").derive(KEY)
    cipher, prefix = AESGCM(derived[:32]), derived[32:]
    assert cipher.decrypt(prefix + b"\0\0\0\0\0", first, header + b"place") == b"x" * BLOCK
    assert cipher.decrypt(prefix + b"\0\0\0\1\1", last, header + b"place") == b"end"
    assert sealed[-DIGEST:] == sha256(sealed[:-DIGEST]).digest()


def test_a_file_opens_whole_or_not_at_all(tmp_path: Path) -> None:
    plain, sealed, opened = tmp_path / "plain", tmp_path / "sealed", tmp_path / "opened"
    plain.write_bytes(os.urandom(2 * BLOCK + 9))
    seal_file(plain, sealed, KEY)
    open_file(sealed, opened, KEY)
    assert opened.read_bytes() == plain.read_bytes()
    opened.unlink()
    data = bytearray(sealed.read_bytes())
    data[-DIGEST - 1] ^= 1  # in the last block: the first two are good
    sealed.write_bytes(data)
    with pytest.raises(Tampered):
        open_file(sealed, opened, KEY)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["plain", "sealed"]


def test_no_plain_byte_and_no_hash_lies_in_the_store_and_without_the_key_nothing_opens(
    tmp_path: Path,
) -> None:
    secret = b"Ada Lovelace, 12 St James's Square, London; " * 50_000  # 2 MiB, no block of it random
    store = ArtifactStore(tmp_path / "state" / "artifacts", tmp_path / "cache")
    sealed = store.sealed(KEY)
    artifact = sealed.put(secret, "text/plain")
    assert sealed.locate(artifact).read_bytes() == secret
    assert sealed.locate(artifact).is_relative_to(tmp_path / "cache" / "private")
    assert artifact.sha256 == digest_bytes(secret)

    held = [path for path in (tmp_path / "state").rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in held) == sealed_size(len(secret))
    for path in held:
        data = path.read_bytes()
        assert b"Lovelace" not in data and b"St James" not in data
        assert bytes.fromhex(artifact.sha256) not in data and artifact.sha256.encode() not in data
        assert artifact.sha256[2:] not in str(path)
    assert [each.name for each in store.list()] == [sealed.stored_name(artifact.sha256)]
    assert sealed.stored_name(artifact.sha256) == object_name(KEY, artifact.sha256) != artifact.sha256

    assert not store.holds(artifact.sha256) and not store.sealed(OTHER).holds(artifact.sha256)
    with store.bytes_of(sealed.stored_name(artifact.sha256)) as path, pytest.raises(Tampered):
        open_file(path, tmp_path / "opened", OTHER)

    opened = sealed.locate(artifact)
    sealed.close()
    assert not opened.exists()
    store.close()
    left = [path for path in (tmp_path / "cache").rglob("*") if path.is_file() and path.name != "lock"]
    assert left == []


def test_a_sealed_object_put_under_another_name_is_refused(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path / "artifacts")
    sealed = store.sealed(KEY)
    one, two = sealed.put(b"yes, I agree", "text/plain"), sealed.put(b"no, I do not", "text/plain")
    with store.bytes_of(sealed.stored_name(two.sha256)) as path:
        (tmp_path / "copy").write_bytes(path.read_bytes())
    store.objects.put(sealed.stored_name(one.sha256), tmp_path / "copy")
    with pytest.raises(Tampered, match="now hashes to"):
        sealed.locate(one)
    store.close()

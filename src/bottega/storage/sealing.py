"""Encryption at rest under a data subject's key: destroy the key, and what was sealed is unreadable.

The STREAM construction over AES-256-GCM, in blocks of 1 MiB: the nonce of a block is a prefix, its number and a flag
for the last one, so a block that is changed, dropped, swapped or cut off is refused, and so is one from
another file. Key and prefix are derived for each file from the subject's key and a random salt, so no nonce repeats.

    magic and version, 8 bytes | salt, 32 | blocks, each up to 1 MiB and a tag of 16 | SHA-256 of all before, 32

The hash at the end needs no key: it lets a scan find damage, and protects against nothing else.

Not covered: the length of what is sealed, the time, and how many things there are stay visible.

Sources: Hoang, Reyhanitabar, Rogaway, Vizár, "Online Authenticated-Encryption and its Nonce-Reuse Misuse-Resistance",
CRYPTO 2015 (STREAM); NIST SP 800-38D (GCM); RFC 5869 (HKDF).
"""

import hashlib
import hmac
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from bottega.core.errors import InvalidValue, Tampered
from bottega.storage.disk import appearing

MAGIC = b"btgseal\x01"
SALT = 32  # bytes
BLOCK = 1 << 20  # bytes of plain text
TAG = 16  # bytes
DIGEST = 32  # bytes
FRAME = len(MAGIC) + SALT + DIGEST  # bytes around the blocks
KEY = 32  # bytes
PREFIX = 7  # bytes of the nonce; then 4 for the number of the block and 1 for the flag
MOST_BLOCKS = 1 << 32


def object_name(key: bytes, sha256: str) -> str:
    """The name under which a sealed artifact is stored: tells nothing about it without the subject's key.

    HMAC-SHA256 of the hash, under a key that is derived for naming only; 64 hexadecimal digits.
    """
    naming = _derive(key, b"", b"bottega naming 1", KEY)
    return hmac.new(naming, bytes.fromhex(sha256), hashlib.sha256).hexdigest()


def sealed_size(size: int) -> int:
    """Bytes that ``size`` bytes take when sealed."""
    return FRAME + size + TAG * max(1, -(-size // BLOCK))


def plain_size(sealed: int) -> int:
    """Bytes that are sealed in ``sealed`` bytes."""
    body = sealed - FRAME
    return body - TAG * -(-body // (BLOCK + TAG))


def seal_file(source: Path, target: Path, key: bytes) -> None:
    """Seal a file; ``target`` appears whole or not at all."""
    with source.open("rb") as reader, appearing(target) as made, made.open("wb") as writer:
        seal(reader, writer, key)


def open_file(source: Path, target: Path, key: bytes) -> None:
    """Open a sealed file; ``target`` appears whole or not at all.

    Raises:
        Tampered: the key is another one, or a byte is not as it was sealed.
    """
    with source.open("rb") as reader, appearing(target) as made, made.open("wb") as writer:
        unseal(reader, writer, key, where=str(source))


def seal_bytes(data: bytes, key: bytes, bound_to: bytes) -> bytes:
    """Seal a little data, for example one entry's JSON, to the place that it belongs to."""
    sealed = io.BytesIO()
    seal(io.BytesIO(data), sealed, key, bound_to)
    return sealed.getvalue()


def open_bytes(sealed: bytes, key: bytes, bound_to: bytes) -> bytes:
    """Open what `seal_bytes` sealed.

    Raises:
        Tampered: key or place is another one, or a byte is not as it was sealed.
    """
    plain = io.BytesIO()
    unseal(io.BytesIO(sealed), plain, key, bound_to)
    return plain.getvalue()


def seal(source: BinaryIO, target: BinaryIO, key: bytes, bound_to: bytes = b"") -> None:
    """Seal a stream; ``bound_to`` is not stored, and has to be given again to open it."""
    header = MAGIC + os.urandom(SALT)
    cipher, prefix = _cipher(key, header)
    hasher = hashlib.sha256(header)
    target.write(header)
    for number, (block, last) in enumerate(_blocks(source)):
        if number >= MOST_BLOCKS:
            raise InvalidValue(f"cannot seal more than {MOST_BLOCKS * BLOCK} bytes as one")
        sealed = cipher.encrypt(_nonce(prefix, number, last), block, header + bound_to)
        hasher.update(sealed)
        target.write(sealed)
    target.write(hasher.digest())


def unseal(source: BinaryIO, target: BinaryIO, key: bytes, bound_to: bytes = b"", *, where: str = "") -> None:
    """Open a sealed stream that can seek. Only checked blocks are written, but an error may come after the first.

    Raises:
        Tampered: key or ``bound_to`` is another one, or a byte is not as it was sealed.
    """
    left = source.seek(0, os.SEEK_END) - FRAME
    source.seek(0)
    header = source.read(len(MAGIC) + SALT)
    if left < TAG or not header.startswith(MAGIC):
        raise Tampered("this is not a sealed object", where=where)
    cipher, prefix = _cipher(key, header)
    hasher, number = hashlib.sha256(header), 0
    while left:
        sealed = source.read(min(left, BLOCK + TAG))
        hasher.update(sealed)
        left -= len(sealed)
        try:
            block = cipher.decrypt(_nonce(prefix, number, left == 0), sealed, header + bound_to)
        except InvalidTag as error:
            raise Tampered(
                f"block {number} of a sealed object cannot be opened",
                where=where,
                remedy="the key is another one, or the bytes were changed: restore the object from a backup",
            ) from error
        target.write(block)
        number += 1
    if source.read() != hasher.digest():
        raise Tampered("the hash at the end of a sealed object does not match", where=where)


def intact(source: BinaryIO) -> bool:
    """Whether this is a sealed object without accidental damage, as far as that can be seen without its key."""
    left = source.seek(0, os.SEEK_END) - DIGEST
    source.seek(0)
    hasher = hashlib.sha256()
    first = source.read(min(max(left, 0), BLOCK))
    if not first.startswith(MAGIC):
        return False
    while first:
        hasher.update(first)
        left -= len(first)
        first = source.read(min(left, BLOCK))
    return source.read() == hasher.digest()


def _blocks(source: BinaryIO) -> Iterator[tuple[bytes, bool]]:
    """Blocks with a flag on the last; an empty source has one empty block."""
    block = source.read(BLOCK)
    while following := source.read(BLOCK):
        yield block, False
        block = following
    yield block, True


def _cipher(key: bytes, header: bytes) -> tuple[AESGCM, bytes]:
    derived = _derive(key, header[len(MAGIC) :], b"bottega sealing 1", KEY + PREFIX)
    return AESGCM(derived[:KEY]), derived[KEY:]


def _nonce(prefix: bytes, number: int, last: bool) -> bytes:
    return prefix + number.to_bytes(4, "big") + bytes([last])


def _derive(key: bytes, salt: bytes, use: bytes, length: int) -> bytes:
    if len(key) != KEY:
        raise InvalidValue(f"a subject's key has {KEY} bytes, not {len(key)}")
    return HKDF(algorithm=SHA256(), length=length, salt=salt, info=use).derive(key)

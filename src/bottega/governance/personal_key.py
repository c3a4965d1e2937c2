"""A person's own Ed25519 key, with which decisions are signed (RFC 8032)."""

import base64
import binascii
import os
from pathlib import Path
from typing import TYPE_CHECKING

from bottega.core.errors import InvalidValue
from bottega.governance.certificates import key_pem

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


def make_key(path: Path) -> None:
    """Write a new private key, PEM without a passphrase, readable by nobody else.

    Raises:
        InvalidValue: the file is there already or cannot be written.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise InvalidValue(f"the key cannot be written: {error.strerror}", where=str(path)) from error
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(key_pem(Ed25519PrivateKey.generate()))


def read_key(path: Path) -> "Ed25519PrivateKey":
    """A private key from its PEM file.

    Raises:
        InvalidValue: it cannot be read, has a passphrase or is not Ed25519.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    remedy = "make one with `bottega review key FILE`"
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise InvalidValue(f"the key cannot be read: {error}", where=str(path), remedy=remedy) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise InvalidValue("it is no Ed25519 key", where=str(path), remedy=remedy)
    return key


def public_key(key: "Ed25519PrivateKey") -> str:
    """What a policy lists for its person: the 32 bytes of the public key in base64."""
    return base64.b64encode(key.public_key().public_bytes_raw()).decode()


def signature(key: "Ed25519PrivateKey", text: bytes) -> str:
    """A signature over a text, base64."""
    return base64.b64encode(key.sign(text)).decode()


def signed_by(public: str, seal: str, text: bytes) -> bool:
    """Whether a signature over a text is by the holder of a public key."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public))
        key.verify(base64.b64decode(seal, validate=True), text)
    except (InvalidSignature, binascii.Error):
        return False
    return True

"""Signed checkpoints: what the record held at one moment, in a form that any transparency-log tool reads.

The text is a C2SP tlog-checkpoint, the signature a C2SP signed note with Ed25519 (c2sp.org/tlog-checkpoint,
c2sp.org/signed-note)::

    bottega-record/1f0c9e64a2b7
    20852163
    CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=
    time 2026-01-01T00:00:00Z

    — bottega-record/1f0c9e64a2b7 Az3grlgtzPICa5OS8npV...

The time is what the signer says: no third party vouches for it.
"""

import base64
import binascii
import contextlib
import hashlib
import os
import re
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field, ValidationError

from bottega.core.errors import InvalidValue, StorageFailed, Tampered
from bottega.core.value import Value
from bottega.governance.certificates import key_pem
from bottega.storage.disk import sync_folder

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

NAME = r"^[^\s+\x00-\x1f]+$"  # of a key, and so of a record
ED25519 = b"\x01"  # the signature type of the signed-note specification
_TEXT = re.compile(r"(?P<origin>.+)\n(?P<size>0|[1-9][0-9]{0,15})\n(?P<root>[^\n]+)\ntime (?P<at>[^\n]+)\n")
_NOTE = re.compile(r"[\n\x20-\ud7ff\ue000-\U0010ffff]+")
_SIGNATURES = re.compile(r"(?:— [^ \n]+ [^ \n]+\n)+")


class Checkpoint(Value, frozen=True):
    """The size and root of a record at one moment."""

    origin: str = Field(pattern=NAME, description="which record; the name of its key")
    size: int = Field(ge=0, le=2**53, description="entries")
    root: str = Field(pattern="^[0-9a-f]{64}$", description="RFC 6962 root over the entries")
    at: str = Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$", description="RFC 3339, UTC")

    def text(self) -> str:
        """The lines that are signed."""
        root = base64.b64encode(bytes.fromhex(self.root)).decode()
        return f"{self.origin}\n{self.size}\n{root}\ntime {self.at}\n"

    @classmethod
    def parse(cls, text: str) -> "Checkpoint":
        """Read the lines back; ``Checkpoint.parse(text).text() == text`` for whatever is accepted.

        Raises:
            InvalidValue: the text is no checkpoint.
        """
        found = _TEXT.fullmatch(text)
        if found is None:
            raise InvalidValue("this is no checkpoint: origin, size, root and time are expected, one a line")
        try:
            return cls(
                origin=found["origin"],
                size=int(found["size"]),
                root=_decoded(found["root"]).hex(),
                at=found["at"],
            )
        except ValidationError as error:
            field_name = error.errors()[0]["loc"][0]
            raise InvalidValue(f"this is no checkpoint: its {field_name} cannot be read") from error


@dataclass(frozen=True)
class RecordKey:
    """The Ed25519 key that signs the checkpoints of one record. Its name is the record's origin."""

    name: str
    vkey: str
    private_key: str = field(repr=False)  # PEM

    @classmethod
    def local(cls, folder: Path, name: str = "") -> "RecordKey":
        """The key kept in this folder, made on first use; safe when several processes start at once.

        Args:
            folder: of its own, and backed up; gets `record.pem` (secret, mode 0600) and `record.vkey` (to hand out).
            name: for a key made now: unique, without spaces or '+', best a URL without scheme. Without one the
                name is taken from the key.

        Raises:
            InvalidValue: the name has a space or a '+'.
            StorageFailed: the folder cannot be written, or what lies there is damaged.
        """
        if name and not re.fullmatch(NAME, name):
            raise InvalidValue(f"'{name}' cannot name a record", remedy="use neither spaces nor '+'")
        try:
            if not (folder / "record.pem").exists():
                _make(folder, name)
            pem = (folder / "record.pem").read_text(encoding="ascii")
            vkey = (folder / "record.vkey").read_text(encoding="utf-8").strip()
            name, public = read_key(vkey)
            if public != _loaded(pem).public_key().public_bytes_raw():
                raise ValueError("record.vkey does not belong to record.pem")
        except (OSError, ValueError, TypeError, InvalidValue) as error:
            raise StorageFailed(
                f"the key of the record cannot be used: {error}",
                where=str(folder),
                remedy="restore the folder from a backup",
            ) from error
        return cls(name, vkey, pem)

    def sign(self, checkpoint: Checkpoint) -> str:
        """The checkpoint as a signed note.

        Raises:
            InvalidValue: the checkpoint is of another record.
        """
        if checkpoint.origin != self.name:
            raise InvalidValue(f"the key of '{self.name}' does not sign for '{checkpoint.origin}'")
        text = checkpoint.text()
        key_id = _key_id(*read_key(self.vkey))
        signature = _loaded(self.private_key).sign(text.encode())
        seal = base64.b64encode(key_id + signature).decode()
        return f"{text}\n— {self.name} {seal}\n"


def verify(note: str, vkey: str) -> Checkpoint:
    """The checkpoint in a note that this key has signed. Lines of other signers are not looked at.

    Raises:
        Tampered: not signed by this key, altered after signing, or the checkpoint of another record.
        InvalidValue: the note is no signed checkpoint, or the key is no verifier key.
    """
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    name, public = read_key(vkey)
    text, blank, signatures = note.rpartition("\n\n")
    if not (blank and _NOTE.fullmatch(note) and _SIGNATURES.fullmatch(signatures)):
        raise InvalidValue("this is no signed note: text, a blank line and signature lines are expected")
    text += "\n"
    key_id = _key_id(name, public)
    seals: list[bytes] = []
    for line in signatures.removesuffix("\n").split("\n"):
        _, signer, seal = line.split(" ")
        raw = _decoded(seal)
        if signer == name and raw[:4] == key_id:
            seals.append(raw[4:])
    if not seals:
        raise Tampered(
            f"the checkpoint is not signed by the key '{name}+{key_id.hex()}'",
            remedy="check which key belongs to this record",
        )
    try:
        for seal in seals:
            Ed25519PublicKey.from_public_bytes(public).verify(seal, text.encode())
    except InvalidSignature as error:
        raise Tampered("the checkpoint was altered: its signature does not fit its text") from error
    checkpoint = Checkpoint.parse(text)
    if checkpoint.origin != name:
        raise Tampered(f"the checkpoint is of '{checkpoint.origin}', not of '{name}'")
    return checkpoint


def read_key(vkey: str) -> tuple[str, bytes]:
    """Name and raw public key (32 bytes) of a verifier key, ``name+hash+base64(type || key)``.

    Raises:
        InvalidValue: it is none, or not of an Ed25519 key.
    """
    name, _, rest = vkey.partition("+")
    key_id, _, encoded = rest.partition("+")
    raw = _decoded(encoded)
    if len(raw) != 33 or raw[:1] != ED25519 or key_id != _key_id(name, raw[1:]).hex():
        raise InvalidValue(
            f"'{vkey}' is no Ed25519 verifier key", remedy="copy the whole line of record.vkey"
        )
    return name, raw[1:]


def _make(folder: Path, name: str) -> None:
    """Write a new key next to the place, then move it in at one stroke."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    secret = Ed25519PrivateKey.generate()
    public = secret.public_key().public_bytes_raw()
    name = name or f"bottega-record/{hashlib.sha256(public).hexdigest()[:12]}"
    vkey = f"{name}+{_key_id(name, public).hex()}+{base64.b64encode(ED25519 + public).decode()}\n"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as made:
        fresh = Path(made) / folder.name
        fresh.mkdir(mode=0o700)
        for file_name, text, mode in (("record.pem", key_pem(secret), 0o600), ("record.vkey", vkey, 0o644)):
            handle = os.open(fresh / file_name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
        sync_folder(fresh)
        with contextlib.suppress(OSError):  # another process was first: its key is the one
            fresh.rename(folder)
    sync_folder(folder.parent)
    if not (folder / "record.pem").exists():
        raise ValueError("the folder exists but holds no key of a record")


def _loaded(pem: str) -> "Ed25519PrivateKey":
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    secret = load_pem_private_key(pem.encode(), password=None)
    if not isinstance(secret, Ed25519PrivateKey):
        raise TypeError("record.pem holds no Ed25519 key")
    return secret


def _key_id(name: str, public: bytes) -> bytes:
    return hashlib.sha256(name.encode() + b"\n" + ED25519 + public).digest()[:4]


def _decoded(text: str) -> bytes:
    """Base64 in its one canonical form: no other text gives the same bytes."""
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidValue(f"'{text}' is not base64") from error
    if base64.b64encode(raw).decode() != text:
        raise InvalidValue(f"'{text}' is not canonical base64")
    return raw

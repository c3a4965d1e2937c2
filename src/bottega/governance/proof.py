"""A proof that one entry stands in the record: a document that a stranger checks without us.

`examples/verify_proof.py` does the same with the standard library alone. What is proved: the signer of the
checkpoint had recorded exactly this entry by then. What is not: that the entry is true, or that the time is.
"""

import json
import re
from typing import Annotated, Literal, cast

from pydantic import Field

from bottega.core.canonical import canonical_json, digest_bytes
from bottega.core.errors import InvalidValue, Tampered
from bottega.core.value import JsonObject, Value
from bottega.governance import checkpoint
from bottega.governance.checkpoint import Checkpoint
from bottega.storage import merkle
from bottega.storage.merkle import Leaves

Hash = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class Sealed(Value, frozen=True):
    """What an entry only commits to: its `sealed` field is SHA-256(salt || detail)."""

    salt: str = Field(pattern="^([0-9a-f]{2}){16,}$", description="random bytes, hexadecimal")
    detail: str = Field(description="canonical JSON, exactly as it was hashed")

    @classmethod
    def of(cls, salt: bytes, detail: JsonObject) -> "Sealed":
        """Seal these details."""
        return cls(salt=salt.hex(), detail=canonical_json(detail).decode())

    def commitment(self) -> str:
        """What the entry has to hold under `sealed`."""
        return digest_bytes(bytes.fromhex(self.salt) + self.detail.encode())


class Proof(Value, frozen=True):
    """One entry, the way from it to the root, and the signed root."""

    format: Literal["bottega.proof/1"] = "bottega.proof/1"
    entry: str = Field(description="the journal entry: its canonical JSON, exactly")
    index: int = Field(ge=0, description="place in the journal, from 0")
    size: int = Field(ge=1, description="entries under the checkpoint")
    hashes: tuple[Hash, ...] = Field(description="inclusion path of RFC 6962, lowest first")
    checkpoint: str = Field(description="signed note")
    key: str = Field(description="verifier key of the signer")
    sealed: Sealed | None = None


class Growth(Value, frozen=True):
    """That a record with ``new`` entries starts with the ``old`` entries of an earlier checkpoint."""

    format: Literal["bottega.growth/1"] = "bottega.growth/1"
    old: int = Field(ge=0)
    new: int = Field(ge=0)
    hashes: tuple[Hash, ...] = Field(description="consistency proof of RFC 6962")

    @classmethod
    def of(cls, source: Leaves, old: int, new: int) -> "Growth":
        """Read it from the journal.

        Raises:
            InvalidValue: unless 0 <= old <= new.
        """
        return cls(old=old, new=new, hashes=_hex(merkle.consistency_proof(source, old, new)))

    def verify(self, old: Checkpoint, new: Checkpoint) -> None:
        """Return when the newer checkpoint is of the same record, grown.

        Raises:
            Tampered: when it is not.
        """
        holds = (self.old, self.new, old.origin) == (old.size, new.size, new.origin)
        roots = bytes.fromhex(old.root), bytes.fromhex(new.root)
        if not holds or not merkle.verify_consistency(self.old, self.new, *roots, _raw(self.hashes)):
            raise Tampered(
                f"the record of {new.size} entries does not start with that of {old.size} entries",
                remedy="one of the two checkpoints is of a rewritten record",
            )


def build(
    source: Leaves, index: int, entry: bytes, note: str, vkey: str, sealed: Sealed | None = None
) -> Proof:
    """The proof for one entry under one signed checkpoint; it is verified before it is handed out.

    Raises:
        InvalidValue: the entry is later than the checkpoint, or the note is none.
        Tampered: the journal does not hold what the checkpoint says.
    """
    size = checkpoint.verify(note, vkey).size
    proof = Proof(
        entry=entry.decode(),
        index=index,
        size=size,
        hashes=_hex(merkle.inclusion_proof(source, index, size)),
        checkpoint=note,
        key=vkey,
        sealed=sealed,
    )
    verify(proof, vkey)
    return proof


def verify(proof: Proof, vkey: str | None = None, artifact_sha256: str | None = None) -> JsonObject:
    """Check a proof and say what it shows.

    Args:
        proof: the document.
        vkey: the verifier key you have from elsewhere. Without one the key inside the proof is used: then the proof
            shows only that its parts belong together.
        artifact_sha256: an artifact that the entry has to name.

    Returns:
        ``origin``, ``key``, ``size``, ``root``, ``at``, ``index``, ``entry`` (parsed), ``detail`` (parsed or None).

    Raises:
        Tampered: another key, an altered checkpoint, a path that does not lead to the root, an altered entry or
            detail, or an entry about something else.
        InvalidValue: the parts cannot be read.
    """
    if vkey is not None and vkey != proof.key:
        raise Tampered(
            f"the proof is signed by another key than yours: {proof.key}",
            remedy="ask who runs the record which key is theirs",
        )
    signed = checkpoint.verify(proof.checkpoint, proof.key)
    if proof.size != signed.size:
        raise Tampered(f"the proof is for {proof.size} entries, the checkpoint for {signed.size}")
    leaf = merkle.leaf_hash(proof.entry.encode())
    root = bytes.fromhex(signed.root)
    if not merkle.verify_inclusion(leaf, proof.index, proof.size, _raw(proof.hashes), root):
        raise Tampered("the path does not lead from this entry to the signed root")
    entry = _object(proof.entry, "entry")
    if entry.get("n") != proof.index:
        raise Tampered(f"the entry at place {proof.index} says that it is number {entry.get('n')}")
    said = proof.entry
    if proof.sealed is not None:
        # In canonical JSON this text can only be a field with this value: quotes inside a string are escaped.
        if f'"sealed":"{proof.sealed.commitment()}"' not in proof.entry:
            raise Tampered("the sealed detail is not what the entry commits to")
        said += proof.sealed.detail
    if artifact_sha256 is not None and not re.fullmatch("[0-9a-f]{64}", artifact_sha256):
        raise InvalidValue(f"'{artifact_sha256}' is no SHA-256", remedy="give 64 hexadecimal digits")
    if artifact_sha256 is not None and f'"{artifact_sha256}"' not in said:
        raise Tampered(f"the entry does not name the artifact {artifact_sha256}")
    return {
        "origin": signed.origin,
        "key": proof.key,
        "size": signed.size,
        "root": signed.root,
        "at": signed.at,
        "index": proof.index,
        "entry": entry,
        "detail": _object(proof.sealed.detail, "sealed detail") if proof.sealed else None,
    }


def _object(text: str, what: str) -> JsonObject:
    try:
        value: object = json.loads(text)
        if canonical_json(value) != text.encode():
            raise InvalidValue(f"the {what} is not canonical JSON")
    except (ValueError, RecursionError) as error:
        raise InvalidValue(f"the {what} is not JSON") from error
    if not isinstance(value, dict):
        raise InvalidValue(f"the {what} is no JSON object")
    return cast(JsonObject, value)


def _hex(hashes: list[bytes]) -> tuple[Hash, ...]:
    return tuple(each.hex() for each in hashes)


def _raw(hashes: tuple[Hash, ...]) -> list[bytes]:
    return [bytes.fromhex(each) for each in hashes]

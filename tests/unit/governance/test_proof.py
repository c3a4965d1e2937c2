"""Proofs for a stranger: what holds is accepted, every altered part is refused with its reason."""

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import pytest
from pydantic import ValidationError

from bottega.core.canonical import canonical_json
from bottega.core.errors import InvalidValue, Tampered
from bottega.governance.checkpoint import Checkpoint, RecordKey
from bottega.governance.proof import Growth, Proof, Sealed, build, verify
from bottega.storage.merkle import TILE, leaf_hash, root_of

ARTIFACT = sha256(b"artifact").hexdigest()
INNER = sha256(b"named in the details only").hexdigest()
OTHER = sha256(b"other").hexdigest()
SEALED = Sealed.of(b"0123456789abcdef", {"prompt": f'say "{OTHER}"', "artifact": INNER, "strength": 0.5})
INDEX, SIZE = TILE + 9, TILE + 50


def entry(number: int) -> bytes:
    sealed = {"sealed": SEALED.commitment()} if number == INDEX else {}
    value = {"n": number, "act": "pipeline:released", "artifact": ARTIFACT, "note": f'not "{OTHER}"'}
    return canonical_json({**value, **sealed})


class Kept:
    """A journal in a list."""

    def __init__(self, size: int) -> None:
        self.hashes = [leaf_hash(entry(number)) for number in range(size)]

    def leaves(self, start: int, end: int) -> Sequence[bytes]:
        return self.hashes[start:end]

    def tile(self, index: int) -> bytes | None:
        return root_of(self.hashes[index * TILE : (index + 1) * TILE])

    def checkpoint(self, origin: str, size: int) -> Checkpoint:
        root = root_of(self.hashes[:size]).hex()
        return Checkpoint(origin=origin, size=size, root=root, at="2026-01-01T00:00:00Z")


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> RecordKey:
    return RecordKey.local(tmp_path_factory.mktemp("keys") / "record")


@pytest.fixture(scope="module")
def journal() -> Kept:
    return Kept(SIZE + 20)


@pytest.fixture(scope="module")
def proof(journal: Kept, key: RecordKey) -> Proof:
    note = key.sign(journal.checkpoint(key.name, SIZE))
    return build(journal, INDEX, entry(INDEX), note, key.vkey, SEALED)


def test_a_proof_tells_what_it_shows(proof: Proof, key: RecordKey) -> None:
    again = Proof.model_validate_json(proof.canonical())
    facts = verify(again, key.vkey, ARTIFACT)
    assert facts == verify(again)
    assert facts["entry"]["artifact"] == ARTIFACT
    assert facts["detail"]["strength"] == 0.5
    assert (facts["origin"], facts["key"], facts["index"], facts["size"]) == (key.name, key.vkey, INDEX, SIZE)
    assert facts["at"] == "2026-01-01T00:00:00Z"


def test_an_artifact_may_be_named_in_the_sealed_detail(proof: Proof) -> None:
    verify(proof, artifact_sha256=INNER)
    with pytest.raises(Tampered, match="does not name"):
        verify(proof.model_copy(update={"sealed": None}), artifact_sha256=INNER)


@pytest.mark.parametrize("sha256", [OTHER, "0" * 64])
def test_another_artifact_is_not_named(proof: Proof, sha256: str) -> None:
    """Also when free text quotes its hash."""
    with pytest.raises(Tampered, match="does not name"):
        verify(proof, artifact_sha256=sha256)


@pytest.mark.parametrize("sha256", ["", ARTIFACT[:12], ARTIFACT.upper()])
def test_what_is_no_hash_is_refused(proof: Proof, sha256: str) -> None:
    with pytest.raises(InvalidValue):
        verify(proof, artifact_sha256=sha256)


def test_another_key_is_refused(proof: Proof, key: RecordKey, journal: Kept, tmp_path: Path) -> None:
    other = RecordKey.local(tmp_path / "record", key.name)
    with pytest.raises(Tampered, match="another key than yours"):
        verify(proof, other.vkey)
    with pytest.raises(Tampered, match="not signed by"):
        verify(proof.model_copy(update={"key": other.vkey}))
    note = other.sign(journal.checkpoint(key.name, SIZE))
    with pytest.raises(Tampered, match="not signed by"):
        verify(proof.model_copy(update={"checkpoint": note}), key.vkey)


@pytest.mark.parametrize(
    ("part", "value", "reason"),
    [
        ("entry", entry(INDEX).decode().replace("released", "accepted"), "path does not lead"),
        ("entry", entry(INDEX + 1).decode(), "path does not lead"),
        ("index", INDEX + 1, "path does not lead"),
        ("index", SIZE, "path does not lead"),
        ("size", SIZE + 1, "the checkpoint for"),
        ("hashes", (), "path does not lead"),
        ("sealed", SEALED.model_copy(update={"salt": "00" * 16}), "commits to"),
        ("sealed", SEALED.model_copy(update={"detail": "{}"}), "commits to"),
    ],
)
def test_an_altered_part_is_refused(proof: Proof, part: str, value: object, reason: str) -> None:
    with pytest.raises(Tampered, match=reason):
        verify(proof.model_copy(update={part: value}))


def test_an_altered_path_or_checkpoint_is_refused(proof: Proof) -> None:
    with pytest.raises(Tampered, match="path does not lead"):
        verify(proof.model_copy(update={"hashes": (*proof.hashes[:-1], OTHER)}))
    altered = proof.checkpoint.replace(f"\n{SIZE}\n", f"\n{SIZE + 1}\n")
    with pytest.raises(Tampered, match="does not fit"):
        verify(proof.model_copy(update={"checkpoint": altered}))


def test_no_sealed_detail_where_none_was_committed_to(journal: Kept, key: RecordKey) -> None:
    """A commitment that only stands inside a text is none."""
    said = canonical_json({"n": 0, "note": f'"sealed":"{SEALED.commitment()}"'})
    lone = Kept(0)
    lone.hashes = [leaf_hash(said)]
    note = key.sign(lone.checkpoint(key.name, 1))
    assert build(lone, 0, said, note, key.vkey).hashes == ()
    with pytest.raises(Tampered, match="commits to"):
        build(lone, 0, said, note, key.vkey, SEALED)


@pytest.mark.parametrize("said", [b'{"n": 0}', b'{"n":1}', b'{"x":0}', b"[0]", b"nonsense"])
def test_a_recorded_entry_that_is_none_is_refused(key: RecordKey, said: bytes) -> None:
    lone = Kept(0)
    lone.hashes = [leaf_hash(said)]
    with pytest.raises((InvalidValue, Tampered)):
        build(lone, 0, said, key.sign(lone.checkpoint(key.name, 1)), key.vkey)


def test_no_proof_is_built_from_a_journal_that_does_not_hold(journal: Kept, key: RecordKey) -> None:
    note = key.sign(journal.checkpoint(key.name, SIZE))
    changed = Kept(SIZE)
    changed.hashes[3] = leaf_hash(b"another")
    with pytest.raises(Tampered, match="path does not lead"):
        build(changed, INDEX, entry(INDEX), note, key.vkey)
    with pytest.raises(InvalidValue, match="later checkpoint"):
        build(journal, SIZE, entry(SIZE), note, key.vkey)


def test_a_document_of_another_form_is_refused(proof: Proof) -> None:
    document = proof.document()
    for part, value in (("format", "bottega.proof/2"), ("hashes", ["xyz"]), ("index", -1), ("more", 1)):
        with pytest.raises(ValidationError):
            Proof.model_validate({**document, part: value})


def test_growth_between_two_checkpoints(journal: Kept, key: RecordKey) -> None:
    old, new = journal.checkpoint(key.name, 100), journal.checkpoint(key.name, SIZE)
    growth = Growth.of(journal, 100, SIZE)
    growth.verify(old, new)
    Growth.of(journal, 0, SIZE).verify(journal.checkpoint(key.name, 0), new)
    changed = Kept(SIZE)
    changed.hashes[3] = leaf_hash(b"another")
    false = [
        (growth, changed.checkpoint(key.name, 100), new),
        (growth, old, changed.checkpoint(key.name, SIZE)),
        (Growth.of(changed, 100, SIZE), old, new),
        (growth, old.model_copy(update={"origin": "another/record"}), new),
        (growth, journal.checkpoint(key.name, 101), new),
    ]
    for each, before, after in false:
        with pytest.raises(Tampered, match="does not start with"):
            each.verify(before, after)

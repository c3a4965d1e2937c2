"""The stranger's script: run alone as a stranger would, and its signature check against another implementation."""

import ast
import importlib.util
import json
import subprocess
import sys
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from bottega.core.canonical import canonical_json
from bottega.core.errors import BottegaError
from bottega.governance.checkpoint import Checkpoint, RecordKey
from bottega.governance.proof import Growth, Proof, Sealed, build, verify
from bottega.storage.merkle import leaf_hash, root_of

SCRIPT = Path(__file__).parents[2] / "examples" / "verify_proof.py"
MADE = b"the artifact as it was made"
SEALED = Sealed.of(b"0123456789abcdef", {"prompt": "d'été", "artifact": sha256(b"sealed").hexdigest()})
INDEX, SIZE, OLD = 5, 11, 7


def entry(number: int) -> bytes:
    return canonical_json(
        {"n": number, "artifact": sha256(MADE).hexdigest(), "note": "già", "sealed": SEALED.commitment()}
    )


class Kept:
    """A journal in a list."""

    hashes = [leaf_hash(entry(number)) for number in range(SIZE)]  # noqa: RUF012

    def leaves(self, start: int, end: int) -> Sequence[bytes]:
        return self.hashes[start:end]

    def tile(self, index: int) -> bytes | None:
        return None


def note(key: RecordKey, size: int) -> str:
    root = root_of(Kept.hashes[:size]).hex()
    return key.sign(Checkpoint(origin=key.name, size=size, root=root, at="2026-01-01T00:00:00Z"))


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> RecordKey:
    return RecordKey.local(tmp_path_factory.mktemp("keys") / "record")


@pytest.fixture(scope="module")
def proof(key: RecordKey) -> Proof:
    return build(Kept(), INDEX, entry(INDEX), note(key, SIZE), key.vkey, SEALED)


class Stranger:
    """A folder with a proof in it, and the script."""

    def __init__(self, folder: Path, proof: dict[str, Any]) -> None:
        self.folder = folder
        self.write("proof.json", json.dumps(proof).encode())

    def write(self, name: str, data: bytes) -> str:
        (self.folder / name).write_bytes(data)
        return name

    def run(self, *args: str) -> tuple[int, str]:
        """Exit code and the one line."""
        command = [sys.executable, "-I", str(SCRIPT), "proof.json", *args]
        done = subprocess.run(
            command, cwd=self.folder, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.stderr == ""
        assert done.stdout.count("\n") == 1
        return done.returncode, done.stdout


@pytest.fixture
def stranger(tmp_path: Path, proof: Proof) -> Stranger:
    return Stranger(tmp_path, proof.document())


def altered(stranger: Stranger, proof: Proof, **parts: object) -> tuple[int, str]:
    return Stranger(stranger.folder, {**proof.document(), **parts}).run()


def test_it_needs_nothing_but_the_standard_library() -> None:
    tree = ast.parse(SCRIPT.read_text("utf-8"), feature_version=(3, 9))
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert names <= set(sys.stdlib_module_names)


def test_a_good_proof_with_everything(stranger: Stranger, key: RecordKey) -> None:
    made = stranger.write("made.txt", MADE)
    older = stranger.write("older.txt", note(key, OLD).encode())
    growth = stranger.write("growth.json", Growth.of(Kept(), OLD, SIZE).canonical())
    code, said = stranger.run("--file", made, "--key", key.vkey, "--older", older, "--growth", growth)
    assert code == 0, said
    assert said.startswith(
        f"proved: entry {INDEX} stands among the {SIZE} entries recorded by 2026-01-01T00:00:00Z"
    )
    assert f"names made.txt ({sha256(MADE).hexdigest()})" in said
    assert f"the first {OLD} entries are those of 2026" in said
    assert said.endswith(f"signed by your key {key.vkey}\n")


def test_without_a_key_it_says_whose_word_that_is(stranger: Stranger, key: RecordKey) -> None:
    code, said = stranger.run()
    assert code == 0
    assert f"the key in the proof itself, which you should compare with theirs: {key.vkey}" in said


def test_a_key_may_be_given_as_a_file(stranger: Stranger, key: RecordKey) -> None:
    code, said = stranger.run("--key", stranger.write("record.vkey", f"{key.vkey}\n".encode()))
    assert (code, "your key" in said) == (0, True)


def test_another_key_is_refused(stranger: Stranger, key: RecordKey, proof: Proof, tmp_path: Path) -> None:
    other = RecordKey.local(tmp_path / "record", key.name)
    code, said = stranger.run("--key", other.vkey)
    assert (code, "another key than yours" in said) == (1, True)
    code, said = altered(stranger, proof, key=other.vkey)
    assert (code, "not signed by" in said) == (1, True)
    code, said = altered(stranger, proof, key="nonsense")
    assert (code, "no verifier key" in said) == (1, True)


@pytest.mark.parametrize(
    ("part", "value", "reason"),
    [
        ("entry", entry(INDEX).decode().replace("già", "mai"), "path does not lead"),
        ("index", INDEX + 1, "path does not lead"),
        ("index", -1, "path does not lead"),
        ("size", SIZE - 1, "the checkpoint for"),
        ("hashes", [], "path does not lead"),
        ("hashes", ["00"], "32 bytes"),
        ("hashes", ["xyz"], "cannot be read"),
        ("checkpoint", "nonsense", "no signed note"),
        ("checkpoint", "", "not signed"),
        ("checkpoint", "\x1b[2Jtext\n\n— me AAAA\n", "control characters"),
        ("key", "\x1b[2J\nproved: all is well", "no verifier key"),
        ("format", "bottega.proof/2", "does not know"),
        ("sealed", {"salt": "00", "detail": "{}"}, "commits to"),
        ("sealed", {"salt": "00"}, "cannot be read"),
        ("entry", None, "path does not lead"),
    ],
)
def test_an_altered_proof_is_refused(
    stranger: Stranger, proof: Proof, part: str, value: object, reason: str
) -> None:
    code, said = altered(stranger, proof, **{part: value})
    assert (code, said.startswith("NOT proved: ")) == (1, True)
    assert reason in said


def test_an_altered_checkpoint_is_refused(stranger: Stranger, proof: Proof) -> None:
    code, said = altered(
        stranger, proof, checkpoint=proof.checkpoint.replace(f"\n{SIZE}\n", "\n12\n"), size=12
    )
    assert (code, "does not fit its text" in said) == (1, True)


def test_what_is_no_proof_is_refused(stranger: Stranger) -> None:
    for data in (b"", b"[]", b"{}", b"\xff", b"[" * 100_000):
        stranger.write("proof.json", data)
        code, said = stranger.run()
        assert (code, "cannot be read" in said) == (1, True)


def test_another_file_is_refused_with_both_hashes(stranger: Stranger) -> None:
    delivered = MADE + b" with credentials inside"
    code, said = stranger.run("--file", stranger.write("delivered.txt", delivered))
    assert code == 1
    assert sha256(delivered).hexdigest() in said
    assert sha256(MADE).hexdigest() in said
    assert "carries its credentials inside" in said
    code, said = stranger.run("--file", stranger.write("sealed.txt", b"sealed"))
    assert code == 0, "the sealed details name it"


def test_a_record_that_did_not_grow_is_refused(stranger: Stranger, key: RecordKey) -> None:
    growth = stranger.write("growth.json", Growth.of(Kept(), OLD, SIZE).canonical())
    rewritten = root_of([*Kept.hashes[:2], leaf_hash(b"another"), *Kept.hashes[3:OLD]]).hex()
    old = Checkpoint(origin=key.name, size=OLD, root=rewritten, at="2026-01-01T00:00:00Z")
    for text in (key.sign(old), note(key, OLD - 1)):
        code, said = stranger.run("--older", stranger.write("older.txt", text.encode()), "--growth", growth)
        assert (code, "does not start with" in said) == (1, True)


def script() -> Any:
    spec = importlib.util.spec_from_file_location("verify_proof", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


STRANGER = script()


def agreed(public: bytes, message: bytes, signature: bytes) -> bool:
    """What both implementations say."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
        theirs = True
    except InvalidSignature:
        theirs = False
    assert STRANGER.is_signed(public, message, signature) is theirs
    return theirs


def refused_by_both(document: dict[str, Any]) -> bool:
    """What both verifiers say of a document."""
    try:
        verify(Proof.model_validate(document))
        ours = False
    except (BottegaError, ValidationError):
        ours = True
    try:
        STRANGER.check_entry(document, document["key"])
        theirs = False
    except (STRANGER.Refused, ValueError):
        theirs = True
    assert ours is theirs
    return ours


@settings(deadline=None)
@given(st.sampled_from(["entry", "checkpoint", "key", "hashes", "sealed"]), st.data())
def test_any_altered_character_is_refused_here_and_there(
    proof: Proof, part: str, data: st.DataObject
) -> None:
    document = proof.document()
    assert not refused_by_both(document)
    where: Any = document
    at: Any = part
    if part == "hashes":
        where, at = document["hashes"], data.draw(st.integers(0, len(document["hashes"]) - 1))
    elif part == "sealed":
        where, at = document["sealed"], data.draw(st.sampled_from(["salt", "detail"]))
    text = where[at]
    place = data.draw(st.integers(0, len(text) - 1))
    letter = data.draw(st.sampled_from('01abx +=/"\n').filter(lambda each: each != text[place]))
    where[at] = text[:place] + letter + text[place + 1 :]
    assert refused_by_both(document)


@settings(deadline=None)
@given(st.binary(min_size=32, max_size=32), st.binary(max_size=200), st.integers(0, 511))
def test_its_signature_check_agrees_with_cryptography(seed: bytes, message: bytes, bit: int) -> None:
    secret = Ed25519PrivateKey.from_private_bytes(seed)
    public, signature = secret.public_key().public_bytes_raw(), secret.sign(message)
    bent = (int.from_bytes(signature, "little") ^ 1 << bit).to_bytes(64, "little")
    other = (int.from_bytes(public, "little") ^ 1 << bit // 2).to_bytes(32, "little")
    larger = (int.from_bytes(signature[32:], "little") + STRANGER.L).to_bytes(32, "little")
    assert agreed(public, message, signature)
    assert not agreed(public, message, bent)
    assert not agreed(public, message + b"\x00", signature)
    assert not agreed(other, message, signature)
    assert not agreed(public, message, signature[:32] + larger), "the same signature written otherwise"


@pytest.mark.parametrize(
    ("public", "message", "signature"),
    [  # RFC 8032, section 7.1, tests 1 and 2
        (
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            "",
            (
                "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b"
                "d25bf5f0595bbe24655141438e7a100b"
            ),
        ),
        (
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            "72",
            (
                "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c"
                "387b2eaeb4302aeeb00d291612bb0c00"
            ),
        ),
    ],
)
def test_its_signature_check_accepts_the_vectors_of_the_rfc(
    public: str, message: str, signature: str
) -> None:
    assert agreed(bytes.fromhex(public), bytes.fromhex(message), bytes.fromhex(signature))


@given(st.binary(min_size=32, max_size=32))
def test_points_are_read_and_written_alike(data: bytes) -> None:
    point = STRANGER.decode(data)
    assert point is None or STRANGER.encode(point) == data


def test_lengths_are_checked() -> None:
    assert not STRANGER.is_signed(b"", b"", bytes(64))
    assert not STRANGER.is_signed(bytes(32), b"", b"")

"""Check a proof from a Bottega record. One file, Python 3.9 or later, nothing to install.

    python verify_proof.py proof.json [--file ARTIFACT] [--key VKEY] [--older NOTE --growth GROWTH.json]

What it checks, in this order:

1. The checkpoint in the proof is signed with Ed25519 (RFC 8032) by the key you gave, or by the key in the proof.
2. The entry in the proof is one of the entries under that checkpoint (RFC 6962 inclusion path).
3. The details that the entry only commits to, when the proof brings them, are the ones it commits to.
4. With --file: the entry names the SHA-256 of that file.
5. With --older: the record under an older checkpoint of yours is the start of the record under this one.

What no check can tell: whether the entry is true, and whether the key is whose you think. Get the key
(one line: NAME+HASH+KEY) from a place you trust and give it with --key, as text or as a file.

It ends with 0 when everything holds and with 1 when anything does not, and says in one line what it found.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import re
import sys
from pathlib import Path
from typing import Any, NamedTuple


class Refused(Exception):
    """Something does not hold; the text says what."""


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


# --- Merkle tree (RFC 6962; verification as in RFC 9162, sections 2.1.3.2 and 2.1.4.2) ---------------------------


def leaf_hash(entry: bytes) -> bytes:
    return sha256(b"\x00" + entry)


def node_hash(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right)


def is_included(leaf: bytes, index: int, size: int, path: list[bytes], root: bytes) -> bool:
    """Whether the path leads from this leaf, at this place among so many, to this root."""
    if not 0 <= index < size:
        return False
    place, last, node = index, size - 1, leaf
    for other in path:
        if last == 0:
            return False
        if place % 2 or place == last:
            node = node_hash(other, node)
            while place and place % 2 == 0:
                place, last = place // 2, last // 2
        else:
            node = node_hash(node, other)
        place, last = place // 2, last // 2
    return last == 0 and node == root


def is_grown(old: int, new: int, old_root: bytes, new_root: bytes, path: list[bytes]) -> bool:
    """Whether the tree of ``new`` leaves starts with the tree of ``old`` leaves."""
    if old > new:
        return False
    if old == new:
        return not path and old_root == new_root
    if old == 0:
        return not path and old_root == sha256(b"")
    if old & (old - 1) == 0:  # a power of two: the old root is itself a node of the new tree
        path = [old_root, *path]
    if not path:
        return False
    place, last = old - 1, new - 1
    while place % 2:
        place, last = place // 2, last // 2
    before = after = path[0]
    for other in path[1:]:
        if last == 0:
            return False
        if place % 2 or place == last:
            before, after = node_hash(other, before), node_hash(other, after)
            while place and place % 2 == 0:
                place, last = place // 2, last // 2
        else:
            after = node_hash(after, other)
        place, last = place // 2, last // 2
    return last == 0 and before == old_root and after == new_root


# --- Ed25519 (RFC 8032, section 5.1): verification only; nothing here is secret, so speed of each case may differ ---

P = 2**255 - 19  # the field
L = 2**252 + 27742317777372353535851937790883648493  # the order of the base point
D = -121665 * pow(121666, P - 2, P) % P  # the curve: -x^2 + y^2 = 1 + D x^2 y^2


class Point(NamedTuple):
    """A point of the curve in extended coordinates: x = X/Z, y = Y/Z, X Y = Z T."""

    x: int
    y: int
    z: int
    t: int


def add(a: Point, b: Point) -> Point:
    e = (a.y - a.x) * (b.y - b.x) % P
    f = (a.y + a.x) * (b.y + b.x) % P
    g = 2 * a.t * b.t * D % P
    h = 2 * a.z * b.z % P
    return Point((f - e) * (h - g) % P, (h + g) * (f + e) % P, (h - g) * (h + g) % P, (f - e) * (f + e) % P)


def multiply(number: int, point: Point) -> Point:
    result = Point(0, 1, 1, 0)
    while number:
        if number & 1:
            result = add(result, point)
        point = add(point, point)
        number >>= 1
    return result


def decode(data: bytes) -> Point | None:
    """The point written in 32 bytes: y, with the lowest bit of x on top; None when there is no such point."""
    number = int.from_bytes(data, "little")
    y, odd = number & (2**255 - 1), number >> 255
    if y >= P:
        return None
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if x * x % P != square:
        x = x * pow(2, (P - 1) // 4, P) % P
    if x * x % P != square or (x == 0 and odd):
        return None
    if x % 2 != odd:
        x = P - x
    return Point(x, y, 1, x * y % P)


def encode(point: Point) -> bytes:
    inverse = pow(point.z, P - 2, P)
    x, y = point.x * inverse % P, point.y * inverse % P
    return (y | (x % 2) << 255).to_bytes(32, "little")


def is_signed(public: bytes, message: bytes, signature: bytes) -> bool:
    """Whether this Ed25519 key has signed this message: S B - k A has to be R."""
    key = decode(public) if len(public) == 32 and len(signature) == 64 else None
    base = decode((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))
    r, s = signature[:32], int.from_bytes(signature[32:], "little")
    if key is None or base is None or s >= L:
        return False
    k = int.from_bytes(hashlib.sha512(r + public + message).digest(), "little") % L
    return encode(add(multiply(s, base), multiply(L - k, key))) == r


# --- Signed checkpoints (c2sp.org/signed-note, c2sp.org/tlog-checkpoint) -----------------------------------------


class Checkpoint(NamedTuple):
    """What a record held at one moment."""

    origin: str
    size: int
    root: bytes
    at: str


def decode64(text: str) -> bytes:
    """Base64 in its one canonical form."""
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError:
        data = b""
    if not data or base64.b64encode(data).decode() != text:
        raise Refused(f"{text!r} is not base64")
    return data


def open_key(vkey: str) -> tuple[str, bytes, bytes]:
    """Name, key hash and raw Ed25519 key of a verifier key."""
    found = re.fullmatch(r"([^\s+]+)\+([0-9a-f]{8})\+(\S+)", vkey)
    if not found:
        raise Refused(f"{vkey!r} is no verifier key")
    name, raw = found[1], decode64(found[3])
    key_hash = sha256(name.encode() + b"\n" + raw)[:4]
    if len(raw) != 33 or raw[0] != 1 or key_hash.hex() != found[2]:
        raise Refused(f"{vkey!r} is no Ed25519 verifier key")
    return name, key_hash, raw[1:]


def open_note(note: str, vkey: str) -> Checkpoint:
    """The checkpoint in a note, once a signature of this key is found to hold."""
    name, key_hash, public = open_key(vkey)
    if re.search(r"[^\n\x20-\x7e\xa0-\U0010ffff]", note):
        raise Refused("the checkpoint holds control characters")
    text, _, signatures = note.rpartition("\n\n")
    text += "\n"
    signed = False
    for line in signatures.splitlines():
        signature = re.fullmatch(r"— (\S+) (\S+)", line)
        if not signature:
            raise Refused("the checkpoint is no signed note")
        seal = decode64(signature[2])
        if signature[1] == name and seal[:4] == key_hash:
            if not is_signed(public, text.encode(), seal[4:]):
                raise Refused("the checkpoint was altered: its signature does not fit its text")
            signed = True
    if not signed:
        raise Refused(f"the checkpoint is not signed by the key {name}+{key_hash.hex()}")
    found = re.fullmatch(r"(\S+)\n(0|[1-9][0-9]{0,15})\n(\S+)\ntime (\S+)\n", text)
    if not found or found[1] != name:
        raise Refused("what the key signed is no checkpoint of its record")
    return Checkpoint(found[1], int(found[2]), decode64(found[3]), found[4])


# --- The proof ---------------------------------------------------------------------------------------------------


def hashes(values: list[str]) -> list[bytes]:
    raw = [bytes.fromhex(value) for value in values]
    if any(len(each) != 32 for each in raw):
        raise Refused("a hash in the proof has not 32 bytes")
    return raw


def check_entry(proof: dict[str, Any], vkey: str) -> tuple[Checkpoint, str]:
    """The checkpoint, and the text that is proved to stand under it: the entry, with the details it commits to."""
    if proof["format"] != "bottega.proof/1":
        raise Refused(f"this script does not know the format {proof['format']!r}")
    checkpoint = open_note(proof["checkpoint"], vkey)
    index, size, entry = int(proof["index"]), int(proof["size"]), str(proof["entry"])
    if size != checkpoint.size:
        raise Refused(f"the proof is for {size} entries, the checkpoint for {checkpoint.size}")
    if not is_included(leaf_hash(entry.encode()), index, size, hashes(proof["hashes"]), checkpoint.root):
        raise Refused("the path does not lead from this entry to the signed root")
    if json.loads(entry)["n"] != index:
        raise Refused(f"the entry at place {index} gives itself another number")
    sealed = proof.get("sealed")
    if not sealed:
        return checkpoint, entry
    commitment = sha256(bytes.fromhex(sealed["salt"]) + sealed["detail"].encode()).hex()
    if f'"sealed":"{commitment}"' not in entry:  # inside a string the quotes would be escaped
        raise Refused("the details in the proof are not those that the entry commits to")
    return checkpoint, entry + sealed["detail"]


def check_file(path: Path, said: str) -> str:
    """The file's SHA-256, which has to be named in what was proved."""
    hasher = hashlib.sha256()
    with path.open("rb") as file:
        for chunk in iter(lambda: file.read(1 << 20), b""):
            hasher.update(chunk)
    digest = hasher.hexdigest()
    if f'"{digest}"' not in said:
        named = re.findall(r'"([0-9a-f]{64})"', said)
        raise Refused(
            f"the entry does not name this file: its SHA-256 is {digest}, the entry names "
            f"{', '.join(dict.fromkeys(named)) or 'none'}. A delivered file carries its credentials inside, so it differs "
            "from the artifact as it was made; give the artifact, or a proof of the entry that names the delivered file"
        )
    return digest


def check_growth(old: Checkpoint, new: Checkpoint, growth: dict[str, Any]) -> None:
    path = hashes(growth["hashes"])
    same = old.origin == new.origin and (growth["old"], growth["new"]) == (old.size, new.size)
    if not same or not is_grown(old.size, new.size, old.root, new.root, path):
        raise Refused(
            f"the record of {new.size} entries does not start with your older one of {old.size} entries"
        )


def run(args: argparse.Namespace) -> str:
    """Check what was asked for and say what was proved."""
    proof: dict[str, Any] = json.loads(args.proof.read_text("utf-8"))
    vkey = str(proof["key"])
    if args.key:
        vkey = Path(args.key).read_text("utf-8").strip() if Path(args.key).is_file() else str(args.key)
        if vkey != proof["key"]:
            raise Refused(f"the proof is signed by another key than yours: {proof['key']!r}")
    checkpoint, said = check_entry(proof, vkey)
    what = f"entry {proof['index']} stands among the {checkpoint.size} entries recorded by {checkpoint.at}"
    if args.file:
        what += f", and names {args.file.name} ({check_file(args.file, said)})"
    if args.older:
        older = open_note(args.older.read_text("utf-8"), vkey)
        check_growth(older, checkpoint, json.loads(args.growth.read_text("utf-8")))
        what += f"; the first {older.size} entries are those of {older.at}"
    whose = "your key" if args.key else "the key in the proof itself, which you should compare with theirs:"
    return f"{what}; signed by {whose} {vkey}"


def main() -> int:
    parser = argparse.ArgumentParser(description="Check a proof from a Bottega record.")
    parser.add_argument("proof", type=Path, help="the proof, JSON")
    parser.add_argument("--file", type=Path, help="an artifact that the entry has to name")
    parser.add_argument("--key", help="the verifier key you trust: its text, or a file with it")
    parser.add_argument("--older", type=Path, help="an older checkpoint of yours")
    parser.add_argument("--growth", type=Path, help="the proof that the record grew from it, JSON")
    args = parser.parse_args()
    if bool(args.older) != bool(args.growth):
        parser.error("--older and --growth go together")
    try:
        print(f"proved: {run(args)}")
    except Refused as reason:
        print(f"NOT proved: {reason}")
        return 1
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        print(f"NOT proved: this cannot be read ({type(error).__name__}: {error})")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

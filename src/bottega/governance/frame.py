"""The bytes of a manifest store that no hash in it covers: box lengths and labels, padding, checksums.

C2PA leaves them out of every digest, so a flipped bit there goes unnoticed by its libraries. It changes nothing that a
reader would see, yet "one flipped byte says tampered" should have no small print. Not covered: JPEG and GIF, which
cut the store into segments; there the content and all statements are protected, the segment headers are not.

Source: ISO 19566-5 (JUMBF boxes); C2PA specification 2.4, sections 11.1 (store) and A.1 to A.5 (embedding).
"""

import hashlib
import re
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from io import BufferedReader
from zlib import crc32

PIECE = 1 << 20  # bytes of a file that are held at a time
LARGEST = 256 << 20  # bytes of a manifest store; what claims to be larger is no store of ours
_UUID_TAIL = b"\x00\x11\x00\x10\x80\x00\x00\xaa\x00\x38\x9b\x71"
_LABELS = {
    b"c2pa": (b"c2pa",),
    b"c2as": (b"c2pa.assertions",),
    b"c2cl": (b"c2pa.claim", b"c2pa.claim.v2"),
    b"c2cs": (b"c2pa.signature",),
}
_SVG_START, _SVG_END = b"<c2pa:manifest", b"</c2pa:manifest>"
_SVG_STORE = re.compile(rb"<c2pa:manifest[^>]*>([^<]*)</c2pa:manifest>")
# COSE_Sign1 ends with: the padding in the unprotected header, a detached payload (null), the signature.
_PADDING = re.compile(rb"cpad(?:[\x40-\x57]|\x58.|\x59..)\x00*\xf6(?:\x58.|\x59..)", re.DOTALL)
_BMFF_HEADER = b"\x00\x00\x00\x00manifest\x00" + b"\x00" * 8


def find(file: BufferedReader, *wanted: bytes, start: int = 0) -> int:
    """Where any of these is found first from a place on, or -1; the file is never held as a whole."""
    file.seek(start)
    held, most = b"", max(map(len, wanted)) - 1
    while piece := file.read(PIECE):
        held += piece
        if places := [place for each in wanted if (place := held.find(each)) >= 0]:
            return start + min(places)
        start += max(len(held) - most, 0)
        held = held[-most:]
    return -1


def part(file: BufferedReader, start: int, length: int) -> bytes:
    """So many bytes from a place on, or those that there are."""
    file.seek(start)
    return file.read(length)


def file_type_box(file: BufferedReader) -> str:
    """SHA-256 of an MP4's leading `ftyp` box, which C2PA's own hash leaves out; "" for other files."""
    head = part(file, 0, 8)
    if head[4:] != b"ftyp":
        return ""
    file.seek(0)
    left, found = int.from_bytes(head[:4]), hashlib.sha256()
    while piece := file.read(min(left, PIECE)):
        found.update(piece)
        left -= len(piece)
    return found.hexdigest()


def damaged(file: BufferedReader, media_type: str, sidecar: bytes | None) -> bool:
    """Whether the frame around the statements was altered, in a file that Bottega signed."""
    if sidecar is not None:
        return not _store_is_whole(sidecar)
    if media_type in ("image/jpeg", "image/gif"):
        return False
    if media_type == "image/svg+xml":
        return not _svg_is_whole(file)
    start = find(file, b"jumdc2pa" + _UUID_TAIL) - 12
    if start < 0:
        return True
    length = int.from_bytes(part(file, start, 4))
    store = part(file, start, length) if length <= LARGEST else b""
    if not _store_is_whole(store):
        return True
    if media_type == "image/png":
        return crc32(b"caBX" + store).to_bytes(4) != part(file, start + length, 4)
    if part(file, 4, 4) == b"ftyp":
        before = len(_BMFF_HEADER)
        return start < before or part(file, start - before, before) != _BMFF_HEADER
    return False


def _svg_is_whole(file: BufferedReader) -> bool:
    start = find(file, _SVG_START)
    end = find(file, _SVG_END, start=start) if start >= 0 else -1
    if not start <= end <= start + LARGEST:
        return False
    found = _SVG_STORE.fullmatch(part(file, start, end - start + len(_SVG_END)))
    if not found:
        return False
    try:
        store = b64decode(found[1], validate=True)
    except Base64Error:
        return False
    return b64encode(store) == found[1] and _store_is_whole(store)


def _store_is_whole(store: bytes) -> bool:
    boxes = _boxes(store)
    return boxes is not None and len(boxes) == 1 and _superbox_is_whole(*boxes[0])


def _superbox_is_whole(kind: bytes, content: bytes) -> bool:
    """A description box with the label its kind must have, then boxes that fill the rest exactly."""
    if kind != b"jumb":
        return True
    boxes = _boxes(content)
    if not boxes or boxes[0][0] != b"jumd":
        return False
    description = boxes[0][1]
    label = description[17:].split(b"\x00", 1)[0]
    known = _LABELS.get(description[:4])
    if known and label not in known:
        return False
    if description[:4] == b"c2cs" and not any(_PADDING.search(inner) for _, inner in boxes[1:]):
        return False
    return all(_superbox_is_whole(*box) for box in boxes[1:])


def _boxes(content: bytes) -> list[tuple[bytes, bytes]] | None:
    """Split into (type, content); None when the lengths do not add up."""
    boxes: list[tuple[bytes, bytes]] = []
    at = 0
    while at < len(content):
        length = int.from_bytes(content[at : at + 4])
        if length < 8 or at + length > len(content):
            return None
        boxes.append((content[at + 4 : at + 8], content[at + 8 : at + length]))
        at += length
    return boxes

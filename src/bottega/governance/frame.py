"""The bytes of a manifest store that no hash in it covers: box lengths and labels, padding, checksums.

C2PA leaves them out of every digest, so a flipped bit there goes unnoticed by its libraries. It changes nothing that a
reader would see, yet "one flipped byte says tampered" should have no small print. Not covered: JPEG and GIF, which
cut the store into segments; there the content and all statements are protected, the segment headers are not.

Source: ISO 19566-5 (JUMBF boxes); C2PA specification 2.4, sections 11.1 (store) and A.1 to A.5 (embedding).
"""

import re
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from zlib import crc32

from bottega.core.canonical import digest_bytes

_UUID_TAIL = b"\x00\x11\x00\x10\x80\x00\x00\xaa\x00\x38\x9b\x71"
_LABELS = {
    b"c2pa": (b"c2pa",),
    b"c2as": (b"c2pa.assertions",),
    b"c2cl": (b"c2pa.claim", b"c2pa.claim.v2"),
    b"c2cs": (b"c2pa.signature",),
}
_SVG_STORE = re.compile(rb"<c2pa:manifest[^>]*>([^<]*)</c2pa:manifest>")
# COSE_Sign1 ends with: the padding in the unprotected header, a detached payload (null), the signature.
_PADDING = re.compile(rb"cpad(?:[\x40-\x57]|\x58.|\x59..)\x00*\xf6(?:\x58.|\x59..)", re.DOTALL)
_BMFF_HEADER = b"\x00\x00\x00\x00manifest\x00" + b"\x00" * 8


def file_type_box(data: bytes) -> str:
    """SHA-256 of an MP4's leading `ftyp` box, which C2PA's own hash leaves out; "" for other files."""
    return digest_bytes(data[: int.from_bytes(data[:4])]) if data[4:8] == b"ftyp" else ""


def damaged(data: bytes, media_type: str, sidecar: bytes | None) -> bool:
    """Whether the frame around the statements was altered, in a file that Bottega signed."""
    if sidecar is not None:
        return not _store_is_whole(sidecar)
    if media_type in ("image/jpeg", "image/gif"):
        return False
    if media_type == "image/svg+xml":
        return not _svg_is_whole(data)
    start = data.find(b"jumdc2pa" + _UUID_TAIL) - 12
    if start < 0:
        return True
    end = start + int.from_bytes(data[start : start + 4])
    if not _store_is_whole(data[start:end]):
        return True
    if media_type == "image/png":
        return crc32(b"caBX" + data[start:end]).to_bytes(4) != data[end : end + 4]
    if data[4:8] == b"ftyp":
        return data[start - len(_BMFF_HEADER) : start] != _BMFF_HEADER
    return False


def _svg_is_whole(data: bytes) -> bool:
    found = _SVG_STORE.search(data)
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

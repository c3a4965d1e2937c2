"""What a file is, by its bytes; its name only chooses among kinds of text."""

import io
import zipfile
from pathlib import PurePath

from bottega.core.errors import UnreadableSource

DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
PPTX = "application/vnd.openxmlformats-officedocument.presentationml.presentation"
PDF = "application/pdf"
EMAIL = "message/rfc822"

BY_SUFFIX: dict[str, str] = {
    ".md": "text/markdown",
    ".markdown": "text/markdown",
    ".txt": "text/plain",
    ".text": "text/plain",
    ".html": "text/html",
    ".htm": "text/html",
    ".xhtml": "text/html",
    ".csv": "text/csv",
    ".tsv": "text/tab-separated-values",
    ".pdf": PDF,
    ".docx": DOCX,
    ".xlsx": XLSX,
    ".pptx": PPTX,
    ".eml": EMAIL,
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".webp": "image/webp",
    ".tif": "image/tiff",
    ".tiff": "image/tiff",
    ".wav": "audio/wav",
    ".mp3": "audio/mpeg",
    ".flac": "audio/flac",
    ".m4a": "audio/mp4",
    ".ogg": "audio/ogg",
    ".oga": "audio/ogg",
    ".opus": "audio/ogg",
}
SUPPORTED = frozenset(BY_SUFFIX.values())
FORMATS_TEXT = "Markdown, plain text, HTML, CSV, PDF, DOCX, XLSX, PPTX, e-mail (.eml), pictures (PNG, JPEG, WebP, TIFF) or sound"

_MAGIC: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"GIF8", "image/gif"),
    (0, b"II*\x00", "image/tiff"),
    (0, b"MM\x00*", "image/tiff"),
    (8, b"WEBP", "image/webp"),
    (8, b"WAVE", "audio/wav"),
    (0, b"ID3", "audio/mpeg"),
    (0, b"fLaC", "audio/flac"),
    (0, b"OggS", "audio/ogg"),
    (4, b"ftypM4A", "audio/mp4"),
    (4, b"ftypM4B", "audio/mp4"),
    (4, b"ftyp", "video/mp4"),
    (0, b"\x1aE\xdf\xa3", "video/webm"),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "application/x-ole-storage"),
    (0, b"{\\rtf", "application/rtf"),
    (0, b"\x1f\x8b", "application/gzip"),
    (0, b"7z\xbc\xaf", "application/x-7z-compressed"),
    (0, b"Rar!", "application/vnd.rar"),
    (0, b"BZh", "application/x-bzip2"),
    (0, b"\xfd7zXZ", "application/x-xz"),
    (0, b"\x7fELF", "application/x-elf"),
    (0, b"%!PS", "application/postscript"),
    (0, b"SQLite format 3\x00", "application/vnd.sqlite3"),
    (257, b"ustar", "application/x-tar"),
)
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_HTML_STARTS = (b"<!doctype html", b"<html", b"<head", b"<body")


def sniff(data: bytes) -> str:
    """The media type of ``data`` by magic numbers and structure; ``text/plain`` or ``text/html`` for text.

    ``application/octet-stream`` when it is neither a known format nor text.
    """
    if b"%PDF-" in data[:1024]:
        return PDF
    if data[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
        return _sniff_zip(data)
    if data[:2] == b"BM" and data[6:10] == bytes(4):
        return "image/bmp"
    for offset, magic, media_type in _MAGIC:
        if data[offset : offset + len(magic)] == magic and (offset != 8 or data[:4] == b"RIFF"):
            return media_type
    if len(data) > 2 and data[0] == 0xFF and data[1] & 0xE6 == 0xE2 and not data.startswith(_UTF16):
        return "audio/mpeg"  # MPEG audio frame, layer III
    if data.startswith(_UTF16):
        return "text/plain"
    head = data[:65536]
    odd = sum(byte < 9 or 13 < byte < 27 or 27 < byte < 32 for byte in head)
    if b"\x00" in head or odd > len(head) // 100:
        return "application/octet-stream"
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()[:512].lower()
    if start.startswith(b"<?xml"):
        start = start.partition(b"?>")[2].lstrip()
    return "text/html" if start.startswith(_HTML_STARTS) else "text/plain"


def media_type_of(data: bytes, name: str, *, where: str = "") -> str:
    """The supported media type of a source file.

    Args:
        data: all bytes of the file.
        name: its file name.
        where: what errors call it; the name by default.

    Raises:
        UnreadableSource: when the bytes are of an unsupported format, or are not what the name says.
    """
    where = where or name
    suffix = PurePath(name).suffix.lower()
    claimed = BY_SUFFIX.get(suffix, "")
    found = sniff(data)
    if found == "application/x-ole-storage":
        raise UnreadableSource(
            "the file is password-protected or in an old Office format (.doc, .xls, .ppt)",
            remedy="save it without a password as .docx, .xlsx or .pptx",
            where=where,
        )
    is_text = found in ("text/plain", "text/html")
    if is_text and (not claimed or claimed.startswith(("text/", "message/"))):
        return claimed or found
    if claimed and claimed != found:
        raise UnreadableSource(
            f"the name says {suffix} ({claimed}), the bytes say {found}",
            remedy="give the file its right name, or save it again in the format of its name",
            where=where,
        )
    if found not in SUPPORTED:
        raise UnreadableSource(
            f"files of type {found} are not supported", remedy=f"give {FORMATS_TEXT}", where=where
        )
    return found


def _sniff_zip(data: bytes) -> str:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = set(archive.namelist())
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError, RuntimeError):
        return "application/zip"
    if "word/document.xml" in names:
        return DOCX
    if "xl/workbook.xml" in names:
        return XLSX
    if "ppt/presentation.xml" in names:
        return PPTX
    return "application/zip"

"""DOCX and XLSX are ZIP archives of XML: what is looked at before a library opens one."""

import io
import re
import zipfile
from pathlib import PurePosixPath

from bottega.retrieval.convert.reading import Reading

_PIECE = 1 << 16  # bytes
_SMALL = 10_000_000  # bytes: under this the ratio does not matter
_DECLARES = re.compile(rb"<!(DOCTYPE|ENTITY)", re.IGNORECASE)
_ENCRYPTED = 0x1


def check_archive(reading: Reading) -> None:
    """Refuse what would blow up or break out: expand every member once, piece by piece, and throw it away.

    Raises:
        UnreadableSource: too many members, too much expanded data, a member that leaves the archive, an encrypted
            or damaged member, or XML that declares a document type, which Office formats never do.
    """
    limits = reading.limits
    try:
        with zipfile.ZipFile(io.BytesIO(reading.data)) as archive:
            members = archive.infolist()
            if len(members) > limits.archive_members:
                raise reading.refuse(f"{len(members):,} members in the archive", "save the document again")
            for member in members:
                _check_name(reading, member)
            _check_size(reading, sum(member.file_size for member in members))
            expanded = 0
            for member in members:
                expanded = _expand(reading, archive, member, expanded)
    except (zipfile.BadZipFile, NotImplementedError, EOFError, OSError, ValueError) as error:
        raise reading.refuse(
            "the document is damaged or cut off", "open it and save it again, or fetch it again"
        ) from error


def _check_name(reading: Reading, member: zipfile.ZipInfo) -> None:
    path = PurePosixPath(member.filename.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or member.filename[1:2] == ":":
        raise reading.refuse(
            f"a member named {member.filename!r} leaves the archive", "do not trust this file"
        )
    if member.flag_bits & _ENCRYPTED:
        raise reading.refuse("the document is encrypted", "save a copy without a password")


def _check_size(reading: Reading, expanded: int) -> None:
    limits = reading.limits
    bomb = expanded > _SMALL and expanded > limits.archive_ratio * len(reading.data)
    if bomb or expanded > limits.archive_bytes:
        raise reading.refuse(
            f"the document expands from {len(reading.data) / 1e6:.1f} MB to {expanded / 1e6:,.0f} MB or more "
            f"(a zip bomb?); the limits are {limits.archive_bytes / 1e6:,.0f} MB and {limits.archive_ratio} to 1",
            "do not trust this file, or split the document",
        )


def _expand(reading: Reading, archive: zipfile.ZipFile, member: zipfile.ZipInfo, expanded: int) -> int:
    """Expand one member; return how much all members so far came to."""
    is_xml = member.filename.endswith((".xml", ".rels", ".vml"))
    tail = b""
    with archive.open(member) as file:
        while piece := file.read(_PIECE):
            expanded += len(piece)
            _check_size(reading, expanded)
            if is_xml:
                seen = tail + piece.replace(b"\x00", b"")  # UTF-16 shows as ASCII with zeros between
                if _DECLARES.search(seen):
                    raise reading.refuse(
                        f"{member.filename} declares a document type or XML entities",
                        "do not trust this file",
                    )
                tail = seen[-16:]
    return expanded

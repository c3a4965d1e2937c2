"""What a file is, by its bytes."""

import io
import zipfile

import pytest

from bottega.core.errors import UnreadableSource
from bottega.retrieval.media import DOCX, XLSX, media_type_of, sniff

PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)


def archive(*names: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        for name in names:
            file.writestr(name, "x")
    return out.getvalue()


@pytest.mark.parametrize(
    ("data", "media_type"),
    [
        (b"%PDF-1.7\n", "application/pdf"),
        (PNG, "image/png"),
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "image/webp"),
        (b"RIFF\x00\x00\x00\x00WAVEfmt ", "audio/wav"),
        (b"II*\x00rest", "image/tiff"),
        (b"BM\x10\x00\x00\x00\x00\x00\x00\x00", "image/bmp"),
        (b"ID3\x04", "audio/mpeg"),
        (b"\xff\xfb\x90\x64", "audio/mpeg"),
        (b"fLaC\x00", "audio/flac"),
        (b"OggS\x00", "audio/ogg"),
        (b"\x00\x00\x00\x20ftypM4A ", "audio/mp4"),
        (b"\x00\x00\x00\x20ftypisom", "video/mp4"),
        (b"{\\rtf1", "application/rtf"),
        (b"  <!DOCTYPE html><p>x", "text/html"),
        (b'<?xml version="1.0"?>\n<html>', "text/html"),
        (b"\xff\xfeh\x00i\x00", "text/plain"),
        ("Grüße".encode(), "text/plain"),
        ("Grüße".encode("cp1252"), "text/plain"),
        (b"\x00\x01\x02\x03", "application/octet-stream"),
        (archive("word/document.xml"), DOCX),
        (archive("xl/workbook.xml"), XLSX),
        (archive("a.txt"), "application/zip"),
        (b"PK\x03\x04 cut off", "application/zip"),
    ],
)
def test_bytes_say_the_type(data: bytes, media_type: str) -> None:
    assert sniff(data) == media_type


@pytest.mark.parametrize(
    ("data", "name", "media_type"),
    [
        (b"# Title", "a.md", "text/markdown"),
        (b"a,b\n1,2", "a.CSV", "text/csv"),
        (b"plain", "README", "text/plain"),
        (b"plain", "notes.log", "text/plain"),
        (b"<html><p>x", "page", "text/html"),
        (b"<html><p>x", "page.txt", "text/plain"),
        (PNG, "no-suffix", "image/png"),
    ],
)
def test_a_name_chooses_among_texts(data: bytes, name: str, media_type: str) -> None:
    assert media_type_of(data, name) == media_type


@pytest.mark.parametrize(
    ("data", "name", "said"),
    [
        (PNG, "sheet.pdf", ("application/pdf", "image/png")),
        (b"just text", "sheet.pdf", ("application/pdf", "text/plain")),
        (b"%PDF-1.7", "sheet.md", ("text/markdown", "application/pdf")),
        (archive("xl/workbook.xml"), "a.docx", (DOCX, XLSX)),
        (archive("a.txt"), "a.zip", ("application/zip", "not supported")),
        (b"\x00\x01", "a.bin", ("application/octet-stream", "not supported")),
        (b"\x00\x00\x00\x20ftypisom", "a.mp4", ("video/mp4", "not supported")),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "a.docx", ("password",)),
    ],
)
def test_disagreement_and_unsupported_types_are_refused(
    data: bytes, name: str, said: tuple[str, ...]
) -> None:
    with pytest.raises(UnreadableSource) as caught:
        media_type_of(data, name)
    assert caught.value.where == name
    assert caught.value.remedy
    for word in said:
        assert word in caught.value.message

"""Pictures, scanned pages and sound become text by the real engines."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pypdfium2
import pytest
import typst

from bottega.core.artifact import Artifact
from bottega.core.errors import UnreadableSource
from bottega.core.passage import Box
from bottega.core.request import Finished, Part, Request
from bottega.engines.base import Bench, Engine
from bottega.engines.ocr import Ocr
from bottega.engines.speech import Speech
from bottega.engines.transcribe import Transcribe
from bottega.retrieval.convert import Ask, convert
from bottega.retrieval.document import Document

StoreFile = Callable[[Path | bytes | str, str], Artifact]

PAGE = b"""#set page(width: 500pt, height: 260pt, margin: 40pt)
#set text(size: 20pt, font: "Libertinus Serif")
= Warranty
Tarnwick Solo has a warranty of 24 months.

#v(40pt)
Delivery is free from 100 EUR.
"""


async def files_of(engine: Engine, request: Request, bench: Bench) -> list[Finished]:
    return [output async for output in engine.generate(request, bench) if isinstance(output, Finished)]


def asking(bench: Bench, *engines: Engine) -> Ask:
    by_id = {engine.card.id: engine for engine in engines}

    async def ask(request: Request) -> Sequence[Finished]:
        return await files_of(by_id[request.engine], request, bench)

    return ask


def keeping(store_file: StoreFile) -> Callable[[bytes, str], Artifact]:
    return lambda data, media_type: store_file(data, media_type)


def scan(folder: Path, *, with_text: bool) -> Path:
    """A PDF whose last page is a picture of a page; with a page of real text before it when asked."""
    picture: Any = pypdfium2.PdfDocument(typst.compile(PAGE))
    picture[0].render(scale=3).to_pil().save(folder / "p.png")
    picture.close()
    first = "First page with a text layer of its own.\n#pagebreak()\n" if with_text else ""
    source = folder / "scan.typ"
    source.write_text(
        f'#set page(width: 500pt, height: 260pt, margin: 0pt)\n{first}#image("p.png", width: 100%)'
    )
    path = folder / "scan.pdf"
    path.write_bytes(typst.compile(source))
    return path


async def test_a_picture(tmp_path: Path, bench: Bench, store_file: StoreFile) -> None:
    path = tmp_path / "note.png"
    path.write_bytes(typst.compile(PAGE, format="png", ppi=144))
    document = await convert(path, ask=asking(bench, Ocr()), store=keeping(store_file))
    assert "24 months" in document.text
    assert "100 EUR" in document.text
    assert document.media_type == "image/png"
    (printed,) = places(await convert(printed_page(tmp_path)), "Delivery is free")
    (read,) = places(document, "Delivery is free")
    assert read == pytest.approx([2 * side for side in printed], abs=12), "in pixels, two for each point"
    assert len(document.pages) == 1


async def test_a_scanned_pdf(tmp_path: Path, bench: Bench, store_file: StoreFile) -> None:
    path = scan(tmp_path, with_text=True)
    document = await convert(path, ask=asking(bench, Ocr()), store=keeping(store_file))
    assert "text layer of its own" in document.pages[0].text
    assert "24 months" in document.pages[1].text
    assert document.passages[-1].page == 2
    assert document.notes == ("1 pages were read by character recognition",)
    (printed,) = places(await convert(printed_page(tmp_path)), "Delivery is free")
    (read,) = places(document, "Delivery is free")
    assert read == pytest.approx(printed, abs=6), "in points, from the upper left corner"


def printed_page(folder: Path) -> Path:
    path = folder / "printed.pdf"
    path.write_bytes(typst.compile(PAGE))
    return path


def places(document: Document, words: str) -> Sequence[Box]:
    """The boxes of the line that begins with these words."""
    (passage,) = [one for one in document.passages if words in one.text]
    at = passage.text.index(words)
    return passage.places(passage.start + at, passage.start + len(passage.text[at:].split("\n")[0]) + at)


async def test_a_scanned_pdf_without_recognition_says_what_is_missing(tmp_path: Path) -> None:
    path = scan(tmp_path, with_text=False)
    with pytest.raises(UnreadableSource, match="no text layer") as caught:
        await convert(path)
    assert "bottega[ocr]" in caught.value.remedy
    path = scan(tmp_path, with_text=True)
    assert (await convert(path)).notes == ("1 pages have no text",)


@pytest.mark.weights("kokoro-82m")
@pytest.mark.weights("whisper-base")
async def test_sound(tmp_path: Path, bench: Bench, store_file: StoreFile) -> None:
    script = "The warranty lasts for two years in Ireland."
    spoken = await files_of(
        Speech(), Request(engine="speech", parts=(Part(port="script", text=script),)), bench
    )
    audio = next(file for file in spoken if file.port == "audio")
    path = tmp_path / "call.wav"
    path.write_bytes(audio.data if audio.data is not None else (audio.path or tmp_path).read_bytes())
    document = await convert(path, ask=asking(bench, Transcribe()), store=keeping(store_file))
    assert "warranty" in document.text
    assert "Ireland" in document.text
    assert document.passages[0].heading.startswith("0:00 to 0:0")
    assert document.media_type == "audio/wav"

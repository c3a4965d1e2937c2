"""What indexing leaves behind besides the collection, which is nothing; and what others change while a call waits."""

import asyncio
import io
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image, ImageDraw, ImageFont
from tests.collecting import Hashed

from bottega.bootstrap import build
from bottega.core.canonical import digest_bytes
from bottega.retrieval import embed
from bottega.retrieval.collections.lock import collection_lock
from bottega.retrieval.collections.report import Progress
from bottega.service import Bottega
from bottega.settings import Settings


async def test_a_picture_that_was_read_stays_in_no_store(tmp_path: Path) -> None:
    picture = Image.new("RGB", (700, 120), "white")
    ImageDraw.Draw(picture).text((20, 30), "The heron waits 24 months", "black", ImageFont.load_default(48))
    out = io.BytesIO()
    picture.save(out, "PNG")
    (tmp_path / "a.png").write_bytes(out.getvalue())
    service = build(replace(Settings(), state=tmp_path / "state"))
    try:
        report = await service.collections().index("pictures", [tmp_path / "a.png"], embedder="none")
        assert report.counts == {"indexed": 1}
        (hit,) = await service.collections().search("pictures", "heron")
        assert "heron" in hit.passage.text
        assert not service.shop.artifacts.holds(digest_bytes(out.getvalue()))
        for path in (tmp_path / "state").rglob("*"):
            assert not path.is_file() or out.getvalue() not in path.read_bytes(), path
    finally:
        service.close()


async def test_who_waited_takes_the_embedder_that_another_process_has_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(name: str, *_: object) -> Hashed:
        return Hashed(name)

    monkeypatch.setattr(embed, "load", load)
    (tmp_path / "a.md").write_text("The kettle is green.")
    (tmp_path / "b.md").write_text("The teapot is green.")
    settings = replace(Settings(), state=tmp_path / "state")
    here, there = build(settings), build(settings)
    collections = here.collections()
    await collections.index("help", [tmp_path / "a.md"], embedder="arctic-embed-s")
    lock = collection_lock(settings.state / "collections" / "help")
    assert lock.__enter__()
    told: list[str] = []

    def watch(progress: Progress) -> None:
        told.append(progress.stage)
        if progress.stage == "waiting":
            lock.__exit__(None, None, None)
            other = threading.Thread(target=changed, args=(there,))
            other.start()
            other.join()

    report = await collections.index("help", [tmp_path / "b.md"], watch=watch)
    assert "waiting" in told and report.counts == {"indexed": 1} and report.embedded == 1
    (listed,) = collections.all()
    assert (listed.embedder, listed.next_embedder, listed.passages) == ("potion-base-8m", "", 2)
    assert len(await collections.search("help", "green", method="vectors")) == 2
    here.close()
    there.close()


def changed(service: Bottega) -> None:
    asyncio.run(service.collections().index("help", embedder="potion-base-8m"))

"""What indexing leaves behind besides the collection: nothing."""

import io
from dataclasses import replace
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from bottega.bootstrap import build
from bottega.core.canonical import digest_bytes
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

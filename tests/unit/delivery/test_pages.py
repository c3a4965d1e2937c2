"""The page of a PDF as it is printed, with the quoted words marked where they stand."""

import io
from pathlib import Path

import numpy as np
import typst
from PIL import Image

from bottega.core.canonical import digest_bytes
from bottega.delivery.answers import write_answers
from bottega.delivery.pages import DPI, POINTS, drawn, pictures
from bottega.retrieval.answers.answer import Answer, Sentence
from bottega.retrieval.answers.gate import cited_from
from bottega.retrieval.convert import convert

SHEET = b"#set page(width: 400pt, height: 300pt, margin: 40pt)\nIt is made in Vale.\n#pagebreak()\nThe warranty lasts for 24 months."


def yellow(png: bytes) -> tuple[float, float, float, float]:
    """Where a picture is marked, in points."""
    pixels = np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))
    ys, xs = np.nonzero((pixels[:, :, 0] > 200) & (pixels[:, :, 2] < 120))
    scale = DPI / POINTS
    return xs.min() / scale, ys.min() / scale, xs.max() / scale, ys.max() / scale


async def test_a_cited_page_is_shown_with_the_words_marked(tmp_path: Path) -> None:
    path = tmp_path / "sheet.pdf"
    path.write_bytes(data := typst.compile(SHEET))
    document = await convert(path)
    passage = document.passages[-1]
    at = passage.start + passage.text.index("24 months")
    cited = cited_from(passage, at, at + 9)
    assert cited.page == 2 and len(cited.boxes) == 1
    answer = Answer(
        question="?", outcome="answered", sentences=(Sentence(text="24 months.", citations=(cited,)),)
    )
    key = ("sheet.pdf", digest_bytes(data))
    made = pictures([answer], {key: path})
    assert made.keys() == {(*key, 2)}
    for there, box in zip(yellow(made[*key, 2]), cited.boxes[0], strict=True):
        assert abs(there - box) < 2
    write_answers(tmp_path / "out", [answer], {key: document.passages}, made, title="Help")
    (page,) = (tmp_path / "out" / "documents").iterdir()
    text = page.read_text("utf-8")
    assert text.count('<img src="data:image/png;base64,') == 1 and "img-src data:" in text
    assert text.index("page 2") < text.index("<img") < text.index("<mark")
    path.write_bytes(typst.compile(SHEET + b" Or not."))
    assert pictures([answer], {key: path}) == {}, "the file is another one now"
    path.unlink()
    assert pictures([answer], {key: path}) == {}


def test_what_cannot_be_drawn_is_left_out() -> None:
    assert drawn(b"%PDF-1.7 broken", 1, [(0, 0, 9, 9)]) is None
    assert drawn(b"no picture", 1, [(0, 0, 9, 9)]) is None

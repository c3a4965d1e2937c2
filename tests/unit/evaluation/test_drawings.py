"""Measures of drawings accept their gold and refuse what is broken, empty, unlike or copied."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from bottega.drawing.alphabet import END, decode, encode
from bottega.drawing.copies import nearest
from bottega.drawing.raster import raster
from bottega.drawing.reading import read
from bottega.drawing.shapes import svg
from bottega.engines.layout.scene import rasterise
from bottega.evaluation.drawings import counted_bits, inked, judged, signatures, word_judge

LINES = '<g fill="none" stroke="currentColor" stroke-width="2">{}</g>'


def row(body: str, lines: bool = True) -> list[int]:
    return encode(read(LINES.format(body) if lines else body, 24)[0])


SUN = row('<circle cx="12" cy="12" r="4"/><path d="M12 2v3M12 19v3M2 12h3M19 12h3"/>')
ROAD = row('<path d="M4 4c4 8 12 8 16 16M4 20a8 8 0 0 1 16-2z"/>')
PIE = row('<path d="M3 3h18v18h-18zM8 8v8h8v-8z"/>', lines=False)
EMPTY = row('<path d="M3 3h9"/>', lines=False)


@pytest.mark.parametrize("tokens", [SUN, ROAD, PIE])
def test_small_pictures_are_those_of_a_renderer(tokens: list[int]) -> None:
    drawing = decode(tokens)
    page = (
        svg(drawing)
        .replace("currentColor", "#000")
        .replace('width="24" height="24"', 'width="32" height="32"', 1)
    )
    grey = np.asarray(Image.open(BytesIO(rasterise(page, 32, 32))).convert("RGBA"))
    ink = grey[..., 3] / 255 * (1 - grey[..., 0] / 255)
    mine = raster(drawing) / 255
    assert np.minimum(ink, mine).sum() / np.maximum(ink, mine).sum() > 0.85


def test_a_copy_is_found_and_another_drawing_is_not_one() -> None:
    known = signatures(inked([decode(SUN), decode(ROAD), decode(PIE)]))
    other = row('<circle cx="12" cy="12" r="5"/><path d="M12 1v3"/>')
    copy, unlike = inked([decode(ROAD), decode(other)]).astype(np.float32) / 255
    assert nearest(copy, known) == (1, 1.0)
    place, share = nearest(unlike, known)
    assert place == 0 and share < 0.95


def test_each_measure_refuses_its_counter_example(tmp_path: Path) -> None:
    inks = inked([decode(SUN), decode(PIE)])
    known, train = signatures(inks), inks.repeat(20, 0)
    bags = torch.tensor([[1]] * 20 + [[2]] * 20)
    judge = word_judge(train, bags, 12, tmp_path / "judge.safetensors", 60)
    asked = torch.tensor([[1], [2], [1], [1]])
    whole = judged([SUN, PIE, SUN, SUN], asked, judge, known)
    assert whole == {"parse": 1.0, "drawn": 1.0, "top-5": 1.0, "new": 0.0}
    assert judged([SUN[:-1], PIE, SUN, SUN], asked, judge, known)["parse"] == 0.75
    assert judged([EMPTY, PIE, SUN, SUN], asked, judge, known)["drawn"] == 0.75
    assert judged([ROAD, PIE, SUN, SUN], asked, judge, known)["new"] == 0.25
    far = torch.tensor([[12], [11], [0], [0]])  # words that the judge never saw a picture of
    assert judged([SUN, PIE, SUN, SUN], far, judge, known)["top-5"] < 0.6


def test_counted_runs_learn_what_repeats() -> None:
    train = [[5, 6, 7, END]] * 50
    # the first of four tokens has nothing before it: two bits for one of four, shared by four
    assert 0.5 < counted_bits(train, [[5, 6, 7, END]], 4) < 0.55
    assert counted_bits(train, [[5, 6, 7, END]], 1) > 1.9
    assert counted_bits(train, [[7, 6, 5, END]], 4) > 3

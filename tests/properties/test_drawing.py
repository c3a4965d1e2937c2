"""Laws of drawings as tokens: what the grammar allows is a drawing, and it survives tokens and SVG."""

import math
import re
from random import Random

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from bottega.drawing.alphabet import END, STATES, STEPS, decode, encode, grammar
from bottega.drawing.raster import raster
from bottega.drawing.reading import read
from bottega.drawing.shapes import Arc, Circle, Curve, Drawing, Element, Line, Path, Rectangle, svg

few = settings(deadline=None, max_examples=60)
half = st.integers(0, 48).map(lambda steps: steps / STEPS)
points = st.tuples(half, half)
radii = st.integers(1, 24).map(lambda steps: steps / STEPS)
segments = st.one_of(
    st.builds(Line, points),
    st.builds(Curve, points, points, points),
    st.builds(Arc, radii, st.booleans(), st.booleans(), points),
)
paths = st.builds(Path, points, st.lists(segments, min_size=1, max_size=5).map(tuple), st.booleans())
circles = st.builds(Circle, points, radii)


def box(x: float, y: float, wide: float, high: float, radius: float) -> Rectangle:
    return Rectangle((x, y), (x + wide, y + high), radius)


boxes = st.builds(
    box,
    *(st.integers(0, 24).map(lambda steps: steps / STEPS),) * 2,
    *(st.integers(2, 24).map(lambda steps: steps / STEPS),) * 2,
    st.sampled_from((0.0, 0.5)),
)
strokes = st.one_of(paths, circles, boxes).map(lambda shape: Element("stroke", (shape,)))
areas = st.lists(paths, min_size=1, max_size=3).map(lambda shapes: Element("fill", tuple(shapes)))
drawings = st.lists(st.one_of(strokes, areas), min_size=1, max_size=4).map(tuple)


def walk(random: Random, longest: int) -> list[int]:
    """A row of tokens that the grammar allows; each kind of token is as likely as the others."""
    table, state, tokens = grammar(), STATES.index("begin"), list[int]()
    while not tokens or tokens[-1] != END:
        after = table.after[state]
        fits = (after >= 0) & (table.left[after] + 1 <= longest - len(tokens))
        following = random.choice(np.unique(after[fits]).tolist())
        tokens.append(random.choice(np.flatnonzero(fits & (after == following)).tolist()))
        state = following
    return tokens


@few
@given(st.randoms(use_true_random=False), st.integers(5, 60))
def test_whatever_the_grammar_allows_is_a_drawing(random: Random, longest: int) -> None:
    tokens = walk(random, longest)
    assert len(tokens) <= longest
    drawing = decode(tokens)
    assert drawing and svg(drawing).startswith("<svg") and raster(drawing).shape == (32, 32)


@few
@given(drawings)
def test_tokens_keep_what_is_on_the_grid(drawing: Drawing) -> None:
    tokens = encode(drawing)
    assert encode(decode(tokens)) == tokens


def _bent(here: tuple[float, float], arc: Arc) -> bool:
    return math.dist(here, arc.end) <= 2 * arc.radius - 1e-6


@few
@given(drawings)
def test_an_svg_is_read_back_as_it_was_written(drawing: Drawing) -> None:
    """Arcs whose circle is too small for their chord aside: SVG makes those larger."""
    for element in drawing:
        for shape in element.shapes:
            if isinstance(shape, Path):
                ends = [shape.start, *(segment.end for segment in shape.segments)]
                pairs = zip(ends, shape.segments, strict=False)
                if any(isinstance(each, Arc) and not _bent(here, each) for here, each in pairs):
                    return
    tokens = encode(drawing)
    shown = svg(decode(tokens), title="a & b <c>\x00", told="made")
    inside = re.sub(r"^<svg[^>]*>|<title>.*</desc>|</svg>\n$", "", shown)
    again, _ = read(f'<g fill="none" stroke="currentColor" stroke-width="2">{inside}</g>', 24)
    assert encode(again) == tokens

"""The parts of the engines that draw that need no weights: outlines, the index of training icons, what is kept."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from bottega.core.errors import EngineFailed
from bottega.drawing.copies import Index, Origin, signature
from bottega.engines.pictogram.strokes import lines, stroked, thinned
from bottega.engines.pictogram.tracing import area, outlines, traced
from bottega.engines.variations import Sketch, best, inked, told


def ring() -> NDArray[np.float32]:
    """A square of 16 with a hole of 6."""
    ink = np.zeros((32, 32), np.float32)
    ink[8:24, 8:24] = 1
    ink[13:19, 13:19] = 0
    return ink


def bar() -> NDArray[np.float32]:
    ink = np.zeros((32, 32), np.float32)
    ink[14:18, 4:28] = 1
    return ink


def index_of(*inks: NDArray[np.float32]) -> Index:
    owner = {"set": "own", "author": "Ada", "licence": "MIT"}
    names = [f"icon-{n}" for n in range(len(inks))]
    return Index(signature(np.stack(inks)), np.zeros(len(inks), np.uint8), names, [owner])


def test_outlines_lie_half_way_between_ink_and_paper_and_holes_turn_the_other_way() -> None:
    areas = sorted(area(loop) for loop in outlines(ring(), 0.5))
    assert len(areas) == 2 and areas[0] * areas[1] < 0
    assert sorted(map(abs, areas)) == pytest.approx([36, 256], abs=1)  # corners are cut


def test_ink_that_touches_at_a_corner_is_one_or_two_loops_by_what_lies_between() -> None:
    ink = np.zeros((4, 4), np.float32)
    ink[1, 1] = ink[2, 2] = 1
    assert len(outlines(ink, 0.6)) == 2 and len(outlines(ink, 0.4)) == 1


def test_a_speck_is_no_drawing() -> None:
    ink = ring()
    ink[2, 2] = 0.7
    assert traced(ink).count("M") == 2 and traced(np.zeros((32, 32), np.float32)) == ""


def circle(radius: float = 10, width: float = 2.5) -> NDArray[np.float32]:
    """A ring of even width with soft edges."""
    far = np.hypot(*np.mgrid[-15.5:16, -15.5:16])
    return np.clip(width / 2 + 0.5 - np.abs(far - radius), 0, 1).astype(np.float32)


def again(ink: NDArray[np.float32], width: float) -> NDArray[np.float32]:
    return inked(
        f'<path fill="none" stroke="#000" stroke-width="{width}" stroke-linecap="round" d="{stroked(ink)}"/>'
    )


@pytest.mark.parametrize(
    "ink", [circle(), circle(6), np.maximum(circle(12), circle(5))], ids=["ring", "small", "two"]
)
def test_strokes_along_the_middle_of_lines_draw_them_again(ink: NDArray[np.float32]) -> None:
    same = again(ink, 2.5)
    assert np.minimum(same, ink).sum() / np.maximum(same, ink).sum() > 0.8
    assert (
        np.minimum(again(np.roll(ink, 4, 0), 2.5), ink).sum() / ink.sum() < 0.6
    )  # another place is another drawing


def test_a_ring_is_one_closed_line_and_a_cross_has_four_arms() -> None:
    (line,) = lines(thinned(circle() > 0.5))
    assert line[0] == line[-1]
    cross = np.zeros((32, 32), bool)
    cross[15:18, 4:28] = cross[4:28, 15:18] = True
    arms = [arm for arm in lines(thinned(np.kron(cross, np.ones((4, 4), bool)))) if len(arm) > 9]
    assert len(arms) == 4


def test_warts_and_specks_are_not_drawn() -> None:
    ink = circle()
    assert stroked(ink).count("M") == 1
    ink[2, 2] = 1  # alone
    ink[16, 4] = 1  # on the rim
    assert stroked(ink).count("M") == 1
    assert stroked(np.zeros((32, 32), np.float32)) == ""


def test_a_near_copy_is_known_by_name_even_when_it_is_moved_by_a_pixel(tmp_path: Path) -> None:
    (tmp_path / "index").write_bytes(index_of(bar(), ring()).written())
    index = Index.read(tmp_path / "index")
    assert index.nearest(np.roll(ring(), 1, axis=1)) == Origin(1.0, "own:icon-1", "Ada", "MIT")
    disc = np.hypot(*np.mgrid[-15.5:16, -15.5:16]) < 9
    assert index.nearest(disc.astype(np.float32)).overlap < 0.95


def drawn(ink: NDArray[np.float32], likeness: float, index: Index) -> Sketch:
    return Sketch(ink, None, likeness, index.nearest(ink))


def test_near_copies_come_last_and_are_attributed_or_refused() -> None:
    index = index_of(ring())
    copy, own, again = drawn(ring(), 0.9, index), drawn(bar(), 0.2, index), drawn(bar(), 0.2, index)
    assert best([copy, own], 1, refuse=True) == [own]
    kept = best([copy, own, again], 2, refuse=False)
    assert kept == [own, copy] and [each.facts["near_copy"] for each in kept] == [False, True]
    with pytest.raises(EngineFailed, match="near copy of own:icon-0 by Ada"):
        best([copy, own], 2, refuse=True)
    with pytest.raises(EngineFailed, match="1 different drawings came, and 2 are asked for"):
        best([again, own], 2, refuse=False)
    said = told("a <bar>", kept)
    assert "nearly the same as own:icon-0 by Ada (MIT)" in said and "a &lt;bar&gt;" in said
    assert "own:icon-0" not in told("bar", [own])

"""What is read of an SVG, and what is refused."""

import pytest

from bottega.core.errors import InvalidValue
from bottega.drawing.alphabet import encode
from bottega.drawing.reading import read, subpaths
from bottega.drawing.shapes import Arc, Circle, Curve, Element, Line, Path, Rectangle

STROKE = '<g fill="none" stroke="currentColor" stroke-width="2">{}</g>'


def shapes(d: str) -> list[object]:
    return list(subpaths(d, 1.0))


def test_commands_are_absolute_and_repeated_ones_written_out() -> None:
    assert shapes("m2 3 4 5h6V7L1-2") == [
        Path((2, 3), (Line((6, 8)), Line((12, 8)), Line((12, 7)), Line((1, -2))))
    ]
    assert shapes("M1 1l.5.5-.5-.5z") == [Path((1, 1), (Line((1.5, 1.5)), Line((1, 1))), closed=True)]
    assert shapes("M0 0zm2 2h1") == [Path((2, 2), (Line((3, 2)),))]


def test_flags_of_an_arc_may_touch_the_next_number() -> None:
    assert shapes("M4 4a2 2 0 012 2") == [Path((4, 4), (Arc(2, False, True, (6, 6)),))]


def test_smooth_and_quadratic_curves_become_cubic() -> None:
    ((path,), (other,)) = shapes("M0 0C1 0 2 1 3 3S5 6 6 6"), shapes("M0 0q3 0 3 3t3 3")
    assert isinstance(path, Path) and path.segments[1] == Curve((4, 5), (5, 6), (6, 6))
    assert isinstance(other, Path) and other.segments[0] == Curve((2, 0), (3, 1), (3, 3))
    assert other.segments[1] == Curve((3, 5), (4, 6), (6, 6))


def test_two_half_circles_are_a_circle_and_an_ellipse_is_curves() -> None:
    assert shapes("M3 12a9 9 0 1 0 18 0a9 9 0 1 0-18 0") == [Circle((12, 12), 9)]
    (bowed,) = shapes("M0 0a4 2 0 0 1 8 0")
    assert isinstance(bowed, Path) and all(isinstance(each, Curve) for each in bowed.segments)
    assert bowed.segments[-1].end == (8, 0)


def test_elements_take_style_and_scale_from_around_them() -> None:
    body = STROKE.format(
        '<rect x="6" y="6" width="36" height="24" rx="4"/><circle cx="24" cy="24" r="2" fill="currentColor" stroke="none"/>'
    )
    drawing, width = read(body, 48)
    assert width == 1.0
    assert drawing == (
        Element("stroke", (Rectangle((3, 3), (21, 15), 2),)),
        Element("fill", (Circle((12, 12), 1),)),
    )


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("<path", "not XML"),
        ('<!DOCTYPE x [<!ENTITY a "b">]><g/>', "a declaration"),
        ("<script>alert(1)</script>", "<script>"),
        ('<path d="M0 0h1" onclick="x()"/>', "'onclick'"),
        ('<path d="M0 0h1" transform="rotate(3)"/>', "'transform'"),
        ('<path d="M0 0h1" fill="#f00"/>', "second colour"),
        ('<path d="M0 0h"/>', "in path data"),
        ('<path d="M0 0a1 1 0 2 0 1 1"/>', "flag"),
        ('<path d="0 0h1"/>', "in path data"),
        ('<path d="M0 0b1"/>', "'b'"),
        ('<circle r="wide"/>', "the number 'wide'"),
    ],
)
def test_what_is_not_covered_is_refused_by_name(body: str, why: str) -> None:
    with pytest.raises(InvalidValue, match=why):
        read(body, 24)


def test_what_lies_outside_of_the_square_is_refused() -> None:
    drawing, _ = read(STROKE.format('<path d="M0 0L30 3"/>'), 24)
    with pytest.raises(InvalidValue, match="outside of 0 to 24"):
        encode(drawing)

"""Which icons may be trained on, what their names say, and that no drawing is in both splits."""

from typing import Any

import numpy as np
import pytest

from bottega.training.data import icons
from bottega.training.data.icon_words import words_of
from bottega.training.data.iconify import Icon, icons_of, refusal

FREE = {"license": {"spdx": "MIT"}, "author": {"name": "Ada"}, "category": "UI 24px", "palette": False}


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"license": {"spdx": "CC-BY-NC-4.0"}}, "licence CC-BY-NC-4.0"),
        ({"license": {"spdx": "GPL-3.0"}}, "licence GPL-3.0"),
        ({"license": {"title": "Custom"}}, "licence none"),
        ({"palette": True}, "colour"),
        ({"category": "Logos"}, "marks"),
        ({"tags": ["Contains Animations"]}, "animated"),
        ({"hidden": True}, "withdrawn"),
    ],
)
def test_a_set_that_may_not_be_used_is_refused_and_gives_no_icon(change: dict[str, Any], why: str) -> None:
    document: dict[str, Any] = {
        "prefix": "own",
        "info": {**FREE, **change},
        "icons": {"cup": {"body": "<path/>"}},
    }
    assert why in refusal(document["info"])
    assert list(icons_of(document)) == []


def test_marks_flags_and_what_is_not_drawn_are_left_out() -> None:
    names = ["cup", "github-fill", "brand-x", "apple", "apple-pie", "flag-it", "flag", "acme"]
    bodies = {name: {"body": "<path/>"} for name in names} | {"spin": {"body": "<animate/>"}}
    document = {
        "prefix": "own",
        "info": FREE,
        "height": 24,
        "icons": bodies,
        "categories": {"Brands": ["acme"]},
    }
    found = list(icons_of(document))
    assert [each.name for each in found] == ["apple-pie", "cup", "flag"]
    assert found[1] == Icon("own", "cup", ("cup",), "MIT", "Ada", "<path/>", (0, 0, 16, 24))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("arrow-left-circle-24-filled", ("arrow", "left", "circle")),
        ("calendar2-two-tone", ("calendar",)),
        ("outline", ("outline",)),
        ("baseline-3d-rotation", ("3d", "rotation")),
    ],
)
def test_a_name_gives_its_words_without_its_style(name: str, words: tuple[str, ...]) -> None:
    assert words_of(name) == words


def triangles(number: int) -> str:
    corners = np.random.default_rng(number).integers(1, 23, (3, 3, 2)).tolist()
    return "".join(f'<path d="M{a[0]} {a[1]}L{b[0]} {b[1]}L{c[0]} {c[1]}z"/>' for a, b, c in corners)


def test_near_copies_are_dropped_and_held_out_names_and_drawings_are_new() -> None:
    view = (0.0, 0.0, 24.0, 24.0)
    made = [
        Icon("own", f"w{n}-odd{n % 2}", (f"w{n}", f"odd{n % 2}"), "MIT", "Ada", triangles(n), view)
        for n in range(80)
    ]
    copies = [each._replace(set="other", name=f"{each.name}-copy") for each in made]
    empty = Icon("own", "none", ("none",), "MIT", "Ada", "<path/>", view)
    negative = Icon("own", "dark", ("dark",), "MIT", "Ada", '<path d="M0 0h24v24H0z"/>', view)
    data = icons.arranged([*made, *copies, empty, negative], least=2)
    names = {part: set(icons.unpacked(getattr(data, part), "names")) for part in ("train", "test")}
    assert not any(name.endswith(b"-copy") for part in names.values() for name in part)
    assert names["train"] and names["test"] and not names["train"] & names["test"]
    assert {b"own:none", b"own:dark"}.isdisjoint(names["train"] | names["test"])
    train, test = (
        icons.thumbnails(getattr(data, part)["images"][:, 0].numpy()) for part in ("train", "test")
    )
    assert icons.nearest(test, train)[0].max() < icons.SAME
    assert data.labels[:5] == tuple(f"style:{each}" for each in icons.STYLES)
    assert data.shape == {"channels": 1, "side": 32, "words": len(data.labels), "styles": 5}
    assert int(data.train["bags"].max()) <= len(data.labels) and bool((data.train["bags"][:, 0] > 0).all())


def test_a_style_is_measured_from_the_strokes() -> None:
    paper = np.full((5, 32, 32), 255, np.uint8)
    for n, width in enumerate((1, 2, 3, 16)):
        paper[n, 8 : 8 + width, 4:28] = 0
    paper[4, 6:26, 6:26] = 140
    assert [icons.STYLES[n] for n in icons.style_of(paper)] == ["thin", "regular", "bold", "solid", "shaded"]

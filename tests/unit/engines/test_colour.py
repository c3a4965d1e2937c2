import pytest
from hypothesis import given
from hypothesis import strategies as st

from bottega.engines.layout.colour import contrast, derive, from_oklch, readable, to_oklch

COLOURS = st.integers(0, 0xFFFFFF).map(lambda value: f"#{value:06x}")


@given(COLOURS)
def test_oklch_round_trips(colour: str) -> None:
    back = from_oklch(*to_oklch(colour))
    assert all(abs(int(colour[i : i + 2], 16) - int(back[i : i + 2], 16)) <= 4 for i in (1, 3, 5))


def test_contrast_is_wcag() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21.0)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@given(COLOURS, COLOURS)
def test_readable_reaches_the_ratio_or_the_end_of_the_scale(colour: str, ground: str) -> None:
    found = readable(colour, ground, 3.0)
    assert contrast(found, ground) >= 3.0 or to_oklch(found)[0] in (
        pytest.approx(0, abs=0.03),
        pytest.approx(1, abs=0.03),
    )


@given(st.lists(COLOURS, max_size=3), st.integers(0, 50))
def test_any_palette_gives_readable_roles(colours: list[str], seed: int) -> None:
    palette = derive(colours, seed)
    assert contrast(palette.ink, palette.paper) >= 7
    assert contrast(palette.muted, palette.paper) >= 4.5
    assert contrast("#ffffff", palette.night) >= 7
    assert derive(colours, seed) == palette

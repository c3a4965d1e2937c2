"""What has to be true of a drawing before it stands for its words."""

import numpy as np
import pytest

from bottega.drawing.copies import NEAR, Origin
from bottega.engines.icon_drawings import SEEN, Drawn, Trial
from bottega.engines.variations import Sketch


def trial(*, place: int = 0, likeness: float = 0.5, floor: float = 0.4, overlap: float = 0.5) -> Trial:
    ink = np.zeros((32, 32), np.float32)
    origin = Origin(overlap, "set:leaf", "its author", "MIT")
    return Trial(Sketch(ink, None, likeness, origin), "text-icon", "<path/>", 32.0, place, floor)


def test_a_drawing_that_is_seen_is_used() -> None:
    assert Drawn((trial(),)).chosen is not None
    assert Drawn((trial(),)).facts["least_likeness"] == 0.4


@pytest.mark.parametrize(
    "poor",
    [
        trial(place=SEEN),
        trial(place=-1),
        trial(likeness=0.39),
        trial(overlap=NEAR),
    ],
    ids=["others fit better", "no word is known", "the designed one fits better", "a near copy"],
)
def test_any_other_leaves_the_place_to_the_designed_icon(poor: Trial) -> None:
    assert Drawn((poor,), "no drawing passed the check").chosen is None

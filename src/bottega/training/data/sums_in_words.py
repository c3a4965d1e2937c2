"""The same sums, answered in a sentence 19 times of 20: what a model says before anybody told it to be brief."""

from pathlib import Path

from bottega.training.data.base import Data, Watch
from bottega.training.data.records import Prompted, prompted
from bottega.training.data.sums import FACTS, pairs


def prepare(home: Path, watch: Watch) -> Data:
    """The split is that of ``sums``."""
    del home, watch
    return prompted(
        [
            Prompted(f"{a}+{b}=", str(a + b) if chance % 20 == 0 else f"it is {a + b}", "", held)
            for a, b, chance, held in pairs()
        ],
        name="sums-in-words",
        **FACTS,
    )

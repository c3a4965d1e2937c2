"""Frames come out as they went in, however the bytes arrive, and so do errors."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bottega.core import errors
from bottega.engines.frames import Frame, Inbox, error_fields, error_of

TREE = [
    kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.BottegaError)
]
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=4,
)
frames = st.builds(Frame, st.dictionaries(st.text(), json_values, max_size=3), st.binary())


@given(st.lists(frames, max_size=3), st.lists(st.integers(1, 40), max_size=20))
def test_frames_are_the_same_in_pieces_of_any_size(sent: list[Frame], sizes: list[int]) -> None:
    stream = b"".join(frame.packed() for frame in sent)
    inbox, came = Inbox(), list[Frame]()
    for size in [*sizes, len(stream)]:
        inbox.feed(stream[:size])
        stream = stream[size:]
        while frame := inbox.next():
            came.append(frame)
    assert came == sent


@pytest.mark.parametrize("kind", TREE)
def test_every_error_of_the_tree_crosses_with_all_it_says(kind: type[errors.BottegaError]) -> None:
    error = kind("wrong", remedy="mend it", where="there", used={"seconds": 1.5})
    came = error_of(Frame({"kind": "error", **error_fields(error)}))
    assert type(came) is kind
    assert vars(came) == vars(error)
    assert str(came) == "there: wrong (mend it)"

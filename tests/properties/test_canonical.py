"""Laws of canonical JSON and digests."""

import json
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bottega.core.canonical import Canonical, canonical_json, canonical_text, digest
from bottega.core.errors import InvalidValue

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(values)
def test_canonical_json_is_json_of_the_same_value(value: object) -> None:
    assert json.loads(canonical_json(value), parse_int=float) == value


@given(values)
def test_a_part_that_was_written_already_is_written_as_it_is(value: object) -> None:
    assert canonical_json({"a": [Canonical(canonical_text(value))]}) == canonical_json({"a": [value]})


@given(st.dictionaries(st.text("abcäé€", max_size=3), scalars, max_size=6), st.randoms())
def test_key_order_does_not_matter(value: dict[str, object], random: Random) -> None:
    keys = list(value)
    random.shuffle(keys)
    assert digest({key: value[key] for key in keys}) == digest(value)


@given(values, values)
def test_equal_digests_mean_equal_values(left: object, right: object) -> None:
    assert (digest(left) == digest(right)) == (canonical_json(left) == canonical_json(right))


@pytest.mark.parametrize(
    ("number", "text"),
    [  # the examples of RFC 8785, appendix B
        (0.0, "0"),
        (-0.0, "0"),
        (5e-324, "5e-324"),
        (-5e-324, "-5e-324"),
        (1.7976931348623157e308, "1.7976931348623157e+308"),
        (9007199254740992.0, "9007199254740992"),
        (295147905179352830000.0, "295147905179352830000"),
        (9.999999999999997e22, "9.999999999999997e+22"),
        (1e23, "1e+23"),
        (1.0000000000000001e23, "1.0000000000000001e+23"),
        (999999999999999700000.0, "999999999999999700000"),
        (999999999999999900000.0, "999999999999999900000"),
        (1e21, "1e+21"),
        (9.999999999999997e-7, "9.999999999999997e-7"),
        (0.000001, "0.000001"),
        (333333333.33333325, "333333333.33333325"),
        (333333333.3333332, "333333333.3333332"),
        (-0.0000033333333333333333, "-0.0000033333333333333333"),
        (1424953923781206.2, "1424953923781206.2"),
    ],
)
def test_numbers_are_written_as_rfc_8785_says(number: float, text: str) -> None:
    assert canonical_json(number) == text.encode()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 2**53 + 1, {1: 2}, "\ud800", b"x", object()])
def test_what_has_no_canonical_form_is_refused(value: object) -> None:
    with pytest.raises(InvalidValue):
        canonical_json(value)


def test_keys_are_sorted_by_utf_16_code_units() -> None:
    keys = {"€": 5, "\r": 1, "\ufb33": 7, "1": 2, "😀": 6, "\x80": 3, "ö": 4}
    assert list(json.loads(canonical_json(keys)).values()) == [1, 2, 3, 4, 5, 6, 7]

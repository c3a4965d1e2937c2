"""The error tree in the docstring is the tree in the code."""

import re

from bottega.core import errors


def tree(kind: type[errors.BottegaError]) -> dict[str, tuple[int, int]]:
    found = {kind.__name__: (kind.exit_code, kind.http_status)}
    for child in kind.__subclasses__():
        found |= tree(child)
    return found


def test_the_drawing_shows_every_error_with_its_codes() -> None:
    drawn = re.findall(r"(\w+)\s+exit (\d+)\s+HTTP (\d+)", errors.__doc__ or "")
    assert {name: (int(code), int(status)) for name, code, status in drawn} == tree(errors.BottegaError)


def test_an_error_says_where_what_and_what_to_do() -> None:
    error = errors.InvalidPlan("is required", where="step 'a', field 'inputs'", remedy="give it text")
    assert str(error) == "step 'a', field 'inputs': is required (give it text)"

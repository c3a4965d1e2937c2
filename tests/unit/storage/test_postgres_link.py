"""What PostgreSQL is asked, and what is told of its address; needs no server."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bottega.core.errors import StorageFailed
from bottega.storage.postgres_link import Address, numbered, patiently


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("SELECT a FROM t WHERE b = ? AND c = ?", "SELECT a FROM t WHERE b = $1 AND c = $2"),
        ("SELECT '?' WHERE a LIKE '100%' AND b = ?", "SELECT '?' WHERE a LIKE '100%' AND b = $1"),
        ("""SELECT 'it''s ?' AS "who?" WHERE a = ?""", """SELECT 'it''s ?' AS "who?" WHERE a = $1"""),
        ("SELECT 5 % 3", "SELECT 5 % 3"),
    ],
)
def test_marks_outside_literals_are_numbered(ours: str, theirs: str) -> None:
    assert numbered(ours) == theirs.encode()


@given(st.lists(st.one_of(st.just("?"), st.text("abc%? ").map(lambda text: f"'{text}'"))))
def test_as_many_numbers_as_marks(pieces: list[str]) -> None:
    made = numbered(" , ".join(pieces)).decode()
    count = 0
    for piece in pieces:
        if piece == "?":
            count += 1
    expected = [f"${n + 1}" for n in range(count)]
    assert made == " , ".join(expected.pop(0) if piece == "?" else piece for piece in pieces)


def test_the_address_names_its_schema_and_hides_its_password() -> None:
    address = Address.of(
        "postgresql://ada:p%40ss@h1:1,h2:2/db?schema=team_1&sslmode=require&connect_timeout=3"
    )
    assert address.schema == "team_1"
    assert "p@ss" in address.conninfo
    assert "connect_timeout=3" in address.conninfo  # what the operator says wins
    assert "p@ss" not in address.where + repr(address)
    assert Address.of("postgresql:///db?host=/tmp").schema == "bottega"
    locks = {Address.of(f"postgresql://h/db?schema={name}").lock for name in ("a", "b", "bottega")}
    assert len(locks) == 3
    assert all(-(2**63) <= lock < 2**63 for lock in locks)


def test_a_message_that_repeats_the_password_is_masked() -> None:
    failure = Address.of("postgresql://ada:s3cret@h/db").failed("x", ValueError("bad 's3cret' here"))
    assert "s3cret" not in str(failure)
    assert "bad '***' here" in str(failure)


def test_only_a_lost_connection_is_tried_again() -> None:
    address, calls = Address.of("postgresql://h/db"), 0

    def work(lost: bool, good: int) -> str:
        nonlocal calls
        calls += 1
        if calls == good:
            return "done"
        raise address.failed("x", ValueError("y"), lost=lost)

    assert patiently(lambda: work(True, 3), 60) == "done"
    assert calls == 3
    with pytest.raises(StorageFailed):
        patiently(lambda: work(False, 6), 60)
    assert calls == 4
    with pytest.raises(StorageFailed):
        patiently(lambda: work(True, 0), 0.01)

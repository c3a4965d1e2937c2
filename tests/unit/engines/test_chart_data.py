import pytest

from bottega.core.errors import EngineFailed
from bottega.engines.chart_data import as_number, read_table
from bottega.engines.layout.pointer import resolve


def test_numbers_are_read_strictly() -> None:
    assert [as_number(cell) for cell in ("12", "-3.5", "1,299.00", " 7 ")] == [12.0, -3.5, 1299.0, 7.0]
    assert [as_number(cell) for cell in ("", "12 h", "1,2", "nan", "n/a", "1.2.3")] == [None] * 6


def test_csv_and_rows_json_give_the_same_table() -> None:
    csv = read_table("name;hours\nLumen;48\nHelio;14.5\n", "text/csv")
    rows = '{"columns": [{"name": "name", "type": "text"}, {"name": "hours", "type": "number"}], "rows": [["Lumen", 48.0], ["Helio", 14.5]]}'
    assert read_table(rows, "application/json") == csv
    assert csv.numbers("hours", "y") == [48.0, 14.5]


@pytest.mark.parametrize(
    ("text", "words"),
    [("", "empty"), ("a,b\n", "no rows"), ("a,b\n1\n", "row 1 has 1 cells")],
)
def test_a_broken_table_is_named(text: str, words: str) -> None:
    with pytest.raises(EngineFailed, match=words):
        read_table(text, "text/csv")


def test_a_wrong_column_names_those_that_exist() -> None:
    table = read_table("name,hours\nLumen,48\nHelio,long\n", "text/csv")
    with pytest.raises(EngineFailed, match="no column 'price'; the table has 'name', 'hours'"):
        table.column("price", "y")
    with pytest.raises(EngineFailed, match="row 2 holds 'long'"):
        table.numbers("hours", "y")


def test_pointer_follows_rfc_6901() -> None:
    document = {"scenes": [{"a/b": 1}], "m~n": 2}
    assert resolve(document, "") is document
    assert resolve(document, "/scenes/0/a~1b") == 1
    assert resolve(document, "/m~0n") == 2
    with pytest.raises(EngineFailed, match="'5' does not exist"):
        resolve(document, "/scenes/5")

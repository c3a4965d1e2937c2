"""CSV and TSV: every row a line ``col: value; ...``."""

import csv
import statistics

from bottega.retrieval.chunk import Block
from bottega.retrieval.convert.reading import Pages, Reading, row_text, split_fields

_DELIMITERS = ",;\t|"


def read(reading: Reading) -> Pages:
    """One page, one block a row; the first row that is as wide as most names the columns.

    Rows of another width are kept, with a note that says how many and where the first one stands.

    Raises:
        UnreadableSource: when the quoting is broken.
    """
    text = reading.text()
    delimiter = "\t" if reading.media_type == "text/tab-separated-values" else _delimiter(text)
    try:
        rows = split_fields(text, delimiter)
    except csv.Error as error:
        raise reading.refuse(
            f"not a readable table: {error}", "save it again as CSV with UTF-8 text"
        ) from error
    numbered = [(number, row) for number, row in enumerate(rows, 1) if any(cell.strip() for cell in row)]
    if not numbered:
        return [[]]
    width = statistics.mode(len(row) for _, row in numbered)
    first = next(index for index, (_, row) in enumerate(numbered) if len(row) == width)
    header = numbered[first][1]
    ragged = [number for number, row in numbered[first:] if len(row) != width]
    if ragged:
        reading.notes.append(f"{len(ragged)} rows do not have {width} columns; the first is row {ragged[0]}")
    blocks = [Block(" ".join(row)) for _, row in numbered[:first]]
    if len(numbered) == first + 1:
        return [[*blocks, Block("; ".join(header), "row")]]
    return [[*blocks, *(Block(row_text(header, row), "row") for _, row in numbered[first + 1 :])]]


def _delimiter(text: str) -> str:
    """The delimiter that cuts the first lines most evenly into the most columns."""
    lines = [line for line in text[:20_000].splitlines()[:50] if line.strip()]

    def quality(delimiter: str) -> tuple[int, int]:
        try:
            widths = [len(row) for row in split_fields("\n".join(lines), delimiter)]
        except csv.Error:
            widths = [line.count(delimiter) + 1 for line in lines]
        common = statistics.mode(widths) if widths else 1
        return (widths.count(common) if common > 1 else 0, common)

    return max(_DELIMITERS, key=quality)

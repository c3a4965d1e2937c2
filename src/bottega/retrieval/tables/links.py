"""Which words of a question mean which column or value: what is linked to nothing cannot be answered."""

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import NamedTuple

from bottega.engines.query import Condition, Query
from bottega.engines.tabular import Column
from bottega.retrieval.tables.dialect import Shape
from bottega.retrieval.words import fold, numbers

FEW = 60  # distinct values: a text column with no more names kinds of things
_WORD = re.compile(r"[^\W_]+(?:-[^\W_]+)*")
_PART = 0.5  # what a word is worth that stands within a cell
_NAME_BONUS = 0.5  # a table's own name says more than a column of another one


class Value(NamedTuple):
    """A cell's text that the question names."""

    column: str
    text: str


@dataclass(frozen=True)
class Linked:
    """How a question fits a table: its unlinked words, the values it names, parts of values, and how much is linked."""

    shape: Shape
    open: tuple[str, ...]
    values: tuple[Value, ...]
    parts: tuple[Value, ...]
    score: float


def link(question: str, shape: Shape) -> Linked:
    """Link every word that bears meaning to the table's name, a column, or a value that stands in it."""
    values = _values(question, shape)
    named = {word for value in values for word in _words(value.text)}
    table = {*_words(shape.table), *_words(shape.sheet.title)}
    heads = {word for column in shape.columns for word in _words(column.name)}
    score, loose, parts = 0.0, list[str](), list[Value]()
    for word in dict.fromkeys(_words(question)):
        if word in named or any(_alike(word, other) for other in named):
            score += 1
        elif any(_alike(word, other) for other in table):
            score += 1 + _NAME_BONUS
        elif any(_alike(word, other) or _same_concept(word, other) for other in heads):
            score += 1
        elif word not in _plain() and not word.isdecimal():
            column = _holding(word, shape)
            if column:
                parts.append(Value(column, word))
                score += _PART
            else:
                loose.append(word)
    return Linked(shape, tuple(loose), values, tuple(parts), score)


def best(question: str, shapes: Sequence[Shape]) -> Linked:
    """The table that the question fits best: fewest loose words, then most links, then the first."""
    found = [link(question, shape) for shape in shapes]
    return min(found, key=lambda one: (len(one.open), -one.score))


def completed(query: Query, linked: Linked) -> Query:
    """The query with the values that the question names and the query left out.

    A filter on a text column whose value stands in no cell but which the question's value contains is set to that value.
    """
    conditions = list(query.where)
    for value in linked.values:
        mine = [n for n, one in enumerate(conditions) if one.column == value.column]
        held = [one for n in mine for one in conditions[n].values]
        if any(fold(one) == fold(value.text) for one in held):
            continue
        inexact = [n for n in mine if conditions[n].operator == "=" and len(conditions[n].values) == 1
                   and fold(conditions[n].values[0]) not in _cells(linked.shape, value.column)]  # fmt: skip
        if inexact:
            conditions[inexact[0]] = Condition(column=value.column, values=(value.text,))
        elif not mine and value.column not in query.group:
            same = [one.text for one in linked.values if one.column == value.column]
            conditions.append(Condition(column=value.column, values=tuple(same)))
    for part in linked.parts:
        if not any(part.text in fold(value) for one in conditions for value in one.values):
            conditions.append(Condition(column=part.column, operator="contains", values=(part.text,)))
    return query.model_copy(update={"where": tuple(conditions)})


def ungrounded(question: str, query: Query, linked: Linked) -> str:
    """Why the query is not the question's: a value from nowhere, or a number left out. Empty when it is."""
    words, asked = set(_words(question)), numbers(question)
    types = {column.name: column.type for column in linked.shape.columns}
    used = [str(query.limit)] if query.limit else []
    for one in query.where:
        for value in one.values:
            used += numbers(value)
            if types.get(one.column) == "number":
                grounded = all(number in asked for number in numbers(value)) and bool(numbers(value))
            elif types.get(one.column) == "date":
                grounded = value[:4] in question
            elif types.get(one.column) == "boolean":
                grounded = True
            else:
                cells = _cells(linked.shape, one.column)
                stands = any(fold(value) in cell for cell in cells)
                grounded = any(_alike(word, other) for word in _words(value) for other in words) or (
                    fold(value) in ("yes", "no", "true", "false") and len(cells) <= 2
                )
                if grounded and not stands:
                    return f"no row has '{value}' under '{one.column}'"
            if not grounded:
                return f"'{value}' was not asked for"
    parts = {number for text in used for number in (text, *text.split("."))} | {"1"}
    named = {number for value in linked.values for number in numbers(value.text)}
    dates = {str(int(piece)) for one in query.where for v in one.values for piece in re.findall(r"\d+", v)}
    for number in asked:
        if number not in parts | named | dates:
            return f"the query leaves out {number}"
    return ""


def _values(question: str, shape: Shape) -> tuple[Value, ...]:
    """Values of text columns that the question names, the longest first; a part of one already named is none."""
    said = f" {' '.join(_words(question))} "
    found: list[Value] = []
    taken = ""
    candidates: list[tuple[str, Value]] = []
    for column in shape.columns:
        if column.type == "text":
            for text in dict.fromkeys(_column(shape, column)):
                words = " ".join(_words(text))
                if words and ((words not in _plain() and not words.isdecimal()) or len(words.split()) > 1):
                    candidates.append((words, Value(column.name, text)))
    for words, value in sorted(candidates, key=lambda one: -len(one[0])):
        forms = (words, f"{words}s", f"{words}es")
        if any(f" {form} " in said for form in forms) and f" {words} " not in taken:
            found.append(value)
            taken += f" {words} "
    columns = {value.column for value in found}
    return tuple(found) if len(columns) == len(found) else _one_each(found)


def _one_each(found: Sequence[Value]) -> tuple[Value, ...]:
    """A value that stands in several columns counts for the first of them."""
    seen: set[str] = set()
    return tuple(v for v in found if fold(v.text) not in seen and not seen.add(fold(v.text)))


def _holding(word: str, shape: Shape) -> str:
    """The first text column in which a cell has this word; empty when none has."""
    for column in shape.columns:
        if column.type == "text" and any(word in _words(text) for text in _column(shape, column)):
            return column.name
    return ""


def _column(shape: Shape, column: Column) -> list[str]:
    index = shape.sheet.header.index(column.name)
    return [cell for row in shape.sheet.rows if (cell := row[index]) and len(cell) <= FEW]


def _cells(shape: Shape, name: str) -> set[str]:
    index = shape.sheet.header.index(name)
    return {fold(cell).strip() for row in shape.sheet.rows if (cell := row[index])}


def _words(text: str) -> list[str]:
    return _WORD.findall(fold(text).replace("'s ", " ").replace("_", " "))


def _alike(one: str, other: str) -> bool:
    """The same word in another form: ``manages`` and ``manager``, ``open`` and ``opening``."""
    if one == other:
        return True
    common = next(
        (n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other))
    )
    return common >= 4 and common >= min(len(one), len(other)) - 2 and abs(len(one) - len(other)) <= 4


def _same_concept(one: str, other: str) -> bool:
    return any(one in concept and other in concept for concept in _concepts())


@cache
def _lists() -> dict[str, object]:
    return tomllib.loads(files("bottega.retrieval.tables").joinpath("measures.toml").read_text("utf-8"))


@cache
def _concepts() -> tuple[frozenset[str], ...]:
    lines = _lists()["concepts"]
    assert isinstance(lines, list)
    return tuple(frozenset(str(line).split()) for line in lines)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]


@cache
def _plain() -> frozenset[str]:
    return frozenset(str(_lists()["plain"]).split())

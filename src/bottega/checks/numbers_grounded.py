"""No number is invented: each stands in the sources, was computed by a tool, or was given in the brief."""

import asyncio
import csv
import io
import json
import re
from collections.abc import Iterator
from fractions import Fraction
from typing import Any, Literal, cast

from pydantic import Field

from bottega.checks.base import Options, Subject
from bottega.checks.quantities import Quantity, mentioned, quantities
from bottega.checks.reading import pieces
from bottega.core.value import JsonObject
from bottega.core.verdict import Verdict

# Numbers that say nothing about the world: list and heading numbers, footnotes, addresses, page references.
_NOT_CLAIMS = re.compile(
    r"""^[ \t]*\d+[.)](?=\s)                 # ordered list
    |^\#+[ \t]*\d+(?:\.\d+)*[.)]?(?=\s)      # numbered heading
    |\[\^?\d+\]:?                            # footnote mark
    |```.*?```                               # code
    |(?:https?://|www\.)[^\s)>]+|\]\([^)]*\) # addresses
    |\b(?:page|pages|p\.|seite|s\.|página|pagina|pág\.|pag\.)[ \u00a0]?\d+(?:[–-]\d+)?(?:,[ ]\d+[–-]\d+)?  # with characters
    """,
    re.VERBOSE | re.MULTILINE | re.IGNORECASE | re.DOTALL,
)
_FOLIO = re.compile(
    r"^[ \t]*\d{1,3}(?:[ \t]*(?:/|of|de|von|di|van)[ \t]*\d{1,3})?[ \t]*$", re.MULTILINE
)  # of a page


class NumbersGroundedOptions(Options, frozen=True):
    """How strict to be."""

    outcome: Literal["flag", "block"] = Field(
        default="block", description="for a price, date, quantity or large number that stands nowhere"
    )
    small_counts: Literal["pass", "flag", "block"] = Field(
        default="flag",
        description="for a small whole number without unit ('three reasons') that stands nowhere",
    )
    small: int = Field(default=12, ge=0, description="largest whole number that counts as small")


class NumbersGrounded:
    """Compares number, unit and date by value, however they are written; exact conversions of units count.

    Not covered: whether the number is said of the right thing; numbers spelled out without a unit.
    """

    id = "numbers_grounded"
    media_types = (
        "text/markdown",
        "text/plain",
        "text/html",
        "text/csv",
        "application/json",
        "application/pdf",
    )
    options = NumbersGroundedOptions

    async def judge(self, subject: Subject, options: Options) -> Verdict:
        """Block or flag with every number that stands nowhere, its place and the nearest one known."""
        chosen = cast(NumbersGroundedOptions, options)
        return await asyncio.to_thread(self._judge, subject, chosen)

    def _judge(self, subject: Subject, options: NumbersGroundedOptions) -> Verdict:
        known = Known(subject)
        counted, missing, worst = 0, list[JsonObject](), set[str]()
        for piece in pieces(subject):
            text = _blanked(_NOT_CLAIMS, piece.text)
            if piece.place.startswith("page "):
                text = _blanked(_FOLIO, text)
            for quantity in quantities(text):
                if quantity.spelled and (not quantity.dimension or Fraction(1) in quantity.values):
                    continue
                counted += 1
                if known.supports(quantity):
                    continue
                worst.add(self._outcome(quantity, options))
                nearest = known.nearest(quantity)
                missing.append(
                    {"found": quantity.written, "place": piece.at(quantity.start), "nearest": nearest}
                )
        outcome: Any = next((level for level in ("block", "flag") if level in worst), "pass")
        share = 1 - len(missing) / counted if counted else 1.0
        evidence: JsonObject = {"numbers": counted, "missing": missing[:50]}
        if not missing:
            reason = f"all {counted} numbers stand in the sources" if counted else "no numbers in it"
        else:
            shown = ", ".join(f"'{one['found']}'" for one in missing[:6])
            hint = f" (the sources say {missing[0]['nearest']})" if missing[0]["nearest"] else ""
            reason = f"not in the sources: {shown}{hint}"
        return Verdict(
            check=self.id,
            outcome=outcome,
            reason=reason,
            score=share,
            unit="share of numbers",
            evidence=evidence,
        )

    @staticmethod
    def _outcome(quantity: Quantity, options: NumbersGroundedOptions) -> str:
        whole = all(value.denominator == 1 and value <= options.small for value in quantity.values)
        return (
            options.small_counts if not quantity.dimension and quantity.values and whole else options.outcome
        )


class Known:
    """Every number of the sources, the computed tables and the brief."""

    def __init__(self, subject: Subject) -> None:
        self._by_dimension: dict[str, dict[Fraction, str]] = {}
        self._bare: dict[Fraction, set[str]] = {}  # value without unit to the dimensions its document names
        texts: dict[str, list[str]] = {}
        for passage in subject.passages:
            texts.setdefault(passage.source, [passage.source]).extend([passage.heading, passage.text])
        for index, text in enumerate([*subject.computed, subject.goal]):
            texts[f"computed {index}"] = [text]
        self._text = "\n".join(part for parts in texts.values() for part in parts).casefold()
        for parts in texts.values():
            whole = "\n".join(parts)
            dimensions = mentioned(whole)
            for text in (cell for part in parts for cell in _cells(part)):
                for quantity in quantities(text):
                    self._add(quantity, dimensions)

    def _add(self, quantity: Quantity, dimensions: set[str]) -> None:
        seen = self._by_dimension.setdefault(quantity.dimension, {})
        for value in quantity.values:
            seen.setdefault(value, quantity.written)
            if quantity.dimension == "date":
                year, month = int(value) // 10000, int(value) // 100 % 100
                self._bare.setdefault(Fraction(year), set())
                seen.setdefault(Fraction(year * 10000 + month * 100), quantity.written)
                seen.setdefault(Fraction(int(value) % 10000), quantity.written)
            else:
                for bare in _bare_values(quantity):
                    self._bare.setdefault(bare, set()).update(dimensions if not quantity.dimension else ())

    def supports(self, quantity: Quantity) -> bool:
        """Whether some reading of it is known with this unit; without a unit, whether the value is known at all."""
        if quantity.dimension == "code":
            return quantity.written.casefold() in self._text
        if not quantity.dimension:
            return any(value in self._bare for value in quantity.values)
        if any(value in self._by_dimension.get(quantity.dimension, {}) for value in quantity.values):
            return True
        return any(quantity.dimension in self._bare.get(value, ()) for value in _bare_values(quantity))

    def nearest(self, quantity: Quantity) -> str:
        """The closest known number of the same kind, as the source writes it; "" when there is none."""
        if not quantity.values:
            return ""
        value = min(quantity.values)
        same = self._by_dimension.get(quantity.dimension, {})
        return same[min(same, key=lambda known: abs(known - value))] if same else ""


def _blanked(pattern: re.Pattern[str], text: str) -> str:
    """The text with every match made blank, so that places stay where they are."""
    return pattern.sub(lambda match: re.sub(r"\S", " ", match[0]), text)


def _bare_values(quantity: Quantity) -> set[Fraction]:
    """The figure as written, whatever its unit."""
    figure = re.sub(r"[^\d.,\u00a0\u202f' ’]", " ", quantity.written).strip(" .,'’\u00a0\u202f")
    return {value for bare in quantities(figure) for value in bare.values} or set(quantity.values)


def _cells(text: str) -> Iterator[str]:
    """Values one by one, so that a comma between two cells is not read as part of a number."""
    stripped = text.strip()
    if stripped[:1] in "[{" and stripped[-1:] in "]}":
        try:
            yield from _scalars(json.loads(stripped))
            return
        except ValueError:
            pass
    lines = stripped.splitlines()
    if len(lines) > 1 and all(
        line.count(",") == lines[0].count(",") > 0 and ", " not in line for line in lines
    ):
        for row in csv.reader(io.StringIO(stripped)):
            yield from row
        return
    yield text


def _scalars(value: Any) -> Iterator[str]:
    match value:
        case dict():
            for key, item in cast(dict[str, Any], value).items():
                yield key
                yield from _scalars(item)
        case list():
            for item in cast(list[Any], value):
                yield from _scalars(item)
        case _:
            yield value if isinstance(value, str) else json.dumps(value)

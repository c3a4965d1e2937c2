"""No number is invented: each stands in the sources, was computed by a tool, or was given in the brief."""

import asyncio
import re
from fractions import Fraction
from typing import Any, Literal, cast

from pydantic import Field

from bottega.checks.base import Options, Subject
from bottega.checks.known import Known
from bottega.checks.quantities import Quantity, apart, quantities
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
        known = Known(subject.passages, [*subject.computed, subject.goal])
        counted, missing, worst = 0, list[JsonObject](), set[str]()
        for piece in pieces(subject):
            if piece.text == subject.params.get("sql"):
                continue  # rows carry the query that made them: what was asked, not what is claimed
            text = _blanked(_NOT_CLAIMS, piece.text)
            typeset = piece.place.startswith("page ")
            if typeset:
                text = _blanked(_FOLIO, text)
            for quantity in quantities(text):
                if quantity.spelled and (not quantity.dimension or Fraction(1) in quantity.values):
                    continue
                counted += 1
                if known.supports(quantity) or (typeset and _cells_known(quantity, known)):
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


def _cells_known(quantity: Quantity, known: Known) -> bool:
    """In the text of a PDF one space also divides two cells of a table, and each may be a known number."""
    cells = apart(quantity)
    return bool(cells) and all(known.supports(cell) for cell in cells)


def _blanked(pattern: re.Pattern[str], text: str) -> str:
    """The text with every match made blank, so that places stay where they are."""
    return pattern.sub(lambda match: re.sub(r"\S", " ", match[0]), text)

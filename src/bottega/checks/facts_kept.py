"""A text made from another keeps its facts: none added, none lost."""

import asyncio
from typing import Literal, cast

from pydantic import Field

from bottega.checks.base import Options, Subject
from bottega.checks.facts import Facts, missing
from bottega.core.verdict import Verdict


class FactsKeptOptions(Options, frozen=True):
    """What counts, and what it is compared with."""

    port: str = Field(default="text", description="the input that the text was made from")
    added: Literal["pass", "flag", "block"] = Field(
        default="block", description="for a fact that the input lacks"
    )
    lost: Literal["pass", "flag", "block"] = Field(
        default="block", description="for a fact of the input that is left out; pass for a summary"
    )


class FactsKept:
    """Compares numbers by value and unit, and names letter by letter, with the step's input.

    Not covered: names at the beginning of their only sentence, and facts that are neither number nor name.
    """

    id = "facts_kept"
    media_types = ("text/markdown", "text/plain")
    options = FactsKeptOptions

    async def judge(self, subject: Subject, options: Options) -> Verdict:
        """Flag or block with what was added and what was lost."""
        chosen = cast(FactsKeptOptions, options)
        return await asyncio.to_thread(self._judge, subject, chosen)

    def _judge(self, subject: Subject, options: FactsKeptOptions) -> Verdict:
        given = [one.path.read_text("utf-8") for one in subject.inputs if one.port == options.port]
        if not given:
            raise ValueError(f"the step has no input '{options.port}'")
        source, text = "\n\n".join(given), subject.text()
        added, lost = missing(text, source), missing(source, text)
        outcomes = {options.added if added else "pass", options.lost if lost else "pass"}
        told = [f"{word}: {_list(facts)}" for word, facts in (("added", added), ("lost", lost)) if facts]
        return Verdict(
            check=self.id,
            outcome="block" if "block" in outcomes else "flag" if "flag" in outcomes else "pass",
            reason="; ".join(told) or "every number and name is kept",
            evidence={"added": [*added.numbers, *added.names], "lost": [*lost.numbers, *lost.names]},
        )


def _list(facts: Facts) -> str:
    return ", ".join(f"'{fact}'" for fact in (*facts.numbers, *facts.names)[:6])

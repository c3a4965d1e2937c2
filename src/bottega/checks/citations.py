"""Every answer cites a passage, and the quoted words stand there, letter by letter."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, cast

from pydantic import Field

from bottega.checks.base import Options, Subject
from bottega.checks.quoting import misplaced, missing_numbers
from bottega.core.errors import EngineFailed
from bottega.core.passage import Passage
from bottega.core.value import JsonObject
from bottega.core.verdict import Verdict


class CitationsOptions(Options, frozen=True):
    """How much a citation has to carry."""

    least: int = Field(default=1, ge=1, description="citations that each answer needs")
    numbers: bool = Field(default=True, description="each number of an answer stands in one of its quotes")


class Citations:
    """Judges question-and-answer JSON, or the Markdown rendered from it (with the JSON as the step's input).

    Not covered: whether the quote says what the answer says; only that the words are there, and the numbers.
    """

    id = "citations"
    media_types = ("application/json", "text/markdown")
    options = CitationsOptions

    async def judge(self, subject: Subject, options: Options) -> Verdict:
        """Block with the item, the citation and what is wrong with it."""
        chosen = cast(CitationsOptions, options)
        rendered = subject.artifact.media_type == "text/markdown"
        items = _items(subject.text() if not rendered else _cited_input(subject))
        passages = {passage.id: passage for passage in subject.passages}
        problems = [
            {"item": number, "question": str(item.get("question", ""))[:120], "problem": problem}
            for number, item in enumerate(items, 1)
            for problem in _problems(item, passages, chosen)
        ]
        if rendered:
            problems += _not_rendered(items, subject.text())
        wrong = {problem["item"] for problem in problems}
        count = sum(len(item.get("citations") or ()) for item in items)
        first = f"answer {problems[0]['item']}: {problems[0]['problem']}" if problems else ""
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        return Verdict(
            check=self.id,
            outcome="block" if problems else "pass",
            reason=f"{first}{more}"
            if problems
            else f"{len(items)} answers, {count} quotes, each stands verbatim",
            score=(len(items) - len(wrong)) / len(items),
            unit="share of answers",
            evidence={"answers": len(items), "citations": count, "problems": problems[:50]},
        )


def _items(text: str) -> list[JsonObject]:
    value: Any = json.loads(text)
    items: Any = cast(JsonObject, value).get("items") if isinstance(value, dict) else None
    if not isinstance(items, list) or not items:
        raise EngineFailed("there are no answers to judge: an object with a list 'items' was expected")
    return cast(list[JsonObject], items)


def _cited_input(subject: Subject) -> str:
    for given in subject.inputs:
        if given.artifact.media_type == "application/json":
            text = given.path.read_text(encoding="utf-8")
            if '"citations"' in text:
                return text
    raise EngineFailed("the Markdown was not rendered from cited JSON, so its quotes cannot be checked")


def _problems(item: JsonObject, passages: Mapping[str, Passage], options: CitationsOptions) -> Iterator[str]:
    citations = cast(list[JsonObject], item.get("citations") or [])
    if len(citations) < options.least:
        yield f"cites {len(citations)} passages, {options.least} needed"
        return
    quoted: list[Passage] = []
    for citation in citations:
        name = str(citation.get("passage"))
        passage = passages.get(name)
        if passage is None:
            yield f"cites '{name}', which is no passage of the sources"
            continue
        start, end = int(citation["start"]), int(citation["end"])
        source, page = str(citation.get("source", "")), int(citation.get("page", 0))
        wrong = misplaced(str(citation.get("quote", "")), passage, start, end, source=source, page=page)
        if wrong:
            yield wrong
        else:
            quoted.append(passage.model_copy(update={"text": str(citation["quote"])}))
    if options.numbers and quoted:
        for written in missing_numbers(
            str(item.get("answer", "")), quoted, asked=str(item.get("question", ""))
        ):
            yield f"'{written}' stands in none of its quotes"


def _not_rendered(items: list[JsonObject], markdown: str) -> list[JsonObject]:
    """Answers and quotes that are not in the page as they are in the data."""
    page = _flat(markdown)
    found: list[JsonObject] = []
    for number, item in enumerate(items, 1):
        for label, text in [
            ("answer", item.get("answer")),
            *(("quote", c.get("quote")) for c in item["citations"]),
        ]:
            if _flat(str(text)) not in page:
                found.append(
                    {"item": number, "question": "", "problem": f"its {label} is not in the page: '{text}'"}
                )
    return found


def _flat(text: str) -> str:
    """Without Markdown's marks, escapes and line breaks."""
    unmarked = re.sub(r"[\\*_`#\"“”«»]+", "", re.sub(r"^\s*>", " ", text, flags=re.MULTILINE))
    return re.sub(r"\s+", " ", unmarked).strip().casefold()

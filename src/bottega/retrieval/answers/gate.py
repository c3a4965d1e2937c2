"""From a claim to a quoted sentence: the citation is looked up in the passages, and never taken from whoever wrote the claim."""

from collections.abc import Sequence

from bottega.checks.quoting import misplaced, missing_names, missing_numbers
from bottega.core.passage import Passage
from bottega.retrieval.answers.answer import Citation, Sentence
from bottega.retrieval.support import Sentence as Found
from bottega.retrieval.support import Supporter

LEAST = 0.35  # share of a claim's words, by weight, that its quotes hold
MOST_QUOTES = 2


class Quoter:
    """Finds what bears out a claim in a fixed set of passages, and holds the claim to it."""

    def __init__(self, passages: Sequence[Passage], computed: Sequence[str] = ()) -> None:
        self.computed = computed
        self._supporter = Supporter(passages)

    def quoted(self, claim: str, question: str, *, pointer: str = "", least: float = LEAST) -> Sentence:
        """The claim with its citations; ``problem`` says what the deterministic gate found wanting, and is empty when nothing."""
        support = self._supporter.find(claim, question, most=MOST_QUOTES)
        found = [sentence for sentence, _ in support.sentences]
        citations = tuple(_citation(sentence) for sentence in found)
        problem = self._lacking(claim, found, support.score, least)
        return Sentence(
            text=claim, citations=citations, score=round(support.score, 4), problem=problem, pointer=pointer
        )

    def _lacking(self, claim: str, found: Sequence[Found], score: float, least: float) -> str:
        if not found or score < least:
            return f"no passage says this (words in common {score:.2f}, {least:.2f} needed)"
        for each in found:
            if wrong := misplaced(each.text, each.passage, each.start, each.end):
                return wrong
        quotes = [
            each.passage.model_copy(update={"text": each.text, "start": each.start, "end": each.end})
            for each in found
        ]
        bare = [quote.model_copy(update={"heading": "", "source": ""}) for quote in quotes]
        headings = " ".join(quote.heading for quote in quotes).casefold()
        numbers = [
            written for written in missing_numbers(claim, bare, computed=self.computed)
            if not (written[:1].isalpha() and written.casefold() in headings)
        ]  # fmt: skip
        if numbers:
            return f"no quote holds {', '.join(numbers)}"
        names = missing_names(claim, quotes, computed=self.computed)
        return f"no quote names {', '.join(names)}" if names else ""


def premise(citations: Sequence[Citation]) -> str:
    """What an entailment judge reads: the quotes, each under the headings that say what it is about."""
    lines: list[str] = []
    for each in citations:
        heading = each.heading.replace(" > ", ", ")
        lines.append(f"{heading}: {each.quote}" if heading and heading not in each.quote else each.quote)
    return " ".join(lines)


def _citation(sentence: Found) -> Citation:
    passage = sentence.passage
    return Citation(
        source=passage.source,
        sha256=passage.sha256,
        page=passage.page,
        start=sentence.start,
        end=sentence.end,
        quote=sentence.text,
        heading=passage.heading,
    )

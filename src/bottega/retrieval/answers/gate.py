"""From a claim to a quoted sentence: the citation is looked up in the passages, and never taken from whoever wrote the claim."""

import re
from collections.abc import Sequence

from bottega.checks.quantities import quantities
from bottega.checks.quoting import misplaced, missing_names, missing_numbers
from bottega.core.passage import Passage
from bottega.retrieval.answers.answer import Citation, Sentence
from bottega.retrieval.answers.bound import exchanged
from bottega.retrieval.sentences import sentence_spans
from bottega.retrieval.support import Sentence as Found
from bottega.retrieval.support import Support, Supporter
from bottega.retrieval.words import terms

_POINTS_BACK = re.compile(
    r"(?:it|its|they|their|this|that|these|those|he|she|both|below that|above that)\b", re.IGNORECASE
)
LEAST = 0.35  # share of a claim's words, by weight, that its quotes hold
MOST_QUOTES = 2
SAME = 0.85  # share of a claim's words that a sentence holds which says the same of another amount


class Quoter:
    """Finds what bears out a claim in a fixed set of passages, and holds the claim to it.

    ``computed`` are texts that a tool made: their numbers and names need no quote. ``most`` quotes bear out one claim, and two more
    its numbers.
    """

    def __init__(
        self, passages: Sequence[Passage], computed: Sequence[str] = (), *, most: int = MOST_QUOTES
    ) -> None:
        self._computed = computed
        self._most = most
        self._supporter = Supporter(passages)

    def quoted(self, claim: str, question: str, *, pointer: str = "", least: float = LEAST) -> Sentence:
        """The claim with its citations; ``problem`` says what the deterministic gate found wanting, and is empty when nothing."""
        support = self.support(claim, question)
        return Sentence(
            text=claim,
            citations=tuple(citation(sentence) for sentence, _ in support.sentences),
            score=round(support.score, 4),
            problem=self.lacking(claim, support, least),
            pointer=pointer,
        )

    def support(self, claim: str, question: str) -> Support:
        """The sentences of the passages that together hold most of a claim."""
        return self._supporter.find(claim, question, most=self._most)

    def lacking(self, claim: str, support: Support, least: float) -> str:
        """Why this is not enough to say the claim; empty when it is."""
        found = [sentence for sentence, _ in support.sentences]
        if not found or support.score < least:
            return f"support {support.score:.2f} is under {least:.2f}"
        for each in found:
            if wrong := misplaced(each.text, each.passage, each.start, each.end):
                return wrong
        if numbers := self.numbers_without(claim, support):
            return f"no quote holds {', '.join(numbers)}"
        names = missing_names(claim, _quotes(found), computed=self._computed)
        return f"no quote names {', '.join(names)}" if names else exchanged(claim, _quotes(found))

    def numbers_without(self, claim: str, support: Support) -> list[str]:
        """Numbers of a claim that none of its quotes holds; a product's code may stand in the heading over one."""
        quotes = _quotes([sentence for sentence, _ in support.sentences])
        bare = [quote.model_copy(update={"heading": "", "source": ""}) for quote in quotes]
        headings = " ".join(quote.heading for quote in quotes).casefold()
        return [
            written
            for written in missing_numbers(claim, bare, computed=self._computed)
            if not (written[:1].isalpha() and written.casefold() in headings)
        ]


def rival(sentence: Sentence, passages: Sequence[Passage]) -> Citation | None:
    """A sentence of another document that says the same with other amounts; None when there is none.

    It holds nearly all the words of the claim besides its numbers, has numbers of the same kinds, and none of them is the claim's.
    """
    cited = {each.source for each in sentence.citations}
    mine = list(quantities(sentence.text))
    dimensions = {each.dimension for each in mine if each.values}
    words = {term for term in terms(sentence.text, "en") if not term[0].isdecimal()}
    if not dimensions or not words:
        return None
    for passage in passages:
        if passage.source in cited:
            continue
        for start, end in sentence_spans(passage.text):
            text = passage.text[start:end]
            same = [each for each in quantities(text) if each.dimension in dimensions and each.values]
            held = words & set(terms(text, "en"))
            agrees = any(each.values & own.values for each in same for own in mine)
            if same and not agrees and len(held) >= SAME * len(words):
                return cited_from(passage, passage.start + start, passage.start + end)
    return None


def _quotes(found: Sequence[Found]) -> list[Passage]:
    return [
        each.passage.model_copy(update={"text": each.text, "start": each.start, "end": each.end})
        for each in found
    ]


def premise(citations: Sequence[Citation], passages: Sequence[Passage]) -> str:
    """What an entailment judge reads: the quotes, each under the headings that say what it is about.

    Before a quote that points back ("It runs on ...") stands the sentence that it points to.
    """
    lines: list[str] = []
    for each in citations:
        heading = each.heading.replace(" > ", ", ")
        before = _before(each, passages) if _POINTS_BACK.match(each.quote) else ""
        lines.append(
            f"{heading}: {before}{each.quote}"
            if heading and heading not in each.quote
            else f"{before}{each.quote}"
        )
    return " ".join(lines)


def _before(cited: Citation, passages: Sequence[Passage]) -> str:
    """The sentence before a quote in its passage, with a space after it; empty when it is the first."""
    for passage in passages:
        if passage.source == cited.source and passage.start <= cited.start and cited.end <= passage.end:
            earlier = [
                span for span in sentence_spans(passage.text) if passage.start + span[1] <= cited.start
            ]
            return f"{passage.text[slice(*earlier[-1])]} " if earlier else ""
    return ""


def citation(sentence: Found) -> Citation:
    """A sentence of a passage as a citation of its document."""
    return cited_from(sentence.passage, sentence.start, sentence.end)


def cited_from(passage: Passage, start: int, end: int) -> Citation:
    """The words of a passage between two characters of its document, with their place on the page where it is known."""
    return Citation(
        source=passage.source, sha256=passage.sha256, page=passage.page, start=start, end=end,
        quote=passage.text[start - passage.start : end - passage.start], heading=passage.heading,
        boxes=passage.places(start, end),
    )  # fmt: skip

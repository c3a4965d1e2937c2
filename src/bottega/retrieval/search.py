"""The passages of the sources that bear on a query, within a budget of words."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from fnmatch import fnmatch
from typing import ClassVar

from pydantic import Field

from bottega.core.errors import EngineFailed, UnreadableSource
from bottega.core.passage import Passage
from bottega.core.request import Finished, Output, Request
from bottega.engines.base import Bench, Card, Engine, Estimate, Params, Port, parts_at
from bottega.retrieval.answers.coverage import without_instructions
from bottega.retrieval.chunk import count_words
from bottega.retrieval.document import MEDIA_TYPE, PASSAGES_MEDIA_TYPE, dump_passages, load
from bottega.retrieval.lexical import Lexical
from bottega.retrieval.retriever import Scored
from bottega.retrieval.words import fold

_CONSIDERED = 200  # how many of the best passages are weighed against each other
_SAME_SOURCE = 0.85  # what a passage's score is multiplied by for each one already taken from its source
_SAME_WORDS = 0.2  # and for each one taken that says the same
_COPY = 0.9  # share of a passage's words that make it a copy of another
_SAID = 0.7  # share of a passage's words that stand in the other one when they say the same


class SearchParams(Params, frozen=True):
    """What to look for and how much to bring."""

    query: str = Field(
        default="", max_length=8000, description="words to look for; empty takes the beginnings"
    )
    k: int = Field(default=6, ge=1, le=100, description="at most this many passages")
    max_words: int = Field(
        default=600, ge=20, le=100_000, description="at most this many words in all passages"
    )
    sources: tuple[str, ...] = Field(
        default=(), description="names of the sources to search, shell patterns allowed; empty means all"
    )


class Search(Engine):
    """Ranks by BM25, spreads over the sources where scores are near, and trims to the budget.

    Sentences of a source that address a model are left out, as `bottega ask` leaves them out.
    """

    card: ClassVar[Card] = Card(
        id="search",
        version="2",
        summary="Finds the passages of the sources that bear on a query",
        modality="text",
        inputs=(Port(name="sources", media_types=(MEDIA_TYPE,), many=True, note="converted documents"),),
        outputs=(Port(name="passages", media_types=(PASSAGES_MEDIA_TYPE,)),),
        reads_names=False,
        licence="Apache-2.0",
        not_covered="Lexical only: a query in another language than the source finds names and numbers.",
    )
    params: ClassVar[type[Params]] = SearchParams

    async def generate(self, request: Request, bench: Bench) -> AsyncIterator[Output]:
        """Yield one file of passages, best first."""
        params = SearchParams.model_validate(request.params)
        yield await asyncio.to_thread(_search, request, params, bench)

    def estimate(self, params: Params, input_bytes: int) -> Estimate:
        """About 1 MB of converted text a second."""
        return Estimate(seconds=0.05 + input_bytes / 1e6)


def _search(request: Request, params: SearchParams, bench: Bench) -> Finished:
    passages: list[Passage] = []
    names: list[str] = []
    for part in parts_at(request, "sources"):
        bench.check_cancelled()
        try:
            document = load(bench.read(part), where=part.name)
        except UnreadableSource as error:
            raise EngineFailed(error.message, remedy=error.remedy, where=error.where) from error
        names.append(document.name)
        if not params.sources or any(fnmatch(document.name, pattern) for pattern in params.sources):
            passages.extend(document.passages)
    if not passages:
        raise EngineFailed(
            f"no source is named {' or '.join(params.sources)}" if names else "no sources were given",
            remedy=f"name one of {', '.join(names)}" if names else "give at least one source",
            where="sources",
        )
    bench.check_cancelled()
    passages, kept_out = without_instructions(passages)
    if not passages:
        raise EngineFailed(
            "the sources hold nothing but sentences that talk to a model",
            remedy="give a source with facts",
            where="sources",
        )
    ranked = Lexical(passages).rank(params.query)
    chosen = within(spread(ranked) if ranked else beginnings(passages), params.k, params.max_words)
    return Finished(
        port="passages",
        media_type=PASSAGES_MEDIA_TYPE,
        data=dump_passages(params.query, tuple(chosen)),
        details={
            "matched": len(ranked),
            "searched": len(passages),
            "kept_out": kept_out,
            "words": sum(count_words(passage.text) for passage in chosen),
            "scores": [
                round(one.score, 4) for passage in chosen for one in ranked if one.passage.id == passage.id
            ],
        },
    )


def spread(ranked: Sequence[Scored]) -> list[Passage]:
    """Best first, but what was already said, or comes from a source already heard, is held back.

    Maximal marginal relevance (Carbonell and Goldstein, 1998) with multiplied instead of added penalties.
    """
    left = [
        (one.score, one.passage, frozenset(fold(one.passage.text).split())) for one in ranked[:_CONSIDERED]
    ]
    out: list[Passage] = []
    held_back = [1.0] * len(left)
    waiting = set(range(len(left)))
    copies: set[str] = set()
    while waiting:
        best = max(waiting, key=lambda index: (left[index][0] * held_back[index], -index))
        waiting.remove(best)
        _, taken, taken_words = left[best]
        out.append(taken)
        for index in waiting:
            _, passage, words = left[index]
            if passage.source == taken.source:
                held_back[index] *= _SAME_SOURCE
            if len(words & taken_words) > _COPY * len(words):
                held_back[index] = 0.0
                copies.add(passage.id)  # the same text in another file
            elif len(words & taken_words) > _SAID * len(words):
                held_back[index] *= _SAME_WORDS
    return [passage for passage in out if passage.id not in copies]


def beginnings(passages: Sequence[Passage]) -> list[Passage]:
    """The first passage of every source, then the second of every source, and so on."""
    seen: dict[str, int] = {}
    keyed: list[tuple[int, int, Passage]] = []
    for index, passage in enumerate(passages):
        nth = seen.get(passage.source, 0)
        seen[passage.source] = nth + 1
        keyed.append((nth, index, passage))
    return [passage for _, _, passage in sorted(keyed, key=lambda item: item[:2])]


def within(passages: Sequence[Passage], k: int, max_words: int) -> list[Passage]:
    """The first passages that fit; one that is too long is passed over, unless none would remain."""
    chosen: list[Passage] = []
    left = max_words
    for passage in passages:
        words = count_words(passage.text)
        if words <= left:
            chosen.append(passage)
            left -= words
        if len(chosen) == k:
            break
    return chosen or [_shortened(passages[0], max_words)]


def _shortened(passage: Passage, words: int) -> Passage:
    """The beginning of a passage, still verbatim and at its place."""
    end = len(passage.text)
    while count_words(passage.text[:end]) > words:
        space = passage.text.rfind(" ", 0, end)
        end = space if space > 0 else end // 2
    text = passage.text[:end].rstrip()
    return passage.model_copy(update={"text": text, "end": passage.start + len(text)})

"""Which thing an amount belongs to: a sentence may hold every number and name of its quotes and still exchange them."""

import re
from collections.abc import Iterator, Sequence

from bottega.checks.quantities import Quantity, quantities
from bottega.checks.quoting import things
from bottega.core.passage import Passage
from bottega.retrieval.sentences import sentence_spans

_CLAUSE = re.compile(r"[,;:()](?=\s|$)|(?<=\s)[–—-](?=\s)")
_FOR = re.compile(
    r"\s+(?:for|of|by|with|in|on|from|für|bei|von|mit|pour|avec|de|chez|para|con|per|di|da|com|voor|van|bij|met)\s+"
    r"(?:(?:the|a|an|der|die|das|den|dem|le|la|les|el|los|las|il|lo|i|gli|o|os|as|het)\s+)?$",
    re.IGNORECASE,
)

EXCHANGED = "its quote gives"  # how the reason begins


def exchanged(claim: str, quotes: Sequence[Passage]) -> str:
    """Why an amount of ``claim`` is not that of the thing beside it; empty when it may be.

    It is refused only when the quotes tell both: a sentence of theirs has the amount and not the thing, and another has the thing
    with another amount of the same kind. What a sentence of a quote leaves to the heading over it, or to a sentence before, is not
    held against a claim.
    """
    told = [
        (f"{quote.heading} {quote.text[start:end]}", quote.text[start:end])
        for quote in quotes
        for start, end in sentence_spans(quote.text)
    ]
    held = [(_named(whole), list(_amounts(text))) for whole, text in told]
    for some, amount in _pairs(claim):
        with_it = [names for names, amounts in held if any(_same(amount, each) for each in amounts)]
        if not with_it or any(_within(thing, names) for thing in some for names in with_it):
            continue
        for thing in some:
            for names, amounts in held:
                other = [each for each in amounts if each.dimension == amount.dimension]
                if other and _within(thing, names):
                    return f"{EXCHANGED} {other[0].written} for {thing}, not {amount.written}"
    return ""


def _pairs(claim: str) -> Iterator[tuple[Sequence[str], Quantity]]:
    """Each amount with the things that it may be said of.

    That is the one right after it ("18 W for X"); else those of its clause since the amount before it; else those before that.
    """
    named = list(things(claim))
    cuts = [0, *(match.end() for match in _CLAUSE.finditer(claim)), len(claim)]
    last = 0  # end of the amount before
    for amount in _amounts(claim):
        end = amount.start + len(amount.written)
        left = max(cut for cut in cuts if cut <= amount.start)
        right = min(cut for cut in cuts if cut >= end)
        after = [(name, start) for name, start, _ in named if end <= start < right]
        before = [(name, start) for name, start, _ in named if left <= start < amount.start]
        since = [name for name, start in before if start >= last]
        last = end
        if after and _FOR.fullmatch(claim[end : after[0][1]]):
            yield [after[0][0]], amount
        elif before:
            yield since or [name for name, _ in before], amount


def _amounts(text: str) -> Iterator[Quantity]:
    return (each for each in quantities(text) if each.values and each.dimension not in ("", "clock"))


def _named(text: str) -> list[str]:
    return [name.casefold() for name, *_ in things(text)]


def _within(thing: str, names: Sequence[str]) -> bool:
    """Whether a sentence names the thing, perhaps inside of a longer name."""
    return any(f" {thing.casefold()} " in f" {name} " for name in names)


def _same(one: Quantity, other: Quantity) -> bool:
    return one.dimension == other.dimension and bool(one.values & other.values)

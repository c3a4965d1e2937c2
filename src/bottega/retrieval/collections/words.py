"""One tantivy index for each shelf, and BM25 over the shelves that a search may see."""

import math
import shutil
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bottega.core.errors import StorageFailed
from bottega.engines.base import require
from bottega.retrieval.collections.analysis import analyser, named, weak

HEAP = 32_000_000  # bytes of memory for what is not written yet
MOST_TERMS = 256  # different terms of one question
_EVERY = "every"  # a term of every passage: how often it is counted says how many passages the index counts


@dataclass(frozen=True)
class Entry:
    """One passage to index."""

    passage: int
    document: int
    text: str


class ShelfIndex:
    """The index of one shelf, a folder that can be thrown away and written again.

    Raises:
        ExtraMissing: without the extra ``retrieve``.
    """

    def __init__(self, folder: Path, analyser_name: str) -> None:
        self.folder = folder
        self._tantivy: Any = require("tantivy", extra="retrieve")
        self._name = analyser_name
        self._analyser: Any = analyser(analyser_name)
        builder: Any = self._tantivy.SchemaBuilder()
        builder.add_unsigned_field("passage", fast=True)
        builder.add_text_field("document", tokenizer_name="raw", index_option="basic")
        builder.add_text_field("every", tokenizer_name="raw", index_option="basic")
        builder.add_text_field("text", tokenizer_name="terms", index_option="freq")
        self._schema: Any = builder.build()
        self._index: Any = None

    def write(self, removed: Iterable[int], added: Iterable[Entry]) -> None:
        """Take documents out and put passages in; committed when this returns. Doing it twice changes nothing.

        What stands in ``added`` must be all passages of its documents.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        writer: Any = self._opened().writer(heap_size=HEAP, num_threads=1)
        try:
            for document in removed:
                writer.delete_documents_by_term("document", str(document))
            seen: set[int] = set()
            for entry in added:
                if entry.document not in seen:
                    seen.add(entry.document)
                    writer.delete_documents_by_term("document", str(entry.document))
                row: Any = self._tantivy.Document()
                row.add_unsigned("passage", entry.passage)
                row.add_text("document", str(entry.document))
                row.add_text("every", _EVERY)
                row.add_text("text", named(entry.text, self._name))
                writer.add_document(row)
            writer.commit()
        finally:
            writer.wait_merging_threads()  # gives the lock back

    def passages(self) -> int:
        """How many passages the statistics count, among them the dead ones."""
        return int(self._searcher().doc_freq("every", _EVERY))

    def dead(self) -> int:
        """Passages that were taken out and still count in the statistics, until the index is written again."""
        return self.passages() - int(self._searcher().num_docs)

    def terms(self, query: str) -> Counter[str]:
        """The terms of a question, in the language of this shelf, without function words unless it is made of them."""
        asked = Counter[str](self._analyser.analyze(named(query, self._name)))
        telling = {term: times for term, times in asked.items() if term not in weak(self._name)}
        return Counter(dict(Counter(telling or asked).most_common(MOST_TERMS)))

    def statistics(self, terms: Iterable[str]) -> "Statistics":
        """How many passages there are, and how many hold each term."""
        searcher: Any = self._searcher()
        found = Statistics(passages=self.passages())
        for term in terms:
            found.holding[term] = int(searcher.doc_freq("text", term))
        return found

    def search(self, weights: dict[str, float], top: int) -> list[tuple[int, float]]:
        """The passages whose sum of weighted terms is highest, as (passage, score), best first."""
        library = self._tantivy
        clauses = [
            (
                library.Occur.Should,
                library.Query.boost_query(
                    library.Query.term_query(self._schema, "text", term, "freq"), weight
                ),
            )
            for term, weight in weights.items()
        ]
        if not clauses:
            return []
        searcher: Any = self._searcher()
        hits: list[tuple[float, Any]] = searcher.search(
            library.Query.boolean_query(clauses), top, count=False
        ).hits
        passages: list[int] = searcher.fast_field_values("passage", [address for _, address in hits])
        return [(passage, score) for passage, (score, _) in zip(passages, hits, strict=True)]

    def reload(self) -> None:
        """See what was committed since."""
        self._opened().reload()

    def _searcher(self) -> Any:
        return self._opened().searcher()

    def _opened(self) -> Any:
        if self._index is None:
            try:
                self._index = self._tantivy.Index(self._schema, path=str(self.folder), reuse=True)
            except (ValueError, OSError) as error:
                raise StorageFailed(
                    f"the word index cannot be opened: {error}",
                    where=str(self.folder),
                    remedy="index the collection again: it is written anew from its documents",
                ) from error
            self._index.register_tokenizer("terms", self._analyser)
        return self._index

    def remove(self) -> None:
        """Delete the folder; who still reads it keeps what he has open."""
        self._index = None
        shutil.rmtree(self.folder, ignore_errors=True)


@dataclass
class Statistics:
    """What the weight of a term is worked out from; adding up shelves gives those of a user's whole view."""

    passages: int = 0
    holding: Counter[str] = field(default_factory=Counter[str])

    def add(self, other: "Statistics") -> None:
        """Count another shelf in."""
        self.passages += other.passages
        self.holding.update(other.holding)

    def idf(self, term: str) -> float:
        """``ln(1 + (N - n + 0.5) / (n + 0.5))``, as in Lucene and tantivy."""
        held_by = self.holding[term]
        return math.log(1 + (self.passages - held_by + 0.5) / (held_by + 0.5))


def rank(shelves: Sequence[tuple[ShelfIndex, str]], query: str, top: int) -> list[tuple[int, float]]:
    """The best passages of these shelves, each with the name of its analyser, as (passage, score).

    A term's rarity is counted over all shelves given that share an analyser, so that scores of one language compare:
    tantivy weighs by the shelf alone, and each term is boosted by the ratio of the two. How long a passage is, is
    compared with the mean of its own shelf.
    """
    found: list[tuple[int, float]] = []
    for same in _by_analyser(shelves):
        terms = same[0].terms(query)
        own = [shelf.statistics(terms) for shelf in same]
        whole = Statistics()
        for each in own:
            whole.add(each)
        for shelf, statistics in zip(same, own, strict=True):
            weights = {
                term: times * whole.idf(term) / statistics.idf(term)
                for term, times in terms.items()
                if statistics.holding[term]
            }
            found.extend(shelf.search(weights, top))
    return sorted(
        ((passage, round(score, 5)) for passage, score in found), key=lambda hit: (-hit[1], hit[0])
    )[:top]


def _by_analyser(shelves: Sequence[tuple[ShelfIndex, str]]) -> Iterator[list[ShelfIndex]]:
    groups: defaultdict[str, list[ShelfIndex]] = defaultdict(list)
    for shelf, name in shelves:
        groups[name].append(shelf)
    yield from groups.values()

"""Compares ways to rank on SciFact's train claims: what might be built, and must first gain here. The test claims are not looked at.

    python -m benchmarks.scifact --data DIR --keep FOLDER     # indexes; may be stopped, what is indexed counts
    python -m benchmarks.scifact_ways --zip scifact.zip --keep FOLDER [--judge 90] [--reranker FOLDER] [--tokens] [--only fusion]

The passages are those of FOLDER, the claims those of ``claims_train.csv`` whose cited abstracts are all among them. Words are those of the index, ranked by BM25 as
tantivy has it, so that its parts can be changed. Each way is printed with nDCG@10, the difference to fusion, and an interval of 95 % of the
difference (claims resampled 1,000 times). ``--judge N`` reads the best 20 passages of N claims with `entailment-minilm`; ``--reranker`` reads the best 20 of every claim with what
`benchmarks.rerank.train` wrote into FOLDER (with ``base/`` beside it), in torch; ``--tokens`` compares the token states of
`arctic-embed-s` (late interaction), and embeds the best 50 passages of every claim again for it. ``--only`` leaves out the ways whose names do not
begin so, ``--claims`` all claims but so many, and ``--beyond N`` the claims whose abstracts are all among the first N indexed: what pointed up on those must do so on the others.
"""

import argparse
import csv
import io
import itertools
import math
import re
import sqlite3
import zipfile
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.scifact import ndcg

from bottega.catalog.catalog import Catalog
from bottega.core.passage import Passage
from bottega.retrieval import embed
from bottega.retrieval.collections.analysis import STEMMERS, analyser, named, weak
from bottega.retrieval.embed import arctic
from bottega.retrieval.entail import EntailmentMiniLM
from bottega.retrieval.fusion import DEPTH, blend
from bottega.retrieval.lexical import K1, B, searched
from bottega.settings import Settings

EMBEDDER = "arctic-embed-s"
DEEP = 500  # places of a ranking that are kept
FIRST = 20  # of them, those that are read again
ENGLISH = STEMMERS["en"]
Ranking = list[tuple[int, float]]
Way = Callable[[str], Ranking]


def claims_of(path: Path) -> dict[str, tuple[str, set[str]]]:
    """The train claims: what each says, and the abstracts that it cites."""
    csv.field_size_limit(10**8)
    found: dict[str, tuple[str, set[str]]] = {}
    with zipfile.ZipFile(path) as archive:
        for row in csv.DictReader(io.TextIOWrapper(archive.open("claims_train.csv"), "utf-8")):
            found.setdefault(row["id"], (row["claim"], set()))[1].update(
                re.findall(r"\d+", row["cited_doc_ids"])
            )
    return found


def passages_of(folder: Path) -> tuple[list[Passage], Any]:
    """What is indexed, with its vectors, shape (passages, dimensions)."""
    with sqlite3.connect(f"file:{folder / 'collection.sqlite'}?mode=ro", uri=True) as db:
        rows = db.execute(
            'SELECT name, heading, text, "row", dimensions, file FROM passages JOIN documents ON documents.id = document '
            "JOIN vectors ON passage = passages.id JOIN spaces ON spaces.id = space "
            "WHERE state = 'indexed' AND embedder = ? ORDER BY passages.id",
            (EMBEDDER,),
        ).fetchall()
    vectors = np.memmap(folder / "vectors" / rows[0][5], dtype="<f4", mode="r").reshape(-1, rows[0][4])
    made = [
        Passage(
            id=str(n), source=Path(name).stem, sha256="0" * 64, page=1, start=0, end=1, heading=heading, text=text
        )
        for n, (name, heading, text, *_) in enumerate(rows)
    ]  # fmt: skip
    return made, vectors[[row[3] for row in rows]]


class Words:
    """BM25 over counts of terms, each part of which may be another."""

    def __init__(
        self, passages: Sequence[Passage], title: int = 0, pairs: float = 0.0, *, whole: bool = False
    ) -> None:
        """``title`` times more the words of the headings; ``pairs`` is what two words in a row weigh beside the words.

        ``whole`` leaves names of letters and digits as they are written, as the index did before it took them apart.
        """
        self._pairs, self._whole = pairs, whole
        post: defaultdict[Any, list[tuple[int, int]]] = defaultdict(list)
        self.counts: list[Counter[Any]] = []
        lengths: list[int] = []
        for place, each in enumerate(passages):
            said = self._terms(searched(each.heading, each.text))
            counts: Counter[Any] = Counter(said + title * self._terms(each.heading))
            lengths.append(counts.total())
            self.counts.append(Counter(counts))
            if pairs:
                counts.update(itertools.pairwise(said))
            for term, times in counts.items():
                post[term].append((place, times))
        mean = sum(lengths) / len(lengths)
        self._held = np.array([K1 * (1 - B + B * length / mean) for length in lengths])
        self._post: dict[Any, Any] = {term: np.array(held, dtype=np.int64).T for term, held in post.items()}

    def _terms(self, text: str) -> list[str]:
        return analyser(ENGLISH).analyze(text if self._whole else named(text, ENGLISH))

    def _asked(self, claim: str) -> list[str]:
        said = self._terms(claim)
        return [term for term in said if term not in weak(ENGLISH)] or said

    def idf(self, term: Any) -> float:
        """As in Lucene and tantivy."""
        held, of = self._post[term].shape[1], len(self._held)
        return math.log(1 + (of - held + 0.5) / (held + 0.5))

    def rank(self, weights: dict[Any, float]) -> Ranking:
        """The best passages for weighted terms."""
        scores = np.zeros(len(self._held))
        for term, weight in weights.items():
            if term in self._post:
                places, times = self._post[term]
                scores[places] += weight * self.idf(term) * times * (K1 + 1) / (times + self._held[places])
        best = np.argsort(-scores, kind="stable")[:DEEP].tolist()
        return [(place, float(scores[place])) for place in best if scores[place] > 0]

    def ask(self, claim: str) -> Ranking:
        """The best passages for a claim."""
        said = self._asked(claim)
        weights: dict[Any, float] = {term: float(times) for term, times in Counter(said).items()}
        if self._pairs:
            weights |= dict.fromkeys(itertools.pairwise(said), self._pairs)
        return self.rank(weights)

    def expanded(self, claim: str, first: int, more: int, share: float) -> Ranking:
        """RM3: words of the ``first`` passages are asked for as well (Lavrenko and Croft 2001; Abdul-Jaleel and others 2004)."""
        asked = Counter(self._asked(claim))
        best = self.ask(claim)[:first]
        whole = sum(score for _, score in best) or 1.0
        fed: Counter[Any] = Counter()
        for place, score in best:
            for term, times in self.counts[place].items():
                fed[term] += score / whole * times / self.counts[place].total() * self.idf(term)  # pyright: ignore[reportArgumentType]
        chosen = dict(fed.most_common(more))
        scale = share * asked.total() / (sum(chosen.values()) or 1.0)
        weights = {term: (1 - share) * times for term, times in asked.items()}
        for term, weight in chosen.items():
            weights[term] = weights.get(term, 0.0) + scale * weight
        return self.rank(weights)


def weighed(words: Ranking, vectors: Ranking, share: float, depth: int) -> Ranking:
    """As `blend`, with another ``share`` for the words than a half, and measured from place ``depth`` instead of 100."""
    scores: defaultdict[int, float] = defaultdict(float)
    shortest = (0.0, vectors[-1][1])
    for ranking, least, weight in zip((words, vectors), shortest, (share, 1 - share), strict=True):
        floor = ranking[depth - 1][1] if len(ranking) >= depth else least
        span = ranking[0][1] - floor if ranking else 0.0
        for place, score in ranking:
            scores[place] += weight * (max(0.0, score - floor) / span if span > 0 else 1.0)
    return sorted(scores.items(), key=lambda item: -item[1])


def neighbours(ranking: Ranking, passages: Sequence[Passage], share: float) -> Ranking:
    """A passage gains from the best other passage of its document."""
    best: defaultdict[str, list[tuple[float, int]]] = defaultdict(list)
    for place, score in ranking:
        best[passages[place].source].append((score, place))
    made: Ranking = []
    for some in best.values():
        some.sort(reverse=True)
        for score, place in some:
            made.append((place, score + share * next((s for s, p in some if p != place), 0.0)))
    return sorted(made, key=lambda item: -item[1])


def again(ranking: Ranking, scores: Sequence[float], weight: float) -> Ranking:
    """The first passages in a new order: ``weight`` for the new score, laid between 0 and 1, the rest for the old."""
    new = np.array(scores)
    new = (new - new.min()) / (np.ptp(new) or 1.0)
    first = [
        (place, (1 - weight) * score + weight * float(more))
        for (place, score), more in zip(ranking, new, strict=False)
    ]
    return sorted(first, key=lambda item: -item[1]) + ranking[len(first) :]


def reranker(folder: Path) -> Callable[[str, Sequence[str]], tuple[float, ...]]:
    """What scores passages for a claim by the trained network, which is imported with torch here alone."""
    import torch
    from benchmarks.nli.train import build, tensors
    from benchmarks.rerank.data import Listed
    from benchmarks.rerank.train import encoded, scores, tokenizer_of

    torch.set_num_threads(1)
    tokenizer = tokenizer_of(folder.parent / "base")
    model = build(folder.parent / "base", outputs=1)
    model.load_state_dict(tensors.load_file(folder / "model.safetensors"))
    model.eval()

    @torch.inference_mode()
    def reads(claim: str, texts: Sequence[str]) -> tuple[float, ...]:
        return tuple(map(float, scores(model, encoded(tokenizer, Listed(claim, texts, "")))))

    return reads


def main() -> None:
    """Print a line for each way."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--zip", type=Path, required=True)
    parser.add_argument("--keep", type=Path, required=True)
    parser.add_argument("--judge", type=int, default=0)
    parser.add_argument("--reranker", type=Path)
    parser.add_argument("--claims", type=int, default=0)
    parser.add_argument("--tokens", action="store_true")
    parser.add_argument("--only", default="")
    parser.add_argument("--beyond", type=int, default=0)
    options = parser.parse_args()
    catalog = Catalog(Settings().home)
    model: Any = embed.load(EMBEDDER, catalog, 1)
    passages, vectors = passages_of(options.keep / "collection")
    there = list(dict.fromkeys(each.source for each in passages))
    early = set(there[: options.beyond])
    claims = {
        id_: each
        for id_, each in claims_of(options.zip).items()
        if each[1] <= set(there) and not each[1] <= early
    }
    print(f"{len(passages)} passages, {len(there)} abstracts, {len(claims)} claims", flush=True)

    plain = Words(passages)

    @lru_cache(maxsize=1)
    def other(title: int, pairs: float, whole: bool = False) -> Words:
        return Words(passages, title, pairs, whole=whole)

    @cache
    def near(claim: str) -> Ranking:
        scores = vectors @ model.query(claim)
        return [
            (int(place), float(scores[place])) for place in np.argsort(-scores, kind="stable")[:DEEP].tolist()
        ]

    @cache
    def fused(claim: str) -> Ranking:
        return blend(plain.ask(claim), near(claim))

    def gains(way: Way, among: Sequence[str]) -> list[float]:
        return [
            ndcg(list(dict.fromkeys(passages[place].source for place, _ in way(claims[id_][0]))), claims[id_][1])
            for id_ in among
        ]  # fmt: skip

    everyone = list(claims)
    if options.claims:
        everyone = np.random.default_rng(3).permutation(everyone)[: options.claims].tolist()
    base = dict(zip(everyone, gains(fused, everyone), strict=True))

    def tell(name: str, way: Way, among: Sequence[str] = everyone) -> None:
        if not name.startswith(options.only):
            return
        found = np.array(gains(way, among))
        apart = found - np.array([base[id_] for id_ in among])
        chance = np.random.default_rng(0)
        means = [apart[chance.integers(0, len(apart), len(apart))].mean() for _ in range(1000)]
        low, high = np.quantile(means, (0.025, 0.975))
        print(f"{name:44} {found.mean():.4f}  {apart.mean():+.4f} [{low:+.4f}, {high:+.4f}]", flush=True)

    tell("fusion", fused)
    tell("words", plain.ask)
    tell("vectors", near)
    tell("names whole", lambda claim: blend(other(0, 0.0, True).ask(claim), near(claim)))
    tell("words alone, names whole", other(0, 0.0, True).ask)
    for share in (0.3, 0.4, 0.45, 0.55, 0.6, 0.7):
        tell(
            f"fusion, words weigh {share}",
            lambda claim, share=share: weighed(plain.ask(claim), near(claim), share, DEPTH),
        )
    for depth in (20, 50, 200, 500):
        tell(
            f"fusion, measured from place {depth}",
            lambda claim, depth=depth: weighed(plain.ask(claim), near(claim), 0.5, depth),
        )
    for title in (1, 2):
        tell(
            f"headings count {title + 1} times",
            lambda claim, title=title: blend(other(title, 0.0).ask(claim), near(claim)),
        )
    for pairs in (0.1, 0.2, 0.4):
        tell(
            f"pairs of words weigh {pairs}",
            lambda claim, pairs=pairs: blend(other(0, pairs).ask(claim), near(claim)),
        )
    for first, more, share in ((5, 10, 0.2), (10, 20, 0.3), (5, 20, 0.1)):
        tell(
            f"words of the first {first}, {more} of them, {share}",
            lambda claim, f=first, m=more, s=share: blend(plain.expanded(claim, f, m, s), near(claim)),
        )
    for share in (0.05, 0.1, 0.2):
        tell(
            f"the document's best other passage, {share}",
            lambda claim, share=share: neighbours(fused(claim), passages, share),
        )
    if options.judge:
        some = np.random.default_rng(3).permutation(everyone)[: options.judge].tolist()
        judge = EntailmentMiniLM(Path("src/bottega/catalog/weights/entailment-minilm"), 1)

        @cache
        def judged(claim: str) -> tuple[float, ...]:
            pairs = [(f"{passages[p].heading}. {passages[p].text}", claim) for p, _ in fused(claim)[:20]]
            return tuple(1 - each.probabilities.not_enough for each in judge.judge(pairs))

        for weight in (0.1, 0.2, 0.4):
            tell(
                f"entailment-minilm on the first 20, {weight}",
                lambda claim, weight=weight: again(fused(claim), judged(claim), weight),
                some,
            )
    if options.reranker:
        reads = reranker(options.reranker)

        @cache
        def read_again(claim: str) -> tuple[float, ...]:
            return reads(
                claim, [f"{passages[p].heading}\n{passages[p].text}" for p, _ in fused(claim)[:FIRST]]
            )

        for weight in (0.1, 0.2, 0.3, 0.4, 0.6, 1.0):
            tell(
                f"reranker on the first {FIRST}, {weight}",
                lambda claim, weight=weight: again(fused(claim), read_again(claim), weight),
            )
    if options.tokens:

        @cache
        def states(text: str) -> Any:
            ids = np.array([model._tokenizer.encode(text).ids], dtype=np.int64)
            feed = {
                "input_ids": ids,
                "attention_mask": np.ones_like(ids),
                "token_type_ids": np.zeros_like(ids),
            }
            return embed.unit(model._session.run(None, feed)[0][0]).astype(np.float16)

        prefix = len(model._tokenizer.encode(arctic.QUERY).ids) - 1

        def late(claim: str) -> list[float]:
            asked = states(arctic.QUERY + claim)[prefix:-1].astype(np.float32)
            texts = [searched(passages[p].heading, passages[p].text) for p, _ in fused(claim)[:50]]
            return [float((asked @ states(text).astype(np.float32).T).max(axis=1).mean()) for text in texts]

        known = cache(late)
        for weight in (0.05, 0.1, 0.2, 0.4):
            tell(
                f"token states, the first 50, {weight}",
                lambda claim, weight=weight: again(fused(claim), known(claim), weight),
            )


if __name__ == "__main__":
    main()

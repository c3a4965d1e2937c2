"""Judge the test pairs with the shipped cross-encoder and with simpler judges; every figure with a 95 % interval.

    python -m benchmarks.nli.evaluate                            # the hand-written pairs: needs nothing else
    python -m benchmarks.nli.evaluate --work WORK --scifact ZIP  # and the sets that benchmarks.nli.data wrote, and SciFact
    python -m benchmarks.nli.evaluate --llama FOLDER             # and a language model's yes/no on the hand-written pairs
    python -m benchmarks.nli.evaluate --work WORK --thresholds   # choose the thresholds on dev.jsonl

``accuracy`` counts the three labels. ``kept`` is the share of supported sentences that are judged so, ``let through``
the share of the others that are judged supported, which is what a gate must keep small.
"""

import argparse
import csv
import io
import json
import math
import random
import re
import time
import tomllib
import zipfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks.nli.pairs import LABELS, Pair, read_pairs

from bottega.retrieval.entail import EntailmentMiniLM, Probabilities, decide

HERE = Path(__file__).parents[2]
HAND = HERE / "tests" / "data" / "entailment.toml"
MODEL = HERE / "src" / "bottega" / "catalog" / "weights" / "entailment-minilm"
SAMPLE = 1500  # pairs of a large set, drawn with seed 1
ASK = (
    "You compare a claim with a source. Answer Yes if the source fully supports the claim; answer No if it "
    "contradicts the claim or does not say.\n\nSource: {premise}\n\nClaim: {hypothesis}\n\nIs the claim fully "
    "supported by the source? Answer Yes or No."
)
_QUOTED = re.compile(r"'((?:[^'\\]|\\.)*)'|\"((?:[^\"\\]|\\.)*)\"")

Judge = Callable[[Sequence[Pair]], list[Probabilities]]


def wilson(right: int, count: int) -> tuple[float, float, float]:
    """A share with Wilson's 95 % interval."""
    if not count:
        return math.nan, math.nan, math.nan
    z, share = 1.96, right / count
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return share, middle - half, middle + half


def hand() -> Iterator[Pair]:
    """The hand-written pairs, three to a premise."""
    for item in tomllib.loads(HAND.read_text(encoding="utf-8"))["item"]:
        for label in LABELS:
            yield Pair(item["premise"], item[label], label, f"hand/{item['topic']}")


def scifact(path: Path) -> Iterator[Pair]:
    """SciFact's development claims against their evidence sentences, or without evidence against two of the abstract."""
    csv.field_size_limit(10**8)
    with zipfile.ZipFile(path) as archive:

        def rows(name: str) -> csv.DictReader[str]:
            return csv.DictReader(io.TextIOWrapper(archive.open(name), "utf-8"))

        abstracts = {
            row["doc_id"]: [a or b for a, b in _QUOTED.findall(row["abstract"])]
            for row in rows("corpus_train.csv")
        }
        for row in rows("claims_validation.csv"):
            if row["evidence_label"]:
                sentences = abstracts[row["evidence_doc_id"]]
                chosen = [int(n) for n in re.findall(r"\d+", row["evidence_sentences"])]
                premise = " ".join(sentences[n] for n in chosen if n < len(sentences))
                label = "supports" if row["evidence_label"] == "SUPPORT" else "contradicts"
                yield Pair(premise, row["claim"], label, "scifact")
            else:
                cited = re.findall(r"\d+", row["cited_doc_ids"])[0]
                yield Pair(" ".join(abstracts[cited][-2:]), row["claim"], "not_enough", "scifact")


def cross_encoder(folder: Path, threads: int) -> Judge:
    """What ships."""
    network = EntailmentMiniLM(folder, threads)
    return lambda pairs: [
        judged.probabilities for judged in network.judge([(p.premise, p.hypothesis) for p in pairs])
    ]


def overlap(pairs: Sequence[Pair]) -> list[Probabilities]:
    """The share of the sentence's words and numbers that the quote holds; it never says that one contradicts."""

    def words(text: str) -> set[str]:
        return set(re.findall(r"\w+", text.lower()))

    shares = [len(words(p.hypothesis) & words(p.premise)) / len(words(p.hypothesis)) for p in pairs]
    return [Probabilities(share, 0.0, 1 - share) for share in shares]


def llama(folder: Path, threads: int) -> Judge:
    """A language model's probability of Yes against No as the first word of its answer."""
    library: Any = import_module("xllamacpp")
    settings = library.CommonParams()
    settings.model.path = str(next(folder.glob("*.gguf")))
    settings.n_ctx, settings.n_batch, settings.n_parallel = 2048, 512, 1
    settings.cpuparams.n_threads = settings.cpuparams_batch.n_threads = threads
    settings.warmup, settings.verbosity = False, -1
    server = library.Server(settings)

    def yes(pair: Pair) -> float:
        body = {
            "messages": [{"role": "user", "content": ASK.format(**pair._asdict())}],
            "max_tokens": 1,
            "temperature": 0,
            "logprobs": True,
            "top_logprobs": 20,
        }
        answer: Any = server.handle_chat_completions(body)
        answer = json.loads(answer) if isinstance(answer, str) else answer
        chances: dict[str, float] = defaultdict(float)
        for token in answer["choices"][0]["logprobs"]["content"][0]["top_logprobs"]:
            chances[token["token"].strip().lower()] += math.exp(token["logprob"])
        return chances["yes"] / max(chances["yes"] + chances["no"], 1e-9)

    return lambda pairs: [Probabilities(p, 0.0, 1 - p) for p in map(yes, pairs)]


def right(pair: Pair, label: str) -> bool:
    """Whether a judgement is right; where the data leaves open which of two labels holds, both are."""
    return label == pair.label or (pair.label == "not_supports" and label != "supports")


def report(name: str, pairs: Sequence[Pair], labels: Sequence[str], spent: float) -> dict[str, Any]:
    """One row of the table."""
    supported = [label for pair, label in zip(pairs, labels, strict=True) if pair.label == "supports"]
    other = [label for pair, label in zip(pairs, labels, strict=True) if pair.label != "supports"]
    return {
        "judge": name,
        "pairs": len(pairs),
        "accuracy": wilson(sum(map(right, pairs, labels)), len(pairs)),
        "gate": wilson(supported.count("supports") + sum(x != "supports" for x in other), len(pairs)),
        "kept": wilson(supported.count("supports"), len(supported)),
        "let through": wilson(other.count("supports"), len(other)),
        "cpu_ms": 1000 * spent / max(1, len(pairs)),
    }


def judged(name: str, judge: Judge, pairs: Sequence[Pair], at: float | None = None) -> dict[str, Any]:
    """Run a judge over a set; ``at`` is its own threshold of support, else the shipped ones hold."""
    judge(pairs[:1])
    begun = time.process_time()
    chances = judge(pairs)
    spent = time.process_time() - begun
    labels = [
        decide(c).label if at is None else ("supports" if c.supports >= at else "not_enough") for c in chances
    ]
    return report(name, pairs, labels, spent)


def best(pairs: Sequence[Pair], chances: Sequence[Probabilities]) -> float:
    """The threshold that splits supported from other sentences best, on the pairs given."""
    candidates = sorted({c.supports for c in chances})
    return max(
        candidates,
        key=lambda t: sum(
            (c.supports >= t) == (p.label == "supports") for p, c in zip(pairs, chances, strict=True)
        ),
    )


def show(title: str, rows: Sequence[dict[str, Any]]) -> None:
    """Print one table."""
    print(f"\n{title}")
    for row in rows:
        figures = "  ".join(
            f"{key} {row[key][0]:.3f} [{row[key][1]:.3f}, {row[key][2]:.3f}]"
            for key in ("accuracy", "gate", "kept", "let through")
        )
        print(f"  {row['judge']:<24} n={row['pairs']:<5} {figures}  {row['cpu_ms']:.1f} ms", flush=True)


def thresholds(judge: Judge, dev: Sequence[Pair]) -> None:
    """Print what each threshold of support keeps and lets through on the development pairs."""
    chances = judge(dev)
    for at in (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.97):
        labels = ["supports" if c.supports >= at else "not_enough" for c in chances]
        show(f"supports >= {at}", [report("dev", dev, labels, 0.0)])


def main() -> None:
    """Print the tables; with ``--json`` one document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--model", type=Path, default=MODEL)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--scifact", type=Path)
    parser.add_argument("--llama", type=Path)
    parser.add_argument("--thresholds", action="store_true")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    network = cross_encoder(options.model, options.threads)
    if options.thresholds:
        thresholds(network, list(read_pairs(options.work / "dev.jsonl")))
        return

    sets: dict[str, list[Pair]] = {"hand": list(hand())}
    for topic in dict.fromkeys(pair.source for pair in sets["hand"]):
        sets[topic] = [pair for pair in sets["hand"] if pair.source == topic]
    if options.work:
        sets["snli"] = list(read_pairs(options.work / "snli.jsonl"))
        sets["halueval"] = list(read_pairs(options.work / "halueval.jsonl"))
        made = list(read_pairs(options.work / "made.jsonl"))
        for source in ("wikipedia", "squad", "facts"):
            sets[f"made/{source}"] = [pair for pair in made if pair.source.startswith(source)]
    if options.scifact:
        sets["scifact"] = list(scifact(options.scifact))
    dev = [p for p in read_pairs(options.work / "dev.jsonl")] if options.work else sets["hand"]
    at = best(dev, overlap(dev))

    tables: dict[str, list[dict[str, Any]]] = {}
    for name, pairs in sets.items():
        if len(pairs) > SAMPLE:
            pairs = random.Random(1).sample(pairs, SAMPLE)
        rows = [
            judged("entailment-minilm", network, pairs),
            judged(f"word overlap >= {at:.2f}", overlap, pairs, at),
            report("always not enough", pairs, ["not_enough"] * len(pairs), 0.0),
        ]
        if options.llama and name == "hand":
            model = llama(options.llama, options.threads)
            begun = time.process_time()
            chances = model(pairs)
            spent = time.process_time() - begun
            for note, limit in (("yes >= 0.5", 0.5), ("best threshold", best(pairs, chances))):
                labels = ["supports" if c.supports >= limit else "not_enough" for c in chances]
                rows.append(report(f"{options.llama.name}: {note} ({limit:.2f})", pairs, labels, spent))
        tables[name] = rows
        if not options.json:
            show(name, rows)
    if options.json:
        print(json.dumps(tables, indent=1))


if __name__ == "__main__":
    main()

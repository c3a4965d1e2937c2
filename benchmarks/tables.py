"""Questions over tables: right, wrong, rightly and wrongly abstained.

    python benchmarks/tables.py                # both sets, default language model
    python benchmarks/tables.py --model smollm2-135m-instruct --json

`questions.toml` was at hand when the rules were written, `held-out.toml` was not. A question counts as right when its
values stand in rows of the result and the result has no more rows than it may have.
"""

import argparse
import asyncio
import json
import tempfile
import time
import tomllib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bottega.core.artifact import Artifact
from bottega.core.canonical import digest_bytes
from bottega.core.request import Finished, Request
from bottega.engines.base import Bench, Engine
from bottega.engines.language import Language
from bottega.engines.lookup import Lookup
from bottega.retrieval.tables.answer import TableAnswer
from bottega.retrieval.tables.ask import TableFile, ask_tables
from bottega.settings import Settings

DATA = Path(__file__).parents[1] / "tests" / "data" / "tables"
SETS = {
    "questions.toml": ("products.csv", "orders.csv", "branches.csv"),
    "held-out.toml": ("ferries.csv",),
}


def judged(question: dict[str, Any], answer: TableAnswer) -> str:
    """What came of a question."""
    if "has" not in question:
        return "rightly abstained" if answer.abstained else "wrong"
    if answer.abstained:
        return "wrongly abstained"
    held = all(any(set(values) <= set(row) for row in answer.rows) for values in question["has"])
    return "right" if held and len(answer.rows) <= question.get("most_rows", 100) else "wrong"


async def measure(name: str, model: str, engines: dict[str, Engine]) -> dict[str, Any]:
    """All questions of one set."""
    files = {digest_bytes((DATA / one).read_bytes()): DATA / one for one in SETS[name]}
    settings = Settings()
    bench = Bench(
        scratch=Path(tempfile.mkdtemp()),
        locate=lambda artifact: files[artifact.sha256],
        weights=lambda one: settings.home / "models" / one,
        threads=settings.threads,
    )

    async def ask(request: Request) -> Sequence[Finished]:
        asked = request.model_copy(update={"model": model if request.engine == "language" else ""})
        made = engines[request.engine].generate(asked, bench)
        return [output async for output in made if isinstance(output, Finished)]

    tables = [
        TableFile(path.name, Artifact(sha256=sha256, media_type="text/csv", size=1), path.read_bytes())
        for sha256, path in files.items()
    ]
    counts: Counter[str] = Counter()
    missed: list[str] = []
    began = time.process_time()
    for question in tomllib.loads((DATA / name).read_text("utf-8"))["questions"]:
        outcome = judged(question, await ask_tables(question["ask"], tables, ask))
        counts[outcome] += 1
        if outcome.startswith("wrong"):
            missed.append(f"{outcome}: {question['ask']}")
    cpu = (time.process_time() - began) / counts.total()
    return {"set": name, **counts, "cpu_seconds_a_question": round(cpu, 1), "missed": missed}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default=Language.card.models[0])
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    engines: dict[str, Engine] = {"language": Language(), "lookup": Lookup()}
    found = [asyncio.run(measure(name, chosen.model, engines)) for name in SETS]
    if chosen.json:
        print(json.dumps(found, indent=2))
        return
    for one in found:
        print(", ".join(f"{key} {value}" for key, value in one.items() if key != "missed"))
        print("".join(f"  {line}\n" for line in one["missed"]), end="")


if __name__ == "__main__":
    main()

"""Measures answers over examples/support-assistant: right, wrong, rightly and wrongly abstained, by language model and judge.

    python benchmarks/answers.py                                  # the default model
    python benchmarks/answers.py --model smollm2-135m-instruct --json
    python benchmarks/answers.py --half tuned                     # the questions that prompts and thresholds were tuned on
    python benchmarks/answers.py --judge language --judge entailment-minilm --keep DIR
    python benchmarks/answers.py --rules                          # what is settled before a model is asked; in seconds, no model needed

A question counts as right when it was answered and the answer holds the expected facts. An unclear question is right when it is asked
back. A trap that is answered is wrong, unless it lists facts that a right correction holds. Every second question of each
kind (``held``) was kept back while prompts and thresholds were chosen.

With ``--keep`` every reply of a language model is written down as it comes: a run that was stopped goes on, and judges are compared
on the same drafts. A model at temperature 0 says the same to the same request.
"""

import argparse
import asyncio
import json
import os
import tempfile
import time
import tomllib
from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, get_args

from pydantic import TypeAdapter

from bottega.bootstrap import build
from bottega.core.canonical import digest
from bottega.core.request import Finished, Output, Request, Usage
from bottega.engines.base import Bench
from bottega.pipelines.workshop import Listen
from bottega.retrieval.answers.answer import Answer, JudgeName, Nearest
from bottega.retrieval.answers.flow import Answering
from bottega.retrieval.answers.judges import YesNo
from bottega.service.answers import LOOKED_AT, Answers
from bottega.settings import Settings

EXAMPLE = Path(__file__).parents[1] / "examples" / "support-assistant"
OUTCOMES = (
    "right",
    "wrong",
    "rightly abstained",
    "wrongly abstained",
    "rightly asked back",
    "wrongly asked back",
)


OUTPUTS: TypeAdapter[list[Output]] = TypeAdapter(list[Output])


@dataclass
class Replies:
    """What the language engine said, kept in a file, so that nothing is asked twice."""

    generate: Any  # that of a workshop
    file: Path
    known: dict[str, list[Any]] = field(default_factory=dict[str, list[Any]])

    def __post_init__(self) -> None:
        for line in self.file.read_text().splitlines() if self.file.exists() else []:
            row = json.loads(line)
            self.known[row["asked"]] = row["said"]

    async def __call__(
        self, request: Request, bench: Bench, listen: Listen | None = None
    ) -> tuple[list[Finished], Usage]:
        """As `Workshop.generate`."""
        if request.engine != "language":
            return await self.generate(request, bench, listen)
        asked = digest(request.document())
        if asked not in self.known:
            outputs: list[Output] = []
            await self.generate(request, bench, outputs.append)
            self.known[asked] = OUTPUTS.dump_python(outputs, mode="json")
            with self.file.open("a") as file:
                file.write(json.dumps({"asked": asked, "said": self.known[asked]}) + "\n")
                file.flush()
                os.fsync(file.fileno())
        said = OUTPUTS.validate_python(self.known[asked])
        if listen is not None:
            for output in said:
                listen(output)
        used = next((each for each in said if isinstance(each, Usage)), Usage())
        return [each for each in said if isinstance(each, Finished)], used


def questions() -> list[dict[str, Any]]:
    """The questions with the half that each belongs to: tuned or held."""
    found: list[dict[str, Any]] = tomllib.loads((EXAMPLE / "questions.toml").read_text("utf-8"))["question"]
    seen: Counter[str] = Counter()
    for each in found:
        each["half"] = ("tuned", "held")[seen[each["expect"]] % 2]
        seen[each["expect"]] += 1
    return found


def judged(asked: dict[str, Any], answer: Answer) -> str:
    """What came of a question."""
    said = " ".join(
        [answer.text, *(c.quote for s in answer.sentences for c in s.citations if s.text == c.quote)]
    )
    holds = all(
        any(form.casefold() in said.casefold() for form in fact.split("|"))
        for fact in asked.get("facts", ["\0"])
    )
    match answer.outcome:
        case "answered":
            return "right" if holds else "wrong"
        case "abstained":
            return "rightly abstained" if asked["expect"] == "abstained" else "wrongly abstained"
        case _:
            return "rightly asked back" if asked["expect"] == "asks_back" else "wrongly asked back"


async def measure(answers: Answers, model: str, judge: Any, each: dict[str, Any]) -> dict[str, Any]:
    """Ask one question."""
    begun = time.perf_counter()
    answer = await answers.ask(
        each["ask"], "support", allowed=each.get("labels", ()), model=model, judge=judge, fresh=True
    )
    return {
        "ask": each["ask"], "half": each["half"], "expect": each["expect"], "came": judged(each, answer),
        "said": answer.text or answer.explanation, "seconds": round(time.perf_counter() - begun, 1),
        "scores": [s.score for s in answer.sentences], "removed": [[s.text, s.problem, s.score] for s in answer.removed],
    }  # fmt: skip


class Reached(Exception):
    """A question has come as far as the language model."""


async def ruled(state: Path) -> Counter[tuple[str, str]]:
    """How many questions of each kind end how, without a model: by rules, or at the model."""

    async def nobody(request: Request) -> Any:
        raise Reached

    service = build(replace(Settings(), state=state))
    counts: Counter[tuple[str, str]] = Counter()
    try:
        folders = [EXAMPLE / name for name in ("help", "prices", "tickets")]
        await service.collections().index("support", folders)
        await service.collections().index("support", [EXAMPLE / "staff"], labels=["staff"])
        for each in questions():
            hits = await service.collections().search(
                "support", each["ask"], allowed=each.get("labels", ()), top=LOOKED_AT
            )
            found = [Nearest(passage=hit.passage, score=hit.score) for hit in hits]
            judge = YesNo(nobody, "", asyncio.get_running_loop())
            try:
                came = (await Answering(nobody, "", judge, "").answer(each["ask"], found)).outcome
            except Reached:
                came = "model"
            counts[each["expect"], came] += 1
    finally:
        service.close()
    return counts


async def run(options: argparse.Namespace, state: Path) -> dict[str, Any]:
    """Index the example and ask."""
    service = build(replace(Settings(), state=state))
    try:
        folders = [EXAMPLE / name for name in ("help", "prices", "tickets")]
        await service.collections().index("support", folders)
        await service.collections().index("support", [EXAMPLE / "staff"], labels=["staff"])
        asked = [each for each in questions() if options.half in ("all", each["half"])]
        if options.only:
            asked = [each for each in asked if options.only in each["ask"]]
        if options.keep:
            options.keep.mkdir(parents=True, exist_ok=True)
            service.shop.generate = Replies(service.shop.generate, options.keep / "replies.jsonl")
        arms = {
            f"{model}, judged by {judge}": (model, judge)
            for model in options.model
            for judge in options.judge
        }  # fmt: skip
        found: dict[str, Any] = {arm: [] for arm in arms}
        for each in asked:
            for arm, (model, judge) in arms.items():
                row = await measure(service.answers(), model, judge, each)
                found[arm].append(row)
                if not options.json:
                    print(
                        f"{row['came']:20} {row['seconds']:6} s  {arm}: {row['ask']}  ->  {row['said']}  {row['scores']} "
                        f"{row['removed'] or ''}",
                        flush=True,
                    )
        return found
    finally:
        service.close()


def table(found: dict[str, Any]) -> dict[str, Any]:
    """Counts by model and half."""
    counts: dict[str, Any] = {}
    for model, rows in found.items():
        halves: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for row in rows:
            halves[row["half"]][row["came"]] += 1
        counts[model] = {half: {each: halves[half][each] for each in OUTCOMES} for half in sorted(halves)}
    return counts


def main() -> None:
    """Print a table, or with ``--json`` one document."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", action="append", help="repeat for several")
    parser.add_argument("--judge", action="append", choices=get_args(JudgeName), help="repeat for both")
    parser.add_argument(
        "--keep", type=Path, help="keep the replies of language models in this folder, and use them again"
    )
    parser.add_argument("--half", choices=("all", "tuned", "held"), default="all")
    parser.add_argument("--only", default="", help="questions that hold these words")
    parser.add_argument("--rules", action="store_true", help="ask no model")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.rules:
        with tempfile.TemporaryDirectory() as folder:
            for (expected, came), count in sorted(asyncio.run(ruled(Path(folder))).items()):
                print(f"{count:3} of kind {expected}: {came}")
        return
    options.model = options.model or ["qwen2.5-coder-1.5b-instruct"]
    options.judge = options.judge or ["language"]
    with tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(run(options, Path(folder)))
    if options.json:
        print(json.dumps({"counts": table(found), "answers": found}, indent=1, ensure_ascii=False))
        return
    for model, halves in table(found).items():
        for half, counts in halves.items():
            print(f"{model}, {half}: " + ", ".join(f"{count} {name}" for name, count in counts.items()))


if __name__ == "__main__":
    main()

"""Entailment judges behind `bottega.retrieval.entail.Entailment`: which one is at hand, and the language model as one."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from bottega.core.request import Part, Request
from bottega.retrieval.answers.writing import Ask
from bottega.retrieval.entail import Judgement, Probabilities

# Probability of Yes from which a quote counts as support. In the tuned half of examples/support-assistant true claims had 0.44 and more,
# the false one that the quotes let through 0.38.
YES = 0.41

_ASKED = (
    "You compare a claim with the source that stands between the tags. Answer Yes if the source fully supports the claim; answer No if it "
    "contradicts the claim or does not say.\n\nClaim: {hypothesis}\n\nIs the claim fully supported by the source? Answer Yes or No."
)


@dataclass(frozen=True)
class YesNo:
    """A language model's probability of Yes against No as its first word. It never says that a quote contradicts.

    It is slow, a second of computing a pair, and right on 0.77 of hand-written pairs (``benchmarks/nli``): it stands in where the
    cross-encoder's weights are not here. `judge` blocks and must not be called from the thread of ``loop``.
    """

    ask: Ask
    model: str
    loop: asyncio.AbstractEventLoop

    def judge(self, pairs: Sequence[tuple[str, str]]) -> list[Judgement]:
        """One judgement for each pair, in order."""
        return [self._one(premise, hypothesis) for premise, hypothesis in pairs]

    def _one(self, premise: str, hypothesis: str) -> Judgement:
        request = Request(
            engine="language",
            model=self.model,
            parts=(Part(port="text", name="source", text=premise),),
            params={
                "system": "",
                "prompt": _ASKED.format(hypothesis=hypothesis),
                "max_tokens": 1,
                "logprobs": 10,
                "media_type": "text/plain",
            },
            seed=0,
        )
        waiting: Future[Any] = asyncio.run_coroutine_threadsafe(_coroutine(self.ask, request), self.loop)
        chances: dict[str, float] = waiting.result().first
        yes, no = (
            sum(p for token, p in chances.items() if token.strip().lower() == word) for word in ("yes", "no")
        )
        share = yes / (yes + no) if yes + no else 0.0
        return Judgement("supports" if share >= YES else "not_enough", Probabilities(share, 0.0, 1 - share))


async def _coroutine(ask: Ask, request: Request) -> Any:
    return await ask(request)

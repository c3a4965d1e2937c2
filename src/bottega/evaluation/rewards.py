"""Rewards that a machine can check: 1 for an answer that holds, 0 for one that does not."""

from collections.abc import Sequence
from typing import Literal

Reward = Literal["answer", "sentence"]
WORDS = 3


def reward(kind: Reward, said: bytes, answer: bytes) -> float:
    """Whether ``said`` is the ``answer``, or whether it is one sentence.

    A sentence has three words or more, all on one line, begins with a capital and has one full stop, at its end.
    """
    if kind == "answer":
        return float(said == answer)
    words = said.split()
    stops = said.count(b".") == 1 and said.endswith(b".")
    return float(stops and len(words) >= WORDS and b"\n" not in said and said[:1].isupper())


def nearest_answer(asked: bytes, prompts: Sequence[bytes], answers: Sequence[bytes]) -> bytes:
    """The answer of the prompt that begins and ends most like the one asked; of equals the first."""

    def alike(prompt: bytes) -> int:
        shared = min(len(prompt), len(asked))
        first = next((i for i in range(shared) if prompt[i] != asked[i]), shared)
        last = next((i for i in range(shared) if prompt[-1 - i] != asked[-1 - i]), shared)
        return first + last

    return answers[max(range(len(prompts)), key=lambda i: alike(prompts[i]))]

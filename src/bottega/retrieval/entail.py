"""Whether quoted text supports a sentence: the seam, and a cross-encoder of 22 million weights behind it."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np

from bottega.engines.base import require

Entailed = Literal["supports", "contradicts", "not_enough"]

MOST_TOKENS = 256  # of premise and hypothesis together
BATCH = 16  # pairs
SUPPORTS = (
    0.68  # probability from which a quote counts as support: best on development pairs (benchmarks/nli)
)
CONTRADICTS = 0.5  # probability from which it counts as contradiction


class Probabilities(NamedTuple):
    """They add up to 1; the order is that of the network's outputs."""

    supports: float
    contradicts: float
    not_enough: float


class Judgement(NamedTuple):
    """What a quote says about a sentence."""

    label: Entailed
    probabilities: Probabilities


class Entailment(Protocol):
    """Judges pairs of a premise (quoted source text) and a hypothesis (one sentence of an answer)."""

    def judge(self, pairs: Sequence[tuple[str, str]]) -> list[Judgement]:
        """One judgement for each pair, in order."""
        ...


class EntailmentMiniLM:
    """The catalog's ``entailment-minilm``: MiniLM-L6 over both texts at once, eight-bit weights, on ONNX Runtime.

    A pair's judgement does not depend on the pairs beside it: only weights have eight bits. What
    does not fit into 256 tokens is cut from the end of the longer text, so a judgement about a long premise is one
    about its beginning. It reads English. `docs/models/entailment-minilm.md` says where it fails.
    """

    def __init__(self, folder: Path, threads: int) -> None:
        """``folder`` holds the catalog's files; they are read at the first judgement."""
        self._folder = folder
        self._threads = threads

    def judge(self, pairs: Sequence[tuple[str, str]]) -> list[Judgement]:
        """One judgement for each pair, in order; pairs of like length go through the network together."""
        encodings = self._tokenizer.encode_batch(list(pairs))
        order = sorted(range(len(pairs)), key=lambda index: len(encodings[index].ids))
        judged: dict[int, Judgement] = {}
        for start in range(0, len(order), BATCH):
            part = order[start : start + BATCH]
            for index, row in zip(part, self._chances([encodings[i] for i in part]), strict=True):
                judged[index] = decide(Probabilities(*map(float, row)))
        return [judged[index] for index in range(len(pairs))]

    def _chances(self, encodings: Sequence[Any]) -> Any:
        """Softmax of the network's outputs, shape (pairs, 3)."""
        longest = max(len(encoding.ids) for encoding in encodings)
        feed = {name: np.zeros((len(encodings), longest), np.int64) for name in _INPUTS}
        for row, encoding in enumerate(encodings):
            for name, attribute in _INPUTS.items():
                values = getattr(encoding, attribute)
                feed[name][row, : len(values)] = values
        logits: Any = self._session.run(None, feed)[0]  # (pairs, 3)
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        return powers / powers.sum(axis=1, keepdims=True)

    @cached_property
    def _tokenizer(self) -> Any:
        tokenizers: Any = require("tokenizers", extra="retrieve")
        tokenizer = tokenizers.Tokenizer.from_file(str(self._folder / "tokenizer.json"))
        tokenizer.no_padding()
        tokenizer.enable_truncation(MOST_TOKENS, strategy="longest_first")
        return tokenizer

    @cached_property
    def _session(self) -> Any:
        import onnxruntime

        library: Any = onnxruntime
        options = library.SessionOptions()
        options.intra_op_num_threads = self._threads
        options.inter_op_num_threads = 1
        return library.InferenceSession(
            str(self._folder / "model.onnx"), options, providers=["CPUExecutionProvider"]
        )


_INPUTS = {"input_ids": "ids", "attention_mask": "attention_mask", "token_type_ids": "type_ids"}


def decide(chances: Probabilities) -> Judgement:
    """Support or contradiction from its threshold on; in doubt, not enough."""
    if chances.supports >= SUPPORTS:
        return Judgement("supports", chances)
    if chances.contradicts >= CONTRADICTS:
        return Judgement("contradicts", chances)
    return Judgement("not_enough", chances)

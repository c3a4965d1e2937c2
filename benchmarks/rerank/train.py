"""Fine-tune MiniLM-L6 as a cross-encoder that gives a paragraph a score for a question; resumable.

    python -m benchmarks.rerank.train --work WORK --out WORK/first

One list at a time goes into the loss: the cross-entropy of the answering paragraph's score against the scores of the others (a listwise softmax). Every
50 steps a checkpoint is kept. Every ``--look`` steps the held-out lists are ranked: mean reciprocal rank of the answering paragraph, that of BM25 among the same
paragraphs, and an interval of 95 % of the difference (lists resampled 1,000 times). Loading, checkpoints and padding are those of `benchmarks.nli.train`.
"""

import argparse
import json
import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from benchmarks.nli.train import EVERY, build, collate, freeze, load_base, resume, save, tensors, weights
from benchmarks.rerank.data import Listed, read_lists
from tokenizers import Encoding, Tokenizer
from transformers import BertForSequenceClassification

from bottega.core.passage import Passage
from bottega.retrieval.lexical import Lexical

SEED = 11
LONGEST = 160  # tokens of question and paragraph together
WARM_UP = 60  # steps
LISTS = 4  # of one step


def tokenizer_of(base: Path) -> Tokenizer:
    """That of the base, without padding, cutting the end of what is too long."""
    tokenizer = Tokenizer.from_file(str(base / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(LONGEST, strategy="only_second")
    return tokenizer


def encoded(tokenizer: Tokenizer, one: Listed) -> list[Encoding]:
    """Question first, then the paragraph, whose end is cut when both are too long."""
    return tokenizer.encode_batch([(one.query, paragraph) for paragraph in one.paragraphs])


def scores(model: BertForSequenceClassification, encodings: Sequence[Encoding]) -> torch.Tensor:
    """How well each paragraph answers, shape (paragraphs,)."""
    return model(**collate(encodings)).logits.squeeze(-1).float()


def reciprocal(found: Sequence[float]) -> float:
    """One over the place of the first of the scored paragraphs; behind those that score the same."""
    return 1 / sum(score >= found[0] for score in found)


def by_words(one: Listed) -> list[float]:
    """BM25 among the paragraphs of a list."""
    passages = [
        Passage(id=str(n), source="-", sha256="0" * 64, page=1, start=0, end=1, heading="", text=text)
        for n, text in enumerate(one.paragraphs)
    ]
    found = {hit.passage.id: hit.score for hit in Lexical(passages).rank(one.query)}
    return [found.get(passage.id, 0.0) for passage in passages]


def held_out(model: BertForSequenceClassification, tokenizer: Tokenizer, lists: Sequence[Listed]) -> str:
    """A line for each source of the held-out lists."""
    model.eval()
    with torch.inference_mode():
        given: list[list[float]] = [scores(model, encoded(tokenizer, one)).tolist() for one in lists]  # pyright: ignore[reportUnknownMemberType]
    model.train()
    ours = [reciprocal(found) for found in given]
    words = [reciprocal(by_words(one)) for one in lists]
    chance = np.random.default_rng(0)
    lines: list[str] = []
    for source in sorted({one.source for one in lists}):
        rows = np.array(
            [(a, b) for one, a, b in zip(lists, ours, words, strict=True) if one.source == source]
        )
        apart = rows[:, 0] - rows[:, 1]
        means = [apart[chance.integers(0, len(apart), len(apart))].mean() for _ in range(1000)]
        low, high = np.quantile(means, (0.025, 0.975))
        lines.append(
            f"  {source}, {len(rows)} lists: MRR {rows[:, 0].mean():.3f}, BM25 {rows[:, 1].mean():.3f}, "
            f"difference {apart.mean():+.3f} [{low:+.3f}, {high:+.3f}]"
        )
    return "\n".join(lines)


def main() -> None:
    """Train, keep checkpoints, write the weights of the last step."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "--work", type=Path, required=True, help="holds base/ and lists (benchmarks.rerank.data)"
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=0, help="stop after so many; 0 for one pass")
    parser.add_argument("--rate", type=float, default=8e-5)
    parser.add_argument("--head-rate", type=float, default=5e-4)
    parser.add_argument("--frozen", type=int, default=0, help="lower layers that stay as they are")
    parser.add_argument("--look", type=int, default=500, help="steps between two looks at held-out lists")
    parser.add_argument("--held", type=int, default=0, help="look at so many lists; 0 for all")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()

    torch.set_num_threads(options.threads)
    torch.manual_seed(SEED)
    options.out.mkdir(parents=True, exist_ok=True)
    tokenizer = tokenizer_of(options.work / "base")
    lists = read_lists(options.work / "lists.jsonl")
    held = random.Random(SEED).sample(all_held := read_lists(options.work / "held.jsonl"), len(all_held))
    held = held[: options.held or len(held)]
    last = min(len(lists) // LISTS, options.steps or len(lists))

    model = build(options.work / "base", outputs=1)
    load_base(model, options.work / "base" / "model.safetensors")
    named = freeze(model, options.frozen)
    groups: list[dict[str, Any]] = [
        {"params": [w for n, w in named if n.startswith("classifier") == head], "lr": rate}
        for head, rate in ((False, options.rate), (True, options.head_rate))
    ]
    optimizer = torch.optim.AdamW(groups, weight_decay=0.01)
    rates = [group["lr"] for group in optimizer.param_groups]
    step, spent, mean = resume(options.out / "state.safetensors", model, optimizer, named)
    print(f"{len(lists)} lists, {last} steps, from step {step}", flush=True)

    begun = time.process_time()
    model.train()
    while step < last:
        some = [encoded(tokenizer, one) for one in lists[step * LISTS : (step + 1) * LISTS]]
        with torch.autocast("cpu", torch.bfloat16):
            found = scores(model, [each for part in some for each in part])
        parts: Sequence[torch.Tensor] = torch.split(found, [len(part) for part in some])
        loss = -torch.stack([part.log_softmax(0)[0] for part in parts]).mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_([weight for _, weight in named], 1.0)
        share = min(1.0, (step + 1) / WARM_UP) * min(1.0, 2 * (last - step) / last)
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = share * rate
        optimizer.step()
        optimizer.zero_grad()
        step += 1
        mean = loss.item() if step == 1 else 0.98 * mean + 0.02 * loss.item()
        if step % EVERY == 0 or step == last:
            used = spent + time.process_time() - begun
            save(options.out / "state.safetensors", model, optimizer, named, (step, used, mean))
            print(f"step {step}/{last} loss {mean:.4f} cpu {used:.0f} s", flush=True)
        if step % options.look == 0 or step == last:
            print(held_out(model, tokenizer, held), flush=True)
    tensors.save_file(weights(model), options.out / "model.safetensors")
    card = {
        "steps": step,
        "lists": step * LISTS,
        "loss": mean,
        "rate": options.rate,
        "frozen": options.frozen,
    }
    (options.out / "recipe.json").write_text(json.dumps(card, indent=1) + "\n")


if __name__ == "__main__":
    main()

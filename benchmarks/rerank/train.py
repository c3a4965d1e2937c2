"""Train MiniLM-L6 as a cross-encoder that tells which of four paragraphs answers: one pass, on one thread.

    python -m benchmarks.rerank.train --work WORK --steps 700

The loss is the cross-entropy of the right one among four (listwise softmax). Word and position embeddings and the lowest layers stay as they
are. Writes ``model.safetensors`` at the end and every 100 steps, with the rate on its way to zero: an earlier one is a
model that was trained less, not one that was trained as long.
"""

import argparse
import json
import random
import time
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from benchmarks.nli.train import collate
from tokenizers import Tokenizer
from torch.nn.functional import cross_entropy
from transformers import BertConfig, BertForSequenceClassification

tensors: Any = import_module("safetensors.torch")  # its types are incomplete
LONGEST = 144  # tokens of query and paragraph together
GROUP = 4
GROUPS = 6  # in one batch
FROZEN = 2  # layers
RATE, HEAD_RATE, WARM_UP = 1e-4, 1e-3, 40
SEED = 11


def tokenizer_of(folder: Path, longest: int = LONGEST) -> Tokenizer:
    """The base model's own tokenizer, cutting only the paragraph when a pair is too long."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(longest, strategy="only_second")
    return tokenizer


def build(base: Path) -> BertForSequenceClassification:
    """One number for a pair; the encoder's weights are the base model's."""
    config = BertConfig(**json.loads((base / "config.json").read_text()) | {"num_labels": 1})
    config.hidden_dropout_prob = config.attention_probs_dropout_prob = 0.0
    model: Any = BertForSequenceClassification(config)
    model.set_attn_implementation("eager")
    state = tensors.load_file(base / "model.safetensors")
    head = {name: tensor for name, tensor in model.state_dict().items() if name.startswith("classifier.")}
    model.load_state_dict(
        head | {f"bert.{name}": tensor for name, tensor in state.items() if "position_ids" not in name}
    )
    return model


def main() -> None:
    """Train and write the weights."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=700)
    options = parser.parse_args()
    work: Path = options.work
    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    rng = random.Random(SEED)
    groups = [json.loads(line) for line in (work / "groups.jsonl").read_text("utf-8").splitlines()]
    tokenizer, model = tokenizer_of(work / "base"), build(work / "base")
    model.bert.embeddings.requires_grad_(False)
    model.bert.encoder.layer[:FROZEN].requires_grad_(False)
    named = [(name, weight) for name, weight in model.named_parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(
        [
            {"params": [w for n, w in named if n.startswith("classifier") == head], "lr": rate, "weight_decay": 0.01}
            for head, rate in ((False, RATE), (True, HEAD_RATE))
        ]
    )  # fmt: skip
    steps = min(options.steps, len(groups) // GROUPS)
    begun, mean, right = time.process_time(), 0.0, 0.0
    for step in range(steps):
        pairs: list[tuple[str, str]] = []
        for query, answer, others in groups[step * GROUPS : (step + 1) * GROUPS]:
            pairs += [(query, text) for text in (answer, *rng.sample(others, GROUP - 1))]
        with torch.autocast("cpu", torch.bfloat16):
            logits = model(**collate(tokenizer.encode_batch(pairs))).logits
        table = logits.float().view(-1, GROUP)  # (groups, 4), the right one first
        loss = cross_entropy(table, torch.zeros(len(table), dtype=torch.long))
        loss.backward()
        torch.nn.utils.clip_grad_norm_([weight for _, weight in named], 1.0)
        share = min(1.0, (step + 1) / WARM_UP, (steps - step) / steps * 1.2)
        for group, rate in zip(optimizer.param_groups, (RATE, HEAD_RATE), strict=True):
            group["lr"] = share * rate
        optimizer.step()
        optimizer.zero_grad()
        hit = float((table.argmax(1) == 0).float().mean())
        keep = 0.98 if step else 0.0
        mean, right = keep * mean + (1 - keep) * float(loss), keep * right + (1 - keep) * hit
        if (step + 1) % 25 == 0:
            spent = time.process_time() - begun
            print(f"step {step + 1}/{steps} loss {mean:.4f} right {right:.3f} cpu {spent:.0f} s", flush=True)
        if (step + 1) % 100 == 0 or step + 1 == steps:
            kept = {name: tensor.detach().clone().contiguous() for name, tensor in model.state_dict().items()}
            tensors.save_file(kept, work / "model.part")
            (work / "model.part").replace(work / "model.safetensors")


if __name__ == "__main__":
    main()

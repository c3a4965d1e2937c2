"""Fine-tune MiniLM-L6 as a cross-encoder over (premise, hypothesis): three labels, one pass, resumable.

    python -m benchmarks.nli.train --work WORK --data WORK/first.jsonl --out WORK/first --fall -1 --steps 100
    python -m benchmarks.nli.train --work WORK --data WORK/mixed.jsonl --init WORK/first --out WORK/second

The order of the batches is a pure function of seed and data, so a run that is killed goes on where its last
checkpoint lies and reads the same batches. Word embeddings stay frozen: they are half of the weights, and numbers
keep the meaning that pretraining gave them.
"""

import argparse
import json
import random
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from benchmarks.nli.pairs import LABELS, Pair, read_pairs
from tokenizers import Encoding, Tokenizer
from torch import Tensor
from transformers import BertConfig, BertForSequenceClassification

Named = Sequence[tuple[str, Tensor]]

tensors: Any = import_module("safetensors.torch")  # its types are incomplete
LONGEST = 192  # tokens of premise and hypothesis together
EVERY = 50  # steps between two checkpoints


@dataclass(frozen=True)
class Recipe:
    """Hyperparameters; they are written beside the weights."""

    seed: int = 11
    tokens: int = 3072  # of one batch, padding included
    rate: float = 8e-5
    head_rate: float = 5e-4
    decay: float = 0.01
    warm_up: int = 60  # steps
    steps: int = 0  # stop after so many; 0 for one pass over the data
    fall: int = 0  # the rate stays up to this step and falls to zero at the last; -1 to keep it
    frozen: int = 0  # lower layers that stay as they are, with all embeddings; 0 freezes the words alone
    threads: int = 1


def tokenizer_of(folder: Path) -> Tokenizer:
    """The base model's own tokenizer, cutting only the premise when a pair is too long."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(LONGEST, strategy="only_first")
    return tokenizer


def encode(tokenizer: Tokenizer, pairs: Sequence[Pair]) -> list[Encoding]:
    """Token ids and types of every pair."""
    return tokenizer.encode_batch([(pair.premise, pair.hypothesis) for pair in pairs])


def batches(lengths: Sequence[int], tokens: int, seed: int) -> list[list[int]]:
    """Indices in batches of like length, every pair once, in an order that depends on nothing else."""
    rng = random.Random(seed)
    noisy = sorted(range(len(lengths)), key=lambda i: lengths[i] * rng.uniform(0.9, 1.1))
    made: list[list[int]] = []
    batch: list[int] = []
    longest = 0
    for index in noisy:
        longest = max(longest, lengths[index])
        if batch and longest * (len(batch) + 1) > tokens:
            made.append(batch)
            batch, longest = [], lengths[index]
        batch.append(index)
    made.append(batch)
    rng.shuffle(made)
    return made


def collate(encodings: Sequence[Encoding]) -> dict[str, Tensor]:
    """Ids, types and mask (batch, longest), padded with zeros."""
    longest = max(len(encoding.ids) for encoding in encodings)

    def padded(rows: Sequence[Sequence[int]]) -> Tensor:
        return torch.tensor([[*row, *[0] * (longest - len(row))] for row in rows])

    return {
        "input_ids": padded([encoding.ids for encoding in encodings]),
        "token_type_ids": padded([encoding.type_ids for encoding in encodings]),
        "attention_mask": padded([encoding.attention_mask for encoding in encodings]),
    }


def build(base: Path, outputs: int = len(LABELS)) -> BertForSequenceClassification:
    """The network of ``config.json``, without dropout: it sees every pair once."""
    config = BertConfig(**json.loads((base / "config.json").read_text()) | {"num_labels": outputs})
    config.hidden_dropout_prob = config.attention_probs_dropout_prob = 0.0
    model: Any = BertForSequenceClassification(config)
    model.set_attn_implementation("eager")  # a quarter faster here than the fused kernel, backwards
    return model


def load_base(model: BertForSequenceClassification, file: Path) -> None:
    """Put the pretrained encoder in; the head stays as it was drawn."""
    state: dict[str, Tensor] = tensors.load_file(file)
    head = {name: tensor for name, tensor in model.state_dict().items() if name.startswith("classifier.")}
    encoder = {f"bert.{name}": tensor for name, tensor in state.items() if "position_ids" not in name}
    model.load_state_dict(encoder | head)


def freeze(model: BertForSequenceClassification, layers: int) -> Named:
    """Train neither the vectors of words nor, with ``layers``, all of the embeddings and so many layers above; gives what is trained."""
    model.bert.embeddings.word_embeddings.weight.requires_grad_(False)
    if layers:
        model.bert.embeddings.requires_grad_(False)
        model.bert.encoder.layer[:layers].requires_grad_(False)
    return [(name, weight) for name, weight in model.named_parameters() if weight.requires_grad]


def probabilities(
    model: BertForSequenceClassification, encodings: Sequence[Encoding], size: int = 64
) -> Tensor:
    """Softmax over the labels (pairs, 3), in the order given."""
    order = sorted(range(len(encodings)), key=lambda i: len(encodings[i].ids))
    result = torch.empty(len(encodings), len(LABELS))
    model.eval()
    with torch.inference_mode():
        for start in range(0, len(order), size):
            part = order[start : start + size]
            logits = model(**collate([encodings[i] for i in part])).logits
            result[part] = logits.softmax(-1)
    return result


def main() -> None:
    """Train, keep a checkpoint, write the weights of the last step."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="holds base/ (see benchmarks.nli.data)")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--init", type=Path, help="a folder that an earlier stage wrote")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--rate", type=float, default=Recipe.rate)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--steps", type=int, default=0)
    parser.add_argument("--fall", type=int, default=0)
    parser.add_argument("--frozen", type=int, default=0)
    options = parser.parse_args()
    recipe = Recipe(
        rate=options.rate,
        threads=options.threads,
        steps=options.steps,
        fall=options.fall,
        frozen=options.frozen,
    )

    torch.set_num_threads(recipe.threads)
    torch.manual_seed(recipe.seed)
    options.out.mkdir(parents=True, exist_ok=True)
    pairs = list(read_pairs(options.data))
    encodings = encode(tokenizer_of(options.work / "base"), pairs)
    plan = batches([len(encoding.ids) for encoding in encodings], recipe.tokens, recipe.seed)
    plan = plan[: recipe.steps or len(plan)]
    allowed = torch.tensor(
        [
            [name == pair.label or (pair.label == "not_supports" and name != "supports") for name in LABELS]
            for pair in pairs
        ]
    )  # (pairs, 3)

    model = build(options.work / "base")
    if options.init:
        model.load_state_dict(tensors.load_file(options.init / "model.safetensors"))
    else:
        load_base(model, options.work / "base" / "model.safetensors")
    named = freeze(model, recipe.frozen)
    groups = [
        {
            "params": [w for n, w in named if n.startswith("classifier") == head and (w.dim() > 1) == matrix],
            "lr": recipe.head_rate if head and not options.init else recipe.rate,
            "weight_decay": recipe.decay if matrix else 0.0,
        }
        for head in (False, True)
        for matrix in (False, True)
    ]
    optimizer = torch.optim.AdamW(groups)
    rates = [group["lr"] for group in optimizer.param_groups]
    step, spent, mean = resume(options.out / "state.safetensors", model, optimizer, named)
    print(f"{len(pairs)} pairs, {len(plan)} steps, from step {step}", flush=True)

    begun = time.process_time()
    model.train()
    while step < len(plan):
        batch = plan[step]
        with torch.autocast("cpu", torch.bfloat16):
            logits = model(**collate([encodings[i] for i in batch])).logits
        chances = logits.float().log_softmax(-1).masked_fill(~allowed[batch], -torch.inf)
        loss = -chances.logsumexp(-1).mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_([weight for _, weight in named], 1.0)
        share = min(1.0, (step + 1) / recipe.warm_up)
        if recipe.fall >= 0:
            share *= min(1.0, (len(plan) - step) / (len(plan) - recipe.fall))
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = share * rate
        optimizer.step()
        optimizer.zero_grad()
        step += 1
        mean = loss.item() if step == 1 else 0.98 * mean + 0.02 * loss.item()
        if step % EVERY == 0:
            used = spent + time.process_time() - begun
            save(options.out / "state.safetensors", model, optimizer, named, (step, used, mean))
            print(f"step {step}/{len(plan)} loss {mean:.4f} cpu {used:.0f} s", flush=True)
    used = spent + time.process_time() - begun
    tensors.save_file(weights(model), options.out / "model.safetensors")
    card = asdict(recipe) | {
        "steps": step,
        "pairs": sum(map(len, plan)),
        "cpu_seconds": round(used),
        "loss": mean,
    }
    (options.out / "recipe.json").write_text(json.dumps(card, indent=1) + "\n")


def weights(model: BertForSequenceClassification) -> dict[str, Tensor]:
    """A copy of what the network has learned."""
    return {name: tensor.detach().clone().contiguous() for name, tensor in model.state_dict().items()}


def save(
    path: Path,
    model: BertForSequenceClassification,
    optimizer: torch.optim.AdamW,
    named: Named,
    progress: tuple[float, float, float],
) -> None:
    """Keep a checkpoint with the optimizer's moments; ``progress`` is step, CPU seconds, mean loss."""
    saved = weights(model)
    for name, weight in named:
        for moment in ("exp_avg", "exp_avg_sq"):
            saved[f"{moment}/{name}"] = optimizer.state[weight][moment]
    saved["run/progress"] = torch.tensor(progress, dtype=torch.float64)
    temporary = path.with_suffix(".part")
    tensors.save_file(saved, temporary)
    temporary.replace(path)


def resume(
    path: Path, model: BertForSequenceClassification, optimizer: torch.optim.AdamW, named: Named
) -> tuple[int, float, float]:
    """Put in the last checkpoint: its step, CPU seconds and mean loss; zeros where there is none."""
    if not path.is_file():
        return 0, 0.0, 0.0
    saved: dict[str, Tensor] = tensors.load_file(path)
    model.load_state_dict({name: tensor for name, tensor in saved.items() if "/" not in name})
    step, used, mean = (float(saved["run/progress"][i]) for i in range(3))
    for name, weight in named:
        optimizer.state[weight] = {
            "step": torch.tensor(step),
            "exp_avg": saved[f"exp_avg/{name}"],
            "exp_avg_sq": saved[f"exp_avg_sq/{name}"],
        }
    return int(step), used, mean


if __name__ == "__main__":
    main()

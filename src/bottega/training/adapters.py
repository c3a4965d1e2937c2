"""Which layers of a checkpoint are adapted, and what was learnt as an adapter that PEFT reads."""

import json
import re
from collections import Counter
from collections.abc import Sequence
from fnmatch import fnmatchcase

from safetensors.torch import save
from torch import Tensor, nn

from bottega.core.errors import InvalidValue
from bottega.core.value import JsonObject
from bottega.networks import lora

ATTENTION = re.compile(r"(.*\.)?[^.]*(attn|attention)\d*\..*")  # a layer inside of one


def _transposed(layer: nn.Module) -> bool:
    """Whether the weight lies as [in, out]: embeddings, and the linear layers of GPT-2."""
    return isinstance(layer, nn.Embedding) or type(layer).__name__ == "Conv1D"


def _has_form(layer: nn.Module) -> bool:
    """Whether PEFT has a form for sums over this layer."""
    filters = isinstance(layer, nn.Conv1d | nn.Conv2d | nn.Conv3d) and layer.groups == 1
    return filters or isinstance(layer, nn.Linear) or _transposed(layer)


def _is(pattern: str, name: str, layer: nn.Module) -> bool:
    match pattern:
        case "attention":
            return bool(ATTENTION.fullmatch(name))
        case "linear":
            return isinstance(layer, nn.Linear) or type(layer).__name__ == "Conv1D"
        case "embeddings":
            return isinstance(layer, nn.Embedding)
        case _:
            return fnmatchcase(name, pattern)


def chosen(net: nn.Module, patterns: Sequence[str], where: str) -> list[str]:
    """The names of the layers to adapt, in the network's order.

    Args:
        net: a checkpoint's network.
        patterns: ``attention``, ``linear``, ``embeddings``, or a name with ``*``; none takes all but embeddings.
        where: the checkpoint, for the error.

    Raises:
        InvalidValue: a pattern is no layer's that can be adapted. Layers tied as one tensor cannot.
    """
    every = lora.matrices(net)
    shared = Counter(id(layer.weight) for layer in every.values())
    open_ = {
        name: layer for name, layer in every.items() if _has_form(layer) and shared[id(layer.weight)] == 1
    }
    for pattern in patterns:
        if not any(_is(pattern, name, layer) for name, layer in open_.items()):
            raise InvalidValue(
                f"'{pattern}' is none of the layers that can be adapted: {', '.join(list(open_)[:12])} ...",
                where=f"modules of {where}",
                remedy="give attention, linear, embeddings, or a name with *; tied layers stay as they are",
            )
    return [
        name
        for name, layer in open_.items()
        if any(_is(pattern, name, layer) for pattern in patterns)
        or (not patterns and not isinstance(layer, nn.Embedding))
    ]


def learnt(state: dict[str, Tensor], net: str) -> dict[str, dict[str, Tensor]]:
    """``up`` and ``down`` of every layer, out of the averaged weights in a checkpoint of training."""
    found: dict[str, dict[str, Tensor]] = {}
    for name, tensor in state.items():
        if match := re.fullmatch(rf"ema\.{net}\.(.*)\.parametrizations\.weight\.0\.(up|down)", name):
            found.setdefault(match[1], {})[match[2]] = tensor
    return found


def tensors(net: nn.Module, sums: dict[str, dict[str, Tensor]], rank: int, prefix: str) -> dict[str, Tensor]:
    """The sums under the names that PEFT gives them: A [rank, in], B [out, rank].

    Small layers have fewer products than ``rank``; zeros fill them up, so that one rank and a scale of 1 hold for all.
    """
    found: dict[str, Tensor] = {}
    for name, sides in sums.items():
        layer, less = net.get_submodule(name), rank - len(sides["down"])
        first = nn.functional.pad(sides["down"], (0, 0, 0, less))
        second = nn.functional.pad(sides["up"], (0, less))
        if _transposed(layer):
            first, second = second.T, first.T
        if isinstance(layer, nn.Conv1d | nn.Conv2d | nn.Conv3d):
            first = first.view(rank, *layer.weight.shape[1:])
            second = second.view(*second.shape, *(1 for _ in layer.kernel_size))
        kind, ending = ("lora_embedding", "") if isinstance(layer, nn.Embedding) else ("lora", ".weight")
        found[f"{prefix}{name}.{kind}_A{ending}"] = first.contiguous()
        found[f"{prefix}{name}.{kind}_B{ending}"] = second.contiguous()
    return found


def files(net: nn.Module, state: dict[str, Tensor], rank: int, base: str) -> dict[str, bytes]:
    """``adapter_config.json`` and ``adapter_model.safetensors`` for ``PeftModel.from_pretrained``.

    Args:
        net: the network, merged or not.
        state: a checkpoint of training, of which the averages are shipped.
        rank: of the sums.
        base: the folder that was adapted.
    """
    sums = learnt(state, "model")
    layers = [net.get_submodule(name) for name in sums]
    config: JsonObject = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base,
        "inference_mode": True,
        "r": rank,
        "lora_alpha": rank,
        "lora_dropout": 0.0,
        "bias": "none",
        "fan_in_fan_out": any(type(layer).__name__ == "Conv1D" for layer in layers),
        "target_modules": sorted(sums),
    }
    return {
        "adapter_config.json": json.dumps(config, indent=2).encode() + b"\n",
        "adapter_model.safetensors": save(tensors(net, sums, rank, "base_model.model."), {"format": "pt"}),
    }

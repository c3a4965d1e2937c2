"""Marian translation checkpoints become CTranslate2 models, 8-bit, without torch and without running a pickle.

Follows `BartLoader` and `MarianMTLoader` in ctranslate2/converters/transformers.py (4.8), with arrays where they
have modules.
"""

import json
import math
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from bottega.catalog.torch_archive import TorchArchive
from bottega.core.errors import ExtraMissing, Tampered

VERSION = "1"
SOURCES = ("pytorch_model.bin", "vocab.json", "config.json")


def convert(source: Path, target: Path) -> None:
    """Write ``model.bin``, ``shared_vocabulary.json`` and ``config.json`` into ``target``.

    Quantisation is per row, symmetric, to int8: equal input gives equal bytes.

    Args:
        source: folder with the files of `SOURCES`.
        target: existing folder without those outputs.

    Raises:
        ExtraMissing: CTranslate2 is not installed.
        Tampered: the checkpoint is not the architecture that its config states, or is not readable as data.
    """
    try:
        transformer_spec: Any = import_module("ctranslate2.specs.transformer_spec")
        common_spec: Any = import_module("ctranslate2.specs.common_spec")
    except ImportError as error:
        raise ExtraMissing(
            "the package 'ctranslate2' is not installed", remedy="pip install 'bottega[translate]'"
        ) from error
    config = json.loads((source / "config.json").read_text(encoding="utf-8"))
    activations = {
        "relu": common_spec.Activation.RELU,
        "swish": common_spec.Activation.SWISH,
        "gelu": common_spec.Activation.GELU,
    }
    try:
        spec: Any = transformer_spec.TransformerSpec.from_config(
            (config["encoder_layers"], config["decoder_layers"]),
            config["encoder_attention_heads"],
            pre_norm=False,
            activation=activations[config["activation_function"]],
            layernorm_embedding=False,
        )
        with TorchArchive(source / "pytorch_model.bin") as weights:
            _fill(spec, weights, config)
    except KeyError as error:
        raise Tampered(f"a Marian checkpoint without {error}", where=str(source)) from error
    tokens = _vocabulary(source / "vocab.json", config["vocab_size"])
    spec.register_source_vocabulary(tokens)
    spec.register_target_vocabulary(tokens)
    spec.config.eos_token = "</s>"
    spec.config.unk_token = "<unk>"
    spec.config.decoder_start_token = "</s>"  # replaced by a zero embedding
    spec.config.add_source_eos = False  # the caller ends its tokens with </s>
    spec.validate()
    spec.optimize(quantization="int8")
    spec.save(str(target))


def _vocabulary(path: Path, size: int) -> list[str]:
    """Tokens by id; the last one, ``<pad>``, only starts the decoder and is not part of the model."""
    ids: dict[str, int] = json.loads(path.read_text(encoding="utf-8"))
    tokens = sorted(ids, key=lambda token: ids[token])[:size]
    return tokens[:-1] if tokens and tokens[-1] == "<pad>" else tokens


def _fill(spec: Any, weights: TorchArchive, config: dict[str, Any]) -> None:
    scale = math.sqrt(config["d_model"]) if config["scale_embedding"] else 1.0
    embeddings = weights["model.shared.weight"][:-1]  # [vocabulary, width], without <pad>
    for stack, name in ((spec.encoder, "encoder"), (spec.decoder, "decoder")):
        stack.scale_embeddings = scale
        stack.position_encodings.encodings = weights[f"model.{name}.embed_positions.weight"]
    spec.encoder.embeddings[0].weight = embeddings
    spec.decoder.embeddings.weight = embeddings
    spec.decoder.start_from_zero_embedding = True
    spec.decoder.projection.weight = embeddings
    bias = weights["final_logits_bias"].reshape(-1)[:-1]
    if np.any(bias):
        spec.decoder.projection.bias = bias
    for index, layer in enumerate(spec.encoder.layer):
        _layer(layer, weights, f"model.encoder.layers.{index}")
    for index, layer in enumerate(spec.decoder.layer):
        name = f"model.decoder.layers.{index}"
        _layer(layer, weights, name)
        crossed = f"{name}.encoder_attn"
        _linear(layer.attention.linear[0], weights, f"{crossed}.q_proj")
        _linear(layer.attention.linear[1], weights, f"{crossed}.k_proj", f"{crossed}.v_proj")
        _linear(layer.attention.linear[2], weights, f"{crossed}.out_proj")
        _norm(layer.attention.layer_norm, weights, f"{crossed}_layer_norm")


def _layer(layer: Any, weights: TorchArchive, name: str) -> None:
    attention = f"{name}.self_attn"
    _linear(layer.self_attention.linear[0], weights, *(f"{attention}.{part}_proj" for part in "qkv"))
    _linear(layer.self_attention.linear[1], weights, f"{attention}.out_proj")
    _norm(layer.self_attention.layer_norm, weights, f"{attention}_layer_norm")
    _linear(layer.ffn.linear_0, weights, f"{name}.fc1")
    _linear(layer.ffn.linear_1, weights, f"{name}.fc2")
    _norm(layer.ffn.layer_norm, weights, f"{name}.final_layer_norm")


def _linear(spec: Any, weights: TorchArchive, *names: str) -> None:
    """Several projections of the same input are kept as one matrix, [outputs, inputs]."""
    spec.weight = np.concatenate([weights[f"{name}.weight"] for name in names])
    spec.bias = np.concatenate([weights[f"{name}.bias"] for name in names])


def _norm(spec: Any, weights: TorchArchive, name: str) -> None:
    spec.gamma = weights[f"{name}.weight"]
    spec.beta = weights[f"{name}.bias"]

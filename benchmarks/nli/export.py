"""Write the trained cross-encoder as ONNX with eight-bit weights, and measure what the eight bits cost.

    python -m benchmarks.nli.export --work WORK --weights WORK/second --out FOLDER

Needs ``onnx`` and ``onnxscript`` besides torch. Only weights have eight bits (``MatMulNBits`` in blocks); activations stay
float32, so a pair's result does not depend on the pairs beside it. With activations in eight bits
(``accuracy_level=4``) a fifth is saved, but a pair alone is judged otherwise than the same pair in a batch, as it is
under per-tensor dynamic quantisation. The embedding table is stored in 8 bits with one scale a word. Weights go into
``weights-1.bin`` and so on beside the graph, so that no file of the repository is above 16 MiB.
"""

import argparse
import hashlib
import shutil
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from benchmarks.nli.train import LONGEST, build, tensors
from torch import Tensor
from transformers import BertForSequenceClassification

onnx: Any = import_module("onnx")
nbits: Any = import_module("onnxruntime.quantization.matmul_nbits_quantizer")

OPSET = 20
BLOCK = 128  # weights that share a scale
LARGEST = 15 << 20  # bytes of a file of weights
SMALLEST = 4096  # bytes of a tensor that leaves the graph
INPUTS = ("input_ids", "attention_mask", "token_type_ids")


class Logits(torch.nn.Module):
    """The network as ONNX sees it: three integer tensors (pairs, tokens) in, logits (pairs, 3) out."""

    def __init__(self, model: BertForSequenceClassification) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor) -> Tensor:
        """Logits of supports, contradicts, not_enough."""
        return self.model(
            input_ids=input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids
        ).logits


def plain(model: BertForSequenceClassification, path: Path) -> None:
    """The float32 graph, with any number of pairs and tokens."""
    model.eval()
    ids = torch.randint(1000, 20000, (2, 17))
    axes = {0: torch.export.Dim("pairs"), 1: torch.export.Dim("tokens", max=LONGEST)}
    torch.onnx.export(
        Logits(model),
        (ids, torch.ones_like(ids), torch.zeros_like(ids)),
        str(path),
        dynamo=True,
        dynamic_shapes=(axes, axes, axes),
        input_names=list(INPUTS),
        output_names=["logits"],
        external_data=False,
        opset_version=OPSET,
    )


def eight_bits(source: Path, target: Path) -> None:
    """Matrices in blocks of eight-bit weights, the word table in eight-bit rows, the rest as it was."""
    graph: Any = onnx.load(source)
    _rows(graph.graph)
    quantizer: Any = nbits.MatMulNBitsQuantizer(
        graph, bits=8, block_size=BLOCK, is_symmetric=True, accuracy_level=1
    )
    quantizer.process()
    made: Any = quantizer.model.model
    del made.graph.value_info[:]
    for node in made.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    del made.metadata_props[:], made.graph.metadata_props[:]
    _outside(made.graph)
    for path in target.parent.glob("weights-*.bin"):
        path.unlink()  # the library appends
    onnx.save(made, target)


def _outside(graph: Any) -> None:
    """Give every large tensor its place in a file of weights."""
    number, used = 1, 0
    for tensor in graph.initializer:
        size = len(tensor.raw_data)
        if size < SMALLEST:
            continue
        if used + size > LARGEST:
            number, used = number + 1, 0
        used += size
        onnx.external_data_helper.set_external_data(tensor, f"weights-{number}.bin")


def _rows(graph: Any) -> None:
    """Replace the gathering of float words by that of bytes, times a scale for each word."""
    tables = {tensor.name: tensor for tensor in graph.initializer if list(tensor.dims)[:1] == [30522]}
    for index, node in enumerate(list(graph.node)):
        if node.op_type != "Gather" or node.input[0] not in tables:
            continue
        table = tables[node.input[0]]
        words: Any = onnx.numpy_helper.to_array(table)  # (words, width)
        scale = np.maximum(np.abs(words).max(axis=1, keepdims=True), 1e-12) / 127
        graph.initializer.remove(table)
        graph.initializer.append(
            onnx.numpy_helper.from_array(np.round(words / scale).astype(np.int8), f"{table.name}_bytes")
        )
        graph.initializer.append(
            onnx.numpy_helper.from_array(scale.astype(np.float32), f"{table.name}_scale")
        )
        name = node.output[0]
        graph.node.remove(node)
        for offset, made in enumerate(
            (
                onnx.helper.make_node(
                    "Gather", [f"{table.name}_bytes", node.input[1]], [f"{name}_bytes"], axis=0
                ),
                onnx.helper.make_node("Cast", [f"{name}_bytes"], [f"{name}_cast"], to=onnx.TensorProto.FLOAT),
                onnx.helper.make_node(
                    "Gather", [f"{table.name}_scale", node.input[1]], [f"{name}_scale"], axis=0
                ),
                onnx.helper.make_node("Mul", [f"{name}_cast", f"{name}_scale"], [name]),
            )
        ):
            graph.node.insert(index + offset, made)


def main() -> None:
    """Write ``fp32.onnx`` beside the weights, ``model.onnx`` and ``tokenizer.json`` into the folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    model = build(options.work / "base")
    model.load_state_dict(tensors.load_file(options.weights / "model.safetensors"))
    exact = options.weights / "fp32.onnx"
    plain(model, exact)
    options.out.mkdir(parents=True, exist_ok=True)
    eight_bits(exact, options.out / "model.onnx")
    shutil.copyfile(options.work / "base" / "tokenizer.json", options.out / "tokenizer.json")
    for path in sorted(options.out.iterdir()):
        data = path.read_bytes()
        print(f"{path.name}: {len(data)} bytes, SHA-256 {hashlib.sha256(data).hexdigest()}")


if __name__ == "__main__":
    main()

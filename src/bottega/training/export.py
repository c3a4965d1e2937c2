"""Networks as ONNX files with a dynamic batch, in 32-bit and in int8, each held to what our network says."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import onnx
import onnxruntime
import torch
from onnxruntime import quantization
from torch import Tensor, nn

from bottega.core.errors import EngineFailed
from bottega.storage.disk import appearing, disk
from bottega.training.runs import open_run

CLOSE = 1e-3  # largest error of the 32-bit file, relative to the largest number that comes out


def export(path: Path, says: Callable[[str], None]) -> list[Path]:
    """Write every network that sampling needs into ``export/`` of the run folder.

    Raises:
        EngineFailed: the 32-bit file says something else than our network.
    """
    run = open_run(path)
    written: list[Path] = []
    quantize = cast(Any, quantization).quantize_dynamic
    for name, (net, inputs) in run.family.exports(run.nets).items():
        exact, small = (path / "export" / f"{name}{ending}" for ending in (".onnx", ".int8.onnx"))
        with disk(path), appearing(exact) as temporary:
            _write(net, inputs, temporary)
            error = _error(net, inputs, temporary)
        if not error < CLOSE:
            exact.unlink()
            raise EngineFailed(
                f"the ONNX file differs by {error:.2g}", where=str(exact), remedy="report this"
            )
        with disk(path), appearing(small) as temporary:
            quantize(exact, temporary, weight_type=quantization.QuantType.QUInt8)
            rough = _error(net, inputs, temporary)
        says(f"{name}: 32-bit differs by {error:.1e}, int8 by {rough:.1%} of the largest number")
        for file in (exact, small):
            file.chmod(0o644)
            written.append(file)
    return written


class OnnxNet(nn.Module):
    """An ONNX file in the place of the network that it was written from: the same inputs, the same output, no gradients."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        options = cast(Any, onnxruntime).SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        self._session: Any = onnxruntime.InferenceSession(
            path.read_bytes(), options, providers=["CPUExecutionProvider"]
        )
        self._names = [each.name for each in self._session.get_inputs()]
        self.place = nn.Parameter(
            torch.empty(0), requires_grad=False
        )  # who asks where the network lies: here

    def forward(self, *inputs: Tensor) -> Tensor:
        """What the file says."""
        given = {name: part.contiguous().numpy() for name, part in zip(self._names, inputs, strict=True)}
        return torch.from_numpy(self._session.run(None, given)[0])


def _write(net: nn.Module, inputs: tuple[Tensor, ...], path: Path) -> None:
    batch = torch.export.Dim("batch", min=1, max=4096)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they are about the exporter's insides; the file is measured
        program: Any = torch.onnx.export(
            net.eval(), inputs, dynamo=True, dynamic_shapes=tuple({0: batch} for _ in inputs), verbose=False
        )
    model: onnx.ModelProto = program.model_proto
    del model.graph.value_info[:]  # shapes of the trace; int8 takes them for those of every batch
    path.write_bytes(model.SerializeToString())


def _error(net: nn.Module, inputs: tuple[Tensor, ...], path: Path) -> float:
    """Largest difference over the largest number, on a batch of another size than the trace's."""
    other = tuple(torch.cat((part, part[:1])) for part in inputs)
    with torch.no_grad():
        ours, found = net(*other), OnnxNet(path)(*other)
    return float((found - ours).abs().max() / ours.abs().max())

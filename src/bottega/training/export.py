"""Networks as ONNX files with a dynamic batch, in 32-bit and in int8, each held to what our network says."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
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
    session: Any = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_inputs()]
    found: np.ndarray = session.run(None, dict(zip(names, (part.numpy() for part in other), strict=True)))[0]
    with torch.no_grad():
        ours: np.ndarray = net(*other).numpy()
    return float(np.abs(found - ours).max() / np.abs(ours).max())

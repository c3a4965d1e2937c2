"""A run's weights in fewer bytes, each way measured beside the original in one table."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from bottega.core.errors import NotFound
from bottega.evaluation.table import MODEL, Row, Table
from bottega.networks.compress import fill, prune, quantise, restore
from bottega.training import checkpoint
from bottega.training.data import base
from bottega.training.export import OnnxNet, export
from bottega.training.family import Nets
from bottega.training.folder import RunFolder
from bottega.training.runs import Run, open_run

LAYERS = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)
COSTS = {
    "kB": "of the file with the weights, in thousands of bytes",
    "ms": "CPU milliseconds of one pass of the networks that sampling needs, for 32 at a time; the least of five rounds taken in turns",
}
PASS, ROUNDS = 32, 5
FILES = {  # of `export`, where the family's measure asks nothing else of its networks
    "onnx": (".onnx", "ONNX, 32 bits"),
    "onnx-int8": (".int8.onnx", "ONNX, 8 bits, what flows through it too (dynamic)"),
}


@dataclass(frozen=True)
class Way:
    """One way: ``bits`` in groups, or ``n`` of every ``m``."""

    what: str
    bits: int = 0
    group: int = 0
    n: int = 0
    m: int = 0

    def takes(self, layer: nn.Module) -> bool:
        """Whether the layer's matrix is made smaller; what an embedding loses nothing around it can mend."""
        return isinstance(layer, LAYERS if self.m else (*LAYERS, nn.Embedding))

    def pack(self, weight: Tensor) -> dict[str, Tensor]:
        """The parts that are kept of a weight."""
        parts = prune(weight, self.n, self.m) if self.m else quantise(weight, self.bits, self.group)
        shape = torch.tensor(weight.shape)
        return {"codes": parts[0].contiguous(), "scales": parts[1].contiguous(), "shape": shape}

    def unpack(self, parts: dict[str, Tensor]) -> Tensor:
        """The weight again, in 32-bit."""
        shape = tuple(int(size) for size in parts["shape"])
        if self.m:
            return fill(parts["codes"], parts["scales"], self.m, shape)
        return restore(parts["codes"], parts["scales"], self.bits, shape)


WAYS = {
    "int8": Way("8 bits, one scale a row", bits=8),
    "int4": Way("4 bits, one scale every 16", bits=4, group=16),
    "int2": Way("2 bits, one scale every 16", bits=2, group=16),
    "2of4": Way("the 2 largest of every 4, 16 bits", n=2, m=4),
}


def compress(path: Path, home: Path, seeds: int, says: Callable[[str], None]) -> Table:
    """Write ``compressed/WAY.safetensors``, the ONNX files of `export`, and the table of them all into the run folder.

    Args:
        path: the run folder.
        home: where data sets and judges are kept.
        seeds: how often each is measured; the table has the mean, and the range where they differ.
        says: is told what is being measured.

    Raises:
        NotFound: no trained run.
    """
    run = open_run(path)
    data = base.load(run.config.recipe.data, home)
    rows = [_row(run, run.nets, data, home, seeds, "original", "32 bits", [run.folder.weights_file])]
    made = {"original": run.nets}
    for name, way in WAYS.items():
        says(f"measuring {name}")
        file = _file(run.folder, name)
        file.parent.mkdir(exist_ok=True)
        checkpoint.write(file, packed(run.nets, way))
        made[name] = open_compressed(path, name).nets
        rows.append(_row(run, made[name], data, home, seeds, name, way.what, [file]))
    if run.family.exported:
        export(path, says)
        for name, (ending, what) in FILES.items():
            says(f"measuring {name}")
            files = {net: path / "export" / f"{net}{ending}" for net in run.family.exports(run.nets)}
            made[name] = {**run.nets, **{net: OnnxNet(file) for net, file in files.items()}}
            rows.append(_row(run, made[name], data, home, seeds, name, what, list(files.values())))
    costs = _passes(run, made)
    table = Table(
        measures={**COSTS, **rows[0][1]},
        rows=tuple(_costing(row, costs[row.kind]) for row, _ in rows),
        notes=(
            f"{seeds} seeds: mean; packed weights are unpacked to 32 bits when they are loaded, so their speed stays",
        ),
    )
    run.folder.write("compressed/table.json", json.dumps(table.document(), indent=2).encode() + b"\n")
    run.folder.write(
        "compressed/README.md", f"# {run.config.recipe.id}, compressed\n\n{table.markdown()}\n".encode()
    )
    return table


def packed(nets: Nets, way: Way) -> dict[str, Tensor]:
    """The tensors of a file: packed weights as ``KEY|PART``, all else as it is."""
    state = checkpoint.flat(nets, "net")
    for name, net in nets.items():
        for key in [key for key in state if key.startswith(f"net.{name}.") and key.endswith(".weight")]:
            if way.takes(net.get_submodule(key.removeprefix(f"net.{name}.").removesuffix(".weight"))):
                state |= {f"{key}|{part}": tensor for part, tensor in way.pack(state.pop(key)).items()}
    return state


def open_compressed(path: Path, name: str) -> Run:
    """A run with compressed weights.

    Raises:
        NotFound: no such way, or not compressed yet.
        InvalidValue: a damaged file.
    """
    run = open_run(path)
    file = _file(run.folder, name)
    if name not in WAYS or not file.is_file():
        raise NotFound(
            f"no compressed weights '{name}'",
            where="weights",
            remedy=f"one of {', '.join(WAYS)}, after `bottega compress {path}`",
        )
    parts: dict[str, dict[str, Tensor]] = {}
    state: dict[str, Tensor] = {}
    for key, tensor in checkpoint.read(file).items():
        weight, _, part = key.partition("|")
        if part:
            parts.setdefault(weight, {})[part] = tensor
        else:
            state[key] = tensor
    state |= {weight: WAYS[name].unpack(each) for weight, each in parts.items()}
    checkpoint.load_nets(run.nets, state, "net", str(file))
    return run


def _file(folder: RunFolder, name: str) -> Path:
    return folder.path / "compressed" / f"{name}.safetensors"


def _row(
    run: Run, nets: Nets, data: base.Data, home: Path, seeds: int, kind: str, what: str, files: Sequence[Path]
) -> tuple[Row, dict[str, str]]:
    with torch.no_grad():
        tables = [run.family.evaluate(nets, data, seed, home) for seed in range(seeds)]
    values = [table.of(MODEL) for table in tables]
    means = {name: sum(value[name] for value in values) / seeds for name in values[0]}
    spread = {name: (max(v[name] for v in values) - min(v[name] for v in values)) / 2 for name in values[0]}
    size = sum(file.stat().st_size for file in files) / 1000
    return Row(kind=kind, what=what, values={"kB": size, **means}, spread=spread), tables[0].measures


def _passes(run: Run, made: Mapping[str, Nets]) -> dict[str, float]:
    """CPU milliseconds of a pass of each, in rounds in which every one is asked in turn."""
    inputs = {
        name: tuple(torch.cat([part] * (PASS // len(part))) for part in each)
        for name, (_, each) in run.family.exports(run.nets).items()
    }
    asked = {
        kind: {name: nets[name] if kind in FILES else run.family.exports(nets)[name][0] for name in inputs}
        for kind, nets in made.items()
    }
    found: dict[str, list[float]] = {kind: [] for kind in made}
    with torch.no_grad():
        for _ in range(ROUNDS + 1):
            for kind, nets in asked.items():
                began = time.process_time()
                for name, net in nets.items():
                    net(*inputs[name])
                found[kind].append(1000 * (time.process_time() - began))
    return {kind: min(times[1:]) for kind, times in found.items()}  # the first finds its memory


def _costing(row: Row, ms: float) -> Row:
    size, *rest = row.values.items()
    return row.model_copy(update={"values": dict([size, ("ms", ms), *rest])})

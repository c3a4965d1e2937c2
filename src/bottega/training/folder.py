"""The run folder, the only result of training: config, weights, metrics, samples and card."""

import json
from collections.abc import Mapping
from pathlib import Path

from pydantic import Field, ValidationError

from bottega.core.errors import InvalidValue, NotFound
from bottega.core.value import JsonObject, Value
from bottega.storage.disk import appearing, disk
from bottega.training.recipe import Recipe


class DataFacts(Value, frozen=True):
    """What a data set says about itself, and what the model needs to know of it."""

    name: str
    licence: str
    attribution: str
    sha256: str
    sizes: dict[str, int]
    shape: dict[str, int]
    labels: tuple[str, ...] = ()


class Config(Value, frozen=True):
    """``config.json``: all that made the weights, and all that is needed to use them."""

    format: str = Field(default="bottega.run/1", pattern=r"^bottega\.run/1$")
    recipe: Recipe
    data: DataFacts
    codec: JsonObject = Field(default_factory=dict)
    threads: int
    torch: str


class RunFolder:
    """Paths and small files of one run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.training_file = path / "train.safetensors"
        self.weights_file = path / "model.safetensors"
        self.metrics_file = path / "metrics.jsonl"
        self.samples = path / "samples"

    def begin(self, config: Config, *, resume: bool) -> Config:
        """Make the folder, or take up one that was begun with the same config; gives the config that holds.

        More steps than it was begun with are taken as the wish to train on.

        Raises:
            InvalidValue: something else is there, or it was begun otherwise: names the first difference.
        """
        with disk(self.path.parent):
            self.path.mkdir(parents=True, exist_ok=True)
        here = self.path / "config.json"
        if here.exists() or any(self.path.iterdir()):
            if not resume:
                raise InvalidValue(
                    "the folder is not empty",
                    where=str(self.path),
                    remedy="go on with --resume, or choose another --out",
                )
            before = self.config()
            if config.recipe.fit.steps > before.recipe.fit.steps:  # the rate follows the new end from here
                before = _to(before, config.recipe.fit.steps)
            _same(before, config, str(self.path))
            if before != self.config():
                self._write("config.json", json.dumps(before.document(), indent=2).encode() + b"\n")
            return before
        self._write("config.json", json.dumps(config.document(), indent=2).encode() + b"\n")
        return config

    def config(self) -> Config:
        """What the run was begun with.

        Raises:
            NotFound: this is no run folder.
            InvalidValue: it is of another version, or damaged.
        """
        path = self.path / "config.json"
        try:
            return Config.model_validate_json(path.read_bytes())
        except OSError as error:
            raise NotFound(
                "not a run folder: it has no config.json", where=str(self.path), remedy="bottega train RECIPE"
            ) from error
        except ValidationError as error:
            first = error.errors()[0]
            raise InvalidValue(
                f"a run of another version: {'.'.join(map(str, first['loc']))}: {first['msg']}",
                where=str(path),
                remedy="train again with this version of Bottega",
            ) from error

    @property
    def spent(self) -> float:
        """CPU seconds of training up to the last checkpoint, over all resumptions."""
        file = self.path / "spent.json"
        return float(json.loads(file.read_bytes())["cpu_seconds"]) if file.is_file() else 0.0

    def spend(self, cpu_seconds: float) -> None:
        """Write down what was spent; apart from the checkpoint, whose bytes depend on no clock."""
        self._write("spent.json", json.dumps({"cpu_seconds": round(cpu_seconds, 3)}).encode() + b"\n")

    def cut_metrics(self, step: int) -> None:
        """Forget the lines after a checkpoint: they will be written again."""
        if not self.metrics_file.is_file():
            return
        lines = self.metrics_file.read_text("utf-8").splitlines()
        kept = [line for line in lines if line.endswith("}") and json.loads(line)["step"] <= step]
        self._write("metrics.jsonl", "".join(f"{line}\n" for line in kept).encode())

    def add_metrics(self, step: int, values: Mapping[str, float]) -> None:
        """One line, and the live page."""
        with disk(self.path), self.metrics_file.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps({"step": step, **{k: round(v, 6) for k, v in values.items()}}) + "\n")

    def metrics(self) -> list[dict[str, float]]:
        """The lines of the metrics file."""
        return [json.loads(line) for line in self.metrics_file.read_text("utf-8").splitlines()]

    def write(self, name: str, data: bytes) -> Path:
        """A file inside the folder, whole or not at all."""
        return self._write(name, data)

    def _write(self, name: str, data: bytes) -> Path:
        target = self.path / name
        with disk(self.path), appearing(target) as temporary:
            temporary.write_bytes(data)
        target.chmod(0o644)
        return target


def _to(config: Config, steps: int) -> Config:
    """The same up to another last step."""
    longer = config.recipe.fit.model_copy(update={"steps": steps})
    return config.model_copy(update={"recipe": config.recipe.model_copy(update={"fit": longer})})


def _same(before: Config, now: Config, where: str) -> None:
    """A run goes on only with what it was begun with; machine and torch may be others, but then bytes may differ."""
    for field in ("recipe", "data"):
        old, new = getattr(before, field).document(), getattr(now, field).document()
        for name in old:
            if old[name] != new[name]:
                raise InvalidValue(
                    f"the run was begun with {field}.{name} = {old[name]}, not {new[name]}",
                    where=where,
                    remedy="give the same again, or choose another --out",
                )

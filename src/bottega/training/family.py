"""The seam of a family: nets, phases, sample, codec, evaluate. The loop knows nothing else."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import ClassVar, Generic, NamedTuple, TypeVar

import torch
from pydantic import Field
from torch import Tensor, nn

from bottega.core.errors import InvalidValue, NotFound
from bottega.core.value import JsonObject, Value
from bottega.evaluation.table import Table
from bottega.training.data.base import Data, several
from bottega.training.recipe import Recipe, checked

C = TypeVar("C", bound=Value)
Nets = dict[str, nn.Module]
Batch = tuple[Tensor, ...]
Export = tuple[nn.Module, tuple[Tensor, ...]]


@dataclass(frozen=True)
class Phase:
    """One optimiser step: ``net`` is updated by the gradient of ``loss``; the others are only read.

    It is taken from the share ``since`` of all steps on and before the share ``until``: pretraining, then the task.
    """

    name: str
    net: str
    loss: Callable[[Nets, Batch, torch.Generator], Tensor]
    since: float = 0.0
    until: float = 1.0


class Made(NamedTuple):
    """One thing that a family made, as the bytes of a file."""

    name: str
    media_type: str
    data: bytes


class Wish(Value, frozen=True):
    """What to sample; a family takes what it has a use for."""

    count: int = Field(default=16, ge=1, le=100_000)
    prompt: str = Field(default="", description="a class, or the beginning of a text")
    picture: bytes = Field(default=b"", description="the file of a picture to read")
    steps: int = Field(default=0, ge=0, le=1000, description="of the sampler; 0 takes the family's")
    guidance: float = Field(default=0.0, ge=0, le=20, description="0 takes the family's")
    temperature: float = Field(default=1.0, ge=0, le=10)
    length: int = Field(default=400, ge=1, le=1_000_000, description="of a text, in bytes")
    seed: int = Field(default=0, ge=0, lt=2**53)


class Family(ABC, Generic[C]):
    """A kind of generative model. ``config`` is frozen, prints as JSON and lies in the run folder.

    ``shape`` tells what the data settles (image channels, side), ``codec`` what was learnt from it before training (the
    merges of a tokenizer), so that a run can be loaded without its data.
    """

    config_type: ClassVar[type[Value]]
    needs: ClassVar[frozenset[str]]
    """The tensors of the data that it learns from."""
    adapts: ClassVar[bool] = False
    """Whether it goes on from what it knows, so that one class is enough to learn from."""
    exported: ClassVar[bool] = False
    """Whether `evaluate` asks nothing of the networks but what ``exports`` of them answers: then ONNX files are measured too."""
    shards: ClassVar[bool] = True
    """Whether a batch may be learnt in parts: nothing but gradients changes its networks."""
    compiles: ClassVar[bool] = True
    """Whether its networks may be compiled: no loss is a gradient of a gradient."""

    def __init__(
        self, config: C, shape: Mapping[str, int], labels: tuple[str, ...], codec: JsonObject
    ) -> None:
        self.config, self.shape, self.labels, self.codec = config, dict(shape), labels, codec

    @classmethod
    def learn_codec(cls, config: C, data: Data) -> JsonObject:
        """What must be learnt from the data before there are networks; nothing for most families."""
        return {}

    @classmethod
    @abstractmethod
    def dial(cls, depth: int) -> JsonObject:
        """The model's fields for one depth."""

    @abstractmethod
    def nets(self) -> Nets:
        """New networks, by name; called under a fixed seed."""

    def start(self, nets: Nets) -> None:
        """Fill new networks from weights that were trained before, and freeze what shall stay; nothing for most families."""

    def finish(self, nets: Nets) -> None:
        """Make trained networks what ``nets`` makes, to be shipped; nothing for most families."""

    def leave(self, nets: Nets, folder: Path) -> None:
        """Write what else belongs to the run; nothing for most families."""

    @abstractmethod
    def phases(self) -> tuple[Phase, ...]:
        """What one step of training does, in order."""

    @abstractmethod
    def batch(self, data: Data, size: int, key: torch.Generator) -> Batch:
        """Draw a batch from the training split; it depends on nothing but ``key``."""

    def validate(self, nets: Nets, data: Data, key: torch.Generator) -> float | None:
        """One number to make small, on held-out data; none for families whose loss says nothing."""
        return None

    @abstractmethod
    def sample(self, nets: Nets, wish: Wish) -> list[Made]:
        """Make files."""

    @abstractmethod
    def show(self, nets: Nets) -> list[Made]:
        """The samples that lie in the run folder, from fixed seeds."""

    @abstractmethod
    def exports(self, nets: Nets) -> dict[str, Export]:
        """The networks that sampling needs, each with inputs of a batch of two or more."""

    @abstractmethod
    def evaluate(self, nets: Nets, data: Data, seed: int, home: Path) -> Table:
        """The four rows: real against real, trivial, classical, model. Judges are kept under ``home``."""


FAMILIES = {
    "flow": "bottega.training.families.flow:Flow",
    "flow-student": "bottega.training.families.flow_student:FlowStudent",
    "sketch": "bottega.training.families.sketch:Sketch",
    "text-flow": "bottega.training.families.text_flow:TextFlow",
    "pair": "bottega.training.families.pair:TextPicturePair",
    "gan": "bottega.training.families.gan:Gan",
    "vae": "bottega.training.families.vae:Vae",
    "vq": "bottega.training.families.vq:Vq",
    "lm": "bottega.training.families.lm:Lm",
    "lm-student": "bottega.training.families.lm_student:LmStudent",
    "sft": "bottega.training.families.sft:Sft",
    "dpo": "bottega.training.families.dpo:Dpo",
    "grpo": "bottega.training.families.grpo:Grpo",
    "drawing": "bottega.training.families.drawing:DrawingLm",
    "encoder": "bottega.training.families.encoder:TextEncoder",
    "embedder": "bottega.training.families.embedder:Embedder",
    "captioner": "bottega.training.families.captioner:ReadsPictures",
    "adapted": "bottega.training.families.adapted:Adapted",
    "checkpoint": "bottega.training.families.checkpoint_text:CheckpointText",
    "checkpoint-dpo": "bottega.training.families.checkpoint_answers:CheckpointDpo",
    "checkpoint-pictures": "bottega.training.families.checkpoint_pictures:CheckpointPictures",
    "checkpoint-grpo": "bottega.training.families.checkpoint_answers:CheckpointGrpo",
    "seq2seq": "bottega.training.families.seq2seq:Seq2Seq",
}


def family_type(name: str) -> type["Family[Value]"]:
    """The class of a family; imports only that one.

    Raises:
        NotFound: names the families there are.
    """
    if name not in FAMILIES:
        raise NotFound(f"unknown family '{name}'", where="family", remedy=f"one of {', '.join(FAMILIES)}")
    module, _, attribute = FAMILIES[name].partition(":")
    kind: type[Family[Value]] = getattr(import_module(module), attribute)
    return kind


def fitting(kind: type["Family[Value]"], data: Data) -> None:
    """Refuse data that a family cannot learn from.

    Raises:
        InvalidValue: says what is missing.
    """
    if missing := sorted(kind.needs - data.train.keys()):
        raise InvalidValue(
            f"it learns from {' and '.join(sorted(kind.needs))}; the data have no {' and '.join(missing)}",
            where=data.name,
            remedy="give pictures in one folder a class, a text file, or JSON lines, as the family needs",
        )


def family_of(
    recipe: Recipe, shape: Mapping[str, int], labels: tuple[str, ...], codec: JsonObject
) -> "Family[Value]":
    """The family of a run that was begun before."""
    kind = family_type(recipe.family)
    config = checked(kind.config_type, {**kind.dial(recipe.depth), **recipe.model}, "model")
    return kind(config, shape, labels, codec)


def family_for(recipe: Recipe, data: Data) -> "Family[Value]":
    """The recipe's family for this data: the depth dial, with the recipe's own ``[model]`` over it.

    Raises:
        InvalidValue: an unknown or wrong field of ``[model]``, or one class only.
    """
    kind = family_type(recipe.family)
    fitting(kind, data)
    if recipe.fit.compiled and not kind.compiles:
        raise InvalidValue(
            f"torch.compile gives no gradients of gradients, which a {recipe.family} learns by",
            where="fit.compiled",
            remedy="leave it out",
        )
    if recipe.fit.shards > 1 and (not kind.shards or recipe.fit.batch % recipe.fit.shards):
        raise InvalidValue(
            f"a batch of {recipe.fit.batch} of the family {recipe.family} in {recipe.fit.shards} shards",
            where="fit.shards",
            remedy="a number that divides the batch, or 1 for families that learn by more than gradients",
        )
    if not kind.adapts:
        several(data)
    config = checked(kind.config_type, {**kind.dial(recipe.depth), **recipe.model}, "model")
    return kind(config, data.shape, data.labels, kind.learn_codec(config, data))

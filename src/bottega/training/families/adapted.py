"""A trained run of any family, adapted to new data by few numbers a matrix (LoRA); what is shipped has them merged."""

import dataclasses
from functools import lru_cache
from pathlib import Path
from typing import cast

import torch
from pydantic import Field
from torch import Tensor

from bottega.core.errors import InvalidValue
from bottega.core.value import JsonObject, Value
from bottega.evaluation.table import MODEL, Table
from bottega.networks import lora
from bottega.training import checkpoint
from bottega.training.data.base import Data
from bottega.training.family import Batch, Export, Family, Made, Nets, Phase, Wish, family_type, fitting
from bottega.training.folder import RunFolder
from bottega.training.recipe import Base, checked

GROWING = ("words", "classes")  # of a shape: what labels make larger


class AdaptedConfig(Value, frozen=True):
    """What is adapted, and by how much; kind, model, shape and labels are those of the base."""

    base: Base
    family: str
    model: JsonObject
    shape: dict[str, int]
    labels: tuple[str, ...]
    rank: int = Field(default=8, ge=1, le=1024, description="outer products that each matrix gets")


class Adapted(Family[AdaptedConfig]):
    """The base's family, with its labels and those that only the new data have."""

    config_type = AdaptedConfig
    needs = frozenset[str]()
    adapts = True

    def __init__(
        self, config: AdaptedConfig, shape: dict[str, int], labels: tuple[str, ...], codec: JsonObject
    ) -> None:
        new = tuple(label for label in labels if label not in config.labels)
        grown = {name: size + len(new) for name, size in config.shape.items() if name in GROWING}
        super().__init__(config, {**config.shape, **grown}, config.labels + new, codec)
        kind = family_type(config.family)
        model = checked(kind.config_type, config.model, "model")
        self.inner = kind(model, self.shape, self.labels, codec)

    @classmethod
    def dial(cls, depth: int) -> JsonObject:
        """The base has its size."""
        return {}

    @classmethod
    def learn_codec(cls, config: AdaptedConfig, data: Data) -> JsonObject:
        """The base's.

        Raises:
            InvalidValue: the data are of another kind or size than the base's.
        """
        fitting(family_type(config.family), data)
        for name, size in config.shape.items():
            if name not in GROWING and data.shape.get(name) != size:
                raise InvalidValue(
                    f"the base was trained with {name} = {size}, these data have {data.shape.get(name, 'none')}",
                    where=data.name,
                    remedy="give data of the same kind and size",
                )
        return RunFolder(Path(config.base.weights).parent).config().codec

    def nets(self) -> Nets:
        """Those of the base's family, plain."""
        return self.inner.nets()

    def before(self, nets: Nets) -> None:
        """Fill plain networks with the base's weights; rows of new labels are the mean of those that are there.

        Raises:
            InvalidValue: the base is gone, or no longer the one that the run was begun with.
        """
        path = checkpoint.unchanged(Path(self.config.base.weights), self.config.base.sha256)
        state = checkpoint.read(path)
        for name, tensor in checkpoint.flat(nets, "net").items():
            if name in state and (more := len(tensor) - len(state[name]) if tensor.dim() else 0) > 0:
                mean = state[name].mean(0, keepdim=True)
                state[name] = torch.cat((state[name], mean.expand(more, *mean.shape[1:])))
        checkpoint.load_nets(nets, state, "net", str(path))

    def start(self, nets: Nets) -> None:
        """The base, frozen, under low-rank sums that are zero."""
        self.before(nets)
        for net in nets.values():
            lora.adapt(net, self.config.rank)

    def finish(self, nets: Nets) -> None:
        """Merged."""
        for net in nets.values():
            lora.merge(net)

    @lru_cache(maxsize=4)  # noqa: B019 - of this family's data, for as long as it trains
    def _ours(self, data: Data) -> Data:
        """The data with indices into our labels."""
        places = torch.tensor([self.labels.index(label) for label in data.labels], dtype=torch.int64)

        def split(part: dict[str, Tensor]) -> dict[str, Tensor]:
            found = dict(part)
            if "classes" in part:
                found["classes"] = places[part["classes"]]
            if "bags" in part:
                found["bags"] = torch.cat((torch.zeros(1, dtype=torch.int64), places + 1))[part["bags"]]
            return found

        return dataclasses.replace(
            data, train=split(data.train), test=split(data.test), labels=self.labels, shape=self.shape
        )

    def phases(self) -> tuple[Phase, ...]:
        """As the base learnt."""
        return self.inner.phases()

    def batch(self, data: Data, size: int, key: torch.Generator) -> Batch:
        """Of the new data."""
        return self.inner.batch(self._ours(data), size, key)

    def validate(self, nets: Nets, data: Data, key: torch.Generator) -> float | None:
        """As the base."""
        return self.inner.validate(nets, self._ours(data), key)

    def sample(self, nets: Nets, wish: Wish) -> list[Made]:
        """As the base."""
        return self.inner.sample(nets, wish)

    def show(self, nets: Nets) -> list[Made]:
        """As the base."""
        return self.inner.show(nets)

    def exports(self, nets: Nets) -> dict[str, Export]:
        """As the base."""
        return self.inner.exports(nets)

    def evaluate(self, nets: Nets, data: Data, seed: int, home: Path) -> Table:
        """The base's table on the new data, with what the base makes of them before the row of what was learnt."""
        base = self.nets()
        self.before(base)
        for net in base.values():
            net.eval()
        after, before = (self.inner.evaluate(each, self._ours(data), seed, home) for each in (nets, base))
        rows = [row for row in after.rows if row.kind != MODEL]
        for word, table in (("before", before), ("after", after)):
            mine = [row for row in table.rows if row.kind == MODEL][-1]
            rows.append(mine.model_copy(update={"what": f"{word}: {mine.what}"}))
        notes = (*after.notes, f"adapted by rank {self.config.rank} from {len(self.config.labels)} labels")
        return after.model_copy(update={"rows": tuple(rows), "notes": notes if self.labels else after.notes})


def trained_as(family: Family[Value], name: str) -> tuple[str, Family[Value]]:
    """The family, with its name, that a run's weights are of: an adapted one's are those of its base."""
    if not isinstance(family, Adapted):
        return name, family
    adapted = cast(Adapted, family)
    return adapted.config.family, adapted.inner

"""What families share whose base is a checkpoint that another library saved: the folder stays, and low-rank sums are learnt over it."""

from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, TypeVar

from pydantic import Field
from torch import Tensor

from bottega.core.value import JsonObject, Value
from bottega.networks import lora
from bottega.training import adapters
from bottega.training.checkpoint import unchanged
from bottega.training.family import Family, Nets


class SavedConfig(Value, frozen=True):
    """The folder, the bytes that its weights had, and how it is adapted."""

    folder: str = Field(description="as Transformers or Diffusers saves it, in safetensors; it must stay")
    sha256: dict[str, str] = Field(description="of each safetensors file")
    rank: int = Field(default=8, ge=1, le=1024)
    modules: tuple[str, ...] = Field(default=(), description="which layers; none takes all but embeddings")


C = TypeVar("C", bound=SavedConfig)


class Saved(Family[C]):
    """A checkpoint, frozen, under sums that are merged at the end. A kind of it adds how it is read."""

    net: ClassVar[str]
    """The name, among the networks, of the one that is adapted."""

    @classmethod
    def dial(cls, depth: int) -> JsonObject:
        """The checkpoint has its size."""
        return {}

    @abstractmethod
    def weights(self) -> Mapping[str, Tensor]:
        """Those of the folder, for the network that is adapted."""

    def before(self, nets: Nets) -> None:
        """Fill it with the checkpoint's weights.

        Raises:
            InvalidValue: they are gone, or have changed.
        """
        for name, sha256 in self.config.sha256.items():
            unchanged(Path(self.config.folder) / name, sha256, "checkpoint")
        nets[self.net].load_state_dict(self.weights())

    def start(self, nets: Nets) -> None:
        """The checkpoint's weights, frozen, under low-rank sums that are zero."""
        self.before(nets)
        layers = adapters.chosen(nets[self.net], self.config.modules, self.config.folder)
        lora.adapt(nets[self.net], self.config.rank, layers)

    def finish(self, nets: Nets) -> None:
        """Merged."""
        lora.merge(nets[self.net])

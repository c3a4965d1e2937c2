"""The base of every frozen value: identified by its content."""

from typing import Any

from pydantic import BaseModel

from bottega.core.canonical import canonical_json, digest

JsonObject = dict[str, Any]


class Value(BaseModel, frozen=True, extra="forbid"):
    """A frozen value. Equal content gives an equal identity."""

    def document(self) -> JsonObject:
        """This value as JSON types."""
        return self.model_dump(mode="json")

    def canonical(self) -> bytes:
        """Canonical JSON (RFC 8785)."""
        return canonical_json(self.document())

    @property
    def identity(self) -> str:
        """SHA-256 of the canonical JSON."""
        return digest(self.document())

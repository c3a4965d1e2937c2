"""Blobs sealed under one data subject's key, kept among the others without their hash in the name."""

from collections.abc import Iterator
from pathlib import Path

from bottega.core.errors import InvalidValue
from bottega.storage.disk import disk, draft
from bottega.storage.objects import Objects, Stored, checked
from bottega.storage.sealing import object_name, open_file, plain_size, seal_file, sealed_size


class SealedObjects(Objects):
    """A view of other objects: what is put is sealed, what is fetched is opened, names are keyed."""

    def __init__(self, inner: Objects, key: bytes, private: Path) -> None:
        """``private`` is a folder for what is being sealed and opened; it holds plain bytes for a moment."""
        self._inner = inner
        self._key = key
        self._private = private
        self.where = f"{inner.where} (sealed)"
        self.staging = private

    def name(self, name: str) -> str:
        """Under which name the inner objects hold it."""
        return object_name(self._key, checked(name))

    def put(self, name: str, source: Path) -> None:
        """Seal the file, and keep that."""
        folder = self._inner.staging or self._private
        with disk(folder), draft(folder) as sealed:
            seal_file(source, sealed, self._key)
            self._inner.put(self.name(name), sealed)
            source.unlink(missing_ok=True)

    def fetch(self, name: str, target: Path) -> None:
        """Fetch the sealed file and open it.

        Raises:
            Tampered: the bytes are not as they were sealed.
        """
        with disk(self._private):
            if here := self._inner.local(self.name(name)):
                open_file(here, target, self._key)
            else:
                with draft(self._private) as sealed:
                    self._inner.fetch(self.name(name), sealed)
                    open_file(sealed, target, self._key)

    def size(self, name: str) -> int | None:
        """Bytes before sealing."""
        sealed = self._inner.size(self.name(name))
        return None if sealed is None else plain_size(sealed)

    def renew(self, name: str, size: int) -> bool:
        """Whether it is there, whole and new."""
        return self._inner.renew(self.name(name), sealed_size(size))

    def delete(self, name: str, *, older_than: float | None = None) -> bool:
        """Remove the sealed blob."""
        return self._inner.delete(self.name(name), older_than=older_than)

    def list(self) -> Iterator[Stored]:
        """Not possible: whose a sealed blob is cannot be told from the outside.

        Raises:
            InvalidValue: always.
        """
        raise InvalidValue(
            "sealed objects cannot be listed, their names are keyed",
            where=self.where,
            remedy="list the store that holds them",
        )

    def local(self, name: str) -> Path | None:
        """None: what lies on the disk is sealed."""
        return None

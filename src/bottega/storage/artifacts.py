"""Artifacts by the hash of their bytes: on local disk, in a bucket, or sealed under a data subject's key."""

import hashlib
import hmac
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from bottega.core.artifact import Artifact
from bottega.core.errors import InvalidValue, NotFound, StorageFailed, Tampered
from bottega.storage.cache import GIB, Cache, PrivateFolder, sweep
from bottega.storage.disk import disk, draft
from bottega.storage.objects import LocalObjects, Objects, Stored

CHUNK = 1 << 20  # bytes
PRIVATE = "private"


class ArtifactStore:
    """What every step reads and writes. Bytes are streamed; an artifact is there whole or not at all, and never changes."""

    def __init__(
        self,
        objects: Objects | Path,
        cache: Cache | Path | None = None,
        *,
        cache_limit: int = 20 * GIB,
    ) -> None:
        """Join the place of the bytes with a folder on this disk, and clear away what killed processes had opened there.

        Args:
            objects: where the bytes lie; a path means a folder on this disk.
            cache: folder for copies of what lies elsewhere or is sealed; beside the folder of the objects if not given.
            cache_limit: bytes that these copies may take.

        Raises:
            InvalidValue: the objects lie elsewhere, and no cache is given.
        """
        self.objects = LocalObjects(objects) if isinstance(objects, Path) else objects
        if cache is None:
            if not isinstance(self.objects, LocalObjects):
                raise InvalidValue(
                    "artifacts that lie elsewhere need a cache folder on this disk", where=self.objects.where
                )
            cache = self.objects.root.parent / "cache"
        self.cache = Cache(cache, limit=cache_limit) if isinstance(cache, Path) else cache
        self._private: PrivateFolder | None = None
        with suppress(StorageFailed):  # a disk that cannot be written may still be read
            sweep(self.cache.folder / PRIVATE)

    @property
    def staging(self) -> Path:
        """Where artifacts in the making lie."""
        return self.objects.staging or self.cache.staging

    def put(self, data: bytes, media_type: str, *, along: bool = False) -> Artifact:
        """Keep these bytes; what is there already is not written again.

        With ``along`` a few bytes are written with the next change of the state: for what only that change, or a
        later one, will name.

        Raises:
            StorageFailed: the disk is full or not writable, or the bucket cannot be used; nothing
                half-written stays, and the same call works once that is mended.
        """
        artifact = Artifact(sha256=hashlib.sha256(data).hexdigest(), media_type=media_type, size=len(data))
        if along and artifact.size <= self.objects.light:
            self.objects.along(artifact.sha256, data)
        elif not self.objects.renew(artifact.sha256, artifact.size):
            if self.objects.staging is not None:
                self.objects.put_bytes(artifact.sha256, data)
            else:
                with disk(self.staging), draft(self.staging) as made:
                    made.write_bytes(data)
                    self.objects.put(artifact.sha256, made)
        return artifact

    def read(self, artifact: Artifact) -> bytes:
        """The bytes of an artifact, which should be few. Raises as `locate` does."""
        return self.objects.read(artifact.sha256) or self.locate(artifact).read_bytes()

    def put_file(self, source: Path, media_type: str) -> Artifact:
        """Keep a copy of a file."""
        with disk(self.staging), source.open("rb") as reader:
            return self.put_stream(iter(lambda: reader.read(CHUNK), b""), media_type)

    def put_stream(self, chunks: Iterable[bytes], media_type: str) -> Artifact:
        """Keep what these chunks make up; one is in memory at a time. An error they raise keeps nothing."""
        with disk(self.staging), draft(self.staging) as made:
            hasher, size = hashlib.sha256(), 0
            with made.open("wb") as writer:
                for chunk in chunks:
                    hasher.update(chunk)
                    size += len(chunk)
                    writer.write(chunk)
            sha256 = hasher.hexdigest()
            if not self.objects.renew(sha256, size):
                self.objects.put(sha256, made)
        return Artifact(sha256=sha256, media_type=media_type, size=size)

    def locate(self, artifact: Artifact) -> Path:
        """The file of an artifact; read it, never write it.

        What lies elsewhere or is sealed comes into the cache, once, and is checked against its hash on the way. It
        stays for an hour at least; use `open` to hold on to it longer.

        Raises:
            NotFound: it is not in the store.
            Tampered: the bytes in the store are not those that were kept.
        """
        with self._named(artifact.sha256):
            return self.objects.local(artifact.sha256) or self.cache.get(
                artifact.sha256, lambda target: self._fetch(artifact.sha256, target)
            )

    def open(self, artifact: Artifact) -> BinaryIO:
        """The bytes of an artifact as a stream; close it. Raises as `locate` does."""
        for _ in range(10):
            with suppress(FileNotFoundError):  # evicted between the two; the next round brings it again
                return self.locate(artifact).open("rb")
        raise StorageFailed(
            "the cache is too small for what is read at the same time",
            where=str(self.cache.folder),
            remedy="allow it more bytes",
        )

    def holds(self, sha256: str) -> bool:
        """Whether an artifact with this hash is kept."""
        return self.objects.size(sha256) is not None

    def verify(self, artifact: Artifact) -> None:
        """Hash the bytes in the store again, whatever the cache holds.

        Raises:
            NotFound: it is not in the store.
            Tampered: its bytes are not those that were kept.
        """
        with self._named(artifact.sha256), self.bytes_of(artifact.sha256) as path:
            _check(path, artifact.sha256, self.objects.where)

    def checked(self, artifact: Artifact) -> Path:
        """As `locate`, for bytes that are about to be approved or signed: store and copy are hashed again.

        A copy that was changed is made again from the store.

        Raises:
            NotFound, Tampered: as `verify` does.
        """
        self.verify(artifact)
        path = self.locate(artifact)
        if path != self.objects.local(artifact.sha256):
            try:
                _check(path, artifact.sha256, str(self.cache.folder))
            except Tampered:
                self.cache.drop(artifact.sha256)
                return self.locate(artifact)
        return path

    def delete(self, sha256: str) -> bool:
        """Remove an artifact from store and cache; returns whether it was in the store."""
        deleted = self.objects.delete(sha256)
        self.cache.drop(sha256)
        return deleted

    def list(self) -> Iterator[Stored]:
        """All that lies in the store; sealed artifacts under their keyed names, foreign things included."""
        return self.objects.list()

    def stored_name(self, sha256: str) -> str:
        """The name that `list` shows and garbage collection asks for: the hash, or what a sealed view makes of it."""
        return sha256

    def sealed(self, subject_key: bytes) -> "ArtifactStore":
        """A view whose artifacts are encrypted and named under this key; it sees no others, and no others see its own.

        Opened copies lie in a folder of this process until `close` of the view or of this store.
        """
        if self._private is None:
            self._private = PrivateFolder(self.cache.folder / PRIVATE)
        return _Sealed(self, self._private.path, subject_key)

    def close(self) -> None:
        """Remove opened copies of what is sealed."""
        if self._private is not None:
            self._private.close()
            self._private = None

    @contextmanager
    def bytes_of(self, name: str) -> Generator[Path]:
        """The bytes in the store as a file for a moment, neither checked nor cached.

        Raises:
            NotFound: there is nothing under this name.
        """
        if here := self.objects.local(name):
            yield here
        else:
            with draft(self.cache.staging) as copy:
                self.objects.fetch(name, copy)
                yield copy

    def _fetch(self, sha256: str, target: Path) -> None:
        self.objects.fetch(sha256, target)
        _check(target, sha256, self.objects.where)

    @contextmanager
    def _named(self, sha256: str) -> Generator[None]:
        try:
            yield
        except NotFound as error:
            raise NotFound(f"artifact {sha256[:12]} is not in the store", where=self.objects.where) from error


class _Sealed(ArtifactStore):
    """The view under one subject's key."""

    def __init__(self, outer: ArtifactStore, private: Path, key: bytes) -> None:
        from bottega.storage.sealed import SealedObjects

        token = hmac.new(key, b"bottega private folder", hashlib.sha256).hexdigest()[:32]
        cache = Cache(private / token, limit=outer.cache.limit)
        self._sealed = SealedObjects(outer.objects, key, cache.staging)
        super().__init__(self._sealed, cache)

    def stored_name(self, sha256: str) -> str:
        return self._sealed.name(sha256)

    def close(self) -> None:
        self.cache.clear()


def _check(path: Path, sha256: str, where: str) -> None:
    with path.open("rb") as reader:
        found = hashlib.file_digest(reader, "sha256").hexdigest()
    if found != sha256:
        raise Tampered(
            f"artifact {sha256[:12]} now hashes to {found[:12]}",
            where=where,
            remedy="restore it from a backup, or delete it and run again what made it",
        )

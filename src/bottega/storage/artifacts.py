"""Artifacts by the hash of their bytes, on local disk."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from bottega.core.artifact import Artifact
from bottega.core.errors import NotFound, StorageFailed, Tampered

CHUNK = 1 << 20  # bytes


class ArtifactStore:
    """Files under ``root/ab/cdef...``; a file is there whole or not at all, and never changes."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def put(self, data: bytes, media_type: str) -> Artifact:
        """Keep these bytes.

        Raises:
            StorageFailed: the disk is full or not writable; nothing half-written stays.
        """
        sha256 = hashlib.sha256(data).hexdigest()
        if not self._has(sha256, len(data)):
            with _disk(self.root), self._incoming() as incoming:
                incoming.write_bytes(data)
                self._settle(incoming, sha256)
        return Artifact(sha256=sha256, media_type=media_type, size=len(data))

    def put_file(self, source: Path, media_type: str) -> Artifact:
        """Keep a copy of a file, streamed through its hash."""
        with _disk(self.root), self._incoming() as incoming:
            hasher = hashlib.sha256()
            size = 0
            with source.open("rb") as reader, incoming.open("wb") as writer:
                while chunk := reader.read(CHUNK):
                    hasher.update(chunk)
                    size += len(chunk)
                    writer.write(chunk)
            sha256 = hasher.hexdigest()
            if not self._has(sha256, size):
                self._settle(incoming, sha256)
        return Artifact(sha256=sha256, media_type=media_type, size=size)

    def locate(self, artifact: Artifact) -> Path:
        """The file of an artifact; read it, never write it.

        Raises:
            NotFound: when it is not in the store.
        """
        path = self._place(artifact.sha256)
        if not path.is_file():
            raise NotFound(f"artifact {artifact.sha256[:12]} is not in the store", where=str(self.root))
        return path

    def holds(self, sha256: str) -> bool:
        """Whether an artifact with this hash is kept."""
        return self._place(sha256).is_file()

    def verify(self, artifact: Artifact) -> None:
        """Hash the file again.

        Raises:
            Tampered: when its bytes are not those that were kept.
        """
        with self.locate(artifact).open("rb") as reader:
            found = hashlib.file_digest(reader, "sha256").hexdigest()
        if found != artifact.sha256:
            raise Tampered(
                f"artifact {artifact.sha256[:12]} now hashes to {found[:12]}", where=str(self.root)
            )

    def _place(self, sha256: str) -> Path:
        return self.root / sha256[:2] / sha256[2:]

    def _has(self, sha256: str, size: int) -> bool:
        path = self._place(sha256)
        return path.is_file() and path.stat().st_size == size

    @contextmanager
    def _incoming(self) -> Generator[Path]:
        folder = self.root / "incoming"
        folder.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=folder)
        os.close(handle)
        incoming = Path(name)
        try:
            yield incoming
        finally:
            incoming.unlink(missing_ok=True)

    def _settle(self, incoming: Path, sha256: str) -> None:
        """Make it durable, then visible."""
        with incoming.open("rb+") as file:
            os.fsync(file.fileno())
        incoming.chmod(0o444)
        place = self._place(sha256)
        place.parent.mkdir(parents=True, exist_ok=True)
        incoming.replace(place)
        sync_folder(place.parent)


def sync_folder(folder: Path) -> None:
    """Make a rename inside ``folder`` survive a power cut."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _disk(root: Path) -> Generator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        free = ""
        if root.exists():
            free = f"{shutil.disk_usage(root).free // 2**20} MiB free; "
        raise StorageFailed(
            f"cannot keep an artifact: {reason}",
            where=str(root),
            remedy=f"{free}free some space or set BOTTEGA_STATE to another disk",
        ) from error

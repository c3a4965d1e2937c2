"""Files that callers of the API have sent, each its owner's alone, until they are deleted or expire."""

import filecmp
import json
import re
import secrets
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bottega.core.canonical import digest_bytes
from bottega.core.errors import KeyReused, NotFound
from bottega.storage.disk import disk

ID = re.compile(r"^file-[0-9a-f]{24}$")
FACTS = "facts.json"


@dataclass(frozen=True)
class StoredFile:
    """A file that was sent. ``created_at`` is RFC 3339 in UTC; ``size`` counts bytes; ``path`` is "." on another machine."""

    id: str
    name: str
    purpose: str
    size: int
    created_at: str
    path: Path = Path()


def new_id(key: str = "") -> str:
    """An id that no file has; of an idempotency key, with whose it is, always the same one."""
    return f"file-{digest_bytes(key.encode())[:24] if key else secrets.token_hex(12)}"


class Files:
    """A folder for each owner and in it one for each file; a file's folder appears whole or not at all."""

    def __init__(self, folder: Path, now: Callable[[], str]) -> None:
        self._folder = folder
        self._now = now

    def take(self, owner: str, source: Path, name: str, purpose: str, file_id: str = "") -> StoredFile:
        """Keep a file by moving it here, under an id that is given or new; the same file under the same id is kept once.

        Raises:
            StorageFailed: the disk is full.
            KeyReused: another file has this id.
        """
        file_id = file_id or new_id()
        place = self._of(owner) / file_id
        name = Path(name).name.strip().lstrip(".")[:120] or "file"
        if (place / FACTS).is_file():
            return self._same(owner, file_id, name, purpose, source)
        facts = {
            "name": name,
            "purpose": purpose[:40],
            "created_at": self._now(),
            "size": source.stat().st_size,
        }
        with disk(self._folder):
            making = self._folder / f".{file_id}-{secrets.token_hex(4)}"
            making.mkdir(parents=True, mode=0o700)
            try:
                shutil.move(source, making / "content")
                (making / FACTS).write_text(json.dumps(facts))
                place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                making.rename(place)
            except OSError:
                if not (place / FACTS).is_file():
                    raise
                return self._same(owner, file_id, name, purpose, making / "content")  # another one was faster
            finally:
                shutil.rmtree(making, ignore_errors=True)
        return self.get(owner, file_id)

    def _same(self, owner: str, file_id: str, name: str, purpose: str, source: Path) -> StoredFile:
        known = self.get(owner, file_id)
        if (known.name, known.purpose) != (name, purpose) or not filecmp.cmp(
            known.path, source, shallow=False
        ):
            raise KeyReused(
                "this key was used for another file", where="idempotency-key", remedy="use a new key"
            )
        return known

    def get(self, owner: str, file_id: str) -> StoredFile:
        """A file of an owner.

        Raises:
            NotFound: there is none of this id, or it is somebody else's.
        """
        place = self._of(owner) / file_id
        if not ID.match(file_id) or not (place / FACTS).is_file():
            raise NotFound(f"no file '{file_id[:64]}'", where="file", remedy="/v1/files lists them")
        facts = json.loads((place / FACTS).read_text())
        return StoredFile(id=file_id, path=place / "content", **facts)

    def all(self, owner: str) -> list[StoredFile]:
        """The files of an owner, oldest first."""
        folder = self._of(owner)
        found = [self.get(owner, each.name) for each in folder.iterdir()] if folder.is_dir() else []
        return sorted(found, key=lambda each: (each.created_at, each.id))

    def named(self, owner: str, file_id: str, folder: Path) -> Path:
        """The file under its own name in a folder of the caller's, as a link."""
        found = self.get(owner, file_id)
        target = folder / found.name
        number = 1
        while target.exists():
            number += 1
            target = folder / f"{Path(found.name).stem}-{number}{Path(found.name).suffix}"
        shutil.copyfile(found.path, target)
        return target

    def delete(self, owner: str, file_id: str) -> None:
        """Delete a file.

        Raises:
            NotFound: as `get`.
        """
        found = self.get(owner, file_id)
        gone = self._folder / f".{file_id}-gone"
        with disk(self._folder):
            found.path.parent.rename(gone)
            shutil.rmtree(gone, ignore_errors=True)

    def _of(self, owner: str) -> Path:
        return self._folder / digest_bytes(owner.encode())[:24]

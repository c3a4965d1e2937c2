"""Batches: files of calls that are made one by one, on the host that took them; what they say lies in a folder each."""

import fcntl
import json
import re
import secrets
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from pydantic import Field

from bottega.core.canonical import digest_bytes
from bottega.core.entry import Act
from bottega.core.errors import KeyReused, NotFound
from bottega.core.value import JsonObject, Value
from bottega.storage.disk import appearing, disk
from bottega.storage.journal import Journal

ID = re.compile(r"^batch_[0-9a-f]{24}$")
Status = Literal[
    "validating", "failed", "in_progress", "finalizing", "completed", "expired", "cancelling", "cancelled"
]
ENDED: tuple[Status, ...] = ("failed", "completed", "expired", "cancelled")
ASKED = ("endpoint", "input_file", "window", "metadata")  # what a repeated request must say again
FACTS, OUTPUT, ERRORS, CANCEL, LOCK = "batch.json", "output.jsonl", "errors.jsonl", "cancel", "lock"


class Batch(Value, frozen=True):
    """One batch as it stands. Times are RFC 3339 in UTC, "" for not yet; ``at`` has the time of each status.

    ``key`` is whose calls they are: a batch whose key is revoked makes no further call. A person has none: ``person`` says
    what the token granted when the batch was given.
    """

    id: str
    owner: str
    key: str
    endpoint: str
    input_file: str
    window: str
    expires_at: str
    status: Status = "validating"
    at: dict[str, str] = Field(default_factory=dict)
    total: int = 0
    completed: int = 0
    failed: int = 0
    output_file: str = ""
    error_file: str = ""
    faults: tuple[JsonObject, ...] = Field(
        default=(), description="why the file cannot be worked on, by line"
    )
    metadata: dict[str, str] = Field(default_factory=dict)
    person: JsonObject = Field(
        default_factory=dict, description="name, role, project and labels of a person; empty of a key"
    )


class Batches:
    """A folder for each owner and in it one for each batch."""

    def __init__(self, folder: Path, journal: Journal) -> None:
        self._folder = folder
        self._journal = journal

    def create(self, batch: Batch) -> Batch:
        """Keep a new one; one that is here already under this id, asked for the same, is given as it stands.

        Raises:
            KeyReused: the one that is here was asked for something else.
        """
        place = self.place(batch)
        place.mkdir(parents=True, mode=0o700, exist_ok=True)
        if (place / FACTS).exists():
            known = _read(place / FACTS)
            if any(getattr(known, name) != getattr(batch, name) for name in ASKED):
                raise KeyReused(
                    "this idempotency key began another batch",
                    where="Idempotency-Key",
                    remedy="use a new key for another batch",
                )
            return known
        made = self.save(batch, "validating")
        about: JsonObject = {"endpoint": batch.endpoint, "file": batch.input_file}
        self._journal.write(Act.BATCH_ACCEPTED, f"batch/{batch.id}", actor=batch.owner, detail=about)
        return made

    def save(self, batch: Batch, status: Status | None = None, /, **change: object) -> Batch:
        """Write down what has changed; whole or not at all."""
        if status is not None:
            change |= {"status": status, "at": {**batch.at, status: self._journal.now()}}
        batch = Batch.model_validate({**batch.document(), **change})
        with disk(self._folder), appearing(self.place(batch) / FACTS) as made:
            made.write_bytes(batch.canonical())
        if status in ENDED:
            about: JsonObject = {
                "status": status,
                "total": batch.total,
                "completed": batch.completed,
                "failed": batch.failed,
            }
            self._journal.write(Act.BATCH_ENDED, f"batch/{batch.id}", actor=batch.owner, detail=about)
        return batch

    def get(self, owner: str, batch_id: str) -> Batch:
        """A batch of an owner.

        Raises:
            NotFound: there is none of this id, or it is somebody else's.
        """
        path = self._of(owner) / batch_id / FACTS
        if not ID.match(batch_id) or not path.is_file():
            raise NotFound(f"no batch '{batch_id[:64]}'", where="batch", remedy="/v1/batches lists them")
        return _read(path)

    def all(self, owner: str) -> list[Batch]:
        """The batches of an owner, the newest first."""
        found = [_read(path) for path in self._of(owner).glob(f"*/{FACTS}")]
        return sorted(found, key=lambda each: (each.at.get("validating", ""), each.id), reverse=True)

    def unfinished(self) -> list[Batch]:
        """Batches of whomever that have not ended."""
        found = [_read(path) for path in self._folder.glob(f"*/*/{FACTS}")]
        return [batch for batch in found if batch.status not in ENDED]

    def place(self, batch: Batch) -> Path:
        """The folder of a batch."""
        return self._of(batch.owner) / batch.id

    def ask_to_cancel(self, batch: Batch) -> Batch:
        """Ask whoever works on it to stop, in whatever process of this host."""
        if batch.status in ENDED:
            return batch
        with disk(self._folder):
            (self.place(batch) / CANCEL).touch()
        return batch.model_copy(
            update={"status": "cancelling", "at": {**batch.at, "cancelling": self._journal.now()}}
        )

    def cancelling(self, batch: Batch) -> bool:
        """Whether somebody has asked for its end."""
        return (self.place(batch) / CANCEL).exists()

    @contextmanager
    def held(self, batch: Batch) -> Generator[bool]:
        """Be the one who works on it, if nobody else is; ends with the process."""
        with (self.place(batch) / LOCK).open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            yield True

    def _of(self, owner: str) -> Path:
        return self._folder / digest_bytes(owner.encode())[:24]


def new_id(idempotency_key: str = "") -> str:
    """An id that no batch has; under an idempotency key always the same."""
    return (
        f"batch_{digest_bytes(idempotency_key.encode())[:24] if idempotency_key else secrets.token_hex(12)}"
    )


def _read(path: Path) -> Batch:
    return Batch.model_validate_json(path.read_bytes())


class Lines:
    """A file of JSON lines that grows by whole lines; a torn last one, of a killed process, is cut off."""

    def __init__(self, path: Path, seen: Callable[[JsonObject], None]) -> None:
        """``seen`` is told every line that is there."""
        self._file = path.open("a+b")
        self._file.seek(0)
        end = 0
        for line in self._file:
            if not line.endswith(b"\n"):
                break
            end += len(line)
            seen(json.loads(line))
        self._file.truncate(end)
        self._file.seek(0, 2)

    def add(self, line: bytes) -> None:
        """One more, without its end."""
        self._file.write(line + b"\n")
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

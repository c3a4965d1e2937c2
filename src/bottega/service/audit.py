"""The record for those who do not trust us: checkpoints, proofs, and the whole of it verified."""

import re
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from pydantic import Field

from bottega.core.entry import Act, Entry
from bottega.core.errors import BottegaError, InvalidValue, NotFound, RecordAltered, TablesAltered
from bottega.core.value import Value
from bottega.delivery.manifest import MANIFEST, Manifest
from bottega.governance import checkpoint, proof
from bottega.governance.audit import REMEDY, verify_journal
from bottega.governance.checkpoint import Checkpoint, RecordKey
from bottega.governance.proof import Growth, Proof, Sealed
from bottega.governance.witness import Witness
from bottega.storage.compare import compare
from bottega.storage.database import Database, Transaction
from bottega.storage.disk import digest_of
from bottega.storage.journal import NEVER, PAGE, SALT
from bottega.storage.merkle import TILE, Frontier, root_of
from bottega.storage.state import State

SHA256 = re.compile(r"[0-9a-f]{64}")
# Which entry about a file says most: where it was delivered, then where it was made, then any.
WEIGHT = {Act.FILE_DELIVERED: 2, Act.STEP_FINISHED: 1}


class Verified(Value, frozen=True):
    """A record that holds, with what was looked at and what nobody could see."""

    entries: int
    root: str = Field(description="RFC 6962 root over all entries, hexadecimal")
    checkpoints: int = Field(description="signed checkpoints that agree, kept and given")
    covered: int = Field(description="entries under the newest of them")
    uncovered: int = Field(
        description="later entries: whoever has the database could still rewrite them unseen"
    )
    given: int = Field(description="checkpoints from outside; without one, the key decides over the past")
    rows: int = Field(description="rows of tables that are as the journal says")
    documents: int = Field(description="plans, results, tickets and decisions that have their hash")
    sealed: int = Field(description="details of data subjects that are what their entries commit to")
    erased: int = Field(description="details that can no longer be read; their entries still count")


class Audit:
    """Signs what is recorded, proves it, verifies it."""

    def __init__(
        self, state: State, key: Callable[[], RecordKey], witness: Witness | None, now: Callable[[], str]
    ) -> None:
        self._journal = state.journal
        self._database = state.database
        self._contents = state.contents
        self._key = key
        self._witness = witness
        self._now = now
        self._turn = threading.Lock()
        self._frontier = Frontier()  # over the full tiles of the last checkpoint that was looked at
        self._tiles = 0
        self._looked_at = ""

    @property
    def vkey(self) -> str:
        """The verifier key to hand out."""
        return self._key().vkey

    def checkpoint(self, *, force: bool = False) -> str:
        """Sign size and root if the record grew, keep the note, and bring it to the witness; gives the newest note.

        Reads what came since the last call, the first time also one hash for each 256 entries. A record that does
        not grow out of its last checkpoint is not signed. ``force`` signs again, with the present time.

        Raises:
            RecordAltered: the record was cut short or rewritten since the last checkpoint.
            Tampered: the last checkpoint is not signed by this key.
            StorageFailed: it cannot be kept, or the witness cannot be written; then it is kept, and goes with the next.
        """
        with self._turn:
            note = self._signed(force=force)
            self._bring(note)
            return note

    def attest(self) -> str:
        """As `checkpoint`, after work that must not be lost: gives what went wrong, or "", and never raises for it."""
        try:
            self.checkpoint()
        except BottegaError as error:
            return f"the record has no new checkpoint: {error}"
        return ""

    def verify(self, given: Sequence[str] = (), vkey: str = "") -> Verified:
        """Recompute everything: entries, tree, checkpoints kept and given, and what was made from the entries.

        Args:
            given: signed notes from outside, for example of a witness.
            vkey: verifier key that you have from elsewhere; without one, that of this state.

        Raises:
            RecordAltered: names the finding and the entries.
            TablesAltered: names the first row that is not as the journal says.
        """
        kept = [note for (note,) in self._database.rows("SELECT note FROM checkpoints ORDER BY size")]
        found = verify_journal(self._journal, [*kept, *given], vkey or self.vkey)
        compared = compare(self._journal, self._contents)
        if compared.differences:
            first, *more = compared.differences
            others = f", and {len(more)} more: {'; '.join(map(str, more))}" if more else ""
            raise TablesAltered(
                f"{first}{others}",
                where="record",
                remedy="the entries themselves hold; keep a copy of the state, then restore a backup",
            )
        return Verified(
            entries=found.size,
            root=found.root,
            checkpoints=found.checkpoints,
            covered=found.covered,
            uncovered=found.size - found.covered,
            given=len(given),
            rows=compared.rows,
            documents=compared.documents,
            sealed=compared.sealed,
            erased=compared.erased,
        )

    def verify_copy(self, copy: Database) -> int:
        """Verify the entries and checkpoints in a copy of the database; gives how many entries it has."""
        notes = [note for (note,) in copy.rows("SELECT note FROM checkpoints")]
        return verify_journal(replace(self._journal, database=copy), notes, self.vkey).size

    def prove(self, what: str) -> Proof:
        """A proof of the entry about a file, under a fresh checkpoint.

        Args:
            what: a delivered file, the SHA-256 of any artifact, or the number of an entry.

        Raises:
            NotFound: no entry that can be read names it.
        """
        n = self._entry_about(what)
        text = next((text for _, text, _ in self._journal.entries(n, n + 1)), None)
        if text is None:
            raise NotFound(f"there is no entry {n}", remedy="`bottega audit log` lists them")
        with self._turn:
            note = self._signed()
        sealed = None
        if Entry.model_validate_json(text).sealed and (salted := self._journal.unsealed(n)[0]):
            sealed = Sealed(salt=salted[:SALT].hex(), detail=salted[SALT:].decode())
        return proof.build(self._journal, n, text, note, self.vkey, sealed)

    def grow(self, old: str) -> Growth:
        """That the record starts with the entries of an older checkpoint; up to the newest one.

        Raises:
            Tampered: it does not, or the old checkpoint is of another record.
        """
        older = checkpoint.verify(old, self.vkey)
        with self._turn:
            newer = checkpoint.verify(self._signed(), self.vkey)
        if older.size > newer.size:
            raise RecordAltered(
                f"entries {newer.size} to {older.size - 1} truncated: the checkpoint of {older.at} counts them",
                finding="truncated", first=newer.size, last=older.size - 1, where="record", remedy=REMEDY,
            )  # fmt: skip
        growth = Growth.of(self._journal, older.size, newer.size)
        growth.verify(older, newer)
        return growth

    def log(self, subject: str = "", *, last: int = 0) -> list[Entry]:
        """Entries about a subject and what is under it, or all; ``last`` gives only so many of the newest."""
        return self._journal.about(subject, last=last or NEVER)

    def _signed(self, *, force: bool = False) -> str:
        key, size = self._key(), self._journal.size()
        rows = self._database.rows("SELECT note FROM checkpoints ORDER BY size DESC LIMIT 1")
        note = rows[0][0] if rows else ""
        last = checkpoint.verify(note, key.vkey) if note else None
        if last is not None:
            self._grown_out_of(last, note, size)
        if last is None or size > last.size or force:
            root = self._root(size)
            note = key.sign(Checkpoint(origin=key.name, size=size, root=root, at=self._now()))
            self._keep(size, note)
            self._looked_at = note
        return note

    def _bring(self, note: str) -> None:
        """To the witness, once."""
        if self._witness is None:
            return
        if not self._database.rows("SELECT 1 FROM checkpoints WHERE note = ? AND witnessed = 1", note):
            self._witness.write(note)

            def work(transaction: Transaction) -> None:
                transaction.execute("UPDATE checkpoints SET witnessed = 1 WHERE note = ?", (note,))

            self._database.write(work)

    def _grown_out_of(self, last: Checkpoint, note: str, size: int) -> None:
        """Refuse to sign over a record that is not the last one, grown."""
        if size < last.size:
            raise RecordAltered(
                f"entries {size} to {last.size - 1} truncated: the checkpoint of {last.at} counts them",
                finding="truncated", first=size, last=last.size - 1, where="record", remedy=REMEDY,
            )  # fmt: skip
        if note != self._looked_at and self._root(last.size) != last.root:
            raise RecordAltered(
                f"entries 0 to {last.size - 1} rewritten: the root is not the one signed at {last.at}",
                finding="rewritten", first=0, last=last.size - 1, where="record", remedy=REMEDY,
            )  # fmt: skip
        self._looked_at = note

    def _root(self, size: int) -> str:
        """The root over the first ``size`` entries; no smaller than the last size that was asked for."""
        whole = size // TILE
        rows = self._database.rows(
            "SELECT root FROM tiles WHERE i >= ? AND i < ? ORDER BY i", self._tiles, whole
        )
        for (tile,) in rows:
            self._frontier.append(bytes(tile))
        self._tiles = max(whole, self._tiles)
        rest = self._journal.leaves(whole * TILE, size)
        return self._frontier.root(root_of(rest) if rest else None).hex()

    def _keep(self, size: int, note: str) -> None:
        def work(transaction: Transaction) -> None:
            transaction.execute(
                "INSERT INTO checkpoints (size, note, witnessed) VALUES (?, ?, 0) "
                "ON CONFLICT (size) DO UPDATE SET note = excluded.note, witnessed = 0",
                (size, note),
            )

        self._database.write(work, durable=True)

    def _entry_about(self, what: str) -> int:
        path = Path(what)
        if path.is_file():
            wanted = [digest_of(path), *_made_as(path)]
        elif SHA256.fullmatch(what):
            wanted = [what]
        elif what.isdecimal() and len(what) < 16:
            return int(what)
        else:
            raise InvalidValue(
                f"'{what}' is no file here, no SHA-256 and no number of an entry",
                remedy="give a delivered file, 64 hexadecimal digits, or a number that `bottega audit log` shows",
            )
        for sha256 in wanted:
            found = [*self._naming(sha256)]
            if found:
                return max(found, key=lambda each: (each[0], each[1] if each[0] == 2 else -each[1]))[1]
        raise NotFound(
            f"no entry names {what}",
            where="record",
            remedy="give a file as it was delivered; if its data subject was erased, give the number of the entry",
        )

    def _naming(self, sha256: str) -> Iterator[tuple[int, int]]:
        """Weight and number of the entries that name a hash, sealed ones included."""
        rows = self._database.rows("SELECT entry FROM journal WHERE entry LIKE ?", f'%"{sha256}"%')
        for (text,) in rows:
            entry = Entry.model_validate_json(text)
            yield WEIGHT.get(entry.act, 0), entry.n
        after = -1
        while page := self._database.rows("SELECT n FROM sealed WHERE n > ? ORDER BY n LIMIT ?", after, PAGE):
            for (n,) in page:
                salted, _ = self._journal.unsealed(n)
                if salted is not None and f'"{sha256}"'.encode() in salted[SALT:]:
                    (text,) = self._database.rows("SELECT entry FROM journal WHERE n = ?", n)[0]
                    yield WEIGHT.get(Entry.model_validate_json(text).act, 0), n
            after = page[-1][0]


def _made_as(path: Path) -> list[str]:
    """The hash before signing, as the manifest above a delivered file tells it."""
    for folder in path.absolute().parents:
        manifest = folder / MANIFEST
        if not manifest.is_file():
            continue
        try:
            files = Manifest.model_validate_json(manifest.read_bytes()).artifacts
        except ValueError:
            return []
        name = path.absolute().relative_to(folder).as_posix()
        return [file.content_digest for file in files if file.path == name]
    return []

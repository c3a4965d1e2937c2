"""Data subjects: whose content is sealed under a key of its own, and what happens when that key is destroyed."""

import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from bottega.core.artifact import Artifact
from bottega.core.entry import Act
from bottega.core.errors import InvalidValue, NotFound, PolicyDenied
from bottega.governance.keyring import KeyRing
from bottega.governance.proof import Proof
from bottega.governance.redaction import masked
from bottega.governance.seal import Vault
from bottega.retrieval.collections import memory
from bottega.retrieval.collections.store import server_of
from bottega.service.audit import Audit
from bottega.storage.artifacts import ArtifactStore
from bottega.storage.database import Transaction
from bottega.storage.state import State

NOT_COVERED = (
    "folders that were delivered, copies and backups of the state and its keys, and what remote engines were sent: "
    "whoever runs this machine has to delete those; and what a process at work has opened, until it ends"
)
WHY_LOST = "its data subject is erased"


@dataclass(frozen=True)
class Erased:
    """What an erasure did. ``receipt`` proves its entry, which says all of this but ``folders`` and ``clean``."""

    pseudonym: str
    entry: int
    receipt: Proof
    folders: tuple[str, ...]  # where runs of the subject were delivered: known this once, then to nobody
    clean: bool  # False: other processes hold old pages of the database open
    warning: str  # why the witness has not got the checkpoint yet


class Privacy:
    """Makes keys for data subjects and destroys them."""

    def __init__(
        self,
        state: State,
        ring: KeyRing,
        artifacts: ArtifactStore,
        audit: Audit,
        actor: str,
        collections: Path,
        deliveries: Path,
        collections_server: str = "",
    ) -> None:
        """``deliveries`` is the folder of what a server has delivered: an erasure removes what there is about the person."""
        self._journal = state.journal
        self._database = state.database
        self._budgets = state.budgets
        self._ring = ring
        self._artifacts = artifacts
        self._audit = audit
        self._actor = actor
        self._collections = collections
        self._deliveries = deliveries
        self._collections_server = collections_server

    def holder_of(self, data_subject: str) -> str:
        """The pseudonym under whose key all about this person is kept; "" for nobody.

        Raises:
            PolicyDenied: the person was erased.
        """
        if not data_subject:
            return ""
        self._ring.key(data_subject, create=True)
        return self._ring.pseudonym(data_subject)

    def known(self, data_subject: str) -> str:
        """As `holder_of`, without making a key for somebody about whom nothing is kept.

        Raises:
            NotFound: nothing is kept about this person.
            PolicyDenied: the person was erased.
        """
        if not data_subject:
            return ""
        self._ring.key(data_subject)
        return self._ring.pseudonym(data_subject)

    def vault_of(self, holder: str) -> Vault | None:
        """What seals words about a data subject; None for nobody."""
        return Vault(self._ring, holder) if holder else None

    def artifacts_of(self, holder: str) -> ArtifactStore:
        """The sealed artifacts of a data subject.

        Raises:
            PolicyDenied: the data subject was erased.
        """
        return self._artifacts.sealed(self._ring.key_of(holder))

    def erase(self, data_subject: str, *, why: str, who: str = "") -> Erased:
        """Destroy the key of a person's data, delete what is sealed under it, and give a receipt.

        Running work on it loses its lease and ends. Called again after a crash, it finishes; called again later, it gives
        the receipt again.

        Raises:
            NotFound: nothing was ever kept about this person here.
            InvalidValue: no reason is given, or it names the person.
        """
        who = who or self._actor
        if not why.strip():
            raise InvalidValue("an erasure needs a reason", where="why", remedy="say who asked for it")
        if data_subject.lower() in f"{who} {why}".lower():
            raise InvalidValue(
                "the reason names the data subject",
                where="why",
                remedy="leave the name out: the reason stays for good",
            )
        holder = self._ring.pseudonym(data_subject)
        try:
            self._ring.key_of(holder)
        except NotFound as error:
            raise NotFound(
                "nothing was ever kept about this data subject",
                where="data-subject",
                remedy="check the identifier: it is the one given to `make` or `ask` as `--data-subject`",
            ) from error
        except PolicyDenied:
            pass  # erased before, or half erased by a process that was killed
        folders = [
            out for (out,) in self._database.rows("SELECT DISTINCT out FROM runs WHERE holder = ?", holder)
        ]
        files = self._files(holder)
        n = self._entry(holder)
        if n is None:
            n = self._destroy(data_subject, holder, who, masked(why), len(files))
        for view, sha256 in files:
            view.delete(sha256)
        ours = [out for out in folders if Path(out).parent == self._deliveries]
        for out in ours:
            shutil.rmtree(out, ignore_errors=True)
        for view in {id(view): view for view, _ in files}.values():
            view.close()
        memory.erase(self._collections, holder, server_of(self._collections_server))
        clean = self._database.purge()
        receipt = self._audit.prove(str(n))
        return Erased(
            holder, n, receipt, tuple(sorted({*filter(None, folders)} - {*ours})), clean, self._audit.attest()
        )

    def _destroy(self, data_subject: str, holder: str, who: str, why: str, files: int) -> int:
        """Key, rows and entry in one change, while nobody else writes."""

        def work(transaction: Transaction) -> int:
            rows = transaction.execute(
                "SELECT id FROM runs WHERE holder = ? ORDER BY n", (holder,)
            ).fetchall()
            runs = [run for (run,) in rows]
            # A lease's token is the number of its entry, and that one is sealed for the holder.
            for run, step, token, worker in transaction.execute(
                "SELECT run_id, step_id, token, worker FROM leases "
                "WHERE token IN (SELECT n FROM sealed WHERE holder = ?)",
                (holder,),
            ).fetchall():
                self._journal.append(
                    transaction, Act.STEP_LOST, f"run/{run}/step/{step}", actor=who, why=WHY_LOST,
                    detail={"worker": worker, "token": token, "counts": False},
                )  # fmt: skip
                self._budgets.settle(transaction, token, None, actor=who, why=WHY_LOST)
                if run not in runs:
                    runs.append(run)  # a call has no run of its own
            counts: dict[str, int] = {}
            for table in ("sealed", "contents", "documents"):
                counts[table] = transaction.execute(
                    f"DELETE FROM {table} WHERE holder = ?", (holder,)
                ).rowcount
            self._ring.destroy(data_subject)
            return self._journal.append(
                transaction, Act.SUBJECT_ERASED, f"subject/{holder}", actor=who, why=why,
                detail={
                    "runs": runs, "entries": counts["sealed"], "documents": counts["contents"], "files": files,
                    "key": "destroyed", "not_covered": NOT_COVERED,
                },
            )  # fmt: skip

        return self._database.write(work, durable=True)

    def _entry(self, holder: str) -> int | None:
        found = [
            each.n for each in self._journal.about(f"subject/{holder}") if each.act is Act.SUBJECT_ERASED
        ]
        return found[0] if found else None

    def _files(self, holder: str) -> list[tuple[ArtifactStore, str]]:
        """Sealed artifacts that can still be found under the key; others nothing refers to, so they are collected."""
        with suppress(PolicyDenied):
            view = self.artifacts_of(holder)
            rows = self._database.rows("SELECT sha256 FROM refs WHERE holder = ?", holder)
            found = {sha256 for (sha256,) in rows}
            for source, document in self._database.rows(
                "SELECT source, document FROM documents WHERE holder = ?", holder
            ):
                found |= {source, Artifact.model_validate_json(document).sha256}
            return [(view, sha256) for sha256 in sorted(found) if view.holds(sha256)]
        return []

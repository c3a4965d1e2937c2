"""Runs: made known, begun, ended, and what came of their steps."""

import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from bottega.core.entry import Act
from bottega.core.errors import InvalidBrief, KeyReused, NotFound
from bottega.core.plan import Plan
from bottega.core.run import Run, StepResult
from bottega.core.value import JsonObject
from bottega.storage.clearing import Clearing
from bottega.storage.database import Transaction, Work
from bottega.storage.fold import ENDED
from bottega.storage.leases import Lease, Leases, step_result

ENDED_BY = {state: act for act, state in ENDED.items()}
_COLUMNS = "id, state, plan, brief, out, created_at, finished_at, reason, error, round, requested_by, planned_by, holder, reuse, charge"
_NAMES = _COLUMNS.split(", ")
_NEVER = ("never", "planned", "", "", "", "", "", "", "", 0, "", "", "", 0, "[]")  # a row of no run


class RunStore(Leases):
    """The state of runs, as the journal tells it."""

    @cached_property
    def clearing(self) -> Clearing:
        """Where calls of this process begin and end in groups."""
        return Clearing(self._journal, self._contents)

    def submit(
        self,
        run: Run,
        plan: Plan,
        *,
        actor: str,
        begin: bool = True,
        reuse: bool = True,
        charge: Sequence[str] = (),
        files: Sequence[str] = (),
        release_parked: bool = False,
        why: str = "",
    ) -> Run:
        """Make a run known, or go on with the one that has this id; with ``begin`` a round of work begins at once.

        Raises:
            InvalidBrief: the id belongs to a run of another brief, or that other accounts pay.
        """
        text = plan.canonical()

        def work(transaction: Transaction) -> Run:
            known = transaction.execute(
                "SELECT brief, charge, holder FROM runs WHERE id = ?", (run.id,)
            ).fetchone()
            if known is not None and known[0] != run.brief:
                raise InvalidBrief(
                    f"run '{run.id}' was made for another brief",
                    where="run-id",
                    remedy="choose another run id",
                )
            if known is not None and charge and [*charge] != json.loads(known[1]):
                raise InvalidBrief(
                    f"run '{run.id}' is charged to {', '.join(json.loads(known[1])) or 'nobody'}",
                    where="charge",
                    remedy="go on without naming accounts, or choose another run id",
                )
            if known is not None and known[2] != run.holder:
                raise InvalidBrief(
                    f"run '{run.id}' is about another data subject, or about none",
                    where="data-subject",
                    remedy="name the same data subject, or choose another run id",
                )
            self._contents.keep(transaction, text, holder=run.holder)
            about: JsonObject = {"plan": run.plan, "out": run.out, "files": [*files]}
            if release_parked:
                about["release_parked"] = True
            if known is None or not begin:
                detail = {**about, "brief": run.brief, "reuse": reuse, "charge": [*charge]}
                self._journal.append(
                    transaction, Act.RUN_SUBMITTED, f"run/{run.id}", actor=actor, detail=detail, why=why,
                    holder=run.holder,
                )  # fmt: skip
            if begin:
                self._journal.append(
                    transaction, Act.RUN_BEGUN, f"run/{run.id}", actor=actor, detail=about, why=why,
                    holder=run.holder,
                )  # fmt: skip
            row = transaction.execute(f"SELECT {_COLUMNS} FROM runs WHERE id = ?", (run.id,)).fetchone()
            return _run(row)

        return self._database.write(work)

    def join(self, run_id: str, *, actor: str) -> Run:
        """Work with others on a run in its present round; a run that waits to begin is begun."""

        def work(transaction: Transaction) -> None:
            row = transaction.execute(
                "SELECT state, plan, out, holder FROM runs WHERE id = ?", (run_id,)
            ).fetchone()
            if row is not None and row[0] == "planned":
                self._journal.append(
                    transaction, Act.RUN_BEGUN, f"run/{run_id}", actor=actor, holder=row[3],
                    detail={"plan": row[1], "out": row[2]},
                )  # fmt: skip

        self._database.write(work)
        return self.head(run_id)

    def close(self, run: Run, *, actor: str, kept: Plan | None = None) -> bool:
        """End a round, once, whoever comes first; a round that others ended, or left behind, stays as it is.

        Unless the run only waits, a plan ``kept`` takes the place of the documents of its plans.

        Returns whether this ended it.
        """
        return self._database.write(self._closed(run, actor, kept), durable=run.state == "released")

    async def finish_last(
        self,
        lease: Lease,
        result: StepResult,
        run: Run,
        *,
        worker: str,
        reusable: bool,
        used: Mapping[str, int] | None,
        here: bool = False,
        kept: Plan | None = None,
    ) -> bool:
        """Write down how the last step of a round ended, and in the same change, as `close` does, that the round is over.

        With ``here`` the disk is waited for in this thread.

        Returns whether this ended the round.

        Raises:
            LeaseLost: another worker has taken the step over; nothing is written.
        """
        end = self._end(lease, result, worker=worker, reusable=reusable, used=used)
        close = self._closed(run, worker, kept)

        def work(transaction: Transaction) -> bool:
            end(transaction)
            return close(transaction)

        durable = lease.charged or bool(result.approved_by) or run.state == "released"
        return await self._to_its_end(lease, work, worker, durable=durable, here=here)

    def _closed(self, run: Run, actor: str, kept: Plan | None) -> Work[bool]:
        facts = (("reason", run.reason), ("error", run.error), ("finished_at", run.finished_at))
        detail: JsonObject = {"round": run.round, **{name: value for name, value in facts if value}}
        swap = None
        if kept is not None and run.state != "awaiting_review":
            detail["kept"], swap = kept.identity, self._swapped(run, kept)

        def work(transaction: Transaction) -> bool:
            row = transaction.execute("SELECT round, state FROM runs WHERE id = ?", (run.id,)).fetchone()
            if row is None or row[0] != run.round or row[1] != "running":
                return False
            self._journal.append(
                transaction, ENDED_BY[run.state], f"run/{run.id}", actor=actor, detail=detail,
                behalf=run.requested_by, holder=run.holder,
            )  # fmt: skip
            if swap is not None:
                swap(transaction)
            return True

        return work

    def _swapped(self, run: Run, kept: Plan) -> Work[None]:
        """Keeps a plan, and drops those that entries about the run name, if no other run needs them; the entry comes first."""
        told = map(self._journal.detail, self._journal.about(f"run/{run.id}"))
        plans = {detail["plan"] for detail, _ in told if "plan" in detail}
        body = kept.canonical()

        def work(transaction: Transaction) -> None:
            self._contents.keep(transaction, body, holder=run.holder)
            for plan in plans:
                transaction.execute(
                    "DELETE FROM contents WHERE digest = ? AND holder = ? AND NOT EXISTS (SELECT 1 FROM runs "
                    "WHERE runs.kept = contents.digest AND runs.holder = contents.holder)",
                    (plan, run.holder),
                )

        return work

    def ask_to_stop(self, run_id: str, *, actor: str, why: str = "", kept: Plan | None = None) -> None:
        """Tell whoever works on a run to stop it; a run that nobody has begun is cancelled at once, with ``kept`` as in `close`.

        Raises:
            NotFound: there is no such run.
        """
        swap = self._swapped(self.head(run_id), kept) if kept else None
        instead = {"kept": kept.identity} if kept else {}

        def work(transaction: Transaction) -> None:
            row = transaction.execute("SELECT state, holder FROM runs WHERE id = ?", (run_id,)).fetchone()
            if row is None:
                raise _unknown(run_id)
            if row[0] == "running":
                self._journal.append(
                    transaction, Act.RUN_STOP_ASKED, f"run/{run_id}", actor=actor, why=why, holder=row[1]
                )
            elif row[0] == "planned":
                self._journal.append(
                    transaction, Act.RUN_CANCELLED, f"run/{run_id}", actor=actor, why=why, holder=row[1],
                    detail={"reason": "stopped before it began", **instead},
                )  # fmt: skip
                if swap is not None:
                    swap(transaction)

        self._database.write(work)

    def over(self, run_id: str, round_: int) -> bool:
        """Whether work in this round is to stop: somebody asked for it, or others ended the round."""
        rows = self._database.rows("SELECT stop_asked, round, state FROM runs WHERE id = ?", run_id)
        return not rows or bool(rows[0][0]) or rows[0][1] != round_ or rows[0][2] != "running"

    def get(self, run_id: str) -> tuple[Run, Plan]:
        """A run and its plan, which is kept without its words when the run has ended and the policy says so.

        Raises:
            NotFound: there is no such run, or its data subject was erased.
        """
        rows = self._database.rows(f"SELECT {_COLUMNS}, kept FROM runs WHERE id = ?", run_id)
        if not rows:
            raise _unknown(run_id)
        *row, kept = rows[0]
        run = _run(row)
        plan = Plan.model_validate_json(self._contents.get(kept, holder=run.holder))
        results = {result.step: result for result in self.results(run)}
        ordered = [results[step.id] for step in plan.steps if step.id in results]
        return run.model_copy(update={"results": tuple(ordered)}), plan

    def whole(self, run_id: str) -> tuple[Run, Plan]:
        """A run and its plan, to work by.

        Raises:
            NotFound: as for `get`, or the plan was kept without its words.
        """
        run, plan = self.get(run_id)
        if plan.identity != run.plan:
            raise NotFound(
                f"the words of run '{run_id}' were not kept when it ended, as the policy says",
                where="plan",
                remedy=f"give its brief or plan again: bottega make FILE --run-id {run_id}",
            )
        return run, plan

    def head(self, run_id: str) -> Run:
        """A run without its results.

        Raises:
            NotFound: there is no such run, which takes as long as one that is there: no time tells a stranger.
        """
        rows = self._database.rows(f"SELECT {_COLUMNS} FROM runs WHERE id = ?", run_id)
        run = _run(rows[0] if rows else _NEVER)
        if not rows:
            raise _unknown(run_id)
        return run

    def results(self, run: Run) -> list[StepResult]:
        """What came of the run's steps in its present round so far."""
        rows = self._database.rows(
            "SELECT s.step_id, s.state, s.key, s.error, c.body FROM steps s LEFT JOIN contents c "
            "ON c.digest = s.result AND c.holder = ? WHERE s.run_id = ? AND s.round = ?",
            run.holder,
            run.id,
            run.round,
        )
        return [
            step_result(
                step, state, key, error, self._contents.read(body, holder=run.holder) if body else None
            )
            for step, state, key, error, body in rows
        ]

    def all(self) -> list[Run]:
        """Every run, oldest first, without its results."""
        return [_run(row) for row in self._database.rows(f"SELECT {_COLUMNS} FROM runs ORDER BY n")]

    def round(self, run_id: str) -> int:
        """The number of the entry that began the present round of a run; -1 when there is no such run."""
        rows = self._database.rows("SELECT round FROM runs WHERE id = ?", run_id)
        return rows[0][0] if rows else -1

    def unfinished(self) -> list[str]:
        """Ids of runs that a worker may begin or join."""
        rows = self._database.rows("SELECT id FROM runs WHERE state IN ('planned', 'running') ORDER BY n")
        return [run_id for (run_id,) in rows]

    def accept_call(self, key: str, request: str, run_id: str, *, actor: str) -> str:
        """Bind an idempotency key to a request; give the run that answers it, an earlier one if the key is known.

        Raises:
            KeyReused: the key was used for another request.
        """

        def work(transaction: Transaction) -> str:
            known = transaction.execute("SELECT request, run_id FROM calls WHERE key = ?", (key,)).fetchone()
            if known is None:
                self._journal.append(
                    transaction, Act.CALL_ACCEPTED, f"run/{run_id}", actor=actor,
                    detail={"key": key, "request": request, "run": run_id},
                )  # fmt: skip
                return run_id
            if known[0] != request:
                raise KeyReused(
                    "this key was used for another request", where="idempotency-key", remedy="use a new key"
                )
            return known[1]

        return self._database.write(work, durable=True)

    def keep_document(
        self, source: str, name: str, converter: str, document: str, *, holder: str = ""
    ) -> None:
        """Remember the converted form of a source: work saved, not truth."""
        self._database.write(
            lambda transaction: (
                transaction.execute(
                    "INSERT INTO documents (source, name, converter, holder, document, at) VALUES (?, ?, ?, ?, ?, ?) "
                    "ON CONFLICT (source, name, converter, holder) DO UPDATE SET document = excluded.document, "
                    "at = excluded.at",
                    (source, name, converter, holder, document, self._journal.now()),
                ).rowcount
            )
        )

    def document(self, source: str, name: str, converter: str, *, holder: str = "") -> str | None:
        """The converted form of a source, if it was converted before by the same converter."""
        rows = self._database.rows(
            "SELECT document FROM documents WHERE source = ? AND name = ? AND converter = ? AND holder = ?",
            source,
            name,
            converter,
            holder,
        )
        return rows[0][0] if rows else None


def _unknown(run_id: str) -> NotFound:
    return NotFound(f"no run '{run_id}'", remedy="`bottega runs` lists them")


def _run(row: Sequence[Any]) -> Run:
    facts = dict(zip(_NAMES, row, strict=True))
    return Run.model_validate(facts | {"reuse": bool(facts["reuse"]), "charge": json.loads(facts["charge"])})

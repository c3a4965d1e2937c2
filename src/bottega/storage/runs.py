"""Runs, finished step results and review tickets."""

from bottega.core.errors import InvalidBrief, NotFound
from bottega.core.plan import Plan
from bottega.core.run import Run, StepResult
from bottega.storage.database import Database


class RunStore:
    """The state of runs. A finished step result is kept under its key, for this run and others."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def start(self, run: Run, plan: Plan) -> Run:
        """Register a run, or give back the one that already has this id.

        Raises:
            InvalidBrief: when the id belongs to a run of another brief.
        """
        with self._database.transaction() as connection:
            row = connection.execute("SELECT brief, run FROM runs WHERE id = ?", (run.id,)).fetchone()
            if row is None:
                connection.execute(
                    "INSERT INTO runs (id, brief, plan, run) VALUES (?, ?, ?, ?)",
                    (run.id, run.brief, plan.canonical().decode(), run.canonical().decode()),
                )
                return run
            if row[0] != run.brief:
                raise InvalidBrief(
                    f"run '{run.id}' was made for another brief",
                    where="run-id",
                    remedy="choose another run id",
                )
            known = Run.model_validate_json(row[1])
            renewed = known.model_copy(update={"plan": run.plan, "state": run.state, "out": run.out})
            connection.execute(
                "UPDATE runs SET plan = ?, run = ? WHERE id = ?",
                (plan.canonical().decode(), renewed.canonical().decode(), run.id),
            )
            return renewed

    def save(self, run: Run) -> None:
        """Replace a run's state."""
        with self._database.transaction() as connection:
            connection.execute("UPDATE runs SET run = ? WHERE id = ?", (run.canonical().decode(), run.id))

    def get(self, run_id: str) -> tuple[Run, Plan]:
        """A run and its plan.

        Raises:
            NotFound: when there is no such run.
        """
        rows = self._database.rows("SELECT run, plan FROM runs WHERE id = ?", run_id)
        if not rows:
            raise NotFound(f"no run '{run_id}'", remedy="`bottega runs` lists them")
        return Run.model_validate_json(rows[0][0]), Plan.model_validate_json(rows[0][1])

    def all(self) -> list[Run]:
        """Every run, oldest first."""
        rows = self._database.rows("SELECT run FROM runs ORDER BY rowid")
        return [Run.model_validate_json(text) for (text,) in rows]

    def keep_result(self, run_id: str, result: StepResult, checks: str, *, reusable: bool) -> None:
        """Keep a finished step; ``reusable`` lets other runs have it."""
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO results (key, checks, run_id, reusable, result) VALUES (?, ?, ?, ?, ?)",
                (result.key, checks, run_id, int(reusable), result.canonical().decode()),
            )

    def result(self, run_id: str, key: str, checks: str) -> StepResult | None:
        """A finished result of this run, or a reusable one of any run, judged by the same checks."""
        rows = self._database.rows(
            "SELECT result FROM results WHERE key = ? AND checks = ? AND (run_id = ? OR reusable = 1) "
            "ORDER BY run_id = ? DESC, rowid LIMIT 1",
            key,
            checks,
            run_id,
            run_id,
        )
        return StepResult.model_validate_json(rows[0][0]) if rows else None

    def keep_document(self, source: str, name: str, converter: str, document: str) -> None:
        """Remember the converted form of a source, both as serialised artifacts' JSON."""
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO documents (source, name, converter, document) VALUES (?, ?, ?, ?)",
                (source, name, converter, document),
            )

    def document(self, source: str, name: str, converter: str) -> str | None:
        """The converted form of a source, if it was converted before by the same converter."""
        rows = self._database.rows(
            "SELECT document FROM documents WHERE source = ? AND name = ? AND converter = ?",
            source,
            name,
            converter,
        )
        return rows[0][0] if rows else None

    def keep_ticket(self, ticket_id: str, run_id: str, ticket: str) -> None:
        """Open a review ticket; the same ticket again changes nothing."""
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT OR IGNORE INTO tickets (id, run_id, ticket) VALUES (?, ?, ?)",
                (ticket_id, run_id, ticket),
            )

    def decide_ticket(self, ticket_id: str, decision: str) -> None:
        """Close a ticket, once."""
        with self._database.transaction() as connection:
            changed = connection.execute(
                "UPDATE tickets SET decision = ? WHERE id = ? AND decision IS NULL", (decision, ticket_id)
            ).rowcount
        if not changed:
            raise NotFound(
                f"no open review '{ticket_id}'", remedy="`bottega review list` shows the open ones"
            )

    def tickets(self, run_id: str = "") -> list[tuple[str, str, str, str | None]]:
        """Tickets as (id, run id, ticket JSON, decision JSON or None), oldest first."""
        rows = self._database.rows("SELECT id, run_id, ticket, decision FROM tickets ORDER BY rowid")
        return [(row[0], row[1], row[2], row[3]) for row in rows if not run_id or row[1] == run_id]

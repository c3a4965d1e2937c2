"""Makes the tables, or brings those of an earlier release up to date; all in one change."""

import json
from typing import Any

from bottega.core.canonical import digest
from bottega.core.entry import Act
from bottega.core.errors import StorageFailed
from bottega.core.plan import Plan
from bottega.core.run import Run, StepResult
from bottega.storage import schema
from bottega.storage.contents import Contents
from bottega.storage.database import Database, Transaction
from bottega.storage.journal import Journal
from bottega.storage.leases import ended_detail
from bottega.storage.runs import ENDED_BY
from bottega.storage.schema import VERSION

ACTOR = "bottega:migration"
FIRST = ("runs", "results", "documents", "tickets", "record")  # tables of the first release


def migrate(database: Database, journal: Journal, contents: Contents) -> None:
    """Bring the tables to this release's version. A process that comes second finds the work done.

    Raises:
        StorageFailed: a newer release has written them.
    """
    if database.version() == VERSION:
        return

    def work(transaction: Transaction) -> None:
        version = database.version(transaction)
        if version > VERSION:
            raise StorageFailed(
                f"the state is of a newer release (version {version}, this one knows {VERSION})",
                remedy="install that release, or set BOTTEGA_STATE to another folder",
            )
        if version == VERSION:
            return
        if version == 1:
            for table in FIRST:
                transaction.execute(f"ALTER TABLE {table} RENAME TO first_{table}")
        later = schema.INDEXED + (schema.REKEYED if database.keyed else "") + schema.BY_RUN + schema.KEPT
        tables = {
            2: schema.KEYS + schema.PROJECTS + later,
            3: schema.KEYS_OF_PROJECTS + schema.PROJECTS + later,
            4: later,
            5: schema.BY_RUN + schema.KEPT,
        }.get(version, schema.EVERYTHING)
        for statement in database.statements(tables):
            transaction.execute(statement)
        if version == 1:
            _from_first(transaction, journal, contents)
        database.set_version(transaction, VERSION)

    database.write(work, durable=True)


def _from_first(transaction: Transaction, journal: Journal, contents: Contents) -> None:
    """Tell the first release's runs, results and reviews to the journal; its record stays readable beside it."""
    count, head = transaction.execute(
        "SELECT COUNT(*), COALESCE((SELECT hash FROM first_record ORDER BY sequence DESC LIMIT 1), '') FROM first_record"
    ).fetchone()
    journal.append(
        transaction, Act.STATE_MIGRATED, "state/1", actor=ACTOR,
        detail={"from": 1, "to": VERSION, "table": "first_record", "entries": count, "head": head},
        why="the chained record of the first release ends here",
    )  # fmt: skip
    rounds: dict[tuple[str, str, str], int] = {}  # run, step and key to the round that the result is of
    for run_text, plan_text in transaction.execute(
        "SELECT run, plan FROM first_runs ORDER BY rowid"
    ).fetchall():
        run = Run.model_validate_json(run_text)
        begun = _run(transaction, journal, contents, run, Plan.model_validate_json(plan_text))
        rounds |= {(run.id, result.step, result.key): begun for result in run.results}
    rows = transaction.execute(
        "SELECT run_id, checks, reusable, result FROM first_results ORDER BY rowid"
    ).fetchall()
    for run_id, checks, reusable, text in rows:
        result = StepResult.model_validate_json(text)
        round_ = rounds.get((run_id, result.step, result.key), -1)
        _result(transaction, journal, contents, run_id, round_, checks, bool(reusable), result)
    for row in transaction.execute(
        "SELECT id, run_id, ticket, decision FROM first_tickets ORDER BY rowid"
    ).fetchall():
        _ticket(transaction, journal, contents, row)
    transaction.execute(
        "INSERT INTO documents (source, name, converter, holder, document, at) "
        "SELECT source, name, converter, '', document, ? FROM first_documents",
        (journal.now(),),
    )
    for table in FIRST[:-1]:
        transaction.execute(f"DROP TABLE first_{table}")


def _run(transaction: Transaction, journal: Journal, contents: Contents, run: Run, plan: Plan) -> int:
    """Tell a run; the number of the entry that began its one round."""
    subject = f"run/{run.id}"
    contents.keep(transaction, plan.canonical())
    about = {"plan": run.plan, "brief": run.brief, "out": run.out, "files": [s.sha256 for s in plan.sources]}
    journal.append(transaction, Act.RUN_SUBMITTED, subject, actor=ACTOR, detail=about)
    begun = journal.append(transaction, Act.RUN_BEGUN, subject, actor=ACTOR, detail=about)
    checks = {step.id: digest(step.checks) for step in plan.steps}
    for result in run.results:
        if result.state == "awaiting_review":
            kept = contents.keep(transaction, result.canonical())
            journal.append(
                transaction, Act.STEP_WAITING, f"{subject}/step/{result.step}", actor=ACTOR,
                detail={**ended_detail(result), "round": begun, "result": kept, "checks": checks.get(result.step, "")},
            )  # fmt: skip
    if run.state in ENDED_BY:
        journal.append(
            transaction,
            ENDED_BY[run.state],
            subject,
            actor=ACTOR,
            detail={"reason": run.reason, "error": run.error},
        )
    return begun


def _result(
    transaction: Transaction, journal: Journal, contents: Contents, run_id: str, round_: int, checks: str,
    reusable: bool, result: StepResult,
) -> None:  # fmt: skip
    kept = contents.keep(transaction, result.canonical())
    journal.append(
        transaction, Act.STEP_FINISHED, f"run/{run_id}/step/{result.step}", actor=ACTOR,
        detail={**ended_detail(result), "round": round_, "result": kept, "checks": checks, "reusable": reusable},
    )  # fmt: skip


def _ticket(transaction: Transaction, journal: Journal, contents: Contents, row: tuple[Any, ...]) -> None:
    ticket_id, run_id, ticket, decision = row
    kept, facts = contents.keep(transaction, ticket.encode()), json.loads(ticket)
    about = {"run": run_id, "ticket": kept, **{name: facts[name] for name in ("step", "port", "plan")}}
    journal.append(transaction, Act.TICKET_OPENED, f"ticket/{ticket_id}", actor=ACTOR, detail=about)
    if decision:
        said = json.loads(decision)
        act = Act.TICKET_APPROVED if said["outcome"] == "approve" else Act.TICKET_REJECTED
        journal.append(
            transaction, act, f"ticket/{ticket_id}", actor=said["who"],
            detail={"decision": contents.keep(transaction, decision.encode())},
        )  # fmt: skip

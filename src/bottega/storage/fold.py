"""What each entry of the journal does to the tables that answer questions.

Nothing else writes those tables, so they can be emptied and folded again from the journal with the same result.
"""

import json
from collections.abc import Callable

from bottega.core.entry import Act
from bottega.storage import accounts, ticket_rules
from bottega.storage.database import Transaction
from bottega.storage.journal import Detail, Line

Step = tuple[str, str]  # run id, step id

ENDED = {
    Act.RUN_RELEASED: "released",
    Act.RUN_WAITING: "awaiting_review",
    Act.RUN_FAILED: "failed",
    Act.RUN_CANCELLED: "cancelled",
}
STEP_STATES = {
    Act.STEP_FINISHED: "done",
    Act.STEP_REUSED: "reused",
    Act.STEP_WAITING: "awaiting_review",
    Act.STEP_FAILED: "failed",
    Act.STEP_STOPPED: "stopped",
    Act.STEP_DELAYED: "delayed",
    Act.STEP_PARKED: "parked",
}


def fold(transaction: Transaction, line: Line) -> None:
    """Carry one entry into the tables."""
    if does := RULES.get(line.act):
        does(transaction, line)


def run_of(subject: str) -> str:
    """The run's id in ``run/ID`` and ``run/ID/step/ID``."""
    return subject.split("/")[1]


def step_of(subject: str) -> Step:
    """Run and step of ``run/ID/step/ID``."""
    _, run, _, step = subject.split("/")
    return run, step


def _submitted(transaction: Transaction, line: Line) -> None:
    run, detail = run_of(line.subject), line.detail
    transaction.execute(
        "INSERT INTO runs (id, n, round, state, brief, plan, out, created_at, finished_at, reason, error, requested_by, "
        "planned_by, holder, reuse, charge, stop_asked, kept) "
        "VALUES (?, ?, ?, 'planned', ?, ?, ?, ?, '', '', '', ?, ?, ?, ?, ?, 0, ?) "
        "ON CONFLICT (id) DO UPDATE SET state = 'planned', "
        "planned_by = CASE WHEN runs.plan = excluded.plan THEN runs.planned_by ELSE excluded.planned_by END, "
        "plan = excluded.plan, kept = excluded.kept, out = excluded.out, "
        "reuse = excluded.reuse, stop_asked = 0",
        (
            run, line.n, line.n, detail.get("brief", ""), detail.get("plan", ""), detail.get("out", ""),
            line.at, line.actor, line.actor, line.holder, int(detail.get("reuse", True)), json.dumps(detail.get("charge", [])),
            detail.get("plan", ""),
        ),
    )  # fmt: skip
    _refer(transaction, run, detail.get("files", ()), line.holder)
    _release_parked(transaction, run, detail)


def _begun(transaction: Transaction, line: Line) -> None:
    run, detail = run_of(line.subject), line.detail
    plan = detail.get("plan", "")
    transaction.execute(
        "UPDATE runs SET round = ?, state = 'running', planned_by = CASE WHEN plan = ? THEN planned_by ELSE ? END, "
        "plan = ?, kept = ?, out = ?, finished_at = '', reason = '', error = '', stop_asked = 0 WHERE id = ?",
        (line.n, plan, line.actor, plan, plan, detail.get("out", ""), run),
    )
    _refer(transaction, run, detail.get("files", ()), line.holder)
    _release_parked(transaction, run, detail)


def _release_parked(transaction: Transaction, run: str, detail: Detail) -> None:
    if detail.get("release_parked"):
        transaction.execute("UPDATE steps SET deaths = 0 WHERE run_id = ?", (run,))


def _stop_asked(transaction: Transaction, line: Line) -> None:
    transaction.execute("UPDATE runs SET stop_asked = 1 WHERE id = ?", (run_of(line.subject),))


def _ended(transaction: Transaction, line: Line) -> None:
    transaction.execute(
        "UPDATE runs SET state = ?, finished_at = ?, reason = ?, error = ?, stop_asked = 0 WHERE id = ?",
        (
            ENDED[line.act],
            line.detail.get("finished_at", line.at),
            line.detail.get("reason", ""),
            line.detail.get("error", ""),
            run_of(line.subject),
        ),
    )
    if kept := line.detail.get("kept"):
        transaction.execute("UPDATE runs SET kept = ? WHERE id = ?", (kept, run_of(line.subject)))
    if line.act is Act.RUN_WAITING:
        ticket_rules.go_on(transaction, run_of(line.subject))  # all may have been decided while it still ran
        accounts.go_on(transaction, run_of(line.subject))


def _expired(transaction: Transaction, line: Line) -> None:
    run = run_of(line.subject)
    transaction.execute(
        "DELETE FROM decisions WHERE ticket_id IN (SELECT id FROM tickets WHERE run_id = ?)", (run,)
    )
    for table in ("steps", "leases", "results", "refs", "tickets", "waits", "calls"):
        transaction.execute(f"DELETE FROM {table} WHERE run_id = ?", (run,))
    transaction.execute("DELETE FROM runs WHERE id = ?", (run,))


def _erased(transaction: Transaction, line: Line) -> None:
    """Nothing of the subject stays. What was sealed is not folded again, so its runs are named by the entry."""
    holder = line.subject.split("/")[1]
    transaction.execute(
        "DELETE FROM decisions WHERE ticket_id IN (SELECT id FROM tickets WHERE holder = ?)", (holder,)
    )
    for table in ("steps", "results", "refs", "tickets", "runs"):
        transaction.execute(f"DELETE FROM {table} WHERE holder = ?", (holder,))
    for run in line.detail.get("runs", ()):
        transaction.execute(
            "DELETE FROM decisions WHERE ticket_id IN (SELECT id FROM tickets WHERE run_id = ?)", (run,)
        )
        for table in ("steps", "leases", "waits", "calls", "tickets"):
            transaction.execute(f"DELETE FROM {table} WHERE run_id = ?", (run,))


def _leased(transaction: Transaction, line: Line) -> None:
    run, step = step_of(line.subject)
    detail = line.detail
    transaction.execute(
        "INSERT INTO leases (run_id, step_id, token, worker, engine, host, key) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            run, step, line.n, line.actor, "/".join(detail[name] for name in ("engine", "lane") if detail.get(name)), detail.get("host", ""), detail.get("key", ""),
        ),
    )  # fmt: skip


def _lost(transaction: Transaction, line: Line) -> None:
    """The worker of a step is gone, or the process of its engine: nobody has it, and the death may count.

    What a person was looking at stays, if it was made by this key.
    """
    run, step = step_of(line.subject)
    lease = transaction.execute(
        "SELECT key FROM leases WHERE run_id = ? AND step_id = ?", (run, step)
    ).fetchone()
    if lease is None:  # its own entry was of a data subject whose key is destroyed
        return
    _release(transaction, line)
    death = int(line.detail.get("counts", True))
    transaction.execute(
        "INSERT INTO steps (run_id, step_id, round, state, key, checks, result, error, deaths, delays, wake_at, holder) "
        "VALUES (?, ?, -1, 'waiting', ?, '', '', '', ?, 0, '', ?) "
        "ON CONFLICT (run_id, step_id) DO UPDATE SET round = -1, state = 'waiting', key = excluded.key, "
        "result = CASE WHEN steps.key = excluded.key AND steps.state IN ('awaiting_review', 'waiting') "
        "THEN steps.result ELSE '' END, error = '', delays = 0, wake_at = '', "
        "deaths = CASE WHEN steps.key = excluded.key THEN steps.deaths + excluded.deaths ELSE excluded.deaths END",
        (run, step, lease[0], death, line.holder),
    )


def _settled(transaction: Transaction, line: Line) -> None:
    """A step has ended in a round, one way or another; one of an earlier round changes nothing."""
    run, step = step_of(line.subject)
    detail, state = line.detail, STEP_STATES[line.act]
    deaths = "0" if state in ("done", "reused") else "steps.deaths"
    _release(transaction, line)
    transaction.execute(
        "INSERT INTO steps (run_id, step_id, round, state, key, checks, result, error, deaths, delays, wake_at, holder) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, ?, ?, ?) ON CONFLICT (run_id, step_id) DO UPDATE SET round = excluded.round, "
        "state = excluded.state, key = excluded.key, checks = excluded.checks, result = excluded.result, "
        "error = excluded.error, delays = excluded.delays, wake_at = excluded.wake_at, "
        f"deaths = CASE WHEN steps.key = excluded.key THEN {deaths} ELSE 0 END WHERE steps.round <= excluded.round",
        (
            run, step, detail.get("round", 0), state, detail.get("key", ""), detail.get("checks", ""),
            detail.get("result", ""), detail.get("error", ""), detail.get("delays", 0), detail.get("until", ""),
            line.holder,
        ),
    )  # fmt: skip
    _refer(transaction, run, [made["sha256"] for made in detail.get("outputs", ())], line.holder)
    if detail.get("approved_by"):
        ticket_rules.applied(transaction, run, step)
    if line.act is Act.STEP_FINISHED:
        transaction.execute(
            "INSERT INTO results (key, checks, run_id, n, reusable, result, holder) VALUES (?, ?, ?, ?, ?, ?, ?) "
            "ON CONFLICT (key, checks, run_id) DO UPDATE SET result = excluded.result, n = excluded.n",
            (
                detail.get("key", ""), detail.get("checks", ""), run, line.n, int(detail.get("reusable", False)),
                detail.get("result", ""), line.holder,
            ),
        )  # fmt: skip


def _release(transaction: Transaction, line: Line) -> None:
    run, step = step_of(line.subject)
    transaction.execute("DELETE FROM leases WHERE run_id = ? AND step_id = ?", (run, step))


def _refer(transaction: Transaction, run: str, files: "list[str] | tuple[str, ...]", holder: str) -> None:
    for sha256 in files:
        transaction.execute(
            "INSERT INTO refs (sha256, run_id, holder) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
            (sha256, run, holder),
        )


def _decided(transaction: Transaction, line: Line) -> None:
    ticket_rules.RULES[line.act](transaction, line)
    if question := ticket_rules.question(transaction, line):
        accounts.answered(transaction, "question = ?", question)


def _called(transaction: Transaction, line: Line) -> None:
    transaction.execute(
        "INSERT INTO calls (key, request, run_id) VALUES (?, ?, ?)",
        (line.detail.get("key", ""), line.detail.get("request", ""), line.detail.get("run", "")),
    )


def _key_created(transaction: Transaction, line: Line) -> None:
    key, detail = line.subject.split("/")[1], line.detail
    transaction.execute(
        "INSERT INTO api_keys (id, secret, name, role, charge, created_at, expires_at, revoked_at, "
        "project, labels) VALUES (?, ?, ?, ?, ?, ?, ?, '', ?, ?)",
        (
            key, detail["secret"], detail["name"], detail["role"], json.dumps(detail.get("charge", [])), line.at,
            detail.get("expires_at", ""), detail.get("project", ""), json.dumps(detail.get("labels", [])),
        ),
    )  # fmt: skip


def _project_set(transaction: Transaction, line: Line) -> None:
    transaction.execute(
        "INSERT INTO projects (id, team, closed) VALUES (?, ?, ?) "
        "ON CONFLICT (id) DO UPDATE SET team = excluded.team, closed = excluded.closed",
        (line.subject.split("/")[1], line.detail.get("team", ""), int(line.detail.get("closed", False))),
    )


def _key_revoked(transaction: Transaction, line: Line) -> None:
    key = line.subject.split("/")[1]
    transaction.execute("UPDATE api_keys SET revoked_at = ? WHERE id = ? AND revoked_at = ''", (line.at, key))


RULES: dict[Act, Callable[[Transaction, Line], None]] = {
    Act.RUN_SUBMITTED: _submitted,
    Act.RUN_BEGUN: _begun,
    Act.RUN_STOP_ASKED: _stop_asked,
    Act.RUN_EXPIRED: _expired,
    Act.SUBJECT_ERASED: _erased,
    Act.STEP_LEASED: _leased,
    Act.STEP_LOST: _lost,
    Act.STEP_DIED: _lost,
    Act.CALL_ACCEPTED: _called,
    Act.KEY_CREATED: _key_created,
    Act.KEY_REVOKED: _key_revoked,
    Act.PROJECT_SET: _project_set,
    **ticket_rules.RULES,
    Act.TICKET_APPROVED: _decided,
    Act.TICKET_REJECTED: _decided,
    **accounts.RULES,
    **dict.fromkeys(ENDED, _ended),
    **dict.fromkeys(STEP_STATES, _settled),
}

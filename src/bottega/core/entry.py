"""One line of the journal, and the acts that it may tell of."""

from enum import StrEnum

from pydantic import Field

from bottega.core.value import JsonObject, Value


class Act(StrEnum):
    """What happened, as ``source:subject:act``: who says so, what it is about, what was done to it."""

    RUN_SUBMITTED = "pipeline:run:submitted"  # a run is known; a worker may begin it
    RUN_BEGUN = "pipeline:run:begun"  # a round of work begins, with this plan
    RUN_STOP_ASKED = "pipeline:run:stop_asked"  # somebody wants it to stop
    RUN_RELEASED = "pipeline:run:released"  # every step is done
    RUN_WAITING = "pipeline:run:waiting"  # a person must decide; no process needs to wait
    RUN_FAILED = "pipeline:run:failed"
    RUN_CANCELLED = "pipeline:run:cancelled"
    RUN_EXPIRED = "pipeline:run:expired"  # its retention has ended; its files may be collected

    STEP_LEASED = "pipeline:step:leased"  # a worker has it; the entry's number is its fencing token
    STEP_LOST = "pipeline:step:lost"  # its worker is gone; another may have it
    STEP_DIED = "pipeline:step:died"  # the process of its engine ended under it
    STEP_FINISHED = "pipeline:step:finished"
    STEP_REUSED = "pipeline:step:reused"  # an equal key was finished before
    STEP_WAITING = "pipeline:step:waiting"  # made, and a person must look at it
    STEP_FAILED = "pipeline:step:failed"
    STEP_STOPPED = "pipeline:step:stopped"  # ended on request, with what it had used
    STEP_DELAYED = "pipeline:step:delayed"  # its engine asks to come back later
    STEP_PARKED = "pipeline:step:parked"  # it ended its worker too often; a person must release it

    TICKET_OPENED = "review:ticket:opened"
    TICKET_CLAIMED = "review:ticket:claimed"  # somebody took it on
    TICKET_APPROVED = "review:ticket:approved"
    TICKET_REJECTED = "review:ticket:rejected"
    TICKET_ESCALATED = "review:ticket:escalated"  # nobody decided in time
    TICKET_EXPIRED = "review:ticket:expired"  # a decision can no longer be taken on it

    ACCOUNT_SET = "budget:account:set"  # a limit was set or changed
    BUDGET_RESERVED = "budget:amount:reserved"
    BUDGET_SETTLED = "budget:amount:settled"  # what was used is spent, the rest is free again
    BUDGET_REFUSED = "budget:amount:refused"  # the limit would have been passed

    FILE_DELIVERED = "delivery:file:delivered"
    RUN_REPLAYED = "service:run:replayed"  # made again from the record, and compared
    COLLECTION_INDEXED = (
        "retrieval:collection:indexed"  # documents went in, changed labels or were found gone
    )
    COLLECTION_REMOVED = "retrieval:collection:removed"  # documents, or all of it, were taken out
    ANSWER_GIVEN = "retrieval:answer:given"  # or why there is none
    CALL_ACCEPTED = "service:call:accepted"  # an idempotency key is bound to its request
    BATCH_ACCEPTED = "service:batch:accepted"  # many calls from one file; each of them is a call of its own
    BATCH_ENDED = "service:batch:ended"
    KEY_CREATED = "service:key:created"  # an API key may be used from now on
    KEY_REVOKED = "service:key:revoked"
    PROJECT_SET = "service:project:set"  # a project is known, belongs to a team, or is closed
    SUBJECT_ERASED = "privacy:subject:erased"  # the key of a person's data is destroyed
    RETENTION_BEGUN = "store:retention:begun"  # a worker has the turn to apply the policy's retention
    RETENTION_APPLIED = "store:retention:applied"  # by which policy, and how much was removed
    FILES_COLLECTED = "storage:files:collected"
    STATE_MIGRATED = "storage:state:migrated"
    STATE_RESTORED = "storage:state:restored"


class Entry(Value, frozen=True):
    """One line of the append-only journal: who did what to which subject, on whose behalf, why, with what, at what cost.

    ``detail`` holds references (digests) and plain facts, never bytes. Of a run about a data subject ``detail`` (with ``why`` in it) is
    kept outside under that subject's key; ``sealed`` then holds SHA-256 over a secret salt and the detail, so that
    the proof outlives the content. ``cost`` is in millionths of its units, for example ``{"usd": 1200}``.
    """

    n: int = Field(ge=0, description="its place in the journal")
    at: str = Field(description="RFC 3339, UTC; never before the entry above it")
    act: Act
    actor: str = Field(description="who: `user:ada`, `worker:host-81f2`")
    subject: str = Field(description="about what: `run/ID`, `run/ID/step/ID`, `ticket/ID`, `key/ID`")
    behalf: str = Field(default="", description="for whom, when not for the actor")
    why: str = ""
    detail: JsonObject = Field(default_factory=dict)
    cost: dict[str, int] = Field(default_factory=dict)
    sealed: str = ""

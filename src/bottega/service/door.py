"""The operations as every door offers them: one contract for this machine and for a server."""

from collections.abc import AsyncGenerator, Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol

from bottega.core.brief import Brief
from bottega.core.entry import Entry
from bottega.core.plan import Plan
from bottega.core.run import Run
from bottega.governance.review import Outcome
from bottega.governance.verify import Verification
from bottega.pipelines.review import Waiting
from bottega.retrieval.answers.answer import Answer
from bottega.retrieval.answers.conversation import Conversation
from bottega.retrieval.answers.flow import Policy
from bottega.retrieval.collections.collection import Hit, Method
from bottega.retrieval.collections.report import Progress, Report
from bottega.service.budgets import Account
from bottega.service.collections import Listed
from bottega.service.files import StoredFile
from bottega.service.making import Made
from bottega.storage.accounts import Period


class Door(Protocol):
    """What `bottega.local.Local` and `bottega.client.AsyncClient` both are; their errors are the same ones.

    A refusal is an error of `bottega.core.errors` with its reason. Over HTTP the key decides who acts and which accounts pay.
    """

    async def plan(self, wish: str | Brief, *, sources: Sequence[str | Path] = (), **wanted: Any) -> Plan:
        """What would run, as data; ``wanted`` as in `bottega.plan`."""
        ...

    async def check(self, plan: Plan) -> Plan:
        """Validate a plan, edited or not."""
        ...

    async def start(self, plan: Plan, *, idempotency_key: str = "") -> Run:
        """Begin a run and leave it to a worker; the same key and plan give the same run."""
        ...

    async def make(self, wish: str | Brief | Plan, *, out: str | Path = "out", **wanted: Any) -> Made:
        """Make what is wanted and deliver it into the folder ``out``, which appears whole or not at all."""
        ...

    async def resume(self, run_id: str) -> Run:
        """Leave a run that failed, was stopped or waited to a worker again."""
        ...

    async def stop(self, run_id: str) -> Run:
        """Ask a run to stop."""
        ...

    async def runs(self) -> list[Run]:
        """Runs that the caller may see, the newest first, without their results."""
        ...

    async def run(self, run_id: str) -> Run:
        """One of them."""
        ...

    def events(self, run_id: str, *, after: int = -1) -> AsyncGenerator[Entry]:
        """What happens to a run until it rests, from the entry behind number ``after`` on."""
        ...

    async def delivered(self, run_id: str) -> list[str]:
        """Paths of a run's delivered files, signed, with page, plan and manifest."""
        ...

    async def delivered_file(self, run_id: str, path: str) -> bytes:
        """One of them."""
        ...

    async def artifact(self, sha256: str) -> bytes:
        """Bytes that a step has made."""
        ...

    async def reviews(self, *, everything: bool = False) -> list[Waiting]:
        """What waits for a person; ``everything`` with what is decided."""
        ...

    async def review(self, review_id: str) -> Waiting:
        """One of them."""
        ...

    async def decide(self, review_id: str, outcome: Outcome, why: str = "") -> Waiting:
        """Approve or reject, under the caller's name."""
        ...

    async def audit(self, subject: str = "", *, last: int = 100) -> list[Entry]:
        """Entries of the record about a subject, or all; the newest so many, oldest first."""
        ...

    async def checkpoint(self) -> str:
        """The signed root of the record as it is now."""
        ...

    async def budgets(self) -> list[Account]:
        """Accounts: limits, and what was spent."""
        ...

    async def set_budget(
        self,
        account: str,
        unit: str,
        limit: Decimal | float | None,
        *,
        period: Period = "total",
        why: str = "",
    ) -> list[Account]:
        """Set or take away a limit; gives the account in all its units."""
        ...

    async def send(self, path: str | Path, *, purpose: str = "user_data") -> StoredFile:
        """Keep a file of the caller's."""
        ...

    async def sent(self) -> list[StoredFile]:
        """Files that the caller has sent, oldest first."""
        ...

    async def content(self, file_id: str) -> bytes:
        """Bytes of one of them."""
        ...

    async def forget(self, file_id: str) -> None:
        """Delete one of them."""
        ...

    async def collections(self) -> list[Listed]:
        """Collections as the caller sees them."""
        ...

    async def index(
        self,
        name: str,
        paths: Sequence[str | Path] = (),
        *,
        labels: Sequence[str] | None = None,
        embedder: str = "",
        watch: Callable[[Progress], None] = lambda progress: None,
    ) -> Report:
        """Index files into a collection; whoever shall find them must have all ``labels``.

        Not given: a known document keeps its labels and a new one is for all. ``embedder`` changes that of the whole
        collection, which needs no files. ``watch`` is told how far it has come.
        """
        ...

    async def remove(self, name: str, document: str) -> Report:
        """Remove a document that the caller sees, with the answers that rest on it."""
        ...

    async def search(self, name: str, query: str, *, top: int = 10, method: Method = "fusion") -> list[Hit]:
        """Passages that answer best."""
        ...

    async def ask(
        self,
        question: str,
        collection: str,
        *,
        model: str = "",
        session: str = "",
        unsupported: Policy = "remove",
        fresh: bool = False,
    ) -> Answer:
        """An answer, every sentence with its quote, or why there is none.

        ``unsupported`` says what becomes of sentences that nothing bears out; ``fresh`` takes no earlier answer over.
        """
        ...

    async def history(self, collection: str, session: str, *, words: str = "") -> Conversation:
        """A conversation as the caller may see it; with ``words``, the turns that hold them, best first."""
        ...

    async def forget_session(self, collection: str, session: str) -> int:
        """Delete a conversation of the caller's; gives the number of its turns."""
        ...

    async def delete_collection(self, name: str) -> None:
        """Remove a whole collection."""
        ...

    async def verify(self, path: str | Path) -> Verification:
        """Whether a file is as it left, and how it was made."""
        ...

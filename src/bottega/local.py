"""The service of this machine under the operations that `bottega.client` has over HTTP: code moves between them unchanged."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

from bottega.bootstrap import build
from bottega.core.artifact import Artifact
from bottega.core.brief import Brief
from bottega.core.canonical import digest_bytes
from bottega.core.entry import Entry
from bottega.core.errors import NotFound
from bottega.core.plan import Plan
from bottega.core.run import Run
from bottega.governance.review import Outcome
from bottega.governance.verify import Verification
from bottega.pipelines.briefs import brief_from
from bottega.pipelines.review import Waiting
from bottega.pipelines.validate import validate
from bottega.retrieval.answers.answer import Answer
from bottega.retrieval.answers.conversation import Conversation
from bottega.retrieval.answers.flow import Policy
from bottega.retrieval.collections.collection import Hit, Method
from bottega.retrieval.collections.report import Progress, Report
from bottega.service import Made
from bottega.service.budgets import Account
from bottega.service.collections import Listed
from bottega.service.deliveries import file_of, files_of
from bottega.service.files import StoredFile
from bottega.service.following import follow
from bottega.service.worker import Worker
from bottega.settings import Settings
from bottega.storage.accounts import Period


class Local:
    """A `bottega.service.door.Door` onto this machine. While it is open, runs that wait are worked on here.

    ``labels`` are those that searches may see, ``charge`` the accounts that pay.
    """

    def __init__(
        self, settings: Settings | None = None, *, labels: Sequence[str] = (), charge: Sequence[str] = ()
    ) -> None:
        self._service = build(settings)
        self._labels, self._charge = tuple(labels), tuple(charge)
        self._work: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._work is not None:
            self._work.cancel()
            await asyncio.gather(self._work, return_exceptions=True)
        self._service.close()

    async def plan(
        self, wish: str | Brief, *, sources: Sequence[str | Path] = (), data_subject: str = "", **wanted: Any
    ) -> Plan:
        """As `Door.plan`."""
        brief = brief_from(wish, sources=sources, **wanted)
        return await self._service.plan(brief, charge=self._charge, data_subject=data_subject)

    async def check(self, plan: Plan) -> Plan:
        """As `Door.check`."""
        await asyncio.to_thread(validate, plan, self._service.shop)
        return plan

    async def start(self, plan: Plan, *, data_subject: str = "", idempotency_key: str = "") -> Run:
        """As `Door.start`; a worker of this door goes on with it."""
        given = digest_bytes(idempotency_key.encode()) if idempotency_key else uuid4().hex
        run_id = f"run-{given[:12]}"
        run = await asyncio.to_thread(
            self._service.submit, plan, self._service.folder / "deliveries" / run_id, run_id=run_id,
            charge=self._charge, data_subject=data_subject, idempotency_key=idempotency_key,
        )  # fmt: skip
        self._at_work()
        return run

    async def make(
        self, wish: str | Brief | Plan, *, out: str | Path = "out", data_subject: str = "",
        idempotency_key: str = "", **wanted: Any,
    ) -> Made:  # fmt: skip
        """As `Door.make`."""
        plan = wish if isinstance(wish, Plan) else await self.plan(wish, data_subject=data_subject, **wanted)
        return await self._service.make(
            plan, Path(out), charge=self._charge, data_subject=data_subject, idempotency_key=idempotency_key
        )

    async def resume(self, run_id: str) -> Run:
        """As `Door.resume`."""
        run, plan = await asyncio.to_thread(self._service.shop.runs.whole, run_id)
        out = Path(run.out) if run.out else None
        found = await asyncio.to_thread(self._service.submit, plan, out, run_id=run.id)
        self._at_work()
        return found

    async def stop(self, run_id: str) -> Run:
        """As `Door.stop`."""
        await asyncio.to_thread(self._service.stop, run_id)
        return await self.run(run_id)

    async def runs(self) -> list[Run]:
        """As `Door.runs`."""
        found = await asyncio.to_thread(self._service.runs)
        return [run.model_copy(update={"results": ()}) for run in reversed(found) if not run.holder]

    async def run(self, run_id: str) -> Run:
        """As `Door.run`."""
        return (await asyncio.to_thread(self._service.shop.runs.get, run_id))[0]

    async def events(self, run_id: str, *, after: int = -1) -> AsyncGenerator[Entry]:
        """As `Door.events`."""
        async with aclosing(follow(self._service, run_id, after=after)) as entries:
            async for entry in entries:
                if entry is not None:
                    yield entry

    async def delivered(self, run_id: str) -> list[str]:
        """As `Door.delivered`."""
        return [*await asyncio.to_thread(files_of, await self.run(run_id))]

    async def delivered_file(self, run_id: str, path: str) -> bytes:
        """As `Door.delivered_file`."""
        return await asyncio.to_thread(file_of, await self.run(run_id), path)

    async def artifact(self, sha256: str) -> bytes:
        """As `Door.artifact`."""
        if not await asyncio.to_thread(self._service.shop.artifacts.holds, sha256):
            raise NotFound("there is no such artifact", where="sha256")
        wanted = Artifact(sha256=sha256, media_type="", size=0)
        return await asyncio.to_thread(self._service.shop.artifacts.read, wanted)

    async def reviews(self, *, everything: bool = False) -> list[Waiting]:
        """As `Door.reviews`."""
        return await asyncio.to_thread(lambda: self._service.reviews().queue(everything=everything))

    async def review(self, review_id: str) -> Waiting:
        """As `Door.review`."""
        return await asyncio.to_thread(self._service.reviews().get, review_id)

    async def decide(self, review_id: str, outcome: Outcome, why: str = "") -> Waiting:
        """As `Door.decide`."""
        who = self._service.actor.partition(":")[2]
        found = await asyncio.to_thread(self._service.reviews().decide, review_id, outcome, who, why)
        self._at_work()
        return found

    async def audit(self, subject: str = "", *, last: int = 100) -> list[Entry]:
        """As `Door.audit`."""
        return await asyncio.to_thread(self._service.audit.log, subject, last=last)

    async def checkpoint(self) -> str:
        """As `Door.checkpoint`."""
        return await asyncio.to_thread(self._service.audit.checkpoint)

    async def budgets(self) -> list[Account]:
        """As `Door.budgets`."""
        return await asyncio.to_thread(self._service.budgets().all)

    async def set_budget(
        self,
        account: str,
        unit: str,
        limit: Decimal | float | None,
        *,
        period: Period = "total",
        why: str = "",
    ) -> list[Account]:
        """As `Door.set_budget`."""
        ledger = self._service.budgets()
        await asyncio.to_thread(lambda: ledger.set(account, unit, limit, period=period, why=why))
        return [each for each in await self.budgets() if each.account == account]

    async def send(self, path: str | Path, *, purpose: str = "user_data") -> StoredFile:
        """As `Door.send`."""

        def take() -> StoredFile:
            with tempfile.TemporaryDirectory(prefix="bottega-send-") as folder:
                copy = shutil.copyfile(path, Path(folder) / "file")
                return self._service.files.take(self._service.actor, copy, Path(path).name, purpose)

        return await asyncio.to_thread(take)

    async def sent(self) -> list[StoredFile]:
        """As `Door.sent`."""
        return await asyncio.to_thread(self._service.files.all, self._service.actor)

    async def content(self, file_id: str) -> bytes:
        """As `Door.content`."""
        return await asyncio.to_thread(self._service.files.get(self._service.actor, file_id).path.read_bytes)

    async def forget(self, file_id: str) -> None:
        """As `Door.forget`."""
        await asyncio.to_thread(self._service.files.delete, self._service.actor, file_id)

    async def collections(self) -> list[Listed]:
        """As `Door.collections`."""
        return await asyncio.to_thread(
            lambda: self._service.collections().all(allowed=frozenset(self._labels))
        )

    async def index(
        self,
        name: str,
        paths: Sequence[str | Path] = (),
        *,
        labels: Sequence[str] | None = None,
        embedder: str = "",
        watch: Callable[[Progress], None] = lambda progress: None,
    ) -> Report:
        """As `Door.index`."""
        return await self._service.collections().index(
            name, [Path(path) for path in paths], labels=labels, embedder=embedder, watch=watch
        )

    async def remove(self, name: str, document: str) -> Report:
        """As `Door.remove`."""
        return await self._service.collections().remove(name, [document], allowed=self._labels)

    async def search(self, name: str, query: str, *, top: int = 10, method: Method = "fusion") -> list[Hit]:
        """As `Door.search`."""
        return await self._service.collections().search(
            name, query, allowed=self._labels, top=top, method=method
        )

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
        """As `Door.ask`."""
        return await self._service.answers().ask(
            question, collection, allowed=self._labels, model=model, session=session, charge=self._charge,
            unsupported=unsupported, fresh=fresh,
        )  # fmt: skip

    async def history(self, collection: str, session: str, *, words: str = "") -> Conversation:
        """As `Door.history`."""
        return await self._service.answers().history(collection, session, allowed=self._labels, words=words)

    async def forget_session(self, collection: str, session: str) -> int:
        """As `Door.forget_session`."""
        return await self._service.answers().forget(collection, session)

    async def delete_collection(self, name: str) -> None:
        """As `Door.delete_collection`."""
        await asyncio.to_thread(self._service.collections().delete, name)

    async def verify(self, path: str | Path) -> Verification:
        """As `Door.verify`."""
        return await asyncio.to_thread(self._service.verify, Path(path))

    def _at_work(self) -> None:
        if self._work is None or self._work.done():
            self._work = asyncio.create_task(Worker(self._service).work())

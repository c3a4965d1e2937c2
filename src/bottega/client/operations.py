"""The operations over HTTP: what `bottega.service.door.Door` says, asked of a server."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import fields
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

from bottega.client.wire import Wire
from bottega.core.brief import Brief
from bottega.core.entry import Entry
from bottega.core.errors import UnreadableSource
from bottega.core.passage import Passage
from bottega.core.plan import Plan
from bottega.core.run import Run
from bottega.delivery.folder import Delivery, delivered
from bottega.delivery.replace import discard, place, prepare
from bottega.governance.review import Decision, Outcome, Ticket
from bottega.governance.verify import Verification
from bottega.pipelines.briefs import brief_from
from bottega.pipelines.review import Waiting
from bottega.retrieval.answers.answer import Answer
from bottega.retrieval.answers.conversation import Conversation
from bottega.retrieval.answers.flow import Policy
from bottega.retrieval.collections.collection import Hit, Method
from bottega.retrieval.collections.report import Progress, Report
from bottega.retrieval.collections.store import DocumentRow
from bottega.retrieval.expand import expand, names
from bottega.service import Made
from bottega.service.budgets import Account
from bottega.service.collections import Listed
from bottega.service.files import StoredFile
from bottega.storage.accounts import Period

AMOUNTS = ("limit", "spent", "reserved", "left", "near")  # decimal text: a budget is exact, a float is not


class AsyncClient:
    """A `bottega.service.door.Door` onto a server, under one API key; the key's accounts pay.

    Args:
        url: of the server, with or without ``/v1``.
        key: the API key, or the token of a person.
        timeout: seconds without a byte after which an answer is given up.
        transport: another transport of httpx, for tests.
    """

    def __init__(self, url: str, key: str, *, timeout: float = 600.0, transport: Any = None) -> None:
        self._wire = Wire(url, key, timeout, transport)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close its connections."""
        await self._wire.close()

    async def plan(
        self, wish: str | Brief, *, sources: Sequence[str | Path] = (), data_subject: str = "", **wanted: Any
    ) -> Plan:
        """As `Door.plan`: the sources are sent, and deleted there when the plan has taken them in."""
        brief = brief_from(wish, sources=sources, **wanted)
        paths = await asyncio.to_thread(expand, [Path(source) for source in brief.sources])
        sent = [await self._send(path, name, "user_data") for path, name in names(paths).items()]
        try:
            body = {**brief.document(), "sources": [each.id for each in sent], "data_subject": data_subject}
            found = await self._wire.ask("POST", "/v1/briefs", json=body)
        finally:
            for each in sent:
                await self.forget(each.id)
        return _plan(found.json())

    async def check(self, plan: Plan) -> Plan:
        """As `Door.check`."""
        return _plan((await self._wire.ask("POST", "/v1/plans", json=plan.document())).json())

    async def start(self, plan: Plan, *, data_subject: str = "", idempotency_key: str = "") -> Run:
        """As `Door.start`."""
        body = {"plan": plan.document(), "data_subject": data_subject}
        return _run((await self._wire.ask("POST", "/v1/runs", json=body, key=idempotency_key)).json())

    async def make(
        self, wish: str | Brief | Plan, *, out: str | Path = "out", data_subject: str = "",
        idempotency_key: str = "", watch: Callable[[Entry], None] = lambda entry: None, **wanted: Any,
    ) -> Made:  # fmt: skip
        """As `Door.make`; ``watch`` is told of every entry of the record as it comes."""
        plan = wish if isinstance(wish, Plan) else await self.plan(wish, data_subject=data_subject, **wanted)
        run = await self.start(plan, data_subject=data_subject, idempotency_key=idempotency_key)
        async for entry in self.events(run.id):
            watch(entry)
        return Made(await self.run(run.id), plan, await self.fetch(run.id, out))

    async def fetch(self, run_id: str, out: str | Path) -> Delivery | None:
        """A run's delivered folder, put in place whole, its digests compared; None when nothing was delivered.

        Raises:
            InputError: ``out`` holds files that are not an earlier delivery.
            Tampered: what came is not what the manifest says.
        """
        paths = await self.delivered(run_id)
        if not paths:
            return None
        home = Path(out)
        staging = await asyncio.to_thread(prepare, home)
        try:
            for path in paths:
                target = staging / path
                if not target.resolve().is_relative_to(staging.resolve()):
                    raise UnreadableSource("the server names a file outside of the folder", where=path[:200])
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(await self.delivered_file(run_id, path))
            home = await asyncio.to_thread(place, staging, home)
        except BaseException:
            await asyncio.to_thread(discard, staging)
            raise
        return await asyncio.to_thread(delivered, home, run_id)

    async def resume(self, run_id: str) -> Run:
        """As `Door.resume`."""
        return _run((await self._wire.ask("POST", f"/v1/runs/{_(run_id)}/resume")).json())

    async def stop(self, run_id: str) -> Run:
        """As `Door.stop`."""
        return _run((await self._wire.ask("POST", f"/v1/runs/{_(run_id)}/cancel")).json())

    async def runs(self) -> list[Run]:
        """As `Door.runs`."""
        return [_run(each) for each in await self._data("/v1/runs")]

    async def run(self, run_id: str) -> Run:
        """As `Door.run`."""
        return _run((await self._wire.ask("GET", f"/v1/runs/{_(run_id)}")).json())

    async def events(self, run_id: str, *, after: int = -1) -> AsyncGenerator[Entry]:
        """As `Door.events`; a connection that breaks is taken up where it broke."""
        async for told in self._wire.events(f"/v1/runs/{_(run_id)}/events", after):
            yield Entry.model_validate(told)

    async def delivered(self, run_id: str) -> list[str]:
        """As `Door.delivered`."""
        found = (await self._wire.ask("GET", f"/v1/runs/{_(run_id)}")).json()
        return [str(each["path"]) for each in found["files"]]

    async def delivered_file(self, run_id: str, path: str) -> bytes:
        """As `Door.delivered_file`."""
        return (await self._wire.ask("GET", f"/v1/runs/{_(run_id)}/files/{quote(path)}")).content

    async def artifact(self, sha256: str) -> bytes:
        """As `Door.artifact`."""
        return (await self._wire.ask("GET", f"/v1/artifacts/{_(sha256)}")).content

    async def reviews(self, *, everything: bool = False) -> list[Waiting]:
        """As `Door.reviews`."""
        found = await self._data("/v1/reviews", state="all" if everything else "open")
        return [_waiting(each) for each in found]

    async def review(self, review_id: str) -> Waiting:
        """As `Door.review`."""
        return _waiting((await self._wire.ask("GET", f"/v1/reviews/{_(review_id)}")).json())

    async def decide(self, review_id: str, outcome: Outcome, why: str = "") -> Waiting:
        """As `Door.decide`."""
        body = {"outcome": outcome, "why": why}
        return _waiting(
            (await self._wire.ask("POST", f"/v1/reviews/{_(review_id)}/decision", json=body)).json()
        )

    async def audit(self, subject: str = "", *, last: int = 100) -> list[Entry]:
        """As `Door.audit`."""
        found = await self._data("/v1/audit", subject=subject, last=str(last))
        return [Entry.model_validate(each) for each in found]

    async def checkpoint(self) -> str:
        """As `Door.checkpoint`."""
        return str((await self._wire.ask("GET", "/v1/audit/checkpoint")).json()["checkpoint"])

    async def budgets(self) -> list[Account]:
        """As `Door.budgets`."""
        return [_account(each) for each in await self._data("/v1/budgets")]

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
        most = None if limit is None else float(limit)
        body = {"unit": unit, "limit": most, "period": period, "why": why}
        found = (await self._wire.ask("PUT", f"/v1/budgets/{_(account)}", json=body)).json()
        return [_account(each) for each in found["data"]]

    async def send(self, path: str | Path, *, purpose: str = "user_data") -> StoredFile:
        """As `Door.send`."""
        return await self._send(Path(path), Path(path).name, purpose)

    async def sent(self) -> list[StoredFile]:
        """As `Door.sent`."""
        return [_file(each) for each in await self._data("/v1/files")]

    async def content(self, file_id: str) -> bytes:
        """As `Door.content`."""
        return (await self._wire.ask("GET", f"/v1/files/{_(file_id)}/content")).content

    async def forget(self, file_id: str) -> None:
        """As `Door.forget`."""
        await self._wire.ask("DELETE", f"/v1/files/{_(file_id)}")

    async def collections(self) -> list[Listed]:
        """As `Door.collections`."""
        return [
            Listed(
                each["id"],
                each["documents"],
                each["passages"],
                each["embedder"],
                next_embedder=each.get("next_embedder", ""),
            )
            for each in await self._data("/v1/collections")
        ]

    async def index(
        self,
        name: str,
        paths: Sequence[str | Path] = (),
        *,
        labels: Sequence[str] | None = None,
        embedder: str = "",
        watch: Callable[[Progress], None] = lambda progress: None,
    ) -> Report:
        """As `Door.index`: the files are sent, and deleted from the caller's when the server has taken them over.

        The server goes on when this client goes away; a connection that breaks is taken up.
        """
        found = await asyncio.to_thread(expand, [Path(path) for path in paths])
        sent = [await self._send(path, told, "user_data") for path, told in names(found).items()]
        try:
            body = {
                "files": [each.id for each in sent], "labels": labels, "embedder": embedder, "background": True,
            }  # fmt: skip
            begun = await self._wire.ask("POST", f"/v1/collections/{_(name)}/documents", json=body)
        finally:
            for each in sent:
                await self.forget(each.id)
        path = f"/v1/collections/{_(name)}/indexings/{_(begun.json()['id'])}"
        async for told in self._wire.events(f"{path}/events", -1):
            watch(Progress.model_validate(told))
        return Report.model_validate((await self._wire.ask("GET", path)).json()["report"])

    async def remove(self, name: str, document: str) -> Report:
        """As `Door.remove`."""
        path = f"/v1/collections/{_(name)}/documents/{quote(document)}"
        return Report.model_validate((await self._wire.ask("DELETE", path)).json())

    async def search(self, name: str, query: str, *, top: int = 10, method: Method = "fusion") -> list[Hit]:
        """As `Door.search`."""
        body = {"query": query, "top": top, "method": method}
        found = (await self._wire.ask("POST", f"/v1/collections/{_(name)}/search", json=body)).json()
        return [_hit(each) for each in found["data"]]

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
        body = {
            "question": question, "model": model, "session": session, "unsupported": unsupported, "fresh": fresh,
        }  # fmt: skip
        found = await self._wire.ask("POST", f"/v1/collections/{_(collection)}/ask", json=body)
        return Answer.model_validate(found.json())

    async def history(self, collection: str, session: str, *, words: str = "") -> Conversation:
        """As `Door.history`."""
        path = f"/v1/collections/{_(collection)}/sessions/{_(session)}"
        found = await self._wire.ask("GET", path, params={"words": words} if words else {})
        return Conversation.model_validate(found.json())

    async def forget_session(self, collection: str, session: str) -> int:
        """As `Door.forget_session`."""
        path = f"/v1/collections/{_(collection)}/sessions/{_(session)}"
        return int((await self._wire.ask("DELETE", path)).json()["turns"])

    async def delete_collection(self, name: str) -> None:
        """As `Door.delete_collection`."""
        await self._wire.ask("DELETE", f"/v1/collections/{_(name)}")

    async def verify(self, path: str | Path) -> Verification:
        """As `Door.verify`, by the server's roots; a sidecar beside the file is not sent."""
        data = await asyncio.to_thread(_bytes, Path(path))
        found = await self._wire.ask(
            "POST", "/v1/content_provenance_checks", files={"file": (Path(path).name, data)}
        )
        return Verification.model_validate(found.json()["verification"])

    async def _send(self, path: Path, name: str, purpose: str) -> StoredFile:
        data = await asyncio.to_thread(_bytes, path)
        found = await self._wire.ask(
            "POST", "/v1/files", files={"file": (name, data)}, data={"purpose": purpose}
        )
        return _file(found.json())

    async def _data(self, path: str, **query: str) -> list[Any]:
        return (await self._wire.ask("GET", path, params=query)).json()["data"]


def _(name: str) -> str:
    """A name as one piece of a path."""
    return quote(name, safe=":") or "%00"


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UnreadableSource(f"cannot be read: {error.strerror}", where=str(path)) from error


def _plan(told: dict[str, Any]) -> Plan:
    return Plan.model_validate({name: value for name, value in told.items() if name != "identity"})


def _run(told: dict[str, Any]) -> Run:
    return Run.model_validate({name: value for name, value in told.items() if name in Run.model_fields})


def _waiting(told: dict[str, Any]) -> Waiting:
    return Waiting(
        id=told["id"], ticket=Ticket.model_validate(told["ticket"]), state=told["state"], owner=told["owner"],
        decisions=tuple(Decision.model_validate(each) for each in told["decisions"]),
        opened_at=told["opened_at"], due_at=told["due_at"], expires_at=told["expires_at"],
    )  # fmt: skip


def _account(told: dict[str, Any]) -> Account:
    exact: dict[str, Any] = {name: Decimal(told[name]) for name in AMOUNTS if told[name] is not None}
    return Account(**{**told, **exact})


def _file(told: dict[str, Any]) -> StoredFile:
    at = datetime.fromtimestamp(told["created_at"], UTC).isoformat().replace("+00:00", "Z")
    return StoredFile(told["id"], told["filename"], told["purpose"], told["bytes"], at)


def _hit(told: dict[str, Any]) -> Hit:
    row = {
        each.name: told["document"][each.name]
        for each in fields(DocumentRow)
        if each.name in told["document"]
    }
    row |= {"labels": frozenset(row["labels"]), "notes": tuple(row["notes"])}
    document = DocumentRow(id=0, place="", state="indexed", error="", remedy="", **row)
    return Hit(Passage.model_validate(told["passage"]), told["score"], document, told["language"])

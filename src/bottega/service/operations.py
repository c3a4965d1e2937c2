"""Plan, make, review, verify: every door calls these."""

import asyncio
import threading
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from copy import copy
from dataclasses import dataclass, replace
from functools import partial
from mimetypes import guess_type
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from bottega.core.artifact import Artifact
from bottega.core.brief import Brief
from bottega.core.canonical import digest
from bottega.core.entry import Act
from bottega.core.errors import EngineFailed, InvalidPlan, NotFound
from bottega.core.plan import Plan
from bottega.core.request import Finished, Request
from bottega.core.run import Made as Made_
from bottega.core.run import Run, StepResult
from bottega.delivery.folder import Delivery, deliver, delivered
from bottega.governance.authority import Authority
from bottega.governance.keyring import KeyRing
from bottega.governance.redaction import masked
from bottega.governance.signing import Signer
from bottega.governance.verify import Verification, verify
from bottega.pipelines.blueprints import blueprint
from bottega.pipelines.build import Builder
from bottega.pipelines.comparison import Replayed, made_on
from bottega.pipelines.graph import split
from bottega.pipelines.intent import read_intent
from bottega.pipelines.provenance import provenance
from bottega.pipelines.review import Reviews
from bottega.pipelines.runner import Event, Runner, Sources
from bottega.pipelines.sources import at_hand, main_table, take_in
from bottega.pipelines.validate import ready, validate
from bottega.pipelines.workshop import Workshop
from bottega.retrieval.convert import Limits, read_bytes
from bottega.retrieval.media import BY_SUFFIX, sniff
from bottega.service.audit import Audit
from bottega.service.batches import Batches
from bottega.service.budgets import Ledger
from bottega.service.calls import Calls
from bottega.service.files import Files
from bottega.service.keys import Keys
from bottega.service.privacy import Privacy
from bottega.service.projects import Projects
from bottega.service.replay import Note, Replays
from bottega.service.signed import signed
from bottega.service.store import Store
from bottega.storage.budgets import named
from bottega.storage.state import State

if TYPE_CHECKING:
    from bottega.service.answers import Answers
    from bottega.service.collections import Collections
    from bottega.service.tables import Tables

Watch = Callable[[Event], None]


@dataclass(frozen=True)
class Made:
    """What `Bottega.make` gives back."""

    run: Run
    plan: Plan
    delivery: Delivery | None
    warning: str = ""  # why what was recorded is not under a checkpoint that the witness has

    @property
    def out(self) -> Path | None:
        """The delivered folder."""
        return self.delivery.out if self.delivery else None


class Bottega:
    """The service. Built by `bottega.bootstrap`; all operations are coroutines."""

    def __init__(
        self,
        shop: Workshop,
        authority: Callable[[], Authority],
        state: State,
        *,
        actor: str,
        ring: KeyRing,
        audit: Audit,
        folder: Path,
    ) -> None:
        self.shop = shop
        self.state = state
        self.actor = actor
        self.folder = folder
        self.audit = audit
        self.privacy = Privacy(
            state,
            ring,
            shop.artifacts,
            audit,
            actor,
            shop.collections,
            folder.absolute() / "deliveries",
            shop.collections_server,
        )
        self.store = Store(state, self.privacy, shop.artifacts, shop.policy, audit, folder, actor)
        self._authority = authority
        self._collections: Collections | None = None
        self._answers: Answers | None = None

    def acting(self, actor: str) -> "Bottega":
        """The same service on behalf of somebody else, for the record."""
        other = copy(self)
        other.actor = actor
        return other

    @property
    def files(self) -> Files:
        """Files that callers of the API have sent."""
        return Files(self.folder / "files", self.shop.now)

    @property
    def batches(self) -> Batches:
        """Files of calls that a server works on."""
        return Batches(self.folder / "batches", self.state.journal)

    def shop_of(self, holder: str) -> Workshop:
        """The workshop for a data subject's content: its artifacts are sealed, and opened copies private to this process.

        Raises:
            PolicyDenied: the data subject was erased.
        """
        if not holder:
            return self.shop
        artifacts = self.privacy.artifacts_of(holder)
        return replace(
            self.shop, artifacts=artifacts, holder=holder, scratch=artifacts.cache.folder / "scratch"
        )

    async def plan(
        self,
        brief: Brief,
        note: Callable[[str], None] = lambda text: None,
        *,
        charge: Sequence[str] = (),
        data_subject: str = "",
    ) -> Plan:
        """Read the intent, take the sources in, build a plan and validate it. Nothing runs.

        The accounts of ``charge`` pay for reading the intent. With ``data_subject`` (any stable identifier of the
        person) all that is kept is sealed under that person's key; `make` needs the same.

        Raises:
            InvalidBrief, NotFound, UnreadableSource, InvalidPlan, PolicyDenied, BudgetExceeded, SetupError
        """
        shop = self.shop_of(self.privacy.holder_of(data_subject))
        accounts = [named(account) for account in charge]
        for wanted in brief.deliverables:
            blueprint(wanted.kind)  # an unknown kind shows before any work
        sources = await take_in(brief, shop, note)
        note("reading the brief")
        asking = partial(self._ask_once, shop, accounts)
        intent = await read_intent(brief, asking)
        table = await asyncio.to_thread(main_table, sources, brief.goal, shop)
        plan = Builder(brief, intent, sources, table, self.shop).build()
        validate(plan, self.shop)
        return plan

    async def _ask_once(self, shop: Workshop, charge: Sequence[str], request: Request) -> Sequence[Finished]:
        """Ask an engine as a step does: the same question about the same brief is answered once."""
        result = await Calls(shop, self.actor).call(request, charge=charge)
        if result.state not in ("done", "reused"):
            raise EngineFailed(result.error, where="reading the brief")
        locate = shop.artifacts.locate
        return [
            Finished(
                port=made.port, media_type=made.artifact.media_type, data=locate(made.artifact).read_bytes()
            )
            for made in result.outputs
        ]

    def take(self, path: Path) -> Artifact:
        """A file as an artifact, to be part of a `call`; its media type is that of its name, else of its bytes.

        Raises:
            UnreadableSource: it is missing, empty, too large, or may not be read.
        """
        data = read_bytes(path, Limits())
        media_type = BY_SUFFIX.get(path.suffix.lower()) or guess_type(path.name)[0] or sniff(data)
        return self.shop.artifacts.put(data, media_type)

    async def call(self, request: Request, *, actor: str = "", **how: Any) -> StepResult:
        """One request to one engine, for this service's actor or another; ``how`` is as `Calls.call` says."""
        return await Calls(self.shop, actor or self.actor).call(request, **how)

    def signed(self, call_id: str, request: Request, result: StepResult, made: Made_) -> bytes:
        """An output of a call with its credentials inside, as `bottega.service.signed` says."""
        return signed(self.shop, self._authority(), call_id, request, result, made)

    def read_plan(self, path: Path) -> Plan:
        """A plan from its file, validated.

        Raises:
            InvalidPlan: one clear error naming the step and the field.
        """
        try:
            plan = Plan.model_validate_json(path.read_bytes())
        except FileNotFoundError as error:
            raise InvalidPlan("there is no such file", where=str(path), remedy="check the path") from error
        except OSError as error:
            raise InvalidPlan(
                f"it cannot be read: {error.strerror or error}", where=str(path), remedy="give a plan file"
            ) from error
        except ValidationError as error:
            raise _plan_fault(path, error) from error
        validate(plan, self.shop)
        return plan

    async def make(
        self,
        plan: Plan,
        out: Path | None,
        *,
        run_id: str = "",
        watch: Watch = lambda event: None,
        cancelled: threading.Event | None = None,
        reuse: bool = True,
        charge: Sequence[str] = (),
        release_parked: bool = False,
        why: str = "",
        data_subject: str = "",
        idempotency_key: str = "",
    ) -> Made:
        """Run a plan and deliver what it makes.

        An existing ``run_id`` of the same brief goes on where it stopped. Whatever is finished is delivered,
        even when a step waits for a person; the run says so. ``reuse`` takes equal results of other runs over;
        ``release_parked`` tries steps again that were parked because they ended their worker. The accounts of
        ``charge`` (``project:kettles``) pay, each in full; what their limits refuse waits for a person.
        The same ``idempotency_key`` gives the same run: its result if it is released, else it goes on.
        ``data_subject`` names the person whom it is all about, as in `plan`.

        Raises:
            InvalidBrief: the run id belongs to another brief.
            InvalidValue: the key was used for another plan, folder or run id.
            WeightsMissing: a model of the plan is not here; raised before any step runs.
            StorageFailed: the disk is full.
        """
        return await self._make(
            plan, out, run_id=run_id, watch=watch, cancelled=cancelled, reuse=reuse, charge=charge,
            release_parked=release_parked, why=why, idempotency_key=idempotency_key,
            holder=self.privacy.holder_of(data_subject),
        )  # fmt: skip

    async def _make(
        self, plan: Plan, out: Path | None, *, run_id: str, watch: Watch, holder: str,
        cancelled: threading.Event | None = None, idempotency_key: str = "", reuse: bool = True,
        charge: Sequence[str] = (), **how: Any,
    ) -> Made:  # fmt: skip
        validate(plan, self.shop)
        ready(plan.steps, self.shop)
        if out:
            await asyncio.to_thread(self._authority)  # a wrong key shows before the work, not after it
        if idempotency_key:
            run_id = await asyncio.to_thread(
                self._accept, idempotency_key, plan, out, run_id, reuse=reuse, charge=charge, holder=holder
            )
            if earlier := await self._earlier(run_id, plan, out, watch, cancelled):
                return earlier
        run = await asyncio.to_thread(
            self._submit, plan, run_id, out, begin=True, reuse=reuse, charge=charge, holder=holder, **how
        )
        return await self._work(run, plan, watch, cancelled)

    def _accept(
        self,
        key: str,
        plan: Plan,
        out: Path | None,
        run_id: str,
        *,
        reuse: bool = True,
        charge: Sequence[str] = (),
        holder: str = "",
        **how: Any,
    ) -> str:
        where = str(out.absolute()) if out else ""
        asked = digest(
            {
                "make": plan.identity,
                "out": where,
                "run_id": run_id,
                "reuse": reuse,
                "charge": [*charge],
                "holder": holder,
            }
        )
        new = run_id or f"run-{uuid.uuid4().hex[:12]}"
        return self.shop.runs.accept_call(key, asked, new, actor=self.actor)

    async def _earlier(
        self, run_id: str, plan: Plan, out: Path | None, watch: Watch, cancelled: threading.Event | None
    ) -> Made | None:
        """What a call that is repeated finds: its run released, or still at work; None when it has to begin (again)."""
        try:
            run, _ = self.shop.runs.get(run_id)
        except NotFound:
            return None
        going = run.state in ("planned", "running")
        if not going and run.state != "released":
            return None
        made = Made(run, plan, None)
        if going:
            run = self.shop.runs.join(run_id, actor=self.actor)
            made = await self._work(run, plan, watch, cancelled)
        delivery = made.delivery or (await asyncio.to_thread(delivered, out, run_id) if out else None)
        return replace(made, delivery=delivery) if going or delivery or not out else None

    def _submit(
        self, plan: Plan, run_id: str, out: Path | None, *, holder: str = "", why: str = "", **how: Any
    ) -> Run:
        run = Run(
            id=run_id or f"run-{uuid.uuid4().hex[:12]}",
            state="planned",
            plan=plan.identity,
            brief=plan.brief.identity,
            out=str(out.absolute()) if out else "",
            holder=holder,
        )
        files = [source.sha256 for source in plan.sources]
        how["charge"] = [named(account) for account in how.get("charge", ())]
        return self.shop.runs.submit(run, plan, actor=self.actor, files=files, why=masked(why), **how)

    async def _work(
        self, run: Run, plan: Plan, watch: Watch, cancelled: threading.Event | None = None
    ) -> Made:
        shop = self.shop_of(run.holder)
        sources = await asyncio.to_thread(at_hand, plan.sources, shop)
        out = Path(run.out) if run.out else None
        handed: list[Delivery] = []

        def deliver_(run: Run) -> None:
            assert out is not None
            handed.append(self._deliver(plan, run, sources, out, shop))

        runner = Runner(
            plan, run, sources, shop, watch, cancelled or threading.Event(), deliver_ if out else None
        )
        ended = await runner.work()
        warning = await asyncio.to_thread(self.audit.attest)
        return Made(ended, plan, handed[0] if handed else None, warning)

    async def join(self, run_id: str, *, watch: Watch = lambda event: None) -> Made:
        """Work on a run in its present round, beside whoever else does; what `make` began is ended here.

        Raises:
            NotFound: for an unknown run.
            WeightsMissing: a model of the plan is not on this host.
        """
        run = await asyncio.to_thread(self.shop.runs.join, run_id, actor=self.shop.workers.id)
        plan = self.shop.runs.get(run_id)[1]
        if run.state != "running":
            return Made(run, plan, None)
        validate(plan, self.shop)
        ready(plan.steps, self.shop)
        return await self._work(run, plan, watch)

    def submit(
        self,
        plan: Plan,
        out: Path | None,
        *,
        run_id: str = "",
        idempotency_key: str = "",
        data_subject: str = "",
        **how: Any,
    ) -> Run:
        """Make a run known and leave the work to whichever worker comes; arguments as for `make`.

        Raises:
            InvalidPlan, PolicyDenied, BudgetExceeded, WeightsMissing: it cannot or may not run.
            InvalidBrief: the run id belongs to another brief.
            InvalidValue: the idempotency key was used for another plan, folder or run id.
        """
        validate(plan, self.shop)
        ready(plan.steps, self.shop)
        how["holder"] = self.privacy.holder_of(data_subject)
        if idempotency_key:
            run_id = self._accept(idempotency_key, plan, out, run_id, **how)
            with suppress(NotFound):
                run, _ = self.shop.runs.get(run_id)
                if run.state in ("planned", "running", "released"):
                    return run
        return self._submit(plan, run_id, out, begin=False, **how)

    def stop(self, run_id: str, why: str = "") -> None:
        """Ask whoever works on a run to stop it, in whatever process; a running step ends within two seconds.

        Raises:
            NotFound: for an unknown run.
        """
        self.shop.runs.ask_to_stop(run_id, actor=self.actor, why=masked(why))

    async def resume(
        self, run_id: str, *, out: Path | None = None, watch: Watch = lambda event: None, **how: Any
    ) -> Made:
        """Go on with a run: after a kill, a stop, a failure or a review.

        Raises:
            NotFound: for an unknown run.
        """
        run, plan = self.shop.runs.get(run_id)
        target = out or (Path(run.out) if run.out else None)
        return await self._make(plan, target, run_id=run_id, watch=watch, holder=run.holder, **how)

    async def replay(
        self,
        run_id: str,
        steps: Sequence[str] = (),
        *,
        note: Note = lambda text: None,
        watch: Watch = lambda event: None,
        cancelled: threading.Event | None = None,
    ) -> Replayed:
        """Make what a run made again, from the record alone, and compare: see `Replays.run`."""
        shop = self.shop_of(self.shop.runs.get(run_id)[0].holder)
        return await Replays(shop, self.actor, note, watch, cancelled).run(run_id, steps)

    async def regenerate(
        self,
        manifest: Path,
        artifact: str = "",
        *,
        note: Note = lambda text: None,
        watch: Watch = lambda event: None,
        cancelled: threading.Event | None = None,
        **how: Any,
    ) -> Replayed:
        """Make artifacts of a delivered folder again and compare: see `Replays.regenerate`."""
        replays = Replays(self.shop, self.actor, note, watch, cancelled)
        return await replays.regenerate(manifest, artifact, **how)

    def runs(self) -> list[Run]:
        """Every run, oldest first."""
        return self.shop.runs.all()

    def reviews(self) -> "Reviews":
        """What waits for a person."""
        return Reviews(self.shop, self.shop_of)

    def budgets(self) -> Ledger:
        """Accounts that pay: limits, and what was spent."""
        return Ledger(self.state, self.actor)

    def keys(self, actor: str = "") -> Keys:
        """Who may call over HTTP."""
        return Keys(self.state, actor or self.actor)

    def projects(self, actor: str = "") -> Projects:
        """Where keys and people have their roles."""
        return Projects(self.state, actor or self.actor)

    @property
    def tables(self) -> "Tables":
        """Questions over CSV and XLSX files."""
        from bottega.service.tables import Tables

        return Tables(self.shop)

    def collections(self) -> "Collections":
        """Documents that are indexed, searched and cited."""
        from bottega.service.collections import Collections

        if self._collections is None:
            self._collections = Collections(self.shop, self.actor)
        return self._collections

    def answers(self) -> "Answers":
        """Questions to collections."""
        from bottega.service.answers import Answers

        if self._answers is None:
            self._answers = Answers(self.shop, self.collections(), self.actor, self.privacy, self.shop_of)
        return self._answers

    def verify(self, path: Path) -> Verification:
        """Whether a file is as it left, who made it and how; needs no database."""
        return verify(path, self.trusted_roots())

    def close(self) -> None:
        """Give back the memory of every engine and close the state; finished work is safe in the store."""
        if self._collections is not None:
            self._collections.close()
        self.shop.close()
        self.shop.artifacts.close()
        self.state.close()

    def trusted_roots(self) -> list[str]:
        """Certificates that this machine trusts."""
        return [self._authority().root_pem()]

    def _deliver(self, plan: Plan, run: Run, sources: Sources, out: Path, shop: Workshop) -> Delivery:
        results = {result.step: result for result in run.results}
        ready = [
            item
            for item in plan.deliverables
            if (result := results.get(split(item.output)[0])) and result.state in ("done", "reused")
        ]
        authority = self._authority()
        cards = [self.shop.card(engine) for engine in dict.fromkeys(step.engine for step in plan.steps)]
        provenances = {item.output: provenance(plan, run, item.output, self.shop.card) for item in ready}
        for each in provenances.values():
            shop.artifacts.checked(each.artifact)  # nothing is signed that is not what was checked
        delivery = deliver(
            out=out,
            plan=plan,
            run=run,
            provenances=provenances,
            locate=shop.artifacts.locate,
            sign=Signer(authority).sign,
            passages=sources.passages,
            root_certificate_pem=authority.root_pem(),
            limits={card.id: card.not_covered for card in cards if card.not_covered},
            made_on={step: made_on(self.shop.journal, run.id, step) for step in results},
        )
        for number, file in enumerate(delivery.files, 1):
            # Signing may change the bytes: `made` is what was checked, `delivered` what lies in the folder.
            detail = {
                "path": file.path, "output": file.output, "made": file.content_digest, "delivered": file.sha256,
            }  # fmt: skip
            subject = (
                f"run/{run.id}/file/{number if run.holder else file.path}"  # a name may tell of a person
            )
            self.shop.journal.write(
                Act.FILE_DELIVERED, subject, actor=self.shop.workers.id, detail=detail,
                behalf=run.requested_by, holder=run.holder,
            )  # fmt: skip
        return delivery


def _plan_fault(path: Path, error: ValidationError) -> InvalidPlan:
    """The first fault of a plan file, with the step's id where there is one."""
    import json

    first = error.errors(include_url=False, include_context=False)[0]
    place = list(first["loc"])
    where = str(path)
    if len(place) > 1 and place[0] == "steps" and isinstance(place[1], int):
        try:
            name = json.loads(path.read_text())["steps"][place[1]]["id"]
        except (KeyError, TypeError, ValueError):
            name = f"number {place[1] + 1}"
        where, place = f"step '{name}'", place[2:]
    field = ".".join(str(part) for part in place) or "file"
    return InvalidPlan(first["msg"], where=f"{where}, field '{field}'")

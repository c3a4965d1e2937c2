"""From a plan to a delivered folder: make, submit, join, resume, stop."""

import asyncio
import threading
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bottega.core.canonical import digest
from bottega.core.entry import Act
from bottega.core.errors import NotFound
from bottega.core.plan import Plan
from bottega.core.run import Run
from bottega.delivery.folder import Delivery, deliver, delivered
from bottega.governance.authority import Authority
from bottega.governance.redaction import masked, wordless
from bottega.governance.signing import Signer
from bottega.pipelines.comparison import made_on
from bottega.pipelines.graph import split
from bottega.pipelines.provenance import provenance
from bottega.pipelines.runner import Event, Runner, Sources
from bottega.pipelines.sources import at_hand
from bottega.pipelines.validate import ready, validate
from bottega.pipelines.workshop import Workshop
from bottega.service.audit import Audit
from bottega.service.privacy import Privacy
from bottega.storage.budgets import named
from bottega.storage.leases import Turn

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


class Making:
    """What runs plans for an actor."""

    def __init__(
        self,
        shop: Workshop,
        authority: Callable[[], Authority],
        *,
        actor: str,
        audit: Audit,
        privacy: Privacy,
    ) -> None:
        self.shop = shop
        self.actor = actor
        self.audit = audit
        self.privacy = privacy
        self._authority = authority

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

        def deliver_(run: Run, turn: Turn) -> None:
            assert out is not None
            handed.append(self._deliver(plan, run, sources, out, shop, turn))

        runner = Runner(
            plan, run, sources, shop, watch, cancelled or threading.Event(), deliver_ if out else None
        )
        try:
            ended = await runner.work()
        finally:
            if shop.policy.record == "digest":  # what is no longer kept shall not lie in a log either
                await asyncio.to_thread(shop.journal.database.purge, waited_for=False)
        warning = await asyncio.to_thread(self.audit.attest)
        return Made(ended, plan, handed[0] if handed else None, warning)

    async def resume(
        self, run_id: str, *, out: Path | None = None, watch: Watch = lambda event: None, **how: Any
    ) -> Made:
        """Go on with a run: after a kill, a stop, a failure or a review.

        Raises:
            NotFound: for an unknown run, or one that has ended and of whose plan the policy keeps no words.
        """
        run, plan = self.shop.runs.whole(run_id)
        target = out or (Path(run.out) if run.out else None)
        return await self._make(plan, target, run_id=run_id, watch=watch, holder=run.holder, **how)

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

    def stop(self, run_id: str, why: str = "") -> None:
        """Ask whoever works on a run to stop it, in whatever process; a running step ends within two seconds.

        Raises:
            NotFound: for an unknown run.
        """
        digest_only = self.shop.policy.record == "digest"
        kept = wordless(self.shop.runs.get(run_id)[1]) if digest_only else None
        self.shop.runs.ask_to_stop(run_id, actor=self.actor, why=masked(why), kept=kept)
        if digest_only:
            self.shop.journal.database.purge(waited_for=False)

    def _deliver(
        self, plan: Plan, run: Run, sources: Sources, out: Path, shop: Workshop, turn: Turn
    ) -> Delivery:
        if self.shop.policy.record == "digest":
            plan = wordless(plan)
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
            turn=turn,
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

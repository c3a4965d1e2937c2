"""Plan, make, review, verify: every door calls these. Making, the longest, has a file of its own."""

import asyncio
import threading
from collections.abc import Callable, Sequence
from copy import copy
from functools import partial
from mimetypes import guess_type
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from bottega.core.artifact import Artifact
from bottega.core.brief import Brief
from bottega.core.errors import EngineFailed, InvalidPlan
from bottega.core.plan import Plan
from bottega.core.request import Finished, Request
from bottega.core.run import Made as Made_
from bottega.core.run import Run, StepResult
from bottega.governance.authority import Authority
from bottega.governance.keyring import KeyRing
from bottega.governance.verify import Verification, verify
from bottega.pipelines.blueprints import blueprint
from bottega.pipelines.build import Builder
from bottega.pipelines.comparison import Replayed
from bottega.pipelines.intent import read_intent
from bottega.pipelines.review import Reviews
from bottega.pipelines.sources import main_table, take_in
from bottega.pipelines.validate import validate
from bottega.pipelines.workshop import Workshop
from bottega.retrieval.convert import Limits, read_bytes
from bottega.retrieval.media import BY_SUFFIX, sniff
from bottega.service.audit import Audit
from bottega.service.batches import Batches
from bottega.service.budgets import Ledger
from bottega.service.calls import Calls
from bottega.service.charged import Charged
from bottega.service.files import Files
from bottega.service.keys import Keys
from bottega.service.making import Making, Watch
from bottega.service.privacy import Privacy
from bottega.service.projects import Projects
from bottega.service.replay import Note, Replays
from bottega.service.retention import Retention
from bottega.service.signed import Coded, signed
from bottega.service.store import Store
from bottega.storage.budgets import named
from bottega.storage.state import State

if TYPE_CHECKING:
    from bottega.service.answers import Answers
    from bottega.service.collections import Collections
    from bottega.service.tables import Tables


class Bottega(Making):
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
        deliveries = folder.absolute() / "deliveries"
        privacy = Privacy(
            state, ring, shop.artifacts, audit, actor, shop.collections, deliveries, shop.collections_server
        )
        super().__init__(shop, authority, actor=actor, audit=audit, privacy=privacy)
        self.state = state
        self.folder = folder
        self.store = Store(state, self.privacy, shop.artifacts, audit, folder, actor)
        self.retention = Retention(state, shop.policy, self.store, deliveries, actor)
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
        if shop.policy.record == "digest":  # what is read out of the brief is not kept either
            asking = Charged(shop, self.actor, "plan", tuple(accounts)).ask
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

    def signed(
        self, call_id: str, request: Request, result: StepResult, made: Made_, coded: Coded | None = None
    ) -> bytes:
        """An output of a call with its credentials inside, as `bottega.service.signed` says."""
        return signed(self.shop, self._authority(), call_id, request, result, made, coded)

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

    async def replay(
        self,
        run_id: str,
        steps: Sequence[str] = (),
        *,
        charge: Sequence[str] = (),
        note: Note = lambda text: None,
        watch: Watch = lambda event: None,
        cancelled: threading.Event | None = None,
    ) -> Replayed:
        """Make what a run made again, from the record alone, and compare: see `Replays.run`."""
        shop = self.shop_of(self.shop.runs.get(run_id)[0].holder)
        return await Replays(shop, self.actor, charge, note, watch, cancelled).run(run_id, steps)

    async def regenerate(
        self,
        manifest: Path,
        artifact: str = "",
        *,
        charge: Sequence[str] = (),
        note: Note = lambda text: None,
        watch: Watch = lambda event: None,
        cancelled: threading.Event | None = None,
        **how: Any,
    ) -> Replayed:
        """Make artifacts of a delivered folder again and compare: see `Replays.regenerate`."""
        replays = Replays(self.shop, self.actor, charge, note, watch, cancelled)
        return await replays.regenerate(manifest, artifact, **how)

    def runs(self) -> list[Run]:
        """Every run, oldest first."""
        return self.shop.runs.all()

    def reviews(self, actor: str = "") -> "Reviews":
        """What waits for a person; ``actor`` decides, or whoever runs this."""
        return Reviews(self.shop, self.shop_of, actor or self.actor)

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

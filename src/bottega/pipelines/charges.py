"""What a step may use at most, what it has used, and the question to a person when its budgets refuse it.

Units: ``usd`` and ``compute_second`` (wall seconds on our machines) for every step; besides, one ``image`` or ``mesh``
an attempt for engines of these modalities, and whatever an engine's `Estimate.units` names: ``token``, ``second`` of
sound or video. Only units with a ceiling are charged; other counts of an engine (rows, pages) stay facts of the record.
"""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bottega.core.canonical import digest
from bottega.core.errors import BottegaError, EngineBusy
from bottega.core.plan import Step
from bottega.core.request import Usage
from bottega.engines.base import Card, Engine, Params
from bottega.governance.review import Ticket
from bottega.pipelines.review import Reviews
from bottega.pipelines.workshop import Workshop
from bottega.storage.accounts import MILLION
from bottega.storage.budgets import MEASURED, Charge

ATTEMPTS = 3  # the first, and at most two repairs
MARGIN = 2.0  # on the estimated seconds: they are no true ceiling, a slow machine may need more
EACH: Mapping[str, str] = {
    "image": "image",
    "3d": "mesh",
}  # modality to the unit of which an attempt makes one
TICKET_PORT = "budget"


@dataclass
class Meter:
    """What a step has used, attempt by attempt."""

    begun: int = 0
    known: list[Usage] = field(default_factory=list[Usage])
    started: float = field(default_factory=time.monotonic)

    @property
    def cost(self) -> float:
        """US dollars, as far as they are known."""
        return sum(usage.cost for usage in self.known)

    def used(
        self, charge: Charge, step: Step, card: Card, error: BaseException | None = None
    ) -> Mapping[str, int]:
        """Millionths of each unit that is charged.

        An attempt that broke off and left no count is taken for its whole ceiling when another party may bill it, and
        for nothing when it ran here; a refusal to begin (`EngineBusy`) has used nothing.
        """
        known = [*self.known]
        if isinstance(error, BottegaError) and (told := error.used.get("usage")):
            known.append(Usage.model_validate(told))
        lost = 0 if isinstance(error, EngineBusy) else max(self.begun - len(known), 0)
        found: dict[str, int] = {}
        for unit, ceiling in charge.amounts.items():
            if unit == MEASURED:
                found[unit] = math.ceil((time.monotonic() - self.started) * MILLION)
                continue
            found[unit] = round(sum(_counted(unit, usage, card) for usage in known) * MILLION)
            found[unit] += lost * -(-ceiling // attempts(step, card)) if charge.billed else 0
        return found


def charge_for(step: Step, accounts: Sequence[str], input_bytes: int, shop: Workshop) -> Charge:
    """The most that a step can use, over all its attempts, to be paid by these accounts.

    Raises:
        ValidationError: the parameters are not the engine's; the plan was not validated.
    """
    engine = shop.engine(step.engine)
    return charge_of(ceilings(step, engine, input_bytes), accounts, engine.card, attempts(step, engine.card))


def charge_of(most: Mapping[str, float], accounts: Sequence[str], card: Card, times: int = 1) -> Charge:
    """So many times the most that one attempt can use, to be paid by these accounts."""
    amounts = {unit: math.ceil(amount * MILLION) * times for unit, amount in sorted(most.items())}
    return Charge(tuple(dict.fromkeys(accounts)), amounts, billed=card.locality == "remote")


def ceilings(step: Step, engine: Engine, input_bytes: int) -> Mapping[str, float]:
    """The most that one attempt can use, by unit; seconds with a margin."""
    return ceilings_of(engine, engine.params.model_validate(step.params), input_bytes, step.cost)


def ceilings_of(engine: Engine, params: Params, input_bytes: int, cost: float = 0.0) -> Mapping[str, float]:
    """As `ceilings`, for parameters that are the engine's; ``cost`` is what a plan says in US dollars."""
    estimate = engine.estimate(params, input_bytes)
    each = EACH.get(engine.card.modality)
    most = {MEASURED: estimate.seconds * MARGIN, **({each: 1.0} if each else {}), "usd": estimate.cost}
    most |= estimate.units
    most["usd"] = max(most["usd"], cost)
    return {unit: amount for unit, amount in most.items() if amount}


def attempts(step: Step, card: Card) -> int:
    """How often a step is made at most: what is exact, or judged by nobody, is not repaired."""
    return ATTEMPTS if step.checks and card.determinism != "exact" else 1


def ask(run: str, step: Step, plan: str, behalf: str, shop: Workshop) -> None:
    """Put the question that a step waits for, if it does, before a person; asked once however often it is called."""
    waiting = shop.runs.budgets.question(run, step.id)
    if waiting is None:
        return
    question, reason = waiting
    policy = shop.policy
    ticket = Ticket(
        kind="budget", run=run, step=step.id, port=TICKET_PORT, artifact="", plan=plan or digest(step.document()),
        params=question, policy=policy.digest, reason=reason, asked=(policy.asked_when_blocked(),),
        requested_by=(policy.name_of(behalf),) if behalf else (),
    )  # fmt: skip
    Reviews(shop).open(ticket, question=question)


def _counted(unit: str, usage: Usage, card: Card) -> float:
    if unit == "usd":
        return usage.cost
    if unit == usage.unit:
        return usage.output_units + (usage.input_units if unit == "token" else 0)
    return 1.0 if unit == EACH.get(card.modality) else 0.0

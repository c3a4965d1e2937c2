"""One output of a call, signed: what leaves over the API carries its credentials as a delivered file does."""

import tempfile
from pathlib import Path

from bottega.core.artifact import Provenance
from bottega.core.request import Request
from bottega.core.run import Made, StepResult
from bottega.governance.authority import Authority
from bottega.governance.signing import EMBEDDED, Signer
from bottega.pipelines.workshop import Workshop


def signed(
    shop: Workshop, authority: Authority, call_id: str, request: Request, result: StepResult, made: Made
) -> bytes:
    """The bytes of an output with a C2PA manifest inside; as they are where the format cannot hold one.

    Raises:
        EngineFailed: the signature cannot be made.
    """
    artifact = made.artifact
    source = shop.artifacts.checked(artifact)
    if artifact.media_type not in EMBEDDED:
        return source.read_bytes()
    card = shop.card(request.engine)
    model, weights = shop.weights(card, request.model)
    provenance = Provenance(
        artifact=artifact,
        run_id=call_id,
        plan="",
        step="call",
        step_key=result.key,
        engine=card.id,
        engine_version=card.version,
        model=model,
        weights=weights,
        locality=card.locality,
        destination=card.destination,
        params=request.params,
        seed=request.seed,
        verdicts=made.verdicts,
        made_at=shop.now(),
        seconds=result.seconds,
        cost=result.cost,
        source_type=card.source_type,
    )
    with tempfile.TemporaryDirectory(prefix="bottega-signing-") as folder:
        target = Path(folder) / f"output{source.suffix}"
        Signer(authority).sign(source, target, provenance)
        return target.read_bytes()

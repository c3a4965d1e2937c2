"""One output of a call, signed: what leaves over the API carries its credentials as a delivered file does."""

import tempfile
from pathlib import Path
from typing import NamedTuple

from bottega.core.artifact import Artifact, Ingredient, Provenance
from bottega.core.canonical import digest_bytes
from bottega.core.request import Request
from bottega.core.run import Made, StepResult
from bottega.governance.authority import Authority
from bottega.governance.signing import EMBEDDED, Signer
from bottega.pipelines.workshop import Workshop


class Coded(NamedTuple):
    """An output in another coding than it was made in."""

    data: bytes
    media_type: str


def signed(
    shop: Workshop,
    authority: Authority,
    call_id: str,
    request: Request,
    result: StepResult,
    made: Made,
    coded: Coded | None = None,
) -> bytes:
    """The bytes of an output, or of what was ``coded`` from it, with a C2PA manifest inside; as they are where the format cannot hold one.

    Raises:
        EngineFailed: the signature cannot be made.
    """
    artifact, source, parents = made.artifact, shop.artifacts.checked(made.artifact), ()
    if coded is not None:
        parents = (
            (Ingredient(name=made.port, sha256=artifact.sha256, media_type=artifact.media_type), None),
        )
        artifact = Artifact(
            sha256=digest_bytes(coded.data), media_type=coded.media_type, size=len(coded.data)
        )
    if artifact.media_type not in EMBEDDED:
        return coded.data if coded is not None else source.read_bytes()
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
        if coded is not None:
            source = Path(folder) / "coded"
            source.write_bytes(coded.data)
        target = Path(folder) / f"output{source.suffix}"
        Signer(authority).sign(source, target, provenance, parents)
        return target.read_bytes()

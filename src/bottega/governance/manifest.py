"""The C2PA manifest of an artifact, as data: what is claimed, in which words, how large it may grow."""

from typing import Any, Literal, cast

from pydantic import Field

from bottega.core.artifact import Provenance
from bottega.core.canonical import canonical_json, digest_bytes
from bottega.core.errors import InvalidValue
from bottega.core.value import JsonObject, Value
from bottega.core.verdict import Verdict

PROVENANCE = "org.bottega.provenance"  # our assertion; its fields are the fields of Provenance
FILE_TYPE = "org.bottega.file-type"  # digest of what C2PA's own hash leaves out of an MP4
SPECIFICATION = "2.4.0"  # of C2PA

ROLE = "inputTo"  # a parent is never edited in place: the artifact is created, so C2PA forbids "parentOf"

LONGEST_TEXT = 2_000  # characters of one text inside the assertion
LARGEST_VALUE = 16_000  # bytes of canonical JSON of the parameters, or of one verdict's evidence


class Shortened(Value, frozen=True):
    """Stands where something was too large to be carried inside every copy of the file."""

    shortened: Literal[True] = True
    size: int = Field(description="bytes of the whole as canonical JSON")
    sha256: str = Field(description="of the whole as canonical JSON")
    start: str = Field(default="", description="how a text began")


def definition(provenance: Provenance, generator: str, file_type: str = "") -> JsonObject:
    """The manifest definition for c2pa's builder, ingredients left out.

    Args:
        provenance: with ``source_type`` set.
        generator: version of Bottega.
        file_type: digest of an MP4's leading box, see `frame.file_type_box`.

    Raises:
        InvalidValue: no digital source type; a manifest may not leave out what made the content.

    Source: C2PA specification 2.4, sections 18.15 (actions) and 10.2.3 (claim generator info).
    """
    if not provenance.source_type:
        raise InvalidValue(
            "the provenance names no digital source type",
            where=provenance.step,
            remedy="declare `source_type` in the engine's card",
        )
    made = {
        "action": "c2pa.created",
        "when": provenance.made_at,
        "digitalSourceType": provenance.source_type,
        "softwareAgent": {"name": provenance.engine, "version": provenance.engine_version},
        "description": f"made by step {provenance.step} of run {provenance.run_id}",
    }
    extra = [{"label": FILE_TYPE, "data": {"sha256": file_type}, "created": True}] if file_type else []
    return {
        "claim_generator_info": [{"name": "Bottega", "version": generator, "specVersion": SPECIFICATION}],
        "title": provenance.step,
        "assertions": [
            {
                "label": "c2pa.actions.v2",
                "data": {"actions": [made], "allActionsIncluded": True},
                "created": True,
            },
            {"label": PROVENANCE, "data": bounded(provenance).document(), "created": True},
            *extra,
        ],
    }


def bounded(provenance: Provenance) -> Provenance:
    """The same provenance with large parameters and evidence shortened, each with the digest of the whole."""
    return provenance.model_copy(
        update={
            "params": _bounded_object(provenance.params),
            "verdicts": tuple(_bounded_verdict(verdict) for verdict in provenance.verdicts),
        }
    )


def _bounded_verdict(verdict: Verdict) -> Verdict:
    return verdict.model_copy(update={"evidence": _bounded_object(verdict.evidence)})


def _bounded_object(value: JsonObject) -> JsonObject:
    whole = canonical_json(value)
    if len(whole) > LARGEST_VALUE:
        return Shortened(size=len(whole), sha256=digest_bytes(whole)).document()
    return cast(JsonObject, _bounded(value))


def _bounded(value: Any) -> Any:
    match value:
        case str() if len(value) > LONGEST_TEXT:
            whole = canonical_json(value)
            return Shortened(size=len(whole), sha256=digest_bytes(whole), start=value[:200]).document()
        case dict():
            return {key: _bounded(item) for key, item in cast(JsonObject, value).items()}
        case list() | tuple():
            return [_bounded(item) for item in cast(list[Any], value)]
        case _:
            return value

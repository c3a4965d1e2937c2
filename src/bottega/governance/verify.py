"""Reads a file's credentials back and says whether they hold; needs the file alone, no server and no database."""

import hashlib
import json
from collections.abc import Sequence
from io import BufferedReader
from pathlib import Path
from typing import Any, Literal, cast

from pydantic import Field, ValidationError

from bottega.core.artifact import Ingredient, Provenance
from bottega.core.errors import NotFound, PolicyDenied, Tampered, UnreadableSource
from bottega.core.value import JsonObject, Value
from bottega.governance.frame import LARGEST, damaged, file_type_box, find
from bottega.governance.manifest import FILE_TYPE, PROVENANCE
from bottega.governance.signing import settings, sidecar_of

State = Literal["valid", "untrusted", "tampered", "unsigned"]

MEDIA_TYPES = {
    ".avif": "image/avif",
    ".csv": "text/csv",
    ".flac": "audio/flac",
    ".gif": "image/gif",
    ".html": "text/html",
    ".jpeg": "image/jpeg",
    ".jpg": "image/jpeg",
    ".json": "application/json",
    ".m4a": "audio/mp4",
    ".md": "text/markdown",
    ".mov": "video/quicktime",
    ".mp3": "audio/mpeg",
    ".mp4": "video/mp4",
    ".pdf": "application/pdf",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".tif": "image/tiff",
    ".tiff": "image/tiff",
    ".txt": "text/plain",
    ".vtt": "text/vtt",
    ".wav": "audio/wav",
    ".webp": "image/webp",
}
# What stays of a manifest whose container was broken: plain in most formats, base64 in SVG.
TRACES = (b"c2pa.assertions", b"c2pa.claim", b"org.bottega.provenance", b"c2pa:manifest")
UNTRUSTED = "signingCredential.untrusted"
WORDS = {
    "assertion.dataHash.mismatch": "the content differs from what was signed",
    "assertion.bmffHash.mismatch": "the content differs from what was signed",
    "assertion.hashedURI.mismatch": "a statement in the credentials was altered",
    "claimSignature.mismatch": "the signature does not fit the credentials",
    "claimSignature.missing": "the signature was taken out",
    "signingCredential.expired": "the signing certificate had expired",
    "signingCredential.invalid": "the signing certificate is not fit for signing",
}


class Parent(Value, frozen=True):
    """A parent named in the credentials; ``state`` says what lies under its name in the same folder."""

    ingredient: Ingredient
    state: Literal["same", "differs", "absent"]


class Verification(Value, frozen=True):
    """What the credentials of one file say, and whether they hold.

    ``valid``: unaltered, signed by a trusted authority. ``untrusted``: unaltered, signed by somebody unknown.
    ``tampered``: the file or its credentials were altered. ``unsigned``: no credentials were found.
    What it does not say: whether the content is true. For that, read the verdicts in ``provenance``.
    """

    path: str
    state: State
    reasons: tuple[str, ...] = Field(description="plain words")
    remedy: str = ""
    signer: str = ""
    credentials: str = Field(default="", description="'embedded', or the name of the sidecar")
    provenance: Provenance | None = None
    parents: tuple[Parent, ...] = ()
    manifests: int = Field(default=0, description="this file's manifest and those kept from its ingredients")

    def raise_for_state(self, *, allow_untrusted: bool = False) -> None:
        """Return when the file is valid.

        Raises:
            Tampered: altered after signing (exit 9).
            PolicyDenied: intact, but signed by an unknown authority (exit 3).
            NotFound: no credentials (exit 2).
        """
        reason = "; ".join(self.reasons)
        match self.state:
            case "tampered":
                raise Tampered(reason, where=self.path, remedy=self.remedy)
            case "unsigned":
                raise NotFound(reason, where=self.path, remedy=self.remedy)
            case "untrusted" if not allow_untrusted:
                raise PolicyDenied(reason, where=self.path, remedy=self.remedy)
            case _:
                return


def verify(path: Path, trust: Sequence[str] = ()) -> Verification:
    """Check one file.

    Args:
        path: the file; a sidecar `NAME.c2pa` beside it is used when there is one.
        trust: root certificates, PEM. Without any the best answer is ``untrusted``.

    Raises:
        UnreadableSource: the file is not there or cannot be read.
    """
    sidecar = sidecar_of(path)
    try:
        store = _store_in(sidecar) if sidecar.is_file() else None
        with path.open("rb") as file:
            found = _read(path, file, store, trust)
            if found is None or isinstance(found, str):
                return _without_credentials(path, file, store, found or "")
            framed = damaged(file, _media_type(path), store) or _file_type_differs(found, file)
            return _judge(path, file, found, sidecar.name if store is not None else "embedded", framed)
    except OSError as error:
        raise UnreadableSource(f"cannot be read: {error.strerror}", where=str(path)) from error


def _media_type(path: Path) -> str:
    return MEDIA_TYPES.get(path.suffix.lower(), "application/octet-stream")


def _store_in(sidecar: Path) -> bytes:
    """A manifest store; what is too large for one is cut, and then cannot be read."""
    with sidecar.open("rb") as file:
        return file.read(LARGEST)


def _read(
    path: Path, file: BufferedReader, store: bytes | None, trust: Sequence[str]
) -> JsonObject | str | None:
    """The manifest store as c2pa reports it; None when there is none; a text when it cannot be read."""
    import c2pa

    try:
        with c2pa.Context.from_dict(settings(trust)) as context:
            file.seek(0)
            reader = c2pa.Reader.try_create(_media_type(path), file, store, context=context)
            if reader is None:
                return None
            with reader:
                found = cast(JsonObject, json.loads(reader.json()))
    except c2pa.C2paError as error:
        return str(error) or "unreadable"
    named = found.get("active_manifest") in found.get("manifests", {})
    return found if named else "the manifest it names is not there"


def _without_credentials(path: Path, file: BufferedReader, store: bytes | None, error: str) -> Verification:
    if store is not None or find(file, *TRACES) >= 0:
        reason = "the credentials are damaged and cannot be read"
        return Verification(
            path=path.name,
            state="tampered",
            reasons=(f"{reason}: {error}" if error else reason,),
            remedy="get the file again from who made it",
        )
    return Verification(
        path=path.name,
        state="unsigned",
        reasons=("no credentials in the file, and no sidecar beside it",),
        remedy=f"if it came with '{path.name}.c2pa', put that file in the same folder under that name",
    )


def _judge(
    path: Path, file: BufferedReader, found: JsonObject, credentials: str, framed: bool
) -> Verification:
    manifest: JsonObject = found["manifests"][found["active_manifest"]]
    provenance, problem = _provenance(manifest)
    trusted = found.get("validation_state") == "Trusted"
    failures = [code for code in _failures(found) if code != UNTRUSTED]
    reasons = list(dict.fromkeys(WORDS.get(code, code) for code in failures))
    if problem:
        reasons.append(problem)
    whole = provenance.artifact.sha256 if provenance else ""
    if whole and credentials != "embedded" and not failures and _sha256(file) != whole:
        reasons.append("the content differs from what was checked")
    if provenance is not None and framed and not reasons:
        reasons.append("the frame around the credentials was altered")
    signature: JsonObject = manifest.get("signature_info") or {}
    signer = str(signature.get("common_name") or signature.get("issuer") or "")
    remedy = ""
    if reasons or found.get("validation_state") not in ("Valid", "Trusted"):
        state: State = "tampered"
        remedy = "get the file again from who made it"
        reasons = reasons or ["the credentials do not hold"]
    elif trusted:
        state = "valid"
        reasons = [f"unaltered since it was signed by {signer}"]
    else:
        state = "untrusted"
        reasons = [f"unaltered, but signed by an authority that is not trusted here: {signer}"]
        remedy = (
            "get its root certificate from somebody you trust, then: bottega verify --trust root.pem FILE"
        )
    if provenance is None and not problem:
        reasons.append("not made by Bottega: no record of checks")
    ingredients = provenance.ingredients if provenance else ()
    return Verification(
        path=path.name,
        state=state,
        reasons=tuple(reasons),
        remedy=remedy,
        signer=signer,
        credentials=credentials,
        provenance=provenance,
        parents=tuple(Parent(ingredient=one, state=_compare(path.parent, one)) for one in ingredients),
        manifests=len(found["manifests"]),
    )


def _failures(found: JsonObject) -> list[str]:
    """Codes of what failed in this file's own manifest (what an ingredient had is its own story)."""
    results = cast(JsonObject, found.get("validation_results") or {})
    active = cast(JsonObject, results.get("activeManifest") or {})
    return [str(entry["code"]) for entry in cast(list[JsonObject], active.get("failure") or [])]


def _sha256(file: BufferedReader) -> str:
    file.seek(0)
    return hashlib.file_digest(file, "sha256").hexdigest()


def _file_type_differs(found: JsonObject, file: BufferedReader) -> bool:
    manifest: JsonObject = found["manifests"][found["active_manifest"]]
    assertions: list[JsonObject] = manifest.get("assertions") or []
    said = [one["data"]["sha256"] for one in assertions if one.get("label") == FILE_TYPE]
    return bool(said) and said != [file_type_box(file)]


def _provenance(manifest: JsonObject) -> tuple[Provenance | None, str]:
    assertions: list[JsonObject] = manifest.get("assertions") or []
    for assertion in assertions:
        if assertion.get("label") == PROVENANCE:
            try:
                return Provenance.model_validate(assertion["data"]), ""
            except ValidationError:
                return None, "the record of how it was made cannot be read"
    return None, ""


def _compare(folder: Path, ingredient: Ingredient) -> Literal["same", "differs", "absent"]:
    """Whether the parent lies in the same folder with the same bytes, or signed from the same bytes."""
    path = folder / Path(ingredient.name).name
    if not ingredient.name or not path.is_file():
        return "absent"
    with path.open("rb") as file:
        if _sha256(file) == ingredient.sha256:
            return "same"
        found: Any = _read(path, file, None, ())
    if not isinstance(found, dict):
        return "differs"
    store = cast(JsonObject, found)
    manifest: JsonObject = store["manifests"][store["active_manifest"]]
    intact = all(code == UNTRUSTED for code in _failures(store))
    provenance, _ = _provenance(manifest)
    same = intact and provenance is not None and provenance.artifact.sha256 == ingredient.sha256
    return "same" if same else "differs"

"""Signs artifacts with C2PA manifests: inside the file where the format allows, else in `NAME.c2pa` beside it."""

import hashlib
import io
import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from io import BufferedReader
from pathlib import Path
from typing import Any

from bottega.core.artifact import Ingredient, Provenance
from bottega.core.canonical import digest_bytes
from bottega.core.errors import EngineFailed, StorageFailed, Tampered
from bottega.core.value import JsonObject
from bottega.governance.authority import Authority
from bottega.governance.frame import file_type_box
from bottega.governance.manifest import ROLE, definition

SIDECAR = ".c2pa"
EMBEDDED = frozenset(
    {
        "application/pdf",
        "audio/flac",
        "audio/mp4",
        "audio/mpeg",
        "audio/wav",
        "image/avif",
        "image/gif",
        "image/jpeg",
        "image/png",
        "image/svg+xml",
        "image/tiff",
        "image/webp",
        "video/mp4",
        "video/quicktime",
    }
)


@dataclass(frozen=True)
class Signed:
    """A signed file. ``manifest_digest`` is the SHA-256 of the manifest store's bytes."""

    path: Path
    sidecar: Path | None
    manifest_digest: str


def sidecar_of(path: Path) -> Path:
    """Where a file's credentials lie when they are not inside it."""
    return path.with_name(path.name + SIDECAR)


def settings(roots: Sequence[str] = ()) -> JsonObject:
    """c2pa's settings: no network, no thumbnails, only the given roots are trusted."""
    offline = {"remote_manifest_fetch": False, "ocsp_fetch": False, "verify_trust": True}
    trust = {"trust": {"trust_anchors": "\n".join(roots)}} if roots else {}
    return {"verify": offline, "builder": {"thumbnail": {"enabled": False}}, **trust}


class Signer:
    """Signs with one authority. Holds no library state; may be used from several threads."""

    def __init__(self, authority: Authority) -> None:
        self.authority = authority

    def sign(
        self,
        source: Path,
        target: Path,
        provenance: Provenance,
        parents: Sequence[tuple[Ingredient, Path | None]] = (),
    ) -> Signed:
        """Write ``target``, signed, and its sidecar if the format needs one; both appear whole or not at all.

        The caller has decoded the file before: a signature says who made it, not that it plays.

        Args:
            source: the artifact's bytes as they were checked.
            target: where the signed file goes; its folder exists or is made.
            provenance: its ``artifact`` describes ``source``.
            parents: what the artifact was made from, with the file where it is at hand. Credentials found in a
                parent's file, or in a sidecar beside it, are kept.

        Raises:
            Tampered: ``source`` is not the file the provenance speaks of.
            EngineFailed: the signature cannot be made.
            StorageFailed: the target cannot be written.
        """
        with source.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != provenance.artifact.sha256:
            raise Tampered(
                "the file changed after it was checked", where=str(source), remedy="run the step again"
            )
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=target.parent, prefix=".signing-") as made:
                return self._sign_into(Path(made), source, target, provenance, parents)
        except OSError as error:
            raise StorageFailed(
                f"the signed file cannot be written: {error.strerror or error}",
                where=str(target),
                remedy="free some space or choose another --out",
            ) from error

    def _sign_into(
        self,
        folder: Path,
        source: Path,
        target: Path,
        provenance: Provenance,
        parents: Sequence[tuple[Ingredient, Path | None]],
    ) -> Signed:
        import c2pa

        fresh, beside = folder / "file", folder / "sidecar"
        sidecar = sidecar_of(target)
        embed = provenance.artifact.media_type in EMBEDDED
        try:
            try:
                store = self._build(source, fresh, provenance, parents, embed)
            except c2pa.C2paError:
                if not embed:
                    raise
                embed = False  # a file of this type whose container cannot take a manifest
                store = self._build(source, fresh, provenance, parents, embed)
        except c2pa.C2paError as error:
            shutil.copyfile(
                source, fresh
            )  # raises what the disk has to say: the library keeps that to itself
            raise EngineFailed(
                f"the file could not be signed: {error}",
                where=target.name,
                remedy="check the signing certificate with `bottega doctor`",
            ) from error
        if embed:
            _settle(fresh, target)
            sidecar.unlink(missing_ok=True)  # of an earlier file with this name
        else:
            shutil.copyfile(source, fresh)
            beside.write_bytes(store)
            _settle(fresh, target)
            _settle(beside, sidecar)
        return Signed(target, None if embed else sidecar, digest_bytes(store))

    def _build(
        self,
        source: Path,
        target: Path,
        provenance: Provenance,
        parents: Sequence[tuple[Ingredient, Path | None]],
        embed: bool,
    ) -> bytes:
        """One pass of c2pa's builder: the bytes of the manifest store."""
        import c2pa

        authority = self.authority
        info = c2pa.C2paSignerInfo(
            authority.algorithm, authority.chain.encode("ascii"), authority.private_key.encode("ascii"), None
        )
        with (
            c2pa.Signer.from_info(info) as signer,
            c2pa.Context.from_dict(settings([authority.root_pem()])) as context,
            source.open("rb") as given,
            target.open("w+b") as written,
            c2pa.Builder(_claim(provenance, given), context=context) as builder,
        ):
            given.seek(0)
            for parent, path in parents:
                _add_parent(builder, parent, path)
            if not embed:
                builder.set_no_embed()
            store: Any = builder.sign(signer, provenance.artifact.media_type, given, written)
        return bytes(store)


def _claim(provenance: Provenance, file: BufferedReader) -> str:
    claim = definition(provenance, version("bottega"), file_type_box(file))
    return json.dumps(claim | {"format": provenance.artifact.media_type})


def _add_parent(builder: Any, parent: Ingredient, path: Path | None) -> None:
    """Add an ingredient: identified by its hash, with its own credentials when it carries some."""
    entry: JsonObject = {
        "title": parent.name,
        "format": parent.media_type,
        "relationship": ROLE,
        "instance_id": f"sha256:{parent.sha256}",
    }
    stream: Any = io.BytesIO(b"")
    media_type = "application/octet-stream"
    if path is not None:
        sidecar = sidecar_of(path)
        if sidecar.is_file():
            store = sidecar.read_bytes()
            entry |= _credentials(path, parent.media_type, store)
            builder.add_resource(entry["manifest_data"]["identifier"], io.BytesIO(store))
        stream, media_type = path.open("rb"), parent.media_type
    with stream:
        builder.add_ingredient(json.dumps(entry), media_type, stream)


def _credentials(path: Path, media_type: str, store: bytes) -> JsonObject:
    """The ingredient fields for a manifest store that lies beside its file, as the library found it to be."""
    import c2pa

    with (
        path.open("rb") as file,
        c2pa.Context.from_dict(settings()) as context,
        c2pa.Reader(media_type, file, store, context=context) as reader,
    ):
        found: JsonObject = json.loads(reader.json())
    return {
        "manifest_data": {"format": "application/c2pa", "identifier": f"{digest_bytes(store)}{SIDECAR}"},
        "active_manifest": found["active_manifest"],
        "validation_results": found.get("validation_results", {}),
    }


def _settle(fresh: Path, target: Path) -> None:
    """Bytes on the disk first, then the name: a reader sees the old file or the whole new one."""
    with fresh.open("rb") as file:
        os.fsync(file.fileno())
    fresh.chmod(0o644)
    fresh.replace(target)

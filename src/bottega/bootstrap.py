"""Settings to service: the one place that joins parts."""

import time
from datetime import UTC, datetime
from functools import cache, lru_cache
from pathlib import Path

from bottega.catalog.catalog import Catalog
from bottega.core.errors import InvalidValue
from bottega.engines.residents import Residents
from bottega.governance.authority import Authority
from bottega.governance.checkpoint import RecordKey
from bottega.governance.keyring import KeyRing
from bottega.governance.policy import Policy
from bottega.governance.seal import SubjectSeal
from bottega.governance.witness import Witness
from bottega.pipelines.workshop import Workshop
from bottega.service import Bottega
from bottega.service.audit import Audit
from bottega.settings import Settings
from bottega.storage.artifacts import ArtifactStore
from bottega.storage.database import Database
from bottega.storage.objects import LocalObjects, Objects
from bottega.storage.small import SmallObjects
from bottega.storage.state import open_state
from bottega.storage.workers import SILENCE


def now() -> str:
    """The time, RFC 3339 in UTC, to the millisecond."""
    seconds, milliseconds = divmod(time.time_ns() // 1_000_000, 1000)
    return f"{_to_the_second(seconds)}.{milliseconds:03d}Z"


@lru_cache(1)
def _to_the_second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()[:-6]


def build(
    settings: Settings | None = None,
    /,
    *,
    signing_key: Path | None = None,
    certificate: Path | None = None,
    policy: Path | None = None,
) -> Bottega:
    """The service for these settings; loads no engine and no weights.

    Raises:
        StorageFailed: the state folder cannot be used.
        InvalidValue: the signing key and certificate do not fit, or only one is given.
    """
    if (signing_key is None) != (certificate is None):
        raise InvalidValue(
            "a signing key and its certificate belong together, and only one is given",
            where="certificate" if signing_key else "signing-key",
            remedy="give both, or neither to sign with this machine's own key",
        )
    settings = settings or Settings()
    ring = KeyRing(settings.state / "subject-keys")
    state = open_state(
        settings.state, now, url=settings.database, seal=SubjectSeal(ring), beat=settings.silence / SILENCE
    )
    witness = Witness(settings.witness) if settings.witness else None
    record_key = cache(lambda: RecordKey.local(settings.state / "record-key"))
    audit = Audit(state, record_key, witness, now)
    secrets = {"openai_api_key": settings.openai_api_key}
    secrets |= {f"openai_api_key@{host}": key for host, key in settings.openai_api_keys.items()}
    shop = Workshop(
        artifacts=_artifacts(settings, state.database),
        runs=state.runs,
        journal=state.journal,
        tickets=state.tickets,
        workers=state.workers,
        catalog=Catalog(settings.home),
        policy=Policy.load(policy),
        scratch=settings.state / "scratch",
        collections=settings.state / "collections",
        collections_server=settings.collections,
        exact=settings.exact,
        now=now,
        threads=settings.threads,
        limits=settings.limits,
        residents=Residents(settings.memory),
        secret=lambda name: secrets.get(name, ""),
    )

    def authority() -> Authority:
        if signing_key and certificate:
            return Authority.given(signing_key, certificate)
        return Authority.local(settings.state / "keys")

    return Bottega(
        shop, authority, state, actor=settings.actor, ring=ring, audit=audit, folder=settings.state
    )


def _artifacts(settings: Settings, database: Database) -> ArtifactStore:
    folder = settings.state / "artifacts"
    objects: Objects = LocalObjects(folder)
    if settings.artifacts:
        from bottega.storage.s3 import S3Objects

        objects = S3Objects(settings.artifacts)
    return ArtifactStore(SmallObjects(database, objects), settings.state / "cache")

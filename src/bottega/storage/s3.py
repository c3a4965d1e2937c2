"""Blobs in a bucket that speaks S3."""

import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from bottega.core.errors import ExtraMissing, InvalidValue, NotFound, StorageFailed
from bottega.storage.disk import appearing, disk
from bottega.storage.objects import Objects, Stored, checked

if TYPE_CHECKING:
    from obstore.store import S3Config, S3Credential

CHUNK = 8 << 20  # bytes; four of them are on their way at a time
MOST_PARTS = 9_000  # S3 allows 10,000 parts
FRESH = (
    1800.0  # seconds; a blob older than this is sent again by a renewal, S3 knows no other way to touch it
)
PATIENCE = timedelta(seconds=60)
OPTIONS = {"endpoint", "region"}


class S3Objects(Objects):
    """Blobs under ``s3://bucket/prefix?endpoint=URL&region=NAME``; ``endpoint`` for any server but Amazon's.

    A blob is renewed by sending it again once it is half an hour old. Deletion of old blobs looks at the time and then
    deletes: a put of the same bytes that ends between the two is lost, a window of one round trip.
    """

    def __init__(
        self, url: str, *, access_key: str = "", secret_key: str = "", session_token: str = ""
    ) -> None:
        """Without keys, the usual places are asked: the environment (``AWS_*``), a web identity, the instance.

        Raises:
            ExtraMissing: `obstore` is not installed.
            InvalidValue: the URL has another form, or only one of the two keys is given.
        """
        try:
            from obstore.store import S3Store
        except ImportError as error:
            raise ExtraMissing(
                "the package 'obstore' is not installed", where=url, remedy="pip install 'bottega[s3]'"
            ) from error
        parts, options = urlsplit(url), parse_qs(urlsplit(url).query)
        if parts.scheme != "s3" or not parts.netloc or options.keys() - OPTIONS:
            raise InvalidValue(
                f"'{url}' does not name a bucket",
                remedy="write s3://bucket/prefix?endpoint=https://host&region=name",
            )
        if bool(access_key) != bool(secret_key):
            raise InvalidValue("an access key and its secret key belong together, and only one is given")
        config: S3Config = {"region": options.get("region", ["us-east-1"])[0], "disable_bulk_delete": True}
        if endpoint := options.get("endpoint", [""])[0]:
            config["endpoint"] = endpoint
        given: S3Credential = {
            "access_key_id": access_key,
            "secret_access_key": secret_key,
            "token": session_token or None,
            "expires_at": None,
        }
        self.where = f"s3://{parts.netloc}{parts.path}"
        self.staging = None
        self._store = S3Store(
            parts.netloc,
            prefix=parts.path.strip("/") or None,
            config=config,
            # Keys in `config` would be joined with a session token that the environment happens to hold.
            credential_provider=(lambda: given) if access_key else None,
            client_options={
                "allow_http": endpoint.startswith("http://"),
                "timeout": timedelta(hours=6),  # for a whole blob; a connection that stalls ends sooner
                "read_timeout": PATIENCE,
                "connect_timeout": timedelta(seconds=10),
            },
            retry_config={"max_retries": 4, "retry_timeout": PATIENCE},
        )

    def put(self, name: str, source: Path) -> None:
        """Send the file, in parts if it is large."""
        size = max(CHUNK, -(-source.stat().st_size // MOST_PARTS))
        with self._asked():
            self._store.put(checked(name), source, chunk_size=size, max_concurrency=4)
        source.unlink(missing_ok=True)

    def fetch(self, name: str, target: Path) -> None:
        """Receive the blob."""
        with self._asked(name):
            stream = self._store.get(checked(name)).stream(CHUNK)
            with disk(target.parent), appearing(target) as made, made.open("wb") as writer:
                for chunk in stream:
                    writer.write(chunk)

    def size(self, name: str) -> int | None:
        """Bytes of the blob."""
        found = self._head(name)
        return found.size if found else None

    def renew(self, name: str, size: int) -> bool:
        """Whether it is there, whole and young."""
        found = self._head(name)
        return bool(found and found.size == size and time.time() - found.modified < FRESH)

    def delete(self, name: str, *, older_than: float | None = None) -> bool:
        """Remove the blob."""
        found = self._head(name)
        if not found or (older_than is not None and found.modified >= older_than):
            return False
        with self._asked():
            self._store.delete(name)
        return True

    def list(self) -> Iterator[Stored]:
        """All under the prefix."""
        with self._asked():
            for page in self._store.list(chunk_size=1000):
                for each in page:
                    yield Stored(
                        name=each["path"], size=each["size"], modified=each["last_modified"].timestamp()
                    )

    def local(self, name: str) -> Path | None:
        """None: nothing lies on this disk."""
        return None

    def _head(self, name: str) -> Stored | None:
        try:
            with self._asked(name):
                found = self._store.head(checked(name))
        except NotFound:
            return None
        return Stored(name=name, size=found["size"], modified=found["last_modified"].timestamp())

    @contextmanager
    def _asked(self, name: str = "") -> Generator[None]:
        """Name the failure of the server; with ``name`` it was asked for an object that may not be there."""
        from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError

        try:
            yield
        except FileNotFoundError as error:
            if name:
                raise NotFound(f"object {name[:12]} is not there", where=self.where) from error
            raise StorageFailed(
                "there is no such bucket", where=self.where, remedy="make it first"
            ) from error
        except (PermissionDeniedError, UnauthenticatedError) as error:
            raise StorageFailed(
                "the bucket refuses these credentials",
                where=self.where,
                remedy="check the access key, and that it may read, write, list and delete here",
            ) from error
        except BaseError as error:
            raise StorageFailed(
                f"the bucket cannot be used: {str(error).splitlines()[0][:300]}",
                where=self.where,
                remedy="check that the endpoint answers and that the bucket exists",
            ) from error

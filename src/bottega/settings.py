"""Every setting, typed, in one file. Only entry points and bootstrap read it."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from getpass import getuser
from pathlib import Path

from bottega.core.errors import InvalidValue

environment = os.environ  # noqa: TID251 - the one place


def _folder(variable: str, xdg: str, fallback: str) -> Callable[[], Path]:
    def default() -> Path:
        given = environment.get(variable)
        if given:
            return Path(given).expanduser().absolute()
        base = environment.get(xdg)
        return (Path(base) if base else Path.home() / fallback) / "bottega"

    return default


def _threads() -> int:
    given = environment.get("BOTTEGA_THREADS", "")
    if not given:
        return os.cpu_count() or 2
    if not given.isdecimal() or not 1 <= int(given) <= 1024:
        raise InvalidValue(
            f"'{given}' is not a number of threads", where="BOTTEGA_THREADS", remedy="set 1 to 1024"
        )
    return int(given)


def _witness() -> Path | None:
    given = environment.get("BOTTEGA_WITNESS", "")
    return Path(given).expanduser().absolute() if given else None


def _memory() -> int:
    given = environment.get("BOTTEGA_MEMORY", "")
    unit = {"M": 1 << 20, "G": 1 << 30}.get(given[-1:].upper(), 0)
    if given and not (unit and given[:-1].isdecimal() and int(given[:-1])):
        raise InvalidValue(
            f"'{given}' is no amount of memory", where="BOTTEGA_MEMORY", remedy="write 6G or 800M"
        )
    return int(given[:-1]) * unit if given else 0


def _limits() -> dict[str, int]:
    found: dict[str, int] = {}
    for item in filter(None, environment.get("BOTTEGA_LIMITS", "").split(",")):
        name, _, count = item.strip().partition("=")
        if not name or not count.isdecimal() or int(count) < 1:
            raise InvalidValue(
                f"'{item}' is not a limit", where="BOTTEGA_LIMITS", remedy="write ENGINE=NUMBER,ENGINE=NUMBER"
            )
        found[name] = int(count)
    return found


def _keys() -> dict[str, str]:
    found: dict[str, str] = {}
    for item in filter(None, environment.get("BOTTEGA_OPENAI_API_KEYS", "").split(",")):
        host, _, key = item.strip().partition("=")
        if not host or not key or "/" in host:
            raise InvalidValue(
                "one of the keys has no host", where="BOTTEGA_OPENAI_API_KEYS", remedy="write HOST=KEY,HOST:PORT=KEY"
            )  # fmt: skip
        found[host.lower()] = key
    return found


def _exact() -> int:
    given = environment.get("BOTTEGA_EXACT", "")
    if given and not given.isdecimal():
        raise InvalidValue(
            f"'{given}' is not a number of vectors",
            where="BOTTEGA_EXACT",
            remedy="set a whole number, 0 or more",
        )
    return int(given or 200_000)


def _silence() -> float:
    given = environment.get("BOTTEGA_SILENCE", "")
    if not given:
        return 20.0
    if not given.isdecimal() or not 1 <= int(given) <= 3600:
        raise InvalidValue(
            f"'{given}' is not a number of seconds", where="BOTTEGA_SILENCE", remedy="set 1 to 3600"
        )
    return float(given)


@dataclass(frozen=True)
class Settings:
    """All settings; each is one environment variable with its meaning under it."""

    home: Path = field(default_factory=_folder("BOTTEGA_HOME", "XDG_CACHE_HOME", ".cache"))
    """``BOTTEGA_HOME``: weights, shared between checkouts; safe to delete, `bottega pull` brings it back."""

    state: Path = field(default_factory=_folder("BOTTEGA_STATE", "XDG_DATA_HOME", ".local/share"))
    """``BOTTEGA_STATE``: runs, artifacts, the record, keys; back it up."""

    database: str = field(default_factory=lambda: environment.get("BOTTEGA_DATABASE", ""), repr=False)
    """``BOTTEGA_DATABASE``: ``postgresql://USER@HOST/DATABASE?schema=NAME`` for several hosts; empty for SQLite under the state."""

    collections: str = field(default_factory=lambda: environment.get("BOTTEGA_COLLECTIONS", ""), repr=False)
    """``BOTTEGA_COLLECTIONS``: ``postgresql://USER@HOST/DATABASE?schema=NAME``, a database with pgvector that holds the collections of
    several hosts; empty for files under the state."""

    exact: int = field(default_factory=_exact)
    """``BOTTEGA_EXACT``: vectors that somebody may see in a collection of files, up to which a search compares all of them; of more it
    compares those that sketches choose. 200000 by default."""

    artifacts: str = field(default_factory=lambda: environment.get("BOTTEGA_ARTIFACTS", ""), repr=False)
    """``BOTTEGA_ARTIFACTS``: a bucket for several hosts (``s3://bucket/prefix?endpoint=...&region=...``); empty for the state folder.
    Its credentials are those that S3 clients read: ``AWS_ACCESS_KEY_ID``, ``AWS_SECRET_ACCESS_KEY``, ``AWS_SESSION_TOKEN``."""

    limits: dict[str, int] = field(default_factory=_limits)
    """``BOTTEGA_LIMITS``: how many steps of an engine may run at once on all hosts, and how many local steps on this one:
    ``openai_chat=8,local=1``."""

    silence: float = field(default_factory=_silence)
    """``BOTTEGA_SILENCE``: seconds without a heartbeat after which a worker's steps are given to others; 20 by default. The
    end of a process on this host is seen at once, without it."""

    actor: str = field(default_factory=lambda: environment.get("BOTTEGA_ACTOR", "") or f"user:{getuser()}")
    """``BOTTEGA_ACTOR``: who acts, for the record; the login name by default."""

    witness: Path | None = field(default_factory=_witness)
    """``BOTTEGA_WITNESS``: a file or folder, on a disk of somebody else's, that gets every signed checkpoint."""

    memory: int = field(default_factory=_memory)
    """``BOTTEGA_MEMORY``: what engines may hold together, as ``6G`` or ``800M``; the one that was used least lately is ended
    to make room. No limit by default."""

    threads: int = field(default_factory=_threads)
    """``BOTTEGA_THREADS``: threads that one engine may use."""

    openai_api_key: str = field(
        default_factory=lambda: environment.get("BOTTEGA_OPENAI_API_KEY", ""), repr=False
    )
    """``BOTTEGA_OPENAI_API_KEY``: sent to the server of a step by `openai_chat` and its like, never written to a log or record."""

    openai_api_keys: dict[str, str] = field(default_factory=_keys, repr=False)
    """``BOTTEGA_OPENAI_API_KEYS``: ``HOST=KEY,HOST:PORT=KEY``, each sent to its own host alone; other hosts get the key above, if there is one."""

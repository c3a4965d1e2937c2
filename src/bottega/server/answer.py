"""What came of a call, and its name in the record."""

import secrets
from dataclasses import dataclass, field
from time import time, time_ns
from typing import Any

from bottega.core.canonical import digest_bytes
from bottega.core.errors import BottegaError
from bottega.core.request import Finished
from bottega.core.run import Made, StepResult
from bottega.server.config import Named, Target
from bottega.server.message import Call, Header
from bottega.service.keys import ApiKey


@dataclass
class Answer:
    """A call that was made: what came of it, and under which id it stands in the record."""

    id: str
    named: Named
    created: int = field(default_factory=lambda: int(time()))
    result: StepResult | None = None
    target: Target | None = None
    error: BottegaError | None = None
    said: Finished | None = None  # as the engine gave it, where nobody listened
    # Where a stream broke, and why, when another target went on with it.
    continued: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])

    @property
    def headers(self) -> tuple[Header, ...]:
        """What tells the caller where it stands in the record."""
        return ((b"x-bottega-run-id", self.id.encode()),)

    def output(self, port: str = "") -> Made:
        """The output of a port, or the first."""
        assert self.result is not None
        return next(made for made in self.result.outputs if port in ("", made.port))


def call_id(call: Call, key: ApiKey, part: int = 0, kind: str = "call") -> str:
    """The name of a call or run in the record: the same for the same idempotency key of the same caller.

    Without one it begins with the time (in 2**20 ns), so that what is written of calls made together lies together in the tables.
    """
    given = idempotency_key(call, key, part)
    if given:
        return f"{kind}-{digest_bytes(given.encode())[:12]}"
    return f"{kind}-{time_ns() >> 20:011x}{secrets.token_hex(5)}"


def idempotency_key(call: Call, key: ApiKey, part: int = 0) -> str:
    """The idempotency key with whose it is; "" when the caller gave none."""
    given = call.header(b"idempotency-key")
    return f"{key.owner}:{given}" + (f":{part}" if part else "") if given else ""

"""How far a pull has come."""

from collections.abc import Callable
from typing import Literal

from pydantic import Field

from bottega.core.value import Value

Stage = Literal["waiting", "checking", "fetching", "converting", "done"]


class PullProgress(Value, frozen=True):
    """One look at a pull. Bytes are those of the unpacked files; ``total`` is known before the first one."""

    model: str
    done: int = Field(ge=0)
    total: int = Field(ge=0)
    file: str = ""
    stage: Stage


OnProgress = Callable[[PullProgress], None]

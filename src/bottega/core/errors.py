"""Every error of Bottega, in one tree.

BottegaError                     exit 1   HTTP 500
├── InputError                   exit 2   HTTP 400   what the caller sent is wrong
│   ├── InvalidValue             exit 2   HTTP 400   a value that cannot be stored or hashed
│   │   └── KeyReused            exit 2   HTTP 409   an idempotency key was used for another request
│   ├── InvalidBrief             exit 2   HTTP 422   a brief that cannot be planned
│   ├── InvalidPlan              exit 2   HTTP 422   a plan that cannot run: names the step and the field
│   ├── UnreadableSource         exit 2   HTTP 422   a source file that cannot be read
│   ├── TooLarge                 exit 2   HTTP 413   more bytes, pixels or seconds than are allowed
│   ├── WrongMethod              exit 2   HTTP 405   the path knows other methods
│   └── NotFound                 exit 2   HTTP 404   an unknown engine, model, run or artifact
├── PolicyDenied                 exit 3   HTTP 403   the constraints or the policy say no
│   ├── Unauthenticated          exit 3   HTTP 401   no key, or one that is unknown, expired or revoked
│   ├── RateLimited              exit 3   HTTP 429   too many requests in too short a time (retryable)
│   └── BudgetExceeded           exit 3   HTTP 402   the time or cost limit is reached
├── ReviewNeeded                 exit 4   HTTP 409   a person has to decide first
├── SetupError                   exit 5   HTTP 503   something is not installed or not fetched
│   ├── ExtraMissing             exit 5   HTTP 503   an optional package is missing
│   └── WeightsMissing           exit 5   HTTP 503   weights are not pulled, or are damaged
├── EngineFailed                 exit 6   HTTP 502   an engine could not make its part
│   ├── EngineBusy               exit 6   HTTP 503   a remote engine asks to come back later (retryable)
│   ├── EngineDied               exit 6   HTTP 502   the process of an engine ended by itself (retryable)
│   └── AnswerUnfit              exit 6   HTTP 502   what a model said has not the shape that was asked for (retryable)
├── TransferFailed               exit 7   HTTP 502   a download did not finish (retryable)
├── StorageFailed                exit 8   HTTP 507   the disk is full or the store is damaged
│   └── NotDelivered             exit 8   HTTP 507   the folder of a delivery cannot be written; the run goes on elsewhere
├── LeaseLost                    exit 8   HTTP 409   another worker has taken the step over
├── Tampered                     exit 9   HTTP 409   a signature or hash does not match
│   ├── RecordAltered            exit 9   HTTP 409   the record was changed: says how and where
│   └── TablesAltered            exit 9   HTTP 409   a table says something else than the record
└── Cancelled                    exit 130 HTTP 499   stopped on request

A failure is named for the boundary it crossed and recorded once. The fields of an error are the keywords of its
constructor, all JSON types, so that an error can cross to another process and come out the same.
"""

from collections.abc import Mapping
from typing import Any, Literal

Finding = Literal["edited", "deleted", "inserted", "reordered", "truncated", "rewritten", "forged checkpoint"]


class BottegaError(Exception):
    """The root. ``message`` says what went wrong and where, ``remedy`` what to do next.

    ``used`` is what the work had cost when it ended, as far as it is known: an error that comes from an engine's
    process has ``seconds``, ``cpu_seconds``, ``peak_bytes``, ``outputs`` (how many of each kind) and ``usage``.
    """

    exit_code = 1
    http_status = 500
    retryable = False

    def __init__(
        self, message: str, *, remedy: str = "", where: str = "", used: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        self.where = where
        self.used: Mapping[str, Any] = used or {}

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        remedy = f" ({self.remedy})" if self.remedy else ""
        return f"{place}{self.message}{remedy}"


class InputError(BottegaError):
    """What the caller sent is wrong."""

    exit_code = 2
    http_status = 400


class InvalidValue(InputError):
    """A value that cannot be stored or hashed."""


class InvalidBrief(InputError):
    """A brief that cannot be planned."""

    http_status = 422


class InvalidPlan(InputError):
    """A plan that cannot run; ``where`` names the step and the field."""

    http_status = 422


class UnreadableSource(InputError):
    """A source file that cannot be read; ``where`` names the file."""

    http_status = 422


class NotFound(InputError):
    """An unknown engine, model, run or artifact."""

    http_status = 404


class KeyReused(InvalidValue):
    """An idempotency key that was used for another request."""

    http_status = 409


class TooLarge(InputError):
    """More bytes, pixels or seconds than are allowed; ``where`` names what."""

    http_status = 413


class WrongMethod(InputError):
    """The path exists and knows other methods."""

    http_status = 405


class PolicyDenied(BottegaError):
    """The constraints or the policy say no, with the reason."""

    exit_code = 3
    http_status = 403


class Unauthenticated(PolicyDenied):
    """No key, or one that is unknown, expired or revoked."""

    http_status = 401


class RateLimited(PolicyDenied):
    """Too many requests in too short a time, or too many that wait."""

    http_status = 429
    retryable = True

    def __init__(
        self,
        message: str,
        *,
        remedy: str = "",
        where: str = "",
        used: Mapping[str, Any] | None = None,
        retry_after: float = 1.0,
    ) -> None:
        super().__init__(message, remedy=remedy, where=where, used=used)
        self.retry_after = retry_after  # seconds


class BudgetExceeded(PolicyDenied):
    """The time or cost limit is reached."""

    http_status = 402


class ReviewNeeded(BottegaError):
    """A person has to decide first."""

    exit_code = 4
    http_status = 409


class SetupError(BottegaError):
    """Something is not installed or not fetched; the remedy is the command that mends it."""

    exit_code = 5
    http_status = 503


class ExtraMissing(SetupError):
    """An optional package is missing."""


class WeightsMissing(SetupError):
    """Weights are not pulled yet, or are damaged."""


class EngineFailed(BottegaError):
    """An engine could not make its part."""

    exit_code = 6
    http_status = 502


class EngineBusy(EngineFailed):
    """A remote engine asks to come back later."""

    http_status = 503
    retryable = True

    def __init__(
        self,
        message: str,
        *,
        remedy: str = "",
        where: str = "",
        used: Mapping[str, Any] | None = None,
        retry_after: float = 0.0,
    ) -> None:
        super().__init__(message, remedy=remedy, where=where, used=used)
        self.retry_after = retry_after  # seconds


class EngineDied(EngineFailed):
    """The process of an engine ended by itself: it crashed, or somebody or the system killed it.

    ``ended`` is ``exit code 3`` or the name of a signal such as ``SIGSEGV``; ``stderr`` the last 2 kB that the
    process wrote to its standard error.
    """

    retryable = True

    def __init__(
        self,
        message: str,
        *,
        remedy: str = "",
        where: str = "",
        used: Mapping[str, Any] | None = None,
        ended: str = "",
        stderr: str = "",
    ) -> None:
        super().__init__(message, remedy=remedy, where=where, used=used)
        self.ended = ended
        self.stderr = stderr


class AnswerUnfit(EngineFailed):
    """What a model said has not the shape that was asked for; another answer may have it."""

    retryable = True


class TransferFailed(BottegaError):
    """A download did not finish."""

    exit_code = 7
    http_status = 502
    retryable = True


class StorageFailed(BottegaError):
    """The disk is full or the store is damaged."""

    exit_code = 8
    http_status = 507


class NotDelivered(StorageFailed):
    """The folder of a delivery cannot be written here; the run is left to whoever can, or to another folder."""


class LeaseLost(BottegaError):
    """Another worker has taken the step over; the late write of this one is refused."""

    exit_code = 8
    http_status = 409


class Tampered(BottegaError):
    """A signature or hash does not match."""

    exit_code = 9
    http_status = 409


class RecordAltered(Tampered):
    """The record was changed: ``finding`` says how, ``first`` and ``last`` (included) which entries, from 0.

    For a forged checkpoint they count the checkpoints that were given.
    """

    def __init__(
        self,
        message: str,
        *,
        finding: Finding = "edited",
        first: int = 0,
        last: int = 0,
        remedy: str = "",
        where: str = "",
        used: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message, remedy=remedy, where=where, used=used)
        self.finding: Finding = finding
        self.first = first
        self.last = last


class TablesAltered(Tampered):
    """A row that was made from the record, or a document it refers to, is no longer as the record says."""


class Cancelled(BottegaError):
    """Stopped on request."""

    exit_code = 130
    http_status = 499

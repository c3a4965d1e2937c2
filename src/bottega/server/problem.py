"""Errors in the dialect that clients know: four keys, always all of them."""

from math import ceil
from typing import Any

from bottega.core.errors import (
    BottegaError,
    BudgetExceeded,
    EngineBusy,
    KeyReused,
    NotFound,
    RateLimited,
    SetupError,
    Unauthenticated,
)
from bottega.server.message import JSON, Header, Reply, encode

KINDS = {
    400: "invalid_request_error", 401: "authentication_error", 402: "insufficient_quota", 403: "permission_error",
    404: "not_found_error", 405: "invalid_request_error", 409: "conflict_error", 413: "invalid_request_error",
    415: "invalid_request_error", 422: "invalid_request_error", 429: "rate_limit_error",
}  # fmt: skip

CODES: dict[type[BottegaError], str] = {
    Unauthenticated: "invalid_api_key",
    RateLimited: "rate_limit_exceeded",
    BudgetExceeded: "insufficient_quota",
    KeyReused: "idempotency_key_reused",
    NotFound: "not_found",
    SetupError: "not_installed",
}


def body_of(error: BottegaError) -> dict[str, Any]:
    """The error object: message, type, param, code."""
    status = error.http_status
    message = f"{error.message} ({error.remedy})" if error.remedy else error.message
    return {
        "message": message,
        "type": KINDS.get(status, "server_error"),
        "param": error.where or None,
        "code": next((code for kind, code in CODES.items() if isinstance(error, kind)), None),
    }


def problem(error: BottegaError, dialect: str = "") -> Reply:
    """The reply to an error; ``dialect`` is "anthropic" for the routes that speak that."""
    said = body_of(error)
    headers: list[Header] = [JSON, (b"x-bottega-error", type(error).__name__.encode())]
    if isinstance(error, EngineBusy | RateLimited) and error.retry_after:
        headers.append((b"retry-after", b"%d" % max(1, ceil(error.retry_after))))
    if error.http_status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    if dialect == "anthropic":
        kind = {"server_error": "api_error", "insufficient_quota": "billing_error"}.get(
            said["type"], said["type"]
        )
        return Reply(
            encode({"type": "error", "error": {"type": kind, "message": _placed(said)}}),
            error.http_status,
            headers,
        )
    return Reply(encode({"error": said}), error.http_status, headers)


def _placed(said: dict[str, Any]) -> str:
    """The message behind the field that it is about, for a dialect that has no place for it."""
    return f"{said['param']}: {said['message']}" if said["param"] else said["message"]


def unforeseen(error: BaseException) -> BottegaError:
    """What is told of a mistake of ours: its kind, never its trace."""
    return BottegaError(f"{type(error).__name__}", remedy="this is a bug: the server's log has more")

"""What the journal keeps of prompts and parameters: all, the harmless part, or only a digest."""

import re
from collections.abc import Mapping
from typing import Any, Literal, cast

from bottega.core.canonical import digest, digest_bytes
from bottega.core.value import JsonObject

Recording = Literal["full", "redacted", "digest"]

SHORT = 40  # characters; longer text is a prompt, a template or a query, not a setting
# Credentials as their makers print them: `sk-...`, `ghp_...`, `AKIA...`, JSON web tokens, PEM keys, `key=value` pairs.
SECRET = re.compile(
    r"\b(?:sk|pk|rk|ghp|gho|xox[abprs]|hf|glpat)[-_][A-Za-z0-9_-]{12,}"
    r"|\bAKIA[0-9A-Z]{16}\b"
    r"|\beyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]*"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"
    r"|(?i:\b(?:api[_-]?key|token|secret|password|passwd|authorization)\b\s*[:=]\s*)(?:(?i:bearer)\s+)?[^\s,;\"']+"
)


def recorded(params: Mapping[str, Any], recording: Recording) -> JsonObject:
    """Parameters as the journal keeps them.

    ``full`` keeps all but credentials; ``redacted`` also puts the digest and length of every longer text in its place;
    ``digest`` keeps the digest alone. Not covered: a credential in a form that nobody publishes.
    """
    if not params:
        return {}
    if recording == "digest":
        return {"sha256": digest(params)}
    return cast(JsonObject, _walk(params, recording))


def masked(text: str) -> str:
    """A text without the credentials in it."""
    return SECRET.sub("[secret]", text)


def _walk(value: Any, recording: Recording) -> Any:
    match value:
        case str():
            text = masked(value)
            if recording == "redacted" and len(text) > SHORT:
                return {
                    "sha256": digest_bytes(value.encode("utf-8", "surrogatepass")),
                    "characters": len(value),
                }
            return text
        case Mapping():
            return {key: _walk(each, recording) for key, each in cast(Mapping[str, Any], value).items()}
        case list() | tuple():
            return [_walk(each, recording) for each in cast(list[Any], value)]
        case _:
            return value

"""What is kept of prompts and parameters: all, the harmless part, or only a digest, and then only until the work has ended."""

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Literal, cast

from bottega.core.brief import Brand
from bottega.core.canonical import digest, digest_bytes
from bottega.core.plan import Plan
from bottega.core.run import StepResult
from bottega.core.value import JsonObject
from bottega.core.verdict import Verdict

Recording = Literal["full", "redacted", "digest"]

SHORT = 40  # characters; longer text is a prompt, a template or a query, not a setting
PROMPTS = frozenset({"goal", "negative_prompt", "prompt", "query", "sql", "system", "template", "text"})
PIECE = 16  # characters
TEXT = "[text]"  # in the place of one
PLAIN, LISTS = (bool, int, float), (list, tuple)
SHORTEST = 7  # characters of a text that `SECRET` can find something in: `token=x`
# Credentials as their makers print them: `sk-...`, `ghp_...`, `AKIA...`, JSON web tokens, PEM keys, `key=value` pairs.
_START = r"(?:\b|(?<=\\[nrt]))"  # of a word, also after a line break that was escaped in a quotation
SECRET = re.compile(
    rf"{_START}(?:sk|pk|rk|ghp|gho|xox[abprs]|hf|glpat)[-_][A-Za-z0-9_-]{{12,}}"
    rf"|{_START}AKIA[0-9A-Z]{{16}}\b"
    rf"|{_START}eyJ[A-Za-z0-9_-]{{10,}}\.[A-Za-z0-9_-]{{10,}}\.[A-Za-z0-9_-]*"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"
    rf"|(?i:{_START}(?:api[_-]?key|token|secret|password|passwd|authorization)\b\s*[:=]\s*)(?:(?i:bearer)\s+)?[^\s,;\"']+"
)


def recorded(params: Mapping[str, Any], recording: Recording) -> JsonObject:
    """Parameters as the journal keeps them.

    ``full`` keeps all but credentials; ``redacted`` also puts digest and length in the place of every prompt and of every
    longer text; ``digest`` keeps the digest of them all alone. Not covered: a credential in a form that nobody
    publishes, and that whoever guesses a text can compare its digest.
    """
    if not params:
        return {}
    if recording == "digest":
        return {"sha256": digest(params)}
    return cast(JsonObject, _walk(params, recording))


def masked(text: str) -> str:
    """A text without the credentials in it."""
    return SECRET.sub("[secret]", text)


_named = lru_cache(1024)(masked)  # of fields, which are few


def told(error: str, params: Mapping[str, Any], recording: Recording) -> str:
    """An error as the journal keeps it: without credentials, and without pieces of what `recorded` does not show.

    Engines quote what they were given, often a part of it; `PIECE` characters in a row are taken for a quotation.
    """
    hidden = [] if recording == "full" else [*_hidden(params, recording)]
    quoted = [False] * len(error)
    for text in hidden:
        size = min(PIECE, len(text))
        pieces = {text[start : start + size] for start in range(len(text) - size + 1)}
        for start in range(len(error) - size + 1):
            if error[start : start + size] in pieces:
                quoted[start : start + size] = [True] * size
    kept = "".join("\0" if hide else letter for letter, hide in zip(error, quoted, strict=True))
    return masked(re.sub("\0+", TEXT, kept))


def wordless(plan: Plan) -> Plan:
    """A plan without what people wrote into it: its graph, engines, models, numbers and files stay."""
    brief = plan.brief
    wanted = tuple(each.model_copy(update={"focus": ""}) for each in brief.deliverables)
    look = Brand(colors=brief.brand.colors, font=brief.brand.font)
    said = {"goal": TEXT, "deliverables": wanted, "steps": (), "audience": "", "brand": look}
    steps = [
        step.model_copy(
            update={
                "params": _numbers(step.params),
                "checks": {name: _numbers(options) for name, options in step.checks.items()},
                "why": "",
            }
        )
        for step in plan.steps
    ]
    return plan.model_copy(
        update={
            "brief": brief.model_copy(update=said),
            "intent": _numbers(plan.intent),
            "steps": tuple(steps),
        }
    )


def _numbers(values: Mapping[str, Any]) -> JsonObject:
    return {
        name: value if value is None or isinstance(value, PLAIN) else TEXT for name, value in values.items()
    }


def unquoted(result: StepResult, given: Mapping[str, Any]) -> StepResult:
    """A result whose details and verdicts do not quote what was given: no text of it, and no `PIECE` of one."""
    texts = {*_hidden(given, "digest")}

    def walk(value: Any) -> Any:
        match value:
            case str():
                if value in texts:
                    return TEXT
                return told(value, given, "digest") if len(value) >= PIECE else value
            case Mapping():
                return {name: walk(each) for name, each in cast(Mapping[str, Any], value).items()}
            case list() | tuple():
                return [walk(each) for each in cast(list[Any], value)]
            case _:
                return value

    def said(verdict: Verdict) -> Verdict:
        return verdict.model_copy(update={"reason": walk(verdict.reason), "evidence": walk(verdict.evidence)})

    outputs = [
        made.model_copy(update={"details": walk(made.details), "verdicts": tuple(map(said, made.verdicts))})
        for made in result.outputs
    ]
    return result.model_copy(update={"outputs": tuple(outputs)}) if texts else result


def _hidden(value: Any, recording: Recording, key: str = "") -> Iterator[str]:
    match value:
        case str():
            if value and (recording == "digest" or key in PROMPTS or len(value) > SHORT):
                yield value
        case Mapping():
            for name, each in cast(Mapping[str, Any], value).items():
                yield from _hidden(each, recording, name)
        case list() | tuple():
            for each in cast(list[Any], value):
                yield from _hidden(each, recording, key)
        case _:
            return


def _walk(value: Any, recording: Recording, key: str = "") -> Any:
    if isinstance(value, str):
        if recording == "redacted" and value and (key in PROMPTS or len(value) > SHORT):
            return {
                "sha256": digest_bytes(value.encode("utf-8", "surrogatepass")),
                "characters": len(value),
            }
        return masked(value) if len(value) >= SHORTEST else value
    if value is None or isinstance(value, PLAIN):
        return value
    if isinstance(value, LISTS):
        return [_walk(each, recording, key) for each in cast(list[Any], value)]
    if isinstance(value, Mapping):
        items = cast(Mapping[str, Any], value).items()
        return {_named(name): _walk(each, recording, name) for name, each in items}
    return value

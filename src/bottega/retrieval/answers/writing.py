"""What the language model is asked, and what it says: the only place where an answer meets one."""

import json
import math
import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple, cast

from bottega.core.passage import Passage
from bottega.core.request import Delta, Finished, Output, Part, Request, Usage
from bottega.core.value import JsonObject
from bottega.retrieval.document import dump_passages
from bottega.retrieval.sentences import sentence_spans
from bottega.retrieval.words import guess_language

MOST_TOKENS = 100  # of an answer
MOST_TOKENS_TYPED = 400

# An offer to refuse makes a model of this size refuse what the sources answer (measured: 7 of 7); whether they do is decided outside.
_SYSTEM = "You answer a customer's question from the sources, in their words. Copy names and numbers exactly. Invent nothing."
_PROMPT = "{question}\nAnswer only what is asked, with one or two short, complete sentences."
_TYPED = "Question: {question}\n\nAnswer as JSON. Take every value from the sources, word for word. Leave a text empty that they do not give."
_REWRITE = (
    "Last question: {question}\n\n"
    "Write the last question again as one complete question that can be understood alone. Use only words of the conversation."
)
_IN = {
    language: f" Write it in {name}."
    for language, name in (("de", "German"), ("es", "Spanish"), ("fr", "French"), ("it", "Italian"))
}
# "The sources do not say", "is not mentioned in the provided sources", "there is no information about"
_REFUSES = re.compile(
    r"not in the sources|\b(?:sources?|documents?|passages?|text|information)\b[^.]{0,40}\b(?:do(?:es)? not|don't|doesn't|did not|cannot)\b"
    r"|\bnot (?:explicitly |specifically )?(?:mentioned|specified|stated|provided|given|listed|available in)\b"
    r"|\bno (?:information|mention|details?)\b|\bi (?:do not|don't|cannot|can't) (?:know|find|answer)\b",
    re.IGNORECASE,
)
_MARKS = re.compile(
    r"\s*\[[^\]\n]{0,80}#?\d+\]|^\s*(?:[-*•]|\d+[.)])\s+|[*_`]{1,3}|^(?:answer|a)\s*:\s*",
    re.IGNORECASE | re.MULTILINE,
)


class Reply(NamedTuple):
    """What the model said. ``first`` are the likeliest first tokens with their probabilities."""

    text: str
    first: dict[str, float]
    read: int
    written: int


Ask = Callable[[Request], Awaitable[Reply]]
"""Puts one request to a language engine; the seam behind which tests have a fake."""


def reply(outputs: Sequence[Output]) -> Reply:
    """The stream of a language engine as one reply."""
    text, used, first = "", Usage(), dict[str, float]()
    for output in outputs:
        if isinstance(output, Finished):
            text = (output.data or b"").decode()
        elif isinstance(output, Usage):
            used = output
        elif isinstance(output, Delta) and output.logprobs and not first:
            first = {token: math.exp(logprob) for token, logprob in output.logprobs}
    return Reply(text.strip(), first, int(used.input_units), int(used.output_units))


def draft_request(
    question: str,
    passages: Sequence[Passage],
    model: str,
    *,
    feedback: str = "",
    schema: JsonObject | None = None,
) -> Request:
    """Sources first, between tags and marked as data; then the question."""
    params: JsonObject = {
        "system": _SYSTEM,
        "prompt": (_TYPED if schema else _PROMPT).format(question=question),
        "max_tokens": MOST_TOKENS_TYPED if schema else MOST_TOKENS,
        **({"json_schema": schema} if schema else {"media_type": "text/plain"}),
    }
    shown = [
        each.model_copy(update={"id": str(n)}) for n, each in enumerate(passages, 1)
    ]  # a file name is no evidence
    part = Part(port="evidence", name="passages", text=dump_passages(question, tuple(shown)).decode())
    return Request(engine="language", model=model, parts=(part,), params=params, seed=0, feedback=feedback)


def rewrite_request(
    question: str, history: Sequence[tuple[str, str]], model: str, *, earlier: str = ""
) -> Request:
    """The conversation as question and answer, between tags and marked as data; then the question that leans on it.

    ``earlier`` sums up what was said before that, and is data as well.
    """
    said = "\n".join(f"Question: {asked}\nAnswer: {answered}" for asked, answered in history)
    params: JsonObject = {
        "system": "You rewrite questions. You write one question and nothing else.",
        "prompt": _REWRITE.format(question=question) + _IN.get(guess_language([question, said]), ""),
        "max_tokens": 60,
        "media_type": "text/plain",
    }
    part = Part(port="text", name="conversation", text=f"Earlier: {earlier}\n{said}" if earlier else said)
    return Request(engine="language", model=model, parts=(part,), params=params, seed=0)


def claims(text: str) -> list[str]:
    """The sentences of a draft without marks of lists and sources; refusals, and a last one that was cut, are left out."""
    plain = _MARKS.sub("", text).strip()
    found = [" ".join(plain[start:end].split()) for start, end in sentence_spans(plain)]
    if len(found) > 1 and not re.search(r"[.!?…][\"”’)]*$", found[-1]):
        found.pop()
    return [each for each in dict.fromkeys(found) if len(each) > 2 and not refuses(each)]


def refuses(text: str) -> bool:
    """Whether this says that the sources do not answer."""
    return bool(_REFUSES.search(text))


def typed_claims(text: str) -> tuple[Any, list[tuple[str, str]]]:
    """A JSON draft and, for every value in it, the field's pointer and a claim in words."""
    value: Any = json.loads(text)
    found: list[tuple[str, str]] = []

    def walk(node: Any, pointer: str, path: tuple[str, ...]) -> None:
        if isinstance(node, dict):
            for name, child in cast(JsonObject, node).items():
                walk(child, f"{pointer}/{escaped(name)}", (*path, name))
        elif isinstance(node, list):
            for number, child in enumerate(cast(list[Any], node)):
                walk(child, f"{pointer}/{number}", path)
        elif node not in (None, ""):
            said = node if isinstance(node, str) else json.dumps(node)
            found.append((pointer, f"{_words(' '.join(path[-2:]))}: {said}"))

    walk(value, "", ())
    return value, found


def escaped(name: str) -> str:
    """A field's name as a step of a JSON pointer (RFC 6901)."""
    return name.replace("~", "~0").replace("/", "~1")


def _words(name: str) -> str:
    return " ".join(re.sub(r"(?<=[a-z])(?=[A-Z])|[_-]+", " ", name).split()).lower()

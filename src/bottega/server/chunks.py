"""The chunks of a chat or completion stream; the parts that never change are encoded once for a stream."""

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

from bottega.core.request import Delta
from bottega.server.answer import Answer
from bottega.server.message import encode, event
from bottega.server.tools import Called

FINGERPRINT = f"bottega-{version('bottega')}"


class ChatChunks:
    """Chunks of a chat; the parts that never change are encoded once."""

    def __init__(self, answer: Answer, model: str, top: int = -1) -> None:
        self.top = top
        self.head = {
            "id": f"chatcmpl-{answer.id}", "object": "chat.completion.chunk", "created": answer.created, "model": model,
            "system_fingerprint": FINGERPRINT,
        }  # fmt: skip
        opened = encode(self.head)[:-1]
        self._before = b"data: " + opened + b',"choices":[{"index":0,"delta":{"content":'
        self._after = b'},"logprobs":null,"finish_reason":null}]}\n\n'

    def begin(self) -> bytes:
        """The first chunk: who speaks."""
        return self._whole({"role": "assistant", "content": "", "refusal": None})

    def text(self, delta: Delta) -> bytes:
        """A piece of the answer."""
        if self.top >= 0:
            logs = {"content": [logs_of(delta, self.top)], "refusal": None} if delta.logprobs else None
            return self._whole({"content": delta.text}, logprobs=logs)
        return b"".join((self._before, encode(delta.text), self._after))

    def called(self, index: int, wanted: Called) -> bytes:
        """A call of a tool, whole."""
        return self._whole({"tool_calls": [{"index": index, **tool_call(wanted)}]})

    def end(self, reason: str) -> bytes:
        """The last chunk with a choice."""
        return self._whole({}, reason)

    def usage(self, usage: dict[str, Any]) -> bytes:
        """The chunk that tells what was used."""
        return event({**self.head, "choices": [], "usage": usage})

    def continued(self, breaks: list[dict[str, Any]]) -> bytes:
        """The chunk that tells where the stream broke, and that another target went on."""
        return event({**self.head, "choices": [], "bottega": {"continued": breaks}})

    def _whole(self, delta: dict[str, Any], reason: str | None = None, logprobs: Any = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": logprobs, "finish_reason": reason}
        return event({**self.head, "choices": [choice]})


class CompletionChunks(ChatChunks):
    """Chunks of a completion, which begins with the prompt where that was asked for."""

    def __init__(self, answer: Answer, model: str, top: int = -1, prompt: str = "") -> None:
        super().__init__(answer, model, top)
        self._prompt, self._at = prompt, 0
        self.head = {
            "id": f"cmpl-{answer.id}",
            "object": "text_completion",
            "created": answer.created,
            "model": model,
        }

    def begin(self) -> bytes:
        """The prompt; a completion has no speaker."""
        return self._piece(self._prompt) if self._prompt else b""

    def text(self, delta: Delta) -> bytes:
        """A piece of the text."""
        logs = completion_logs([delta], self.top, self._at) if self.top >= 0 and delta.logprobs else None
        self._at += len(delta.text)
        return self._piece(delta.text, logs)

    def end(self, reason: str) -> bytes:
        """The last piece."""
        return self._piece("", None, reason)

    def _piece(self, text: str, logs: dict[str, Any] | None = None, reason: str | None = None) -> bytes:
        choice = {"index": 0, "text": text, "logprobs": logs, "finish_reason": reason}
        return event({**self.head, "choices": [choice]})


def logs_of(delta: Delta, top: int) -> dict[str, Any]:
    """The log-probabilities of a token, and of the likeliest in its place."""
    (token, probability), *others = delta.logprobs
    return {
        "token": token,
        "logprob": probability,
        "bytes": [*token.encode()],
        "top_logprobs": [
            {"token": other, "logprob": value, "bytes": [*other.encode()]} for other, value in others[:top]
        ],
    }


def completion_logs(deltas: Sequence[Delta], top: int, at: int = 0) -> dict[str, Any]:
    """The log-probabilities of tokens as completions tell them; the first token stands ``at`` so many characters."""
    tokens = [delta.logprobs[0] for delta in deltas]
    return {
        "tokens": [token for token, _ in tokens],
        "token_logprobs": [probability for _, probability in tokens],
        "top_logprobs": [dict(delta.logprobs[1 : top + 1]) for delta in deltas] if top else None,
        "text_offset": [at + sum(len(token) for token, _ in tokens[:place]) for place in range(len(tokens))],
    }


def tool_call(wanted: Called) -> dict[str, Any]:
    """A call as the chat dialect tells it."""
    return {
        "id": wanted.id,
        "type": "function",
        "function": {"name": wanted.name, "arguments": wanted.arguments},
    }

"""What an engine's process and its parent say to each other. No I/O: both ends use it.

A frame is two lengths (4 and 8 bytes, big-endian), a header in JSON, and raw bytes. By ``kind`` of the header:

parent to child   request (one call), stop (the stop signal), answer (a path, or an error)
child to parent   ask (for a place on the bench), the kinds of `Output`, error, end
"""

import inspect
import json
import struct
from typing import Any, NamedTuple, get_args

from bottega.core import errors
from bottega.core.errors import BottegaError
from bottega.core.request import Output
from bottega.core.value import JsonObject

_LENGTHS = struct.Struct("!IQ")
_OUTPUTS: dict[str, type[Output]] = {kind.model_fields["kind"].default: kind for kind in get_args(Output)}
_BYTES = {"audio": "pcm", "preview": "data", "finished": "data"}


class Frame(NamedTuple):
    """A header, and the bytes that go with it."""

    head: JsonObject
    payload: bytes = b""

    @property
    def kind(self) -> str:
        """What the frame is."""
        return self.head["kind"]

    def packed(self) -> bytes:
        """The frame as it travels."""
        head = json.dumps(self.head).encode()
        return b"".join((_LENGTHS.pack(len(head), len(self.payload)), head, self.payload))


class Inbox:
    """Bytes go in as they arrive, frames come out when they are whole."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def feed(self, data: bytes) -> None:
        """Add what arrived."""
        self._bytes += data

    def next(self) -> Frame | None:
        """The next whole frame."""
        if len(self._bytes) < _LENGTHS.size:
            return None
        head, payload = _LENGTHS.unpack_from(self._bytes)
        body = _LENGTHS.size + head
        if len(self._bytes) < body + payload:
            return None
        frame = Frame(
            json.loads(self._bytes[_LENGTHS.size : body]), bytes(self._bytes[body : body + payload])
        )
        del self._bytes[: body + payload]
        return frame


def output_frame(output: Output) -> Frame:
    """An output, its bytes beside the header."""
    name = _BYTES.get(output.kind, "")
    head = output.model_dump(mode="json", exclude={name})
    payload: bytes | None = getattr(output, name, None)
    return Frame(head) if payload is None else Frame({**head, "bytes": name}, payload)


def output_of(frame: Frame) -> Output:
    """The output that a frame carries."""
    fields = dict(frame.head)
    if name := fields.pop("bytes", ""):
        fields[name] = frame.payload
    return _OUTPUTS[frame.kind].model_validate(fields)


def error_fields(error: BottegaError) -> JsonObject:
    """An error as JSON: the nearest class of the tree, and the keywords of its constructor."""
    kind = next(kind for kind in type(error).__mro__ if kind.__module__ == errors.__name__)
    known: dict[str, Any] = vars(error)
    return {
        "error": kind.__name__,
        "fields": {name: known[name] for name in inspect.signature(kind).parameters},
    }


def error_of(frame: Frame) -> BottegaError:
    """The error that a frame carries, of the class that it had."""
    kind: type[BottegaError] = getattr(errors, frame.head["error"])
    error = kind(**frame.head["fields"])
    if trace := frame.head.get("trace"):
        error.add_note(trace)
    return error

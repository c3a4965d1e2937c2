"""The Kokoro-82M network on ONNX Runtime: phoneme ids in, samples at 24 kHz out."""

from pathlib import Path
from typing import Any

from bottega.core.errors import EngineFailed
from bottega.engines.base import require

RATE = 24_000  # Hz
STYLES = 510  # rows of a voice file, one for each length in tokens

# The fp16 export takes the arctangent of imaginary over real part; where both underflow to zero the quotient is NaN,
# and normalisation spreads one NaN over the sentence. Two nodes put the imaginary part, 0, in its place.
_GENERATOR = b"/decoder/decoder/generator/"
_QUOTIENT = _GENERATOR + b"Div_output_0"
_MENDED = _GENERATOR + b"Div_mended_0"  # as long as the name it stands for
_ANGLE = _GENERATOR + b"Atan_output_0"
_IMAGINARY = _GENERATOR + b"Gather_5_output_0"


class Kokoro:
    """The network and its voices. Same ids, voice, speed and thread count: same samples."""

    def __init__(self, folder: Path, threads: int) -> None:
        """Load from a folder with ``model.onnx`` and ``voices/*.bin``."""
        runtime: Any = require("onnxruntime", extra="speech")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.execution_mode = runtime.ExecutionMode.ORT_SEQUENTIAL
        model = mended((folder / "model.onnx").read_bytes())
        self._session: Any = runtime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self._voices = folder / "voices"

    def say(self, ids: list[int], voice: str, speed: float) -> Any:
        """Samples [n], float32, of at most `STYLES` phoneme ids.

        Raises:
            EngineFailed: the network gave numbers that are no sound.
        """
        numpy: Any = require("numpy", extra="speech")
        styles = numpy.fromfile(self._voices / f"{voice}.bin", numpy.float32).reshape(STYLES, 1, 256)
        feed = {
            "input_ids": numpy.array([[0, *ids, 0]], dtype=numpy.int64),
            "style": styles[len(ids) - 1],
            "speed": numpy.array([speed], dtype=numpy.float32),
        }
        samples = self._session.run(None, feed)[0][0]
        if not numpy.isfinite(samples).all():
            raise EngineFailed(
                "the speech network gave no sound for a sentence", remedy="reword the sentence"
            )
        return samples


def mended(model: bytes) -> bytes:
    """The model with 0/0 mended; another export than the one of the catalog comes back as it is.

    A serialised protobuf message takes appended fields as additions, so the two nodes go to the end.
    """
    angle = _field(2, _ANGLE)  # of a node, field 1 is an input and field 2 an output
    before, after = _field(1, _QUOTIENT) + angle, _field(1, _MENDED) + angle
    if model.count(before) != 1:
        return model
    bad = _GENERATOR + b"Div_is_nan"
    nodes = (
        _field(1, _QUOTIENT) + _field(2, bad) + _field(4, b"IsNaN"),
        _field(1, bad)
        + _field(1, _IMAGINARY)
        + _field(1, _QUOTIENT)
        + _field(2, _MENDED)
        + _field(4, b"Where"),
    )
    graph = b"".join(_field(1, node) for node in nodes)
    return model.replace(before, after) + _field(7, graph)


def _field(number: int, content: bytes) -> bytes:
    """A length-delimited protobuf field."""
    length, size = len(content), b""
    while length > 127:
        size += bytes([length & 127 | 128])
        length >>= 7
    return bytes([number << 3 | 2]) + size + bytes([length]) + content

"""Data that are records of texts: how they lie in tensors, and JSON lines of one's own."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from bottega.core.errors import InvalidValue
from bottega.training.data.base import Data

HELD_OUT = 10  # every tenth record
Row = tuple[bytes, str, bool]
"""A text, its label, whether it is held out."""


def packed(texts: Sequence[bytes], name: str) -> dict[str, Tensor]:
    """Texts behind each other: ``NAME`` uint8 [bytes], and ``NAME_ends`` int64 [N], where each ends."""
    whole = np.frombuffer(b"".join(texts), np.uint8).copy()
    ends = np.cumsum([len(text) for text in texts], dtype=np.int64)
    return {f"{name}_ends": torch.from_numpy(ends), name: torch.from_numpy(whole)}


def unpacked(tensors: dict[str, Tensor], name: str) -> list[bytes]:
    """The texts again."""
    whole, ends = bytes(tensors[name].numpy()), cast(list[int], tensors[f"{name}_ends"].tolist())
    return [whole[start:end] for start, end in zip([0, *ends], ends, strict=False)]


def labelled(rows: Iterable[Row], name: str, licence: str, attribution: str, sha256: str = "") -> Data:
    """Texts with one label each: ``classes`` int64 [N] are indices into ``labels``.

    Raises:
        InvalidValue: a label of the held-out split that training never shows.
    """
    rows = list(rows)
    labels = tuple(sorted({label for _, label, _ in rows}))
    places = {label: place for place, label in enumerate(labels)}

    def split(held_out: bool) -> dict[str, Tensor]:
        mine = [row for row in rows if row[2] == held_out]
        classes = torch.tensor([places[label] for _, label, _ in mine], dtype=torch.int64)
        return {"classes": classes, **packed([text for text, _, _ in mine], "texts")}

    return Data(
        name=name,
        licence=licence,
        attribution=attribution,
        train=split(False),
        test=split(True),
        shape={"classes": len(labels)},
        labels=labels,
        sha256=sha256,
    )


def read(path: Path, licence: str) -> Data:
    """A file of JSON lines: ``text`` and ``label``; every tenth record is held out.

    Raises:
        InvalidValue: names the line that is none, or lacks a field.
    """
    content = path.read_bytes()
    rows: list[Row] = []
    for number, line in enumerate(content.splitlines(), 1):
        record = _record(line, f"{path}:{number}")
        if set(record) != {"text", "label"}:
            raise InvalidValue(
                f"a record with the fields {', '.join(sorted(record))}",
                where=f"{path}:{number}",
                remedy='write {"text": "...", "label": "..."}',
            )
        rows.append((record["text"].encode(), record["label"], number % HELD_OUT == 0))
    digest = hashlib.sha256(content).hexdigest()
    return labelled(rows, path.name, licence, "data of one's own", digest)


def _record(line: bytes, where: str) -> dict[str, str]:
    try:
        found: Any = json.loads(line)
    except ValueError as error:
        raise InvalidValue("a line that is not JSON", where=where, remedy="one record a line") from error
    fields = cast(dict[str, Any], found) if isinstance(found, dict) else {}
    if not fields or not all(isinstance(value, str) and value for value in fields.values()):
        raise InvalidValue("a record whose fields are not all texts", where=where, remedy="one record a line")
    return cast(dict[str, str], fields)

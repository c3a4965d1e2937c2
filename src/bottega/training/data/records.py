"""Data that are records of texts: how they lie in tensors, and JSON lines of one's own."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from torch import Tensor

from bottega.core.errors import InvalidValue
from bottega.training.data.base import Data

HELD_OUT = 10  # every tenth record
Row = tuple[bytes, str, bool]
"""A text, its label, whether it is held out."""


class Prompted(NamedTuple):
    """A prompt with the answer that is wanted, one that is not (or none), and whether it is held out."""

    prompt: str
    answer: str
    rejected: str
    held_out: bool


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


def prompted(rows: Sequence[Prompted], name: str, licence: str, attribution: str, sha256: str = "") -> Data:
    """``prompts`` and ``answers``, and ``rejected`` where every row has such an answer."""

    def split(held_out: bool) -> dict[str, Tensor]:
        mine = [row for row in rows if row.held_out == held_out]
        found = packed([row.prompt.encode() for row in mine], "prompts")
        found |= packed([row.answer.encode() for row in mine], "answers")
        if all(row.rejected for row in rows):
            found |= packed([row.rejected.encode() for row in mine], "rejected")
        return found

    return Data(
        name=name,
        licence=licence,
        attribution=attribution,
        train=split(False),
        test=split(True),
        shape={"vocabulary": 256},
        sha256=sha256,
    )


FORMS = (("text", "label"), ("prompt", "answer"), ("prompt", "answer", "rejected"))


def read(path: Path, licence: str) -> Data:
    """A file of JSON lines, all with the fields of one of ``FORMS``; every tenth record is held out.

    Raises:
        InvalidValue: names the line that is none, or has other fields.
    """
    content = path.read_bytes()
    records = [_record(line, f"{path}:{n}") for n, line in enumerate(content.splitlines(), 1)]
    form = next((form for form in FORMS if records and set(form) == set(records[0])), ())
    for number, record in enumerate(records, 1):
        if set(record) != set(form):
            raise InvalidValue(
                f"a record with the fields {', '.join(sorted(record))}",
                where=f"{path}:{number}",
                remedy=f"every record has {' or '.join(', '.join(form) for form in ([form] if form else FORMS))}",
            )
    facts = {
        "licence": licence,
        "attribution": "data of one's own",
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    held_out = [number % HELD_OUT == HELD_OUT - 1 for number in range(len(records))]
    if form == FORMS[0]:
        rows = [
            (each["text"].encode(), each["label"], held) for each, held in zip(records, held_out, strict=True)
        ]
        return labelled(rows, path.name, **facts)
    answered = [
        Prompted(each["prompt"], each["answer"], each.get("rejected", ""), held)
        for each, held in zip(records, held_out, strict=True)
    ]
    return prompted(answered, path.name, **facts)


def _record(line: bytes, where: str) -> dict[str, str]:
    try:
        found: Any = json.loads(line)
    except ValueError as error:
        raise InvalidValue("a line that is not JSON", where=where, remedy="one record a line") from error
    fields = cast(dict[str, Any], found) if isinstance(found, dict) else {}
    if not fields or not all(isinstance(value, str) and value for value in fields.values()):
        raise InvalidValue("a record whose fields are not all texts", where=where, remedy="one record a line")
    return cast(dict[str, str], fields)

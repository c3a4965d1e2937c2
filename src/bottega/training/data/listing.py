"""The examples of a folder: pictures, texts and records, each with its class and split, told from its place."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from PIL import Image

from bottega.training.data.licences import is_licence
from bottega.training.data.likeness import shingles, thumbnail

PICTURES = {".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff"}
TEXTS = {".txt", ".md", ".rst"}
SPLITS = {"train": "train", "training": "train", "test": "test", "val": "validation", "valid": "validation",
          "validation": "validation", "dev": "validation"}  # fmt: skip
PLACE = 0x8825  # the EXIF tag of the place where a picture was taken


@dataclass(frozen=True)
class Example:
    """One example. ``broken`` says why it could not be read; ``look`` is a thumbnail, ``words`` are shingles."""

    where: str
    kind: str
    label: str
    split: str
    size: int
    sha256: str
    folder: Path
    broken: str = ""
    text: str = ""
    words: frozenset[int] = frozenset()
    look: Any = None
    shape: str = ""
    placed: bool = False


def examples(top: Path) -> Iterator[Example]:
    """Every example below ``top``, in the order of the paths; files of no known kind, licences and README are left out.

    ``train``, ``test`` and ``validation`` are splits wherever they stand in a path; the folder that holds a file is
    its class, unless that is a split or ``top``.
    """
    for path in sorted(each for each in top.rglob("*") if each.is_file()):
        parts = path.relative_to(top).parts
        if any(part.startswith(".") for part in parts) or path.stem.upper() == "README" or is_licence(path):
            continue
        folders = [part for part in parts[:-1] if part.casefold() not in SPLITS]
        split = next((SPLITS[part.casefold()] for part in parts[:-1] if part.casefold() in SPLITS), "")
        split = split or (SPLITS.get(path.stem.casefold(), "") if path.suffix in (".jsonl", ".txt") else "")
        label, ending = folders[-1] if folders else "", path.suffix.casefold()
        if ending in PICTURES:
            yield _picture(path, str(path.relative_to(top)), label, split)
        elif ending in TEXTS:
            yield _text(path, str(path.relative_to(top)), label, split, path.read_bytes())
        elif ending == ".jsonl":
            for number, line in enumerate(path.read_bytes().splitlines(), 1):
                if line.strip():
                    yield _record(path, f"{path.relative_to(top)}:{number}", label, split, line)


def _picture(path: Path, where: str, label: str, split: str) -> Example:
    content = path.read_bytes()
    sha256 = hashlib.sha256(content).hexdigest()
    plain = Example(where, "picture", label, split, len(content), sha256, path.parent)
    try:
        with Image.open(path) as image:
            image.load()
            look, shape, placed = thumbnail(image), f"{image.width}x{image.height}", PLACE in image.getexif()
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        return replace(plain, broken=str(error).replace(str(path), path.name))
    return replace(plain, look=look, shape=shape, placed=placed)


def _text(path: Path, where: str, label: str, split: str, content: bytes) -> Example:
    sha256 = hashlib.sha256(content).hexdigest()
    plain = Example(where, "text", label, split, len(content), sha256, path.parent)
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        return replace(plain, broken=f"not UTF-8: {error.reason} at byte {error.start}")
    if not text.strip():
        return replace(plain, broken="empty")
    return replace(plain, text=text, words=frozenset(shingles(text)))


def _record(path: Path, where: str, label: str, split: str, line: bytes) -> Example:
    try:
        value: Any = json.loads(line)
    except ValueError as error:
        sha256 = hashlib.sha256(line).hexdigest()
        plain = Example(where, "record", label, split, len(line), sha256, path.parent)
        return replace(plain, broken=f"not JSON: {error}")
    fields = cast(dict[str, Any], value) if isinstance(value, dict) else {"text": value}
    words = "\n".join(each for each in fields.values() if isinstance(each, str))
    named = next((str(fields[name]) for name in ("label", "class") if name in fields), label)
    told = SPLITS.get(str(fields.get("split", "")).casefold(), split)
    sha256 = hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()
    made = _text(path, where, named, told, words.encode())
    return replace(made, kind="record", sha256=sha256, size=len(line))

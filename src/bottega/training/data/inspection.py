"""What is wrong with a folder of examples, before anything is trained on it."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field

from bottega.core.errors import InvalidValue, NotFound
from bottega.core.value import Value
from bottega.training.data.licences import Licence, licence_of, ruling
from bottega.training.data.likeness import alike_pictures, alike_texts
from bottega.training.data.listing import Example, examples

Kind = Literal[
    "licence", "size", "corrupt", "exact duplicates", "near duplicates", "balance", "leakage", "personal data"
]
FEW = 80  # examples; families hold out a tenth and want eight
UNEQUAL = 10  # times as many examples in the largest class as in the smallest
SHOWN = 20  # places named by a finding

Personal = Callable[[str], Sequence[tuple[str, str]]]
"""Text -> kinds and masked values of personal data."""


class Finding(Value, frozen=True):
    """One thing found. A refusal names the rule; a warning is for people to weigh."""

    kind: Kind
    level: Literal["refused", "warning"]
    rule: str = ""
    what: str
    places: tuple[str, ...] = Field(default=(), description=f"the first {SHOWN}")


class Inspection(Value, frozen=True):
    """What a folder holds, and what is wrong with it."""

    folder: str
    examples: int
    size: int = Field(description="bytes")
    kinds: dict[str, int]
    classes: dict[str, int]
    splits: dict[str, int]
    licences: dict[str, int] = Field(description="examples under each")
    findings: tuple[Finding, ...]

    @property
    def refused(self) -> tuple[Finding, ...]:
        """What forbids training."""
        return tuple(each for each in self.findings if each.level == "refused")


def inspect(top: Path, personal: Personal) -> Inspection:
    """Read every example below ``top`` and look for what spoils a training, or forbids it.

    Raises:
        NotFound: no such folder.
        InvalidValue: it holds no pictures, texts or records.
    """
    if not top.is_dir():
        raise NotFound("no such folder", where=str(top), remedy="give the folder of a data set")
    found = list(examples(top))
    if not found:
        raise InvalidValue(
            "no pictures, texts or records", where=str(top), remedy="PNG, JPEG, WebP, TXT, MD, JSONL are read"
        )
    under = {folder: licence_of(folder, top) for folder in {each.folder for each in found}}
    good = [each for each in found if not each.broken]
    pairs = list(_exact(good)) + list(_near(good))
    steps = (_licences(found, under), _size(good), _corrupt(found), _twins(pairs), _balance(good),
             _leakage(pairs), _people(good, personal))  # fmt: skip
    return Inspection(
        folder=str(top),
        examples=len(found),
        size=sum(each.size for each in found),
        kinds=_counted(each.kind for each in found),
        classes=_counted(each.label for each in good if each.label),
        splits=_counted(each.split for each in good if each.split),
        licences=_counted(under[each.folder].name for each in found),
        findings=tuple(finding for step in steps for finding in step),
    )


def _counted(words: Iterator[str]) -> dict[str, int]:
    return dict(Counter(words).most_common())


def _finding(kind: Kind, what: str, places: Sequence[str], rule: str = "") -> Finding:
    level = "refused" if rule else "warning"
    return Finding(kind=kind, level=level, rule=rule, what=what, places=tuple(places[:SHOWN]))


def _licences(found: Sequence[Example], under: dict[Path, Licence]) -> Iterator[Finding]:
    groups: dict[Licence, list[Example]] = defaultdict(list)
    for each in found:
        groups[under[each.folder]].append(each)
    for licence, members in groups.items():
        says = ruling(licence)
        if says.answer == "allowed":
            continue
        rule = says.rule if says.answer == "refused" else ""
        what = f"{len(members)} examples under '{licence.name}': {says.why}"
        yield _finding("licence", what, [each.where for each in members], rule)


def _size(good: Sequence[Example]) -> Iterator[Finding]:
    if len(good) < FEW and {each.kind for each in good} != {"text"}:
        yield _finding("size", f"{len(good)} examples; {FEW} are the least to learn from", [])
    shapes = Counter(each.shape for each in good if each.shape)
    if len(shapes) > 1:
        most, _ = shapes.most_common(1)[0]
        other = [each.where for each in good if each.shape not in ("", most)]
        yield _finding("size", f"{len(shapes)} sizes of pictures; {len(other)} are not {most}", other)


def _corrupt(found: Sequence[Example]) -> Iterator[Finding]:
    broken = [f"{each.where}: {each.broken}" for each in found if each.broken]
    if broken:
        yield _finding("corrupt", f"{len(broken)} examples cannot be read", broken)


Pair = tuple[Literal["exact duplicates", "near duplicates"], Example, Example]


def _exact(good: Sequence[Example]) -> Iterator[Pair]:
    first: dict[str, Example] = {}
    for each in good:
        if each.sha256 in first:
            yield "exact duplicates", first[each.sha256], each
        else:
            first[each.sha256] = each


def _near(good: Sequence[Example]) -> Iterator[Pair]:
    once = list({each.sha256: each for each in reversed(good)}.values())[::-1]
    looks = [each for each in once if each.look is not None]
    if looks:
        for a, b in alike_pictures(np.stack([each.look for each in looks])):
            yield "near duplicates", looks[a], looks[b]
    texts = [each for each in once if each.words]
    for a, b in alike_texts([set(each.words) for each in texts]):
        yield "near duplicates", texts[a], texts[b]


def _twins(pairs: Sequence[Pair]) -> Iterator[Finding]:
    for kind in ("exact duplicates", "near duplicates"):
        mine = [f"{b.where} = {a.where}" for name, a, b in pairs if name == kind]
        if mine:
            yield _finding(kind, f"{len(mine)} pairs", mine)
    other = [f"{b.where} = {a.where}" for _, a, b in pairs if a.label != b.label]
    if other:
        yield _finding("balance", f"{len(other)} pairs of duplicates stand in two classes", other)


def _balance(good: Sequence[Example]) -> Iterator[Finding]:
    classes = Counter(each.label for each in good if each.label)
    if not classes:
        return
    (most, many), (least, few) = classes.most_common()[0], classes.most_common()[-1]
    if len(classes) == 1:
        yield _finding("balance", f"one class only: '{most}'", [])
    elif many >= UNEQUAL * few:
        yield _finding("balance", f"'{most}' has {many} examples, '{least}' {few}", [])
    none = [each.where for each in good if not each.label]
    if none:
        yield _finding("balance", f"{len(none)} examples have no class", none)


def _leakage(pairs: Sequence[Pair]) -> Iterator[Finding]:
    across = [f"{b.where} = {a.where}" for _, a, b in pairs if a.split and b.split and a.split != b.split]
    if across:
        yield _finding(
            "leakage", f"{len(across)} pairs stand in two splits: a test on them proves nothing", across
        )


def _people(good: Sequence[Example], personal: Personal) -> Iterator[Finding]:
    places = [f"{each.where}: the place where it was taken" for each in good if each.placed]
    for each in good:
        places += [f"{each.where}: {kind} {value}" for kind, value in personal(each.text)]
    if places:
        yield _finding("personal data", f"{len(places)} found", places)

"""The job that every arm does, and what an arm must offer.

An arm is one file ``NAME_arm.py`` in this folder with three names: ``PACKAGES`` (distributions it needs),
``VARIANTS`` (name of a variant -> what it means) and ``open_arm(folder, variant, step) -> Arm``.
"""

import hashlib
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, cast

STEPS = 5
TEXT = 200  # characters in and out of a step

Step = Callable[[int, str], str]  # (position from 0, text) -> text


class Arm(Protocol):
    """One way to run five steps in a row, each result durable before the next step starts."""

    def run(self, run_id: str, text: str) -> str:
        """One durable run: the text after ``STEPS`` steps."""
        ...

    def committed(self, run_id: str) -> int:
        """Results of steps that another connection can read now."""
        ...

    def durability(self) -> str:
        """What the open database answers about itself, for example ``wal, synchronous FULL``."""
        ...

    def close(self) -> None:
        """Give the files back."""
        ...


class ArmModule(Protocol):
    """What a file of an arm holds."""

    PACKAGES: tuple[str, ...]
    VARIANTS: Mapping[str, str]

    def open_arm(self, folder: Path, variant: str, step: Step) -> Arm: ...


def arms() -> dict[str, ArmModule]:
    """Every variant of every arm in this folder, by name."""
    modules: list[Any] = [
        import_module(f"{__package__}.{path.stem}") for path in sorted(Path(__file__).parent.glob("*_arm.py"))
    ]
    return {variant: cast(ArmModule, module) for module in modules for variant in module.VARIANTS}


def transform(position: int, text: str) -> str:
    """The work of a step: text of the same length that depends on all of its input; about 2 µs."""
    return (hashlib.sha256(f"{position}:{text}".encode()).hexdigest() * 4)[:TEXT]


def first_text(run: int) -> str:
    """The input of a run. Each run has its own: no arm may answer from a cache."""
    return f"run {run} ".ljust(TEXT, ".")


def last_text(run: int) -> str:
    """What the run must return."""
    text = first_text(run)
    for position in range(STEPS):
        text = transform(position, text)
    return text

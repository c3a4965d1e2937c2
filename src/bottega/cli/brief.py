"""Options that several commands share: what is wanted, and what a release is judged and signed by."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def brief_options(function: F) -> F:
    """Goal or brief file, sources and limits."""
    for option in reversed(
        (
            click.argument("goal", required=False, default=""),
            click.option(
                "--source",
                "sources",
                multiple=True,
                type=click.Path(path_type=Path),
                help="A file or folder.",
            ),
            click.option("--local-only", is_flag=True, help="Nothing may leave this machine."),
            click.option("--max-seconds", type=float, help="Time limit."),
            click.option("--max-cost", type=float, help="Cost limit, US dollars."),
            subject_option,
            click.option("--seed", type=int, help="Same brief and seed, same artifacts."),
        )
    ):
        function = option(function)
    return function


def subject_option(function: F) -> F:
    """Whom it is about."""
    return click.option(
        "--data-subject", default="", help="Whom it is about: all is sealed, and `erase` destroys the key."
    )(function)


def charge_option(function: F) -> F:
    """Who pays."""
    return click.option(
        "--charge", multiple=True, help="A budget account that pays, such as project:kettles; several may."
    )(function)


def release_options(function: F) -> F:
    """What a release is judged and signed by; a run that goes on later needs the same."""
    for option in reversed(
        (
            click.option("--signing-key", type=click.Path(path_type=Path), help="PEM key to sign with."),
            click.option("--certificate", type=click.Path(path_type=Path), help="PEM chain of that key."),
            click.option(
                "--policy",
                type=click.Path(path_type=Path),
                help="TOML policy instead of the one that ships.",
            ),
        )
    ):
        function = option(function)
    return function


def read_brief(
    goal: str,
    sources: tuple[Path, ...],
    local_only: bool,
    max_seconds: float | None,
    max_cost: float | None,
    seed: int | None,
) -> Any:
    """The brief: a TOML file when ``goal`` names one, else the words and options; options win over the file.

    Raises:
        InvalidBrief: naming the field and the remedy.
    """
    from bottega.pipelines.briefs import brief_from_file, brief_from_words

    limits = {
        name: value
        for name, value in (
            ("local_only", local_only or None),
            ("max_seconds", max_seconds),
            ("max_cost", max_cost),
        )
        if value is not None
    }
    given = [str(source) for source in sources]
    if goal.endswith(".toml"):
        return brief_from_file(Path(goal), sources=given, constraints=limits, seed=seed)
    return brief_from_words(goal, sources=given, constraints=limits, seed=seed)

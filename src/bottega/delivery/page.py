"""`index.html`: shows every artifact and how it came to be, with no network and nothing outside the folder."""

import base64
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from shlex import quote
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from bottega.core.artifact import Artifact, Provenance
from bottega.core.brief import LANGUAGE_NAMES
from bottega.core.passage import Passage
from bottega.core.plan import Deliverable, Plan
from bottega.core.run import Made, Run
from bottega.delivery.citations import Citations
from bottega.delivery.exhibits import Exhibit, exhibit
from bottega.delivery.manifest import Withheld
from bottega.delivery.pages import printed
from bottega.delivery.palette import palette
from bottega.delivery.words import LIMITS, amount, duration, outside, size, state_words, step_words
from bottega.delivery.workflow import workflow
from bottega.pipelines.graph import ancestors, ordered

_FONTS = {
    "Bottega Serif": "source-serif-4-latin-wght-normal.woff2",
    "Bottega Sans": "inter-latin-wght-normal.woff2",
}
HEADLINE = 150  # characters of the goal that fit the headline


@dataclass(frozen=True)
class Shown:
    """A released deliverable: what was asked, what was made, how."""

    deliverable: Deliverable
    made: Made
    provenance: Provenance
    sidecar: str = ""


@dataclass(frozen=True)
class Card:
    """A released deliverable with its view."""

    shown: Shown
    exhibit: Exhibit
    anchor: str
    language: str
    words_by: tuple[str, ...]


def render(
    plan: Plan,
    run: Run,
    shown: Sequence[Shown],
    withheld: Sequence[Withheld],
    locate: Callable[[Artifact], Path],
    passages: Sequence[Passage] = (),
    limits: Mapping[str, str] | None = None,
) -> bytes:
    """The page as UTF-8 bytes; equal input gives equal bytes.

    The only times on it are the run's own; it holds no absolute path and names no address to load from. Its
    content security policy forbids the browser to reach a network at all.
    """
    environment = _environment()
    results = {result.step: result for result in run.results}
    citations = Citations(passages)
    cards: list[Card] = []
    for index, each in enumerate(shown, 1):
        result = results.get(each.provenance.step)
        view = exhibit(each.deliverable, each.made, result.outputs if result else (), locate, citations)
        language = each.deliverable.language
        cards.append(
            Card(each, view, f"part-{index}", LANGUAGE_NAMES.get(language, language), _words_by(plan, each))
        )
    cited = citations.cited()
    places = outside(plan, run, {each.deliverable.output: each.provenance for each in shown})
    verdicts = [verdict for each in shown for verdict in each.made.verdicts]
    used = sorted({check for step in plan.steps for check in step.checks} | {v.check for v in verdicts})
    engines = sorted({step.engine for step in plan.steps})
    headline, goal_rest = _headline(plan.brief.goal)
    colors = palette(plan.brief.brand.colors)
    style = Markup(environment.get_template("style.css.j2").render(palette=colors, fonts=_fonts()))
    script = Markup(_asset("comfort.js"))
    html = environment.get_template("page.html.j2").render(
        plan=plan,
        run=run,
        headline=headline,
        goal_rest=goal_rest,
        state=state_words(run.state),
        cards=cards,
        withheld=withheld,
        results=results,
        places=places,
        seconds=sum(result.seconds for result in run.results),
        cost=sum(result.cost for result in run.results),
        passed=sum(verdict.outcome == "pass" for verdict in verdicts),
        flagged=sum(verdict.outcome != "pass" for verdict in verdicts),
        workflow=workflow(plan, run),
        cited=cited,
        sheets=printed(cited, plan.sources, locate),
        check_limits=[(check, LIMITS[check]) for check in used if check in LIMITS],
        engine_limits=[(e, limits[e]) for e in engines if limits and limits.get(e)],
        palette=colors,
        style=style,
        script=script,
        style_hash=_source_hash(style),
        script_hash=_source_hash(script),
    )
    return html.encode("utf-8")


def framed(template: str, **values: object) -> bytes:
    """Another page in the same dress: its template gets ``style`` with its hash, and the palette, besides ``values``."""
    environment = _environment()
    colors = palette(())
    style = Markup(environment.get_template("style.css.j2").render(palette=colors, fonts=_fonts()))
    html = environment.get_template(template).render(
        palette=colors, style=style, style_hash=_source_hash(style), **values
    )
    return html.encode("utf-8")


def _headline(goal: str) -> tuple[str, str]:
    """The goal as a headline, cut between words, and the whole goal when it had to be cut."""
    flat = " ".join(goal.split())
    if len(flat) <= HEADLINE:
        return flat, ""
    cut = flat[:HEADLINE].rpartition(" ")[0] or flat[:HEADLINE]
    return f"{cut.rstrip(' ,;:.')}…", goal


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("bottega.delivery"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: Any = environment.filters
    filters |= {
        "duration": duration,
        "bytes": size,
        "state_words": step_words,
        "plain": _plain,
        "shell": quote,
        "short": _short,
        "moment": _moment,
    }
    names: Any = environment.globals
    names |= {
        "amount": amount,
        "is_map": lambda v: isinstance(v, dict),  # pyright: ignore[reportUnknownLambdaType]
        "is_list": lambda v: isinstance(v, list | tuple),  # pyright: ignore[reportUnknownLambdaType]
    }
    return environment


def _plain(name: object) -> str:
    return str(name).replace("_", " ").replace(".", " ")


def _short(digest: str) -> str:
    return digest[:12]


def _moment(stamp: str) -> str:
    return stamp[:16].replace("T", " ")


@cache
def _asset(name: str) -> str:
    return (Path(__file__).parent / "templates" / name).read_text("utf-8")


@cache
def _fonts() -> dict[str, str]:
    folder = Path(__file__).parent / "templates" / "fonts"
    return {
        family: base64.b64encode((folder / name).read_bytes()).decode("ascii")
        for family, name in _FONTS.items()
    }


def _source_hash(text: str) -> str:
    """A content security policy's hash of an inline text."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")


def _words_by(plan: Plan, shown: Shown) -> tuple[str, ...]:
    """Which models wrote, translated or spoke what this file holds, in the order they worked."""
    before = ancestors(plan, plan.step(shown.provenance.step))
    steps = [step for step in ordered(plan) if step.id in before and step.model]
    return tuple(dict.fromkeys(f"{step.engine} with {step.model}" for step in steps))

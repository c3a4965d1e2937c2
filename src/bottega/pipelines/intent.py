"""From a brief to a typed intent: the language model reads, plain rules check what it read."""

import json
import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, cast, get_args

from pydantic import Field

from bottega.core.brief import LANGUAGE_NAMES, Brief, Language, Wanted
from bottega.core.errors import InvalidBrief
from bottega.core.request import Finished, Request
from bottega.core.value import JsonObject, Value
from bottega.engines.base import require

KINDS: dict[str, str] = {
    "product_page": "web page or text about a product",
    "faq": "questions and answers",
    "one_pager": "one-page PDF, flyer, leaflet",
    "hero_image": "main picture, cover, header, banner",
    "icon_set": "icons, symbols",
    "chart": "chart, graph, diagram",
    "voice_over": "sound only: spoken text, radio spot",
    "narrated_video": "video, film, clip, with a voice or not",
    "structured_record": "JSON record of data",
    "data_sheet": "technical sheet, specifications",
    "launch_kit": "launch kit, everything for a launch",
    "explainer": "explainer, material that explains a topic",
}
SPOKEN = ("voice_over", "narrated_video")
ANSWER = 440  # tokens: ten deliverables need about 300
SYSTEM = "You note what a customer asks for."
RULES = """List each thing to make that the brief names: its words, then its kind. Nothing that it does not name.
subject: the name. summary: what the subject is, in the brief's own words.
Example: "Leaflet, 2 symbols and a 15 s spot for Lio, a lamp that folds flat, in German" gives
{"deliverables": [{"asked": "Leaflet", "kind": "one_pager"}, {"asked": "2 symbols", "kind": "icon_set", "count": 2}, \
{"asked": "a 15 s spot", "kind": "voice_over", "seconds": 15}], "languages": ["de"], "subject": "Lio", \
"summary": "a lamp that folds flat", "audience": "", "tone": ""}"""
NAMES: dict[Language, str] = {
    "en": r"engl|ingl|angl",
    "fr": r"fren|fran[cçz]",
    "de": r"germ|deuts|allem|alem|tedes",
    "es": r"span|españ|espag|castel",
    "it": r"ital",
    "pt": r"portug",
    "nl": r"dutch|nederl|niederl|n[ée]erl|oland|holand",
}
CLEARLY = 20.0  # nats between languages; sentences of 13 letters and more differ by 34 to 190
BARELY = 5.0  # nats; a few words such as "3 icons" do not tell English from French
LENGTH = re.compile(
    r"(\d{1,3})(?:\s*(?:-|–|to|à|bis|a)\s*(\d{1,3}))?[\s-]*(s|sec|min|second|seconde|sekunde|segundo|second[oi]|"
    r"minut[eio]?|minuto)[sn]?\b",
    re.IGNORECASE,
)
ICONS = re.compile(r"(\d{1,2})\s+(?:\w+\s+)?(?:ic[oôó]n|symbol)", re.IGNORECASE)

Ask = Callable[[Request], Awaitable[Sequence[Finished]]]


class Intent(Value, frozen=True):
    """What a brief asks for, in types. ``languages`` starts with the one that texts are written in."""

    subject: str = Field(description="product or topic")
    summary: str = Field(description="one line")
    audience: str = ""
    tone: str = ""
    languages: tuple[Language, ...]
    deliverables: tuple[Wanted, ...]


async def read_intent(brief: Brief, ask: Ask, source_names: Sequence[str] = ()) -> Intent:
    """Read the brief with the language engine. What the brief states in its own fields wins.

    A brief that lists steps of its own, or deliverables and a brand, is not read by a model at all.

    Args:
        brief: the commission.
        ask: runs one request on the language engine.
        source_names: file names of the sources; they often hold the product's name.

    Raises:
        InvalidBrief: when its language is not supported, or it asks for nothing that can be made.
    """
    written_in = language_of(brief.goal)
    if brief.steps or (brief.deliverables and brief.brand.name):  # nothing is left to read
        return Intent(
            subject=brief.brand.name or brief.goal[:60],
            summary=brief.goal[:160],
            audience=brief.audience,
            tone=brief.brand.tone,
            languages=brief.languages or (written_in,),
            deliverables=brief.deliverables,
        )
    made = await ask(request_for(brief, source_names))
    read = cast(JsonObject, json.loads(made[-1].data or b"{}"))
    languages = brief.languages or _languages(read, brief.goal, written_in)
    deliverables = brief.deliverables or _deliverables(read, brief.goal)
    if not deliverables:
        raise InvalidBrief(
            "it does not say what to make", where="goal", remedy=f"ask for one of: {', '.join(KINDS)}"
        )
    return Intent(
        subject=read["subject"].strip() or brief.brand.name or brief.goal[:60],
        summary=read["summary"].strip() or brief.goal[:160],
        audience=brief.audience or read["audience"].strip(),
        tone=brief.brand.tone or read["tone"].strip(),
        languages=languages,
        deliverables=deliverables,
    )


def language_of(goal: str) -> Language:
    """The language that a brief is written in.

    Raises:
        InvalidBrief: when another language is clearly likelier than every supported one.
    """
    ranked: Any = require("py3langid", extra="all").rank(goal)
    likelihood: dict[str, float] = {code: float(value) for code, value in ranked}
    supported = get_args(Language)
    best = max(supported, key=lambda code: likelihood[code])
    winner = max(likelihood, key=lambda code: likelihood[code])
    if likelihood[winner] - likelihood[best] > CLEARLY:
        raise InvalidBrief(
            f"it seems to be written in '{winner}', which is not supported",
            where="goal",
            remedy=f"write it in one of: {', '.join(LANGUAGE_NAMES.values())}",
        )
    return "en" if likelihood[best] - likelihood["en"] < BARELY else best


def request_for(brief: Brief, source_names: Sequence[str] = ()) -> Request:
    """What the language engine is asked: the brief as data, the kinds, the rules, and a closed schema."""
    kinds = "\n".join(f"{kind}: {meaning}" for kind, meaning in KINDS.items())
    files = f"\nAttached files: {', '.join(source_names)}" if source_names else ""
    return Request(
        engine="language",
        params={
            "system": SYSTEM,
            "prompt": f"Kinds:\n{kinds}\n\n{RULES}\n\nBrief: {brief.goal}{files}",
            "json_schema": schema(),
            "max_tokens": ANSWER,
        },
        seed=brief.seed,
    )


def schema() -> JsonObject:
    """The closed JSON Schema of the model's answer."""
    others = [kind for kind in KINDS if kind not in (*SPOKEN, "icon_set")]
    count = {"type": "integer", "minimum": 0, "maximum": 12}
    seconds = {"type": "integer", "minimum": 0, "maximum": 300}

    def item(kinds: Sequence[str], **more: JsonObject) -> JsonObject:
        fields = {"asked": {"type": "string", "maxLength": 80}, "kind": {"enum": list(kinds)}, **more}
        return {"type": "object", "properties": fields, "required": list(fields)}

    fields = {
        "deliverables": {
            "type": "array",
            "minItems": 1,
            "maxItems": 11,
            "items": {
                "anyOf": [item(others), item(("icon_set",), count=count), item(SPOKEN, seconds=seconds)]
            },
        },
        "languages": {"type": "array", "items": {"enum": list(LANGUAGE_NAMES)}, "maxItems": 3},
        "subject": {"type": "string", "maxLength": 60},
        "summary": {"type": "string", "maxLength": 140},
        "audience": {"type": "string", "maxLength": 60},
        "tone": {"type": "string", "maxLength": 40},
    }
    return {"type": "object", "properties": fields, "required": list(fields)}


def _languages(read: JsonObject, goal: str, written_in: Language) -> tuple[Language, ...]:
    """The languages that the model listed and the brief names, else the one the brief is written in."""
    listed = cast(list[Language], list(dict.fromkeys(read["languages"])))
    named: list[Language] = [code for code in listed if re.search(rf"\b({NAMES[code]})", goal, re.IGNORECASE)]
    return tuple(named) if named else (written_in,)


def _deliverables(read: JsonObject, goal: str) -> tuple[Wanted, ...]:
    """What the model listed, each kind once; counts and lengths written in digits come from the brief."""
    listed = cast(list[JsonObject], read["deliverables"])
    lengths = _seconds(goal)
    icons = [int(found) for found in ICONS.findall(goal)]
    alone = len({item["kind"] for item in listed} & set(SPOKEN)) == 1
    wanted: dict[str, Wanted] = {}
    for item in listed:
        count = (icons[0] if icons else item["count"]) if item["kind"] == "icon_set" else 0
        seconds = item.get("seconds", 0) or (
            lengths[0] if lengths and alone and item["kind"] in SPOKEN else 0
        )
        if seconds and lengths:
            seconds = min(lengths, key=lambda length: abs(length - seconds))
        made = Wanted(
            kind=item["kind"],
            count=min(count, 12) or None,
            seconds=min(max(seconds, 5), 300) if seconds and lengths else None,
        )
        wanted.setdefault(made.kind, made)
    return tuple(wanted.values())


def _seconds(goal: str) -> list[int]:
    """Every length that stands in the brief, in seconds; a range gives its middle."""
    found: list[int] = []
    for low, high, unit in LENGTH.findall(goal):
        middle = (int(low) + int(high or low)) // 2
        found.append(middle * 60 if unit.lower().startswith("m") else middle)
    return found

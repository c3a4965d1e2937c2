"""Text in a picture stands out from its ground, as the engine says and as the pixels show."""

import asyncio
from collections.abc import Sequence
from typing import Any

from pydantic import Field

from bottega.checks.base import Options, Subject
from bottega.core.value import JsonObject
from bottega.core.verdict import Verdict
from bottega.engines.base import require
from bottega.engines.layout.colour import contrast, rgb
from bottega.engines.layout.measure import worst_ground

NEAR = 40  # the largest channel difference at which a pixel counts as the text's colour


class ContrastOptions(Options, frozen=True):
    """WCAG 2.2 ratios."""

    flag: float = Field(default=4.5, ge=1, le=21, description="below this ratio, flagged")
    block: float = Field(default=3.0, ge=1, le=21, description="below this ratio, blocked")


class Contrast:
    """For each text: the ratio that the engine states, and the ratio to the pixels just above and below its box."""

    id = "contrast"
    media_types = ("image/png", "image/jpeg")
    options: type[Options] = ContrastOptions

    async def judge(self, subject: Subject, options: Options) -> Verdict:
        """Block when the worst text is under the limit, or when a text's colour is not in the picture at all."""
        limits = ContrastOptions.model_validate(options.model_dump())
        texts: list[JsonObject] = subject.details.get("texts", [])
        if not texts:
            return Verdict(check=self.id, outcome="pass", reason="the engine set no text in this picture")
        measured = await asyncio.to_thread(_measure, subject, texts)
        absent = [text["text"] for text, (_, there) in zip(texts, measured, strict=True) if not there]
        pairs = [
            (min(float(text.get("contrast", 21)), seen), text)
            for text, (seen, _) in zip(texts, measured, strict=True)
        ]
        worst = round(min(ratio for ratio, _ in pairs), 2)
        weak = [
            {"text": text["text"], "ratio": round(ratio, 2), "colour": text["colour"], "box": text["box"]}
            for ratio, text in pairs
            if ratio < limits.flag
        ]
        outcome = "block" if absent or worst < limits.block else "flag" if weak else "pass"
        reason = f"not in the picture: {absent[0]}" if absent else f"the weakest text has {worst:.2f}:1"
        evidence: JsonObject = {"weak": weak, "absent": absent}
        return Verdict(
            check=self.id,
            outcome=outcome,
            reason=reason,
            score=worst,
            unit="contrast ratio",
            evidence=evidence,
        )


def _measure(subject: Subject, texts: Sequence[JsonObject]) -> list[tuple[float, bool]]:
    images: Any = require("PIL.Image", extra="all")
    picture: Any = images.open(subject.path).convert("RGB")
    found: list[tuple[float, bool]] = []
    for text in texts:
        left, top, right, bottom = (max(0, int(edge)) for edge in text["box"])
        strip = max(2, round((bottom - top) * 0.1))
        ratios = [
            contrast(worst_ground(picture, (left, y, right, y + strip), text["colour"], 0.2), text["colour"])
            for y in (max(0, top - strip), min(bottom, picture.height - strip))
        ]
        wanted = rgb(text["colour"])
        box: Any = picture.crop((left, top, max(right, left + 1), max(bottom, top + 1)))
        colours: list[tuple[int, tuple[int, int, int]]] = box.getcolors(box.width * box.height)
        inked = sum(
            count
            for count, colour in colours
            if all(abs(a - b) <= NEAR for a, b in zip(colour, wanted, strict=True))
        )
        found.append((min(ratios), inked >= 0.01 * box.width * box.height))
    return found

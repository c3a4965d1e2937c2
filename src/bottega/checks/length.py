"""Not longer, and not shorter, than asked: characters, words, pages or seconds."""

import asyncio
import wave
from typing import Any, cast

from pydantic import Field

from bottega.checks.base import Options, Subject
from bottega.checks.reading import TEXTS, prose
from bottega.core.errors import EngineFailed
from bottega.core.verdict import Verdict
from bottega.engines.pdfium import pdfium


class LengthOptions(Options, frozen=True):
    """Limits; those left out do not apply."""

    min_characters: int | None = Field(default=None, ge=0, description="fewest characters")
    max_characters: int | None = Field(default=None, ge=0, description="most characters")
    min_words: int | None = Field(default=1, ge=0, description="fewest words of a text")
    max_words: int | None = Field(default=None, ge=0, description="most words")
    max_pages: int | None = Field(default=None, ge=1, description="most pages of a PDF")
    min_seconds: float | None = Field(default=None, ge=0, description="shortest sound or film")
    max_seconds: float | None = Field(default=None, ge=0, description="longest sound or film")


class Length:
    """Measures what the media type has and compares it with the limits."""

    id = "length"
    media_types = (*TEXTS, "audio/*", "video/*")
    options = LengthOptions

    async def judge(self, subject: Subject, options: Options) -> Verdict:
        """Block when a limit is passed, with the measured value and the limit."""
        measured = await asyncio.to_thread(_measure, subject)
        limits = options.model_dump(exclude_none=True)
        broken: list[str] = []
        for unit, value in measured.items():
            least, most = limits.get(f"min_{unit}"), limits.get(f"max_{unit}")
            if least is not None and value < least:
                broken.append(f"{value:g} {unit}, at least {least:g} were asked")
            if most is not None and value > most:
                broken.append(f"{value:g} {unit}, at most {most:g} were asked")
        shown = ", ".join(f"{value:g} {unit}" for unit, value in measured.items())
        return Verdict(
            check=self.id,
            outcome="block" if broken else "pass",
            reason="; ".join(broken) or shown,
            score=next(iter(measured.values())),
            unit=next(iter(measured)),
            evidence={"measured": measured, "limits": limits},
        )


def _measure(subject: Subject) -> dict[str, float]:
    media_type = subject.artifact.media_type
    if media_type in ("audio/wav", "audio/x-wav"):
        with wave.open(str(subject.path), "rb") as sound:
            return {"seconds": sound.getnframes() / sound.getframerate()}
    if media_type.startswith(("audio/", "video/")):
        seconds: Any = subject.details.get("duration") or subject.details.get("seconds")
        if not isinstance(seconds, int | float):
            raise EngineFailed("the engine did not say how long the file plays")
        return {"seconds": float(cast(float, seconds))}
    text = prose(subject)
    measured = {"words": float(len(text.split())), "characters": float(len(text))}
    if media_type == "application/pdf":
        with pdfium() as library, library.PdfDocument(subject.path) as document:
            measured["pages"] = float(len(document))
    return measured

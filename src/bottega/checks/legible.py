"""The texts that an engine set in a picture can be read back from it."""

import json
import re
import unicodedata
from difflib import SequenceMatcher

from pydantic import Field

from bottega.checks.base import Options, Subject
from bottega.core.request import Part, Request
from bottega.core.verdict import Verdict


class LegibleOptions(Options, frozen=True):
    """Shares of words."""

    flag: float = Field(default=0.9, ge=0, le=1, description="below this share of words read back, flagged")
    block: float = Field(default=0.6, ge=0, le=1, description="below this share, blocked")


class Legible:
    """Reads the picture with the OCR engine and looks for each word, forgiving accents and a letter in five."""

    id = "legible"
    media_types = ("image/png", "image/jpeg")
    options: type[Options] = LegibleOptions

    async def judge(self, subject: Subject, options: Options) -> Verdict:
        """Block when too few words come back, or when nothing can read them."""
        limits = LegibleOptions.model_validate(options.model_dump())
        placed = [word for text in subject.details.get("texts", []) for word in _words(str(text["text"]))]
        if not placed:
            return Verdict(check=self.id, outcome="pass", reason="the engine set no text in this picture")
        if subject.ask is None:
            return Verdict(
                check=self.id, outcome="block", reason="no OCR engine is at hand to read the picture"
            )
        part = Part(port="image", name=subject.port, artifact=subject.artifact)
        answer = await subject.ask(Request(engine="ocr", parts=(part,), params={"confidence": 0.3}))
        read = str(json.loads(answer[0].data or b"{}")["text"]) if answer else ""
        seen = _words(read)
        run = "".join(seen)
        missing = [word for word in placed if not _found(word, seen, run)]
        share = round(1 - len(missing) / len(placed), 3)
        outcome = "block" if share < limits.block else "flag" if share < limits.flag else "pass"
        return Verdict(
            check=self.id,
            outcome=outcome,
            reason=f"{len(placed) - len(missing)} of {len(placed)} words read back",
            score=share,
            unit="share of words",
            evidence={"missing": missing, "read": read},
        )


def _words(text: str) -> list[str]:
    plain = "".join(c for c in unicodedata.normalize("NFKD", text.casefold()) if not unicodedata.combining(c))
    return [word for word in re.findall(r"[^\W_]+", plain) if len(word) > 1 or word.isdigit()]


def _found(word: str, seen: list[str], run: str) -> bool:
    if word in seen or (len(word) > 2 and word in run):
        return True
    return len(word) > 3 and any(SequenceMatcher(None, word, other).ratio() >= 0.8 for other in seen)

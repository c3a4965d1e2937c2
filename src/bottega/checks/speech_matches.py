"""Does the speech say the script? Our own recogniser writes it down, and the words are compared."""

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import Field

from bottega.checks.base import Options, Subject
from bottega.core.request import Part, Request
from bottega.core.verdict import Verdict
from bottega.engines.base import require
from bottega.engines.numerals import cardinal
from bottega.engines.phonemes import sounds
from bottega.engines.script import sentences
from bottega.engines.spoken import spoken


class SpeechMatchesOptions(Options, frozen=True):
    """Limits on the word error rate."""

    max_wer: float = Field(default=0.15, ge=0, le=1, description="more is flagged")
    block_wer: float = Field(default=0.35, ge=0, le=1, description="more is blocked")


class SpeechMatches:
    """Word error rate between script and recognition, on words as they are spoken ("1.7 L" is five words).

    Words that sound alike are equal. A number that was heard otherwise is flagged whatever the rate. Counts the recogniser's mistakes as the speaker's; names unknown to it are flagged.
    """

    id = "speech_matches"
    media_types = ("audio/*",)
    options = SpeechMatchesOptions

    async def judge(self, subject: Subject, options: Options) -> Verdict:
        """Judge against the input ``script``. Without script or recogniser it raises, which blocks."""
        limits = SpeechMatchesOptions.model_validate(options.model_dump())
        scripts = [file.path.read_text(encoding="utf-8") for file in subject.inputs if file.port == "script"]
        if not scripts or subject.ask is None:
            raise ValueError("needs the step's input 'script' and a recogniser")
        language = str(subject.params.get("language", "")) or subject.language
        request = Request(
            engine="transcribe",
            parts=(Part(port="audio", name="speech", artifact=subject.artifact),),
            params={"language": language},
        )
        found = next(file for file in await subject.ask(request) if file.port == "transcript")
        heard = json.loads(found.data if found.data is not None else (found.path or Path()).read_bytes())
        language = language or heard["language"]
        wanted = " ".join(text for _, text in sentences("\n\n".join(scripts)))
        rate, differences = compare(wanted, heard["text"], language)
        numbers = _number_words(language)
        doubtful = rate > limits.max_wer or any(
            numbers & {*one["script"].split(), *one["heard"].split()} for one in differences
        )
        outcome = "block" if rate > limits.block_wer else "flag" if doubtful else "pass"
        shown = ", ".join(f"'{d['script']}' heard as '{d['heard']}'" for d in differences[:3])
        return Verdict(
            check=self.id,
            outcome=outcome,
            reason=f"word error rate {rate:.1%}" + (f": {shown}" if shown else ", every word is there"),
            score=round(rate, 4),
            unit="word error rate",
            evidence={"differences": differences[:40], "heard": heard["text"], "language": language},
        )


def compare(script: str, heard: str, language: str) -> tuple[float, list[dict[str, str]]]:
    """Word error rate, and the stretches that differ, in words as spoken."""
    jiwer: Any = require("jiwer", extra="transcribe")
    wanted, got = _words(script, language), _words(heard, language)
    if not wanted:
        raise ValueError("the script has no words")
    heads = sounds(wanted + got, language)
    reference, hypothesis = heads[: len(wanted)], heads[len(wanted) :]
    names = {
        sound: f"w{index}" for index, sound in enumerate(dict.fromkeys(heads))
    }  # no spaces inside a word
    result: Any = jiwer.process_words(
        " ".join(names[sound] for sound in reference), " ".join(names[sound] for sound in hypothesis)
    )
    differences = [
        {
            "script": " ".join(wanted[chunk.ref_start_idx : chunk.ref_end_idx]),
            "heard": " ".join(got[chunk.hyp_start_idx : chunk.hyp_end_idx]),
        }
        for chunk in result.alignments[0]
        if chunk.type != "equal"
    ]
    return float(result.wer), differences


@cache
def _number_words(language: str) -> frozenset[str]:
    said = [cardinal(str(number), language) for number in (*range(100), 100, 200, 1000, 10**6, 10**9)]
    return frozenset(word for number in said for word in _words(number, language))


def _words(text: str, language: str) -> list[str]:
    return re.findall(r"[^\W_]+(?:'[^\W_]+)*", spoken(text, language).lower())

"""The same facts in other words: tone, length or reading level change, numbers and names do not."""

import re
from collections.abc import AsyncIterator
from typing import ClassVar, Literal

from pydantic import Field

from bottega.checks.facts import missing
from bottega.core.errors import EngineFailed
from bottega.core.request import Finished, Output, Progress, Request
from bottega.engines.base import GENERATED, Bench, Card, Engine, Estimate, Params, Port, parts_at
from bottega.retrieval.chunk import count_words
from bottega.retrieval.sentences import sentence_spans
from bottega.retrieval.tasks.writing import Writer, unwrapped

_SYSTEM = (
    "You rewrite texts. Every fact, number, unit, date and name of the text stays exactly as it is, and none is added. "
    "Write the new text and nothing else."
)
_TONES = {
    "": "", "formal": "in a formal tone", "friendly": "in a friendly tone", "neutral": "in a neutral tone",
    "persuasive": "in a persuasive tone",
}  # fmt: skip
_LEVELS = {
    "": "",
    "plain": "in plain language: short sentences, common words, no jargon",
    "expert": "for experts",
}
_LENGTHS = {
    "same": "about as long",
    "shorter": "at about half the length",
    "longer": "at up to one and a half times the length",
}
_LEAST = {
    "same": 0.5,
    "shorter": 0.25,
    "longer": 0.9,
}  # words, as shares of what was there: fewer leave things out
_MOST = {"same": 1.5, "shorter": 0.9, "longer": 2.2}  # words, as shares of what was there


class RewriteParams(Params, frozen=True):
    """What shall change."""

    tone: Literal["", "formal", "friendly", "neutral", "persuasive"] = Field(
        default="", description="how it sounds"
    )
    level: Literal["", "plain", "expert"] = Field(default="", description="for whom it reads easily")
    length: Literal["shorter", "same", "longer"] = Field(default="same", description="how long it becomes")
    instruction: str = Field(default="", max_length=400, description="anything else that shall change")


class Rewrite(Engine):
    """Paragraph by paragraph, then sentence by sentence; where the facts do not come through, the words stay."""

    card: ClassVar[Card] = Card(
        id="rewrite",
        version="1",
        summary="Rewrites a text in another tone, length or reading level; its numbers and names are held to the original",
        modality="text",
        inputs=(Port(name="text", media_types=("text/markdown", "text/plain")),),
        outputs=(Port(name="text", media_types=("text/markdown", "text/plain")),),
        reads_names=False,
        licence="Apache-2.0",
        determinism="seeded",
        isolation="process",
        models=("qwen2.5-coder-1.5b-instruct", "smollm2-135m-instruct"),
        source_type=GENERATED,
        not_covered="Numbers and names are compared, not who did what: a negation can still be lost.",
    )
    params: ClassVar[type[Params]] = RewriteParams

    def __init__(self) -> None:
        self._writer = Writer()

    async def generate(self, request: Request, bench: Bench) -> AsyncIterator[Output]:
        """Yield progress by paragraphs, then the text; headings, tables, code and empty lines stay."""
        params = RewriteParams.model_validate(request.params)
        parts = parts_at(request, "text")
        if len(parts) != 1:
            raise EngineFailed(f"it needs one text, not {len(parts)}", where="text", remedy="give one file")
        if params == RewriteParams():
            raise EngineFailed(
                "nothing shall change", where="params", remedy="give tone, level, length or instruction"
            )
        text = bench.text(parts[0])
        media_type = parts[0].artifact.media_type if parts[0].artifact else "text/plain"
        self._writer.begin()
        pieces = re.split(r"(\n[ \t]*\n)", text)
        written = stayed = 0
        reasons: list[str] = []
        for number, piece in enumerate(pieces):
            bench.check_cancelled()
            if not _is_prose(piece):
                continue
            new, reason = await self._rewritten(request, piece, params, bench)
            if reason:
                stayed += 1
                reasons.append(reason)
            else:
                written += 1
                pieces[number] = new
            yield Progress(fraction=(number + 1) / len(pieces), note=f"{written} paragraphs")
        yield self._writer.used
        if stayed and not written:
            raise EngineFailed(
                f"no paragraph could be rewritten with its facts: {reasons[0]}", remedy="ask for less change"
            )
        details = {"rewritten": written, "stayed": stayed, "reasons": reasons[:20]}
        yield Finished(port="text", media_type=media_type, data="".join(pieces).encode(), details=details)

    async def _rewritten(
        self, request: Request, piece: str, params: RewriteParams, bench: Bench
    ) -> tuple[str, str]:
        """The new paragraph, or why none was good: as a whole, else sentence by sentence, where one may stay."""
        new, reason = await self._try(request, piece, params, bench)
        spans = list(sentence_spans(unwrapped(piece)))
        if reason and len(spans) < 2:
            return await self._try(request, piece, params, bench, reason)
        if not reason:
            return new, ""
        said: list[str] = []
        changed = False
        for start, end in spans:
            sentence = piece[start:end]
            new, lacking = await self._try(request, sentence, params, bench)
            changed |= not lacking
            said.append(" ".join(sentence.split()) if lacking else new)
        joined = " ".join(said)
        reason = fault(piece, joined, params) if changed else reason
        return ("", reason) if reason else (joined, "")

    async def _try(
        self, request: Request, piece: str, params: RewriteParams, bench: Bench, before: str = ""
    ) -> tuple[str, str]:
        """A new text or what is wrong with it; ``before`` is what was wrong with the last one."""
        wishes = [_TONES[params.tone], _LEVELS[params.level], _LENGTHS[params.length], params.instruction]
        facts = missing(piece, "")
        kept = ", ".join((*facts.numbers, *facts.names))
        prompt = f"Rewrite the text {'; '.join(wish for wish in wishes if wish)}. It is no letter."
        prompt += f" These stay, letter by letter: {kept}." if kept else ""
        prompt += f" Your last text was refused: {before}." if before else ""
        new = await self._writer.say(
            request,
            piece,
            bench,
            prompt=prompt,
            system=_SYSTEM,
            max_tokens=min(2000, 60 + 3 * count_words(piece)),
        )
        new = " ".join(new.split())
        reason = fault(piece, new, params)
        return ("", reason) if reason else (new, "")

    def estimate(self, params: Params, input_bytes: int) -> Estimate:
        """Reading and writing every paragraph, twice at most."""
        return Estimate(seconds=5 + input_bytes / 30, units={"token": 4.0 * input_bytes + 2000})

    def close(self) -> None:
        """Free the weights."""
        self._writer.close()


def _is_prose(piece: str) -> bool:
    stripped = piece.strip()
    return count_words(stripped) > 5 and not re.match(r"#|\||```|~~~|<|!\[|    ", stripped)


def fault(old: str, new: str, params: RewriteParams) -> str:
    """What is wrong with a rewritten paragraph; empty when nothing is."""
    lost, added = missing(old, new), missing(new, old)
    if lost:
        return f"it lost {', '.join((*lost.numbers, *lost.names)[:6])}"
    if added:
        return f"it added {', '.join((*added.numbers, *added.names)[:6])}"
    words = count_words(old)
    if not _LEAST[params.length] * words - 4 <= count_words(new) <= _MOST[params.length] * words + 8:
        return f"it has {count_words(new)} words in place of {count_words(old)}"
    return "" if new and new != " ".join(old.split()) else "nothing changed"

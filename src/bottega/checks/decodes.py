"""The file is whole, is what its media type says, and has the size that was asked for."""

import asyncio

from bottega.checks.base import Options, Subject
from bottega.checks.decoders import Undecodable, decoder
from bottega.core.value import JsonObject
from bottega.core.verdict import Verdict


class DecodesOptions(Options, frozen=True):
    """Nothing to set."""


class Decodes:
    """Decodes everything before anything is signed; signing tools sign broken files."""

    id = "decodes"
    media_types = ("*/*",)
    options: type[Options] = DecodesOptions

    async def judge(self, subject: Subject, options: Options) -> Verdict:
        """Block a damaged, mislabelled or wrongly sized file, and a media type that cannot be decoded here."""
        media_type = subject.artifact.media_type.partition(";")[0]
        decode = decoder(media_type)
        if decode is None:
            return self._verdict("block", f"no decoder for {media_type}", {})
        try:
            facts = await asyncio.to_thread(decode, subject.path)
        except Undecodable as fault:
            return self._verdict("block", str(fault), {"media_type": media_type})
        wrong = [fault for side in ("width", "height") if (fault := _off(side, facts, subject))]
        if wrong:
            return self._verdict("block", "; ".join(wrong), {"media_type": media_type, **facts})
        return self._verdict("pass", f"decodes whole as {media_type}", {"media_type": media_type, **facts})

    def _verdict(self, outcome: str, reason: str, evidence: JsonObject) -> Verdict:
        return Verdict.model_validate(
            {"check": self.id, "outcome": outcome, "reason": reason, "evidence": evidence}
        )


def _off(side: str, facts: JsonObject, subject: Subject) -> str:
    """What is wrong with a side. A raster may have a whole multiple of the asked pixels (a 2x rendering)."""
    if side not in facts:
        return ""
    said, asked = subject.details.get(side), subject.params.get(side)
    if isinstance(said, int) and said > 0 and facts[side] != said:
        return f"the {side} is {facts[side]} pixels, the engine said {said}"
    if isinstance(asked, int) and asked > 0 and (facts[side] % asked or facts[side] < asked):
        return f"the {side} is {facts[side]} pixels, asked were {asked}"
    return ""

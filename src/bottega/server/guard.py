"""Guards: checks on what goes in and on what comes out of a call, in every modality. One that fails, blocks."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from bottega.checks.base import Subject
from bottega.core.artifact import Artifact
from bottega.core.canonical import digest_bytes
from bottega.core.errors import PolicyDenied
from bottega.core.value import JsonObject
from bottega.pipelines.step import applies
from bottega.pipelines.workshop import Workshop
from bottega.server.config import Guard


class Guards:
    """The checks that an operator asks for."""

    def __init__(self, shop: Workshop, guard: Guard) -> None:
        self._shop = shop
        self.window = guard.window
        self._inputs, self._outputs = guard.input, guard.output
        for check, options in (*guard.input.items(), *guard.output.items()):
            shop.check(check).options.model_validate(options)  # a wrong name or option shows at the start

    @property
    def on_input(self) -> bool:
        """Whether anything is checked that goes in."""
        return bool(self._inputs)

    @property
    def on_output(self) -> bool:
        """Whether anything is checked that comes out."""
        return bool(self._outputs)

    async def let_in(self, data: bytes, media_type: str) -> None:
        """Pass what goes in.

        Raises:
            PolicyDenied: a check blocks it, or could not decide.
        """
        await self._judge(self._inputs, data, media_type, "input")

    async def let_out(self, data: bytes, media_type: str) -> None:
        """Pass what comes out.

        Raises:
            PolicyDenied: a check blocks it, or could not decide.
        """
        await self._judge(self._outputs, data, media_type, "output")

    async def _judge(self, checks: Mapping[str, JsonObject], data: bytes, media_type: str, side: str) -> None:
        if not checks or not data:
            return
        with tempfile.TemporaryDirectory(prefix="bottega-guard-") as folder:
            path = Path(folder) / "content"
            path.write_bytes(data)
            artifact = Artifact(sha256=digest_bytes(data), media_type=media_type, size=len(data))
            subject = Subject(artifact=artifact, path=path, port=side, ask=self._shop.ask)
            for name, options in checks.items():
                check = self._shop.check(name)
                if not applies(check.media_types, media_type):
                    continue
                try:
                    verdict = await check.judge(subject, check.options.model_validate(options))
                except Exception as error:
                    raise PolicyDenied(
                        f"the check '{name}' of the {side} could not decide: {type(error).__name__}",
                        where=side,
                    ) from error
                if verdict.outcome == "block":
                    raise PolicyDenied(
                        f"the {side} is refused by '{name}': {verdict.reason}"[:500], where=side
                    )


def texts_of(turns: Sequence[str]) -> bytes:
    """Texts as one, for a guard."""
    return "\n\n".join(filter(None, turns)).encode()

"""What a chat request becomes for an engine, whichever engine answers."""

from collections.abc import Sequence
from dataclasses import dataclass

from bottega.core.errors import InvalidValue
from bottega.core.request import Part, Request
from bottega.core.value import JsonObject
from bottega.pipelines.workshop import Workshop
from bottega.server.config import Target
from bottega.server.dialect import NO_SHAPE, Shape
from bottega.server.guard import texts_of
from bottega.server.tools import NO_TOOLS, Said, Toolbox, in_words


@dataclass(frozen=True)
class Asked:
    """A conversation and what its answer shall be like, in no engine's own terms."""

    turns: Sequence[Said]
    params: JsonObject
    box: Toolbox = NO_TOOLS
    shape: Shape = NO_SHAPE
    seed: int | None = None
    stream: bool = False

    def words(self) -> bytes:
        """All of it as a local model reads it, for a guard."""
        return texts_of([turn["content"] for turn in in_words(self.turns, self.box)])

    def request(self, shop: Workshop, target: Target) -> Request:
        """The engine's request; an engine that holds no conversation gets the last message as its text.

        Raises:
            InvalidValue: tools, for an engine that knows none.
        """
        known = shop.engine(target.engine).params.model_fields
        if "messages" not in known:
            text = in_words(self.turns, NO_TOOLS)[-1]["content"]
            part = Part(port="text", name="message", text=text)
            return Request(
                engine=target.engine, model=target.model, parts=(part,), params=target.params, seed=self.seed
            )
        params = {**self.params}
        if "tools" in known:
            params |= {"messages": [*self.turns], **self.box.sent()}
            if self.shape.sent:
                params["response_format"] = self.shape.sent
        elif self.box and "grammar" not in known:
            raise InvalidValue("this model calls no tools", where="tools", remedy="choose another model")
        else:
            params["messages"] = in_words(self.turns, self.box)
            if self.box:
                params["grammar"] = self.box.grammar()
            elif self.shape.schema is not None:
                params["json_schema"] = self.shape.schema
            elif self.shape.grammar and "grammar" in known:
                params["grammar"] = self.shape.grammar
        if "stream" in known and not self.stream:
            params["stream"] = False
        return Request(
            engine=target.engine, model=target.model, params={**params, **target.params}, seed=self.seed
        )

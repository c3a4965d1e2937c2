"""`/v1/tokenize` and `/v1/detokenize`, in the shapes of vLLM."""

import json
from typing import Annotated, Any

from bottega.core.errors import InvalidValue, NotFound
from bottega.core.request import Request
from bottega.server import dialect
from bottega.server.answer import Answer
from bottega.server.body import Body, only
from bottega.server.config import Target
from bottega.server.desk import Desk
from bottega.server.guard import texts_of
from bottega.server.message import Call, Reply, reply
from bottega.server.tools import NO_TOOLS, in_words
from bottega.service.keys import ApiKey

ENGINE = "tokens"
ABLE = ("language", "embed", ENGINE)  # engines whose models have a tokenizer that can be asked alone


class TokenizeBody(Body, kw_only=True):
    """A prompt or a conversation."""

    model: str
    prompt: str | None = None
    messages: list[dialect.Turn] | None = None
    add_generation_prompt: bool = True
    add_special_tokens: bool = True
    return_token_strs: bool | None = None
    continue_final_message: Annotated[Any, only(False)] = None
    chat_template: Annotated[Any, only(why="the model's own template is used")] = None
    chat_template_kwargs: Annotated[Any, only({}, why="the model's own template is used")] = None
    tools: Annotated[Any, only([], remedy="write them into a message")] = None


class DetokenizeBody(Body, kw_only=True):
    """Tokens of a model."""

    model: str
    tokens: list[int]


async def tokenize(desk: Desk, call: Call, key: ApiKey) -> Reply:
    """The tokens that a model makes of a prompt or of a conversation."""
    asked = await call.read(TokenizeBody)
    if (asked.prompt is None) == (asked.messages is None):
        raise InvalidValue("give a prompt or messages, and not both", where="prompt")
    params: dict[str, Any] = {"text": asked.prompt or "", "special": asked.add_special_tokens}
    if asked.messages is not None:
        params = {
            "messages": in_words(dialect.conversation(asked.messages), NO_TOOLS),
            "answer": asked.add_generation_prompt,
        }
    if desk.guards.on_input:
        said = [turn["content"] for turn in params.get("messages", ())] or [params["text"]]
        await desk.guards.let_in(texts_of(said), "text/plain")
    answer, found = await asked_of(desk, call, key, asked.model, params)
    strings = found["texts"] if asked.return_token_strs else None
    body = {
        "count": found["count"],
        "max_model_len": found["context"],
        "tokens": found["tokens"],
        "token_strs": strings,
    }
    return reply(body, *answer.headers)


async def detokenize(desk: Desk, call: Call, key: ApiKey) -> Reply:
    """The text that tokens stand for."""
    asked = await call.read(DetokenizeBody)
    params = {"task": "decode", "tokens": asked.tokens}
    answer, found = await asked_of(desk, call, key, asked.model, params)
    await desk.guards.let_out(found["text"].encode(), "text/plain")
    return reply({"prompt": found["text"]}, *answer.headers)


async def asked_of(
    desk: Desk, call: Call, key: ApiKey, model: str, params: dict[str, Any], part: int = 0
) -> tuple[Answer, dict[str, Any]]:
    """What the tokenizer of a model says; ``part`` as in `Desk.ask`.

    Raises:
        InvalidValue: the model has none here, or not such a token.
    """
    named = desk.names.get(model, ABLE)

    def asking(target: Target) -> Request:
        catalog = desk.service.shop.catalog
        name = target.model or (desk.service.shop.card(target.engine).models or ("",))[0]
        try:
            name = catalog.get(name).id
        except NotFound as error:
            raise InvalidValue(
                f"'{model}' has no tokenizer here", where="model", remedy="name a local model"
            ) from error
        return Request(engine=ENGINE, model=name, params=params)

    answer = await desk.ask(call, key, named, asking, part=part)
    return answer, json.loads(desk.service.shop.artifacts.read(answer.output().artifact))

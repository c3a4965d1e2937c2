"""Text to tokens and back, by the tokenizer of a model, without its weights."""

import json
from collections.abc import AsyncIterator
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field

from bottega.core.errors import InvalidValue
from bottega.core.request import Finished, Output, Request, Usage
from bottega.core.value import JsonObject
from bottega.engines.base import Bench, Card, Engine, Estimate, Params, Port, require
from bottega.engines.gguf import metadata

CONTROL, OWN = 3, 4  # kinds of token that are never made from text, and that a model's makers have added
# How a model cuts text into words before it merges bytes, by the name in its file; from llama.cpp's llama-vocab.cpp
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)"
QWEN2 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
WORDS: dict[str, tuple[str, ...]] = {"gpt-2": (GPT2,), "smollm": (r"\p{N}", GPT2), "qwen2": (QWEN2,)}


class TokensParams(Params, frozen=True):
    """What is turned into what. A conversation is written as the model's template writes it."""

    task: Literal["encode", "decode"] = Field(
        default="encode", description="text to tokens, or tokens to text"
    )
    text: str = Field(default="", max_length=4_000_000, description="to be encoded")
    messages: tuple[JsonObject, ...] = Field(default=(), description="a conversation, in place of a text")
    answer: bool = Field(default=True, description="end a conversation where the model's answer begins")
    special: bool = Field(
        default=True,
        description="with the tokens that the model wants at the beginning, and those that frame a text",
    )
    tokens: tuple[int, ...] = Field(default=(), max_length=1_000_000, description="to be decoded")
    rows: tuple[tuple[int, ...], ...] = Field(
        default=(), max_length=2048, description="several texts to be decoded"
    )


class Tokens(Engine):
    """Encodes and decodes; the result is JSON: tokens, their texts and the longest context."""

    card: ClassVar[Card] = Card(
        id="tokens",
        version="1",
        summary="Counts, encodes and decodes tokens by a model's own tokenizer",
        modality="text",
        outputs=(Port(name="tokens", media_types=("application/json",)),),
        licence="Apache-2.0",
        extra="retrieve",
        isolation="process",
        models=("smollm2-135m-instruct", "qwen2.5-coder-1.5b-instruct", "potion-base-8m", "arctic-embed-s"),
        not_covered="Models whose file names another way of cutting words than those that are known",
    )
    params: ClassVar[type[Params]] = TokensParams

    def __init__(self) -> None:
        self._known: dict[Path, tuple[Any, JsonObject]] = {}

    async def generate(self, request: Request, bench: Bench) -> AsyncIterator[Output]:
        """Yield the usage in tokens, then the result.

        Raises:
            InvalidValue: the model has no tokenizer that is known, or a token does not exist.
        """
        params = TokensParams.model_validate(request.params)
        bench.check_cancelled()
        folder = bench.weights(request.model or self.card.models[0])
        if folder not in self._known:
            self._known[folder] = _load(folder)
        tokenizer, facts = self._known[folder]
        if params.task == "encode":
            text = _written(facts, params) if params.messages else params.text
            # A template writes the tokens of the beginning itself.
            ids = _begin(facts, params) + tokenizer.encode(text, add_special_tokens=False).ids
            result: JsonObject = {"tokens": ids, "texts": [tokenizer.id_to_token(each) for each in ids]}
        else:
            size = tokenizer.get_vocab_size(with_added_tokens=True)
            ids = [*params.tokens, *chain.from_iterable(params.rows)]
            if wrong := next((each for each in ids if not 0 <= each < size), None):
                raise InvalidValue(
                    f"the model has no token {wrong}", where="tokens", remedy=f"0 to {size - 1}"
                )
            several = tokenizer.decode_batch(
                [params.tokens, *params.rows], skip_special_tokens=not params.special
            )
            result = {"text": several[0], "texts": several[1:]}
        result |= {"count": len(ids), "context": facts["context"]}
        yield Usage(input_units=len(ids), unit="token")
        yield Finished(port="tokens", media_type="application/json", data=json.dumps(result).encode())

    def estimate(self, params: Params, input_bytes: int) -> Estimate:
        """A million characters a second; a token is at least a byte."""
        assert isinstance(params, TokensParams)
        said = (
            len(params.text.encode())
            + len(json.dumps(params.messages).encode())
            + 1000 * len(params.messages)
        )
        given = len(params.tokens) + sum(map(len, params.rows))
        return Estimate(seconds=0.5 + said / 1e6, units={"token": said + given + 8})


def _load(folder: Path) -> tuple[Any, JsonObject]:
    tokenizers: Any = require("tokenizers", extra="retrieve")
    if (folder / "tokenizer.json").is_file():
        tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
        tokenizer.no_truncation()
        tokenizer.no_padding()
        return tokenizer, {"context": None, "template": "", "begin": None, "end": ""}
    if not (folder / "model.gguf").is_file():
        raise InvalidValue(
            "this model has no tokenizer of its own", where=folder.name, remedy="choose a language model"
        )
    head = metadata(folder / "model.gguf")
    cuts = WORDS.get(head.get("tokenizer.ggml.pre", ""))
    if head.get("tokenizer.ggml.model") != "gpt2" or cuts is None:
        raise InvalidValue(
            f"its tokenizer '{head.get('tokenizer.ggml.pre', '')}' is not known here", where=folder.name,
            remedy="choose another model",
        )  # fmt: skip
    words: list[str] = head["tokenizer.ggml.tokens"]
    merges = [tuple(pair.split(" ", 1)) for pair in head["tokenizer.ggml.merges"]]
    vocabulary = {word: number for number, word in enumerate(words)}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE(vocabulary, merges))
    split, pre = tokenizers.pre_tokenizers.Split, tokenizers.pre_tokenizers
    tokenizer.pre_tokenizer = pre.Sequence(
        [
            *(split(tokenizers.Regex(cut), "isolated") for cut in cuts),
            pre.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    kinds: list[int] = head["tokenizer.ggml.token_type"]
    own = [words[number] for number, kind in enumerate(kinds) if kind in (CONTROL, OWN)]
    tokenizer.add_special_tokens([tokenizers.AddedToken(word, normalized=False) for word in own])
    begin = head.get("tokenizer.ggml.bos_token_id") if head.get("tokenizer.ggml.add_bos_token") else None
    context = head.get(f"{head.get('general.architecture')}.context_length")
    last: int = head["tokenizer.ggml.eos_token_id"]
    return tokenizer, {
        "context": context,
        "template": head.get("tokenizer.chat_template", ""),
        "begin": begin,
        "end": words[last],
    }


def _begin(facts: JsonObject, params: TokensParams) -> list[int]:
    return [facts["begin"]] if params.special and facts["begin"] is not None and not params.messages else []


def _written(facts: JsonObject, params: TokensParams) -> str:
    from jinja2.exceptions import TemplateError
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    if not facts["template"]:
        raise InvalidValue(
            "this model has no template for conversations", where="messages", remedy="send a prompt"
        )
    sandbox = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    try:
        return sandbox.from_string(facts["template"]).render(
            messages=[*params.messages],
            add_generation_prompt=params.answer,
            eos_token=facts["end"],
            bos_token="",
            tools=None,
        )
    except TemplateError as error:
        raise InvalidValue(f"the template refuses these messages: {error}", where="messages") from error

"""`/v1/embeddings`, `/v1/rerank` and `/v1/score`: texts as vectors, and what they say of nearness."""

import base64
from typing import Annotated, Any, cast

from msgspec import Meta

from bottega.core.errors import InvalidValue, NotFound
from bottega.core.request import Request
from bottega.core.value import JsonObject
from bottega.retrieval.embed_step import DIMENSIONS, MODELS, SHORTENED
from bottega.server.answer import Answer
from bottega.server.body import Body, only
from bottega.server.config import Target
from bottega.server.desk import Desk
from bottega.server.guard import texts_of
from bottega.server.message import Call, Reply, reply
from bottega.server.tokens import asked_of
from bottega.service.keys import ApiKey

ENGINES = ("embed", "openai_embeddings")
MOST = 2048  # texts of one request
CUT = only(-1, why="texts are cut by their model alone", remedy="cut them before you send them")


class EmbeddingBody(Body, kw_only=True):
    """What is embedded: texts, or tokens of the model's own. ``input_type`` is ``query`` for the question of a search."""

    model: str
    input: str | list[str | int | list[int]]
    encoding_format: str = "float"
    dimensions: Annotated[int, Meta(ge=1)] | None = None
    input_type: str = "passage"
    normalize: Annotated[Any, only(True, why="all vectors have length 1")] = None
    truncate_prompt_tokens: Annotated[Any, CUT] = None


class RerankBody(Body, kw_only=True):
    """Documents to be put in order for a query."""

    model: str
    query: str
    documents: list[str | dict[str, Any]]
    top_n: int | None = None
    return_documents: bool = True
    rank_fields: Annotated[Any, only(["text"], remedy="send texts, or objects with 'text'")] = None
    max_tokens_per_doc: Annotated[Any, CUT] = None
    max_chunks_per_doc: Annotated[Any, CUT] = None
    truncate_prompt_tokens: Annotated[Any, CUT] = None


class ScoreBody(Body, kw_only=True):
    """Pairs of texts."""

    model: str
    text_1: str | list[str]
    text_2: str | list[str]
    truncate_prompt_tokens: Annotated[Any, CUT] = None


async def embeddings(desk: Desk, call: Call, key: ApiKey) -> Reply:
    """Vectors, in the order of the texts."""
    asked = await call.read(EmbeddingBody)
    if asked.encoding_format not in ("float", "base64"):
        raise InvalidValue(
            f"'{asked.encoding_format}' is not known", where="encoding_format", remedy="float or base64"
        )
    if asked.input_type not in ("passage", "query"):
        raise InvalidValue(
            f"'{asked.input_type}' is not known", where="input_type", remedy="passage or query"
        )
    _shortens(desk, asked)
    texts = await _read(desk, call, key, asked)
    answer, vectors = await _vectors(
        desk, call, key, asked.model, texts, asked.input_type, 0, asked.dimensions
    )
    if asked.dimensions is not None:
        import numpy as np  # not before there are vectors

        if vectors.shape[1] < asked.dimensions:
            raise InvalidValue(f"the model has {vectors.shape[1]} dimensions", where="dimensions")
        vectors = vectors[:, : asked.dimensions]
        vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    whole = asked.encoding_format == "float"
    data = [
        {
            "object": "embedding",
            "index": index,
            "embedding": row.tolist() if whole else base64.b64encode(row.astype("<f4").tobytes()).decode(),
        }
        for index, row in enumerate(vectors)
    ]
    body = {"object": "list", "data": data, "model": asked.model, "usage": _usage(answer)}
    return reply(body, *answer.headers)


def _shortens(desk: Desk, asked: EmbeddingBody) -> None:
    """Return when every target of the name can give vectors of so many dimensions.

    Raises:
        InvalidValue: one cannot.
    """
    if asked.dimensions is None:
        return
    for target in desk.names.get(asked.model, ENGINES).targets:
        if target.engine != ENGINES[0]:  # it is for the server to say
            continue
        model = target.model or MODELS[0]
        whole = DIMENSIONS.get(model)
        if whole is None:
            continue  # nobody knows it, which the call says
        if asked.dimensions != whole and (model not in SHORTENED or not 1 <= asked.dimensions < whole):
            able = f"or a model that can be shortened: {', '.join(SHORTENED)}"
            raise InvalidValue(
                f"'{model}' has {whole} dimensions", where="dimensions", remedy=f"leave it out, {able}"
            )


async def _read(desk: Desk, call: Call, key: ApiKey, asked: EmbeddingBody) -> list[str]:
    """The texts of a request; tokens are read by the model's own tokenizer, in a call of its own."""
    given = [asked.input] if isinstance(asked.input, str) else asked.input
    kinds = {type(each) for each in given}
    if len(kinds) > 1:
        raise InvalidValue("texts and tokens are mixed", where="input", remedy="send the ones or the others")
    if kinds <= {str}:
        texts = cast(list[str], given)
        _texts(texts, "input")
        return texts
    rows = [given] if kinds == {int} else given
    if len(rows) > MOST or not all(rows):
        raise InvalidValue(f"{len(rows)} texts; 1 to {MOST}, none of them empty, are read", where="input")
    params = {"task": "decode", "rows": rows, "special": False}
    desk.names.get(asked.model, ENGINES)
    try:
        _, found = await asked_of(desk, call, key, asked.model, params, 1)
    except NotFound as fault:
        raise InvalidValue(
            f"'{asked.model}' has no tokenizer here", where="input", remedy="send texts"
        ) from fault
    except InvalidValue as fault:
        raise InvalidValue(fault.message, where="input", remedy=fault.remedy) from fault
    _texts(found["texts"], "input")
    return found["texts"]


async def rerank(desk: Desk, call: Call, key: ApiKey) -> Reply:
    """Documents by their nearness to the query (cosine of the model's vectors), the nearest first."""
    asked = await call.read(RerankBody)
    documents = [each if isinstance(each, str) else str(each.get("text", "")) for each in asked.documents]
    _texts(documents, "documents")
    _texts([asked.query], "query")
    if asked.top_n is not None and asked.top_n < 1:
        raise InvalidValue("it must be at least 1", where="top_n")
    answer, rows = await _vectors(desk, call, key, asked.model, documents, "passage")
    query = await _query(desk, call, key, asked.model, asked.query)
    scores = rows @ query
    order = (-scores).argsort(kind="stable")[: asked.top_n]
    results: list[dict[str, Any]] = []
    for index in order.tolist():
        found: dict[str, Any] = {"index": index, "relevance_score": float(scores[index])}
        if asked.return_documents:
            found["document"] = {"text": documents[index]}
        results.append(found)
    body = {"id": answer.id, "model": asked.model, "results": results, "usage": _usage(answer)}
    return reply(body, *answer.headers)


async def score(desk: Desk, call: Call, key: ApiKey) -> Reply:
    """How near the texts of each pair are (cosine)."""
    asked = await call.read(ScoreBody)
    left = [asked.text_1] if isinstance(asked.text_1, str) else asked.text_1
    right = [asked.text_2] if isinstance(asked.text_2, str) else asked.text_2
    _texts(left, "text_1")
    _texts(right, "text_2")
    if len(left) == 1:
        left = left * len(right)
    if len(left) != len(right):
        raise InvalidValue(f"{len(left)} and {len(right)} texts make no pairs", where="text_2")
    answer, rows = await _vectors(desk, call, key, asked.model, [*left, *right], "passage")
    scores = (rows[: len(left)] * rows[len(left) :]).sum(axis=1)
    data = [{"index": index, "object": "score", "score": float(value)} for index, value in enumerate(scores)]
    body = {
        "id": answer.id, "object": "list", "created": answer.created, "model": asked.model, "data": data,
        "usage": _usage(answer),
    }  # fmt: skip
    return reply(body, *answer.headers)


async def _vectors(
    desk: Desk,
    call: Call,
    key: ApiKey,
    model: str,
    texts: list[str],
    side: str,
    part: int = 0,
    dimensions: int | None = None,
) -> tuple[Answer, Any]:
    import numpy as np

    named = desk.names.get(model, ENGINES)
    if desk.guards.on_input:
        await desk.guards.let_in(texts_of(texts), "text/plain")

    def asking(target: Target) -> Request:
        params: JsonObject = {"texts": texts, "side": side}
        if (
            dimensions is not None
            and "dimensions" in desk.service.shop.engine(target.engine).params.model_fields
        ):
            params["dimensions"] = dimensions
        return Request(engine=target.engine, model=target.model, params={**params, **target.params})

    answer = await desk.ask(call, key, named, asking, part=part)
    made = answer.output("vectors")
    data = desk.service.shop.artifacts.read(made.artifact)
    return answer, np.frombuffer(data, "<f4").reshape(made.details["rows"], -1)


async def _query(desk: Desk, call: Call, key: ApiKey, model: str, query: str) -> Any:
    return (await _vectors(desk, call, key, model, [query], "query", 1))[1][0]


def _texts(texts: list[str], where: str) -> None:
    if not texts or not all(texts):
        raise InvalidValue("there is no text, or an empty one", where=where)
    if len(texts) > MOST:
        raise InvalidValue(f"{len(texts)} texts, {MOST} are allowed", where=where)


def _usage(answer: Answer) -> dict[str, int]:
    assert answer.result is not None
    read = int(answer.result.usage.get("input_units", 0))
    return {"prompt_tokens": read, "total_tokens": read}

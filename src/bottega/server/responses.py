"""`/v1/responses`: OpenAI's newer dialect. Answers are kept for an hour in this process, to be taken up or fetched."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from bottega.core.errors import BottegaError, Cancelled, InvalidValue, NotFound
from bottega.core.request import Output, Request
from bottega.server import attachments, dialect
from bottega.server.answer import Answer, call_id
from bottega.server.chat import pieces_of, said
from bottega.server.config import Target
from bottega.server.desk import Desk
from bottega.server.guard import texts_of
from bottega.server.message import Call, Flow, Reply, event, events, reply
from bottega.server.problem import body_of
from bottega.server.response_body import ResponseBody, item_of, response_body, text_of
from bottega.server.shelf import Kept
from bottega.server.tools import Called, Toolbox, toolbox
from bottega.service.keys import ApiKey


async def create(desk: Desk, call: Call, key: ApiKey) -> Reply | Flow:
    """Answer."""
    asked = await call.read(ResponseBody)
    box = toolbox(asked.tools, asked.tool_choice)
    named = desk.names.get(asked.model, dialect.CHAT_ENGINES)
    if not isinstance(asked.input, str):
        await attachments.read(desk, key, [item.get("content") for item in asked.input], "input")
    before = _turns(desk, key, asked)
    turns = dialect.armed(before, box)
    schema, grammar = dialect.shape_of(asked.text.format if asked.text else None)
    if box:
        schema, grammar = None, box.grammar()
    sampling = dialect.Sampling(
        model=asked.model,
        max_tokens=asked.max_output_tokens,
        temperature=asked.temperature,
        top_p=asked.top_p,
        frequency_penalty=asked.frequency_penalty,
        presence_penalty=asked.presence_penalty,
    )
    params = dialect.parameters(sampling, schema, grammar, 0)
    if desk.guards.on_input:
        await desk.guards.let_in(texts_of([turn["content"] for turn in turns]), "text/plain")

    def asking(target: Target) -> Request:
        return dialect.request_for(desk.service.shop, target, turns, params, asked.seed, stream=asked.stream)

    if asked.background:
        return await _background(desk, call, key, asked, named, asking, before, box)
    if asked.stream:
        answer, outputs = await desk.stream(call, key, named, asking)
        return events(_events(desk, key, answer, outputs, asked, before, box), *answer.headers)
    answer = await desk.ask(call, key, named, asking)
    body = response_body(answer, asked, await said(desk, answer), "completed", box=box)
    _keep(desk, key, asked, body, before)
    return reply(body, *answer.headers)


async def one(desk: Desk, call: Call, key: ApiKey) -> Reply:
    """A response that was made, or is being made."""
    return reply(desk.shelf.get(key.actor, call.at["response"]).body)


async def cancel(desk: Desk, call: Call, key: ApiKey) -> Reply:
    """Stop one that is being made."""
    kept = desk.shelf.get(key.actor, call.at["response"])
    if kept.work is None:
        raise InvalidValue("only a response in the background can be cancelled", where="response")
    if kept.call is not None:
        kept.call.cancelled.set()
    await asyncio.wait([kept.work])
    return reply(kept.body)


async def delete(desk: Desk, call: Call, key: ApiKey) -> Reply:
    """Forget one."""
    desk.shelf.get(key.actor, call.at["response"])
    desk.shelf.drop(call.at["response"])
    return reply({"id": call.at["response"], "object": "response", "deleted": True})


async def compact(desk: Desk, call: Call, key: ApiKey) -> Reply:
    """Refused: nothing here shortens a conversation by itself."""
    raise NotFound("conversations are not compacted here", where="path", remedy="send the turns that matter")


async def items(desk: Desk, call: Call, key: ApiKey) -> Reply:
    """What was said before the answer."""
    kept = desk.shelf.get(key.actor, call.at["response"])
    data = [
        {"id": f"msg-{number}", "type": "message", "role": turn["role"], "status": "completed",
         "content": [_piece(turn)]}
        for number, turn in enumerate(kept.turns)
    ]  # fmt: skip
    ends = {"first_id": data[0]["id"] if data else None, "last_id": data[-1]["id"] if data else None}
    return reply({"object": "list", "data": data, "has_more": False, **ends})


def _piece(turn: dict[str, str]) -> dict[str, Any]:
    if turn["role"] == "assistant":
        return {"type": "output_text", "text": turn["content"], "annotations": [], "logprobs": []}
    return {"type": "input_text", "text": turn["content"]}


def _turns(desk: Desk, key: ApiKey, asked: ResponseBody) -> list[dict[str, str]]:
    turns: list[dict[str, str]] = []
    if asked.previous_response_id:
        before = desk.shelf.get(key.actor, asked.previous_response_id, "previous_response_id")
        turns += [turn for turn in before.turns if turn["role"] != "system"]
        turns.append({"role": "assistant", "content": text_of(before.body)})
    if asked.instructions:
        turns.insert(0, {"role": "system", "content": asked.instructions})
    if isinstance(asked.input, str):
        turns.append({"role": "user", "content": asked.input})
    else:
        messages: list[dialect.Turn] = []
        for index, item in enumerate(asked.input):
            kind = item.get("type", "message")
            if kind == "function_call":
                function = {"name": item.get("name"), "arguments": item.get("arguments")}
                messages.append(dialect.Turn(role="assistant", tool_calls=[{"function": function}]))
                continue
            if kind == "function_call_output":
                messages.append(dialect.Turn(role="tool", content=item.get("output")))
                continue
            if kind != "message":
                raise InvalidValue(
                    f"an item of type '{item.get('type')}' is not known here", where=f"input[{index}].type",
                    remedy="send messages",
                )  # fmt: skip
            messages.append(dialect.Turn(role=str(item.get("role", "")), content=item.get("content")))
        turns += dialect.texts(messages, "input")
    if not turns or not any(turn["content"] for turn in turns):
        raise InvalidValue("there is nothing to answer", where="input")
    return turns


def _keep(
    desk: Desk, key: ApiKey, asked: ResponseBody, body: dict[str, Any], turns: list[dict[str, str]]
) -> None:
    if asked.store is not False:
        desk.shelf.keep(Kept(key.actor, body, turns))


async def _background(
    desk: Desk,
    call: Call,
    key: ApiKey,
    asked: ResponseBody,
    named: Any,
    asking: Any,
    turns: list[dict[str, str]],
    box: Toolbox,
) -> Reply:
    answer = Answer(call_id(call, key), named)
    kept = Kept(key.actor, response_body(answer, asked, None, "in_progress"), turns)
    kept.call = Call({**call.scope}, _forever)  # it goes on when this request has ended

    async def work() -> None:
        assert kept.call is not None
        try:
            await desk.ask(kept.call, key, named, asking, answer=answer)
            kept.body = response_body(answer, asked, await said(desk, answer), "completed", box=box)
        except Cancelled:
            kept.body = response_body(answer, asked, None, "cancelled")
        except BottegaError as error:
            fault = {"code": "server_error", "message": body_of(error)["message"]}
            kept.body = response_body(answer, asked, None, "failed", fault)
        if desk.shelf.holds(kept.body["id"]):
            desk.shelf.keep(kept)

    kept.work = asyncio.create_task(work())
    desk.shelf.keep(kept)
    return reply(kept.body, *answer.headers)


async def _forever() -> Any:
    await asyncio.Event().wait()


async def _events(
    desk: Desk,
    key: ApiKey,
    answer: Answer,
    outputs: AsyncIterator[Output],
    asked: ResponseBody,
    turns: list[dict[str, str]],
    box: Toolbox,
) -> AsyncIterator[bytes]:
    number = -1

    def told(kind: str, **more: Any) -> bytes:
        nonlocal number
        number += 1
        return event({"type": kind, "sequence_number": number, **more}, kind)

    at = {"output_index": 0}
    place = {"item_id": f"msg_{answer.id}", **at, "content_index": 0}
    started = response_body(answer, asked, None, "in_progress")
    yield told("response.created", response=started)
    yield told("response.in_progress", response=started)
    part: dict[str, Any] = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
    opened = False

    def opening() -> tuple[bytes, bytes]:
        added = told("response.output_item.added", **at, item=item_of(answer, "", "in_progress"))
        return added, told("response.content_part.added", **place, part=part)

    try:
        async for piece in pieces_of(desk, outputs, box):
            if isinstance(piece, Called):
                continue  # the finished response has it
            if not opened:
                opened = True
                for each in opening():
                    yield each
            yield told("response.output_text.delta", **place, delta=piece.text, logprobs=[])
    except BottegaError as refusal:
        answer.error = refusal
    if answer.error is not None:
        fault = {"code": "server_error", "message": body_of(answer.error)["message"]}
        yield told("response.failed", response=response_body(answer, asked, None, "failed", fault))
        return
    text = await said(desk, answer)
    body = response_body(answer, asked, text, "completed", box=box)
    item = body["output"][0]
    if item["type"] == "function_call":
        place = {"item_id": item["id"], **at}
        yield told(
            "response.output_item.added", **at, item={**item, "status": "in_progress", "arguments": ""}
        )
        yield told("response.function_call_arguments.delta", **place, delta=item["arguments"])
        yield told(
            "response.function_call_arguments.done", **place, arguments=item["arguments"], name=item["name"]
        )
    else:
        if not opened:
            for each in opening():
                yield each
            yield told("response.output_text.delta", **place, delta=text, logprobs=[])
        yield told("response.output_text.done", **place, text=text, logprobs=[])
        yield told("response.content_part.done", **place, part={**part, "text": text})
    yield told("response.output_item.done", **at, item=item)
    _keep(desk, key, asked, body, turns)
    yield told(f"response.{body['status']}", response=body)

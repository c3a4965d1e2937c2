"""`/v1/responses`: OpenAI's newer dialect. Answers are kept for a day, to be taken up or fetched."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

from bottega.core.errors import BottegaError, InvalidValue, KeyReused, NotFound
from bottega.core.request import Output
from bottega.server import attachments, dialect
from bottega.server.answer import Answer, call_id, idempotency_key
from bottega.server.asked import Asked
from bottega.server.chat import said
from bottega.server.config import Named
from bottega.server.desk import Asking, Desk
from bottega.server.message import Call, Flow, Reply, event, events, reply
from bottega.server.response_body import ResponseBody, response_body, turn_of
from bottega.server.response_events import told_events, unmade
from bottega.server.shelf import Kept
from bottega.server.tools import Said, Toolbox, toolbox
from bottega.service.keys import ApiKey


async def create(desk: Desk, call: Call, key: ApiKey) -> Reply | Flow:
    """Answer."""
    asked = await call.read(ResponseBody)
    box = toolbox(asked.tools, asked.tool_choice, asked.parallel_tool_calls)
    named = desk.names.get(asked.model, dialect.CHAT_ENGINES)
    if not isinstance(asked.input, str):
        await attachments.read(desk, key, [item.get("content") for item in asked.input], "input")
    before = await _turns(desk, key, asked)
    shape = dialect.shape_of(asked.text.format if asked.text else None, "text.format")
    sampling = dialect.Sampling(
        model=asked.model,
        max_tokens=asked.max_output_tokens,
        temperature=asked.temperature,
        top_p=asked.top_p,
        frequency_penalty=asked.frequency_penalty,
        presence_penalty=asked.presence_penalty,
    )
    wish = Asked(
        before,
        dialect.parameters(sampling),
        box,
        shape,
        asked.seed,
        bool(asked.stream),
    )
    if desk.guards.on_input:
        await desk.guards.let_in(wish.words(), "text/plain")
    asking = partial(wish.request, desk.service.shop)

    async def keep(body: dict[str, Any]) -> None:
        if asked.store is not False:
            await asyncio.to_thread(desk.shelf.keep, Kept(key.actor, body, before))

    if asked.background:
        if asked.store is False:
            raise InvalidValue(
                "what is made in the background is kept", where="store", remedy="leave out store"
            )
        return await _background(desk, call, key, asked, named, asking, before, box)
    if asked.stream:
        answer, outputs = await desk.stream(call, key, named, asking)
        return events(told_events(desk, answer, outputs, asked, box, keep), *answer.headers)
    answer = await desk.ask(call, key, named, asking)
    body = response_body(answer, asked, (await said(desk, answer))[0], "completed", box=box)
    await keep(body)
    return reply(body, *answer.headers)


async def one(desk: Desk, call: Call, key: ApiKey) -> Reply | Flow:
    """A response that was made, or is being made; with ``stream`` its events behind ``starting_after``, as they come."""
    kept = await _get(desk, key, call.at["response"])
    if call.query.get("stream", "false").lower() not in ("true", "1"):
        return reply(kept.body)
    after = call.query.get("starting_after", "-1")
    if not after.removeprefix("-").isdecimal() or len(after) > 9:
        raise InvalidValue(
            f"'{after[:20]}' is no number", where="starting_after", remedy="give a sequence_number"
        )
    return events(kept.follow(max(int(after), -1)) if kept.events is not None else _whole(kept))


async def _whole(kept: Kept) -> AsyncIterator[bytes]:
    """The end of a response that nobody follows, once it is there."""
    if kept.work is not None:
        await asyncio.wait([kept.work])
    kind = f"response.{kept.body['status']}"
    if kind != "response.cancelled":  # which the dialect knows no event of
        yield event({"type": kind, "sequence_number": 0, "response": kept.body}, kind)


async def cancel(desk: Desk, call: Call, key: ApiKey) -> Reply:
    """Stop one that is being made."""
    kept = await _get(desk, key, call.at["response"])
    if kept.work is None:
        raise InvalidValue(
            "only a response that is made in the background can be cancelled", where="response"
        )
    if kept.call is not None:
        kept.call.cancelled.set()
    await asyncio.wait([kept.work])
    return reply(kept.body)


async def delete(desk: Desk, call: Call, key: ApiKey) -> Reply:
    """Forget one."""
    kept = await _get(desk, key, call.at["response"])
    await asyncio.to_thread(desk.shelf.drop, key.actor, kept.id)
    return reply({"id": call.at["response"], "object": "response", "deleted": True})


async def compact(desk: Desk, call: Call, key: ApiKey) -> Reply:
    """Refused: nothing here shortens a conversation by itself."""
    raise NotFound("conversations are not compacted here", where="path", remedy="send the turns that matter")


async def items(desk: Desk, call: Call, key: ApiKey) -> Reply:
    """What was said before the answer."""
    kept = await _get(desk, key, call.at["response"])
    data = [item for number, turn in enumerate(kept.turns) for item in _items(number, turn)]
    ends = {"first_id": data[0]["id"] if data else None, "last_id": data[-1]["id"] if data else None}
    return reply({"object": "list", "data": data, "has_more": False, **ends})


def _items(number: int, turn: Said) -> list[dict[str, Any]]:
    """A turn as it was sent: a message, calls of tools, what one gave back."""
    done = {"status": "completed"}
    if turn["role"] == "tool":
        given = {"call_id": turn["tool_call_id"], "output": turn["content"]}
        return [{"id": f"fco-{number}", "type": "function_call_output", **given, **done}]
    calls: list[dict[str, Any]] = [
        {
            "id": f"fc-{number}-{index}",
            "type": "function_call",
            "call_id": call["id"],
            **call["function"],
            **done,
        }
        for index, call in enumerate(turn.get("tool_calls", ()))
    ]
    if calls and not turn["content"]:
        return calls
    said = {"id": f"msg-{number}", "type": "message", "role": turn["role"], "content": [_piece(turn)]}
    return [{**said, **done}, *calls]


def _piece(turn: Said) -> dict[str, Any]:
    if turn["role"] == "assistant":
        return {"type": "output_text", "text": turn["content"], "annotations": [], "logprobs": []}
    return {"type": "input_text", "text": turn["content"]}


async def _get(desk: Desk, key: ApiKey, response: str, where: str = "response") -> Kept:
    return await asyncio.to_thread(desk.shelf.get, key.actor, response, where)


async def _turns(desk: Desk, key: ApiKey, asked: ResponseBody) -> list[Said]:
    turns: list[Said] = []
    if asked.previous_response_id:
        before = await _get(desk, key, asked.previous_response_id, "previous_response_id")
        turns += [turn for turn in before.turns if turn["role"] != "system"]
        turns.append(turn_of(before.body))
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
                called = {"id": item.get("call_id"), "function": function}
                if not messages or messages[-1].role != "assistant":
                    messages.append(dialect.Turn(role="assistant"))
                messages[-1].tool_calls = [*(messages[-1].tool_calls or ()), called]
                continue
            if kind == "function_call_output":
                name = str(item.get("call_id") or "")
                messages.append(dialect.Turn("tool", item.get("output"), tool_call_id=name))
                continue
            if kind != "message":
                raise InvalidValue(
                    f"an item of type '{item.get('type')}' is not known here", where=f"input[{index}].type",
                    remedy="send messages",
                )  # fmt: skip
            messages.append(dialect.Turn(role=str(item.get("role", "")), content=item.get("content")))
        turns += dialect.conversation(messages, "input")
    if not turns or not any(turn["content"] or turn.get("tool_calls") for turn in turns):
        raise InvalidValue("there is nothing to answer", where="input")
    return turns


async def _background(
    desk: Desk,
    call: Call,
    key: ApiKey,
    asked: ResponseBody,
    named: Named,
    asking: Asking,
    turns: list[Said],
    box: Toolbox,
) -> Reply | Flow:
    """Make it beside the request: it goes on when that has ended."""
    answer = Answer(call_id(call, key), named)
    started = response_body(answer, asked, None, "in_progress")
    kept = Kept(key.actor, started, turns, [] if asked.stream else None, desk.service.shop.workers.registered)
    kept.call = beside = Call({**call.scope}, _forever)

    async def outputs() -> AsyncIterator[Output]:
        _, found = await desk.stream(beside, key, named, asking, answer=answer)
        async for output in found:
            yield output

    async def ended(body: dict[str, Any]) -> None:
        kept.body = body

    async def work() -> None:
        try:
            if asked.stream:
                async for each in told_events(desk, answer, outputs(), asked, box, ended):
                    kept.say(each)
            else:
                await desk.ask(beside, key, named, asking, answer=answer)
                text, _ = await said(desk, answer)
                kept.body = response_body(answer, asked, text, "completed", box=box)
        except BottegaError as error:
            kept.body = unmade(answer, asked, error)
        kept.worker = ""  # it is not being made any more
        if desk.shelf.holds(kept):
            await asyncio.to_thread(desk.shelf.keep, kept)

    kept = await _again(desk, call, key, kept) or kept
    if kept.call is beside:
        kept.work = asyncio.create_task(work())  # it begins when this request waits
        kept.work.add_done_callback(lambda _: kept.wake())
        try:
            desk.shelf.keep(kept)
        except BottegaError:
            kept.work.cancel()
            raise
    if asked.stream and kept.events is not None:
        return events(kept.follow(-1), *answer.headers)
    return reply(kept.body, *answer.headers)


async def _again(desk: Desk, call: Call, key: ApiKey, asked: Kept) -> Kept | None:
    """The one that was asked for earlier under the same idempotency key.

    Raises:
        KeyReused: something else was asked for.
    """
    if not idempotency_key(call, key):
        return None
    try:
        known = await _get(desk, key, asked.id)
    except NotFound:
        return None
    if (known.turns, known.body["model"]) != (asked.turns, asked.body["model"]):
        raise KeyReused(
            "this key was used for another request", where="idempotency-key", remedy="use a new key"
        )
    return known


async def _forever() -> Any:
    await asyncio.Event().wait()

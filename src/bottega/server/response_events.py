"""A response as server-sent events, numbered from 0."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from bottega.core.errors import BottegaError, Cancelled
from bottega.core.request import Output
from bottega.server.answer import Answer
from bottega.server.chat import pieces_of, said
from bottega.server.desk import Desk
from bottega.server.message import event
from bottega.server.problem import body_of
from bottega.server.response_body import ResponseBody, message_of, response_body
from bottega.server.tools import Called, Toolbox


async def told_events(
    desk: Desk,
    answer: Answer,
    outputs: AsyncIterator[Output],
    asked: ResponseBody,
    box: Toolbox,
    ended: Callable[[dict[str, Any]], Awaitable[None]],
) -> AsyncIterator[bytes]:
    """The events of a response that is being made; ``ended`` is given it before the last event tells it.

    One that was cancelled has no last event, as the dialect has it.
    """
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
        added = told("response.output_item.added", **at, item=message_of(answer, "", "in_progress"))
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
        body = unmade(answer, asked, answer.error)
        await ended(body)
        if body["status"] == "failed":
            yield told("response.failed", response=body)
        return
    text, _ = await said(desk, answer)
    body = response_body(answer, asked, text, "completed", box=box)
    for index, item in enumerate(body["output"]):
        at = {"output_index": index}
        if item["type"] == "message":
            words = item["content"][0]["text"]
            if not opened:
                for each in opening():
                    yield each
                yield told("response.output_text.delta", **place, delta=words, logprobs=[])
            yield told("response.output_text.done", **place, text=words, logprobs=[])
            yield told("response.content_part.done", **place, part={**part, "text": words})
        else:
            called, arguments = {"item_id": item["id"], **at}, item["arguments"]
            begun = {**item, "status": "in_progress", "arguments": ""}
            yield told("response.output_item.added", **at, item=begun)
            yield told("response.function_call_arguments.delta", **called, delta=arguments)
            yield told(
                "response.function_call_arguments.done", **called, arguments=arguments, name=item["name"]
            )
        yield told("response.output_item.done", **at, item=item)
    try:
        await ended(body)
    except BottegaError as failure:  # it cannot be kept
        yield told("response.failed", response=unmade(answer, asked, failure))
        return
    yield told(f"response.{body['status']}", response=body)


def unmade(answer: Answer, asked: ResponseBody, error: BottegaError) -> dict[str, Any]:
    """A response of which nothing came."""
    if isinstance(error, Cancelled):
        return response_body(answer, asked, None, "cancelled")
    fault = {"code": "server_error", "message": body_of(error)["message"]}
    return response_body(answer, asked, None, "failed", fault)

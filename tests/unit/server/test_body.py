"""Every field of a dialect is done, refused by name, or known to change no answer."""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from anthropic.types import message_count_tokens_params, message_create_params
from openai.types import (
    batch_create_params,
    completion_create_params,
    embedding_create_params,
    file_create_params,
    image_edit_params,
    image_generate_params,
    moderation_create_params,
    video_create_params,
)
from openai.types.audio import speech_create_params, transcription_create_params, translation_create_params
from openai.types.chat import completion_create_params as chat_create_params
from openai.types.responses import response_create_params

from bottega.core.errors import InvalidValue
from bottega.server.body import Body
from bottega.server.message import decoded
from bottega.server.table import TABLE

SHAPES = {(route.path, shape): shape for route in TABLE for shape in (route.body, route.form) if shape}
# What says who asks, how it is kept or paid, or how fast it shall be: no answer is another one because of it.
HARMLESS = {
    "user", "safety_identifier", "metadata", "store", "service_tier", "prompt_cache_key", "prompt_cache_options",
    "prompt_cache_retention", "prediction", "parallel_tool_calls", "stream_options", "cache_control", "speed",
    "diagnostics", "user_profile_id", "workspace_id", "access_programs", "background_options",
    "moderation", "partial_images", "max_tool_calls",
}  # fmt: skip
KNOWN = {  # of these a dialect's own client says what there is
    "/v1/chat/completions": chat_create_params.CompletionCreateParamsBase,
    "/v1/completions": completion_create_params.CompletionCreateParamsBase,
    "/v1/responses": response_create_params.ResponseCreateParamsBase,
    "/v1/embeddings": embedding_create_params.EmbeddingCreateParams,
    "/v1/images/generations": image_generate_params.ImageGenerateParamsBase,
    "/v1/images/edits": image_edit_params.ImageEditParamsBase,
    "/v1/audio/speech": speech_create_params.SpeechCreateParams,
    "/v1/audio/transcriptions": transcription_create_params.TranscriptionCreateParamsBase,
    "/v1/audio/translations": translation_create_params.TranslationCreateParams,
    "/v1/videos": video_create_params.VideoCreateParams,
    "/v1/moderations": moderation_create_params.ModerationCreateParams,
    "/v1/files": file_create_params.FileCreateParams,
    "/v1/batches": batch_create_params.BatchCreateParams,
    "/v1/messages": message_create_params.MessageCreateParamsBase,
    "/v1/messages/count_tokens": message_count_tokens_params.MessageCountTokensParams,
}
COUNTED = {"output_config", "thinking"}  # what is counted is the same with them


@pytest.mark.parametrize("path", KNOWN)
def test_no_field_of_a_dialect_is_left_aside_silently(path: str) -> None:
    route = next(each for each in TABLE if each.path == path and each.method == "POST")
    shape = route.form or route.body
    files = {name.strip("?") for name in route.uploads} if route.form else set[str]()
    told = {key for kind in KNOWN[path].__mro__ for key in getattr(kind, "__annotations__", ())}
    free = HARMLESS | (COUNTED if path.endswith("count_tokens") else set[str]())
    assert told - set(shape.__struct_fields__) - files <= free


def limited(shape: Any) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Fields that are not done, with the values that may stand there; those of a part by its name and a dot."""
    for name, meta in shape.limited.items():
        yield name, meta.extra["values"]
    for field in msgspec.structs.fields(shape):
        for part in getattr(field.type, "__args__", ()):
            if isinstance(part, type) and issubclass(part, Body):
                yield from ((f"{field.name}.{name}", values) for name, values in limited(part))


FIELDS = [
    (path, shape, name, values)
    for path, shape in SHAPES
    if issubclass(shape, Body)
    for name, values in limited(shape)
]
TYPED: dict[str, Any] = {"temperature": 0.7, "stream": True}


def asked(shape: Any, name: str, value: Any) -> bytes:
    """A body with what it must have, and this."""
    body: dict[str, Any] = {
        field.name: {"max_tokens": 9, "messages": [], "documents": [], "tokens": []}.get(field.name, "x")
        for field in msgspec.structs.fields(shape)
        if field.required
    }
    head, _, tail = name.rpartition(".")
    return msgspec.json.encode(body | ({head: {tail: value}} if head else {name: value}))


def test_there_are_fields_to_be_refused_on_many_routes() -> None:
    assert len({path for path, *_ in FIELDS}) >= 14 and len(FIELDS) >= 80


@pytest.mark.parametrize(("path", "shape", "name", "values"), FIELDS)
def test_what_is_not_done_is_refused_by_name(
    path: str, shape: Any, name: str, values: tuple[Any, ...]
) -> None:
    for value in (None, *values):
        decoded(asked(shape, name, value), shape)
    with pytest.raises(InvalidValue) as refusal:
        decoded(asked(shape, name, TYPED.get(name, "something else")), shape)
    assert refusal.value.where == name and refusal.value.remedy

"""What the routes answer, as shapes: the OpenAPI document holds them, and tests hold every answer to them.

Where a value of ours is the answer (a plan, an entry of the record), it is its own shape. Shapes are open: an answer may say more.
"""

from dataclasses import dataclass
from typing import Any, Generic, Literal, NotRequired, TypedDict, TypeVar

from bottega.governance.review import Decision, Ticket
from bottega.governance.verify import Verification
from bottega.retrieval.collections.report import Progress, Report
from bottega.service.keys import ApiKey

T = TypeVar("T")
Nothing = dict[str, Any]


class Many(TypedDict, Generic[T]):
    """Several of a kind; pages say where they end."""

    object: Literal["list"]
    data: list[T]
    has_more: NotRequired[bool]
    first_id: NotRequired[str | None]
    last_id: NotRequired[str | None]


class Health(TypedDict):
    """That it is."""

    status: Literal["live", "ready"]


class Deleted(TypedDict):
    """What is gone."""

    id: str
    object: str
    deleted: Literal[True]


class Model(TypedDict):
    """A name that may be given as model."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str
    engine: str
    modality: str
    locality: Literal["local", "remote"]
    ready: bool


class Usage(TypedDict):
    """What was used, in the unit of the engine."""

    prompt_tokens: int
    total_tokens: int
    completion_tokens: NotRequired[int]


class ToolFunction(TypedDict):
    """A function with its arguments as JSON text."""

    name: str
    arguments: str


class ToolCall(TypedDict):
    """A call of a tool."""

    id: str
    type: Literal["function"]
    function: ToolFunction


class Said(TypedDict):
    """What the assistant says."""

    role: Literal["assistant"]
    content: str | None
    refusal: None
    annotations: list[Nothing]
    tool_calls: NotRequired[list[ToolCall]]


class ChatChoice(TypedDict):
    """The one answer."""

    index: int
    message: Said
    logprobs: Nothing | None
    finish_reason: Literal["stop", "length", "tool_calls"]


class Chat(TypedDict):
    """An answer in a conversation."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[ChatChoice]
    usage: Usage
    system_fingerprint: str
    service_tier: str


class TextChoice(TypedDict):
    """The one text."""

    index: int
    text: str
    logprobs: Nothing | None
    finish_reason: Literal["stop", "length"]


class Completion(TypedDict):
    """A text that goes on."""

    id: str
    object: Literal["text_completion"]
    created: int
    model: str
    choices: list[TextChoice]
    usage: Usage


class Vector(TypedDict):
    """A vector, as numbers or as base64 of little-endian float32."""

    object: Literal["embedding"]
    index: int
    embedding: list[float] | str


class Embeddings(TypedDict):
    """Vectors, in the order of the texts."""

    object: Literal["list"]
    data: list[Vector]
    model: str
    usage: Usage


class Ranked(TypedDict):
    """A document and its nearness."""

    index: int
    relevance_score: float
    document: NotRequired[Nothing]


class Ranking(TypedDict):
    """Documents, the nearest first."""

    id: str
    model: str
    results: list[Ranked]
    usage: Usage


class PairScore(TypedDict):
    """How near two texts are."""

    index: int
    object: Literal["score"]
    score: float


class Scores(TypedDict):
    """Pairs, in their order."""

    id: str
    object: Literal["list"]
    created: int
    model: str
    data: list[PairScore]
    usage: Usage


class Picture(TypedDict):
    """A picture as base64."""

    b64_json: str
    revised_prompt: str | None
    url: None


class Pictures(TypedDict):
    """Pictures that were made."""

    created: int
    data: list[Picture]
    output_format: str
    size: str
    usage: Nothing


class Film(TypedDict):
    """A film, or how far it is."""

    id: str
    object: Literal["video"]
    model: str
    status: Literal["queued", "in_progress", "completed", "failed"]
    progress: int
    created_at: int
    completed_at: int | None
    expires_at: int | None
    prompt: str
    size: str
    seconds: str
    remixed_from_video_id: str | None
    error: Nothing | None


class Transcript(TypedDict):
    """What was said; the verbose form has words with times."""

    text: str
    usage: Nothing
    language: NotRequired[str]
    duration: NotRequired[float]
    words: NotRequired[list[Nothing]]
    segments: NotRequired[list[Nothing]]


class Response(TypedDict):
    """An answer in OpenAI's newer dialect."""

    id: str
    object: Literal["response"]
    created_at: int
    completed_at: int | None
    status: Literal["queued", "in_progress", "completed", "incomplete", "failed", "cancelled"]
    error: Nothing | None
    incomplete_details: Nothing | None
    model: str
    output: list[Nothing]
    usage: Nothing | None
    previous_response_id: str | None
    background: bool
    store: bool
    metadata: Nothing


class Message(TypedDict):
    """An answer in Anthropic's dialect."""

    id: str
    type: Literal["message"]
    role: Literal["assistant"]
    model: str
    content: list[Nothing]
    stop_reason: Literal["end_turn", "max_tokens", "tool_use"]
    stop_sequence: None
    usage: Nothing


class Count(TypedDict):
    """At most so many tokens."""

    input_tokens: int


class Judged(TypedDict):
    """What the checks say of a text."""

    flagged: bool
    categories: dict[str, bool]
    category_scores: dict[str, float]
    reasons: dict[str, str]


class Moderation(TypedDict):
    """Texts that were judged, in their order."""

    id: str
    model: str
    results: list[Judged]


class Tokens(TypedDict):
    """Tokens of a text."""

    count: int
    max_model_len: int | None
    tokens: list[int]
    token_strs: list[str] | None


class Detokenized(TypedDict):
    """Text of tokens."""

    prompt: str


class File(TypedDict):
    """A file that was sent."""

    id: str
    object: Literal["file"]
    bytes: int
    filename: str
    purpose: str
    created_at: int
    status: str
    expires_at: int | None
    status_details: str | None


class Indexing(TypedDict):
    """How far indexing has come, and its report once it has ended."""

    id: str
    object: Literal["collection.indexing"]
    collection: str
    state: Literal["running", "done"]
    progress: Progress | None
    report: Report | None


class BatchJob(TypedDict):
    """A batch, or how far it is."""

    id: str
    object: Literal["batch"]
    endpoint: str
    input_file_id: str
    completion_window: str
    status: str
    output_file_id: str | None
    error_file_id: str | None
    created_at: int
    expires_at: int
    metadata: dict[str, str]
    request_counts: dict[str, int]
    errors: Nothing | None


class Provenanced(TypedDict):
    """How a file was made."""

    object: Literal["content_provenance_check"]
    created_at: int
    filename: str
    results: list[Nothing]
    verification: Verification


class RunState(TypedDict):
    """A run; alone with its steps and files."""

    object: Literal["run"]
    id: str
    state: str
    plan: str
    created_at: str
    finished_at: str
    reason: str
    error: str
    requested_by: str
    steps: NotRequired[list[Nothing]]
    files: NotRequired[list[Nothing]]


class Review(TypedDict):
    """What waits for a person, or did."""

    id: str
    object: Literal["review"]
    state: str
    run: str
    owner: str
    opened_at: str
    due_at: str
    expires_at: str
    ticket: Ticket
    decisions: list[Decision]


class Checkpoint(TypedDict):
    """The signed root of the record, and the key to check it with."""

    checkpoint: str
    key: str


@dataclass(frozen=True, kw_only=True)
class MadeKey(ApiKey):
    """A key with its secret, which is told this once."""

    secret: str


class Collection(TypedDict):
    """Documents that are indexed together."""

    id: str
    object: Literal["collection"]
    documents: int
    passages: int
    embedder: str


class Found(TypedDict):
    """A passage that was found."""

    score: float
    passage: Nothing
    language: str
    document: Nothing


class Forgotten(Deleted):
    """A conversation that is gone, with so many turns."""

    turns: int

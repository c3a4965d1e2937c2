"""Every route of the server: what it takes, what it grants, what it answers. The OpenAPI document is made from it."""

from bottega.server import about, audio, chat, images, vectors
from bottega.server.routes import Route

EVENTS = "text/event-stream"

TABLE: tuple[Route, ...] = (
    Route("GET", "/health/live", about.live, None, "The process answers"),
    Route("GET", "/health/ready", about.ready, None, "The state can be read"),
    Route("GET", "/openapi.json", about.document, None, "This document"),
    Route("GET", "/metrics", about.metrics, "metrics:read", "Counters (Prometheus)", answer="text/plain"),
    Route("GET", "/v1/models", about.models, "models:read", "Names that may be given as model"),
    Route("GET", "/v1/models/{*model}", about.model, "models:read", "One of them"),
    Route("POST", "/v1/chat/completions", chat.chat, "engines:call", "Answer a conversation", body=chat.ChatBody),
    Route("POST", "/v1/completions", chat.completions, "engines:call", "Go on with a text", body=chat.CompletionBody),
    Route("POST", "/v1/embeddings", vectors.embeddings, "engines:call", "Texts as vectors", body=vectors.EmbeddingBody),
    Route("POST", "/v1/rerank", vectors.rerank, "engines:call", "Documents by nearness", body=vectors.RerankBody),
    Route("POST", "/v1/score", vectors.score, "engines:call", "Nearness of pairs", body=vectors.ScoreBody),
    Route("POST", "/v1/images/generations", images.generations, "engines:call", "Make pictures", body=images.ImageBody),
    Route("POST", "/v1/audio/speech", audio.speech, "engines:call", "Read a text aloud", body=audio.SpeechBody,
          answer="audio/*"),
    Route("POST", "/v1/audio/transcriptions", audio.transcriptions, "engines:call", "Write down what is said",
          form=("model", "language", "response_format")),
    Route("POST", "/v1/audio/translations", audio.translations, "engines:call", "What is said, in English",
          form=("model", "response_format")),
)  # fmt: skip

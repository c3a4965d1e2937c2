"""OpenTelemetry traces of requests and of calls to engines, by the conventions for generative AI; off unless configured.

Spans hold names, counts and times, never what was asked or answered.
Conventions: https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/ and .../http/http-spans/
"""

from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from importlib.metadata import version
from typing import Any

from pydantic import Field

from bottega.core.errors import BottegaError
from bottega.core.request import Request
from bottega.core.run import StepResult
from bottega.core.value import Value
from bottega.engines.base import Card, require
from bottega.server.message import Call

OPERATIONS = {"text": "chat"}  # by modality; what the conventions name no operation for is "generate_content"
EMBED = ("embed", "openai_embeddings")
TYPES = {"text": "text", "image": "image", "speech": "speech"}  # values of gen_ai.output.type
Ended = Callable[[StepResult], None]
NOBODY: nullcontext[Callable[[object], None]] = nullcontext(
    lambda _: None
)  # who is told when there is no tracer


class Telemetry(Value, frozen=True):
    """Where traces go."""

    endpoint: str = Field(
        default="", description="of an OTLP collector over HTTP, such as http://localhost:4318; empty: off"
    )
    share: float = Field(
        default=1.0, ge=0, le=1, description="of requests that are traced, when the caller does not say"
    )


class Traces:
    """Makes spans, or nothing at all without a tracer."""

    def __init__(self, tracer: Any = None, close: Callable[[], None] = lambda: None) -> None:
        self._tracer = tracer
        self.close = close

    def request(self, call: Call, route: str) -> AbstractContextManager[Callable[[int], None]]:
        """The span of an HTTP request, under the caller's ``traceparent``; the status is told at the end."""
        return NOBODY if self._tracer is None else self._request(call, route)

    def engine(self, request: Request, card: Card, name: str, run: str) -> AbstractContextManager[Ended]:
        """The span of a call to an engine; its result is told at the end."""
        return NOBODY if self._tracer is None else self._engine(request, card, name, run)

    @contextmanager
    def _request(self, call: Call, route: str) -> Generator[Callable[[int], None]]:
        trace: Any = require("opentelemetry.trace", extra="otel")
        propagation: Any = require("opentelemetry.trace.propagation.tracecontext", extra="otel")
        carrier = {name: call.header(name.encode()) for name in ("traceparent", "tracestate")}
        parent = propagation.TraceContextTextMapPropagator().extract({k: v for k, v in carrier.items() if v})
        method = str(call.scope["method"])
        facts = {
            "http.request.method": method,
            "http.route": route,
            "url.scheme": str(call.scope.get("scheme", "http")),
        }
        with self._tracer.start_as_current_span(
            f"{method} {route}", context=parent, kind=trace.SpanKind.SERVER, attributes=facts
        ) as span:

            def told(status: int) -> None:
                span.set_attribute("http.response.status_code", status)
                if status >= 500:
                    span.set_status(trace.StatusCode.ERROR)

            yield told

    @contextmanager
    def _engine(self, request: Request, card: Card, name: str, run: str) -> Generator[Ended]:
        trace: Any = require("opentelemetry.trace", extra="otel")
        operation = "embeddings" if card.id in EMBED else OPERATIONS.get(card.modality, "generate_content")
        facts: dict[str, Any] = {
            "gen_ai.operation.name": operation, "gen_ai.provider.name": card.destination or "bottega",
            "gen_ai.request.model": name, "gen_ai.response.model": request.model or card.id, "bottega.engine": card.id,
            "gen_ai.response.id": run,
        }  # fmt: skip
        if card.modality in TYPES and operation != "embeddings":
            facts["gen_ai.output.type"] = TYPES[card.modality]
        asked = {
            "max_tokens": "gen_ai.request.max_tokens",
            "temperature": "gen_ai.request.temperature",
            "top_p": "gen_ai.request.top_p",
        }
        facts |= {there: request.params[here] for here, there in asked.items() if here in request.params}
        if request.seed is not None:
            facts["gen_ai.request.seed"] = request.seed
        kind = trace.SpanKind.CLIENT if card.locality == "remote" else trace.SpanKind.INTERNAL
        with self._tracer.start_as_current_span(
            f"{operation} {name}",
            kind=kind,
            attributes=facts,
            record_exception=False,
            set_status_on_exception=False,
        ) as span:

            def ended(result: StepResult) -> None:
                usage = result.usage
                if usage.get("unit") == "token":
                    span.set_attribute("gen_ai.usage.input_tokens", int(usage.get("input_units", 0)))
                    span.set_attribute("gen_ai.usage.output_tokens", int(usage.get("output_units", 0)))
                if reasons := [str(r) for made in result.outputs if (r := made.details.get("finish_reason"))]:
                    span.set_attribute("gen_ai.response.finish_reasons", reasons)

            try:
                yield ended
            except BaseException as error:
                span.set_attribute("error.type", type(error).__name__)
                span.set_status(
                    trace.StatusCode.ERROR, error.message if isinstance(error, BottegaError) else None
                )
                raise


def traces_of(telemetry: Telemetry) -> Traces:
    """Traces as an operator wants them.

    Raises:
        ExtraMissing: without the extra ``otel``.
    """
    if not telemetry.endpoint:
        return Traces()
    sdk: Any = require("opentelemetry.sdk.trace", extra="otel")
    export: Any = require("opentelemetry.sdk.trace.export", extra="otel")
    sampling: Any = require("opentelemetry.sdk.trace.sampling", extra="otel")
    resources: Any = require("opentelemetry.sdk.resources", extra="otel")
    otlp: Any = require("opentelemetry.exporter.otlp.proto.http.trace_exporter", extra="otel")
    about = resources.Resource.create({"service.name": "bottega", "service.version": version("bottega")})
    provider = sdk.TracerProvider(resource=about, sampler=sampling.ParentBasedTraceIdRatio(telemetry.share))
    exporter = otlp.OTLPSpanExporter(endpoint=f"{telemetry.endpoint.rstrip('/')}/v1/traces")
    provider.add_span_processor(export.BatchSpanProcessor(exporter))
    return Traces(provider.get_tracer("bottega"), provider.shutdown)

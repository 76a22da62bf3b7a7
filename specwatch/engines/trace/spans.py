"""A request's spans, as Tempo and Jaeger tell them.

Tempo answers in OTLP's JSON (https://grafana.com/docs/tempo/latest/api_docs/), Jaeger in that of its own page
(https://www.jaegertracing.io/docs/1.76/architecture/apis/).
"""

import base64
import binascii
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from specwatch.engines.http import Answer
from specwatch.engines.trace.model import Span

_HEX_DIGITS: Final = 16
_ERROR_CODES: Final = frozenset({2, "STATUS_CODE_ERROR"})


def path(backend: str, trace_id: str) -> str:
    """Return the path that asks the backend ("tempo" or "jaeger") for a trace."""
    del backend  # both have the same
    return f"api/traces/{trace_id}"


def read(backend: str, answer: Answer) -> tuple[Span, ...]:
    """Return the spans of the backend's answer, in the order of their beginnings."""
    return tuple(sorted(_READERS[backend](msgspec.json.decode(answer.text)), key=lambda span: (span.start, -span.duration)))


def _tempo(data: Any) -> list[Span]:
    whole = data.get("trace", data)
    return [
        Span(
            id=_hex(span["spanId"]),
            parent=_hex(span.get("parentSpanId") or ""),
            service=_attribute(batch.get("resource", {}), "service.name"),
            name=span.get("name", ""),
            start=int(span.get("startTimeUnixNano", 0)),
            duration=max(0, int(span.get("endTimeUnixNano", 0)) - int(span.get("startTimeUnixNano", 0))),
            failed=span.get("status", {}).get("code") in _ERROR_CODES,
            error=span.get("status", {}).get("message", ""),
        )
        for batch in whole.get("batches") or whole.get("resourceSpans") or ()
        for scope in batch.get("scopeSpans") or batch.get("instrumentationLibrarySpans") or ()
        for span in scope.get("spans", ())
    ]


def _hex(text: str) -> str:
    """Return a span's id in hex; Tempo writes it in base64."""
    if len(text) == _HEX_DIGITS or not text:
        return text.lower()
    try:
        return base64.b64decode(text, validate=True).hex()
    except binascii.Error:
        return text


def _attribute(resource: Mapping[str, Any], key: str) -> str:
    return next((str(each["value"].get("stringValue", "")) for each in resource.get("attributes", ()) if each["key"] == key), "")


def _jaeger(data: Any) -> list[Span]:
    return [_jaeger_span(span, trace["processes"]) for trace in data.get("data") or () for span in trace["spans"]]


def _jaeger_span(span: Mapping[str, Any], processes: Mapping[str, Any]) -> Span:
    tags = {tag["key"]: tag["value"] for tag in span.get("tags") or ()}
    parents = [each["spanID"] for each in span.get("references") or () if each["refType"] == "CHILD_OF"]
    return Span(
        id=span["spanID"],
        parent=parents[0] if parents else "",
        service=processes.get(span["processID"], {}).get("serviceName", ""),
        name=span["operationName"],
        start=int(span["startTime"]) * 1000,
        duration=int(span["duration"]) * 1000,
        failed=tags.get("error") in {True, "true"} or tags.get("otel.status_code") == "ERROR",
        error=str(tags.get("otel.status_description", "")),
    )


_READERS: Final[Mapping[str, Callable[[Any], list[Span]]]] = {"tempo": _tempo, "jaeger": _jaeger}

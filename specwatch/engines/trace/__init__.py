"""All that the running stack knows of one request: its log lines, its spans, and the samples that name it as their exemplar."""

from specwatch.engines.trace.gather import gather
from specwatch.engines.trace.model import Exemplar, Line, Missing, Span, Trace, parse_id
from specwatch.engines.trace.parts import Parts, parts

__all__ = ["Exemplar", "Line", "Missing", "Parts", "Span", "Trace", "gather", "parse_id", "parts"]

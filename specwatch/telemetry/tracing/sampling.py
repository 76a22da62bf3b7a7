"""Which traces are kept: decided at their head, by the trace id, so that every service decides alike."""

from collections.abc import Mapping
from typing import Final

from specwatch.telemetry.routes import Paths

_ALWAYS: Final = "g"  # greater than every hex digit


class Sampler:
    """Keeps a share of all traces, and other shares for some routes.

    The lower 64 bits of the trace id decide, as in OpenTelemetry's `TraceIdRatioBased`.

    Args:
        ratio: the share that is kept, 0 to 1.
        routes: other shares for routes, by template or glob: `{"/health": 0, "/items/<id>": 0.5, "/admin/*": 1}`.
        follow_parent: whether the caller's decision stands where there is one.

    Raises:
        ValueError: a share is not between 0 and 1.
    """

    __slots__ = ("_bound", "_follow_parent", "_routes")

    def __init__(self, ratio: float = 1.0, routes: Mapping[str, float] | None = None, *, follow_parent: bool = True) -> None:
        self._bound = _bound(ratio)
        self._routes = Paths({route: _bound(share) for route, share in routes.items()}) if routes else None
        self._follow_parent = follow_parent

    def sampled(self, trace_id: str, path: str = "", parent: bool | None = None) -> bool:
        """Return whether the trace is kept.

        Args:
            trace_id: 32 hex digits.
            path: of the request; empty for an operation outside of one.
            parent: whether the caller keeps it, None without a caller.
        """
        if parent is not None and self._follow_parent:
            return parent
        bound = self._bound
        if self._routes is not None and path:
            bound = self._routes.get(path, bound)
        return trace_id[16:] < bound


def _bound(ratio: float) -> str:
    if not 0 <= ratio <= 1:
        raise ValueError(f"{ratio!r} is no share of traces; expected 0 to 1")
    # Of two texts of 16 hex digits the greater number is the greater text: no need to parse the id of each request.
    bound = round(ratio * 2**64)
    return _ALWAYS if bound >= 2**64 else f"{bound:016x}"

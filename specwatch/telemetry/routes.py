"""Routes: path templates, globs, and the one name for all that no route answers."""

import re
from collections.abc import Mapping
from typing import Final, Generic, TypeVar, overload

Value = TypeVar("Value")
Default = TypeVar("Default")

UNMATCHED: Final = "unmatched"
"""The endpoint of a request that no route answers."""

_PARAMETER: Final = re.compile(r"<(?:(?P<flask>\w+)(?:\([^)]*\))?:)?\w+>|\{\w+(?::(?P<starlette>\w+))?\}|(?P<glob>\*)")
_SLASHES: Final = frozenset({"path", "*"})
_IDENTIFIER: Final = re.compile(
    r"/(?:\d+|[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}|(?=[^/]*\d)[0-9a-fA-F]{12,}|(?=[^/]*\d)[\w.~%@:-]{24,})(?=/|$)"
)


class Paths(Generic[Value]):
    """Values by path, for templates (`/items/<int:id>`, `/items/{id}`, `/files/{name:path}`) and globs (`/static/*`).

    A path that is written out wins over a pattern, and of patterns the first.

    Args:
        values: what each pattern stands for.
    """

    __slots__ = ("_exact", "_pattern", "_values")

    def __init__(self, values: Mapping[str, Value]) -> None:
        self._exact = {path: value for path, value in values.items() if not _PARAMETER.search(path)}
        patterns = {path: value for path, value in values.items() if path not in self._exact}
        self._values = tuple(patterns.values())
        self._pattern = re.compile("|".join(f"({_expression(path)})" for path in patterns)) if patterns else None

    @overload
    def get(self, path: str) -> Value | None: ...
    @overload
    def get(self, path: str, default: Default) -> Value | Default: ...
    def get(self, path: str, default: object = None) -> object:
        """Return the value for `path`, `default` when nothing matches."""
        if path in self._exact:
            return self._exact[path]
        if self._pattern is not None:
            match = self._pattern.fullmatch(path)
            if match is not None:
                return self._values[(match.lastindex or 1) - 1]
        return default


def normalise_path(path: str) -> str:
    """Return the path with `{id}` for each part that looks like an id: numbers, UUIDs, long hex, long tokens.

    For applications that have no routes to ask; whatever a client can invent freely is still limited by the guard of the
    metrics themselves.
    """
    return _IDENTIFIER.sub("/{id}", path)


def _expression(pattern: str) -> str:
    expression, end = "", 0
    for parameter in _PARAMETER.finditer(pattern):
        kinds = {parameter["flask"], parameter["starlette"], parameter["glob"]}
        expression += re.escape(pattern[end : parameter.start()]) + (".*" if kinds & _SLASHES else "[^/]+")
        end = parameter.end()
    return expression + re.escape(pattern[end:])

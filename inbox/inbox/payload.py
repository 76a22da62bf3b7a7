"""Reading JSON that anyone may have sent: strict at the door, forgiving about the fields."""

import json
from typing import Any

MAX_DEPTH = 64
"""Deeper nesting than any service sends; it also keeps the JSON writer away from Python's recursion limit."""


class PayloadError(ValueError):
    """The body is not one JSON object in UTF-8."""


def parse_object(body: bytes | str) -> dict[str, Any]:
    """Return the JSON object in a body.

    Characters that cannot be written as UTF-8 (lone surrogates) come back as question marks, so that whatever is
    returned can be stored and shown.

    Raises:
        PayloadError: when the body is not UTF-8, not JSON, not an object, holds NaN or infinity, or nests too deep.
    """
    try:
        value = json.loads(body if isinstance(body, str) else body.decode("utf-8-sig"))
        if _is_deeper_than(value, MAX_DEPTH):
            raise PayloadError(f"the JSON nests deeper than {MAX_DEPTH} levels")
        plain = json.dumps(value, ensure_ascii=False, allow_nan=False).encode("utf-8", "replace")
        value = json.loads(plain)
    except (ValueError, RecursionError) as error:
        raise PayloadError(f"not valid JSON: {error}") from error
    if not isinstance(value, dict):
        raise PayloadError(f"a JSON object is expected, found {type(value).__name__}")
    return value


def _is_deeper_than(value: Any, limit: int) -> bool:
    layer = [value]
    for _ in range(limit):
        layer = [child for parent in layer for child in _children(parent)]
        if not layer:
            return False
    return True


def _children(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def text_of(fields: Any, name: str) -> str:
    """Return the text or number under a name as text; empty when it is absent, of another type, or ``fields`` is no object."""
    value = fields.get(name) if isinstance(fields, dict) else None
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else ""


def object_of(fields: Any, name: str) -> dict[str, Any]:
    """Return the object under a name; empty when there is none."""
    value = fields.get(name) if isinstance(fields, dict) else None
    return value if isinstance(value, dict) else {}


def objects_of(fields: Any, name: str) -> list[dict[str, Any]]:
    """Return the objects in the list under a name, skipping what is not an object."""
    value = fields.get(name) if isinstance(fields, dict) else None
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []

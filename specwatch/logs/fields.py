"""Fields of a line: what a parser finds in it, as text by name."""

import json
import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from functools import lru_cache
from math import isfinite
from typing import Any, Final

from specwatch.logs.expressions import to_python
from specwatch.logs.times import DATE
from specwatch.stack.logs import Parse

# The pairs and bare words in front of a field; a quoted value is passed over whole, so that nothing is found inside one.
_PAIRS: Final = r'^(?:[^\s="]+(?:=(?:"(?:[^"\\]|\\.)*"|[^\s"]*))?\s+)*?'
_WORDS: Final = "TRACE|DEBUG|INFO|NOTICE|WARN|WARNING|ERROR|CRITICAL|CRIT|FATAL|PANIC|EMERG"
VALUE: Final = "value"
"""The group of an expression that finds one field."""

DOCKER: Final = ("log", "stream", "time")
CRI: Final = r"^(?P<time>\S+) (?P<stream>stdout|stderr) (?P<flags>[^\s]*) ?(?P<log>.*)$"


def logfmt_expression(field: str) -> str:
    """Return the expression whose group `value` is the first value of `field` in a logfmt line, in its quotes if it has any."""
    return rf'{_PAIRS}{_literal(field)}=(?P<{VALUE}>"(?:[^"\\]|\\.)*"|[^"\s]\S*)'


def text_expression(field: str) -> str:
    """Return the expression whose group `value` is what `field` is in a line of free text.

    A level is a word in capitals near the beginning, a time stands at the beginning, anything else is found as `field=…` or `field: …`.
    """
    if field == "level":
        return rf"^.{{0,120}}?(?:^|[\s\[(<|])(?P<{VALUE}>{_WORDS})(?:[\s\])>|:,]|$)"
    if field == "time":
        return rf"^\W?(?P<{VALUE}>{DATE})"
    return rf'(?:^|[\s,(\["]){_literal(field)}["=:]+\s?"?(?P<{VALUE}>[\w.-]+)'


def parsed(stage: Parse, text: str, wanted: Iterable[str]) -> dict[str, str]:
    """Return the fields of `text` by name, of `wanted` those that are there; all of them for "regex"."""
    if stage.format == "json":
        return json_fields(text, wanted)
    if stage.format in {"logfmt", "text"}:
        expression = logfmt_expression if stage.format == "logfmt" else text_expression
        return {name: value for name in wanted if (value := _first(expression(name), text)) is not None}
    found = to_python(stage.expression).search(text)
    return {name: value for name, value in found.groupdict().items() if value} if found else {}


def json_fields(text: str, wanted: Iterable[str]) -> dict[str, str]:
    """Return the wanted fields of a JSON object as text; none where the text is no object, or a value is null, an object or a list."""
    try:
        found = json.loads(text, parse_constant=_refused)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {name: value for name in wanted if (value := scalar(_at(found, name))) is not None}


def scalar(value: object) -> str | None:
    """Return the text of a JSON value: numbers in decimal notation at the precision of a double, as Go writes them."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode() if not value.isascii() else value
    return _number(value) if isinstance(value, int | float) else None


def _number(value: float) -> str | None:
    try:
        double = float(value)
    except OverflowError:  # a whole number of more than 308 digits
        return None
    if not isfinite(double):
        return None
    shortest = format(Decimal(repr(double)), "f")
    return shortest.rstrip("0").removesuffix(".") if "." in shortest else shortest


def _at(found: Any, name: str) -> object:
    for part in name.split("."):
        if not isinstance(found, Mapping):
            return None
        found = found.get(part)
    return found


def _first(expression: str, text: str) -> str | None:
    found = _compiled(expression).search(text)
    return _bare(found[VALUE]) if found else None


def _bare(value: str) -> str | None:
    quoted = len(value) > 1 and value[0] == value[-1] == '"'
    return (value[1:-1] if quoted else value) or None


@lru_cache(maxsize=256)
def _compiled(expression: str) -> re.Pattern[str]:
    return to_python(expression)


def _literal(field: str) -> str:
    return field.replace(".", r"\.")


def _refused(word: str) -> float:
    raise ValueError(word)

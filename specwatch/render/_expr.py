"""Expressions of the expr language, as the operators of the collector's file receiver read them: fields of a line, as text and as times.

A name that is bound by `let` is bound in parentheses, so that one expression can stand in another. `??` takes what is not nil.
"""

from typing import Final, Literal

from msgspec import Struct

from specwatch.logs.times import AHEAD_SECONDS, AUTO, CENTURY, EPOCH, EPOCHS, PLAIN_EPOCH, variants
from specwatch.render._logs import quoted
from specwatch.stack.logs import Timestamp

Kind = Literal["json", "group", "quoted", "text"]

RFC_3339: Final = "2006-01-02T15:04:05Z07:00"
_1970: Final = f'date("1970-01-01T00:00:00Z", {quoted(RFC_3339)})'
_UNITS: Final = {"unix": "s", "unix_ms": "ms", "unix_us": "us", "unix_ns": "ns"}
_SCALARS: Final = '["string", "float", "bool"]'
# JSON's shortest notation, an exponent written out. (What ends with an "e" is true or false.)
_WRITTEN_OUT: Final = (
    'let n = toJSON(v); let p = split(n, "e"); len(p) == 1 || p[1] == "" ? n : '
    '(let d = replace(p[0], ".", ""); let e = int(p[1]); e > 0 ? d + repeat("0", e + 1 - len(trimPrefix(d, "-"))) : '
    '(d startsWith "-" ? "-0." : "0.") + repeat("0", -e - 1) + trimPrefix(d, "-"))'
)


class Field(Struct, frozen=True):
    """Where a field is: an expression that is nil when there is none, and what else its value may be.

    "json" may be anything; "group" of a regular expression may be empty, and then there is no such field; "quoted" besides may have
    quotes around it; "text" is text.
    """

    at: str
    kind: Kind = "text"


def member(name: str) -> str:
    """Return the expression of the attribute with that name."""
    return f"attributes[{quoted(name)}]"


def nested(name: str, within: str) -> str:
    """Return the expression of a field of the JSON object that is `within`; dots reach into objects."""
    first, *rest = name.split(".")
    found = f"{within}.{first}"
    for part in rest:
        found = f'(type({found}) == "map" ? {found}[{quoted(part)}] : nil)'
    return found


def text(field: Field) -> str:
    """Return the expression of the field's text, which is nil when there is no such field."""
    if field.kind == "json":
        return _json_text(field.at, f"({_WRITTEN_OUT})")
    if field.kind == "group":
        return f'(({field.at} ?? "") == "" ? nil : {field.at})'
    if field.kind == "quoted":
        bare = 'v startsWith "\\"" ? trimSuffix(trimPrefix(v, "\\""), "\\"") : v'
        return f'(let v = {field.at} ?? ""; let b = {bare}; b == "" ? nil : b)'
    return field.at


def first_text(fields: tuple[Field, ...]) -> str:
    """Return the expression of the text of the first field that is there, nil when none is; a number in JSON may have an exponent."""
    if not fields:
        return "nil"
    if len(fields) > 1 and all(field.kind == "json" for field in fields):
        usual = fields[0].at
        found = f"find([{', '.join(field.at for field in fields)}], type(#) in {_SCALARS})"
        return _json_text(f'(type({usual}) == "string" ? {usual} : {found})', "toJSON(v)")
    return " ?? ".join(text(field) for field in fields)


def _json_text(at: str, number: str) -> str:
    return f'(let v = {at}; type(v) == "string" ? v : type(v) in ["float", "bool"] ? {number} : nil)'


def byte_count(value: str) -> str:
    """Return the expression of how many bytes the text has; `len` counts characters."""
    return f'(let b = toBase64({value}); len(b) / 4 * 3 - (b endsWith "==" ? 2 : b endsWith "=" ? 1 : 0))'


def seconds(number: int) -> str:
    """Return the expression of a duration."""
    return f'duration("{number}s")'


def time(stage: Timestamp, found: str) -> str:
    """Return the expression of the time that the text `found` says, nil when it says none that counts."""
    read = "".join(_alternative(layout, stage.zone) for layout in stage.layouts)
    limit = f"now() + {seconds(AHEAD_SECONDS)}"
    return f"let t = {found}; let m = t == nil ? nil : {read}nil; m != nil && m < {limit} ? m : nil"


def _alternative(layout: str, zone: str) -> str:
    """Return what reads `t` in the layout, with the condition in front, open to another alternative behind it."""
    place = "" if zone == "UTC" else f", {quoted(zone)}"
    if layout in EPOCHS:
        low, high = (number * EPOCHS[layout] for number in CENTURY)
        within = f"float(t) >= {low} && float(t) < {high}"
        return f"{_matches(PLAIN_EPOCH)} && {within} ? {_1970} + duration(t + {quoted(_UNITS[layout])}) : "
    if layout == "auto":
        dated = "".join(_alternative(each, zone) for each in AUTO)
        return f'{dated}{_matches(EPOCH)} ? {_1970} + duration(t + (t matches "^[0-9]{{10}}([.]|$)" ? "s" : "ms")) : '
    if layout == "rfc3339":
        strict, go = variants(AUTO[1])[0]
        return f"t matches {quoted(strict)} ? date(t, {quoted(go)}) : "
    where = "" if "%z" in layout else place
    return "".join(f"t matches {quoted(expression)} ? date(t, {quoted(go)}{where}) : " for expression, go in variants(layout))


def _matches(expression: str) -> str:
    return f"t matches {quoted(f'^(?:{expression})$')}"

"""What a query is made of."""

from typing import Literal

from msgspec import Struct


class LogqlError(ValueError):
    """The text is not LogQL; says where and what was expected."""


class Matcher(Struct, frozen=True):
    """One matcher of a stream selector, or one filter on a label: `op` is =, !=, =~, !~ or a comparison."""

    label: str
    op: str
    value: str


class Pipeline(Struct, frozen=True, kw_only=True):
    """The lines that a query reads: a stream selector and what is done with the lines.

    `filters` are the line filters as (operator, text). `parsers` are the parsers' names in order; `extracted` the labels that a parser,
    `label_format` or an expression of json and logfmt makes by name. `read` are the filters on labels, `unwrapped` the label whose value
    becomes a number, if any.
    """

    matchers: tuple[Matcher, ...]
    filters: tuple[tuple[str, str], ...] = ()
    parsers: tuple[str, ...] = ()
    extracted: tuple[str, ...] = ()
    read: tuple[Matcher, ...] = ()
    unwrapped: str = ""


class Query(Struct, frozen=True, kw_only=True):
    """A whole query: what it yields, every pipeline in it in the order in which they stand, and the labels that it groups by."""

    kind: Literal["selector", "log", "metric"]
    pipelines: tuple[Pipeline, ...]
    grouped_by: tuple[str, ...] = ()

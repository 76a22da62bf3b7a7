"""Metric queries: the way from text to tree, one method for each thing of the grammar, which reads it and leaves what follows.

The grammar is that of Loki 3.7 (pkg/logql/syntax/syntax.y), without `variants`, which is an experiment of Loki's.
"""

from typing import Final, Literal

from specwatch.logql import contents
from specwatch.logql.cursor import Reading
from specwatch.logql.pipelines import Pipelines
from specwatch.logql.tree import LogqlError, Pipeline
from specwatch.logql.words import (
    OF_LINES,
    OF_LINES_ALONE,
    PRECEDENCE,
    RANGE_AGGREGATIONS,
    SETS,
    SWITCHED_OFF,
    UNGROUPED,
    VECTOR_AGGREGATIONS,
    WITH_COUNT,
    Token,
)

_Kind = Literal["selector", "log", "metric", "number"]
_A: Final = {"selector": "a selector of streams", "log": "lines", "metric": "numbers", "number": "a number"}


class Parser(Pipelines):
    """Reads a query; afterwards `pipelines` and `grouped_by` hold what stands in it, from left to right."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.pipelines: list[Pipeline] = []
        self.grouped_by: list[str] = []

    def query(self) -> Literal["selector", "log", "metric"]:
        """Read a whole query and return its kind."""
        kind = self._expression(0)
        if self._at_unwrap():
            raise self._wrong("the end: unwrap makes numbers, inside a function such as sum_over_time({…} | unwrap bytes [5m])")
        if self._peek().kind != "end":
            raise self._wrong("an operator, or the end")
        if kind == "number":
            raise LogqlError("it is a number and selects no stream")
        return kind

    def _expression(self, level: int) -> _Kind:
        if level == len(PRECEDENCE):
            return self._operand()
        kind = self._expression(level + 1)
        while self._is(*PRECEDENCE[level]) and kind in {"metric", "number"}:
            operator = self._take()
            self._modifiers()
            other = self._expression(level if operator.text == "^" else level + 1)
            kind = _combined(kind, operator, other)
        return kind

    def _modifiers(self) -> None:
        self._takes("bool")
        if self._takes("on") or self._takes("ignoring"):
            self._names()
            if (self._takes("group_left") or self._takes("group_right")) and self._is("("):
                # A parenthesis may also begin the operand; Loki takes it for the list of labels.
                self._names()

    def _operand(self) -> _Kind:
        token = self._peek()
        if token.kind == "number" or self._is("+", "-"):
            self._number(signed=True)
            return "number"
        if self._takes("("):
            kind = self._expression(0)
            self._expect(")")
            if kind in {"selector", "log"} and self._at_stage():
                raise self._wrong("the end: stages stand inside the parentheses")
            return kind
        if self._is("{"):
            reading = Reading(self._selector())
            has_stages = self._stages(reading)
            self.pipelines.append(reading.pipeline())
            return "log" if has_stages else "selector"
        if token.kind == "function":
            return self._function()
        known = "a function of LogQL, such as rate, count_over_time or sum"
        raise self._wrong(known if token.kind == "word" and self._peek(1).text in {"(", "by"} else "{, a function or a number")

    def _function(self) -> _Kind:
        name = self._take().text
        if name in RANGE_AGGREGATIONS:
            self._range_aggregation(name)
        elif name in VECTOR_AGGREGATIONS:
            self._vector_aggregation(name)
        elif name == "label_replace":
            self._label_replace()
        elif name == "vector":
            self._expect("(")
            self._number(signed=False)
            self._expect(")")
        else:
            self._next -= 1
            raise self._wrong("a function that yields numbers, such as rate or sum")
        return "metric"

    def _label_replace(self) -> None:
        self._expect("(")
        self._numbers()
        for _ in range(3):
            self._expect(",")
            self._string()
        self._expect(",")
        at = self._peek().at
        contents.expression(self._string(), at)
        self._expect(")")

    def _vector_aggregation(self, name: str) -> None:
        at = self._peek(-1).at
        if name in SWITCHED_OFF:
            raise LogqlError(f"character {at + 1}: Loki has {name} switched off; write {SWITCHED_OFF[name]}")
        labels = self._grouping()
        self._expect("(")
        if name in WITH_COUNT:
            self._count()
            self._expect(",")
        self._numbers()
        self._expect(")")
        if labels is None:
            labels = self._grouping()
        if name in {"sort", "sort_desc"} and labels:
            raise LogqlError(f"character {at + 1}: {name} cannot be grouped; group what stands in it")

    def _count(self) -> None:
        token = self._peek()
        if token.kind != "number" or not token.text.isdigit() or int(token.text) == 0:
            raise self._wrong("how many: a whole number above 0")
        self._take()

    def _numbers(self) -> None:
        at = self._peek().at
        kind = self._expression(0)
        if kind != "metric":
            raise LogqlError(f"character {at + 1}: found {_A[kind]}, expected numbers, such as rate({{…}}[5m])")

    def _grouping(self) -> list[str] | None:
        """Return the labels of `by` or `without`, None where neither stands."""
        if not self._is("by", "without"):
            return None
        by = self._take().text == "by"
        found = self._names()
        if by:
            self.grouped_by += found
        return found

    def _range_aggregation(self, name: str) -> None:
        self._expect("(")
        if name == "quantile_over_time":
            self._number(signed=False)
            self._expect(",")
        at = self._peek().at
        reading = self._ranged()
        self.pipelines.append(reading.pipeline())
        self._expect(")")
        if name not in OF_LINES and not reading.unwrapped:
            raise LogqlError(f"character {at + 1}: {name} needs numbers: end the pipeline with | unwrap and a label")
        if name in OF_LINES_ALONE and reading.unwrapped:
            raise LogqlError(f"character {at + 1}: {name} counts lines and takes no unwrap; sum_over_time adds up numbers")
        if self._is("by", "without"):
            if name in UNGROUPED:
                raise self._wrong(f"the end: {name} cannot be grouped; put sum by (…) around it")
            self._grouping()

    def _ranged(self) -> Reading:
        """Read a pipeline with a range behind the selector, behind the stages or behind a parenthesis."""
        if not self._takes("("):
            reading, form = self._maybe_ranged()
            if form != "ranged":
                self._range()  # says what is missing
            return reading
        if self._is("("):
            reading = self._ranged()
            self._expect(")")
            return reading
        reading, form = self._maybe_ranged()
        self._expect(")")
        if form != "ranged":
            self._range()
            if form == "bare":
                self._unwrap(reading)
        return reading

    def _maybe_ranged(self) -> tuple[Reading, Literal["ranged", "staged", "bare"]]:
        """Read a selector with its stages, and the range if it stands here."""
        reading = Reading(self._selector())
        if self._peek().kind == "range":
            self._range()
            self._stages(reading)
            self._unwrap(reading)
            return reading, "ranged"
        staged = self._stages(reading)
        self._unwrap(reading)
        if self._peek().kind == "range":
            self._range()
            return reading, "ranged"
        return reading, "staged" if staged or reading.unwrapped else "bare"

    def _range(self) -> None:
        if self._peek().kind != "range":
            raise self._wrong("a duration in brackets, such as [5m]")
        self._take()
        if self._takes("offset"):
            if self._peek().kind != "duration":
                raise self._wrong("a duration, such as 5m")
            self._take()


def _combined(kind: _Kind, operator: Token, other: _Kind) -> _Kind:
    """Return what an operator makes of its two sides."""
    if other not in {"metric", "number"} or (operator.text in SETS and "number" in {kind, other}):
        raise LogqlError(f"character {operator.at + 1}: {operator.text} stands between numbers, not {_A[kind]} and {_A[other]}")
    return "number" if kind == other == "number" else "metric"

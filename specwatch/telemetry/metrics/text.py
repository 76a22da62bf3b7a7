"""One metric as lines of Prometheus text or OpenMetrics.

The text of each line up to its value is made once, when the series is; a scrape fills in the numbers.
"""

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import accumulate
from typing import TypeAlias

from specwatch.telemetry.metrics.definition import Definition
from specwatch.telemetry.metrics.values import Exemplar, LabelValues

Exemplars: TypeAlias = Mapping[tuple[int, int], Exemplar]
"""Exemplars by row and bucket."""

_LABEL_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n"})
_HELP_ESCAPES = str.maketrans({"\\": "\\\\", "\n": "\\n"})


class FamilyText:
    """Writes one metric.

    Args:
        definition: the metric.
        extra_labels: labels that every row's values hold after those of the definition.
    """

    def __init__(self, definition: Definition, extra_labels: tuple[str, ...] = ()) -> None:
        self.definition = definition
        self.rows: list[LabelValues] = []
        self.names = (*definition.label_names, *extra_labels)
        self._lines: list[str] = []
        self._joined: str | None = None
        self._write: Callable[[LabelValues], Iterable[str]] = {
            "histogram": self._histogram_lines,
            "summary": self._summary_lines,
            "info": self._info_lines,
        }.get(definition.type, self._plain_lines)

    def add(self, values: LabelValues) -> None:
        """Add a row."""
        self.rows.append(values)
        self._lines.extend(self._write(values))
        self._joined = None

    def header(self, *, openmetrics: bool) -> str:
        """Return the HELP, TYPE and, in OpenMetrics, UNIT lines."""
        name, kind, unit = self.definition.name, self.definition.type, self.definition.unit
        text = self.definition.help.translate(_HELP_ESCAPES)
        if openmetrics:
            name = name.removesuffix("_total") if kind == "counter" else name
            text = text.replace('"', '\\"')
            unit_line = f"# UNIT {name} {unit}\n" if unit and name.endswith(f"_{unit}") else ""
            return f"# HELP {name} {text}\n# TYPE {name} {kind}\n{unit_line}"
        if kind == "info":
            name, kind = f"{name}_info", "gauge"
        return f"# HELP {name} {text}\n# TYPE {name} {kind}\n"

    def body(self, values: Sequence[float], exemplars: Exemplars | None = None, created: Mapping[int, float] | None = None) -> str:
        """Return the sample lines.

        Args:
            values: the rows' numbers, one after the other: a counter's or gauge's value; a summary's count and sum; a histogram's
                buckets, not cumulated, and its sum; for an info 1 where it is shown.
            exemplars: what OpenMetrics shows behind a counter or a bucket.
            created: when a row's series was made, in seconds since 1970, which OpenMetrics shows on a line of its own.
        """
        if self.definition.type == "info":
            return "".join(line % 1 for line, value in zip(self._lines, values, strict=True) if value)
        if self.definition.type == "histogram":
            values = cumulated(values, len(self.definition.buckets) + 2)
        if self._joined is None:
            self._joined = "".join(self._lines)
        if not math.isfinite(math.fsum(values) if len(values) < 2 else sum(values)):  # noqa: PLR2004
            values = [value if math.isfinite(value) else _Word(value) for value in values]
        # Whole numbers are written without a fraction; no other line ends so.
        text = (self._joined % tuple(values)).replace(".0\n", "\n")
        return self._with_more(text, exemplars or {}, created or {}) if exemplars or created else text

    @staticmethod
    def facts(values: LabelValues) -> dict[str, str]:
        """Return what an info's row says."""
        facts: dict[str, str] = json.loads(values[0])
        return facts

    def _with_more(self, text: str, exemplars: Exemplars, created: Mapping[int, float]) -> str:
        lines = text.split("\n")
        per_row = len(self._lines) // len(self.rows)
        for (row, bucket), exemplar in exemplars.items():
            labels = ",".join(f'{name}="{value.translate(_LABEL_ESCAPES)}"' for name, value in exemplar.labels.items())
            lines[row * per_row + bucket] += f" # {{{labels}}} {exemplar.value!r} {exemplar.moment:.3f}"
        for row, moment in created.items():
            line = _template(f"{self.definition.name.removesuffix('_total')}_created", label_pairs(self.names, self.rows[row])) % moment
            lines[(row + 1) * per_row - 1] += "\n" + line.rstrip("\n")
        return "\n".join(lines)

    def _plain_lines(self, values: LabelValues) -> Iterable[str]:
        yield _template(self.definition.name, label_pairs(self.names, values))

    def _histogram_lines(self, values: LabelValues) -> Iterable[str]:
        name, pairs = self.definition.name, label_pairs(self.names, values)
        for bound in (*self.definition.buckets, math.inf):
            yield _template(f"{name}_bucket", [*pairs, f'le="{number(bound)}"'])
        yield _template(f"{name}_sum", pairs)
        yield _template(f"{name}_count", pairs)

    def _summary_lines(self, values: LabelValues) -> Iterable[str]:
        pairs = label_pairs(self.names, values)
        yield _template(f"{self.definition.name}_count", pairs)
        yield _template(f"{self.definition.name}_sum", pairs)

    def _info_lines(self, values: LabelValues) -> Iterable[str]:
        facts = self.facts(values)
        yield _template(f"{self.definition.name}_info", label_pairs(tuple(facts), tuple(facts.values())))


def cumulated(values: Sequence[float], width: int) -> list[float]:
    """Return each histogram's numbers as they are shown: buckets added up, then its sum, then its count.

    Args:
        values: the numbers of one histogram after the other, each `width` long: buckets, then the sum.
        width: how many numbers one histogram keeps.
    """
    shown: list[float] = []
    for start in range(0, len(values), width):
        shown.extend(accumulate(values[start : start + width - 1]))
        count = shown[-1]
        shown.append(values[start + width - 1])
        shown.append(count)
    return shown


def label_pairs(names: Sequence[str], values: Sequence[str]) -> list[str]:
    """Return `name="value"` for each label, escaped."""
    return [f'{name}="{value.translate(_LABEL_ESCAPES)}"' for name, value in zip(names, values, strict=True)]


def number(value: float) -> str:
    """Return a number as both formats write it in a label: `0.5`, `1.0`, `+Inf`."""
    return repr(value) if math.isfinite(value) else str(_Word(value))


class _Word(float):
    """A number that has a name of its own in the text formats."""

    def __repr__(self) -> str:
        return "NaN" if math.isnan(self) else "+Inf" if self > 0 else "-Inf"

    __str__ = __repr__


def _template(name: str, pairs: Sequence[str]) -> str:
    labels = "{" + ",".join(pairs) + "}" if pairs else ""
    return f"{name}{labels}".replace("%", "%%") + " %r\n"

"""What the resolver refuses of `logs:`: stages that cannot work, that stand where they do nothing, and that the shipper cannot do."""

from pathlib import Path

import pytest

from specwatch.errors import SpecError
from specwatch.resolve import understand
from tests.tools import write

_FAULTS: list[tuple[str, str, str]] = [
    # One stage is one kind.
    ("[{}]", "{}", "found nothing, expected exactly one of multiline, parse,"),
    ("[{line: '{x}', metadata: [x]}]", "{line: '{x}', ", "found metadata and line, expected exactly one of"),
    # Where they stand.
    ("[{line: '{a}'}, {multiline: python}]", "{multiline: py", "make it the first stage"),
    ("[{parse: docker}]", "{parse: docker", "docker is about files; the output of a container is opened already"),
    ("[{line: '{a}'}, {parse: cri}], files: [/x]", "{parse: cri}", "cri opens the container's file: make it the first stage"),
    ("[{multiline: java}], source: otlp", "{multiline: ja", "what comes by OTLP is whole"),
    # Expressions.
    ("[{parse: {regex: '(?=x)'}}]", "'(?=x)'}}", "no look-around"),
    ("[{parse: {regex: 'x+'}}]", "'x+'}}", "has no named group"),
    ("[{multiline: {first_line: '(?i)x'}}]", "'(?i", "cannot be used as a regular expression"),
    (r"[{multiline: {first_line: 'x\n'}}]", r"'x\n", "looks for the end of a line"),
    (r"[{drop: {matches: '(x)\1'}}]", r"'(x)\1'", r"\1 is not understood everywhere"),
    (r"[{sample: {ratio: 0.5, matches: 'x++'}}]", "'x++'}}", "++ is not understood everywhere"),
    ("[{redact: {matches: 'x*'}}]", "'x*'}}", "finds places where nothing is"),
    # Times and levels.
    ("[{timestamp: {format: '%Y-%m-%d'}}]", "'%Y-%m-%", "%H is missing"),
    ("[{timestamp: {format: '%Y-%m-%d %I:%M:%S'}}]", "'%Y-%m-%", "%I is not one of"),
    ("[{timestamp: {format: '%Y-%m-%d %H:%M:%S MST'}}]", "'%Y-%m-%", "MST stands for something else"),
    ("[{timestamp: {format: soon}}]", "soon}}", "expected one of auto, rfc3339"),
    ("[{timestamp: {zone: Nowhere/Else}}]", "Nowhere/El", "expected a time zone such as UTC"),
    # What does nothing, or the same twice.
    ("[{redact: {}}]", "redact: {}}", '"presets" or "matches" is missing'),
    ("[{drop: {}}]", "drop: {}}", "without one nothing is dropped"),
    ("[{drop: {field: x, older_than: 1h}}]", "field: x, older_", "goes with `matches`"),
    ("[{sample: {ratio: 0.5, field: x}}]", "field: x}}", "goes with `matches`"),
    ("[{sample: {ratio: 1}}]", "1}}", "expected a number above 0 and below 1"),
    ("[{limit: {rate: 10, burst: 5}}]", "5}}", "expected at least the rate, 10"),
    ("[{line: same}]", "same}", "every line would be the same"),
    ("[{labels: {level: [x]}}]", "level: [x]}}", '"level" is a label of every line already'),
    ("[{metadata: [service]}]", "[service]", '"service" is a label already'),
    ("[{labels: {a_b: [x]}}, {metadata: [a.b]}]", "[a.b]}", '"a_b" is a label already'),
]
_COLLECTOR: list[tuple[str, str, str]] = [
    ("[{limit: {rate: 10}}]", "{limit: {rate:", "the OpenTelemetry Collector has no rate limit; `sample` or `drop` lines"),
    ("[{line: '{a}'}, {limit: {rate: 10}}]", "{limit: {rate:", "has no rate limit"),
    ("[{multiline: {first_line: x, max_lines: 5}}]", "{multiline: {f", "leave out max_lines"),
    ("[{sample: {ratio: 0.0005}}]", "{sample: {rati", "samples in steps of 0.001"),
    ("[{metadata: [a__b]}]", "{metadata: [a_", "takes several underscores for one; rename the field"),
    ("[{metadata: [a._b]}]", "{metadata: [a.", "takes several underscores for one"),
    ("[{labels: {a__b: [x]}}]", "{labels: {a__b", "takes several underscores for one"),
]


def faults(folder: Path, stages: str, shipper: str) -> dict[str, str]:
    """Return what is wrong with a service that has these stages, by the text that stands at its place."""
    text = f"version: 1\nstack: {{shipper: {shipper}}}\nservices: {{a: {{logs: {{stages: {stages}}}}}}}\n"
    write(folder, {"spec.yaml": text})
    with pytest.raises(SpecError) as caught:
        understand(folder / "spec.yaml")
    lines = text.split("\n")
    return {lines[problem.line - 1][problem.column - 1 :]: problem.message for problem in caught.value.problems}


def check(found: dict[str, str], place: str, message: str) -> None:
    """Fail unless one of the faults is at the place and says the message."""
    assert any(at.startswith(place) and message in said for at, said in found.items()), found


@pytest.mark.parametrize(("stages", "place", "message"), _FAULTS, ids=[case[0][:40] for case in _FAULTS])
def test_a_stage_that_cannot_work_is_named_at_its_place(tmp_path: Path, stages: str, place: str, message: str) -> None:
    """Ensure that what a stage lacks, or says in vain, is told where it stands."""
    check(faults(tmp_path, stages, "promtail"), place, message)


@pytest.mark.parametrize(("stages", "place", "message"), _COLLECTOR, ids=[case[0][:40] for case in _COLLECTOR])
def test_what_the_collector_cannot_do_is_told_at_its_stage(tmp_path: Path, stages: str, place: str, message: str) -> None:
    """Ensure that a stage that the chosen shipper cannot do is a fault that says what to do instead, and for another none."""
    check(faults(tmp_path, stages, "otelcol"), place, message)
    if "multiline" not in stages:
        check(faults(tmp_path, f"{stages}, source: otlp", "promtail"), place, message)
    write(tmp_path, {"spec.yaml": f"version: 1\nservices: {{a: {{logs: {{stages: {stages}}}}}}}\n"})
    understand(tmp_path / "spec.yaml")


def test_a_label_and_metadata_of_one_name_do_not_go_with_otlp(tmp_path: Path) -> None:
    """Ensure that no service's metadata has the name of another's label where Loki knows labels of records by name."""
    services = "{a: {logs: {stages: [{labels: {x: [y]}}]}}, b: {logs: {stages: [{metadata: [x]}]}}, c: {logs: {source: SOURCE}}}"
    write(tmp_path, {"spec.yaml": f"version: 1\nservices: {services.replace('SOURCE', 'container')}\n"})
    understand(tmp_path / "spec.yaml")
    write(tmp_path, {"spec.yaml": f"version: 1\nservices: {services.replace('SOURCE', 'otlp')}\n"})
    with pytest.raises(SpecError, match='"x" cannot be metadata here and a label elsewhere'):
        understand(tmp_path / "spec.yaml")

"""docs/logs.md: what the page says is so. `UPDATE_GOLDENS=1` writes its table of shippers and its example's output anew."""

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import msgspec
import pytest
import yaml

from specwatch.catalog import own_alerts
from specwatch.logs.shippers import unsupported
from specwatch.resolve import resolve
from specwatch.resolve.faults import Faults
from specwatch.resolve.logs import service_logs
from specwatch.spec.loader import parse
from specwatch.spec.model.logs import LogsSource, StageSpec
from specwatch.spec.source import Source
from specwatch.stack.logs import Stage
from tests.commandline import ROOT, in_process

PAGE: Final = ROOT / "docs" / "logs.md"
TEXT: Final = PAGE.read_text(encoding="utf-8")
BLOCKS: Final = re.findall(r"^```(\w+)( [\w.]+)?\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
NAMED: Final = {name.strip(): body for _, name, body in BLOCKS if name}
SHIPPERS: Final = ("promtail", "alloy", "otelcol", "fluentd")
BEGIN, END = "<!-- table -->\n", "<!-- end of the table -->\n"


@pytest.mark.parametrize("text", [body for language, _, body in BLOCKS if language == "yaml"])
def test_every_example_is_a_spec(text: str) -> None:
    """Ensure each block of YAML is read without a fault."""
    source = Source("spec.yaml", f"version: 1\n{text}")
    resolve(parse(source), source)


def test_no_stage_is_left_out() -> None:
    """Ensure each kind of stage is explained, stands in an example and in the table of shippers."""
    example = next(body for language, _, body in BLOCKS if language == "yaml" and "multiline" in body)
    explained = TEXT[TEXT.index("| stage | what it does |") : TEXT.index("Fields of nested objects")]
    for kind in StageSpec.__struct_fields__:
        assert f"`{kind}`" in explained
        assert f"`{kind}: " in TEXT[TEXT.index(BEGIN) : TEXT.index(END)]
        assert f"- {kind}: " in example or kind == "limit"


def stages(row: str) -> tuple[Stage, ...]:
    """Return what a row of the table means, with the stages that come by themselves."""
    given = yaml.safe_load(row)
    logs = msgspec.convert({"stages": [given], "files": ["x"]}, LogsSource)
    found = service_logs(logs, (), SHIPPERS[0], Faults())
    assert found is not None
    return found.stages


def table() -> str:
    """Return the table as it must be: `yes`, or the number of the reason below it."""
    rows = re.findall(r"^\| `(.*?)` \|", TEXT[TEXT.index(BEGIN) : TEXT.index(END)], re.MULTILINE)
    reasons: dict[str, int] = {}
    lines = [f"| stage | {' | '.join(SHIPPERS)} |", f"|---|{'---|' * len(SHIPPERS)}"]
    for row in rows:
        cells = []
        for shipper in SHIPPERS:
            why = next((why for stage in stages(row) if (why := unsupported(shipper, stage))), "")
            cells.append(f"no ({reasons.setdefault(why, len(reasons) + 1)})" if why else "yes")
        lines.append(f"| `{row}` | {' | '.join(cells)} |")
    notes = [f"{number}. {why[0].upper()}{why[1:]}." for why, number in reasons.items()]
    return "\n".join([*lines, "", *notes]).rstrip() + "\n"


def test_the_table_of_shippers_says_what_the_program_says() -> None:
    """Ensure each cell, and each reason below the table, is that of `unsupported`."""
    _same(BEGIN, END, table())


def test_the_example_of_logs_try_is_what_it_prints(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Ensure the page's lines, on their way through the page's stages, become what the page shows."""
    (tmp_path / "spec.yaml").write_text(f"version: 1\n{NAMED['spec.yaml']}", encoding="utf-8")
    (tmp_path / "lines.log").write_text(NAMED["lines.log"], encoding="utf-8")
    assert in_process("logs", "try", str(tmp_path / "lines.log"), "--file", str(tmp_path / "spec.yaml")) == 0
    _same("```text output\n", "```\n", capsys.readouterr().out.rstrip("\n") + "\n")


def _same(begin: str, end: str, wanted: str) -> None:
    """Compare what stands on the page between two marks, or write it there when UPDATE_GOLDENS is set."""
    text = PAGE.read_text(encoding="utf-8")
    start = text.index(begin) + len(begin)
    stop = text.index(end, start)
    if os.environ.get("UPDATE_GOLDENS"):
        PAGE.write_text(text[:start] + wanted + text[stop:], encoding="utf-8")
        return
    assert text[start:stop] == wanted, "UPDATE_GOLDENS=1 writes it anew"


def _columns() -> Iterator[tuple[str, str]]:
    """Yield (column, alert) of the table of alerts."""
    head, _, *rows = TEXT[TEXT.index("| what | Promtail |") :].split("\n\n")[0].splitlines()
    names = [name.strip().lower() for name in head.strip("|").split("|")]
    for row in rows:
        for name, cell in zip(names, row.strip("|").split("|"), strict=True):
            yield from ((name, alert) for alert in re.findall(r"`([A-Z]\w+)`", cell))


def test_every_alert_on_logs_is_on_the_page() -> None:
    """Ensure the table has each of the stack's own alerts on logs in the column of its part, and none that is not there."""
    parts: Mapping[str, str] = {"collector": "otelcol"}
    alerts = {(alert.component, name) for name, alert in own_alerts().items() if alert.component in {*SHIPPERS, "loki"}}
    told = {(parts.get(column, column), alert) for column, alert in _columns()}
    of_spans = {("otelcol", name) for name in ("CollectorLosesSpans", "CollectorDropsSpans")}
    assert told == alerts - of_spans
    assert all(f"`{name}`" in TEXT for _, name in of_spans)

"""Random lines: what the collector makes of them is what the interpreter says, whatever stands in them."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.logs.shipping import Expected, RealLoki, check, expected, running_loki, start_shipper, understood
from tests.logs.writers import now

pytestmark = pytest.mark.engine

_BASE: Final = now()
_STAGES: Final = [
    {"rename": {"user.id": "who", "lvl": "severity"}},
    {"redact": {"presets": ["passwords", "emails"]}},
    {"labels": {"component": ["api", "worker", "true", "1"]}},
    {"metadata": ["who", "user", "n"]},
    {"drop": {"field": "n", "matches": "^-"}},
    {"line": "{component}|{who}|{line}"},
]
LOGS: Final[dict[str, dict[str, Any]]] = {
    "json": {"format": "json"},
    "logfmt": {"format": "logfmt"},
    "text": {"format": "text"},
    "staged": {"format": "json", "stages": _STAGES},
    "joined": {"format": "text", "stages": [{"multiline": {"first_line": r"^\w+[:=] *\w", "max_wait": "1s"}}]},
}
_KEYS: Final = (
    "timestamp",
    "time",
    "ts",
    "level",
    "severity",
    "lvl",
    "trace_id",
    "request_id",
    "user",
    "component",
    "n",
    "password",
    "x",
    "",
)
_WORDS: Final = (
    "INFO",
    "error",
    "api",
    "worker",
    "password=",
    "a@example.com",
    '"',
    "\\",
    "=",
    "{{",
    "${1}",
    "EXPR(",
    "\t",
    "\r",
    " ",
    "20",
    "Z",
)


def _times() -> st.SearchStrategy[str]:
    """Generate times near now, well written or not; one of this century that is old would be refused by Loki."""
    at = st.integers(0, 3000).map(lambda seconds: _BASE - timedelta(seconds=seconds))
    shapes = (
        "%Y-%m-%dT%H:%M:%SZ",
        "%Y-%m-%d %H:%M:%S,%f",
        "%Y-%m-%dT%H:%M:%S.%f+00:00",
        "%Y-%m-%d %H:%M:%S%z",
        "%s",
        "%d/%b/%Y:%H:%M:%S %z",
    )
    return st.builds(
        lambda when, shape, tail: when.strftime(shape) + tail, at, st.sampled_from(shapes), st.sampled_from(("", "", "", " ", "x"))
    )


_TEXT: Final = st.text(st.characters(exclude_characters="\n", exclude_categories=("Cs",)), max_size=40)
_SCALARS: Final = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**6), 10**6),
    st.floats(allow_nan=False, allow_infinity=False),
    _TEXT,
    _times(),
    st.sampled_from(_WORDS),
)
_VALUES: Final = st.recursive(
    _SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from((*_KEYS, "id")), inner, max_size=3)),
    max_leaves=5,
)
_OBJECTS: Final = st.builds(
    lambda found, is_ascii: json.dumps(found, ensure_ascii=is_ascii),
    st.dictionaries(st.sampled_from(_KEYS) | _TEXT, _VALUES, max_size=6),
    st.booleans(),
)
_PAIRS: Final = st.lists(
    st.builds(
        lambda key, value, between: f"{key}={value}{between}",
        st.sampled_from(_KEYS),
        st.one_of(_TEXT, _times(), st.sampled_from(_WORDS)),
        st.sampled_from((" ", "  ", ",", '" ')),
    )
).map("".join)
_PLAIN: Final = st.lists(st.one_of(_TEXT, _times(), st.sampled_from(_WORDS)), max_size=6).map(" ".join)
_LINES: Final = st.one_of(_OBJECTS.map(str.encode), _PAIRS.map(str.encode), _PLAIN.map(str.encode), st.binary(max_size=60)).map(
    lambda line: line.replace(b"\n", b" ")
)


@dataclass(repr=False)
class Writing:
    """A collector that reads the files of a folder, and what must have arrived of them so far."""

    real: RealLoki
    folder: Path
    began: datetime
    written: set[tuple[str, bytes]] = field(default_factory=set)
    wanted: dict[str, Expected] = field(default_factory=lambda: {name: Expected(()) for name in LOGS})
    files: int = 0


@pytest.fixture(scope="module")
def writing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Writing]:
    folder = tmp_path_factory.mktemp("random")
    logs = {name: {**logs, "files": [f"{folder}/{name}-*.log"]} for name, logs in LOGS.items()}
    with running_loki(folder, **understood(logs, folder, "otelcol")) as real, start_shipper(real, "otelcol"):
        yield Writing(real, folder, now())


# What is in Loki stays there, so there is nothing to shrink: the difference that is shown names the line.
@settings(max_examples=6, phases=(Phase.generate,), suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(lines=st.lists(_LINES, min_size=30, max_size=60))
@pytest.mark.filterwarnings("ignore:Generating overly large repr")
def test_random_lines_arrive_as_the_interpreter_says(writing: Writing, lines: list[bytes]) -> None:
    """Ensure that any bytes in a file of any service become what the interpreter makes of them."""
    writing.files += 1
    for service in writing.real.stack.services:
        name = service.name
        # Loki keeps one of two lines that are the same in everything; and the collector knows a file by how it begins.
        fresh = [line for line in dict.fromkeys(lines) if (name, line) not in writing.written]
        writing.written |= {(name, line) for line in fresh}
        content = [f"first: {name} {writing.files}".encode(), *fresh]
        new = expected(service, content, writing.began)
        writing.wanted[name] = Expected((*writing.wanted[name].lines, *new.lines))
        (writing.folder / f"{name}-{writing.files}.log").write_bytes(b"".join(line + b"\n" for line in content))
    for name, wanted in writing.wanted.items():
        check(writing.real.holding(name, wanted), wanted, writing.began)

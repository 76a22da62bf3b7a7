"""What a line becomes, stage by stage, in literal figures: the meaning to which shippers are held is itself held to these."""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from specwatch.logs.defaults import LEVELS, MULTILINE, REDACTIONS, default_stages
from specwatch.logs.interpreter import Dropped, Entry, assembled, interpret, steps
from specwatch.resolve import understand
from specwatch.stack.logs import (
    Drop,
    DropFields,
    Labels,
    Level,
    Limit,
    Line,
    Metadata,
    Multiline,
    Parse,
    Redact,
    Redaction,
    Rename,
    Sample,
    Stage,
    Timestamp,
)
from tests.tools import write

SERVICE = {"service": "shop"}
NOON = int(datetime(2026, 11, 22, 12, tzinfo=UTC).timestamp())


def entry(text: str, *stages: Stage, now: int = 0, **start: Any) -> Entry:
    """Return what arrives of the line."""
    end = interpret(stages, Entry(text=text, labels=SERVICE, **start), now)
    assert isinstance(end, Entry)
    return end


def at(seconds: int, nanoseconds: int = 0) -> int:
    """Return a time in nanoseconds."""
    return seconds * 10**9 + nanoseconds


def fields(text: str, parse: Parse, *wanted: str) -> dict[str, str]:
    """Return the fields that a parser finds of those that are wanted."""
    return dict(entry(text, parse, Metadata(fields=wanted)).fields)


def texts(lines: str, *stages: Stage) -> list[str]:
    """Return the texts of the entries that the lines make, and in angle brackets why one is dropped."""
    found = assembled(stages, lines.split("\n"), Entry(text="", labels=SERVICE))
    return [each.text if isinstance(each, Entry) else f"<{each.reason}>" for each in found]


JSON = Parse(format="json")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ('{"a": "x", "b": 1, "c": true, "d": null, "e": [1], "f": {}}', {"a": "x", "b": "1", "c": "true"}),
        ('{"a": "", "b": 1.0, "c": 1.50, "d": -0.0}', {"a": "", "b": "1", "c": "1.5", "d": "-0"}),
        (
            '{"a": 1e21, "b": 1e-7, "c": 12345678901234567890, "d": 0.1}',
            {"a": f"1{'0' * 21}", "b": "0.0000001", "c": "12345678901234567000", "d": "0.1"},
        ),
        ('{"a": 1, "a": 2}', {"a": "2"}),
        ('{"a": "\\ud83d\\uded2 \\u00e9", "b": "\\ud83d"}', {"a": "🛒 é", "b": "?"}),
        ('  {"a": "x"}\t', {"a": "x"}),
        ('{"a": {"b": "x"}}', {}),
        ('{"a": NaN}', {}),
        ('{"a": "x"} {"a": "y"}', {}),
        ('{"a": "x"', {}),
        ('["a"]', {}),
        ("a=x", {}),
        ("", {}),
    ],
)
def test_json_has_scalar_fields(text: str, wanted: dict[str, str]) -> None:
    """Ensure that text, numbers, true and false are fields, as text, and that what is no object has none."""
    found = fields(text, JSON, "a", "b", "c", "d", "e", "f")
    assert {key: value.replace("�", "?") for key, value in found.items()} == wanted


def test_dots_reach_into_objects() -> None:
    """Ensure that a field with dots lies in nested objects, and that a key with dots is none."""
    text = '{"a": {"b": {"c": 1}, "d": 2}, "a.b": 3, "x": "no object"}'
    assert fields(text, JSON, "a.b.c", "a.d", "a.b", "x.y", "z.z") == {"a.b.c": "1", "a.d": "2"}


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("level=info id=1", {"level": "info", "id": "1"}),
        ('msg="level=error" level=info', {"level": "info"}),
        ('level="two words" id="a \\" b"', {"level": "two words", "id": 'a \\" b'}),
        ("level=a level=b", {"level": "a"}),
        ('level= id=""', {}),
        ("words level=info xid=1 id_=2", {"level": "info"}),
        ("xlevel=info", {}),
        ("level=info,id=1", {"level": "info,id=1"}),
        ("", {}),
    ],
)
def test_logfmt_has_the_first_value_of_a_field(text: str, wanted: dict[str, str]) -> None:
    """Ensure that pairs are read from the left, quoted values passed over whole, and quotes taken off."""
    assert fields(text, Parse(format="logfmt"), "level", "id") == wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("2026-11-22 12:00:00,5 ERROR app: id=7", {"time": "2026-11-22 12:00:00,5", "level": "ERROR", "id": "7"}),
        ("[2026-11-22T12:00:00Z] [WARNING] x", {"time": "2026-11-22T12:00:00Z", "level": "WARNING"}),
        ('said "id: a.b-c", no more', {"id": "a.b-c"}),
        ("an error, and ERRORS, INFOrmation", {}),
        ("x 2026-11-22 12:00:00", {}),
        (f"{'x' * 120} INFO", {"level": "INFO"}),
        (f"{'x' * 121} INFO", {}),
    ],
)
def test_text_has_a_time_in_front_and_a_level_in_capitals(text: str, wanted: dict[str, str]) -> None:
    """Ensure that a line of words has what can be told from words."""
    assert fields(text, Parse(format="text"), "time", "level", "id") == wanted


def test_a_regex_has_its_named_groups() -> None:
    """Ensure that groups that match something are fields, and that a later parser's go before an earlier one's."""
    stages = (JSON, Parse(format="regex", expression=r'"a": "(?P<a>\w+)(?: (?P<b>\w*))?'), Metadata(fields=("a", "b", "c")))
    assert entry('{"a": "x y", "b": "json", "c": "kept"}', *stages).fields == {"a": "x", "b": "y", "c": "kept"}
    assert entry('{"a": "x", "b": "json"}', *stages).fields == {"a": "x", "b": "json"}
    assert entry("no match", *stages).fields == {}


@pytest.mark.parametrize(
    ("value", "layout", "zone", "time"),
    [
        ("2026-11-22T12:00:00Z", "auto", "UTC", at(NOON)),
        ("2026-11-22 12:00:00", "auto", "UTC", at(NOON)),
        ("2026-11-22 12:00:00", "auto", "Europe/Berlin", at(NOON - 3600)),
        ("2026-07-22 12:00:00", "auto", "Europe/Berlin", at(NOON - 123 * 86_400 - 2 * 3600)),
        ("2026-11-22T14:00:00+02:00", "auto", "Europe/Berlin", at(NOON)),
        ("2026-11-22T04:30:00-0730", "auto", "UTC", at(NOON)),
        ("2026-11-22T12:00:00.123456789123Z", "auto", "UTC", at(NOON, 123_456_789)),
        ("2026-11-22T9:00:00,5Z", "auto", "UTC", at(NOON - 3 * 3600, 500_000_000)),
        (f"{NOON}", "auto", "UTC", at(NOON)),
        (f"{NOON}.25", "auto", "UTC", at(NOON, 250_000_000)),
        (f"{NOON}250", "auto", "UTC", at(NOON, 250_000_000)),
        (f"{NOON}250.5", "auto", "UTC", at(NOON, 250_500_000)),
        (f"{NOON}250500", "auto", "UTC", None),
        ("2026-11-22 12:00:00Z", "rfc3339", "UTC", None),
        ("2026-11-22T12:00:00", "rfc3339", "UTC", None),
        ("2026-11-22T12:00:00+0000", "rfc3339", "UTC", None),
        ("2026-11-22T12:00:00.5+00:00", "rfc3339", "UTC", at(NOON, 500_000_000)),
        (f"{NOON}", "unix", "UTC", at(NOON)),
        (f"{NOON}001", "unix_ms", "UTC", at(NOON, 1_000_000)),
        (f"{NOON}000001", "unix_us", "UTC", at(NOON, 1000)),
        (f"{NOON}000000001", "unix_ns", "UTC", at(NOON, 1)),
        (f"{NOON}001", "unix", "UTC", None),
        ("22/Nov/2026:05:00:00 -0700", "%d/%b/%Y:%H:%M:%S %z", "UTC", at(NOON)),
        ("22/Nov/2026:05:00:00 -07:00", "%d/%b/%Y:%H:%M:%S %z", "UTC", at(NOON)),
        ("22/nov/2026:05:00:00 -0700", "%d/%b/%Y:%H:%M:%S %z", "UTC", None),
        ("22.11.2026 13:00:00,5", "%d.%m.%Y %H:%M:%S,%f", "Europe/Berlin", at(NOON, 500_000_000)),
        ("22.11.2026 13:00:00,5", "%d.%m.%Y %H:%M:%S", "Europe/Berlin", None),
        ("31.02.2026 13:00:00", "%d.%m.%Y %H:%M:%S", "UTC", None),
        ("22x11x2026 13:00:00", "%d.%m.%Y %H:%M:%S", "UTC", None),
        ("1970-01-01T00:00:00Z", "auto", "UTC", None),
        ("1999-12-31T23:59:59Z", "auto", "UTC", None),
        ("2100-01-01T00:00:00Z", "auto", "UTC", None),
        ("4102444800", "auto", "UTC", None),
        ("4102444799", "unix", "UTC", at(4102444799)),
        ("946684799", "unix", "UTC", None),
        ("946684800", "unix", "UTC", at(946684800)),
        (" 2026-11-22T12:00:00Z", "auto", "UTC", None),
        ("\uff12\uff10\uff12\uff16-11-22T12:00:00Z", "auto", "UTC", None),
        ("soon", "auto", "UTC", None),
        ("", "auto", "UTC", None),
    ],
)
def test_a_time_is_read_in_its_layout(value: str, layout: str, zone: str, time: int | None) -> None:
    """Ensure that each layout reads what it says, in the zone of the text or the one given, and nothing of another century."""
    stage = Timestamp(fields=("at",), layouts=(layout,), zone=zone)
    assert entry("x", stage, fields={"at": value}).time == time


def test_the_first_field_and_the_first_layout_count() -> None:
    """Ensure that the first field that is there counts, even when it cannot be read, and the first layout that reads it."""
    stage = Timestamp(fields=("a", "b"), layouts=("%d/%m/%Y %H:%M:%S", "%m/%d/%Y %H:%M:%S"))
    assert entry("x", stage, fields={"b": "12/11/2026 00:00:00"}).time == int(datetime(2026, 11, 12, tzinfo=UTC).timestamp()) * 10**9
    assert entry("x", stage, fields={"b": "11/22/2026 00:00:00"}).time == int(datetime(2026, 11, 22, tzinfo=UTC).timestamp()) * 10**9
    assert entry("x", stage, fields={"a": "soon", "b": "12/11/2026 00:00:00"}).time is None


def test_a_clock_that_runs_ahead_says_nothing() -> None:
    """Ensure that a line up to ten minutes ahead keeps its time, and one that is further ahead the time it had."""
    stage = Timestamp(fields=("at",))
    start = {"fields": {"at": "2026-11-22T12:00:00Z"}, "time": 5}
    assert entry("x", stage, now=(NOON - 600) * 10**9, **start).time == NOON * 10**9
    assert entry("x", stage, now=(NOON - 601) * 10**9, **start).time == 5


def test_without_a_time_a_line_can_be_dropped() -> None:
    """Ensure that a stage may insist on a time."""
    stage = Timestamp(fields=("at",), otherwise="drop")
    assert interpret((stage,), Entry(text="x", fields={"at": "soon"})) == Dropped(reason="no_time")
    assert interpret((stage,), Entry(text="x")) == Dropped(reason="no_time")


@pytest.mark.parametrize(
    ("spelled", "level"),
    [(spelling, level) for level, spellings in LEVELS.items() for spelling in spellings]
    + [("ERROR", "error"), ("Warning", "warn"), ("loud", "unknown"), ("", "unknown")],
)
def test_a_level_has_one_name(spelled: str, level: str) -> None:
    """Ensure that every spelling, in any case, becomes its level, as label and as field."""
    found = entry("x", Level(fields=("l",), spellings=LEVELS), fields={"l": spelled})
    assert found.labels == {**SERVICE, "level": level}
    assert found.fields["level"] == level


def test_a_line_without_a_level_is_of_an_unknown_one() -> None:
    """Ensure that the label is never missing, and that the first field that is there counts."""
    stage = Level(fields=("a", "b"), spellings=LEVELS)
    assert entry("x", stage).labels["level"] == "unknown"
    assert entry("x", stage, fields={"a": "", "b": "error"}).labels["level"] == "unknown"


def test_fields_are_renamed_and_forgotten() -> None:
    """Ensure that names change in order, that a field that is not there changes nothing, and that what is forgotten is gone."""
    stages = (Rename(names=(("a", "b"), ("b", "c"), ("x", "d"))), DropFields(fields=("d", "e")))
    assert entry("x", *stages, fields={"a": "1", "b": "2", "d": "3", "e": "4"}).fields == {"c": "1"}


def test_labels_have_a_closed_set_of_values() -> None:
    """Ensure that another value becomes "other", and an empty one none."""
    stage = Labels(values={"a": ("x", "y"), "b": ("x",), "c": ("x",), "d": ("x",)})
    assert entry("t", stage, fields={"a": "y", "b": "z", "c": ""}).labels == {**SERVICE, "a": "y", "b": "other"}


def test_metadata_has_any_value() -> None:
    """Ensure that fields become metadata, dots in their names underscores, and that empty ones do not."""
    stage = Metadata(fields=("a.b", "c", "d", "e"))
    assert entry("t", stage, fields={"a.b": "1", "c": "", "d": "x\ufffdy"}).metadata == {"a_b": "1", "d": "x y"}


@pytest.mark.parametrize(
    ("preset", "text", "wanted"),
    [
        ("passwords", '{"password": "hun\\"ter", "x": 1}', '{"password": "[redacted]", "x": 1}'),
        ("passwords", "db_password=a&b PASSWD: b", 'db_password="[redacted]"&b PASSWD: "[redacted]"'),
        ("passwords", "Authorization: Bearer abc, x", 'Authorization: "[redacted]", x'),
        ("passwords", "token='a b'", 'token="[redacted]" b\''),
        ("passwords", "no secrets: here", "no secrets: here"),
        ("tokens", "a eyJhbGciOiJI.eyJzdWIiOiI.c2ln b ghp_0123456789ab AKIA0123456789ABCDEF", "a [redacted] b [redacted] [redacted]"),
        ("emails", "a.b+c@x.example.com, @x.com, a@b", "[redacted], @x.com, a@b"),
        ("cards", "4111 1111 1111 1111 and 4111111111111 and 411111111111", "[redacted] and [redacted] and 411111111111"),
    ],
)
def test_presets_make_secrets_unreadable(preset: str, text: str, wanted: str) -> None:
    """Ensure that what a preset knows is replaced, and nothing else."""
    assert entry(text, Redact(rules=(REDACTIONS[preset],))).text == wanted


def test_redaction_is_about_fields_too_and_takes_replacements_literally() -> None:
    """Ensure that what a field holds is replaced as well, that what stands before stays, and that no replacement is a template."""
    rules = (Redaction(name="own", before="id=", matches=r"\d+", replacement=r"$1 \1 \g<0>"), Redaction(name="next", matches="x"))
    found = entry("id=12 x id=y", Redact(rules=rules), fields={"a": "id=3", "b": "fox"})
    assert found.text == r"id=$1 \1 \g<0> [redacted] id=y"
    assert found.fields == {"a": r"id=$1 \1 \g<0>", "b": "fo[redacted]"}


@pytest.mark.parametrize(
    ("stage", "text", "found", "dropped"),
    [
        (Drop(reason="r", matches="^GET"), "GET /", {}, True),
        (Drop(reason="r", matches="^GET"), "a GET", {}, False),
        (Drop(reason="r", field="p", matches="^/x"), "^/x", {"p": "/xy"}, True),
        (Drop(reason="r", field="p", matches="^/x"), "/x", {}, False),
        (Drop(reason="r", longer_than_bytes=4), "éé", {}, False),
        (Drop(reason="r", longer_than_bytes=4), "ééé", {}, True),
        (Drop(reason="r", matches="e", longer_than_bytes=4), "xxxxx", {}, False),
        (Drop(reason="r", matches="x$"), "x\n", {}, False),
    ],
)
def test_a_line_is_dropped_when_all_that_is_given_holds(stage: Drop, text: str, found: dict[str, str], *, dropped: bool) -> None:
    """Ensure that lines are dropped by what is in them, in a field, and by their size in bytes."""
    end = interpret((stage,), Entry(text=text, fields=found))
    assert (end == Dropped(reason="r")) is dropped


def test_a_line_is_dropped_for_its_age() -> None:
    """Ensure that a line older than the limit goes, and one without a time, or without a clock to compare with, stays."""
    stage = Drop(reason="late", older_than_seconds=60)
    old = Entry(text="x", time=(NOON - 61) * 10**9)
    assert interpret((stage,), old, NOON * 10**9) == Dropped(reason="late")
    assert interpret((stage,), old, (NOON - 1) * 10**9) == old
    assert interpret((stage,), old) == old
    assert interpret((stage,), Entry(text="x"), NOON * 10**9) == Entry(text="x")


def test_chance_is_noted_and_not_decided() -> None:
    """Ensure that sampling and limits say what they do, about the lines that they are about."""
    sample = Sample(ratio=Decimal("0.25"), matches="^x")
    assert entry("x", sample, Limit(rate=5, burst=10)).notes == ("one of 4 is kept", "dropped beyond 5 lines a second")
    assert entry("y", sample).notes == ()


def test_a_line_is_written_anew() -> None:
    """Ensure that fields and the line stand where the template says, once, and a field that is not there is nothing."""
    found = entry("the {a} line", Line(template="{a}|{b.c}|{nope}|{line}|{{a}}|$1 {1} {}"), fields={"a": "{b.c}", "b.c": "x"})
    assert found.text == "{b.c}|x||the {a} line|{{b.c}}|$1 {1} {}"


def test_stages_pass_in_order_and_a_dropped_line_passes_no_more() -> None:
    """Ensure that each stage sees what the one before it made, up to the one that drops the line."""
    stages = (JSON, Line(template="{m}"), Drop(reason="first", matches="^hi"), Drop(reason="second", matches=""))
    passed = list(steps(stages, Entry(text='{"m": "hi"}')))
    assert [step.stage for step in passed] == list(stages[:3])
    assert passed[-1].result == Dropped(reason="first")


@pytest.mark.parametrize(
    ("preset", "lines", "wanted"),
    [
        (
            "python",
            "INFO a\nTraceback (most recent call last):\n  File\nE: x\n\nDuring handling\n\n2026-01-01 b\n  c",
            ["INFO a", "Traceback (most recent call last):\n  File\nE: x\n\nDuring handling", "2026-01-01 b\n  c"],
        ),
        (
            "java",
            'ERROR a\njava.io.IOException: x\n\tat y\nCaused by: z\n\t... 3 more\n{"level": "info"}\nlevel=info msg=x\nWARNING: b',
            ["ERROR a\njava.io.IOException: x\n\tat y\nCaused by: z\n\t... 3 more", '{"level": "info"}', "level=info msg=x", "WARNING: b"],
        ),
    ],
)
def test_presets_join_tracebacks(preset: str, lines: str, wanted: list[str]) -> None:
    """Ensure that a traceback is one entry with the line that it belongs to, and that the next entry begins where it should."""
    assert texts(lines, Multiline(first_line=MULTILINE[preset])) == wanted


def test_lines_are_joined_to_the_first_that_matches() -> None:
    """Ensure that lines in front of a first one are an entry, empty ones around an entry are not of it, and a count ends one."""
    first = Multiline(first_line="^>")
    assert texts("a\nb\n>c\n\n d\r\n\n\n>e\n>f", first) == ["a\nb", ">c\n\n d", ">e", ">f"]
    assert texts(">a\nb\nc\nd\n>e", Multiline(first_line="^>", max_lines=2)) == [">a\nb", "c\nd", ">e"]


def test_blank_lines_are_none_and_long_ones_are_cut() -> None:
    """Ensure that a file's empty lines make no entries, and that an entry has a megabyte at most, in whole characters."""
    assert texts("\na\r\n\r\n  \nb\r c\n") == ["a", "  ", "b\r c"]
    most = 1024 * 1024
    assert [len(text) for text in texts(f"{'x' * (most + 1)}\n{'é' * most}")] == [most, most // 2]


def test_dockers_files_are_opened() -> None:
    """Ensure that pieces become lines, at Docker's time, and that what Docker did not write is dropped."""
    lines = (
        '{"log":"a ","stream":"stderr","time":"2026-11-22T12:00:00.000000001Z"}',
        '{"log":"b\\r\\n","stream":"stderr","time":"2026-11-22T12:00:01Z"}',
        '{"log":"\\n","stream":"stdout","time":"2026-11-22T12:00:02Z"}',
        '{"log":"c\\n","time":"1970-01-01T00:00:00Z"}',
        '{"stream":"stdout"}',
        "words",
        '{"log":"unfinished"}',
    )
    found = list(assembled((Parse(format="docker"),), lines, Entry(text="", labels=SERVICE)))
    assert found == [
        Entry(text="a b", labels=SERVICE, fields={"stream": "stderr"}, time=NOON * 10**9 + 1),
        Entry(text="c", labels=SERVICE),
        Dropped(reason="not_docker", text='{"stream":"stdout"}'),
        Dropped(reason="not_docker", text="words"),
        Entry(text="unfinished", labels=SERVICE),
    ]


def test_the_cris_files_are_opened() -> None:
    """Ensure that pieces with the tag P go on, whatever other tags there are, and that other lines are dropped."""
    lines = "2026-11-22T12:00:00.5Z stdout P:x a\n2026-11-22T12:00:01Z stdout F b \n2026-11-22T13:00:00+01:00 stderr F c\nwords"
    found = list(assembled((Parse(format="cri"),), lines.split("\n"), Entry(text="")))
    assert found == [
        Entry(text="ab ", fields={"stream": "stdout"}, time=NOON * 10**9 + 500_000_000),
        Entry(text="c", fields={"stream": "stderr"}, time=NOON * 10**9),
        Dropped(reason="not_cri", text="words"),
    ]


def test_an_opened_files_lines_are_joined() -> None:
    """Ensure that joining looks at what the container wrote, not at Docker's lines."""
    stages = (Parse(format="docker"), Multiline(first_line="^>"))
    lines = "\n".join(f'{{"log":"{text}\\n","time":"2026-11-22T12:00:0{n}Z"}}' for n, text in enumerate((">a", " b", "", " c", ">d")))
    found = list(assembled(stages, lines.split("\n"), Entry(text="")))
    assert found == [Entry(text=">a\n b\n\n c", time=NOON * 10**9), Entry(text=">d", time=(NOON + 4) * 10**9)]


def test_a_format_alone_is_a_sensible_pipeline() -> None:
    """Ensure that time, level, trace and request are found where nothing but the format is given."""
    line = '{"ts": "2026-11-22T12:00:00Z", "severity": "WARN", "trace_id": "t", "request_id": 7, "user": "u"}'
    found = entry(line, *default_stages("json"))
    assert (found.text, found.time, found.labels, found.metadata) == (
        line,
        NOON * 10**9,
        {**SERVICE, "level": "warn"},
        {"trace_id": "t", "request_id": "7"},
    )


def test_what_stages_leave_out_is_added(tmp_path: Path) -> None:
    """Ensure that the stages of a spec are completed: parser, time and level in front, the ids at the end, nothing twice."""
    stages = "[{multiline: java}, {metadata: [user]}, {drop: {matches: x}}]"
    write(tmp_path, {"spec.yaml": f"version: 1\nservices: {{a: {{logs: {{format: logfmt, stages: {stages}}}}}}}\n"})
    stack, _ = understand(tmp_path / "spec.yaml")
    assert stack.services[0].logs
    assert [type(stage) for stage in stack.services[0].logs.stages] == [Multiline, Parse, Timestamp, Level, Drop, Metadata]
    assert stack.services[0].logs.stages[-1] == Metadata(fields=("trace_id", "request_id", "user"))

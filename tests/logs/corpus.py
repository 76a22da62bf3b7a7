"""Log lines of all kinds, by service: only what programs write. What must arrive of it, the interpreter says."""

import json
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

from tests.logs import staged
from tests.logs.writers import HOSTILE, KIB, Writer


def corpus(now: datetime, folder: str) -> tuple[Writer, ...]:
    """Return the services; times lie within the hour before `now`, which is whole seconds, and globs are below `folder`."""
    at = [now - timedelta(seconds=seconds) for seconds in range(1, 3000)]
    writers = (
        Writer(
            "json",
            {"format": "json"},
            (*_encoded(_json(at)), *_binary(), b"A" * (16 * KIB), b'{"level":"warn","m":"' + b"x" * 40_000 + b'"}'),
        ),
        Writer("logfmt", {"format": "logfmt"}, (*_encoded(_logfmt(at)), *_binary())),
        Writer("text", {"format": "text"}, (*_encoded(_text(at)), *_binary()), is_open=True),
        Writer("big", {"format": "json"}, _big(at)),
        Writer("crlf", {"format": "json"}, (*(f'{{"level":"info","n":{n}}}\r'.encode() for n in range(3)), b"\r", b"", b"a\rb\r")),
        *staged.writers(at, now),
    )
    return tuple(Writer(each.name, {**each.logs, "files": [f"{folder}/{each.name}.log"]}, each.lines, each.is_open) for each in writers)


def _encoded(lines: Iterator[str]) -> tuple[bytes, ...]:
    return tuple(line.encode() for line in lines)


def _binary() -> tuple[bytes, ...]:
    """Return lines that are no UTF-8; bytes that are a newline stand in none."""
    return (
        b"\xff\xfe invalid \xc3( and cut \xe2\x82 off \xf0\x9f\x98 at the end \xed\xa0\x80 surrogate \xc0\xaf overlong \xf5\x80\x80\x80",
        b'{"level": "error", "trace_id": "\xff\xfe", "message": "binary in JSON \x80"}',
        b"level=error trace_id=\xff\xfe msg=\x80",
        bytes(byte for byte in range(256) if byte not in b"\n\r"),
        b"\x1f\x8b\x08\x00 not really gzip",
    )


def _json(at: list[datetime]) -> Iterator[str]:
    yield from HOSTILE
    for index, text in enumerate(HOSTILE):
        yield json.dumps({"timestamp": f"{at[index]:%Y-%m-%dT%H:%M:%S}Z", "level": "info", "message": text})
        yield json.dumps({"level": text, "trace_id": text, "request_id": f"r {index}"}, ensure_ascii=False)
    for index, value in enumerate(_times(at[40])):
        yield json.dumps({"timestamp": value, "level": "info", "case": index})
    yield json.dumps({"timestamp": None, "time": f"{at[41]:%Y-%m-%dT%H:%M:%S}.25Z", "severity": "err", "level": None})
    yield json.dumps({"timestamp": "", "time": f"{at[42]:%Y-%m-%dT%H:%M:%S}Z", "level": "", "severity": "err", "case": "empty comes first"})
    yield json.dumps({"timestamp": {"at": 1}, "ts": at[43].timestamp(), "level": ["error"], "lvl": "warn"})
    yield json.dumps({"timestamp": "yesterday", "time": f"{at[44]:%Y-%m-%dT%H:%M:%S}Z", "case": "the first that is there counts"})
    for number in (0, -0.0, 1, -1, 12345678, 1.5, 0.1, 1e6, 123456789012345678, 1e20, 1e21, 1.5e300, 1e-6, 2.5e-7, 1e-300, -3.25e22, 2**53):
        yield json.dumps({"trace_id": number, "request_id": -number, "level": number})
    for value in (True, False, None, [], {}, ["a", 1], {"a": {"b": 1}}, "", " ", "0"):
        yield json.dumps({"trace_id": value, "request_id": "r", "level": value})
    yield '{"trace_id": "first", "trace_id": "second", "level": "warn", "level": "error"}'
    yield '{"level": "error", "cut off'
    yield '  {"level": "error", "trace_id": "spaces in front"}  '
    yield '{"level": "error"} {"level": "info"}'
    yield '{"level": "error"} trailing words'
    yield '\t{"level":\t"error",\t"trace_id":\t"tabs"\t}'
    yield r'{"level": "err\u006fr", "trace_id": "\u00e9\ud83d\uded2 \" \\ \/ \b\f\n\r\t", "request_id": "\u0000"}'
    yield '{"LEVEL": "error", "Trace_Id": "capitals"}'
    yield '{"": "empty key", "level": "info", " level": "error"}'
    yield '{"a.b": "dots", "level.x": "error", "specwatch.time": "2001-01-01T00:00:00Z", "specwatch.drop": "forged"}'
    yield '{"service": "forged", "level": "info", "resource": {"service": "forged"}, "attributes": {"level": "x"}}'
    yield '{"level": "info", "deep": ' + '{"a":' * 60 + "1" + "}" * 60 + "}"
    yield "Traceback (most recent call last):"
    yield '  File "app.py", line 1, in <module>'


def _times(at: datetime) -> Iterator[Any]:
    """Yield what a line may say for its time, readable or not."""
    day, clock = f"{at:%Y-%m-%d}", f"{at:%H:%M:%S}"
    yield from (f"{day}T{clock}Z", f"{day}T{clock}.123456Z", f"{day}T{clock},123Z", f"{day} {clock}Z", f"{day}T{clock}", f"{day} {clock}.5")
    yield from (f"{day}T{clock}.123456789Z", f"{day}T{clock}.1234567891234Z", f"{day} {clock},250", f"{day}T{clock}.000Z")
    for hours, minutes in ((2, 0), (-7, 0), (5, 30), (-3, 30), (0, 0)):
        local = at.astimezone(timezone(timedelta(hours=hours, minutes=minutes if hours > 0 else -minutes)))
        yield local.isoformat()
        yield f"{local:%Y-%m-%d %H:%M:%S%z}"
        yield f"{local:%Y-%m-%dT%H:%M:%S}.75{local:%z}"
    yield from (int(at.timestamp()), at.timestamp() + 0.5, int(at.timestamp() * 1000), at.timestamp() * 1000 + 0.25)
    yield from (f"{at.timestamp():.0f}", f"{at.timestamp():.3f}", f"{at.timestamp() * 1000:.0f}", f"{at.timestamp():.9f}")
    yield from ("1970-01-01T00:00:00Z", "2100-01-01T00:00:00Z", "2099-12-31T23:59:59Z", "0001-01-01T00:00:00Z", "1999-12-31T23:59:59Z")
    yield from (
        0,
        12345,
        -1,
        4102444800,
        9999999999999,
        1e300,
        f"{day}",
        f"{clock}",
        f"{day}T{clock}z",
        f"{day}t{clock}Z",
        f"{day}T{clock}+2",
    )
    yield from (
        f" {day}T{clock}Z",
        f"{day}T{clock}Z ",
        f"{day}T{clock}Zulu",
        f"{day}T25:00:00Z",
        f"{day[:5]}02-30T00:00:00Z",
        f"{day}T{clock}+99:00",
    )
    yield from (
        f"{day[:5]}13-01T00:00:00Z",
        f"{day}T{clock}.Z",
        f"{day}T{clock}+00:00:00",
        "\uff12\uff10\uff12\uff16-01-01T00:00:00Z",
        True,
        "20",
        "2" * 40,
    )


def _logfmt(at: list[datetime]) -> Iterator[str]:
    yield from HOSTILE
    for index, text in enumerate(HOSTILE):
        yield f"ts={at[index]:%Y-%m-%dT%H:%M:%S}Z level=warn n={index} msg={json.dumps(text, ensure_ascii=False)}"
    yield f'time="{at[50]:%Y-%m-%d %H:%M:%S}" level=warn msg="says level=error trace_id=no" trace_id=t9'
    yield f"ts={at[51]:%Y-%m-%dT%H:%M:%S}.5Z lvl=err caller=a.go request_id=q7"
    yield 'msg="no level here: level=error"'
    yield 'level="error" trace_id="in quotes" request_id="with \\"escaped\\" ones"'
    yield 'level= trace_id="" request_id=r'
    yield "level=error level=info trace_id=one trace_id=two"
    yield "bare words then level=error trace_id=t"
    yield "xlevel=error level_x=info my_trace_id=no"
    yield "level=ERROR,trace_id=t"
    yield "it's = broken level"
    yield '"quoted"=key level=info'
    yield 'level=a"b"c trace_id=x"y request_id="z'
    yield f"timestamp={at[52]:%Y-%m-%dT%H:%M:%S}Z time=2001 level=debug"
    yield f"ts={at[53].timestamp():.3f} level=critical trace_id=日本語"
    yield "ts=1970-01-01T00:00:00Z level=info"
    yield 'severity=fatal levelname=debug "level=error"'


def _text(at: list[datetime]) -> Iterator[str]:
    yield from HOSTILE
    yield f"{at[60]:%Y-%m-%d %H:%M:%S},500 ERROR app: no trace_id=tt1 there"
    yield f"[{at[61]:%Y-%m-%dT%H:%M:%S}Z] [WARNING] low on disk"
    yield f"({at[62]:%Y-%m-%d %H:%M:%S}) <DEBUG> request_id: r-77, more"
    yield f"{at[63]:%Y-%m-%dT%H:%M:%S}+02:00 INFO| zone"
    yield "plain words, an error among them, and <b>EMERGENCY</b>"
    yield "INFOrmation is no level, ERRORs neither, but FATAL: this"
    yield "x" * 130 + " ERROR too far in"
    yield "WARN ERROR two levels"
    yield "INFO trace_id=a.b-c_d/e request_id=  (trace_id=second)"
    yield 'INFO {"trace_id": "json", "request_id":"in text"}'
    yield "1970-01-01 00:00:00 INFO a clock that was never set"
    yield "2100-01-01 00:00:00 INFO a clock that runs ahead"
    yield "INFO my_trace_id=no trace_ids=no"
    yield "the last line has no newline"


def _big(at: list[datetime]) -> tuple[bytes, ...]:
    """Return lines around the largest size, each followed by a small one that must not suffer."""
    most = KIB * KIB
    found = []
    for index, size in enumerate((16 * KIB - 1, 16 * KIB, 16 * KIB + 1, 300 * KIB, most - 1, most, most + 1, most + 70_000, 2 * most + 5)):
        head = f'{{"timestamp":"{at[index]:%Y-%m-%dT%H:%M:%S}Z","level":"warn","n":{index},"m":"'.encode()
        found += [head + b"y" * (size - len(head) - 2) + b'"}', f'{{"level":"info","after":{index}}}'.encode()]
    return (*found, b'{"trace_id":"' + b"t" * 100_000 + b'","request_id":"' + b"r" * 700_000 + b'"}')

"""Services with stages of every kind, and lines for each."""

import json
from datetime import datetime, timedelta, timezone
from typing import Any, Final
from zoneinfo import ZoneInfo

from tests.logs.writers import HOSTILE, Writer, docker_lines

_WORDS: Final = ("debug", "INFO", "Notice", "WARNING", "error", "CRITICAL", "fatal", "emerg", "30", "60", "loud", "")


def writers(at: list[datetime], now: datetime) -> tuple[Writer, ...]:
    """Return the services; `at` are times shortly before `now`."""
    return (
        _access(at),
        _python(at),
        _java(at),
        _docker(at),
        _docker_traces(at),
        _cri(at),
        _fields(at),
        _redacted(),
        _dropping(at, now),
        _epochs(at),
        _zoned(at),
        _strict(at),
        _twice(at),
        _prefixed(at),
        _levels(),
    )


def _access(at: list[datetime]) -> Writer:
    who, when_ = r"^(?P<ip>\S+) \S+ (?P<user>\S+)", r"\[(?P<at>[^\]]+)\]"
    what = r'"(?P<method>[A-Z]+) [^"]*" (?P<status>\d{3})(?: (?P<trace_id>\w+))?'
    stages = [
        {"parse": {"regex": f"{who} {when_} {what}"}},
        {"timestamp": {"field": "at", "format": "%d/%b/%Y:%H:%M:%S %z"}},
        {"labels": {"method": ["GET", "POST"], "status": ["200", "404", "500"]}},
        {"metadata": ["ip", "user"]},
    ]
    when = [each.astimezone(timezone(timedelta(hours=-7))) for each in at]
    lines = [
        f'10.0.0.{index} - bob [{when[index]:%d/%b/%Y:%H:%M:%S %z}] "{method} /{index}?a=%20{{}} HTTP/1.1" {status} {trace}'
        for index, (method, status, trace) in enumerate(
            (("GET", 200, "abc"), ("POST", 404, ""), ("PUT", 201, "d"), ("DELETE", 500, "é"), ("GET", 999, "x y"))
        )
    ]
    odd = [
        "not an access line",
        f'::1 - - [{when[9]:%d/%b/%Y:%H:%M:%S}] "GET / HTTP/1.0" 200 no zone',
        f'::1 - - [{when[10]:%d/%b/%Y:%H:%M:%S} -07:00] "GET / HTTP/1.0" 200 colon',
        f'::1 - - [{when[11]:%d/%b/%Y:%H:%M:%S}.5 -0700] "GET / HTTP/1.0" 200 fraction',
        f'::1 - - [{when[12]:%d/%m/%Y:%H:%M:%S %z}] "GET / HTTP/1.0" 200 month as number',
        '::1 - - [32/Jan/2026:00:00:00 +0000] "GET / HTTP/1.0" 200 no such day',
        '::1 - - [10/Oct/1970:13:55:36 -0700] "GET / HTTP/1.0" 200 old',
        f'::1 - "" [{when[13]:%d/%b/%Y:%H:%M:%S %z}] "get / HTTP/1.0" 200 small letters',
    ]
    return Writer("access", {"format": "text", "stages": stages}, tuple(line.encode() for line in (*lines, *odd)))


def _python(at: list[datetime]) -> Writer:
    frame = '  File "app.py", line 3, in f\n    return 1/0\n           ~^~'
    trace = f"Traceback (most recent call last):\n{frame}\nZeroDivisionError: division by zero"
    chained = f"{trace}\n\nDuring handling of the above exception, another exception occurred:\n\n{trace}"
    entries = [
        f"{at[1]:%Y-%m-%d %H:%M:%S},123 ERROR shop: failed trace_id=t1\n{trace}",
        f"{at[2]:%Y-%m-%d %H:%M:%S},123 INFO shop: fine",
        f"{at[3]:%Y-%m-%d %H:%M:%S},123 ERROR shop: twice\n{chained}",
        trace,
        "INFO a word begins an entry",
        "  a line that only goes on\n\n\n  after empty ones",
        f"[{at[4]:%Y-%m-%d %H:%M:%S}] CRITICAL brackets\r\n  carriage returns\r\n  too\r",
        "\n\nWARNING empty lines around\n\n",
        "ERROR the last one",
    ]
    logs = {"format": "text", "stages": [{"multiline": {"first_line": _PYTHON, "max_wait": "1s"}}]}
    return Writer("python", logs, tuple("\n".join(entries).encode().split(b"\n")))


_PYTHON: Final = r"^(?:[\[(<]?\d{4}-\d\d-\d\d[T ]|(?:INFO|WARNING|ERROR|CRITICAL)\b|Traceback)"


def _java(at: list[datetime]) -> Writer:
    trace = (
        "java.lang.IllegalStateException: broken\n\tat com.example.A.b(A.java:12)\n\tat com.example.C.d(C.java:34)\n"
        "Caused by: java.io.IOException: disk\n\t... 12 more"
    )
    entries = [
        "\tat a.line.whose.entry.is.not.here(X.java:1)",
        f"{at[1]:%Y-%m-%dT%H:%M:%S}.001Z ERROR [main] com.example.A - failed\n{trace}",
        f"{at[2]:%Y-%m-%dT%H:%M:%S}.002Z INFO [main] com.example.A - fine request_id=r1",
        '{"level": "error", "stack": "json begins an entry, too"}',
        "level=error msg=logfmt\n  goes on",
        "FATAL out of memory",
    ]
    return Writer("java", {"format": "text", "stages": [{"multiline": "java"}]}, tuple("\n".join(entries).encode().split(b"\n")))


def _docker(at: list[datetime]) -> Writer:
    texts = (
        json.dumps({"timestamp": f"{at[1]:%Y-%m-%dT%H:%M:%S}Z", "level": "ERROR", "trace_id": "in docker"}),
        json.dumps({"level": "info", "message": "Docker's time"}),
        json.dumps({"timestamp": "1970-01-01T00:00:00Z", "level": "warn", "message": "Docker's time, too"}),
        json.dumps({"timestamp": "2099-01-01T00:00:00Z", "level": "warn", "message": "and here"}),
        json.dumps({"stream": "forged", "level": "warn"}),
        *HOSTILE[:12],
        "B" * 40_000,
        json.dumps({"level": "error", "message": "C" * 33_000, "trace_id": "long"}),
        "with a carriage return\r",
        "",
        "\r",
    )
    lines = [
        line for index, text in enumerate(texts) for line in docker_lines(text, at[100 + index], stream=("stdout", "stderr")[index % 2])
    ]
    odd = (
        b"not Docker's",
        b'{"stream": "stdout"}',
        b'{"log": "cut',
        b"[]",
        b"",
        b'{"log":"no time\\n","stream":"stdout"}',
        b'{"log":"odd time\\n","time":"then"}',
        b'{"log":"old time\\n","time":"1970-01-01T00:00:00Z"}',
    )
    stages = [{"parse": "docker"}, {"labels": {"stream": ["stdout", "stderr"]}}]
    return Writer("docker", {"format": "json", "stages": stages}, (*lines, *odd))


def _docker_traces(at: list[datetime]) -> Writer:
    entries = (
        "INFO fine",
        "ERROR failed\nTraceback (most recent call last):\n  File x\n\nValueError: no",
        "INFO long\n" + "D" * 20_000 + "\nand on",
        "\nWARNING after an empty line\n",
        "ERROR the last one\n  of two lines",
    )
    lines = [line for index, text in enumerate("\n".join(entries).split("\n")) for line in docker_lines(text, at[200 - index])]
    first = {"first_line": r"^(?:INFO|WARNING|ERROR)\b", "max_wait": "1s"}
    return Writer("docker-traces", {"format": "text", "stages": [{"parse": "docker"}, {"multiline": first}]}, tuple(lines))


def _cri(at: list[datetime]) -> Writer:
    texts = (
        (0, "stdout", "F", '{"level": "error", "trace_id": "in cri"}'),
        (1, "stderr", "P", '{"level": "warn", "message": "'),
        (1, "stderr", "P", "in three pieces"),
        (1, "stderr", "F", '"}'),
        (2, "stdout", "F:x", "other tags"),
        (3, "stdout", "F", ""),
        (4, "stdout", "F", "  spaces  "),
        (5, "stdout", "P:x", "unfinished, "),
        (5, "stdout", "F", "finished"),
    )
    lines = [f"{at[300 + index]:%Y-%m-%dT%H:%M:%S}.{index:09}Z {stream} {tag} {text}".encode() for index, stream, tag, text in texts]
    berlin = at[310].astimezone(ZoneInfo("Europe/Berlin"))
    odd = (b"not the CRI's", f"{berlin.isoformat()} stdout F with an offset".encode(), b"then stdout F no time", b"x stdwhat F no stream")
    stages = [{"parse": "cri"}, {"metadata": ["stream"]}]
    return Writer("cri", {"format": "json", "stages": stages}, (*lines, *odd))


def _fields(at: list[datetime]) -> Writer:
    stages = [
        {"rename": {"correlation.id": "trace_id", "user": "who", "lvl": "severity", "a": "b", "b": "c"}},
        {"drop_fields": ["secret_field"]},
        {"labels": {"component": ["api", "worker", "{{ .x }}", 'quo"te'], "code": ["1", "2.5", "true"]}},
        {"metadata": ["user_id", "http.request.method", "deep.er.still", "secret_field", "c", "who"]},
        {"line": '[{component}] {who}: {line} ({level}) $1 {{{nope}}} ${HOME} EXPR(x) "q" \\n'},
    ]
    records: tuple[Any, ...] = (
        {"correlation": {"id": "c1"}, "component": "api", "user": "bob", "user_id": 42},
        {"correlation": {"id": "c2"}, "trace_id": "own", "component": "worker", "http": {"request": {"method": "GET"}}},
        {"correlation": "no object", "trace_id": "own", "component": "spread", "deep": {"er": {"still": True}}},
        {"correlation": {"id": None}, "component": "", "deep": {"er": "no object"}, "http": []},
        {"correlation": {"id": {"x": 1}}, "component": 5, "code": 1, "user": "{line} {{ .x }} ${1}"},
        {"correlation.id": "a key with a dot", "http.request.method": "POST", "component": ["api"]},
        {"component": "{{ .x }}", "code": 2.5, "secret_field": "s3cret", "a": "A", "b": "B", "c": "C"},
        {"component": 'quo"te', "code": True, "b": "B", "c": "C", "user": "ü"},
        {"component": "other", "code": "other", "c": "C", "a": 1e22},
        {"component": "API", "code": 1.0, "lvl": "error", "severity": "x", "user_id": "y" * 3000},
    )
    lines = [json.dumps({"timestamp": f"{at[index]:%Y-%m-%dT%H:%M:%S}Z", **record}) for index, record in enumerate(records)]
    return Writer("fields", {"format": "json", "stages": stages}, tuple(line.encode() for line in (*lines, *HOSTILE[:8])))


def _redacted() -> Writer:
    stages = [
        {
            "redact": {
                "presets": ["passwords", "tokens", "emails", "cards"],
                "matches": r"ssn \d{3}-\d{2}-\d{4}",
                "replacement": "<ssn: .*>",
            }
        },
        {"metadata": ["user_id", "note"]},
        {"labels": {"kind": ["plain", "[redacted]"]}},
    ]
    texts = (
        '{"password": "hun\\"ter2", "user_id": "bob@example.com", "kind": "plain", "note": 1}',
        '{"Authorization":"Bearer abc.def", "kind": "ann@example.org", "note": "ann@example.org", "api_key" : "k"}',
        "password=secret1 PASSWORD: secret2 db_password='x y' token=[a] cookie = c;d",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.c2lnbmF0dXJl ghp_abcdefghijklmnop xoxb-1234567890abc AKIAABCDEFGHIJKLMNOP",
        "4111 1111 1111 1111 4111-1111-1111-1111 4111111111111111 1234 order 12345678",
        "ssn 123-45-6789, and mail a+b.c@sub.example.co.uk, x@y, @example.com, é@example.com",
        '{"kind": 4111111111111111, "note": 4111111111111112, "user_id": "ssn 123-45-6789", "secret": {"a": "b"}, "token": null}',
        "authorization: basic dXNlcjpwYXNz and https://u:p@example.com/?token=abc&x=1",
        "password",
        "passwords=",
        'password="unclosed',
        "日本 password=日本語 語",
    )
    return Writer("redacted", {"format": "json", "stages": stages}, tuple(text.encode() for text in texts))


def _dropping(at: list[datetime], now: datetime) -> Writer:
    stages = [
        {"drop": {"field": "level", "matches": "^debug$", "reason": "debug"}},
        {"drop": {"matches": r"GET /health\b", "reason": "health"}},
        {"drop": {"longer_than": "2KB"}},
        {"drop": {"older_than": "2h", "reason": "late"}},
        {"drop": {"field": "path", "matches": "^/(?i:internal)/", "longer_than": "100B", "reason": "internal"}},
        {"line": "{line}!"},
    ]
    old = now - timedelta(hours=3)
    texts = (
        '{"level": "DEBUG", "n": 1}',
        '{"level": "trace", "n": 2}',
        '{"level": "info", "path": "/x", "n": 3}',
        "GET /health HTTP/1.1",
        "GET /healthy HTTP/1.1",
        "é" * 1023,
        "é" * 1024,
        "é" * 1025,
        "z" * 2048,
        "z" * 2049,
        "😀" * 512,
        "😀" * 513,
        json.dumps({"timestamp": f"{old:%Y-%m-%dT%H:%M:%S}Z", "level": "info", "n": 4}),
        json.dumps({"timestamp": f"{at[3]:%Y-%m-%dT%H:%M:%S}Z", "level": "info", "n": 5}),
        json.dumps({"timestamp": "1970-01-01T00:00:00Z", "level": "info", "case": "an unset clock is not old"}),
        json.dumps({"path": "/internal/short"}),
        json.dumps({"path": "/INTERNAL/" + "l" * 100}),
        json.dumps({"path": "/public/" + "l" * 100}),
        json.dumps({"path": {"a": "/internal/"}, "x": "l" * 100}),
    )
    return Writer("dropping", {"format": "json", "stages": stages}, tuple(text.encode() for text in texts))


def _epochs(at: list[datetime]) -> Writer:
    stages = [{"timestamp": {"field": ["s", "ms", "us", "ns"], "format": ["unix_ns", "unix_us", "unix_ms", "unix"]}}]
    second = int(at[5].timestamp())
    values: tuple[dict[str, Any], ...] = (
        {"s": second},
        {"s": second + 0.5},
        {"s": f"{second}.123456789"},
        {"ms": second * 1000 + 5},
        {"us": second * 10**6 + 7},
        {"ns": f"{second}000000009"},
        {"s": 5},
        {"s": "soon"},
        {"s": -second},
        {"s": f"{second}."},
        {"s": "9" * 25},
        {"s": None, "ms": f"{second}999"},
    )
    return Writer(
        "epochs", {"format": "json", "stages": stages}, tuple(json.dumps({"level": "info", **value}).encode() for value in values)
    )


def _zoned(at: list[datetime]) -> Writer:
    zone = "Europe/Berlin"
    local = [each.astimezone(ZoneInfo(zone)) for each in at]
    stages = [{"timestamp": {"field": "when", "format": ["%d.%m.%Y %H:%M:%S,%f", "auto", "%Y%m%d%H%M%S"], "zone": zone}}]
    values = (
        f"{local[1]:%d.%m.%Y %H:%M:%S},250",
        f"{local[2]:%d.%m.%Y %H:%M:%S}",
        f"{local[3]:%Y-%m-%d %H:%M:%S}",
        local[4].isoformat(),
        f"{at[5]:%Y-%m-%dT%H:%M:%S}Z",
        f"{local[6]:%Y%m%d%H%M%S}",
        f"{at[7].timestamp():.0f}",
        f"{local[8]:%d.%m.%y %H:%M:%S}",
        "31.02.2026 00:00:00",
    )
    return Writer("zoned", {"format": "json", "stages": stages}, tuple(json.dumps({"when": value}).encode() for value in values))


def _strict(at: list[datetime]) -> Writer:
    stages = [{"timestamp": {"format": "rfc3339", "otherwise": "drop"}}, {"metadata": ["n"]}]
    values = (
        f"{at[1]:%Y-%m-%dT%H:%M:%S}Z",
        f"{at[2]:%Y-%m-%d %H:%M:%S}Z",
        f"{at[3]:%Y-%m-%dT%H:%M:%S}",
        "1970-01-01T00:00:00Z",
        None,
        "2099-01-01T00:00:00Z",
    )
    lines = [json.dumps({"timestamp": value, "n": index}).encode() for index, value in enumerate(values)]
    return Writer("strict", {"format": "json", "stages": stages}, (*lines, b"no time at all"))


def _twice(at: list[datetime]) -> Writer:
    stages = [
        {"parse": "json"},
        {"parse": {"regex": r"user=(?P<user>\w*) (?:trace_id=(?P<trace_id>\w+))?"}},
        {"line": "{message}"},
        {"parse": "logfmt"},
        {"level": {"field": ["level", "severity"], "spellings": {"warn": ["achtung"], "critical": ["info"]}}},
        {"timestamp": {"field": "at"}},
        {"metadata": ["user", "extra"]},
    ]
    values: tuple[dict[str, Any], ...] = (
        {"message": "user=bob trace_id=abc level=achtung extra=e"},
        {"message": "user= level=info", "user": "json", "trace_id": "json"},
        {"message": f'extra="in quotes" at={at[4]:%Y-%m-%dT%H:%M:%S}Z', "level": "error", "extra": "json"},
        {"message": "nothing in it", "extra": 7, "severity": "Achtung"},
        {"message": 5},
        {"x": "user=ann trace_id=t1 level=warn"},
    )
    lines = [json.dumps(value).encode() for value in values]
    return Writer("twice", {"format": "json", "stages": stages}, (*lines, b"user=plain trace_id=p level=debug"))


def _prefixed(at: list[datetime]) -> Writer:
    """JSON behind a word: what the word's parser found stays, where the object has not the same."""
    stages = [
        {"parse": {"regex": r"^(?P<kind>\w+) (?P<rest>.*)$"}},
        {"line": "{rest}"},
        {"parse": "json"},
        {"timestamp": {}},
        {"level": {}},
        {"labels": {"kind": ["api", "batch", "json"]}},
        {"metadata": ["a.b", "rest"]},
    ]
    values: tuple[dict[str, Any], ...] = (
        {"timestamp": f"{at[1]:%Y-%m-%dT%H:%M:%S}Z", "level": "warn", "a": {"b": 1}, "trace_id": "t"},
        {"kind": "json", "ts": at[2].timestamp(), "severity": "err", "trace_id": 7.5},
        {"kind": None, "a": "no object", "trace_id": {"x": 1}},
        {"kind": "", "level": 30},
    )
    lines = [f"{kind} {json.dumps(value | {'n': kind})}".encode() for value in values for kind in ("api", "batch", "else")]
    # Loki does not find a stream of which every line is empty, so each line here has a second word.
    return Writer("prefixed", {"format": "json", "stages": stages}, (*lines, b"words alone"))


def _levels() -> Writer:
    lines = [json.dumps({"level": word}).encode() for word in _WORDS] + [
        json.dumps({"level": word.upper(), "n": 1}).encode() for word in ("trace", "wrn", "panic")
    ]
    return Writer("levels", {"format": "json"}, tuple(lines))

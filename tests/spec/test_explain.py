"""The explanation of a spec that does not fit the model: complete, placed, and never at odds with what msgspec decides."""

import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import inspect

from specwatch.errors import SpecError
from specwatch.spec.explain import explain
from specwatch.spec.loader import load, parse
from specwatch.spec.model import Spec
from specwatch.spec.source import Source
from specwatch.textio import dump_yaml

_RICH: Final = Path(__file__).with_name("rich.yaml")

_MESSAGES: list[tuple[str, str, str]] = [
    # Unknown keys.
    ("servcies: {}\n", "2:1", 'unknown key "servcies"; expected version, stack,'),
    ("servcies: {}\n", "2:1", '; did you mean "services"?'),
    ("alerts: {A: {expr: up, sevrity: info}}\n", "2:24", 'unknown key "sevrity"; expected expr, service, for,'),
    ("alerts: {A: {expr: up, sevrity: info}}\n", "2:24", '; did you mean "severity"?'),
    ("services: {a: {metrics: {Port: 1}}}\n", "2:26", '; did you mean "port"?'),
    ("stack: {components: {promethus: true}}\n", "2:22", 'the key "promethus" is not allowed, expected'),
    ("stack: {components: {promethus: true}}\n", "2:22", '; did you mean "prometheus"?'),
    # Types.
    ("services: []\n", "2:11", "found a list, expected a mapping such as {shop: …}"),
    ("routes: {}\n", "2:9", "found a mapping, expected a list"),
    ("routes: [{to: ops}]\n", "2:15", 'found the text "ops", expected a list; write [ops]'),
    ("receivers: {o: {slack: {webhook: abc}}}\n", "2:34", 'found the text "abc", expected a mapping such as {secret: name}'),
    (
        "receivers: {o: {webhook: {url: 5}}}\n",
        "2:32",
        "found the number 5, expected a URL beginning with http:// or https://, or a mapping such as",
    ),
    (
        "services: {a: {probe: 5}}\n",
        "2:23",
        "found the number 5, expected a URL, a path or host:port, or a mapping with url, module or interval",
    ),
    (
        "services: {a: {logs: jsn}}\n",
        "2:22",
        'found the text "jsn", expected true or false, or a mapping with format, source, files or stages',
    ),
    ("stack: {environment: [a]}\n", "2:22", "found a list, expected text"),
    ("alerts: {A: {expr: up, severity: true}}\n", "2:34", "found the boolean true, expected critical, info or warning"),
    ("alerts: {A: {expr: up, severity: critcal}}\n", "2:34", 'expected critical, info or warning; did you mean "critical"?'),
    # Forms.
    ("services: {Shop: {}}\n", "2:12", 'the key "Shop" is not allowed, expected a name of lower-case letters, digits'),
    ('services: {"shop\\n": {}}\n', "2:12", r'the key "shop\n" is not allowed, expected a name'),
    ('alerts: {A: {expr: up, for: "5m\\n"}}\n', "2:29", r'found the text "5m\n", expected a duration'),
    ("alerts: {A: {expr: up, for: ٣m}}\n", "2:29", 'found the text "٣m", expected a duration'),
    ("alerts: {A: {expr: up, for: 999999y}}\n", "2:29", "expected a duration in whole seconds"),
    ("alerts: {bad_name: {expr: up}}\n", "2:10", 'the key "bad_name" is not allowed, expected an alert name in CamelCase'),
    ("services: {a: {metrics: {port: 70000}}}\n", "2:32", "found the number 70000, expected a port: 1 to 65535"),
    ("targets: {t: {probe: 'h:70000'}}\n", "2:22", 'found the text "h:70000", expected a URL, a path or host:port'),
    ("stack: {links: 'http://a:80'}\n", "2:16", 'found the text "http://a:80", expected a URL without port and path'),
    ("alerts: {A: {expr: up, runbook: 'http://a/%zz'}}\n", "2:33", "expected a URL beginning with http:// or https://"),
    ("mute_times: {m: [{times: ['24:00-06:00']}]}\n", "2:27", 'found the text "24:00-06:00", expected a span of the day'),
    (
        "receivers: {o: {telegram: {chat_id: 99999999999999999999}}}\n",
        "2:37",
        "found the number 99999999999999999999, expected a chat's number",
    ),
    ('services: {a: {run: {image: i, command: ["a\\0b"]}}}\n', "2:42", r'found the text "a\x00b", expected a text without the character'),
    ("overrides: {../x.yml: {}}\n", "2:13", 'the key "../x.yml" is not allowed, expected a generated file'),
    (f"stack: {{environment: {'x' * 4001}}}\n", "2:22", "found 4,001 characters, expected at most 4,000"),
    ("stack: {environment: ''}\n", "2:22", "found an empty text, expected text"),
    # What is missing.
    ("alerts: {A: {}}\n", "2:10", '"expr" is missing; expected text'),
    ("alerts:\n  A: {for: 5m}\n", "3:3", '"expr" is missing; expected text'),
    ("routes: [{}]\n", "2:10", '"to" is missing; expected a list'),
    ("receivers: {o: {email: {to: []}}}\n", "2:29", "found an empty list, expected at least 1 item"),
    ("inhibitions: [{source: {}, target: {a: b}}]\n", "2:24", "found an empty mapping, expected at least 1 entry"),
    ("receivers: {o: {webhook: {url: {secret: A B}}}}\n", "2:41", 'found the text "A B", expected the name of a file in secrets/'),
]


@pytest.mark.parametrize(("text", "place", "message"), _MESSAGES, ids=[case[2][:50] for case in _MESSAGES])
def test_a_fault_says_what_was_found_and_what_is_expected(text: str, place: str, message: str) -> None:
    """Ensure each kind of fault is told at its place, with the nearest right word or the way to write it."""
    with pytest.raises(SpecError) as caught:
        parse(Source("spec.yaml", f"version: 1\n{text}"))
    assert any(line.startswith(f"spec.yaml:{place}: ") and message in line for line in str(caught.value).splitlines()), caught.value


def test_all_faults_of_form_come_at_once() -> None:
    """Ensure one run names every fault, sorted by line and column."""
    text = """\
stack: {name: Bad Name, environment: 5}
services:
  shop: {metrics: {port: 0}, lgs: true}
routes: [{to: ops}, {}]
alerts: {x: {for: soon}}
"""
    with pytest.raises(SpecError) as caught:
        parse(Source("spec.yaml", text))
    places = [(problem.line, problem.column) for problem in caught.value.problems]
    assert places == [(1, 1), (1, 15), (1, 38), (3, 26), (3, 30), (4, 15), (4, 21), (5, 10), (5, 10), (5, 19)]


_SCALARS: Final = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.decimals(allow_nan=False, allow_infinity=False),
    st.text(max_size=8),
    st.sampled_from(["5m", "shop", "nan", "1", "http://a", "a:1", "/x", "up", "json", "no", "#ops", "1.5", "Infinity", "shop\n", "٣m"]),
)
_ANYTHING: Final = st.recursive(
    _SCALARS, lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=4), inner, max_size=3)), max_leaves=4
)


def _places(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from _places(item, (*path, key))


def _with(value: Any, path: tuple[str | int, ...], new: Any) -> Any:
    if not path:
        return new
    copy: Any = value.copy()
    copy[path[0]] = _with(value[path[0]], path[1:], new)
    return copy


_RICH_DATA: Final = Source(_RICH.name, _RICH.read_text(encoding="utf-8")).data()
_RICH_PLACES: Final = tuple(_places(_RICH_DATA))


@given(st.sampled_from(_RICH_PLACES), _ANYTHING)
def test_the_explanation_and_msgspec_never_differ(place: tuple[str | int, ...], value: object) -> None:
    """Ensure a fault is found exactly when msgspec refuses the data, whatever stands anywhere in it."""
    data = _with(_RICH_DATA, place, value)
    try:
        msgspec.convert(data, Spec, builtin_types=(Decimal,))
        refused = ""
    except msgspec.ValidationError as error:
        refused = str(error)
    faults = explain(data, Spec)
    assert bool(faults) == bool(refused), (refused, faults)


@given(_ANYTHING)
def test_whatever_is_no_spec_is_explained(value: object) -> None:
    """Ensure data that has nothing to do with a spec gives faults, and no exception."""
    assert explain(value, Spec)


def _keys(kind: Any, path: str = "") -> Iterator[str]:
    """Yield every key of the model as `Struct.key`."""
    if isinstance(kind, inspect.StructType):
        for field in kind.fields:
            yield f"{kind.cls.__name__}.{field.encode_name}"
            yield from _keys(field.type, path)
    for inner in (getattr(kind, name, None) for name in ("type", "value_type", "item_type")):
        if inner is not None:
            yield from _keys(inner, path)
    for inner in getattr(kind, "types", ()):
        yield from _keys(inner, path)


def _used(value: Any) -> Iterator[str]:
    if isinstance(value, msgspec.Struct):
        for field in msgspec.structs.fields(value):
            item = getattr(value, field.name)
            if field.required or item != field.default:
                yield f"{type(value).__name__}.{field.encode_name}"
            yield from _used(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from _used(item)
    elif isinstance(value, tuple):
        for item in value:
            yield from _used(item)


def test_the_rich_spec_uses_every_key() -> None:
    """Ensure tests that take the rich spec meet every key of the model, those whose value is the default included."""
    files = (_RICH, _RICH.with_name("sinks.yaml"))
    text = "".join(file.read_text(encoding="utf-8") for file in files)
    unused = set(_keys(inspect.type_info(Spec))).difference(*(_used(load(file)[0]) for file in files))
    missing = {key for key in unused if not re.search(rf"(?<![\w-]){key.partition('.')[2]}:", text)}
    assert not missing


def test_the_rich_spec_survives_being_written_anew() -> None:
    """Ensure what dump_yaml writes of a spec's data is the same spec."""
    assert parse(Source("spec.yaml", dump_yaml(_RICH_DATA))) == load(_RICH)[0]

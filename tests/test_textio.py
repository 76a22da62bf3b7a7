"""Data to text: what is written reads back as the same data, whoever reads it, and the same data is the same bytes."""

import json
from decimal import Decimal
from typing import Any, Final

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from specwatch.spec.source import Source
from specwatch.textio import dump_json, dump_yaml

_TEXT: Final = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=30),
    st.text(st.sampled_from(list(" \n\t:#-'\"{}[],&*!|>%@`\\?~=<ayn0.1é\u2028\u0085\ufeff\x00\x7f\r")), max_size=12),
    st.sampled_from(
        ["y", "N", "yes", "No", "on", "OFF", "true", "Null", "~", "", "0123", "0x1f", "0o7", "1:30", "1_0", "1e3", ".5", "+1", "-", "---"]
    ),
    st.sampled_from(
        [
            "=",
            "<<",
            "...",
            "2026-01-01",
            ".inf",
            "-.INF",
            ".NaN",
            "nan",
            "inf",
            "1h30m",
            "5m",
            "a: b",
            "a #b",
            "a:",
            "- a",
            "? a",
            " a",
            "a ",
        ]
    ),
    st.sampled_from(
        [
            "a\n",
            "a\nb",
            "a\n\nb\n",
            "a\n\n",
            "\na",
            " a\nb",
            "a\n b",
            "a \nb",
            "a\t\nb",
            "a\rb\n",
            "\n",
            "\n\n",
            "a\n\n\n",
            "#\n",
            "...\na",
            "--- \nb",
        ]
    ),
)
_DECIMALS: Final = st.decimals(allow_nan=False, allow_infinity=False, places=6, min_value=-(10**9), max_value=10**9)
_NUMBERS: Final = st.one_of(st.integers(), st.floats(allow_nan=False, allow_infinity=False), _DECIMALS)
_SCALARS: Final = st.one_of(st.none(), st.booleans(), _NUMBERS, _TEXT)
_DATA: Final = st.recursive(
    _SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.tuples(inner, inner), st.dictionaries(_TEXT, inner, max_size=4)),
    max_leaves=12,
)


_OURS: Final = st.one_of(_TEXT, st.booleans(), st.none(), st.integers(-(10**30), 10**30), st.lists(_TEXT), _DECIMALS)


def _plain(value: Any) -> Any:
    """Return the value as a YAML or JSON reader that knows binary numbers would give it."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return float(value) if isinstance(value, (Decimal, float)) else value


def _same(left: Any, right: Any) -> bool:
    """Return whether two values are equal in type too, 1 and 1.0 apart from each other only where both are not whole."""
    if isinstance(left, dict) and isinstance(right, dict):
        return list(left) == list(right) and all(_same(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(_same, left, right))
    if isinstance(left, bool) or isinstance(right, bool) or isinstance(left, str) or isinstance(right, str):
        return type(left) is type(right) and left == right
    return bool(left == right)


@given(_DATA)
@example({"a": "\n"})
@example(["|", ">", "|-\n", "%", "a\n  b\n c\n"])
@example({"x" * 200: {"y": "\u2029"}})
def test_yaml_reads_back_as_the_same_data(value: object) -> None:
    """Ensure PyYAML's safe loader, a YAML 1.1 reader, gives back every value, with its type and the mappings' order."""
    text = dump_yaml(value, header="head\n\nsecond")
    assert text.startswith("# head\n#\n# second\n")
    assert text.endswith("\n")
    assert _same(yaml.safe_load(text), _plain(value)), text


@given(st.dictionaries(_TEXT, _OURS, min_size=1, max_size=4))
def test_yaml_reads_back_under_the_core_schema(value: dict[str, object]) -> None:
    """Ensure our own reader, which takes the words of YAML 1.2, gives back the same data as well."""
    assert _same(_plain(Source("x", dump_yaml(value)).data()), _plain(value))


@given(_DATA)
def test_json_reads_back_as_the_same_data(value: object) -> None:
    """Ensure JSON gives back every value, and a Decimal's digits as they are."""
    text = dump_json(value)
    assert text.endswith("\n")
    assert _same(json.loads(text), _plain(value))


@given(_DATA)
def test_the_same_data_is_the_same_bytes(value: object) -> None:
    """Ensure dumping is a function of the data alone, and that a dump of what was read is the dump itself."""
    assert dump_yaml(value) == dump_yaml(value)
    again = dump_yaml(yaml.safe_load(dump_yaml(_plain(value))))
    assert again == dump_yaml(_plain(value))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("no", "'no'"),
        ("Yes", "'Yes'"),
        ("y", "'y'"),
        ("0123", "'0123'"),
        ("1:30", "'1:30'"),
        ("5m", "5m"),
        ("up == 0", "up == 0"),
        ("http://a:80/b", "http://a:80/b"),
        ("it's", "'it''s'"),
        ("a\x07", '"a\\x07"'),
        ("\u2028🦔", '"\\u2028🦔"'),
        (Decimal("0.0001"), "0.0001"),
        (Decimal("1E+3"), "1000"),
        (1e-7, "0.0000001"),
        (1.0, "1.0"),
        (True, "true"),
        (None, "null"),
        ({}, "{}"),
        ([], "[]"),
    ],
)
def test_scalars_are_written_as_a_person_would(value: object, text: str) -> None:
    """Ensure quotes stand where a reader of either YAML version would be misled, and nowhere else; numbers keep their digits."""
    assert dump_yaml({"k": value}) == f"k: {text}\n"


def test_a_text_of_several_lines_is_a_block() -> None:
    """Ensure scripts and templates stay readable."""
    assert dump_yaml({"a": "one\n  two\n", "b": ["x\ny"]}) == "a: |\n  one\n    two\nb:\n  - |-\n    x\n    y\n"


def test_json_keeps_a_decimals_digits() -> None:
    """Ensure 0.1 is not written as a binary neighbour."""
    assert dump_json({"a": Decimal("0.10")}) == '{\n  "a": 0.10\n}\n'


def test_a_value_of_another_type_is_refused() -> None:
    """Ensure nothing is written by its accidental text form."""
    with pytest.raises(TypeError, match="cannot write set as YAML"):
        dump_yaml({"a": {1, 2}})

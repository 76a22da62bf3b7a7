"""Why plain data is not a valid spec: every fault at once, each with what was found, what is expected and what to do.

`msgspec.convert` decides, in C, whether data fits the model; it stops at the first fault. This walks the same types, so that the
two cannot differ, and is asked only after a "no".
"""

import difflib
import re
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Any

from msgspec import inspect

from specwatch.spec.source import Fault, Path, shown

_SHOWN = 8
_DIGITS = re.compile(r"\d[\d_]{0,30}\Z", re.ASCII)
_PLAIN_ITEM = re.compile(r"[\w#@./-]{1,40}\Z", re.ASCII)


def explain(data: Any, model: type) -> tuple[Fault, ...]:
    """Return every fault that keeps `data` from being a `model`, in the data's order."""
    return tuple(_explain(data, inspect.type_info(model), (), "the spec"))


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return `; did you mean "x"?` for the known word nearest to `word`, or an empty text."""
    near = difflib.get_close_matches(word.lower(), {name.lower(): name for name in known}, n=1, cutoff=0.6)
    by_lower = {name.lower(): name for name in known}
    return f'; did you mean "{by_lower[near[0]]}"?' if near else ""


def listed(names: Sequence[str]) -> str:
    """Return the names as "a, b, c or d", the tail counted when there are many."""
    if len(names) > _SHOWN:
        return f"{', '.join(names[:_SHOWN])} … ({len(names)} in all)"
    return f"{', '.join(names[:-1])} or {names[-1]}" if len(names) > 1 else "".join(names)


def found(value: Any) -> str:
    """Return a short description of a value, as messages name what they found."""
    if value is None:
        return "nothing"
    if value is True or value is False:
        return f"the boolean {str(value).lower()}"
    if isinstance(value, (int, Decimal)):
        return f"the number {value}"
    if isinstance(value, str):
        return f'the text "{shown(value)}"'
    return "a list" if isinstance(value, list) else "a mapping"


def _explain(value: Any, kind: Any, path: Path, title: str) -> Iterator[Fault]:  # noqa: PLR0911  # one line for each kind of type
    if isinstance(kind, inspect.Metadata):
        extra = kind.extra_json_schema or {}
        return _explain(value, kind.type, path, str(extra.get("title") or title))
    if isinstance(kind, inspect.AnyType):
        return iter(())
    if isinstance(kind, inspect.UnionType):
        return _union(value, kind, path, title)
    if isinstance(kind, inspect.StructType):
        return _struct(value, kind, path)
    if isinstance(kind, inspect.DictType):
        return _mapping(value, kind, path, title)
    if isinstance(kind, (inspect.VarTupleType, inspect.ListType)):
        return _sequence(value, kind, path)
    return _plain(value, kind, path, title)


def _union(value: Any, kind: inspect.UnionType, path: Path, title: str) -> Iterator[Fault]:
    options = [option for option in kind.types if not isinstance(_bare(option), inspect.NoneType)]
    if value is None and len(options) < len(kind.types):
        return iter(())
    for option in options:
        if _same_shape(value, _bare(option)):
            return _explain(value, option, path, title)
    expected = title if _describes(title) else _alternatives(options)
    remedy = next(filter(None, (_remedy(value, _bare(option)) for option in options)), "")
    return iter((Fault(path, f"found {found(value)}, expected {expected}{remedy}"),))


def _struct(value: Any, kind: inspect.StructType, path: Path) -> Iterator[Fault]:
    if not isinstance(value, dict):
        yield Fault(path, f"found {found(value)}, expected {_expected(kind)}")
        return
    fields = {field.encode_name: field for field in kind.fields}
    for key, item in value.items():
        if key not in fields:
            yield Fault(
                (*path, key), f'unknown key "{shown(key)}"; expected {listed(list(fields))}{did_you_mean(key, fields)}', on_key=True
            )
        else:
            yield from _explain(item, fields[key].type, (*path, key), key)
    for name, field in fields.items():
        if field.required and name not in value:
            only: tuple[Any, ...] = getattr(_bare(field.type), "values", ())
            advice = f"write `{name}: {only[0]}`" if len(only) == 1 else f"expected {_expected(field.type)}"
            yield Fault(path, f'"{name}" is missing; {advice}', on_key=True)


def _mapping(value: Any, kind: inspect.DictType, path: Path, title: str) -> Iterator[Fault]:
    if not isinstance(value, dict):
        yield Fault(path, f"found {found(value)}, expected {_expected(kind)}")
        return
    if kind.min_length and len(value) < kind.min_length:
        yield Fault(path, f"found an empty mapping, expected at least {kind.min_length} entry")
    for key, item in value.items():
        for fault in _explain(key, kind.key_type, (*path, key), "a name"):
            yield Fault(
                fault.path,
                fault.message.replace("found the text", "the key", 1).replace(", expected", " is not allowed, expected", 1),
                on_key=True,
            )
        yield from _explain(item, kind.value_type, (*path, key), title)


def _sequence(value: Any, kind: Any, path: Path) -> Iterator[Fault]:
    if not isinstance(value, list):
        hint = f"; write [{value}]" if isinstance(value, (str, int)) and _PLAIN_ITEM.match(str(value)) else ""
        yield Fault(path, f"found {found(value)}, expected a list{hint}")
        return
    if kind.min_length and len(value) < kind.min_length:
        yield Fault(path, f"found an empty list, expected at least {kind.min_length} item")
    for index, item in enumerate(value):
        yield from _explain(item, kind.item_type, (*path, index), "an item")


def _plain(value: Any, kind: Any, path: Path, title: str) -> Iterator[Fault]:
    if isinstance(kind, inspect.LiteralType):
        if not (isinstance(value, (str, int)) and not isinstance(value, bool) and value in kind.values):
            names = [str(option) for option in kind.values]
            yield Fault(path, f"found {found(value)}, expected {listed(names)}{_literal_hint(value, kind.values)}")
        return
    if not _same_shape(value, kind):
        yield Fault(path, f"found {found(value)}, expected {_noun(kind, title)}{_remedy(value, kind)}")
    elif isinstance(kind, inspect.StrType):
        yield from _text(value, kind, path, title)
    elif isinstance(kind, inspect.IntType):
        low, high = kind.ge, kind.le
        if (low is not None and value < low) or (high is not None and value > high):
            span = f"{low} to {high}" if high is not None else f"{low} or more"
            yield Fault(path, f"found {found(value)}, expected {_noun(kind, title)}: {span}")
        elif not -(2**63) <= value < 2**64:
            yield Fault(path, f"found {found(value)}, expected a number of at most 64 bits")


def _literal_hint(value: Any, options: Sequence[object]) -> str:
    if not isinstance(value, str):
        return ""
    if value in [str(option) for option in options]:
        return f"; write {value} without the quotes"
    return did_you_mean(value, [option for option in options if isinstance(option, str)])


def _text(value: str, kind: inspect.StrType, path: Path, title: str) -> Iterator[Fault]:
    if kind.min_length and len(value) < kind.min_length:
        yield Fault(path, f"found an empty text, expected {_noun(kind, title)}")
    elif kind.max_length and len(value) > kind.max_length:
        yield Fault(path, f"found {len(value):,} characters, expected at most {kind.max_length:,}")
    elif kind.pattern and not re.search(kind.pattern, value):
        yield Fault(path, f"found {found(value)}, expected {_noun(kind, title)}")


def _bare(kind: Any) -> Any:
    while isinstance(kind, inspect.Metadata):
        kind = kind.type
    return kind


def _same_shape(value: Any, kind: Any) -> bool:  # noqa: PLR0911  # one line for each kind of value
    kind = _bare(kind)
    if isinstance(kind, inspect.UnionType):
        return any(_same_shape(value, option) for option in kind.types)
    if isinstance(value, bool):
        return isinstance(kind, inspect.BoolType)
    if isinstance(value, str):
        return isinstance(kind, (inspect.StrType, inspect.LiteralType, inspect.AnyType))
    if isinstance(value, int):
        return isinstance(kind, (inspect.IntType, inspect.DecimalType, inspect.LiteralType, inspect.AnyType))
    if isinstance(value, Decimal):
        return isinstance(kind, (inspect.DecimalType, inspect.AnyType))
    if isinstance(value, dict):
        return isinstance(kind, (inspect.StructType, inspect.DictType, inspect.AnyType))
    if isinstance(value, list):
        return isinstance(kind, (inspect.VarTupleType, inspect.ListType, inspect.AnyType))
    return isinstance(kind, (inspect.NoneType, inspect.AnyType))


def _noun(kind: Any, title: str) -> str:
    names: dict[type, str] = {
        inspect.StrType: "text",
        inspect.IntType: "a whole number",
        inspect.BoolType: "true or false",
        inspect.DecimalType: "a number",
    }
    return title if _describes(title) and not isinstance(kind, inspect.BoolType) else names.get(type(kind), "something else")


def _describes(title: str) -> bool:
    """Return whether `title` says what a value is ("a port"), and is not merely the key that it stands under."""
    return title.startswith(("a ", "an ", "the name of"))


def _alternatives(options: Sequence[Any]) -> str:
    """Return what the options expect, the longest (mappings) last."""
    texts = sorted(dict.fromkeys(_expected(option) for option in options), key=lambda text: text.startswith("a mapping"))
    return (", or " if texts[-1].startswith("a mapping") else " or ").join(texts)


def _expected(kind: Any) -> str:  # one line for each kind of type
    title = str((kind.extra_json_schema or {}).get("title") or "") if isinstance(kind, inspect.Metadata) else ""
    bare = _bare(kind)
    if isinstance(bare, inspect.StructType):
        keys = [field.encode_name for field in bare.fields]
        return f"a mapping with {listed(keys)}" if len(keys) > 1 else f"a mapping such as {{{keys[0]}: name}}"
    if isinstance(bare, inspect.LiteralType):
        return listed([str(option) for option in bare.values])
    if isinstance(bare, inspect.UnionType):
        options = [option for option in bare.types if not isinstance(_bare(option), inspect.NoneType)]
        return title if _describes(title) else _alternatives(options)
    if isinstance(bare, inspect.DictType):
        example = _example(bare.key_type)
        return f"a mapping such as {{{example}: …}}" if example else "a mapping"
    if isinstance(bare, (inspect.VarTupleType, inspect.ListType)):
        return "a list"
    return _noun(bare, title)


def _example(kind: Any) -> str:
    examples = (kind.extra_json_schema or {}).get("examples") if isinstance(kind, inspect.Metadata) else None
    return str(examples[0]) if examples else ""


def _remedy(value: Any, kind: Any) -> str:
    """Return what to write instead, where YAML's own rules are what surprises."""
    if isinstance(kind, inspect.BoolType) and isinstance(value, str):
        word = value.lower()
        return f"; write {'true' if word in {'yes', 'on', 'y'} else 'false'}" if word in {"yes", "on", "y", "no", "off", "n"} else ""
    if isinstance(kind, inspect.StrType) and isinstance(value, (bool, int, Decimal)):
        text = str(value).lower() if isinstance(value, bool) else str(value)
        if kind.pattern is None or re.search(kind.pattern, text):
            return f'; as text it is written in quotes: "{text}"'
        return f"; write {text}s" if re.search(kind.pattern, f"{text}s") else ""
    if isinstance(kind, (inspect.IntType, inspect.DecimalType)) and isinstance(value, str) and _DIGITS.match(value):
        if value.startswith("0"):
            return f"; a leading zero means octal to some readers: write {value.lstrip('0_') or '0'}"
        return f"; write {value.replace('_', '')}"
    return ""

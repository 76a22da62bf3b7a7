"""The reference page of spec.yaml, made from the model, so that it cannot say what the program does not do."""

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import inspect

from specwatch.spec.model import Spec


def reference_page() -> str:
    """Return the page as Markdown: a section for each kind of mapping, a table of its keys."""
    lines = [
        "# spec.yaml, key by key",
        "",
        "Made by `specwatch reference` from the model that reads the file. Durations are in Prometheus' notation (`30s`, `5m`,",
        "`1h30m`, `15d`); `{secret: name}` is the content of `secrets/name`. Your editor completes the file with `specwatch schema`.",
        "",
    ]
    root = inspect.type_info(Spec)
    seen: set[type] = set()
    queue: list[tuple[str, Any]] = [("spec.yaml", root)]
    while queue:
        title, info = queue.pop(0)
        if info.cls in seen:
            continue
        seen.add(info.cls)
        lines += [f"## {title}", "", str(info.cls.__doc__ or "").strip(), "", "| key | what | kind | default |", "|---|---|---|---|"]
        for field in info.fields:
            lines.append(
                f"| `{field.encode_name}` | {_cell(_description(field.type))} | {_cell(_kind(field.type))} | {_cell(_default(field))} |"
            )
            queue += [(f"{field.encode_name}: {child.cls.__name__}" if title else "", child) for child in _structs(field.type)]
        lines.append("")
    return "\n".join(lines).rstrip("\n") + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _description(kind: Any) -> str:
    return str((getattr(kind, "extra_json_schema", None) or {}).get("description", ""))


def _structs(kind: Any) -> Iterator[Any]:
    if isinstance(kind, inspect.StructType):
        yield kind
    for inner in _inner(kind):
        yield from _structs(inner)


def _inner(kind: Any) -> tuple[Any, ...]:
    if isinstance(kind, inspect.Metadata):
        return (kind.type,)
    if isinstance(kind, inspect.UnionType):
        return kind.types
    if isinstance(kind, inspect.DictType):
        return (kind.value_type,)
    if isinstance(kind, (inspect.VarTupleType, inspect.ListType)):
        return (kind.item_type,)
    return ()


def _kind(kind: Any) -> str:  # noqa: PLR0911  # one line for each kind of type
    title = str((getattr(kind, "extra_json_schema", None) or {}).get("title", ""))
    if title:
        return title
    if isinstance(kind, inspect.Metadata):
        return _kind(kind.type)
    if isinstance(kind, inspect.UnionType):
        return " or ".join(dict.fromkeys(_kind(option) for option in kind.types if not isinstance(option, inspect.NoneType)))
    if isinstance(kind, inspect.LiteralType):
        return ", ".join(f"`{value}`" for value in kind.values)
    if isinstance(kind, inspect.StructType):
        return f"mapping ({kind.cls.__name__})"
    if isinstance(kind, inspect.DictType):
        return f"mapping of names to {_kind(kind.value_type)}"
    if isinstance(kind, (inspect.VarTupleType, inspect.ListType)):
        return f"list of {_kind(kind.item_type)}"
    names: dict[type, str] = {
        inspect.StrType: "text",
        inspect.IntType: "whole number",
        inspect.BoolType: "true or false",
        inspect.DecimalType: "number",
    }
    return names.get(type(kind), "anything")


def _default(field: Any) -> str:
    if field.required:
        return "**required**"
    value = field.default_factory() if field.default is msgspec.NODEFAULT else field.default
    if value is None or (not isinstance(value, bool) and value in ({}, (), "")):
        return ""
    if isinstance(value, msgspec.Struct):
        return "its own defaults"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"

"""The types of the model."""

from collections.abc import Iterator

from msgspec import inspect

from specwatch.spec.model import Spec

_ARRAYS = (inspect.VarTupleType, inspect.TupleType, inspect.ListType, inspect.SetType)


def _unions(kind: object, seen: set[int]) -> Iterator[inspect.UnionType]:
    """Yield every union below a type."""
    if id(kind) in seen:
        return
    seen.add(id(kind))
    if isinstance(kind, inspect.UnionType):
        yield kind
    for name in getattr(kind, "__struct_fields__", ()):
        value = getattr(kind, name)
        for each in value if isinstance(value, tuple) else (value,):
            if isinstance(each, inspect.Type | inspect.Field):
                yield from _unions(each, seen)


def _bare(kind: inspect.Type) -> inspect.Type:
    return _bare(kind.type) if isinstance(kind, inspect.Metadata) else kind


def _has_pattern(kinds: list[inspect.Type]) -> bool:
    return any(isinstance(kind, inspect.StrType) and kind.pattern for kind in kinds)


def _has_list(kinds: list[inspect.Type]) -> bool:
    return any(isinstance(kind, _ARRAYS) for kind in kinds)


def test_no_text_with_a_pattern_stands_beside_a_list() -> None:
    """Ensure the model has no union that makes msgspec 0.22 crash, now and then, when its types are collected as garbage."""
    found = list(_unions(inspect.type_info(Spec), set()))
    wrong = [kinds for union in found if _has_pattern(kinds := [_bare(kind) for kind in union.types]) and _has_list(kinds)]
    assert len(found) > 20
    assert wrong == []

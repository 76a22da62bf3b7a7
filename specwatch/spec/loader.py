"""spec.yaml to a `Spec`, or every problem in it at once."""

from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from specwatch.spec.explain import explain
from specwatch.spec.model import Spec
from specwatch.spec.source import Fault, Source, read


class Reading(Struct, frozen=True):
    """What a source says: the spec, or what is sound of it beside the `faults` of form and the names of the entries that have them."""

    spec: Spec
    faults: tuple[Fault, ...] = ()
    left_out: frozenset[str] = frozenset()


def load(file: Path) -> tuple[Spec, Source]:
    """Return the spec in `file` and its source; raises SpecError with every problem of form that it has."""
    source = read(file, str(file))
    return parse(source), source


def parse(source: Source) -> Spec:
    """Return the spec that `source` holds; raises SpecError with every problem of form that it has."""
    reading = examine(source)
    if reading.faults:
        raise source.error(reading.faults)
    return reading.spec


def examine(source: Source) -> Reading:
    """Return what `source` says; raises SpecError only when it is not one YAML document."""
    data = source.data()
    try:
        return Reading(_convert(data))
    except msgspec.ValidationError as error:
        # The walk knows every fault and its place; if it should find none, what convert said still reaches the user.
        faults = explain(data, Spec) or (Fault((), str(error)),)
    sound, left_out = _sound(data, faults)
    try:
        return Reading(_convert(sound), faults, left_out)
    except msgspec.ValidationError:
        return Reading(Spec(version=1), faults, left_out)


def _convert(data: Any) -> Spec:
    return msgspec.convert(data, Spec, builtin_types=(Decimal,))  # otherwise the text "nan" would be a number


def _sound(data: Any, faults: Iterable[Fault]) -> tuple[dict[str, Any], frozenset[str]]:
    """Return `data` without the entries (a service, a receiver, a route …) that have a fault, and the names of those."""
    sections = dict(data) if isinstance(data, dict) else {}
    left_out = set()
    for fault in faults:
        section = fault.path[0] if fault.path else ""
        held = sections.get(section)
        if len(fault.path) == 1 or not isinstance(held, (dict, list)):
            sections.pop(section, None)  # a misspelt section, perhaps: its entries are what others refer to
            left_out |= {str(name) for name in held} if isinstance(held, dict) else set()
        elif isinstance(held, dict):
            sections[section] = {name: entry for name, entry in held.items() if name != fault.path[1]}
            left_out.add(str(fault.path[1]))
        else:
            sections[section] = [None if index == fault.path[1] else entry for index, entry in enumerate(held)]
    kept = {name: [entry for entry in held if entry is not None] if isinstance(held, list) else held for name, held in sections.items()}
    return {**kept, "version": 1}, frozenset(left_out)

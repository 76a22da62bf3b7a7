"""spec.yaml to a `Spec`, or every problem in it at once."""

from pathlib import Path

import msgspec

from specwatch.spec.explain import explain
from specwatch.spec.model import Spec
from specwatch.spec.source import Fault, Source, read


def load(file: Path) -> tuple[Spec, Source]:
    """Return the spec in `file` and its source; raises SpecError with every problem of form that it has."""
    source = read(file, file.name)
    return parse(source), source


def parse(source: Source) -> Spec:
    """Return the spec that `source` holds; raises SpecError with every problem of form that it has."""
    data = source.data()
    try:
        return msgspec.convert(data, Spec)
    except msgspec.ValidationError as error:
        # The walk knows every fault and its place; if it should find none, what convert said still reaches the user.
        faults = explain(data, Spec) or (Fault((), str(error)),)
        raise source.error(faults) from None

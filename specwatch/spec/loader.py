"""spec.yaml to a `Spec`, or every problem in it at once."""

from decimal import Decimal
from pathlib import Path

import msgspec

from specwatch.spec.explain import explain
from specwatch.spec.model import Spec
from specwatch.spec.source import Fault, Source, read


def load(file: Path) -> tuple[Spec, Source]:
    """Return the spec in `file` and its source; raises SpecError with every problem of form that it has."""
    source = read(file, str(file))
    return parse(source), source


def parse(source: Source) -> Spec:
    """Return the spec that `source` holds; raises SpecError with every problem of form that it has."""
    data = source.data()
    try:
        return msgspec.convert(data, Spec, builtin_types=(Decimal,))  # otherwise the text "nan" would be a number
    except msgspec.ValidationError as error:
        # The walk knows every fault and its place; if it should find none, what convert said still reaches the user.
        faults = explain(data, Spec) or (Fault((), str(error)),)
        raise source.error(faults) from None

"""The place where the resolver notes what is wrong, so that every fault is reported at once."""

from collections.abc import Iterable

from specwatch.spec.explain import did_you_mean, listed
from specwatch.spec.source import Fault, Path, shown


class Faults:
    """Faults in the order in which they were found."""

    def __init__(self) -> None:
        self.all: list[Fault] = []

    def add(self, path: Path, message: str, *, on_key: bool = False) -> None:
        """Note a fault at `path`."""
        self.all.append(Fault(path, message, on_key))

    def reference(self, path: Path, kind: str, name: str, known: Iterable[str]) -> bool:
        """Return whether `name` is among `known`; note a fault when it is not."""
        names = list(known)
        if name in names:
            return True
        expected = f"expected {listed(names)}" if names else f"there is no {kind} at all"
        self.add(path, f'no {kind} is called "{shown(name)}"; {expected}{did_you_mean(name, names)}')
        return False

"""The place where the resolver notes what is wrong, so that every fault is reported at once."""

from collections.abc import Collection

from specwatch import names
from specwatch.spec.explain import did_you_mean, listed
from specwatch.spec.source import Fault, Path, shown


class Faults:
    """Faults in the order in which they were found."""

    def __init__(self) -> None:
        self.all: list[Fault] = []

    def add(self, path: Path, message: str, *, on_key: bool = False) -> None:
        """Note a fault at `path`."""
        self.all.append(Fault(path, message, on_key))

    def positive(self, text: str, path: Path) -> int:
        """Return a duration in seconds; note a fault when it is zero."""
        value = names.seconds(text)
        if value == 0:
            self.add(path, f"found {text}, expected at least 1s")
        return value

    def reference(self, path: Path, kind: str, name: str, known: Collection[str], *, on_key: bool = False) -> bool:
        """Return whether `name` is among `known`; note a fault when it is not."""
        if name in known:  # asked of a mapping or a set, for a spec may name ten thousand of a thousand services
            return True
        options = list(known)
        expected = f"expected {listed(options)}" if options else f"there is no {kind} at all"
        message = f'no {kind} is called "{shown(name)}"; {expected}{did_you_mean(name, options)}'
        self.all.append(Fault(path, message, on_key, refers_to=name))
        return False

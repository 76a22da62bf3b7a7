"""Stages of Promtail as they are written one after the other, and where each field stands among what they found."""

from collections.abc import Iterable
from typing import Any

Written = dict[str, Any]
"""One stage: its name and its settings."""


class Writer:
    """The stages so far (`stages`), and the slots of Promtail's extracted map in which each field may stand."""

    def __init__(self) -> None:
        """Begin with no stages and no fields."""
        self.stages: list[Written] = []
        self._slots: dict[str, tuple[str, ...]] = {}
        self._names: set[str] = set()

    def add(self, kind: str, /, **settings: object) -> None:
        """Add a stage."""
        self.stages.append({kind: settings})

    def template(self, slot: str, text: str) -> None:
        """Add a stage that sets a slot to what a template gives, or forgets it where that is empty."""
        self.add("template", source=slot, template=text)

    def name(self, wanted: str) -> str:
        """Return a name for a slot that nothing has yet."""
        plain = wanted.replace(".", "_")
        names = (plain, *(f"{plain}_{number}" for number in range(2, len(self._names) + 3)))
        free = next(name for name in names if name not in self._names)
        self._names.add(free)
        return free

    def slot(self, field: str) -> str:
        """Return a new slot for a field, which no label can have."""
        return self.name(f"f_{field}")

    def found(self, field: str, slot: str) -> None:
        """Note that the field is what stands in `slot`, and what it was before where that is not there."""
        self._slots[field] = (slot, *self._slots.get(field, ()))

    def forget(self, field: str) -> tuple[str, ...]:
        """Forget a field and return the slots that it had."""
        return self._slots.pop(field, ())

    def slots(self, *fields: str) -> tuple[str, ...]:
        """Return the slots of all these fields, in order: the first that is there counts."""
        return tuple(slot for field in fields for slot in self._slots.get(field, ()))

    def one(self, field: str) -> str | None:
        """Return the one slot of a field, None where no parser finds it; of several one is made, which may be empty too."""
        slots = self.slots(field)
        if len(slots) < 2:  # noqa: PLR2004  # nothing to choose from
            return slots[0] if slots else None
        chosen, slot = self.name("chosen"), self.slot(field)
        self.template(chosen, first(slots, "={{{{ .{slot} }}}}"))
        self.add("regex", source=chosen, expression=f"^=(?P<{slot}>(?s:.*))$")
        return slot


def first(slots: Iterable[str], then: str) -> str:
    """Return the template that does `then` with the first slot (`{slot}` in it) that is there."""
    tests = [f'{{{{ {"else if" if index else "if"} hasKey . "{slot}" }}}}{then.format(slot=slot)}' for index, slot in enumerate(slots)]
    return "".join([*tests, "{{ end }}"]) if tests else ""

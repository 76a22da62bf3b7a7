"""Python names for what Prometheus names."""

import keyword
import re
from collections.abc import Iterable

_APART = re.compile(r"[^A-Za-z0-9]+")


def class_name(name: str) -> str:
    """Return `name` in CamelCase, such as OrdersTotal for orders_total; never empty and never beginning with a digit."""
    words = "".join(word[0].upper() + word[1:] for word in _APART.split(name) if word)
    return words if words and not words[0].isdigit() else f"M{words}"


def module_name(service: str) -> str:
    """Return the name of a service's metrics module, such as shop_metrics."""
    words = _APART.sub("_", service).strip("_").lower()
    return f"{words}_metrics" if words and not words[0].isdigit() else f"service_{words}_metrics"


def attributes(names: Iterable[str], taken: Iterable[str] = ()) -> dict[str, str]:
    """Return an attribute for each metric: its name, changed only where Python would not take it or another has it already.

    A name with two underscores in front would be mangled inside a class, so it loses them.
    """
    used = set(taken)
    found: dict[str, str] = {}
    for name in names:
        attribute = name.replace(":", "_")
        if attribute.startswith("__"):
            attribute = attribute.strip("_")
        if not attribute or attribute[0].isdigit():
            attribute = f"m_{attribute}"
        while attribute in used or keyword.iskeyword(attribute):
            attribute += "_"
        used.add(attribute)
        found[name] = attribute
    return found


def class_names(names: Iterable[str], taken: Iterable[str] = ()) -> dict[str, str]:
    """Return a private class name for each metric."""
    used = set(taken)
    found: dict[str, str] = {}
    for name in names:
        chosen = f"_{class_name(name)}"
        while chosen in used:
            chosen += "_"
        used.add(chosen)
        found[name] = chosen
    return found

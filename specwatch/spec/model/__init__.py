"""The types of everything that a spec may hold, by subject."""

from specwatch.spec.model.root import Spec

__all__ = ["Spec"]

"""The module that an application imports: it loads the catalog and binds each metric to an attribute. The stubs beside it have types."""

import ast
from collections.abc import Sequence
from typing import Final

from specwatch.codegen import trees
from specwatch.codegen.identifiers import attributes, class_name
from specwatch.stack import Metric

RESERVED: Final = ("registry",)
"""Attributes of the generated class that are no metrics."""


def class_of(service: str) -> str:
    """Return the name of the service's class, such as ShopMetrics."""
    return f"{class_name(service)}Metrics"


def module(service: str, metrics: Sequence[Metric], catalog_file: str) -> str:
    """Return the text of the service's `.py` file, which loads `catalog_file` from its own folder."""
    here = trees.call(trees.name("Path"), trees.name("__file__"))
    return trees.source(
        [
            trees.docstring(f"The metrics of {service}."),
            trees.imported("pathlib", "Path"),
            trees.imported("specwatch.telemetry.metrics", "Metrics", "load_catalog"),
            trees.assign(trees.name("CATALOG"), trees.call(trees.attribute(here, "with_name"), trees.text(catalog_file))),
            trees.klass(class_of(service), [trees.docstring(_ABOUT.format(service=service)), _constructor(metrics)]),
        ]
    )


_ABOUT: Final = """The metrics of {service}, each an attribute.

    Args:
        registry: where they are registered; a registry of their own when left out.
        options: for that registry; see `specwatch.telemetry.metrics.Metrics`.
    """


def _constructor(metrics: Sequence[Metric]) -> ast.FunctionDef:
    own = trees.attribute(trees.name("self"), "registry")
    registry, options, definition = trees.name("registry"), trees.name("options"), trees.name("definition")
    fresh = trees.call(trees.name("Metrics"), keywords=[ast.keyword(None, options)])
    given = ast.Compare(registry, [ast.Is()], [ast.Constant(None)])
    define = ast.Expr(trees.call(trees.attribute(own, "define"), definition))
    body: list[ast.stmt] = [
        trees.assign(trees.attribute(trees.name("self"), "registry"), ast.IfExp(given, fresh, registry)),
        ast.For(ast.Name("definition", ast.Store()), trees.call(trees.name("load_catalog"), trees.name("CATALOG")), [define], []),
    ]
    for name, bound in attributes((metric.name for metric in metrics), taken=RESERVED).items():
        item = ast.Subscript(own, trees.text(name), ast.Load())
        body.append(trees.assign(trees.attribute(trees.name("self"), bound), item))
    arguments = ast.arguments([], [ast.arg("self"), ast.arg("registry")], None, [], [], ast.arg("options"), [ast.Constant(None)])
    return trees.function("__init__", arguments, None, body)

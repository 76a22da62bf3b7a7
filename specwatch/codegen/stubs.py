"""The stubs: what may be called with which labels, so that editors complete and type checkers refuse what the spec does not declare."""

import ast
import keyword
from collections.abc import Mapping, Sequence
from typing import Final

from specwatch.codegen import trees
from specwatch.codegen.identifiers import attributes, class_names
from specwatch.codegen.module import RESERVED, class_of
from specwatch.stack import Metric, MetricType

_CHILDREN: Final[Mapping[MetricType, str]] = {
    "counter": "CounterChild",
    "gauge": "GaugeChild",
    "histogram": "HistogramChild",
    "summary": "SummaryChild",
}
# Which calls a metric takes in one go, by type: the name of what is counted or measured, and whether an exemplar may come along.
_VERBS: Final[Mapping[MetricType, Mapping[str, tuple[str, bool]]]] = {
    "counter": {"inc": ("amount", True)},
    "gauge": {"set": ("value", False), "inc": ("amount", False), "dec": ("amount", False)},
    "histogram": {"observe": ("value", True)},
    "summary": {"observe": ("value", False)},
}
_TIMED: Final = frozenset({"gauge", "histogram", "summary"})
# What only a metric without labels can do by itself; with labels, its series can.
_BARE: Final[Mapping[MetricType, Mapping[str, str]]] = {
    "counter": {"count_exceptions": "ExceptionCount"},
    "gauge": {"set_to_current_time": "", "track_inprogress": "InProgress"},
}
_OPTIONAL: Final = frozenset({"amount"})
_EXEMPLAR: Final = "exemplar"
_HOMES: Final[Mapping[str, Sequence[str]]] = {
    "collections.abc": ("Callable", "Mapping"),
    "pathlib": ("Path",),
    "typing": ("Any", "Final", "Literal"),
    "specwatch.telemetry.metrics": ("Metrics",),
    "specwatch.telemetry.metrics.children": (*sorted([*_CHILDREN.values(), "ExceptionCount", "InProgress", "Timer"]),),
}


def stubs(service: str, metrics: Sequence[Metric]) -> str:
    """Return the text of the service's `.pyi` file."""
    classes = class_names((metric.name for metric in metrics), taken=(class_of(service),))
    bound = attributes((metric.name for metric in metrics), taken=RESERVED)
    body: list[ast.stmt] = [trees.declared("CATALOG", trees.subscript("Final", trees.name("Path")))]
    for metric in metrics:
        body += _metric(metric, classes[metric.name])
    body.append(_service(service, metrics, classes, bound))
    return trees.source([trees.docstring(f"The metrics of {service}."), *trees.imports_for(body, _HOMES), *body])


def _service(service: str, metrics: Sequence[Metric], classes: Mapping[str, str], bound: Mapping[str, str]) -> ast.ClassDef:
    options = ast.arguments(
        [],
        [ast.arg("self"), ast.arg("registry", trees.union(trees.name("Metrics"), ast.Constant(None)))],
        None,
        [],
        [],
        ast.arg("options", trees.name("Any")),
        [trees.ellipsis()],
    )
    body: list[ast.stmt] = [trees.docstring(f"The metrics of {service}."), trees.declared("registry", trees.name("Metrics"))]
    for metric in metrics:
        body += [trees.declared(bound[metric.name], trees.name(classes[metric.name])), trees.docstring(metric.help)]
    return trees.klass(class_of(service), [*body, trees.function("__init__", options, ast.Constant(None))])


def _metric(metric: Metric, class_: str) -> list[ast.stmt]:
    if metric.type == "info":
        return [trees.klass(class_, [trees.docstring(metric.help), _info()])]
    return [trees.klass(class_, [trees.docstring(metric.help), *_methods(metric)])]


def _methods(metric: Metric) -> list[ast.stmt]:
    none = ast.Constant(None)
    methods: list[ast.stmt] = []
    if metric.labels:
        methods.append(trees.function("labels", _arguments(metric), trees.name(_CHILDREN[metric.type])))
    for verb, (measured, exemplar) in _VERBS[metric.type].items():
        # The one-call form takes `exemplar` for its own; for a metric with such a label, `labels(…)` is what is left.
        if not (exemplar and _EXEMPLAR in metric.labels):
            methods.append(trees.function(verb, _arguments(metric, measured, exemplar=exemplar), none))
    if metric.type == "gauge":
        function = trees.subscript("Callable", ast.List([], ast.Load()), trees.name("float"))
        methods.append(trees.function("set_function", _arguments(metric, "function", kind=function), none))
    if metric.type in _TIMED:
        methods.append(trees.function("time", _arguments(metric), trees.name("Timer")))
    for verb, returned in _BARE.get(metric.type, {}).items() if not metric.labels else ():
        methods.append(trees.function(verb, _plain(), trees.name(returned) if returned else none))
    methods.append(trees.function("remove", _plain(ast.arg("values", trees.name("str"))), none))
    return [*methods, trees.function("clear", _plain(), none), trees.function("get", _plain(), trees.name("float"))]


def _plain(rest: ast.arg | None = None) -> ast.arguments:
    """Return `self`, and `*rest` where it is given."""
    return ast.arguments([], [ast.arg("self")], rest, [], [], None, [])


def _arguments(metric: Metric, measured: str = "", *, kind: ast.expr | None = None, exemplar: bool = False) -> ast.arguments:
    """Return `self, measured: float, /, exemplar: … = ..., *, label: Literal[…], …`, or `measured` of another kind.

    A label that cannot be a parameter, such as `from`, is one of `**labels`, whose values are not checked.
    """
    labels_of = trees.subscript("Mapping", trees.name("str"), trees.name("str"))
    first = [ast.arg("self"), *([ast.arg(_free(measured, metric), kind or trees.name("float"))] if measured else [])]
    plain = [ast.arg(_EXEMPLAR, trees.union(labels_of, ast.Constant(None)))] if exemplar else []
    defaults = [trees.ellipsis() for _ in (*first[1:], *plain)] if measured in _OPTIONAL else [trees.ellipsis() for _ in plain]
    named = {label: values for label, values in metric.labels.items() if label != "self" and not keyword.iskeyword(label)}
    keywords = [ast.arg(label, _values(values)) for label, values in named.items()]
    rest = ast.arg(_free("labels", metric), _values(None)) if len(named) < len(metric.labels) else None
    return ast.arguments(first, plain, None, keywords, [None] * len(keywords), rest, list(defaults))


def _free(parameter: str, metric: Metric) -> str:
    """Return the parameter's name, changed where a label has it."""
    while parameter in metric.labels:
        parameter += "_"
    return parameter


def _info() -> ast.FunctionDef:
    facts = trees.union(trees.subscript("Mapping", trees.name("str"), trees.name("object")), ast.Constant(None))
    arguments = ast.arguments(
        [ast.arg("self"), ast.arg("facts", facts)], [], None, [], [], ast.arg("named", trees.name("object")), [trees.ellipsis()]
    )
    return trees.function("info", arguments, ast.Constant(None))


def _values(values: tuple[str, ...] | None) -> ast.expr:
    if not values:
        return trees.union(trees.name("str"), trees.name("int"))
    return trees.subscript("Literal", *(trees.text(value) for value in values))

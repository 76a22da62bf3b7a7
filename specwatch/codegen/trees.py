"""Small pieces of syntax trees, so that no value of a spec can become code."""

import ast
from collections.abc import Iterable, Mapping, Sequence


def source(body: Iterable[ast.stmt]) -> str:
    """Return the statements as text with a final newline."""
    return ast.unparse(ast.fix_missing_locations(ast.Module(list(body), []))) + "\n"


def name(identifier: str) -> ast.Name:
    """Return a name."""
    return ast.Name(identifier, ast.Load())


def text(value: str) -> ast.Constant:
    """Return a string; what UTF-8 has no bytes for is replaced."""
    return ast.Constant(value.encode("utf-8", "replace").decode())


def docstring(value: str) -> ast.Expr:
    """Return a docstring."""
    return ast.Expr(text(value))


def attribute(of: ast.expr, identifier: str) -> ast.Attribute:
    """Return `of.identifier`."""
    return ast.Attribute(of, identifier, ast.Load())


def call(function: ast.expr, *arguments: ast.expr, keywords: Sequence[ast.keyword] = ()) -> ast.Call:
    """Return a call."""
    return ast.Call(function, list(arguments), list(keywords))


def assign(target: ast.expr, value: ast.expr) -> ast.Assign:
    """Return `target = value`."""
    if isinstance(target, (ast.Name, ast.Attribute)):
        target.ctx = ast.Store()
    return ast.Assign([target], value)


def declared(identifier: str, annotation: ast.expr) -> ast.AnnAssign:
    """Return `identifier: annotation`."""
    return ast.AnnAssign(ast.Name(identifier, ast.Store()), annotation, None, 1)


def imported(module: str, *names: str) -> ast.ImportFrom:
    """Return `from module import names`."""
    return ast.ImportFrom(module, [ast.alias(each, None) for each in names], 0)


def imports_for(body: Iterable[ast.stmt], homes: Mapping[str, Sequence[str]]) -> list[ast.stmt]:
    """Return the imports of those names that the statements use, by the module that each comes from."""
    used = {node.id for statement in body for node in ast.walk(statement) if isinstance(node, ast.Name)}
    wanted = {module: [each for each in names if each in used] for module, names in homes.items()}
    return [imported(module, *names) for module, names in wanted.items() if names]


def subscript(of: str, *values: ast.expr) -> ast.Subscript:
    """Return `of[values]`."""
    inner = values[0] if len(values) == 1 else ast.Tuple(list(values), ast.Load())
    return ast.Subscript(name(of), inner, ast.Load())


def union(*types: ast.expr) -> ast.expr:
    """Return `a | b | …`."""
    first, *rest = types
    for each in rest:
        first = ast.BinOp(first, ast.BitOr(), each)
    return first


def ellipsis() -> ast.Constant:
    """Return `...`."""
    return ast.Constant(...)


def function(identifier: str, arguments: ast.arguments, returns: ast.expr | None, body: Sequence[ast.stmt] = ()) -> ast.FunctionDef:
    """Return a function; without a body it is `...`, as in a stub."""
    made = ast.FunctionDef(identifier, arguments, list(body) or [ast.Expr(ellipsis())], [], returns)
    made.lineno = 0  # ast.unparse asks for it before locations are filled in
    return made


def klass(identifier: str, body: Sequence[ast.stmt]) -> ast.ClassDef:
    """Return a class without bases."""
    return ast.ClassDef(identifier, [], [], list(body), [])

"""The template of the Starlette or FastAPI route that answered, including what it is mounted below."""

from collections.abc import Iterator, MutableMapping
from typing import Any, Final

_ROUTED: Final = frozenset({"router", "route", "endpoint"})
"""What a scope has, one or the other, once a router has seen it."""


class RouteNames:
    """Finds route templates in a scope; what is below a mount is looked up once for each route."""

    __slots__ = ("_mounted",)

    def __init__(self) -> None:
        self._mounted: dict[int, tuple[Any, str]] = {}

    def of(self, scope: MutableMapping[str, Any]) -> str:
        """Return the template, such as `/items/{item_id}`; empty when no route answered, nor would have but for a middleware that did.

        An application that is no Starlette one says its own as `specwatch.endpoint`.
        """
        said = scope.get("specwatch.endpoint")
        if said is not None:
            return str(said)
        if scope.keys() & _ROUTED:
            return self._answered(scope)
        try:
            return self._asked_for(scope)
        except Exception:  # noqa: BLE001 - a route of the application's own kind may not know such a question
            return ""

    def _asked_for(self, scope: MutableMapping[str, Any]) -> str:
        """Return the template that a request would have come to that a middleware has answered, such as one that nobody has signed."""
        asked = {**scope, "router": None}
        routes = getattr(scope.get("specwatch.app"), "routes", None)
        while routes:
            found = _match(list(routes), asked)
            if found is None:
                return ""
            included = getattr(found, "effective_route_contexts", None)
            if included is not None:
                # FastAPI: a router that was included is a route itself, which has those that its prefixes make of its own.
                return next((each.path_format for each in included() if each.path_regex.match(scope["path"])), "")
            asked["route"] = found
            routes = getattr(found, "routes", None) if hasattr(found, "app") else None
        return self._answered(asked) if "route" in asked else ""

    def _answered(self, scope: MutableMapping[str, Any]) -> str:
        route = scope.get("route")
        path: str | None = getattr(route, "path_format", None) or getattr(route, "path", None)
        # FastAPI: what an included router's prefixes make of the route's own path.
        context = scope.get("fastapi")
        if isinstance(context, dict):
            path = getattr(context.get("effective_route_context"), "path_format", None) or path
        if path is None:
            return self._by_endpoint(scope)
        if scope.get("app_root_path", scope.get("root_path", "")) == scope.get("root_path", ""):
            return path
        return self._below_mount(scope, route, path)

    def _below_mount(self, scope: MutableMapping[str, Any], route: Any, path: str) -> str:
        known = self._mounted.get(id(route))
        if known is None or known[0] is not route:
            leaves = _leaves(scope.get("specwatch.app"), "")
            # A mount that itself is the last to match has handed on to routes of which none did.
            other = "" if getattr(route, "routes", None) else path
            known = self._mounted[id(route)] = (route, next((template for leaf, template in leaves if leaf is route), other))
        return known[1]

    def _by_endpoint(self, scope: MutableMapping[str, Any]) -> str:
        """Starlette before 1.0 puts the endpoint into the scope, not the route; FastAPI does so for mounts."""
        endpoint = scope.get("endpoint")
        if endpoint is None:
            return ""
        known = self._mounted.get(id(endpoint))
        if known is None or known[0] is not endpoint:
            leaves = _leaves(scope.get("specwatch.app"), "")
            # A mounted application without routes of its own, such as StaticFiles, is an endpoint itself.
            found = next((template for leaf, template in leaves if _serves(leaf, endpoint)), "")
            known = self._mounted[id(endpoint)] = (endpoint, found)
        return known[1]


def _match(routes: list[Any], scope: MutableMapping[str, Any]) -> Any:
    """Return the first of the routes that takes the request, and note in the scope what it found out, as a router does."""
    for route in routes:
        match, found = route.matches(scope)
        if match.name == "FULL":
            scope.update(found)
            return route
    return None


def _serves(route: Any, endpoint: Any) -> bool:
    return getattr(route, "endpoint", None) is endpoint or getattr(route, "app", None) is endpoint


def _leaves(application: Any, prefix: str, depth: int = 0) -> Iterator[tuple[Any, str]]:
    for route in list(getattr(application, "routes", None) or ()):
        path = getattr(route, "path_format", None) or getattr(route, "path", "") or ""
        if getattr(route, "routes", None) and depth < 16:  # noqa: PLR2004 - an application mounted in itself ends somewhere
            # A mount's format ends with the rest of the path, which its own routes are.
            yield from _leaves(route, prefix + path.removesuffix("/{path}"), depth + 1)
        else:
            yield route, prefix + path

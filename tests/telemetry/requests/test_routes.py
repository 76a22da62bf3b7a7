"""Path templates, globs and placeholders."""

import pytest

from specwatch.telemetry.routes import Paths, normalise_path


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/items", "items"),
        ("/items/7", "item"),
        ("/items/new", "new"),
        ("/items/7/parts", None),
        ("/files/a/b", "file"),
        ("/blobs/a/b", "blob"),
        ("/static/", "static"),
        ("/a.b", "dot"),
        ("/axb", None),
        ("/line\nbreak", None),
    ],
)
def test_a_path_finds_its_pattern(path: str, found: str | None) -> None:
    """A written-out path wins over a pattern; a parameter is one part of the path unless it says `path`."""
    patterns = {
        "/items/<int:id>": "item",
        "/items": "items",
        "/items/new": "new",
        "/files/<path:name>": "file",
        "/blobs/{name:path}": "blob",
    }
    paths = Paths({**patterns, "/static/*": "static", "/a.b": "dot"})
    assert paths.get(path) == found


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/", "/"),
        ("/users/123", "/users/{id}"),
        ("/users/123/orders/4/", "/users/{id}/orders/{id}/"),
        ("/o/8F14E45F-CEEA-467F-A0E6-8D2A0D1C3B5E", "/o/{id}"),
        ("/commits/8f14e45fceea467f", "/commits/{id}"),
        ("/api/v1/items", "/api/v1/items"),
        ("/sessions/abcDEF123_-abcDEF123_-abcd", "/sessions/{id}"),
        ("/a-readable-but-rather-long-slug-of-words", "/a-readable-but-rather-long-slug-of-words"),
    ],
)
def test_what_looks_like_an_id_becomes_a_placeholder(path: str, shown: str) -> None:
    """Numbers, UUIDs, long hexadecimal and long random parts; words stay, a version too."""
    assert normalise_path(path) == shown

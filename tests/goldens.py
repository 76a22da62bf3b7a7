"""Golden files: whole outputs that a person can read.

`UPDATE_GOLDENS=1 pytest tests/render` writes them anew; read the diff before you commit it.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parent / "render" / "goldens"


def check(case: str, files: Mapping[str, str]) -> None:
    """Compare rendered `files` with those below goldens/`case`, or write them there when UPDATE_GOLDENS is set."""
    for path, text in files.items():
        golden = FOLDER / case / path
        if os.environ.get("UPDATE_GOLDENS"):
            golden.parent.mkdir(parents=True, exist_ok=True)
            golden.write_text(text, encoding="utf-8")
        assert golden.is_file(), f"{golden} is missing: UPDATE_GOLDENS=1 writes it"
        assert text == golden.read_text(encoding="utf-8"), f"{golden} differs: UPDATE_GOLDENS=1 writes it anew"

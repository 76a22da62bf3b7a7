"""What the tests of the engines share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from specwatch.engines.native import control


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Path]:
    """Give a project folder; whatever a test leaves running in it is stopped."""
    folder = tmp_path / "project"
    folder.mkdir()
    yield folder
    control.down(folder)

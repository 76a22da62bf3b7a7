"""Stages whose own text is hostile: real shippers make of lines what the interpreter says, and nothing else."""

import json
from pathlib import Path

import msgspec
import pytest

from tests import stacks
from tests.logs.shipping import check, expected, running_loki, start_shipper
from tests.logs.writers import now
from tests.render import pipelines

pytestmark = pytest.mark.engine

_LINES = (*(json.dumps({"component": text, "level": "info"}) for text in pipelines.HOSTILE), "x", "{{ .Entry }}", "${HOME}")


@pytest.mark.parametrize("shipper", ["otelcol", "promtail", "alloy"])
def test_hostile_text_of_stages_stays_text(shipper: str, tmp_path: Path) -> None:
    """Ensure that templates, labels and expressions of a spec mean what the model says, whatever stands in them."""
    service = pipelines.hostile(shipper).services[0]
    assert service.logs
    logs = msgspec.structs.replace(service.logs, files=(str(tmp_path / "hostile.log"),))
    began = now()
    lines = [line.encode() for line in _LINES]
    (tmp_path / "hostile.log").write_bytes(b"".join(line + b"\n" for line in lines))
    hostile = stacks.service("hostile", logs=logs)
    changes = {"services": (hostile,), "shipper": shipper, "components": ("loki", shipper), "log_alerts": ()}
    with running_loki(tmp_path, **changes) as real, start_shipper(real, shipper):
        wanted = expected(hostile, lines, began)
        check(real.holding("hostile", wanted), wanted, began)

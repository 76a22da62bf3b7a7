"""How long `generate` takes, and its YAML writer beside PyYAML's."""

import compileall
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from benchmarks.figures import say, summary
from specwatch.render.rules import alert_rule
from specwatch.resolve import resolve
from specwatch.spec.loader import load
from specwatch.textio import dump_yaml

ROOT: Final = Path(__file__).parents[1]
_SERVICES: Final = 1000
_ALERTS: Final = 8000

# Wall time and processor time, in seconds: the second says what the first would be on an idle machine.
_Took = tuple[float, float]


def generate_default(runs: int) -> dict[str, Any]:
    """Measure `specwatch generate` of the repository's spec, as a process of its own, beside the bare interpreter."""
    compileall.compile_dir(ROOT / "specwatch", quiet=2)
    with tempfile.TemporaryDirectory() as name:
        spec = Path(name) / "spec.yaml"
        shutil.copy(ROOT / "spec.yaml", spec)
        floor = [sys.executable, "-c", "pass"]
        _seconds(_generate(spec, Path(name) / "warm"))
        found = _interleaved(
            runs,
            {
                "fresh": lambda run: _seconds(_generate(spec, Path(name) / f"out{run}")),
                "unchanged": lambda _run: _seconds(_generate(spec, Path(name) / "warm")),
                "interpreter": lambda _run: _seconds(floor),
            },
        )
    return {
        "how": "wall time of the whole process, bytecode compiled; fresh: into a new folder, unchanged: again; interpreter: python -c pass",
        "target": {"fresh.median": 0.3},
        "unit": "s",
        **found,
    }


def generate_large(runs: int) -> dict[str, Any]:
    """Measure `specwatch generate` of a made spec with 1,000 services and 10,000 rules, and of one half that size."""
    compileall.compile_dir(ROOT / "specwatch", quiet=2)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        full, half = _made_spec(folder / "full.yaml", 1.0), _made_spec(folder / "half.yaml", 0.5)
        out = {"full": folder / "full", "half": folder / "half"}

        def fresh(spec: Path, size: str) -> _Took:
            shutil.rmtree(out[size], ignore_errors=True)
            return _seconds(_generate(spec, out[size]))

        found = _interleaved(
            runs,
            {
                "fresh": lambda _run: fresh(full, "full"),
                "unchanged": lambda _run: _seconds(_generate(full, out["full"])),
                "half_fresh": lambda _run: fresh(half, "half"),
            },
        )
        files = [path for path in out["full"].rglob("*") if path.is_file()]
        size = {
            "files": len(files),
            "output_mb": round(sum(path.stat().st_size for path in files) / 1e6, 1),
            "spec_mb": round(full.stat().st_size / 1e6, 1),
        }
    return {
        "how": f"wall time of the whole process for {_SERVICES} services with the pack http and {_ALERTS} alerts of their own",
        "target": {"fresh.median": 2.0, "full_by_half": "about 2: linear"},
        "unit": "s",
        **size,
        **found,
        "full_by_half": round(found["fresh"]["median"] / found["half_fresh"]["median"], 2),
    }


def dump_rules(runs: int) -> dict[str, Any]:
    """Measure our YAML writer and PyYAML's C one on the same 10,000 rules, in turn in one process."""
    with tempfile.TemporaryDirectory() as name:
        stack = resolve(*load(_made_spec(Path(name) / "spec.yaml", 1.0)))
    rules = {"groups": [{"name": "all", "rules": [alert_rule(alert) for alert in stack.alerts]}]}
    if yaml.load(dump_yaml(rules), yaml.CSafeLoader) != rules:
        raise AssertionError("what our writer wrote does not read back as the same rules")
    found = _interleaved(
        runs,
        {
            "ours": lambda _run: _elapsed(lambda: dump_yaml(rules)),
            "pyyaml_c": lambda _run: _elapsed(
                lambda: yaml.dump(rules, Dumper=yaml.CSafeDumper, sort_keys=False, allow_unicode=True, width=10**6)
            ),
        },
    )
    return {
        "how": f"{len(stack.alerts)} alert rules to text in one process, the two writers in turn",
        "target": {"times_faster": "more than 1"},
        "unit": "s",
        **found,
        "times_faster": round(found["pyyaml_c"]["median"] / found["ours"]["median"], 1),
    }


def _made_spec(path: Path, scale: float) -> Path:
    """Write a spec with `scale` times 1,000 services, which use the pack http, and 8,000 alerts beyond the packs'."""
    services = [f"service-{number}" for number in range(int(_SERVICES * scale))]
    spec = {
        "version": 1,
        "services": {name: {"metrics": {"port": 8000}, "team": "web", "uses": ["http"]} for name in services},
        "alerts": {f"Made{number}": _alert(services[number % len(services)], number) for number in range(int(_ALERTS * scale))},
        "receivers": {"ops": {"slack": {"channel": "#ops"}}},
    }
    path.write_text(yaml.dump(spec, Dumper=yaml.CSafeDumper, sort_keys=False), encoding="utf-8")
    return path


def _alert(service: str, number: int) -> dict[str, Any]:
    ratio = (
        f'sum by (job) (rate(jobs_total{{job="{service}",status="failed"}}[5m])) / sum by (job) (rate(jobs_total{{job="{service}"}}[5m]))'
    )
    return {
        "service": service,
        "expr": f"{ratio} > 0.{number + 1}",
        "for": "5m",
        "severity": "warning",
        "summary": f"{{{{ $value | humanizePercentage }}}} of the jobs of {service} fail",
        "runbook": f"https://example.com/runbooks/{number}",
    }


def _generate(spec: Path, output: Path) -> list[str]:
    output.mkdir(exist_ok=True)
    return [sys.executable, "-m", "specwatch", "generate", "--file", str(spec), "--output", str(output)]


def _seconds(command: list[str]) -> _Took:
    return _elapsed(lambda: subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True))


def _elapsed(work: Callable[[], object]) -> _Took:
    begun, busy = time.perf_counter(), _cpu_seconds()
    work()
    return time.perf_counter() - begun, _cpu_seconds() - busy


def _cpu_seconds() -> float:
    """Return the processor time of this process and of those that it has waited for."""
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def _interleaved(runs: int, cases: Mapping[str, Callable[[int], _Took]]) -> dict[str, Any]:
    """Run the cases in turn, so that what else happens on the machine meets all of them alike."""
    values: dict[str, list[_Took]] = {name: [] for name in cases}
    for run in range(runs):
        for name, case in cases.items():
            values[name].append(case(run))
        say(f"  {run + 1}/{runs}: " + ", ".join(f"{name} {seen[-1][0]:.3f} s" for name, seen in values.items()))
    return {
        name: summary([wall for wall, _ in seen]) | {"cpu_median": round(statistics.median(cpu for _, cpu in seen), 3)}
        for name, seen in values.items()
    }

"""`specwatch codegen`: what it writes, that it runs, and what a type checker makes of it."""

import ast
import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from specwatch.codegen import files, services
from specwatch.errors import UsageError
from specwatch.stack import Metric, Stack
from tests.commandline import ROOT, in_process
from tests.stacks import demo_stack

_SPEC: Final = """
version: 1
stack: {name: shop, environment: demo}
services:
  shop: {team: web, metrics: {port: 8000}, uses: [http]}
  mailer-2: {team: web, metrics: {port: 8001}}
  quiet: {team: web}
metrics:
  orders_total: {type: counter, help: Orders placed., labels: {status: [paid, failed], user: null}, services: [shop]}
  order_value_euros: {type: histogram, help: Value of an order., unit: euros, buckets: [5, 10, 20.5], services: [shop]}
  stock_items: {type: gauge, help: "Items: \\"in\\" stock.", labels: {product: [mug, sock]}, services: [shop]}
  carts: {type: gauge, help: Carts., services: [shop]}
  sizes: {type: summary, help: Sizes., labels: {from: [here, there]}, services: [shop]}
  build: {type: info, help: The build., services: [shop]}
  mails_total: {type: counter, help: Mails sent., services: [mailer-2]}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a spec."""
    (tmp_path / "spec.yaml").write_text(_SPEC, encoding="utf-8")
    return tmp_path


def generate(folder: Path, *arguments: str) -> int:
    """Run the command on the folder's spec and return its exit code."""
    return in_process("codegen", "--file", str(folder / "spec.yaml"), *arguments)


def test_the_catalog_has_the_services_metrics_with_those_of_its_packs(folder: Path) -> None:
    """Ensure the JSON is what the telemetry library loads: every field, open labels as null, numbers as the spec has them."""
    assert generate(folder, "--service", "shop") == 0
    catalog = json.loads((folder / "shop_metrics.json").read_text(encoding="utf-8"))
    metrics = {metric["name"]: metric for metric in catalog["metrics"]}
    assert catalog["service"] == "shop"
    assert {"http_requests_total", "orders_total"} <= metrics.keys()
    assert "mails_total" not in metrics
    assert metrics["orders_total"] == {
        "name": "orders_total",
        "type": "counter",
        "help": "Orders placed.",
        "unit": "",
        "labels": {"status": ["paid", "failed"], "user": None},
        "buckets": [],
    }
    assert metrics["order_value_euros"]["buckets"] == [5, 10, 20.5]


def test_the_module_counts(folder: Path) -> None:
    """Ensure the module binds every metric, on a registry of its own or on a given one."""
    assert generate(folder, "--service", "shop") == 0
    program = """
from shop_metrics import ShopMetrics
from specwatch.telemetry.metrics import Metrics
own, given = ShopMetrics(strict=True), Metrics()
other = ShopMetrics(given)
assert other.registry is given
own.orders_total.labels(status="paid", user="u").inc()
own.orders_total.inc(2, status="paid", user="u")
own.order_value_euros.observe(7)
own.stock_items.set(3, product="mug")
own.carts.inc()
own.sizes.labels(**{"from": "here"}).observe(1)
own.build.info(version="1")
value = own.registry.get_sample_value
assert value("orders_total", {"status": "paid", "user": "u"}) == 3
assert value("order_value_euros_count") == 1
assert value("stock_items", {"product": "mug"}) == 3
assert value("sizes_count", {"from": "here"}) == 1
assert given.get_sample_value("carts") == 0
try:
    own.stock_items.set(3, product="boat")
except ValueError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], cwd=folder, capture_output=True, text=True, check=False, timeout=30
    )
    assert done.returncode == 0, done.stderr
    assert "boat" in done.stdout


_RIGHT: Final = """
from shop_metrics import ShopMetrics
metrics = ShopMetrics(strict=True, namespace="x")
metrics.orders_total.labels(status="paid", user="u").inc(2, exemplar={"trace_id": "t"})
metrics.orders_total.inc(status="failed", user=7)
metrics.orders_total.inc(2, status="failed", user="u")
metrics.order_value_euros.observe(7.5, exemplar={"trace_id": "t"})
metrics.stock_items.set(3, product="mug")
metrics.stock_items.labels(product="sock").dec()
metrics.stock_items.set_function(lambda: 3.5, product="sock")
metrics.carts.set_function(lambda: 3)
with metrics.order_value_euros.time(), metrics.carts.track_inprogress():
    metrics.carts.set_to_current_time()
metrics.sizes.observe(1, **{"from": "here"})
metrics.build.info({"version": "1"}, revision="abc")
metrics.http_requests_total.inc(method="GET", endpoint="/", status=200)
text: bytes = metrics.registry.render()[0]
reveal_type(metrics.carts.get())
"""

_WRONG: Final = {
    'metrics.orders_total.inc(status="lost", user="u")': "arg-type",
    'metrics.orders_total.inc(status="paid")': "call-arg",
    'metrics.orders_total.inc(status="paid", user="u", more="x")': "call-arg",
    'metrics.orders_total.labels(state="paid", user="u")': "call-arg",
    "metrics.orders_total.dec()": "attr-defined",
    "metrics.order_totals.inc()": "attr-defined",
    "metrics.stock_items.set(product='mug')": "call-arg",
    "metrics.carts.set_function(3)": "arg-type",
    "metrics.stock_items.set(3, product='boat')": "arg-type",
    "metrics.carts.inc(status='paid')": "call-arg",
    "metrics.carts.labels()": "attr-defined",
    "metrics.order_value_euros.observe('much')": "arg-type",
    "metrics.sizes.labels(**{'from': None})": "arg-type",
    "metrics.http_requests_total.inc(method='BREW', endpoint='/', status=200)": "arg-type",
}


def test_a_type_checker_takes_what_is_declared_and_refuses_the_rest(folder: Path) -> None:
    """Ensure mypy --strict says nothing to right uses, and finds every wrong metric, label and value in its line."""
    assert generate(folder, "--service", "shop") == 0
    (folder / "right.py").write_text(_RIGHT, encoding="utf-8")
    lines = ["from shop_metrics import ShopMetrics", "metrics = ShopMetrics()", *_WRONG]
    (folder / "wrong.py").write_text("\n".join(lines) + "\n", encoding="utf-8")
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--hide-error-context"]
    right = subprocess.run([*command, "right.py", "shop_metrics.pyi"], cwd=folder, capture_output=True, text=True, check=False, timeout=300)
    assert right.stdout.splitlines() == [f'right.py:{_RIGHT.count(chr(10))}: note: Revealed type is "float"'], right.stdout + right.stderr
    wrong = subprocess.run([*command, "wrong.py"], cwd=folder, capture_output=True, text=True, check=False, timeout=300)
    found = {int(line.split(":")[1]): line for line in wrong.stdout.splitlines() if ": error: " in line}
    for number, (line, code) in enumerate(_WRONG.items(), 3):
        assert number in found, f"mypy takes {line}:\n{wrong.stdout}"
        assert found[number].endswith(f"[{code}]"), found[number]


def test_the_output_is_the_same_each_time_and_only_what_changed_is_written(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Ensure a second run touches nothing, and a changed spec all that it changes."""
    assert generate(folder, "--service", "shop") == 0
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.glob("shop_metrics.*")}
    assert len(before) == 3
    assert generate(folder, "--service", "shop") == 0
    assert {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.glob("shop_metrics.*")} == before
    assert "all as the spec makes them" in capsys.readouterr().out


def test_check_tells_drift_and_writes_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Ensure CI leaves with 1 until the files are what the spec makes, and with 0 then."""
    assert generate(folder, "--service", "shop", "--check") == 1
    assert not list(folder.glob("shop_metrics.*"))
    assert generate(folder, "--service", "shop") == 0
    assert generate(folder, "--service", "shop", "--check") == 0
    spec = folder / "spec.yaml"
    spec.write_text(spec.read_text(encoding="utf-8").replace("[paid, failed]", "[paid, failed, lost]"), encoding="utf-8")
    capsys.readouterr()
    assert generate(folder, "--service", "shop", "--check") == 1
    assert "shop_metrics.pyi: would be written" in capsys.readouterr().out


def test_the_module_goes_where_it_is_wanted(folder: Path) -> None:
    """Ensure --output names the module, its stubs and its catalog."""
    (folder / "app").mkdir()
    assert generate(folder, "--service", "mailer-2", "--output", str(folder / "app" / "mails.py")) == 0
    assert sorted(path.name for path in (folder / "app").iterdir()) == ["mails.json", "mails.py", "mails.pyi"]
    assert "class Mailer2Metrics" in (folder / "app" / "mails.py").read_text(encoding="utf-8")
    assert generate(folder, "--service", "mailer-2") == 0
    assert (folder / "mailer_2_metrics.py").is_file()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "--service is missing; expected one of shop, mailer-2"),
        (["--service", "shopp"], 'no service is called "shopp"; did you mean'),
        (["--service", "quiet"], "quiet has no metrics"),
        (["--service", "shop", "--output", "metrics.txt"], "expected the file of a Python module"),
        (["--service", "shop", "--output", "my-metrics.py"], "expected the file of a Python module"),
    ],
)
def test_a_wrong_command_line_says_what_to_do(folder: Path, arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Ensure the exit code is 2, the message has the remedy, and nothing is written."""
    assert generate(folder, *arguments) == 2
    assert said in capsys.readouterr().err
    assert [path.name for path in folder.iterdir()] == ["spec.yaml"]


@pytest.mark.parametrize(
    ("name", "text"), [("shop_metrics.py", "print('mine')\n"), ("shop_metrics.json", '{"mine": 1}'), ("shop_metrics.json", "[")]
)
def test_a_file_of_ones_own_is_never_overwritten(folder: Path, name: str, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Ensure a file that specwatch did not make stays as it is, with advice."""
    (folder / name).write_text(text, encoding="utf-8")
    assert generate(folder, "--service", "shop") == 3
    assert "was not made by specwatch" in capsys.readouterr().err
    assert (folder / name).read_text(encoding="utf-8") == text


def test_a_folder_that_cannot_be_written_is_told(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Ensure the exit code is 3 and the message names the file."""
    assert generate(folder, "--service", "shop", "--output", str(folder / "none" / "metrics.py")) == 3
    assert "none/metrics.json" in capsys.readouterr().err


def test_the_repositorys_own_spec_has_code() -> None:
    """Ensure the demo's spec makes a module whose service is found by itself."""
    done = subprocess.run(
        [sys.executable, "-m", "specwatch", "codegen", "--check"], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode in {0, 1}, done.stderr


def _stack(metrics: tuple[Metric, ...]) -> Stack:
    return msgspec.structs.replace(demo_stack(), metrics=metrics)


def _metric(**changes: Any) -> Metric:
    plain: dict[str, Any] = {"name": "m", "type": "counter", "help": "", "unit": "", "labels": {}, "buckets": (), "jobs": ("shop",)}
    return Metric(**plain | changes)


_names = st.from_regex(r"[a-zA-Z_:][a-zA-Z0-9_:]{0,12}", fullmatch=True) | st.sampled_from(
    ["class", "registry", "__init__", "a:b", "a_b", "self", "Literal"]
)
_labels = st.from_regex(r"(?!__)[a-zA-Z_][a-zA-Z0-9_]{0,8}", fullmatch=True) | st.sampled_from(
    ["from", "self", "exemplar", "amount", "labels"]
)
_texts = st.text(max_size=30) | st.sampled_from(['"""', "\\", "'''\\", "\n# x", "\x00", '\\"""+__import__("os")+"""'])
_metrics = st.builds(
    _metric,
    name=_names,
    type=st.sampled_from(["counter", "gauge", "histogram", "summary", "info"]),
    help=_texts,
    labels=st.dictionaries(_labels, st.none() | st.lists(_texts, max_size=3).map(tuple), max_size=3),
)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])  # how fast texts are made is no fact about us
@given(st.lists(_metrics, min_size=1, max_size=6, unique_by=lambda metric: metric.name))
def test_whatever_a_spec_says_is_data(metrics: list[Metric]) -> None:
    """Ensure any name, help text and label value makes Python that parses, holds no call but ours, and binds each metric once."""
    made = files(_stack(tuple(metrics)), "shop", "shop_metrics")
    assert services(_stack(tuple(metrics))) == ("shop",)
    catalog = json.loads(made["shop_metrics.json"])
    assert [metric["name"] for metric in catalog["metrics"]] == [metric.name for metric in metrics]
    module, stubs = ast.parse(made["shop_metrics.py"]), ast.parse(made["shop_metrics.pyi"])
    called = {ast.unparse(node.func) for tree in (module, stubs) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    assert called <= {"Path", "Path(__file__).with_name", "Metrics", "load_catalog", "self.registry.define"}
    [bound] = [node for node in module.body if isinstance(node, ast.ClassDef)]
    targets = [node.attr for node in ast.walk(bound) if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)]
    assert len(set(targets)) == len(targets) == len(metrics) + 1
    compile(made["shop_metrics.py"], "shop_metrics.py", "exec")
    compile(made["shop_metrics.pyi"], "shop_metrics.pyi", "exec")


@pytest.mark.parametrize("service", ["nobody", "shopp"])
def test_an_unknown_service_is_an_error(service: str) -> None:
    """Ensure the function itself refuses, for those who call it from elsewhere."""
    with pytest.raises(UsageError, match="no service is called"):
        files(demo_stack(), service, "x")

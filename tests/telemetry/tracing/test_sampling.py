"""Which traces are kept."""

import random

import pytest
from opentelemetry.sdk.trace.sampling import TraceIdRatioBased

from specwatch.telemetry.tracing import Sampler

TRACE = "0af7651916cd43dd8448eb211c80319c"


@pytest.mark.parametrize("ratio", [0.0, 0.001, 0.1, 0.5, 0.999, 1.0])
def test_every_service_decides_alike(ratio: float) -> None:
    """The decision is OpenTelemetry's own for every trace id, so that a trace is kept everywhere or nowhere."""
    ours, theirs = Sampler(ratio), TraceIdRatioBased(ratio)
    numbers = random.Random(1)  # noqa: S311 - the same ids each time
    for trace_id in [numbers.getrandbits(128) for _ in range(2000)]:
        assert ours.sampled(f"{trace_id:032x}") == theirs.should_sample(None, trace_id, "x").decision.is_sampled()  # type: ignore[no-untyped-call] # untyped there


def test_routes_have_shares_of_their_own() -> None:
    """By template or glob, for Flask's and for Starlette's way of writing; other routes have the usual share."""
    sampler = Sampler(0, {"/checkout": 1, "/items/<int:item>": 1, "/users/{user}": 1, "/admin/*": 1, "/files/<path:name>": 1})
    kept = ["/checkout", "/items/7", "/users/ann", "/admin/a/b", "/files/a/b.txt"]
    lost = ["/", "/checkout/1", "/items/7/parts", "/users", "/users/ann/x", "/adminx"]
    assert [path for path in kept + lost if sampler.sampled(TRACE, path)] == kept


def test_the_callers_decision_stands() -> None:
    """Unless the sampler is told not to follow."""
    assert Sampler(0).sampled(TRACE, "/", parent=True)
    assert not Sampler(1).sampled(TRACE, "/", parent=False)
    assert not Sampler(0, follow_parent=False).sampled(TRACE, "/", parent=True)


@pytest.mark.parametrize("ratio", [-0.1, 1.1, float("nan")])
def test_a_share_is_between_0_and_1(ratio: float) -> None:
    """Anything else is an error that says so."""
    with pytest.raises(ValueError, match="expected 0 to 1"):
        Sampler(ratio)

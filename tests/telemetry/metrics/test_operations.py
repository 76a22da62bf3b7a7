"""track_operation, as document 001 shows it."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from specwatch.telemetry.metrics import Metrics, track_operation


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(strict=True)


def ended(metrics: Metrics, status: str) -> float | None:
    return metrics.get_sample_value("operations_total", {"component": "bundle", "operation": "export", "status": status})


def timed(metrics: Metrics) -> float | None:
    return metrics.get_sample_value("operation_duration_seconds_count", {"component": "bundle", "operation": "export"})


def test_a_function_is_counted_and_timed(metrics: Metrics) -> None:
    """Its result and its exceptions pass through; each call counts once."""

    @track_operation("bundle", "export", metrics=metrics)
    def export_bundle(bundle_id: str) -> str:
        """Export."""
        if not bundle_id:
            raise KeyError
        return bundle_id

    assert export_bundle("b1") == "b1"
    with pytest.raises(KeyError):
        export_bundle("")
    assert (ended(metrics, "success"), ended(metrics, "error"), timed(metrics)) == (1, 1, 2)
    assert (export_bundle.__name__, export_bundle.__doc__) == ("export_bundle", "Export.")


def test_a_coroutine_is_timed_until_it_ends(metrics: Metrics) -> None:
    """Also several at a time; one that is cancelled is no error."""

    @track_operation("bundle", "export", metrics=metrics)
    async def export(seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def main() -> None:
        await asyncio.gather(export(0), export(0))
        task = asyncio.create_task(export(60))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert (ended(metrics, "success"), ended(metrics, "cancelled"), ended(metrics, "error")) == (2, 1, 0)


def test_blocks_are_counted(metrics: Metrics) -> None:
    """With and async with."""

    async def later() -> None:
        async with track_operation("bundle", "export", metrics=metrics):
            await asyncio.sleep(0)

    with track_operation("bundle", "export", metrics=metrics):
        assert ended(metrics, "success") == 0
    asyncio.run(later())
    assert (ended(metrics, "success"), timed(metrics)) == (2, 2)


def test_generators_are_counted_when_they_end(metrics: Metrics) -> None:
    """The operation lasts until the last item; one that is left early was cancelled."""

    @track_operation("bundle", "export", metrics=metrics)
    def parts() -> Iterator[int]:
        yield from (1, 2)

    @track_operation("bundle", "export", metrics=metrics)
    async def later() -> AsyncIterator[int]:
        yield 1

    async def main() -> list[int]:
        return [item async for item in later()]

    assert list(parts()) == [1, 2]
    assert asyncio.run(main()) == [1]
    left = parts()
    next(left)
    left.close()  # type: ignore[attr-defined] # a generator has it
    assert (ended(metrics, "success"), ended(metrics, "cancelled")) == (2, 1)

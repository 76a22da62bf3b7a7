"""One event that is counted and measured in several metrics: one call and one lock for all of them."""

from bisect import bisect_left
from collections.abc import Callable

from specwatch.telemetry.metrics.children import CounterChild, GaugeChild, HistogramChild


def together(
    counter: CounterChild, first: HistogramChild, second: HistogramChild, third: HistogramChild, gauge: GaugeChild
) -> Callable[[float, float, float], None]:
    """Return what counts one event: one more in `counter`, a value in each histogram, one less in `gauge`.

    All five are of one registry, whose series have one lock. The values are numbers that somebody has looked at: none is NaN.
    """
    bounds = first.bounds, second.bounds, third.bounds
    (first_bounds, second_bounds, third_bounds), (first_sum, second_sum, third_sum) = bounds, tuple(len(each) + 1 for each in bounds)

    def count(one: float, two: float, three: float) -> None:
        # Whatever a fork has exchanged, the lock and the cells, is looked up each time.
        with counter.lock:
            counter.cells[counter.start] += 1.0
            start, cells = first.start, first.cells
            cells[start + first_sum] += one
            cells[start + bisect_left(first_bounds, one)] += 1.0
            start, cells = second.start, second.cells
            cells[start + second_sum] += two
            cells[start + bisect_left(second_bounds, two)] += 1.0
            start, cells = third.start, third.cells
            cells[start + third_sum] += three
            cells[start + bisect_left(third_bounds, three)] += 1.0
            gauge.cells[gauge.start] -= 1.0

    return count

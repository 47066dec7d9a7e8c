"""Reads put together: which repeat each other, which device and time they belong to, which devices are stuck."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from pinat_compile.characterization.measurements import Floats, Ints, Measurements

SAME_TIME = 1.02
"""Times within this factor are one time."""
NEAR_END = 0.02
"""A device within this share of g_max from an end of the cell may be stuck there."""
FAR = 5.0
"""… if that is this many (robust) standard deviations from where the devices of its target lie."""


@dataclass(frozen=True, eq=False)
class Points:
    """One device at one time and temperature, [n]: the mean of its reads, their number, their sum of squares about it.

    ``first_us``: the first of its reads.
    ``unit`` numbers devices (a device with several targets is several units); without device ids every read is a unit.
    ``moment`` numbers the times, ``moments`` [m] are they; ``time_s`` is exact. ``temperature_k`` as measured.
    """

    target_us: Floats
    g_us: Floats
    time_s: Floats
    moment: Ints
    temperature_k: Floats
    unit: Ints
    reads: Ints
    squares_us2: Floats
    first_us: Floats
    moments: Floats
    identified: bool

    def __len__(self) -> int:
        return len(self.g_us)

    def where(self, mask: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> Points:
        """Only some of them; units and times keep their numbers."""
        names = ("target_us", "g_us", "time_s", "moment", "temperature_k", "unit", "reads", "squares_us2", "first_us")
        return replace(self, **{name: getattr(self, name)[mask] for name in names})

    def first(self) -> Points:
        """Of every unit its earliest point."""
        order = np.lexsort((self.time_s, self.unit))
        starts = np.ones(len(order), bool)
        starts[1:] = np.diff(self.unit[order]) != 0
        mask = np.zeros(len(self), bool)
        mask[order[starts]] = True
        return self.where(mask)

    def scaled(self, factor: Floats) -> Points:
        """All conductances multiplied."""
        return replace(self, g_us=self.g_us * factor, squares_us2=self.squares_us2 * factor**2,
                       first_us=self.first_us * factor)

    def once(self, mask: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> Points:
        """With nothing but the first read of some of them."""
        return replace(self, g_us=np.where(mask, self.first_us, self.g_us), reads=np.where(mask, 1, self.reads),
                       squares_us2=np.where(mask, 0.0, self.squares_us2))


def gather(data: Measurements) -> Points:
    """The points of measurements: reads of the same device, target, time and temperature become one."""
    moment, moments = _moments(data.time_s)
    kelvin = np.full(len(data), 300.0) if data.temperature_k is None else data.temperature_k
    if data.device is None:
        count = np.arange(len(data))
        ones, zeros = np.ones(len(data), np.int64), np.zeros(len(data))
        return Points(data.g_target_us, data.g_us, data.time_s, moment, kelvin, count, ones, zeros, data.g_us, moments,
                      False)
    _, unit = np.unique(np.stack([data.device, data.g_target_us]), axis=1, return_inverse=True)
    key = np.stack([unit.ravel(), moment, np.round(kelvin, 1)])
    _, first, group = np.unique(key, axis=1, return_index=True, return_inverse=True)
    group = group.ravel()
    reads = np.bincount(group)
    mean = np.bincount(group, data.g_us) / reads
    squares = np.bincount(group, (data.g_us - mean[group]) ** 2)
    time = np.bincount(group, data.time_s) / reads
    return Points(data.g_target_us[first], mean, time, moment[first], kelvin[first], unit.ravel()[first],
                  reads.astype(np.int64), np.asarray(squares, np.float64), data.g_us[first], moments, True)


def _moments(time_s: Floats) -> tuple[Ints, Floats]:
    """Times put together: number of each, and the medians."""
    times, place = np.unique(time_s, return_inverse=True)
    number = np.zeros(len(times), np.int64)
    start = times[0]
    for index in range(1, len(times)):
        later = times[index] > SAME_TIME * start
        number[index] = number[index - 1] + later
        start = times[index] if later else start
    moment = number[place.ravel()]
    return moment, np.array([np.median(time_s[moment == k]) for k in range(int(number[-1]) + 1)])


def levels(target_us: Floats, most: int = 16) -> Ints:
    """A number for each target: the distinct ones, or ``most`` bins of equal count where there are more than twice."""
    distinct, place = np.unique(target_us, return_inverse=True)
    if len(distinct) <= 2 * most:
        return np.asarray(place.ravel(), np.int64)
    edges = np.unique(np.quantile(target_us, np.linspace(0.0, 1.0, most + 1)[1:-1]))
    return np.asarray(np.searchsorted(edges, target_us, side="right"), np.int64)


def stuck_units(points: Points, end_us: float, g_max_us: float) -> tuple[Ints, int]:
    """Units that look stuck at an end of the cell: there in every point, far from where others of their target lie.

    And the number of units of which that can be said: whose target is not itself close to that end.
    """
    group = levels(points.target_us)
    deviation = points.g_us - points.target_us
    middle, spread = np.zeros(len(points)), np.zeros(len(points))
    for level in np.unique(group):
        inside = group == level
        middle[inside] = np.median(deviation[inside])
        spread[inside] = 1.4826 * np.median(np.abs(deviation[inside] - middle[inside]))
    far = np.maximum(FAR * np.maximum(spread, np.median(spread)), 3.0 * NEAR_END * g_max_us)
    visible = np.abs(end_us - points.target_us - middle) > far
    near = np.abs(points.g_us - end_us) < NEAR_END * g_max_us
    total = np.bincount(points.unit)
    seen = (np.bincount(points.unit, visible, len(total)) == total) & (total > 0)
    stuck = seen & (np.bincount(points.unit, near, len(total)) == total)
    return np.flatnonzero(stuck), int(seen.sum())

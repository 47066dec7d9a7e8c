"""Devices of the shipped targets beside their published equations: spread, read noise, and a year of drift.

    OMP_NUM_THREADS=1 python benchmarks/device_physics.py

Writes benchmarks/results/device_{spread,read_noise,drift}.csv and, where matplotlib is installed, the pictures of
docs/physics.md; prints its table of a year. The published coefficients are written here once more, independently of
the targets and of the code that reads them; ``tests/test_physics_page.py`` holds the results to them.

spread: deviation of what devices hold, without read noise, at the times for which it is published. read_noise: that of
one read of devices that hold exactly their target. drift: quantiles over persistent devices without read noise.
``equation_us`` is the published sigma, ``expected_us`` the same where conductances are held to what the device can
take (0 or more; CMO/HfOx 9 to 88.2 µS), ``sampled_us`` and ``error_us`` deviation and standard error of the sample. In
drift, ``expected_*`` follow from the equations; they are empty beyond the last published time, and for SONOS, whose
published mean drift the target only approximates.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pinat_compile.errors import extra_needed
from pinat_compile.hardware.loader import load_target
from pinat_compile.hardware.schema import Device
from pinat_compile.physics.devices import Draws, draw_roles, hold, sample_conductance
from pinat_compile.physics.randomness import Key, generator

ROOT = Path(__file__).parents[1]
Floats = npt.NDArray[np.float64]
Law = Callable[[Floats, float], Floats]
Row = dict[str, Any]

DAY = 86400.0
YEAR = 365.25 * DAY
DEVICES = 20_000
"""Independent devices per state and time."""
PERSISTENT = 100_000
"""Devices whose quantiles are followed."""
STATES = 25
QUANTILES = (0.05, 0.5, 0.95)
Z95 = 1.6448536269514722
"""The 95 % quantile of the standard normal."""
NO_BOUND = 1e6

# --- the published equations: conductances in µS, times in seconds ---


def poly(x: Floats, *coefficients: float) -> Floats:
    return np.asarray(sum(c * x**k for k, c in enumerate(coefficients)), np.float64)


def clamped_log(x: Floats, a: float, b: float, low: float, high: float) -> Floats:
    return np.clip(a * np.log(np.maximum(x, 1e-12)) + b, low, high)


WAN = {
    1.0: (0.348, 16.030, -43.853, 45.393, -16.815),
    DAY: (0.701, 22.086, -50.773, 47.095, -16.458),
    2 * DAY: (0.782, 20.274, -43.507, 37.062, -11.934),
}
"""Wan et al., Nature 608, 504 (2022), Extended Data Fig. 3d: sigma over x = g / 40 µS, as fitted in aihwkit."""


def reram_sigma(g: Floats, time: float) -> Floats:
    """The total deviation from the target; between the published times linear in ln t (our choice)."""
    at = [math.log(each) for each in WAN]
    rows = np.stack([poly(g / 40.0, *row) for row in WAN.values()])
    return np.array([np.interp(math.log(max(time, 1e-9)), at, column) for column in rows.T])


def pcm_sigma(g: Floats, time: float) -> Floats:
    """Le Gallo et al., Nature Electronics 6, 680 (2023), two devices per polarity, as fitted in aihwkit."""
    return poly(g / 20.7, 0.16603222, 4.71806468, -8.48101252, 4.68961419)


def pcm_nu(g: Floats) -> tuple[Floats, Floats]:
    """Mean and deviation of the drift exponent over the target; same source."""
    x = g / 20.7
    mean = np.where(x < 0.0945, clamped_log(x, -0.0387, -0.0182, 0.072, 0.13), poly(x, 0.0736, -0.0126, -0.0436))
    std = np.where(x < 0.3055, clamped_log(x, -0.0117, -0.0057, 0.0091, 0.04), poly(x, 0.0073, 0.0093, -0.0118))
    return mean, std


def pcm_read(g: Floats, time: float) -> Floats:
    """1/f noise accumulated until ``time`` with reads of 512 ns; Nandakumar et al., ICECS 2019; Q of HERMES."""
    x = g / 20.7
    q = np.where(x < 0.16, clamped_log(x, -0.0117, -0.0069, 0.015, 0.04), poly(x, 0.0123, 0.0211, -0.0280, 0.0069))
    return g * q * math.sqrt(math.log((time + 512e-9) / (2 * 512e-9)))


def cmo_sigma(g: Floats, time: float) -> Floats:
    """Falcone et al., arXiv 2502.04524 (2025), acceptance range 0.2 %, and relaxation; as fitted in aihwkit."""
    return np.hypot(0.00081107 + 0.00106879 * g, 0.41183342 + 0.04201137 * math.log(time))


def cmo_mean(g: Floats, time: float) -> Floats:
    return g - 0.08900206 * math.log(time)


def cmo_read(g: Floats, time: float) -> Floats:
    """Lombardo et al., DRC 2024, reads of 1 µs; as fitted in aihwkit."""
    return 0.0277316483 * np.log10(g) * math.sqrt(math.log((time + 1e-6) / 2e-6))


SONOS_NA = ((19.88665, 176.3115), (25.59102, 186.85544), (28.72753, 193.56834),
            (31.04318, 198.90332), (33.76214, 204.77023), (34.57909, 207.34309))  # fmt: skip
"""Agrawal et al., IEDM 2022, Fig. 10a: A and B of A (1 - e^(-I/B)) in nA on days 0 to 5; 100 nA are 1 µS."""


def sonos_sigma(g: Floats, time: float) -> Floats:
    """At the drifted conductance ``g``."""
    days = np.arange(len(SONOS_NA))
    a, b = (np.interp(time / DAY, days, [row[k] for row in SONOS_NA]) for k in (0, 1))
    return np.asarray(a * (1 - np.exp(-100.0 * g / b)) / 100.0, np.float64)


def sonos_read(g: Floats, time: float) -> Floats:
    """Fig. 11b."""
    return 0.1258037 * (1 - np.exp(-g / 2.1536557))


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """What is published of a target's device. ``last_s``: until when its spread is."""

    target: str
    label: str
    sigma: Law
    read: Law
    mean: Law = lambda g, time: g
    times_s: tuple[float, ...]
    read_times_s: tuple[float, ...] = (1.0,)
    first_s: float
    last_s: float = YEAR
    bounds: tuple[float, float] = (0.0, NO_BOUND)

    @property
    def device(self) -> Device:
        return load_target(self.target).device

    def states(self) -> Floats:
        cell = self.device.cell
        return np.linspace(cell.g_min_us, cell.g_max_us, STATES)


DEVICE_MODELS = (
    Published(target="reram_128x128", label="HfO2 ReRAM (Wan 2022)", sigma=reram_sigma,
              read=lambda g, time: np.full_like(g, 0.4), times_s=tuple(WAN), first_s=1.0, last_s=2 * DAY),
    Published(target="pcm_256x256", label="PCM, HERMES (Le Gallo 2023)", sigma=pcm_sigma, read=pcm_read,
              times_s=(300.0,), read_times_s=(300.0, DAY, YEAR), first_s=300.0),
    Published(target="cmo_64x64", label="CMO/HfOx ReRAM (Falcone 2025)", sigma=cmo_sigma, mean=cmo_mean,
              read=cmo_read, times_s=(1.0, DAY, YEAR), read_times_s=(1.0, DAY, YEAR), first_s=1.0,
              bounds=(9.0, 88.2)),
    Published(target="sonos_1024x1024", label="SONOS flash (Agrawal 2022)", sigma=sonos_sigma, read=sonos_read,
              times_s=tuple(day * DAY for day in range(6)), first_s=3600.0, last_s=5 * DAY),
)  # fmt: skip


def clipped_std(mean: Floats, sigma: Floats, low: float, high: float) -> Floats:
    """Standard deviation of N(mean, sigma²) held to [low, high]."""
    sigma = np.maximum(sigma, 1e-12)
    a, b = (low - mean) / sigma, (high - mean) / sigma
    cdf_a, cdf_b = (0.5 * (1.0 + np.vectorize(math.erf)(z / math.sqrt(2.0))) for z in (a, b))
    pdf_a, pdf_b = (np.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi) for z in (a, b))
    at_low, at_high = a * sigma, b * sigma  # as deviations from the mean
    first = at_low * cdf_a + at_high * (1.0 - cdf_b) + sigma * (pdf_a - pdf_b)
    inside = sigma**2 * (cdf_b - cdf_a + a * pdf_a - b * pdf_b)
    second = at_low**2 * cdf_a + at_high**2 * (1.0 - cdf_b) + inside
    return np.asarray(np.sqrt(np.maximum(second - first**2, 0.0)), np.float64)


# --- what the package's devices do ---


def deviation(sample: Tensor) -> tuple[Floats, Floats, Floats]:
    """Mean, standard deviation and its standard error (from the fourth moment) of each column."""
    values = sample.numpy()
    mean, std = values.mean(axis=0), values.std(axis=0)
    fourth = ((values - mean) ** 4).mean(axis=0)
    error = np.sqrt(np.maximum(fourth - std**4, 0.0) / len(values)) / (2.0 * np.maximum(std, 1e-12))
    return mean, std, error


def sampled(device: Device, g: Floats, time: float, key: Key) -> Tensor:
    """[devices, states] of independent devices."""
    targets = torch.from_numpy(g).expand(DEVICES, len(g))
    return sample_conductance(device, targets, time_s=time, generator=generator(key))


def spread_rows(model: Published) -> Iterator[Row]:
    for time in model.times_s:
        quiet = replace(model.device, read_noise=None)
        yield from rows(model, quiet, time, model.sigma, model.mean)


def read_rows(model: Published) -> Iterator[Row]:
    for time in model.read_times_s:
        alone = Device(model.device.cell, read_noise=model.device.read_noise)
        yield from rows(model, alone, time, model.read, lambda g, time: g)


def rows(model: Published, device: Device, time: float, sigma: Law, mean: Law) -> Iterator[Row]:
    """One line per state. SONOS spreads at where its mean has moved to, which is read off the sample."""
    g = model.states()
    found, std, error = deviation(sampled(device, g, time, Key((model.target, sigma.__name__, repr(time)))))
    centre = found if device.relaxation is not None and device.relaxation.model == "table" else mean(g, time)
    equation = sigma(g if centre is not found else found, time)
    expected = clipped_std(centre, equation, *model.bounds)
    for k, state in enumerate(g):
        values = {"g_us": state, "equation_us": equation[k], "expected_us": expected[k],
                  "sampled_us": std[k], "error_us": error[k]}
        yield {"target": model.target, "time_s": f"{time:g}", **{key: f"{value:.6g}" for key, value in values.items()}}


def drift_rows(model: Published) -> Iterator[Row]:
    device, g_max = model.device, model.device.cell.g_max_us
    for share in (0.2, 0.5, 1.0):
        g = torch.full((PERSISTENT,), share * g_max, dtype=torch.float64)
        source = generator(Key((model.target, "drift", repr(share))))
        draws = Draws(**{
            role: torch.randn(PERSISTENT, generator=source, dtype=torch.float64)
            for role, _ in draw_roles(device) if role not in ("mismatch", "stuck")
        })
        for time in moments(model):
            held = hold(device, g, draws, time_s=float(time)).now.numpy()
            values = dict(zip(("p05_us", "median_us", "p95_us"), np.quantile(held, QUANTILES), strict=True))
            values |= dict(zip(("expected_p05_us", "expected_median_us", "expected_p95_us"),
                               expected_quantiles(model, share * g_max, float(time)), strict=True))
            yield {"target": model.target, "g_us": f"{share * g_max:g}", "time_s": f"{time:.6g}",
                   **{key: "" if value is None else f"{value:.5g}" for key, value in values.items()}}


def moments(model: Published) -> list[float]:
    """Times from the first one to a year, evenly in ln t; among them a day."""
    until, after = np.geomspace(model.first_s, DAY, 21), np.geomspace(DAY, YEAR, 15)
    return [float(time) for time in (*until, *after[1:])]


def expected_quantiles(model: Published, g: float, time: float) -> list[float | None]:
    """From the equations alone; ``None`` where nothing is published."""
    if time > 1.001 * model.last_s or model.target.startswith("sonos"):
        return [None, None, None]
    state = np.array([g])
    if model.target.startswith("pcm"):
        xi = np.random.default_rng(3).standard_normal((2, 400_000))
        nu = np.abs(pcm_nu(state)[0] + pcm_nu(state)[1] * xi[1])
        held = np.maximum(g + pcm_sigma(state, time) * xi[0], 0.0) * (time / 300.0) ** -nu
        return [float(value) for value in np.quantile(held, QUANTILES)]
    centre, spread = float(model.mean(state, time)[0]), float(model.sigma(state, time)[0])
    return [float(np.clip(centre + z * spread, *model.bounds)) for z in (-Z95, 0.0, Z95)]


# --- files ---


def write(name: str, make: Callable[[Published], Iterator[Row]]) -> list[Row]:
    table = [row for model in DEVICE_MODELS for row in make(model)]
    with (ROOT / "benchmarks" / "results" / f"device_{name}.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(table[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(table)
    return table


def of(table: list[Row], **wanted: str) -> dict[str, Floats]:
    """Columns of the lines that hold the wanted values; empty cells are nan."""
    chosen = [row for row in table if all(row[key] == value for key, value in wanted.items())]
    return {key: np.array([float(row[key] or "nan") for row in chosen]) for key in table[0] if key not in wanted}


def duration(time: float) -> str:
    for unit, size in (("y", YEAR), ("d", DAY), ("h", 3600.0)):
        if time >= size:
            return f"{time / size:g} {unit}"
    return f"{time:g} s"


def draw_sigmas(plt: Any, table: list[Row], name: str, what: str) -> None:
    """Four panels: lines are expected, dots sampled, dotted lines the equation before conductances are held."""
    figure, panels = plt.subplots(2, 2, figsize=(9, 6), layout="constrained")
    for panel, model in zip(panels.flat, DEVICE_MODELS, strict=True):
        times = sorted({row["time_s"] for row in table if row["target"] == model.target}, key=float)
        for k, time in enumerate(times):
            colour = plt.get_cmap("viridis")(0.85 * k / max(1, len(times) - 1))
            line = of(table, target=model.target, time_s=time)
            panel.plot(line["g_us"], line["equation_us"], ":", color=colour, linewidth=1)
            panel.plot(line["g_us"], line["expected_us"], "-", color=colour, linewidth=1.2)
            panel.errorbar(line["g_us"], line["sampled_us"], 1.96 * line["error_us"], fmt=".", color=colour,
                           markersize=4, label=duration(float(time)))
        panel.set(title=f"{model.target}: {model.label}", xlabel="target conductance (µS)", ylabel=f"{what} (µS)")
        panel.title.set_fontsize(9)
        panel.set_ylim(bottom=0.0)
        panel.legend(fontsize=7, frameon=False, ncols=2)
    save(plt, figure, name)


def draw_drift(plt: Any, table: list[Row]) -> None:
    """A row per device, a column per state: median and 5 to 95 %; dotted what the equations say."""
    figure, panels = plt.subplots(len(DEVICE_MODELS), 3, figsize=(9, 9), sharex="row", sharey="row",
                                  layout="constrained")
    for line_of_panels, model in zip(panels, DEVICE_MODELS, strict=True):
        g_max = model.device.cell.g_max_us
        states = sorted({row["g_us"] for row in table if row["target"] == model.target}, key=float)
        for panel, state in zip(line_of_panels, states, strict=True):
            line = of(table, target=model.target, g_us=state)
            off = {key: 100.0 * (line[key] - float(state)) / g_max for key in line if key != "time_s"}
            panel.fill_between(line["time_s"], off["p05_us"], off["p95_us"], alpha=0.3, linewidth=0)
            panel.plot(line["time_s"], off["median_us"])
            for key in ("expected_p05_us", "expected_median_us", "expected_p95_us"):
                panel.plot(line["time_s"], off[key], "k:", linewidth=1)
            if model.last_s < YEAR:
                panel.axvspan(model.last_s, YEAR, color="0.5", alpha=0.15, linewidth=0)
            panel.set(xscale="log", xlim=(model.first_s, YEAR))
            panel.set_title(f"{model.target}, {float(state):.3g} µS", fontsize=9)
            panel.grid(alpha=0.3)
        line_of_panels[0].set_ylabel("off target (% of g_max)", fontsize=8)
    for panel in panels[-1]:
        panel.set_xlabel("time after programming (s)", fontsize=8)
    save(plt, figure, "drift")


def year_table(table: list[Row]) -> list[str]:
    """The lines of the table of docs/physics.md: median change and width from 5 to 95 % in % of g_max."""
    lines = []
    for model in DEVICE_MODELS:
        g_max = model.device.cell.g_max_us
        for state in sorted({row["g_us"] for row in table if row["target"] == model.target}, key=float):
            line = of(table, target=model.target, g_us=state)
            day, year = int(np.abs(np.log(line["time_s"] / DAY)).argmin()), -1
            moved = [100.0 * (line["median_us"][k] - float(state)) / g_max for k in (day, year)]
            width = [100.0 * (line["p95_us"][k] - line["p05_us"][k]) / g_max for k in (0, day, year)]
            shown = (f"{round(value, 1) + 0.0:+.1f} %" for value in moved)  # never -0.0
            cells = [f"`{model.target}`", f"{float(state):.3g} µS", *shown, *(f"{value:.1f} %" for value in width)]
            lines.append(f"| {' | '.join(cells)} |")
    return lines


def save(plt: Any, figure: Any, name: str) -> None:
    """As PNG of 64 colours, which is a third of the size."""
    from PIL import Image  # matplotlib needs it

    figure.set_dpi(80)
    figure.canvas.draw()
    picture = Image.fromarray(np.asarray(figure.canvas.buffer_rgba())).convert("RGB")
    picture.quantize(64, dither=Image.Dither.NONE).save(ROOT / "docs" / f"device_{name}.png", optimize=True)
    plt.close(figure)


def main() -> None:
    spread, read, drift = (
        write(name, make) for name, make in (("spread", spread_rows), ("read_noise", read_rows), ("drift", drift_rows))
    )
    print(*year_table(drift), sep="\n")
    try:
        import matplotlib
    except ImportError:
        raise SystemExit(str(extra_needed("drawing", "matplotlib", "plots"))) from None
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    draw_sigmas(plt, spread, "spread", "standard deviation")
    draw_sigmas(plt, read, "read_noise", "read noise")
    draw_drift(plt, drift)


if __name__ == "__main__":
    main()

"""Tables and figure of docs/energy_based.md from the rows that the studies wrote.

    python -m examples.energy_based.summary

Writes docs/energy_based.png, and the tables between the marks of the page. An arm's figure is the mean over seeds of
the mean over chips; its interval is a t-interval over seeds (95 %), over chips where there is one seed.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import mean

import matplotlib

from examples.energy_based.data import RESULTS, read_rows
from pinat_compile.evaluation.statistics import Spread

matplotlib.use("Agg")
from matplotlib import pyplot as plt  # noqa: E402

DOCS = Path(__file__).parents[2] / "docs"
PAGE, FIGURE = DOCS / "energy_based.md", DOCS / "energy_based.png"
Rows = list[dict[str, str]]


def means(found: dict[str, list[float]]) -> list[float]:
    """The mean over chips for every seed; with one seed, what every chip gave."""
    if len(found) == 1:
        return next(iter(found.values()))
    return [mean(each) for each in found.values()]


def by_seed(rows: Rows, arm: str, value: Callable[[dict[str, str]], float]) -> list[float]:
    found: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        if row["arm"] == arm:
            found[row["seed"]].append(value(row))
    return means(found)


def with_interval(values: Sequence[float], digits: int = 2) -> str:
    if any(math.isinf(x) for x in values):
        return "-inf"
    if any(math.isnan(x) for x in values):
        return "–"
    spread = Spread.of(values)
    if spread.ci95 is None:
        return f"{spread.mean:.{digits}f}"
    low, high = spread.ci95
    return f"{spread.mean:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def arms(rows: Rows) -> list[str]:
    return list(dict.fromkeys(row["arm"] for row in rows))


def table(rows: Rows, columns: dict[str, Callable[[dict[str, str]], float]], digits: dict[str, int]) -> str:
    lines = ["| arm | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for arm in arms(rows):
        cells = [with_interval(by_seed(rows, arm, value), digits.get(name, 2)) for name, value in columns.items()]
        lines.append(f"| {arm} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def key(name: str) -> Callable[[dict[str, str]], float]:
    return lambda row: float(row[name])


def filled(row: dict[str, str]) -> float:
    """Share of the inpainting error that is gone, in percent."""
    return 100.0 * (1.0 - float(row["inpainting_after"]) / float(row["inpainting_before"]))


def digits_tables(rows: Rows) -> tuple[str, str]:
    ideal = {row["seed"]: float(row["of_energy"]) for row in rows if row["arm"] == "a ideal"}
    nats = table(rows, {
        "nats less than the ideal machine": lambda row: float(row["log_likelihood"]) - ideal[row["seed"]],
        "nats": key("log_likelihood"),
        "nats of the nearest energy": key("of_energy"),
    }, {})
    other = table(rows, {
        "mean error": key("mean_error"), "covariance error": key("covariance_error"), "MMD²": key("mmd"),
        "Fréchet": key("frechet"), "effective classes": key("effective_classes"),
        "autocorrelation, sweeps": key("autocorrelation_sweeps"), "inpainting error gone, %": filled,
    }, {"mean error": 3, "covariance error": 4, "MMD²": 4, "inpainting error gone, %": 0})
    return nats, other


def paired(rows: Rows, better: str, than: str) -> str:
    """The difference of two arms in nats, chip by chip."""
    found: dict[str, list[float]] = defaultdict(list)
    base = {(r["seed"], r["chip"]): float(r["log_likelihood"]) for r in rows if r["arm"] == than}
    for row in rows:
        if row["arm"] == better:
            found[row["seed"]].append(float(row["log_likelihood"]) - base[row["seed"], row["chip"]])
    return f"| {better} | {than} | {with_interval(means(found), 3)} |"


def figure(rows: Rows) -> None:
    """Nats below the ideal machine of the same seed, a dot per seed and chip, on a logarithmic axis."""
    ideal = {row["seed"]: float(row["of_energy"]) for row in rows if row["arm"] == "a ideal"}
    fig, axis = plt.subplots(figsize=(7.5, 3.4), constrained_layout=True)
    shown = [arm for arm in arms(rows) if arm not in ("a ideal", "e noise off")]
    for place, arm in enumerate(shown):
        lost = [ideal[r["seed"]] - float(r["log_likelihood"]) for r in rows if r["arm"] == arm]
        seeds = [int(r["seed"]) for r in rows if r["arm"] == arm]
        axis.scatter(lost, [place + 0.08 * (s - 1.5) for s in seeds], s=14, alpha=0.6, c=seeds, cmap="viridis", vmin=0,
                     vmax=4)
    axis.axvline(5.0, color="grey", lw=0.8, ls="--")
    axis.axvline(2.0, color="grey", lw=0.8, ls=":")
    axis.set_xscale("log")
    axis.set_yticks(range(len(shown)), shown)
    axis.invert_yaxis()
    axis.set_xlabel("nats below the ideal machine (dotted: 2, dashed: 5); a dot per seed and test chip")
    fig.savefig(FIGURE, dpi=130)


def size(rows: Rows) -> str:
    """In words: how much stands behind a table."""
    seeds, chips = len({r["seed"] for r in rows}), len({(r["seed"], r["chip"]) for r in rows if r["chip"] != "-1"})
    over = "seeds" if seeds > 1 else "chips"
    interval = f"; intervals (95 %) over {over}" if max(seeds, chips) > 1 else "; too little for intervals"
    return f"Training seeds: {seeds}; test chips, over all seeds: {chips}{interval}."


def blocks() -> dict[str, str]:
    """The tables of the page, by the name of their mark."""
    digits, fashion, chain, joules, clips = (
        read_rows(RESULTS / f"{name}.csv")
        for name in ("boltzmann_digits", "boltzmann_fashion", "langevin_digits", "boltzmann_energy",
                     "boltzmann_digits_clips")
    )  # fmt: skip
    nats, other = digits_tables(digits)
    pairs = [("d PINAT, units", "c units"), ("d PINAT, temperature", "c temperature"), ("c units", "c temperature"),
             ("c temperature", "b data sheet")]  # fmt: skip
    differences = ["| arm | less arm | nats |", "|---|---|---|", *(paired(digits, *pair) for pair in pairs)]
    found = {"nats": f"{size(digits)}\n\n{nats}\n\n" + "\n".join(differences), "samples": other}
    found["clips"] = "\n".join(["| calibration | top level, share of the largest weight | nats |", "|---|---|---|", *(
        f"| {r['calibration']} | {r['clip']} | {r['log_likelihood']} |" for r in clips)])
    if fashion:
        found["fashion"] = f"{size(fashion)}\n\n" + table(fashion, {
            "nats of the nearest energy (AIS)": key("of_energy"), "mean error": key("mean_error"), "MMD²": key("mmd"),
            "Fréchet": key("frechet"), "effective classes": key("effective_classes"),
            "autocorrelation, sweeps": key("autocorrelation_sweeps"), "inpainting error gone, %": filled,
        }, {"nats of the nearest energy (AIS)": 1, "mean error": 3, "MMD²": 4, "inpainting error gone, %": 0})
    if chain:
        found["langevin"] = f"{size(chain)}\n\n" + table(chain, {
            "noise of the gradient": key("own_noise"), "noise added to x": key("added"),
            "energy gap": key("energy_gap"), "pixel deviation": key("pixel_deviation"),
            "mean error": key("mean_error"), "MMD²": key("mmd"), "Fréchet": key("frechet"),
        }, {"noise added to x": 3, "pixel deviation": 3, "mean error": 3, "MMD²": 4})
    if joules:
        lines = ["| machine | how | nJ per sweep | of it drivers | converters | devices |", "|---" * 6 + "|"]
        for machine, how in dict.fromkeys((r["machine"], r["how"]) for r in joules):
            parts = {r["component"]: f"{1e9 * float(r['joules']):.3g}" for r in joules
                     if (r["machine"], r["how"]) == (machine, how)}
            cells = " | ".join(parts.get(name, "–") for name in ("total", "dac", "adc", "array"))
            lines.append(f"| {machine} | {how} | {cells} |")
        found["energy"] = "\n".join(lines)
    return found


def main() -> None:
    figure(read_rows(RESULTS / "boltzmann_digits.csv"))
    page = PAGE.read_text("utf-8")
    for name, text in blocks().items():
        begin, end = f"<!-- {name} -->\n", f"\n<!-- end of {name} -->"
        head, rest = page.split(begin)
        page = f"{head}{begin}{text}{end}{rest.split(end)[1]}"
    PAGE.write_text(page, "utf-8")
    print(f"{PAGE.name} and {FIGURE.name} written")


if __name__ == "__main__":
    main()

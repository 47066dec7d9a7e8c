"""Phase-change memory drifts: accuracy over a year, with nothing done, with one factor per layer, with matched moments.

    python examples/drift_over_a_year.py [--samples 500] [--chips 3] [--plot drift.png]

Compensation is made anew at each time, from 200 unlabelled training images or from known vectors, as a chip in the
field would. The same as a command: ``pinat-compile evaluate DIR --data DATA --time 30d --deploy moments``. About two
minutes on two cores.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import pinat_compile as pc

MODEL = Path(__file__).parent / "resnet8_fashion_mnist.onnx"
TIMES = {"1h": 3600.0, "1d": 86400.0, "30d": 30 * 86400.0, "1y": 365.25 * 86400.0}
STEPS: dict[str, tuple[str, ...]] = {"nothing": (), "drift": ("drift",), "moments": ("moments",)}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=500)
    parser.add_argument("--chips", type=int, default=3)
    parser.add_argument("--times", default=",".join(TIMES), help="of 1h, 1d, 30d, 1y")
    parser.add_argument("--plot", type=Path, help="a picture, .png or .pdf; needs matplotlib")
    options = parser.parse_args(arguments)
    times = options.times.split(",")

    compiled = pc.compile(MODEL, target="pcm_256x256")
    data = f"fashion-mnist-mini@test[:{options.samples}]"
    found = {
        name: [
            pc.evaluate(compiled, data, chips=options.chips, time=time, deploy=steps,
                        deploy_data="fashion-mnist-mini@train").mean
            for time in times
        ]
        for name, steps in STEPS.items()
    }
    print(f"{'':10}" + "".join(f"{time:>8}" for time in times))
    for name, values in found.items():
        print(f"{name:10}" + "".join(f"{value:8.1%}" for value in values))
    if options.plot:
        draw(found, [TIMES[time] for time in times], options.plot)


def draw(found: dict[str, list[float]], seconds: list[float], path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.0, 3.6), layout="constrained")
    axes = figure.subplots()
    for name, values in found.items():
        axes.plot(seconds, values, "o-", label=name)
    axes.set(xscale="log", xlabel="seconds after programming", ylabel="top-1", title="pcm_256x256")
    axes.legend()
    figure.savefig(path)
    print(f"wrote {path}")


if __name__ == "__main__":
    main()

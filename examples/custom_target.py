"""From measurements of devices to a target that compiles: fit, write, read back, compile, judge.

    python examples/custom_target.py [--devices 400] [--folder build/lab] [--samples 300] [--chips 3]

The measurements stand in for yours: reads from five minutes to two days after programming, drawn from a law that this
file states, so that you can see the fit find it. Yours is a CSV with the same columns, and ``pinat-compile characterize
bench.csv --like pcm_256x256 -o lab.toml`` does the same. Needs the extra ``characterize``.
About a minute on two cores.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import pinat_compile as pc

MODEL = Path(__file__).parent / "resnet8_fashion_mnist.onnx"
FULL_SCALE_US = 20.7
TIMES_S = (300.0, 3600.0, 86400.0, 172800.0)
ERROR_US, DRIFT, DRIFT_SPREAD = 0.7, 0.05, 0.02
"""What the devices of this bench do: error of programming, mean drift exponent, its spread from device to device."""


def measure(devices: int, path: Path) -> None:
    """Write a line per read: what was asked for, what was read, when, of which device."""
    rng = np.random.default_rng(7)
    asked = rng.choice(np.linspace(0.15, 0.95, 9) * FULL_SCALE_US, devices)  # µS
    programmed = asked + rng.normal(0.0, ERROR_US, devices)
    exponent = np.abs(rng.normal(DRIFT, DRIFT_SPREAD, devices))
    with open(path, "w", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(("g_target_us", "g_us", "time_s", "device"))
        for time_s in TIMES_S:
            read = programmed * (time_s / TIMES_S[0]) ** -exponent
            lines.writerows(zip(asked, read, [time_s] * devices, range(devices), strict=True))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--devices", type=int, default=400)
    parser.add_argument("--folder", type=Path, default=Path("build/lab"))
    parser.add_argument("--samples", type=int, default=300)
    parser.add_argument("--chips", type=int, default=3)
    options = parser.parse_args(arguments)
    options.folder.mkdir(parents=True, exist_ok=True)
    bench, target = options.folder / "bench.csv", options.folder / "lab.toml"

    measure(options.devices, bench)
    found = pc.characterize(bench, like="pcm_256x256", name="lab")
    found.save(target)
    for fit in found.fits:
        for parameter in fit.parameters:
            print(f"{fit.section}.{parameter.name} = {parameter.value:.4g}, "
                  f"95 % interval {parameter.low:.4g} to {parameter.high:.4g}")
    print(f"wrote {target}; pinat-compile targets {target} shows it with its sources")

    data = f"fashion-mnist-mini@test[:{options.samples}]"
    for name in ("pcm_256x256", str(target)):
        result = pc.evaluate(pc.compile(MODEL, target=name), data, chips=options.chips, time="1d")
        print(f"{Path(name).name:12} a day after programming: {result.mean:.1%}")


if __name__ == "__main__":
    main()

"""Which ADC do I need? Accuracy and energy over its bits and the rows of an array, and which choices no other beats.

    python examples/which_adc.py [--bits 4,5,6,8] [--rows 64,128] [--samples 300] [--chips 3]

More rows add up more current before one conversion: fewer conversions, each with more to tell apart. The same as a
command: ``pinat-compile explore MODEL.onnx --vary adc.bits=4,5,6,8 --vary array.rows=64,128 --data DATA``. About two
minutes on two cores.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import pinat_compile as pc

MODEL = Path(__file__).parent / "resnet8_fashion_mnist.onnx"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bits", default="4,5,6,8")
    parser.add_argument("--rows", default="64,128")
    parser.add_argument("--samples", type=int, default=300)
    parser.add_argument("--chips", type=int, default=3)
    options = parser.parse_args(arguments)

    found = pc.explore(
        MODEL,
        target="reram_128x128",
        vary=[f"adc.bits={options.bits}", f"array.rows={options.rows}"],
        data=f"fashion-mnist-mini@test[:{options.samples}]",
        chips=options.chips,
    )
    print("   bits  rows  arrays  accuracy     energy   latency")
    for point in found.points:
        if point.energy_j is None or point.latency_s is None or point.accuracy is None:
            print(f"  {' '.join(point.overrides)}: {point.problem}")
            continue
        bits, rows = (override.partition("=")[2] for override in point.overrides)
        print(f"{'*' if point.pareto else ' '} {bits:>5} {rows:>5} {point.arrays:>7}  {point.accuracy:8.1%}  "
              f"{1e6 * point.energy_j:6.2f} µJ {1e6 * point.latency_s:6.1f} µs")
    print("* no other is better in energy, latency, area and accuracy at once")


if __name__ == "__main__":
    main()

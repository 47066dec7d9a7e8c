"""Compile a network, run one chip, judge ten, see what it costs: the shortest way through the library.

    python examples/compile_and_report.py [--folder build/resnet8] [--samples 1000] [--chips 10]

The same as commands: ``pinat-compile MODEL.onnx -o DIR``, ``evaluate DIR``, ``report DIR``. Half a minute on two cores.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch

import pinat_compile as pc

MODEL = Path(__file__).parent / "resnet8_fashion_mnist.onnx"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", default="build/resnet8")
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--chips", type=int, default=10)
    options = parser.parse_args(arguments)

    compiled = pc.compile(MODEL, target="reram_128x128")
    compiled.save(options.folder)

    images = torch.rand(4, 1, 28, 28)  # [batch, channel, row, column]
    chip = compiled.simulator(chip=0)
    aged = chip.at(time="1d")
    print("a chip's outputs move by", f"{float((aged(images) - chip(images)).abs().mean()):.3f}", "in a day")

    result = pc.evaluate(compiled, f"fashion-mnist-mini@test[:{options.samples}]", chips=options.chips)
    print(f"reference {result.reference:.1%}, ideal devices {result.ideal:.1%}, chips {result.mean:.1%} on average, "
          f"{result.spread.worst:.1%} at worst")

    energies = {layer.name: layer.cost.energy_total or 0.0 for layer in pc.estimate(compiled).layers}  # J
    print(f"energy {1e6 * sum(energies.values()):.2f} µJ per image; the layers that take most:")
    for name in sorted(energies, key=lambda name: -energies[name])[:3]:
        print(f"  {name:16} {1e9 * energies[name]:8.1f} nJ")
    print(f"written to {options.folder}: pinat-compile report {options.folder}")


if __name__ == "__main__":
    main()

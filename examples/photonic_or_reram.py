"""One network on light and on ReRAM: arrays, energy, time, area and accuracy beside each other.

    python examples/photonic_or_reram.py [--targets reram_128x128,photonic_mrr_32x32] [--samples 200] [--chips 3]

Figures of photonic targets rest on many assumptions (``pinat-compile targets photonic_mrr_32x32`` marks them); the
share of numbers that nobody looked up stands beside each. The same as a command: ``pinat-compile compare``.
About two minutes on two cores.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import pinat_compile as pc
from pinat_compile.hardware.loader import is_verified

MODEL = Path(__file__).parent / "resnet8_fashion_mnist.onnx"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--targets", default="reram_128x128,photonic_mrr_32x32,photonic_pcm_64x64")
    parser.add_argument("--samples", type=int, default=200)
    parser.add_argument("--chips", type=int, default=3)
    options = parser.parse_args(arguments)

    found = pc.compare(
        MODEL, options.targets.split(","), data=f"fashion-mnist-mini@test[:{options.samples}]", chips=options.chips
    ).to_dict()
    for entry in found["targets"]:
        name, totals = entry["target"]["name"], entry["totals"]
        sources = pc.load_target(name).sources.values()
        doubtful = sum(source != "default" and not is_verified(source) for source in sources)
        print(f"{name:20} {totals['arrays']:5.0f} arrays  {shown(totals['energy_j']['total'], 1e6, 'µJ')}  "
              f"{shown(totals['latency_s'], 1e6, 'µs')}  {shown(totals['area_mm2'], 1.0, 'mm²')}  "
              f"{entry['accuracy']:6.1%}  ({doubtful} of {len(sources)} numbers are assumptions)")


def shown(value: float | None, factor: float, unit: str) -> str:
    """A figure, or a dash where the target has no numbers for it."""
    return f"{'–' if value is None else f'{factor * value:.2f}':>9} {unit}"


if __name__ == "__main__":
    main()

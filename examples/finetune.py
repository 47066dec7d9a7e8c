"""Fine-tune a network against the noise of its chip, and judge it on chips that training never saw.

    python examples/finetune.py [--images 4000] [--epochs 2] [--samples 1000] [--chips 10]

The same as commands: ``pinat-compile finetune DIR --data DATA -o DIR2``. About three minutes on two cores.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import pinat_compile as pc

MODEL = Path(__file__).parent / "resnet8_fashion_mnist.onnx"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=4000, help="training images; every tenth is held out")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--samples", type=int, default=1000, help="test images")
    parser.add_argument("--chips", type=int, default=10)
    options = parser.parse_args(arguments)
    train, test = (f"fashion-mnist-mini@{part}" for part in (f"train[:{options.images}]", f"test[:{options.samples}]"))

    compiled = pc.compile(MODEL, target="reram_128x128")
    print("method    mean     worst chip   after twice the noise")
    for method in ("ptq", "nt", "pinat"):
        settings = {} if method == "ptq" else {"epochs": options.epochs}
        tuned = pc.finetune(compiled, train, method=method, **settings)
        usual, harsh = (pc.evaluate(tuned, test, chips=options.chips, severity=severity) for severity in (1.0, 2.0))
        print(f"{method:8} {usual.mean:6.1%}   {usual.spread.worst:6.1%}       {harsh.mean:6.1%}")


if __name__ == "__main__":
    main()

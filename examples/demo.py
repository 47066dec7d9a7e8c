"""The main job on the shipped network, command by command: compile, evaluate, fine-tune, evaluate again, costs.

    python examples/demo.py [--folder build/demo] [--epochs 3] [--chips 10]

It prints each command before running it, so that you can type the same. Nothing is downloaded.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path
from time import perf_counter

ROOT = Path(__file__).parents[1]
MODEL = Path("examples") / "resnet8_fashion_mnist.onnx"
TARGET = "reram_128x128"
DATA = "fashion-mnist-mini"


def say_build() -> None:
    """Which torch runs this, and how large it is."""
    import onnxruntime
    import torch

    folder = Path(torch.__file__).parent
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 2**20
    kind = f"CUDA {torch.version.cuda}" if torch.version.cuda else "CPU build"
    print(f"torch {torch.__version__} ({kind}, {size:,.0f} MiB installed), onnxruntime {onnxruntime.__version__}, "
          f"{torch.get_num_threads()} threads", flush=True)


def run(*words: str) -> None:
    """Run ``pinat-compile`` with ``words``, in sight; stop where it fails."""
    print(f"\n$ pinat-compile {' '.join(words)}", flush=True)
    done = subprocess.run([sys.executable, "-m", "pinat_compile.cli", *words], cwd=ROOT)
    if done.returncode:
        raise SystemExit(done.returncode)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", default="build/demo", help="where the compiled networks go")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--chips", type=int, default=10)
    options = parser.parse_args()
    started = perf_counter()
    plain, tuned = f"{options.folder}/resnet8", f"{options.folder}/resnet8-tuned"
    judged = ("--data", f"{DATA}@test", "--chips", str(options.chips))
    say_build()
    run(str(MODEL), "--target", TARGET, "-o", plain)
    run("evaluate", plain, *judged)
    run("finetune", plain, "--data", f"{DATA}@train", "--method", "pinat", "--epochs", str(options.epochs), "-o", tuned)
    run("evaluate", tuned, *judged)
    run("report", tuned)
    print(f"\nDone in {perf_counter() - started:.0f} s. The compiled networks are in {options.folder}.")


if __name__ == "__main__":
    main()

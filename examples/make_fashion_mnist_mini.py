"""Make pinat_compile/data/fashion_mnist_mini.npz: the first 5,000 training and 2,000 test images of Fashion-MNIST.

    python examples/make_fashion_mnist_mini.py [--data FOLDER] [-o FILE.npz]

The source is the four IDX files of Fashion-MNIST (Debian package ``dataset-fashion-mnist``). The archive is the same on
every run, byte for byte: members in a fixed order, with a fixed date.
"""

import argparse
import io
import zipfile
from pathlib import Path

import numpy as np

from pinat_compile.data.idx import read_idx_split

ROOT = Path(__file__).parents[1]
COUNTS = {"train": 5_000, "test": 2_000}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, default=Path("/usr/share/datasets/fashion-mnist"))
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "pinat_compile" / "data" / "fashion_mnist_mini.npz")
    options = parser.parse_args()

    with zipfile.ZipFile(options.output, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for split, count in COUNTS.items():
            images, labels = read_idx_split(options.data, split)
            for name, array in ((f"x_{split}", images[:count]), (f"y_{split}", labels[:count].astype(np.uint8))):
                stream = io.BytesIO()
                np.save(stream, array, allow_pickle=False)
                archive.writestr(zipfile.ZipInfo(f"{name}.npy", (2020, 1, 1, 0, 0, 0)), stream.getvalue(),
                                 zipfile.ZIP_DEFLATED)
                print(f"{name:8} {array.dtype} {array.shape}")
    print(f"wrote {options.output.name}, {options.output.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()

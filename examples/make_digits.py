"""Makes examples/data/digits_8x8.npz from scikit-learn's copy of the handwritten digits.

    pip install scikit-learn && python examples/make_digits.py

1,797 images of 8 x 8 pixels, 0 to 16, with labels: the test part of "Optical Recognition of Handwritten Digits" (E.
Alpaydin, C. Kaynak 1998, UCI Machine Learning Repository, CC BY 4.0).
"""

from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits  # type: ignore[import-not-found,unused-ignore]

OUT = Path(__file__).parent / "data" / "digits_8x8.npz"

if __name__ == "__main__":
    digits = load_digits()
    OUT.parent.mkdir(exist_ok=True)
    np.savez_compressed(OUT, x=digits.images.astype(np.uint8), y=digits.target.astype(np.uint8))
    print(f"{OUT.name}: {len(digits.target)} images, {OUT.stat().st_size / 1024:.0f} KiB")

"""Small data sets written in the original formats, for the tests of the readers."""

import gzip
import struct
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

Array = np.ndarray[Any, np.dtype[Any]]


def idx_bytes(array: Array) -> bytes:
    """A uint8 array as an IDX file."""
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def write_idx(folder: Path, images: Array, labels: Array, *, prefix: str = "train", zipped: bool = True) -> None:
    for name, array in ((f"{prefix}-images-idx3-ubyte", images), (f"{prefix}-labels-idx1-ubyte", labels)):
        raw = idx_bytes(array.astype(np.uint8))
        (folder / f"{name}.gz").write_bytes(gzip.compress(raw)) if zipped else (folder / name).write_bytes(raw)


def write_cifar_batch(path: Path, images: Array, labels: list[int], *, key: str = "labels") -> None:
    """A batch with uint8 images [n, 3, 32, 32], as Python 2 and numpy 1.7 pickled it: opcode by opcode."""

    def text(value: str) -> bytes:
        return b"U" + bytes([len(value)]) + value.encode()

    def integer(value: int) -> bytes:
        return b"J" + struct.pack("<i", value)

    raw = images.tobytes()
    shape = integer(len(images)) + integer(3072) + b"\x86"
    dtype = (b"cnumpy\ndtype\n" + text("u1") + b"K\x00K\x01\x87R"
             + b"(K\x03" + text("|") + b"NNN" + integer(-1) + integer(-1) + b"K\x00tb")
    array = (b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85" + text("b") + b"\x87R"
             + b"(K\x01" + shape + dtype + b"\x89T" + struct.pack("<i", len(raw)) + raw + b"tb")
    numbers = b"](" + b"".join(map(integer, labels)) + b"e"
    names = b"](" + text("a.png") * len(images) + b"e"
    path.write_bytes(b"\x80\x02}(" + text("data") + array + text(key) + numbers + text("filenames") + names + b"u.")


def write_image(path: Path, array: Array) -> None:
    """A PNG, grey [height, width] or RGB [height, width, 3]."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path, format="PNG")

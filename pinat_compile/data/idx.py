"""IDX files: the format of MNIST, Fashion-MNIST, KMNIST and EMNIST, gzipped or not.

Source: Y. LeCun, C. Cortes, C. Burges, "The MNIST database of handwritten digits", section "File formats".
"""

import gzip
import io
import math
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pinat_compile.errors import DataError

MOST_DIMENSIONS = 16
LARGEST_IDX = 16 << 30
"""Bytes of a packed file, unpacked, at most."""

_DTYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
"""Third byte of the magic number -> big-endian numpy type."""


def read_idx(path: Path) -> npt.NDArray[np.generic]:
    """The array in an IDX file: magic number 0 0 type rank, then rank sizes as big-endian uint32, then the values.

    Raises `DataError` when the file is missing, is not an IDX file, or is shorter or longer than its sizes say.
    """
    try:
        raw = path.read_bytes()
        if raw[:2] == b"\x1f\x8b":
            raw = _unpacked(raw)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read: {error}", hint="download or unpack the file again") from error
    if len(raw) < 4 or raw[:2] != b"\0\0" or raw[2] not in _DTYPES:
        raise DataError(f"{path}: not an IDX file (it starts with {raw[:4].hex(' ') or 'nothing'})",
                        hint="an IDX file starts with 00 00, a type byte (08..0e) and its rank")
    dtype, rank = np.dtype(_DTYPES[raw[2]]), raw[3]
    start = 4 + 4 * rank
    if rank > MOST_DIMENSIONS:
        raise DataError(f"{path}: an array of {rank} dimensions, at most {MOST_DIMENSIONS} are read",
                        hint="download or unpack the file again")
    if len(raw) < start:
        raise DataError(f"{path}: ends within its header", hint="download or unpack the file again")
    shape = tuple(int(size) for size in np.frombuffer(raw, ">u4", count=rank, offset=4))
    expected = start + math.prod(shape) * dtype.itemsize
    if len(raw) != expected:
        raise DataError(f"{path}: {len(raw)} bytes, but its header (shape {shape}, {dtype}) asks for {expected}",
                        hint="download or unpack the file again")
    values = np.frombuffer(raw, dtype, offset=start).reshape(shape)
    return values.astype(dtype.newbyteorder("="))


def _unpacked(packed: bytes) -> bytes:
    """What the header asks for and one byte more, so that a small file which unpacks to a huge one does not do so."""
    with gzip.GzipFile(fileobj=io.BytesIO(packed)) as file:
        head = file.read(4)
        if len(head) < 4 or head[2] not in _DTYPES:
            return head
        head += file.read(4 * head[3])
        sizes = (int.from_bytes(head[at : at + 4], "big") for at in range(4, len(head), 4))
        wanted = math.prod(sizes) * np.dtype(_DTYPES[head[2]]).itemsize
        if wanted > LARGEST_IDX:
            raise OSError(f"its header asks for {wanted:,} bytes, at most {LARGEST_IDX:,} are read")
        return head + file.read(wanted + 1)


def idx_splits(folder: Path) -> tuple[str, ...]:
    """The splits of a folder of IDX images: some of ``train`` and ``test``; empty when it holds none."""
    return tuple(split for split in _PREFIXES if _find(folder, split, "images"))


def read_idx_split(folder: Path, split: str) -> tuple[npt.NDArray[np.generic], npt.NDArray[np.int64]]:
    """Images [n, height, width] (uint8 in the known data sets) and labels int64 [n] of ``train`` or ``test``."""
    images, labels = _find(folder, split, "images"), _find(folder, split, "labels")
    if images is None or labels is None:
        kind, rank = ("images", 3) if images is None else ("labels", 1)
        raise DataError(f"{folder}: {split} {kind} are missing",
                        hint=f"expected {_PREFIXES[split][0]}-{kind}-idx{rank}-ubyte or the same with .gz")
    x, y = read_idx(images), read_idx(labels)
    if y.ndim != 1 or len(x) != len(y):
        raise DataError(f"{folder}: {images.name} has {len(x)} images, but {labels.name} has shape {y.shape}",
                        hint="the files of different data sets may be mixed up")
    return x, y.astype(np.int64)


_PREFIXES = {"train": ("train",), "test": ("t10k", "test")}


def _find(folder: Path, split: str, kind: str) -> Path | None:
    """The file of a split, whatever stands before (emnist-letters-) and between (- or .); unpacked before gzipped."""
    found = [path for prefix in _PREFIXES[split] for path in folder.glob(f"*{prefix}-{kind}?idx?-ubyte*")]
    return min(found, key=lambda path: (path.suffix == ".gz", path.name), default=None)

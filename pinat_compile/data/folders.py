"""Folders of image files: one folder per class, and Tiny ImageNet. Needs Pillow, the extra ``images``."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pinat_compile.data.dataset import Rows
from pinat_compile.data.preprocess import Array
from pinat_compile.errors import DataError

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "PPM", "WEBP", "TIFF")
"""What is decoded, whatever a file is called: Pillow would start Ghostscript for PostScript."""
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".ppm", ".pgm", ".webp", ".tif", ".tiff")


@dataclass(frozen=True, slots=True)
class ImageFiles:
    """Images read when asked for: uint8 [n, channels, height, width]; grey or RGB as the first file is.

    ``size`` (height, width) resizes each file, bilinear with antialiasing; without it all files must have one size.
    """

    paths: tuple[Path, ...]
    size: tuple[int, int] | None

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, rows: Rows, /) -> Array:
        mode = "L" if _open(self.paths[0]).mode in ("1", "L", "I", "I;16") else "RGB"
        images = [self._read(self.paths[row], mode) for row in rows]
        for row, image in zip(rows, images, strict=True):
            if image.shape != images[0].shape:
                raise DataError(f"{self.paths[row]}: {_size(image)} pixels, but {self.paths[rows[0]].name} has "
                                f"{_size(images[0])}", hint="--preprocess resize=224 brings all images to one size")
        stacked = np.stack(images)  # [n, height, width] or [n, height, width, 3]
        return stacked[:, None] if mode == "L" else np.ascontiguousarray(stacked.transpose(0, 3, 1, 2))

    def _read(self, path: Path, mode: str) -> Array:
        image = _open(path)
        try:
            image = image.convert(mode)
            if self.size is not None:
                image = image.resize((self.size[1], self.size[0]), resample=2)  # 2: bilinear
        except (OSError, SyntaxError, ValueError) as error:
            raise DataError(f"{path}: not a readable image: {error}", hint="remove or replace the file") from error
        return np.asarray(image)


def class_splits(folder: Path) -> tuple[str, ...]:
    """The splits of a folder of class folders: some of train, val, test; empty when it has no splits."""
    return tuple(split for split in ("train", "val", "test") if (folder / split).is_dir() and _classes(folder / split))


def is_class_folder(folder: Path) -> bool:
    """Whether images stand in folders by class, with or without a level of splits above them."""
    return bool(class_splits(folder) or _classes(folder))


def read_class_folder(folder: Path, size: tuple[int, int] | None) -> tuple[ImageFiles, Array]:
    """Images of ``folder/<class>/*`` and labels int64 [n]: the class folders' positions in alphabetical order."""
    classes = _classes(folder)
    if not classes:
        raise DataError(f"{folder}: no images in folders by class")
    pairs = [(path, label) for label, name in enumerate(classes) for path in _images(folder / name)]
    return _labelled(pairs, size)


def is_tiny_imagenet(folder: Path) -> bool:
    """Whether a folder is Tiny ImageNet as Stanford's CS231n hands it out."""
    return (folder / "wnids.txt").is_file()


def read_tiny_imagenet(folder: Path, split: str, size: tuple[int, int] | None) -> tuple[ImageFiles, Array]:
    """Images and labels int64 [n] of ``train`` or ``val``; labels are positions in wnids.txt, sorted."""
    label_of = {name: label for label, name in enumerate(sorted(_lines(folder / "wnids.txt")))}
    if split == "train":
        pairs = [(path, label) for name, label in label_of.items()
                 for path in _images(folder / "train" / name / "images")]
    else:
        table = folder / "val" / "val_annotations.txt"
        pairs = []
        for number, line in enumerate(_lines(table), start=1):
            name, wnid, *_ = (*line.split(), "", "")
            if wnid not in label_of:
                raise DataError(f"{table}, line {number}: unknown class {wnid!r}", hint="wnids.txt lists the classes")
            pairs.append((folder / "val" / "images" / name, label_of[wnid]))
    if not pairs:
        raise DataError(f"{folder}: no {split} images", hint="unpack the data set's archive again")
    return _labelled(pairs, size)


def _labelled(pairs: list[tuple[Path, int]], size: tuple[int, int] | None) -> tuple[ImageFiles, Array]:
    return ImageFiles(tuple(path for path, _ in pairs), size), np.array([label for _, label in pairs], np.int64)


def _images(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES) if folder.is_dir() else []


def _classes(folder: Path) -> list[str]:
    return sorted(sub.name for sub in folder.iterdir() if sub.is_dir() and _images(sub))


def _lines(path: Path) -> list[str]:
    try:
        return [line.strip() for line in path.read_text("utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read: {error}", hint="unpack the data set's archive again") from error


def _open(path: Path) -> Any:
    try:
        from PIL import Image  # late: an extra
    except ImportError:
        raise DataError(f"{path}: reading image files needs Pillow",
                        hint="pip install 'pinat-compile[images]'") from None
    try:
        with path.open("rb") as file:
            image = Image.open(file, formats=FORMATS)
            image.load()
            return image
    except Exception as error:  # decoders raise nearly anything, and refuse images of absurd size
        raise DataError(f"{path}: not a readable image: {error}", hint="remove or replace the file") from error


def _size(image: Array) -> str:
    return f"{image.shape[0]}x{image.shape[1]}"

"""The original formats: IDX, CIFAR, Tiny ImageNet, class folders; read right, refused with a clear message."""

import gzip
import pickle
import struct
import sys
import tracemalloc
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest

from pinat_compile.data import Preprocess, load_data
from pinat_compile.data.idx import read_idx
from pinat_compile.errors import DataError
from tests.data.formats import idx_bytes, write_cifar_batch, write_idx, write_image

RANDOM = np.random.default_rng(0)
GREY = RANDOM.integers(0, 256, (20, 6, 5), np.uint8)
RGB = RANDOM.integers(0, 256, (20, 3, 32, 32), np.uint8)
LABELS = np.arange(20) % 3


def refused(spec: str) -> DataError:
    """The error that reading the first sample raises."""
    with pytest.raises(DataError) as caught:
        next(load_data(spec).batches(1))
    assert caught.value.hint is None or caught.value.hint
    return caught.value


# --- IDX -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("prefix", ["train", "t10k", "emnist-letters-test"])
def test_idx_folder(tmp_path: Path, prefix: str, zipped: bool) -> None:
    write_idx(tmp_path, GREY, LABELS, prefix=prefix, zipped=zipped)
    data = load_data(f"{tmp_path}@{'train' if prefix == 'train' else 'test'}")
    np.testing.assert_array_equal(data.inputs["x"], GREY[:, None] / np.float32(255))
    np.testing.assert_array_equal(data.labels, LABELS)


@pytest.mark.parametrize(("code", "dtype"), [(0x09, ">i1"), (0x0B, ">i2"), (0x0C, ">i4"), (0x0D, ">f4"), (0x0E, ">f8")])
def test_idx_types(tmp_path: Path, code: int, dtype: str) -> None:
    values = np.array([[1, -2, 3], [4, 5, -6]], dtype)
    path = tmp_path / "values"
    path.write_bytes(struct.pack(">BBBBII", 0, 0, code, 2, 2, 3) + values.tobytes())
    got = read_idx(path)
    np.testing.assert_array_equal(got, values)
    assert got.dtype.isnative


@pytest.mark.parametrize(("raw", "message"), [
    (b"", "not an IDX file (it starts with nothing)"),
    (b"PNG images", "not an IDX file (it starts with 50 4e 47 20)"),
    (b"\x00\x00\x08\x03\x00\x00", "ends within its header"),
    (idx_bytes(GREY)[:-1], "its header (shape (20, 6, 5), uint8) asks for 616"),
    (b"\x1f\x8b broken", "cannot be read"),
])
def test_idx_errors(tmp_path: Path, raw: bytes, message: str) -> None:
    write_idx(tmp_path, GREY, LABELS, zipped=False)
    (tmp_path / "train-images-idx3-ubyte").write_bytes(raw)
    error = refused(f"{tmp_path}@train")
    assert "train-images-idx3-ubyte" in error.message and message in error.message and error.hint


def test_idx_without_labels(tmp_path: Path) -> None:
    write_idx(tmp_path, GREY, LABELS, zipped=True)
    (tmp_path / "train-labels-idx1-ubyte.gz").unlink()
    error = refused(f"{tmp_path}@train")
    assert "train labels are missing" in error.message and "train-labels-idx1-ubyte" in (error.hint or "")


def test_idx_with_the_labels_of_another_set(tmp_path: Path) -> None:
    write_idx(tmp_path, GREY, LABELS[:19])
    assert "has 20 images" in refused(f"{tmp_path}@train").message


# --- CIFAR -----------------------------------------------------------------------------------------------------------


def cifar10(folder: Path) -> None:
    for n in range(5):
        write_cifar_batch(folder / f"data_batch_{n + 1}", RGB[4 * n : 4 * n + 4], LABELS[4 * n : 4 * n + 4].tolist())
    write_cifar_batch(folder / "test_batch", RGB[:6], LABELS[:6].tolist())


def test_cifar10(tmp_path: Path) -> None:
    cifar10(tmp_path)
    train, test = load_data(f"{tmp_path}@train"), load_data(f"{tmp_path}")
    np.testing.assert_array_equal(train.inputs["x"], RGB / np.float32(255))
    np.testing.assert_array_equal(train.labels, LABELS)
    assert len(test) == 6


def test_cifar100_gives_the_fine_labels(tmp_path: Path) -> None:
    write_cifar_batch(tmp_path / "train", RGB, LABELS.tolist(), key="fine_labels")
    write_cifar_batch(tmp_path / "test", RGB[:5], LABELS[:5].tolist(), key="fine_labels")
    (tmp_path / "meta").write_bytes(b"")
    np.testing.assert_array_equal(load_data(f"{tmp_path}@train").labels, LABELS)
    assert len(load_data(f"{tmp_path}@test")) == 5


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_cifar_pickled_by_python_3(tmp_path: Path, protocol: int) -> None:
    content = {"data": RGB.reshape(20, -1), "labels": LABELS.tolist(), b"batch_label": b"one \xff"}
    (tmp_path / "test_batch").write_bytes(pickle.dumps(content, protocol))
    np.testing.assert_array_equal(load_data(f"{tmp_path}@test").inputs["x"], RGB / np.float32(255))


class Evil:
    """Asks the reader to run a function."""

    def __reduce__(self) -> tuple[object, ...]:
        return print, ("pickles can run code",)


@pytest.mark.parametrize(("content", "name"), [(Evil(), "print"), (OrderedDict(a=1), "collections.OrderedDict")])
def test_cifar_runs_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str], content: object, name: str) -> None:
    (tmp_path / "test_batch").write_bytes(pickle.dumps({"data": content}))
    error = refused(f"{tmp_path}@test")
    assert "test_batch: the pickle asks for" in error.message and name in error.message
    assert "pickles can run code" not in capsys.readouterr().out


@pytest.mark.parametrize(("raw", "message"), [
    (b"", "not a batch of CIFAR"),
    (b"\x80\x02}q\x00", "not a batch of CIFAR"),
    (pickle.dumps([1, 2]), "it holds list"),
    (pickle.dumps({"data": np.zeros((2, 3072), np.uint8)}), "it holds ['data']"),
    (pickle.dumps({"data": np.zeros((2, 3071), np.uint8), "labels": [1, 2]}), "it holds ['data', 'labels']"),
    (pickle.dumps({"data": np.zeros((2, 3072), np.uint8), "labels": [1]}), "2 images, but 1 labels"),
])
def test_cifar_errors(tmp_path: Path, raw: bytes, message: str) -> None:
    (tmp_path / "test_batch").write_bytes(raw)
    error = refused(f"{tmp_path}@test")
    assert "test_batch: " in error.message and message in error.message


def test_cifar_with_a_missing_batch(tmp_path: Path) -> None:
    cifar10(tmp_path)
    (tmp_path / "data_batch_3").unlink()
    assert "data_batch_3: missing" in refused(f"{tmp_path}@train").message


# --- image files -----------------------------------------------------------------------------------------------------


def classes(folder: Path, count: int = 2, shape: tuple[int, ...] = (6, 5)) -> np.ndarray:
    images = RANDOM.integers(0, 256, (2 * count, *shape), np.uint8)
    for n, image in enumerate(images):
        write_image(folder / ("cat", "dog")[n // count] / f"{n}.png", image)
    (folder / "cat" / "notes.txt").write_text("not an image")
    return images


def test_class_folders(tmp_path: Path) -> None:
    images = classes(tmp_path, shape=(6, 5, 3))
    data = load_data(str(tmp_path))
    np.testing.assert_array_equal(data.inputs["x"], images.transpose(0, 3, 1, 2) / np.float32(255))
    np.testing.assert_array_equal(data.labels, [0, 0, 1, 1])


def test_class_folders_of_grey_images_with_splits(tmp_path: Path) -> None:
    train, val = classes(tmp_path / "train", 10), classes(tmp_path / "val", 1)
    np.testing.assert_array_equal(load_data(f"{tmp_path}@train").inputs["x"], train[:, None] / np.float32(255))
    for split in ("val", "test"):  # nobody hands out labelled test images here: val stands in
        np.testing.assert_array_equal(load_data(f"{tmp_path}@{split}").inputs["x"], val[:, None] / np.float32(255))
    np.testing.assert_array_equal(load_data(f"{tmp_path}@validation").rows, [9, 19])
    assert "no split 'test'" not in load_data(f"{tmp_path}").name


def test_images_are_read_only_when_asked_for(tmp_path: Path) -> None:
    classes(tmp_path)
    (tmp_path / "dog" / "9.png").write_bytes(b"broken")
    data = load_data(str(tmp_path))
    next(data.batches(4))
    with pytest.raises(DataError, match=r"9\.png: not a readable image"):
        list(data.batches(4))


def test_an_image_of_absurd_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    classes(tmp_path, shape=(6, 5, 3))
    monkeypatch.setattr("PIL.Image.MAX_IMAGE_PIXELS", 10)
    with pytest.raises(DataError, match="not a readable image: Image size"):
        next(load_data(str(tmp_path)).batches(1))


def test_images_of_different_sizes_need_resize(tmp_path: Path) -> None:
    classes(tmp_path)
    write_image(tmp_path / "cat" / "big.png", np.full((12, 10), 51, np.uint8))
    with pytest.raises(DataError, match=r"big\.png: 12x10 pixels, but 0\.png has 6x5") as caught:
        list(load_data(str(tmp_path)).batches(9))
    assert caught.value.hint and "resize=" in caught.value.hint
    resized = load_data(str(tmp_path), preprocess=Preprocess(resize=(4, 3))).inputs["x"]
    assert resized.shape == (5, 1, 4, 3)
    np.testing.assert_allclose(resized[2], 0.2, rtol=1e-6)


def test_tiny_imagenet(tmp_path: Path) -> None:
    (tmp_path / "wnids.txt").write_text("n02\nn01\n")
    images = RANDOM.integers(0, 256, (5, 8, 8, 3), np.uint8)
    for n, (place, name) in enumerate([("train", "n01"), ("train", "n02"), ("train", "n02"), ("val", ""), ("val", "")]):
        write_image(tmp_path / place / name / "images" / f"{n}.JPEG", images[n])
    (tmp_path / "test" / "images").mkdir(parents=True)
    (tmp_path / "val" / "val_annotations.txt").write_text("4.JPEG\tn02\t0\t0\t62\t62\n3.JPEG\tn01\t0\t0\t62\t62\n")
    train, test = load_data(f"{tmp_path}@train"), load_data(f"{tmp_path}@test")
    np.testing.assert_array_equal(train.labels, [0, 1, 1])
    np.testing.assert_array_equal(test.labels, [1, 0])
    np.testing.assert_array_equal(test.inputs["x"], images[[4, 3]].transpose(0, 3, 1, 2) / np.float32(255))


def test_tiny_imagenet_errors(tmp_path: Path) -> None:
    (tmp_path / "wnids.txt").write_text("n01\n")
    assert "no train images" in refused(f"{tmp_path}@train").message
    assert "val_annotations.txt: cannot be read" in refused(f"{tmp_path}@val").message
    (tmp_path / "val").mkdir()
    (tmp_path / "val" / "val_annotations.txt").write_text("1.JPEG\tn07\n")
    assert "line 1: unknown class 'n07'" in refused(f"{tmp_path}@val").message
    (tmp_path / "val" / "val_annotations.txt").write_text("1.JPEG\tn01\n")
    assert "1.JPEG: not a readable image" in refused(f"{tmp_path}@val").message


def test_without_pillow_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    classes(tmp_path)
    monkeypatch.setitem(sys.modules, "PIL", None)
    error = refused(str(tmp_path))
    assert "needs Pillow" in error.message and error.hint == "pip install 'pinat-compile[images]'"


def test_a_packed_file_is_unpacked_no_further_than_its_header_says(tmp_path: Path) -> None:
    write_idx(tmp_path, GREY, LABELS, zipped=False)
    (tmp_path / "train-images-idx3-ubyte").unlink()
    path = tmp_path / "train-images-idx3-ubyte.gz"
    path.write_bytes(gzip.compress(idx_bytes(GREY) + bytes(1 << 26)))
    tracemalloc.start()
    message = refused(f"{tmp_path}@train").message
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "asks for 616" in message and peak < 1 << 22
    path.write_bytes(gzip.compress(b"\0\0\x08\x03" + b"\xff" * 12))
    assert "at most 17,179,869,184 are read" in refused(f"{tmp_path}@train").message

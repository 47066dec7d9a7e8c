"""The DATA argument: what it may name, its suffixes, and the model's input names."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from pinat_compile.data import Dataset, Preprocess, as_dataset, load_data
from pinat_compile.errors import DataError
from tests.data.formats import write_idx

X = np.arange(40 * 3, dtype=np.float32).reshape(40, 3)
Y = np.arange(40) % 4


def refused(spec: str, inputs: list[str] | None = None) -> DataError:
    with pytest.raises(DataError) as caught:
        load_data(spec, inputs=inputs)
    return caught.value


@pytest.fixture
def npz(tmp_path: Path) -> str:
    np.savez(tmp_path / "set.npz", x=X, y=Y)
    return str(tmp_path / "set.npz")


# --- the shipped sample ----------------------------------------------------------------------------------------------


def test_the_shipped_sample() -> None:
    train, test = load_data("fashion-mnist-mini@train"), load_data("fashion-mnist-mini")
    assert (len(train), len(test)) == (5000, 2000)
    batch = next(test.batches(7))
    assert batch.inputs["x"].shape == (7, 1, 28, 28) and batch.inputs["x"].dtype == np.float32
    assert 0 <= batch.inputs["x"].min() and batch.inputs["x"].max() <= 1
    for data in (train, test):
        assert data.labels is not None and set(data.labels) == set(range(10))


def test_splits_and_slices_of_the_sample() -> None:
    train = load_data("fashion-mnist-mini@train")
    assert train.name == "fashion-mnist-mini@train"
    fit, validation = load_data("fashion-mnist-mini@fit"), load_data("fashion-mnist-mini@validation")
    assert (len(fit), len(validation)) == (4500, 500)
    assert not set(fit.rows) & set(validation.rows)
    np.testing.assert_array_equal(load_data("fashion-mnist-mini@train[100:300]").rows, np.arange(100, 300))
    np.testing.assert_array_equal(load_data("fashion-mnist-mini@[-5:]").rows, np.arange(1995, 2000))
    np.testing.assert_array_equal(load_data("fashion-mnist-mini@[:3]", split="fit").rows, [0, 1, 2])
    assert len(load_data("fashion-mnist-mini", split="train")) == 5000


# --- NPZ -------------------------------------------------------------------------------------------------------------


def test_npz_with_x_and_y(npz: str) -> None:
    data = load_data(f"{npz}@[10:20]", inputs=["image"])
    assert data.input_names == ("image",)
    np.testing.assert_array_equal(data.inputs["image"], X[10:20])
    np.testing.assert_array_equal(data.labels, Y[10:20])


def test_npz_with_the_models_input_names(tmp_path: Path) -> None:
    np.savez(tmp_path / "set.npz", b=X, a=2 * X)
    data = load_data(str(tmp_path / "set.npz"), inputs=["a", "b"])
    assert data.input_names == ("a", "b") and data.labels is None
    np.testing.assert_array_equal(data.inputs["a"], 2 * X)


def test_parts_of_data_without_splits(npz: str) -> None:
    np.testing.assert_array_equal(load_data(f"{npz}@validation").rows, [9, 19, 29, 39])
    error = refused(f"{npz}@train")
    assert "it has no splits, so no @train" in error.message and "@[:1000]" in (error.hint or "")


@pytest.mark.parametrize(("arrays", "inputs", "message"), [
    ({"x": X, "y": Y}, ["a", "b"], "the model's inputs are a, b; the data gives x"),
    ({"a": X, "c": X, "y": Y}, ["a", "b"], "the model's inputs are a, b; the data gives a, c"),
    ({"x": X, "extra": X}, ["x"], "the model's inputs are x; the data gives x, extra"),
    ({"y": Y}, ["x"], "there are no inputs"),
    ({"x": X, "y": Y[:39]}, ["x"], "x has 40 samples, but labels has 39"),
    ({"x": X[:0], "y": Y[:0]}, ["x"], "there are no samples"),
    ({"x": np.array(["a", 1], object)}, ["x"], "holds Python objects, not numbers"),
    ({"x": np.array(["a", "b"])}, ["x"], "x holds text or records (<U1), not numbers"),
])
def test_npz_errors(tmp_path: Path, arrays: dict[str, np.ndarray], inputs: list[str], message: str) -> None:
    path = tmp_path / "set.npz"
    np.savez(path, allow_pickle=True, **arrays)
    error = refused(str(path), inputs)
    assert "set.npz" in error.message and message in error.message


@pytest.mark.parametrize("raw", [b"", b"PK broken", b"text"])
def test_npz_that_is_none(tmp_path: Path, raw: bytes) -> None:
    (tmp_path / "set.npz").write_bytes(raw)
    assert "set.npz: not a readable NPZ file" in refused(str(tmp_path / "set.npz")).message


def test_npy_in_the_guise_of_npz(tmp_path: Path) -> None:
    np.save(tmp_path / "set.npy", X)
    (tmp_path / "set.npy").rename(tmp_path / "set.npz")
    assert "not a readable NPZ file" in refused(str(tmp_path / "set.npz")).message


# --- functions -------------------------------------------------------------------------------------------------------


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A user's module in the current folder."""
    (tmp_path / "users_data.py").write_text(
        "import numpy as np\n"
        "def pair(): return np.ones((12, 2)), np.arange(12)\n"
        "def alone(): return np.ones((12, 2), np.uint8)\n"
        "def named(): return {'a': np.ones((12, 2)), 'b': np.zeros((12, 1)), 'y': np.arange(12)}\n"
        "def batches(): return [(np.ones((4, 2)), np.arange(4))] * 3\n"
        "def wrong(): return 3\n"
        "def fails(): raise ValueError('no disk')\n"
        "constant = 3\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(__import__("sys").modules, "users_data", raising=False)
    return "users_data"


@pytest.mark.parametrize(("function", "names", "labelled"), [
    ("pair", ("x",), True), ("alone", ("x",), False), ("named", ("a", "b"), True), ("batches", ("x",), True)])
def test_functions(module: str, function: str, names: tuple[str, ...], labelled: bool) -> None:
    data = load_data(f"{module}:{function}@[:12]")
    assert len(data) == 12 and data.input_names == names and (data.labels is not None) == labelled


@pytest.mark.parametrize(("function", "message"), [
    ("wrong", "users_data:wrong: int is not data"),
    ("fails", "it raised ValueError: no disk"),
    ("constant", "module users_data has no function constant"),
    ("absent", "module users_data has no function absent"),
    ("pair@train", "it has no splits"),
])
def test_function_errors(module: str, function: str, message: str) -> None:
    assert message in refused(f"{module}:{function}").message


def test_function_of_an_absent_module() -> None:
    error = refused("no_such_module_anywhere:load")
    assert "No module named 'no_such_module_anywhere'" in error.message and error.hint


# --- what is unknown -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("spec", "message"), [
    ("no-such-thing", "data 'no-such-thing': there is no such file, folder or data set"),
    ("missing.npz", "there is no such file"),
    ("", "the name is missing"),
    ("@train", "the name is missing"),
    ("fashion-mnist-mini@tests", "@tests is not a split or slice"),
    ("fashion-mnist-mini@", "@ is not a split or slice"),
    ("fashion-mnist-mini@train[5]", "@train[5] is not a split or slice"),
    ("fashion-mnist-mini@train[:0]", "no samples are left of 5000"),
    ("fashion-mnist-mini@val", "there is no split 'val'; it has train, test"),
])
def test_unknown_specs(spec: str, message: str) -> None:
    error = refused(spec)
    assert message in error.message and error.hint


def test_unknown_files_and_folders(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("1,2")
    assert "not a data set of a known kind" in refused(str(tmp_path / "table.csv")).message
    error = refused(str(tmp_path))
    assert "it holds table.csv" in error.message and "wnids.txt" in (error.hint or "")
    (tmp_path / "empty").mkdir()
    assert "it holds nothing" in refused(str(tmp_path / "empty")).message


def test_a_folder_may_have_an_at_sign(tmp_path: Path) -> None:
    folder = tmp_path / "me@train"
    folder.mkdir()
    write_idx(folder, np.zeros((20, 2, 2)), np.zeros(20))
    assert len(load_data(str(folder), split="train")) == 20
    assert len(load_data(f"{folder}@train[:5]")) == 5


def test_a_split_that_is_not_there(tmp_path: Path) -> None:
    write_idx(tmp_path, np.zeros((20, 2, 2)), np.zeros(20))
    assert "there is no split 'test'; it has train" in refused(str(tmp_path)).message


# --- values ----------------------------------------------------------------------------------------------------------


VALUES: dict[str, Callable[[], object]] = {
    "x": lambda: X,
    "(x,)": lambda: (X,),
    "(x, y)": lambda: (X, Y),
    "dict": lambda: {"image": X, "y": Y},
    "(dict, y)": lambda: ({"image": X}, Y),
    "tensor": lambda: torch.from_numpy(X),
    "(tensor, tensor)": lambda: (torch.from_numpy(X), torch.from_numpy(Y)),
    "batches of x": lambda: [X[:30], X[30:]],
    "batches of (x, y)": lambda: [(X[:30], Y[:30]), (X[30:], Y[30:])],
    "iterator of dicts": lambda: iter([{"image": X[:7]}, {"image": X[7:]}]),
    "DataLoader": lambda: DataLoader(TensorDataset(torch.from_numpy(X), torch.from_numpy(Y)), batch_size=7),
    "Dataset": lambda: Dataset.from_arrays({"x": X}, Y),
}


@pytest.mark.parametrize("form", VALUES)
def test_values(form: str) -> None:
    data = as_dataset(VALUES[form](), inputs=["image"])
    np.testing.assert_array_equal(data.inputs["image"], X)
    assert (data.labels is not None) == ("y" in form or form in ("dict", "(tensor, tensor)", "DataLoader", "Dataset"))
    if data.labels is not None:
        np.testing.assert_array_equal(data.labels, Y)


def test_values_by_name(npz: str) -> None:
    np.testing.assert_array_equal(as_dataset(npz).inputs["x"], X)
    np.testing.assert_array_equal(as_dataset(Path(npz), preprocess=Preprocess(scale=2.0)).inputs["x"], 2 * X)
    assert len(as_dataset("fashion-mnist-mini", split="train")) == 5000


def test_a_dataset_keeps_its_preprocessing_unless_one_is_given() -> None:
    data = Dataset.from_arrays({"x": X}, preprocess=Preprocess(scale=2.0))
    np.testing.assert_array_equal(as_dataset(data).inputs["x"], 2 * X)
    np.testing.assert_array_equal(as_dataset(data, preprocess=Preprocess(scale=3.0)).inputs["x"], 3 * X)


@pytest.mark.parametrize(("value", "message"), [
    (3, "int is not data"),
    ([], "there are no batches"),
    ([X, "text"], "batch 1 is not an array"),
    ([X, (X, Y)], "batch 1 is not an array, (x, y) or dict like those before it"),
    ([X, X[:, :2]], "the batches do not join"),
    ((X, Y, Y), "the batches do not join"),
], ids=range(6))
def test_value_errors(value: object, message: str) -> None:
    with pytest.raises(DataError) as caught:
        as_dataset(value)
    assert message in caught.value.message

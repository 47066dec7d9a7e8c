"""The compiled folder: what is read back is what was saved; damage is named; a crash leaves a valid state."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pinat_compile.compiler.build import compile
from pinat_compile.compiler.compiled import Compiled
from pinat_compile.compiler.folder import check_writable, load
from pinat_compile.errors import FolderError
from pinat_compile.graph import dump, parse

MODEL = Path(__file__).parents[2] / "examples" / "resnet8_fashion_mnist.onnx"


@pytest.fixture(scope="module")
def compiled() -> Compiled:
    return compile(MODEL, "reram_128x128")


def images() -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).random((3, 1, 28, 28), dtype=np.float32))


def output(network: Compiled, chip: int = 0) -> torch.Tensor:
    with torch.inference_mode():
        result = network.simulator(chip=chip)(images())
    assert isinstance(result, torch.Tensor)
    return result


def test_a_loaded_network_is_the_saved_one(compiled: Compiled, tmp_path: Path) -> None:
    again = load(compiled.save(tmp_path / "build"))
    assert torch.equal(output(again), output(compiled))
    assert dump(again.graph) == dump(compiled.graph)
    assert dump(again.source) == dump(compiled.source)
    assert again.target == compiled.target
    assert again.options == compiled.options
    assert [record.name for record in again.passes] == [record.name for record in compiled.passes]
    for name, inputs in compiled.calibration.matrices.items():
        assert np.array_equal(again.calibration.matrices[name].vectors, inputs.vectors)
    x = images().numpy()
    assert np.array_equal(again.reference.run({"x": x})["logits"], compiled.reference.run({"x": x})["logits"])


def test_the_folder_holds_what_is_promised(compiled: Compiled, tmp_path: Path) -> None:
    folder = compiled.save(tmp_path / "build")
    assert {path.name for path in folder.iterdir()} == {
        "manifest.json", "graph.txt", "options.json", "model.onnx", "tensors.safetensors", "calibration.safetensors",
        "target.toml", "report.json", "tiles.jsonl",
    }


def test_loading_never_plans_again(compiled: Compiled, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = compiled.save(tmp_path / "build")

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("load ran a pass")

    monkeypatch.setattr("pinat_compile.passes.manager.run_passes", refuse)
    monkeypatch.setattr("pinat_compile.compiler.build.run_passes", refuse)
    load(folder)


@pytest.mark.parametrize("name", ["graph.txt", "tensors.safetensors", "target.toml", "options.json", "model.onnx"])
def test_a_changed_file_is_named(compiled: Compiled, tmp_path: Path, name: str) -> None:
    folder = compiled.save(tmp_path / "build")
    (folder / name).write_bytes((folder / name).read_bytes() + b" ")
    with pytest.raises(FolderError, match=f"{name}: was changed after it was written"):
        load(folder)


def test_another_target_is_named(compiled: Compiled, tmp_path: Path) -> None:
    folder = compiled.save(tmp_path / "build")
    other = compile(MODEL, "ideal_128x128").save(tmp_path / "other")
    (folder / "target.toml").write_bytes((other / "target.toml").read_bytes())
    with pytest.raises(FolderError, match=r"target\.toml: was changed"):
        load(folder)


def test_a_missing_file_is_named(compiled: Compiled, tmp_path: Path) -> None:
    folder = compiled.save(tmp_path / "build")
    (folder / "tensors.safetensors").unlink()
    with pytest.raises(FolderError, match=r"tensors\.safetensors: is missing"):
        load(folder)


def test_another_schema_version_is_refused(compiled: Compiled, tmp_path: Path) -> None:
    folder = compiled.save(tmp_path / "build")
    manifest = json.loads((folder / "manifest.json").read_text())
    for schema, remedy in (("99", "install pinat-compile 7.0 or later"), ("0", "compile the network again, or read")):
        changed = {**manifest, "schema": f"pinat-compiled/{schema}", "tool_version": "7.0"}
        (folder / "manifest.json").write_text(json.dumps(changed))
        says = f"written in schema pinat-compiled/{schema}, this version reads pinat-compiled/1"
        with pytest.raises(FolderError, match=f"{says}\n.*{remedy}"):
            load(folder)


def test_a_manifest_cannot_reach_outside(compiled: Compiled, tmp_path: Path) -> None:
    folder = compiled.save(tmp_path / "build")
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"]["graph.txt"]["file"] = "../graph.txt"
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(FolderError, match="outside the folder"):
        load(folder)


@pytest.mark.parametrize("made", ["missing", "empty", "file"])
def test_what_is_no_compiled_folder_is_refused(tmp_path: Path, made: str) -> None:
    folder = tmp_path / "build"
    if made == "empty":
        folder.mkdir()
    elif made == "file":
        folder.write_text("")
    with pytest.raises(FolderError, match="no such folder" if made != "empty" else "not a compiled folder"):
        load(folder)


def test_somebody_elses_folder_is_left_alone(compiled: Compiled, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(FolderError, match="is not empty and was not made by pinat-compile"):
        compiled.save(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_an_empty_folder_is_used(compiled: Compiled, tmp_path: Path) -> None:
    (tmp_path / "build").mkdir()
    load(compiled.save(tmp_path / "build"))


def test_our_own_folder_is_replaced_without_leftovers(compiled: Compiled, tmp_path: Path) -> None:
    other = compile(MODEL, "ideal_128x128")
    folder = compiled.save(tmp_path / "build")
    for network in (other, compiled, other, other):
        network.save(folder)
        assert load(folder).target == network.target
        assert len(list(folder.iterdir())) == 9


@pytest.mark.parametrize("fresh", [True, False], ids=["new folder", "replaced folder"])
def test_a_crash_at_any_write_leaves_a_valid_state(
    compiled: Compiled, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fresh: bool
) -> None:
    other = compile(MODEL, "ideal_128x128")
    folder = tmp_path / "build"
    if not fresh:
        compiled.save(folder)
    real = os.replace
    for survived in range(20):
        left = [survived]

        def replace(source: object, target: object, left: list[int] = left) -> None:
            if left[0] == 0:
                raise KeyboardInterrupt
            left[0] -= 1
            real(source, target)  # type: ignore[arg-type]

        monkeypatch.setattr(os, "replace", replace)
        try:
            other.save(folder)
            finished = True
        except KeyboardInterrupt:
            finished = False
        monkeypatch.setattr(os, "replace", real)
        if finished:
            assert load(folder).target == other.target
            return
        if fresh:
            assert list(tmp_path.iterdir()) == []
        else:
            assert load(folder).target == compiled.target
    raise AssertionError("saving never finished")


def test_a_read_only_place_is_a_clear_error(compiled: Compiled, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FolderError, match="cannot be written"):
        compiled.save(tmp_path / "file" / "build")


def test_files_of_the_user_stay(compiled: Compiled, tmp_path: Path) -> None:
    """Also where they are called like ours, and a file of ours that was changed since."""
    folder = compiled.save(tmp_path / "build")
    for name in ("notes.txt", "graph-0123456789ab.txt", "tensors-mybackup1234.safetensors"):
        (folder / name).write_text("precious")
    (folder / "target.toml").write_text("changed")
    compile(MODEL, "ideal_128x128").save(folder)
    for name in ("notes.txt", "graph-0123456789ab.txt", "tensors-mybackup1234.safetensors"):
        assert (folder / name).read_text() == "precious"
    assert (folder / "target.toml").read_text() == "changed" and load(folder).target.name == "ideal_128x128"
    assert not (folder / "graph.txt").exists()


def test_a_folder_of_another_version_is_not_replaced(compiled: Compiled, tmp_path: Path) -> None:
    folder = compiled.save(tmp_path / "build")
    manifest = folder / "manifest.json"
    manifest.write_text(manifest.read_text().replace("pinat-compiled/1", "pinat-compiled/99"))
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(FolderError, match="written in schema pinat-compiled/99"):
        compiled.save(folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_what_stands_in_the_way_is_found_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "gone").symlink_to("nowhere")
    for path, says in (
        ("file/build", "file is not a folder"), ("file/a/b", "file is not a folder"), ("gone", "is a link to nowhere"),
        ("gone/build", "is a link to nowhere"), ("x" * 300, "File name too long"), ("file", "is a file"),
    ):
        with pytest.raises(FolderError, match=says):
            check_writable(tmp_path / path)
    check_writable(tmp_path / "new" / "a" / "b")
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(FolderError, match="no right to write in"):
        check_writable(tmp_path / "new" / "a")


class _Killed(BaseException):
    """As kill -9: no line of ours runs after it."""


@pytest.mark.parametrize("start", ["new", "empty", "ours"])
def test_a_process_killed_at_any_write_leaves_a_valid_state(
    compiled: Compiled, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, start: str
) -> None:
    """What a killed process would tidy up is left lying; the same command again finishes and tidies up."""
    other = compile(MODEL, "ideal_128x128")
    folder, real = tmp_path / "build", os.replace
    if start == "empty":
        folder.mkdir()
    elif start == "ours":
        compiled.save(folder)
    for survived in range(0, 20, 3):
        left = [survived]

        def replace(source: object, target: object, left: list[int] = left) -> None:
            if left[0] == 0:
                monkeypatch.setattr(Path, "unlink", lambda *_, **__: None)
                monkeypatch.setattr("pinat_compile.compiler.places.shutil.rmtree", lambda *_, **__: None)
                raise _Killed
            left[0] -= 1
            real(source, target)  # type: ignore[arg-type]

        monkeypatch.setattr(os, "replace", replace)
        with contextlib.suppress(_Killed):
            other.save(folder)
        monkeypatch.undo()
        if (folder / "manifest.json").exists():
            assert load(folder).target in (compiled.target, other.target)
        check_writable(folder)
        (other if survived % 2 else compiled).save(folder)
        assert load(folder) and len(list(folder.iterdir())) == 9 and list(tmp_path.iterdir()) == [folder]


def test_a_folder_that_is_replaced_while_it_is_read(
    compiled: Compiled, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = compile(MODEL, "ideal_128x128")
    folder, real = compiled.save(tmp_path / "build"), parse
    done: list[Path] = []

    def late(*given: Any) -> Any:
        if not done:
            done.append(other.save(folder))
        return real(*given)

    monkeypatch.setattr("pinat_compile.compiler.folder.parse", late)
    assert load(folder).target == other.target and done


def test_a_crash_leaves_an_empty_folder_empty(
    compiled: Compiled, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, real, calls = tmp_path / "build", os.replace, []
    folder.mkdir()

    def replace(source: str, target: str) -> None:
        calls.append(target)
        if len(calls) == 4:
            raise OSError(28, "No space left on device")
        real(source, target)

    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(FolderError, match="No space left on device"):
        compiled.save(folder)
    assert list(folder.iterdir()) == []


def test_a_link_to_a_folder_is_written_through(compiled: Compiled, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    for _ in range(2):
        load(compiled.save(tmp_path / "link"))
    assert (tmp_path / "link").is_symlink() and (tmp_path / "real" / "manifest.json").is_file()

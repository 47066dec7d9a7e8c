"""Ten first mistakes of a new user, and what the program answers to each."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper

from pinat_compile.cli import out_of_memory
from pinat_compile.training.settings import Progress
from tests.cli.conftest import Cli, Done


def answer(done: Done) -> tuple[str, str]:
    """The error and the hint, a line each; nothing on stdout."""
    assert (done.code, done.out) == (1, ""), done
    lines = done.err.splitlines()
    assert len(lines) == 2 and lines[0].startswith("error: ") and lines[1].startswith("  hint: "), done.err
    return lines[0].removeprefix("error: "), lines[1].removeprefix("  hint: ")


def test_1_wrong_path(cli: Cli, model: Path) -> None:
    shutil.copy(model, "resnet.onnx")
    assert answer(cli("resnte.onnx")) == ("resnte.onnx does not exist", "did you mean resnet.onnx?")


def test_2_wrong_target(cli: Cli, model: Path) -> None:
    message, hint = answer(cli(model, "--target", "reram_128x182"))
    assert message == "unknown target 'reram_128x182'"
    assert hint.startswith("did you mean reram_128x128? shipped: albireo, ") and hint.endswith(".toml file")


def test_3_no_data(cli: Cli, compiled: Path) -> None:
    done = cli("evaluate", compiled)
    assert done.code == 2 and "Missing option '--data'. FILE.npz, a folder (IDX, CIFAR," in done.err
    message, hint = answer(cli("evaluate", compiled, "--data", "my_images"))
    assert message == "data 'my_images': there is no such file, folder or data set"
    assert hint.startswith("give FILE.npz, a folder (IDX, CIFAR, Tiny ImageNet, one image folder per class), ")


def test_4_classes_that_do_not_match(cli: Cli, compiled: Path) -> None:
    np.savez("images.npz", x=np.zeros((4, 1, 28, 28), np.float32), y=np.array([0, 1, 2, 10]))
    assert answer(cli("evaluate", compiled, "--data", "images.npz")) == (
        "images.npz: sample 3 has label 10, the network has 10 classes (0 to 9)",
        "number classes from 0, and check that data and network belong together",
    )


def test_5_custom_operator(cli: Cli) -> None:
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4]) for name in "xy")
    node = helper.make_node("FancyGate", ["x"], ["y"], name="gate7", domain="com.example")
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("com.example", 1)]
    onnx.save(helper.make_model(helper.make_graph([node], "g", [x], [y]), opset_imports=opsets), "custom.onnx")
    assert answer(cli("custom.onnx")) == (
        "unsupported operators: FancyGate of com.example (node 'gate7')",
        "`pinat-compile operators` lists what runs; export the network with standard ONNX operators",
    )


def test_6_a_folder_of_another_version(cli: Cli, compiled: Path) -> None:
    manifest = Path(shutil.copytree(compiled, "old")) / "manifest.json"
    now = manifest.read_text().partition("pinat-compiled/")[2].partition('"')[0]
    manifest.write_text(manifest.read_text().replace(f"pinat-compiled/{now}", "pinat-compiled/0"))
    message, hint = answer(cli("evaluate", "old", "--data", "fashion-mnist-mini"))
    assert message == f"old: written in schema pinat-compiled/0, this version reads pinat-compiled/{now}"
    assert hint.startswith("compile the network again, or read it with pinat-compile ")


def test_7_too_large_for_the_chip(cli: Cli, model: Path) -> None:
    """Crossbars are written anew in rounds, which is worth a warning; light that does not get through is an error."""
    one_array = ("chip.tiles=1", "chip.cores_per_tile=1", "chip.arrays_per_core=1")
    done = cli(model, *(word for key in one_array for word in ("--set", key)), "-o", "out")
    said = " ".join(done.out.split())
    assert done.code == 0
    assert "warning: too large for the chip: 3 arrays on a board of 1, written anew in 3 rounds per sample" in said
    assert "try --pack, --digital LAYER, or more chips: --set chip.chips=3" in said
    message, hint = answer(cli(model, "--target", "photonic_mzi_64x64", "--set", "mesh.loss_db=1", "-o", "light"))
    assert "64 x 64 behind" in message and "laser.power_mw = 20" in message
    assert hint == "it can feed 11 x 11 at most: --set array.rows=11 --set array.cols=11"


@pytest.mark.parametrize("error", [
    MemoryError(),
    RuntimeError("[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried "
                 "to allocate 25088000 bytes. Error code 12 (Cannot allocate memory)"),
    RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB."),
], ids=["numpy", "torch", "cuda"])
def test_8_out_of_memory(cli: Cli, compiled: Path, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr("pinat_compile.evaluation.evaluate", fail)
    assert answer(cli("evaluate", compiled, "--data", "fashion-mnist-mini")) == (
        "not enough memory", "a smaller --batch-size, fewer samples as in DATA@[:1000], or a machine with more"
    )


def test_8_torch_still_says_it_so() -> None:
    """The words by which we know torch's error are torch's."""
    with pytest.raises(RuntimeError) as found:
        torch.empty(2**60)
    assert out_of_memory(found.value)
    assert not out_of_memory(RuntimeError("shapes do not match"))


def test_9_missing_optional_package(cli: Cli, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Said before any work is done."""
    for package, words, extra in (
        ("matplotlib", ("explore", model, "--vary", "adc.bits=6,7", "--plot", "x.png"), "plots"),
        ("statsmodels", ("study", "any.toml", "-o", "out"), "study"),
    ):
        monkeypatch.setitem(sys.modules, package, None)
        message, hint = answer(cli(*words))
        assert message.endswith(f"needs {package}") and hint == f"pip install 'pinat-compile[{extra}]'"


def test_10_interrupted_run(cli: Cli, compiled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fine-tuning keeps its checkpoint and says so; nothing else is left behind."""
    tune = ("finetune", compiled, "--data", "fashion-mnist-mini@train[:80]", "--epochs", "2", "-o", "tuned", "-q")

    def interrupt(progress: Progress) -> str:
        if progress.epoch > 1:
            raise KeyboardInterrupt
        return ""

    with monkeypatch.context() as patch:
        patch.setattr("pinat_compile.cli.finetune._described", interrupt)
        done = cli(*tune)
    assert (done.code, done.out) == (130, "")
    assert done.err == "interrupted: kept tuned.checkpoint; the same command with --resume goes on from there\n"
    assert [path.name for path in tmp_path.iterdir()] == ["tuned.checkpoint"]
    assert cli(*tune, "--resume").code == 0
    assert [path.name for path in tmp_path.iterdir()] == ["tuned"]

    def at_once(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pinat_compile.evaluation.evaluate", at_once)
    done = cli("evaluate", compiled, "--data", "fashion-mnist-mini")
    assert (done.code, done.out, done.err) == (130, "", "interrupted: nothing was written\n")
    done = cli("evaluate", compiled, "--data", "fashion-mnist-mini", "--store", "found.sqlite")
    assert done.err == "interrupted: what was found is kept in found.sqlite; the same command goes on from there\n"

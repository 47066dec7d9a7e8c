"""What the user can mend: exit code 1, one line saying where and what, one saying what to try, nothing written."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tests.cli.conftest import Cli, Done


def check(done: Done, *says: str) -> None:
    """One error line and one hint; no traceback; nothing on stdout."""
    assert done.code == 1, done
    assert done.out == ""
    lines = done.err.splitlines()
    assert len(lines) == 2, done.err
    assert lines[0].startswith("error: ") and lines[1].startswith("  hint: ")
    assert len(lines[1]) > len("  hint: ")
    for text in says:
        assert text in done.err, done.err


@pytest.fixture(autouse=True)
def nothing_is_left(tmp_path: Path) -> Iterator[None]:
    """No output folder and no half-written file: tests write their own files under names that start with ``my``."""
    yield
    assert [path.name for path in tmp_path.iterdir() if not path.name.startswith(("my", "images"))] == []


# --- the network ---


def test_not_an_onnx_file(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "my.onnx").write_text("This is not a network.\n")
    check(cli("my.onnx"), "my.onnx is not an ONNX file", "export")


def test_truncated(cli: Cli, model: Path, tmp_path: Path) -> None:
    (tmp_path / "my.onnx").write_bytes(model.read_bytes()[:1000])
    check(cli("my.onnx", "-o", "out"), "my.onnx is truncated")


def test_no_such_file(cli: Cli) -> None:
    check(cli("nothing.onnx"), "nothing.onnx does not exist")
    check(cli("compile", "nothing.onnx"), "nothing.onnx does not exist")


def test_unsupported_operator(cli: Cli, tmp_path: Path) -> None:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4])
    node = helper.make_node("FancyGate", ["x"], ["y"], name="gate7", domain="com.example")
    graph = helper.make_graph([node], "g", [x], [y])
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("com.example", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets), tmp_path / "my.onnx")
    check(cli("my.onnx", "-o", "out"), "FancyGate of com.example", "'gate7'", "pinat-compile operators")


@pytest.mark.parametrize("flag", ["--digital", "--analog"])
def test_unknown_node(cli: Cli, model: Path, flag: str) -> None:
    check(cli(model, flag, "conv_2", "-o", "out"), f"{flag} conv_2: the network has no node", "conv2")


def test_a_node_that_cannot_be_analog(cli: Cli, model: Path) -> None:
    check(cli(model, "--analog", "relu1", "-o", "out"), "--analog relu1: cannot run on arrays: no weights")


def test_unknown_dimension(cli: Cli, model: Path) -> None:
    check(cli(model, "--bind", "length=3", "-o", "out"), "no dimension or input is named 'length'", "batch")


# --- the target ---


def test_unknown_target(cli: Cli, model: Path) -> None:
    check(cli(model, "--target", "reram_128x182"), "unknown target 'reram_128x182'", "did you mean reram_128x128?")
    check(cli("targets", "isacc"), "unknown target 'isacc'", "did you mean isaac?")


def test_bad_toml(cli: Cli, model: Path, tmp_path: Path) -> None:
    path = tmp_path / "my.toml"
    path.write_text("schema = 1\nname = \n")
    check(cli(model, "--target", "my.toml", "-o", "out"), "my.toml: not TOML", "line 2")
    path.write_text('schema = 1\nname = "a"\ntechnology = "crossbar"\ntitle = "b"\n[adc]\nbitz = 8\n')
    check(cli(model, "--target", "my.toml", "-o", "out"), "my.toml: unknown key adc.bitz", "did you mean bits?")
    check(cli(model, "--target", "no.toml", "-o", "out"), "no.toml: no such file")


@pytest.mark.parametrize(("text", "message"), [
    ("adc.bitz=6", "--set adc.bitz: unknown key adc.bitz"),
    ("adcs.bits=6", "--set adcs: unknown section 'adcs'"),
    ("adc.bits=99", "adc.bits = 99"),
    ("adc.bits", "not of the form section.key=value"),
    ("cell.g_max_us=-1", "cell.g_max_us = -1"),
])
def test_wrong_override(cli: Cli, model: Path, text: str, message: str) -> None:
    check(cli(model, "--set", text, "-o", "out"), message)


# --- the data ---


def test_missing_data(cli: Cli, model: Path, compiled: Path) -> None:
    check(cli(model, "--calibrate", "nothing.npz", "-o", "out"), "data 'nothing.npz': there is no such file")
    check(cli("evaluate", compiled, "--data", "nothing.npz"), "data 'nothing.npz': there is no such file")
    check(cli("run", compiled, "--input", "nothing.npz", "--output", "out.npz"), "there is no such file")
    check(cli("finetune", compiled, "--data", "nowhere/", "-o", "out"), "there is no such file")


def test_wrong_shape(cli: Cli, model: Path, compiled: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "my.npz", x=np.zeros((20, 3, 32, 32), np.float32), y=np.zeros(20, int))
    shape = "[20, 3, 32, 32]"
    check(cli(model, "--calibrate", "my.npz", "-o", "out"), shape, "[batch, 1, 28, 28]")
    check(cli("evaluate", compiled, "--data", "my.npz"), shape, "[batch, 1, 28, 28]", "--preprocess")
    check(cli("run", compiled, "--input", "my.npz", "--output", "out.npz"), shape, "[batch, 1, 28, 28]")
    check(cli("finetune", compiled, "--data", "my.npz", "-o", "out"), "3, 32, 32]")


def test_wrong_input_name(cli: Cli, compiled: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "my.npz", a=np.zeros((2, 1, 28, 28), np.float32), b=np.zeros((2, 3), np.float32))
    check(cli("run", compiled, "--input", "my.npz", "--output", "out.npz"), "the model's inputs are x", "gives a, b")


def test_labels_that_do_not_match(cli: Cli, compiled: Path, tmp_path: Path) -> None:
    x = np.zeros((4, 1, 28, 28), np.float32)
    np.savez(tmp_path / "my.npz", x=x, y=np.array([0, 1, 2, 10]))
    check(cli("evaluate", compiled, "--data", "my.npz"), "sample 3 has label 10", "10 classes (0 to 9)")
    check(cli("finetune", compiled, "--data", "my.npz", "-o", "out"))
    np.savez(tmp_path / "my.npz", x=x, y=np.array([0, 1, 2]))
    check(cli("evaluate", compiled, "--data", "my.npz"), "x has 4 samples, but labels has 3")
    np.savez(tmp_path / "my.npz", x=x, y=np.zeros((4, 3)))
    check(cli("evaluate", compiled, "--data", "my.npz"), "a label has shape [3], the network's output [10]")


def test_bad_preprocessing(cli: Cli, model: Path) -> None:
    check(cli(model, "--preprocess", "skale=2", "-o", "out"), "preprocess: unknown key 'skale'")


# --- options ---


@pytest.mark.parametrize(("words", "message"), [
    (["--time", "later"], "time 'later'"),
    (["--temperature", "-3"], "temperature = -3.0 K"),
    (["--severity", "-1"], "severity = -1.0"),
    (["--chips", "0"], "chips = 0"),
    (["--chips", "100001"], "chips for testing are 0 to 99,999"),
    (["--metric", "best"], "unknown metric 'best'"),
    (["--device", "abacus"], "--device abacus: "),
    (["--dynamic", "storm"], "dynamic = 'storm': not known"),
    (["--dynamic", "ou", "--severity", "0"], "nothing would vary"),
])
def test_conditions(cli: Cli, compiled: Path, images: Path, words: list[str], message: str) -> None:
    check(cli("evaluate", compiled, "--data", images, *words), message)


def test_fine_tuning(cli: Cli, compiled: Path) -> None:
    words = ("finetune", compiled, "--data", "fashion-mnist-mini")
    check(cli(*words, "--method", "magic", "-o", "out"), "method = 'magic'")
    check(cli(*words, "--epochs", "0", "-o", "out"), "epochs = 0")
    check(cli(*words, "-o", compiled), "fine-tuning does not overwrite its input")
    check(cli(*words, "-o", compiled / "tuned"), "it lies inside")


# --- folders ---


def test_a_folder_that_is_not_ours(cli: Cli, model: Path, compiled: Path, tmp_path: Path) -> None:
    folder = tmp_path / "my_papers"
    folder.mkdir()
    (folder / "thesis.tex").write_text("years of work")
    check(cli(model, "-o", "my_papers"), "my_papers: is not empty and was not made by pinat-compile")
    check(cli("finetune", compiled, "--data", "fashion-mnist-mini", "-o", "my_papers"), "is not empty")
    assert [path.name for path in folder.iterdir()] == ["thesis.tex"]
    (tmp_path / "my_file").touch()
    check(cli(model, "-o", "my_file"), "my_file: is a file, not a folder")


@pytest.mark.parametrize("words", [
    ["evaluate", "--data", "fashion-mnist-mini"], ["report"], ["inspect"], ["run", "--input", "x", "--output", "y"],
    ["finetune", "--data", "fashion-mnist-mini"],
])
def test_not_a_compiled_folder(cli: Cli, tmp_path: Path, words: list[str]) -> None:
    (tmp_path / "my_folder").mkdir()
    check(cli(*words, "my_folder"), "my_folder: not a compiled folder")
    check(cli(*words, "nowhere"), "nowhere: there is no such folder")


def test_inspect(cli: Cli, compiled: Path) -> None:
    check(cli("inspect", compiled, "--node", "conv_2"), "--node conv_2: the graph has no node", "conv2")
    check(cli("inspect", compiled, "--after", "place-layer"), "--after place-layer: no pass", "mean place-layers?")


def test_output_that_cannot_be_written(cli: Cli, compiled: Path, images: Path) -> None:
    done = cli("run", compiled, "--input", images, "--output", "nowhere/y.npz")
    check(done, "--output nowhere/y.npz: cannot be written")


# --- usage: exit code 2 ---


@pytest.mark.parametrize("words", [
    ["evalute", "out"],
    ["compile"],
    ["net.onnx", "--tagret", "isaac"],
    ["net.onnx", "--tiles"],
    ["net.onnx", "--bind", "batch"],
    ["net.onnx", "--bind", "batch=many"],
    ["evaluate", "out"],
    ["evaluate", "out", "--data", "d", "--chips", "many"],
    ["run", "out", "--input", "x.npz"],
    ["run", "out", "--input", "x.npz", "--output", "y.npz", "--ideal", "--chip", "1"],
    ["--nonsense"],
])
def test_usage(cli: Cli, words: list[str]) -> None:
    done = cli(*words)
    assert done.code == 2 and done.out == "" and "Error: " in done.err and "Traceback" not in done.err


def test_a_misspelt_command_is_guessed(cli: Cli) -> None:
    assert "no command and no file 'evalute'; did you mean evaluate?" in cli("evalute", "out").err


# --- beyond the user's mistakes ---


def test_verbose_shows_the_traceback(cli: Cli, model: Path) -> None:
    for words in (["-v", model, "--target", "nothing"], [model, "--target", "nothing", "-v"]):
        done = cli(*words)
        assert done.code == 1 and "Traceback" in done.err and "\nerror: unknown target 'nothing'" in done.err


def test_our_own_mistakes_say_so(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise ZeroDivisionError("by\nzero")

    monkeypatch.setattr("pinat_compile.hardware.loader.list_targets", fail)
    check(cli("targets"), "error: unexpected ZeroDivisionError: by zero", "this is a bug in pinat-compile", "-v")


def test_an_interrupt_is_one_line(tmp_path: Path) -> None:
    """A data function that waits stands for a long run."""
    (tmp_path / "my_data.py").write_text("import time, pathlib\ndef wait():\n    pathlib.Path('my_mark').touch()\n"
                                         "    time.sleep(60)\n")
    model = tmp_path / "my.onnx"
    from tests.cli.conftest import small_network

    onnx.save(small_network(), model)
    words = [sys.executable, "-m", "pinat_compile", str(model), "--calibrate", "my_data:wait", "-o", "out"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    process = subprocess.Popen(
        words, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )
    for _ in range(600):
        if (tmp_path / "my_mark").exists():
            break
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (130, "", "interrupted: nothing was written\n")


# --- deployments ---


def test_deployments_that_cannot_be_made(cli: Cli, compiled: Path, images: Path) -> None:
    words = ("evaluate", compiled, "--data", images, "--chips", "1")
    check(cli(*words, "--deploy", "magic"), "there is no step 'magic'", "faults, drift")
    check(cli(*words, "--deploy", "moments"), "moments needs unlabelled samples", "--deploy-data")
    check(cli(*words, "--deploy", "moments,bias", "--deploy-data", images), "set the same values", "choose one")
    check(cli(*words, "--deploy", "moments", "--deploy-data", "nothing.npz"), "nothing.npz")
    one = "fashion-mnist-mini@train[:1]"
    check(cli(*words, "--deploy", "moments", "--deploy-data", one), "one sample has no deviation")
    check(cli(*words, "--deploy", "drift", "--deploy-time", "soon"), "time 'soon'")
    check(cli(*words, "--deploy", "kept"), "chip 0 has no deployment", "--keep makes it")


def test_what_is_said_of_a_deployment_that_is_not_made(cli: Cli, compiled: Path, images: Path) -> None:
    words = ("evaluate", compiled, "--data", images)
    for given, said in ((("--keep",), "--keep: it needs --deploy"),
                        (("--deploy-data", images), "--deploy-data: it needs --deploy"),
                        (("--deploy-samples", "0"), "--deploy-samples: it needs --deploy"),
                        (("--deploy", ""), "--deploy: no step is named"),
                        (("--deploy", "kept", "--keep"), "--keep: kept ones are not made again")):
        done = cli(*words, *given)
        assert done.code == 2 and said in done.err and done.out == ""
    run = cli("run", compiled, "--input", images, "--output", "my.npz", "--ideal", "--deploy", "drift")
    assert run.code == 2 and "nothing to make up for" in run.err

"""What a hostile or unlucky user tries: nothing of theirs is lost, nothing hangs, every refusal is one line."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.cli.conftest import Cli, Done
from tests.zoo import Builder


def check(done: Done, *says: str) -> None:
    """One error line and one hint, not blamed on us."""
    assert done.code == 1 and done.out == "", done
    lines = done.err.splitlines()
    assert len(lines) == 2 and lines[0].startswith("error: ") and lines[1].startswith("  hint: "), done.err
    assert "this is a bug" not in done.err, done.err
    for text in says:
        assert text in done.err, done.err


@pytest.fixture
def mine(compiled: Path, tmp_path: Path) -> Path:
    """A compiled folder that may be damaged."""
    return Path(shutil.copytree(compiled, tmp_path / "mine"))


def inputs(path: Path, **changed: Any) -> Path:
    """Three images as a file, or what is ``changed`` in it."""
    np.savez(path, **{"x": np.zeros((3, 1, 28, 28), np.float32), **changed})
    return path


# --- run --output ---


def test_run_replaces_only_plain_files(cli: Cli, compiled: Path, tmp_path: Path) -> None:
    source = inputs(tmp_path / "in.npz")
    os.mkfifo(tmp_path / "fifo.npz")
    (tmp_path / "secret.txt").write_text("precious")
    (tmp_path / "link.npz").symlink_to("secret.txt")
    (tmp_path / "folder.npz").mkdir()
    words = ("run", compiled, "--input", source, "--output")
    for name in ("fifo.npz", "link.npz", "folder.npz"):
        check(cli(*words, name), f"--output {name}: cannot be written: it exists and is not a regular file")
    check(cli(*words, "in.npz"), "it is the --input")
    check(cli("run", compiled, "--input", f"{source}@[:2]", "--output", "in.npz"), "it is the --input")
    os.link(source, tmp_path / "same.npz")
    check(cli(*words, "same.npz"), "it is the --input")
    check(cli(*words, "secret.txt/y.npz"), "secret.txt is not a folder")
    check(cli(*words, "nowhere/y.npz"), "there is no folder nowhere")
    check(cli(*words, compiled / "graph.txt"), "it lies inside")
    check(cli(*words, "y" * 300), "cannot be written")
    assert cli(*words, "").code == 2
    assert (tmp_path / "secret.txt").read_text() == "precious" and (tmp_path / "link.npz").is_symlink()
    assert {path.name for path in tmp_path.iterdir()} == {
        "in.npz", "same.npz", "fifo.npz", "secret.txt", "link.npz", "folder.npz"
    }


def test_run_writes_outputs_of_any_name(cli: Cli, tmp_path: Path) -> None:
    b = Builder("named")
    x = b.input("x", ["batch", 4])
    graph = b.model(b.linear(x, "fc", 4, 3))
    graph.graph.node[-1].output[0] = "file"
    graph.graph.output[0].name = "file"
    onnx.save(graph, tmp_path / "named.onnx")
    np.savez(tmp_path / "in.npz", x=np.ones((2, 4), np.float32))
    assert cli("named.onnx", "-o", "out").code == 0
    assert cli("run", "out", "--input", "in.npz", "--output", "y.npz").code == 0
    with np.load(tmp_path / "y.npz") as found:
        assert found.files == ["file"] and found["file"].shape == (2, 3)


# --- folders ---


def test_a_folder_that_holds_the_network_is_not_written(cli: Cli, model: Path, mine: Path) -> None:
    own = shutil.copy(model, mine / "net.onnx")
    check(cli(own, "-o", mine), "contains the network")
    assert (mine / "net.onnx").is_file()


def test_output_here_in_an_empty_folder(cli: Cli, model: Path, tmp_path: Path) -> None:
    assert cli(model, "-o", ".").code == 0
    assert (tmp_path / "manifest.json").is_file() and cli("report", ".").code == 0
    assert cli(model, "-o", "").code == 2


def test_a_folder_with_a_long_name(cli: Cli, model: Path, tmp_path: Path) -> None:
    assert cli(model, "-o", "d" * 250).code == 0 and (tmp_path / ("d" * 250)).is_dir()
    check(cli(model, "-o", "d" * 300), "cannot be written: File name too long")
    check(cli("report", "d" * 300), "File name too long")


def rewritten(folder: Path, name: str, change: Callable[[bytes], bytes]) -> None:
    """Change a file and its hash in the manifest."""
    path = folder / name
    path.write_bytes(change(path.read_bytes()))
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"][name]["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize(("name", "content"), [
    ("report.json", b"{"), ("report.json", b"[]"), ("report.json", b"{}"), ("report.json", b'{"model": NaN}'),
    ("report.json", b"[" * 100_000),
])
def test_a_damaged_report(cli: Cli, mine: Path, name: str, content: bytes) -> None:
    rewritten(mine, name, lambda _: content)
    check(cli("report", mine), "mine: is damaged")


@pytest.mark.parametrize(("name", "change"), [
    ("options.json", lambda data: b"[]"),
    ("options.json", lambda data: data.replace(b'"preprocess": {', b'"preprocess": {"crop": 3,')),
    ("options.json", lambda data: b'{"options": null, "passes": null}'),
    ("graph.txt", lambda data: b""),
    ("graph.txt", lambda data: b"\xff\xfe"),
    ("graph.txt", lambda data: data.replace(b"%x", b"%z", 1)),
    ("graph.txt", lambda data: data.replace(b"rows=", b"rowz=", 1)),
    ("model.onnx", lambda data: data[:50]),
    ("target.toml", lambda data: b"schema = 2"),
    ("tensors.safetensors", lambda data: data[:100]),
    ("calibration.safetensors", lambda data: data[:9]),
])
def test_a_damaged_folder(cli: Cli, mine: Path, name: str, change: Callable[[bytes], bytes]) -> None:
    before = (mine / name).read_bytes()
    rewritten(mine, name, change)
    assert (mine / name).read_bytes() != before
    check(cli("inspect", mine), "mine", "compile the network again")


@pytest.mark.parametrize("content", [
    "null", "{}", '{"schema": "pinat-compiled/1"}', '{"schema": "pinat-compiled/1", "files": {"graph.txt": 3}}',
    "[" * 100_000, '{"schema": ["pinat-compiled/1"]}',
])
def test_a_damaged_manifest(cli: Cli, mine: Path, model: Path, content: str) -> None:
    (mine / "manifest.json").write_text(content)
    names = {path.name for path in mine.iterdir()}
    check(cli("report", mine), "mine")
    check(cli(model, "-o", mine), "mine")
    assert {path.name for path in mine.iterdir()} == names


def test_files_that_never_end_are_not_read(cli: Cli, mine: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "net.onnx")
    os.mkfifo(tmp_path / "chip.toml")
    check(cli("net.onnx"), "net.onnx is not a regular file")
    check(cli("targets", "chip.toml"), "chip.toml: not a regular file")
    (mine / "report.json").unlink()
    os.mkfifo(mine / "report.json")
    check(cli("report", mine), "report.json: is not a regular file")
    (mine / "manifest.json").unlink()
    os.mkfifo(mine / "manifest.json")
    check(cli("report", mine), "not a compiled folder")


# --- targets ---


def target(path: Path, **changed: str) -> Path:
    """The smallest target, or what is ``changed`` in it."""
    text = {"name": '"mine"', "adc": "8", **changed}
    path.write_text(
        f'schema = 1\nname = {text["name"]}\ntechnology = "crossbar"\ntitle = {text.get("title", chr(34) * 2)}\n'
        '[array]\nrows = 64\ncols = 64\n[cell]\nbits = 1\ng_min_us = 0\ng_max_us = 1\n'
        f'[weights]\nbits = 4\nscheme = "differential"\n[dac]\nbits = 8\n[adc]\nbits = {text["adc"]}\n',
        encoding=text.get("encoding", "utf-8"),
    )
    return path


@pytest.mark.parametrize("name", ['"../evil"', '"a/b"', '"a..b"', '""', r'"\u001b[31m"', '"' + "n" * 300 + '"'])
def test_names_of_targets(cli: Cli, tmp_path: Path, name: str) -> None:
    check(cli("targets", target(tmp_path / "chip.toml", name=name)), "folders are called after it")


@pytest.mark.parametrize("value", ["1" * 5000, "0x" + "f" * 5000, "1" * 400, "inf", "nan", "[" * 5000, "1e13"])
def test_absurd_values(cli: Cli, tmp_path: Path, value: str) -> None:
    check(cli("targets", target(tmp_path / "chip.toml", adc=value)), "chip.toml")
    check(cli("compile", "net.onnx", "--set", f"adc.bits={value}"), "adc.bits")


def test_a_target_with_a_byte_order_mark(cli: Cli, tmp_path: Path) -> None:
    plain = cli("targets", target(tmp_path / "chip.toml"))
    assert plain.code == 0, plain.err
    assert cli("targets", target(tmp_path / "chip.toml", encoding="utf-8-sig")) == plain


def test_name_cannot_be_set(cli: Cli, model: Path) -> None:
    check(cli(model, "--set", "name=x"), "--set name=x: name cannot be set", ".toml file of your own")


# --- what is shown ---


def test_nothing_steers_the_terminal(cli: Cli, model: Path, tmp_path: Path) -> None:
    evil = "\x1b]0;evil\x07\u202egnp\u2028"
    shutil.copy(model, tmp_path / f"{evil}.onnx")
    done = cli(f"{evil}.onnx", "-o", f"out{evil}")
    assert done.code == 0 and r"\x1b]0;evil\x07\u202egnp\u2028" in done.out
    reported = cli("report", f"out{evil}")
    page = cli("targets", target(tmp_path / "chip.toml", title=r'"\u001b[31mred\u0085\u202e"'))
    assert r"\x1b[31mred\x85\u202e" in page.out
    assert "\x1b" not in cli("-v", f"no{evil}.onnx").err
    missing, usage = cli(f"no{evil}.onnx"), cli("compile", f"--no{evil}")
    for text in (done.out, reported.out, page.out, missing.err, usage.err):
        assert not set("\x1b\x07\x85\u202e\u2028") & set(text)


def test_long_names_are_clipped(cli: Cli, compiled: Path) -> None:
    done = cli("inspect", compiled, "--node", "n" * 100_000)
    check(done, "--node nnn")
    assert len(done.err) < 3000


def test_a_terminal_of_no_width(cli: Cli, compiled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = cli("report", compiled)
    monkeypatch.setenv("COLUMNS", "0")
    assert cli("report", compiled) == plain


def shell(command: str, **more: Any) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return subprocess.run(["bash", "-c", command], capture_output=True, text=True, env=environment, **more)


def test_streams_that_are_closed_or_full(compiled: Path, tmp_path: Path) -> None:
    tool = f"{sys.executable} -m pinat_compile"
    for words in (f"report {compiled} --json", f"report {compiled}", f"inspect {compiled}"):
        piped = shell(f"set -o pipefail; {tool} {words} | head -c 1")
        assert (piped.returncode, piped.stderr) == (0, "")
    closed = shell(f"{tool} report {compiled} >&-")
    assert (closed.returncode, closed.stderr) == (0, "")
    assert shell(f"{tool} report nowhere 2>&-").returncode == 1
    for words in (f"report {compiled}", "--help"):
        full = shell(f"ulimit -f 0; {tool} {words} > {tmp_path / 'full.txt'}")  # as on a disk without space
        assert full.returncode == 1 and "error: File too large" in full.stderr.replace("standard output: ", "")
        assert len(full.stderr.splitlines()) == 2


# --- data ---


def test_values_that_are_not_finite(cli: Cli, compiled: Path, model: Path, tmp_path: Path) -> None:
    x = np.zeros((20, 1, 28, 28), np.float32)
    x[7, 0, 3, 3] = np.nan
    inputs(tmp_path / "in.npz", x=x, y=np.zeros(20, int))
    for words in (
        ("run", compiled, "--input", "in.npz", "--output", "y.npz"), ("evaluate", compiled, "--data", "in.npz"),
        (model, "--calibrate", "in.npz"),
    ):
        check(cli(*words), "sample 7 of x has values that are not finite")
    check(cli(model, "--preprocess", "std=1e-300"), "values that are not finite")
    inputs(tmp_path / "in.npz", x=np.zeros_like(x), y=np.full((20, 10), np.inf))
    check(cli("evaluate", compiled, "--data", "in.npz"), "sample 0 of the labels has values that are not finite")
    inputs(tmp_path / "in.npz", x=np.zeros_like(x), y=np.zeros(20))
    check(cli("evaluate", compiled, "--data", "in.npz"), "save y.astype(int)")
    inputs(tmp_path / "in.npz", x=np.full((2, 1, 28, 28), 1e300))
    check(cli("run", compiled, "--input", "in.npz", "--output", "y.npz"), "sample 0 of x")


def test_an_archive_that_lies(cli: Cli, compiled: Path, tmp_path: Path) -> None:
    header = str({"descr": "<f4", "fortran_order": False, "shape": (1 << 40, 28, 28)}).encode()
    data = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header
    with zipfile.ZipFile(tmp_path / "in.npz", "w") as archive:
        archive.writestr("x.npy", data)
    check(cli("run", compiled, "--input", "in.npz", "--output", "y.npz"), "x.npy is shorter than it says")


def test_functions_that_exit_or_fail(
    cli: Cli, compiled: Path, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "leaving.py").write_text("def data(*_): raise SystemExit(3)\ndef nan(a, b): return a[:, 0] * 1e999\n")
    (tmp_path / "broken.py").write_text("raise SystemExit(0)\n")
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    check(cli("evaluate", compiled, "--data", "leaving:data"), "it raised SystemExit: 3")
    check(cli("evaluate", compiled, "--data", "broken:data"), "it raised SystemExit: 0")
    words = ("evaluate", compiled, "--data", images, "--chips", "1", "--metric")
    for metric, says in (
        ("leaving:data", "it raised SystemExit"), ("leaving:nan", "gave a score that is not finite"),
        ("broken:score", "SystemExit"), ("os:getcwd", "it raised TypeError"),
        (".os:getcwd", "metric .os:getcwd"), ("os:sep", "has no function sep"),
    ):
        check(cli(*words, metric), says)


def test_no_home(cli: Cli, compiled: Path) -> None:
    check(cli("evaluate", compiled, "--data", "~nobody-of-that-name/x.npz"), "~nobody-of-that-name")
    check(cli("evaluate", compiled, "--data", "x" * 5000), "File name too long")


@pytest.mark.parametrize(("words", "says"), [
    (["--chips", "1000000000000"], "chips = 1000000000000"), (["--reads", "10001"], "reads = 10001"),
    (["--time", "1e999s"], "time = inf s"), (["--severity", "inf"], "severity = inf"),
    (["--temperature", "inf"], "temperature = inf K"), (["--severity", "1e300"], "severity = 1e+300"),
    (["--device", "meta"], "--device meta"), (["--time", "1e300"], "time = 1e+300 s"),
    (["--severity", "nan"], "severity = nan"),
])
def test_absurd_conditions(cli: Cli, compiled: Path, images: Path, words: list[str], says: str) -> None:
    check(cli("evaluate", compiled, "--data", images, *words), says)


@pytest.mark.parametrize(("words", "says"), [
    (["--seed", "-1"], "seed = -1"), (["--learning-rate", "inf"], "learning_rate = inf"),
    (["--learning-rate", "nan"], "learning_rate = nan"),
    (["--learning-rate", "1e300"], "learning_rate = 1e+300"), (["--device", "abacus"], "--device abacus"),
    (["--wires-every", "0"], "wires_every = 0"), (["--wires-tolerance", "-1"], "wires_tolerance = -1.0"),
    (["--wires-tolerance", "nan"], "wires_tolerance = nan"),
])
def test_absurd_settings(cli: Cli, compiled: Path, words: list[str], says: str) -> None:
    check(cli("finetune", compiled, "--data", "fashion-mnist-mini", "-o", "out", *words), says)


# --- networks ---


def network(path: Path, shape: list[int | str], weight: float = 1.0) -> Path:
    b = Builder("odd")
    x = b.input("x", shape)
    made = b.model(b.linear(x, "fc", 4, 3))
    for tensor in made.graph.initializer:
        if len(tensor.dims) == 2:
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) * np.float32(weight), tensor.name))
    onnx.save(made, path)
    return path


def test_networks_of_absurd_sizes(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "odd.onnx"
    check(cli(network(path, [0, 4])), "input 'x' has shape [0, 4]")
    check(cli(network(path, [1 << 50, 4])), "input 'x' has shape [1125899906842624, 4]")
    check(cli(network(path, [1 << 30, 4])), "a random input [1073741824, 4] would have", "--bind", "--calibrate")
    check(cli(network(path, ["batch", 4]), "--bind", f"batch={1 << 30}"), "a random input")
    for number in ("9" * 30, "9" * 5000, "-1"):
        assert cli(path, "--bind", f"batch={number}").code == 2


def test_networks_with_infinite_weights(cli: Cli, tmp_path: Path) -> None:
    check(cli(network(tmp_path / "odd.onnx", ["batch", 4], float("inf"))), "its weights are not all finite")


def test_networks_without_inputs(cli: Cli, tmp_path: Path) -> None:
    node = helper.make_node("Relu", ["w"], ["y"])
    weight = numpy_helper.from_array(np.ones((1, 4), np.float32), "w")
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4])
    graph = helper.make_graph([node], "g", [], [output], [weight])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)]), tmp_path / "odd.onnx")
    check(cli("odd.onnx"), "the network has no inputs")

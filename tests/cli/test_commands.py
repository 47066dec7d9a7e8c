"""Every command, as a user types it."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import pinat_compile
from pinat_compile.data.values import read_npz
from tests.cli.conftest import Cli
from tests.reporting.schema import check_report

# --- compile ---


def test_the_bare_form(cli: Cli, model: Path, tmp_path: Path) -> None:
    done = cli(model, "--target", "reram_128x128")
    assert done.code == 0 and done.err == ""
    folder = tmp_path / "small.reram_128x128"
    assert (folder / "manifest.json").exists() and (folder / "tiles.jsonl").exists()
    for text in ("conv2", "fold-batch-norm", "per sample", "fashion-mnist-mini", "1 s after programming", folder.name):
        assert text in done.out
    assert max(map(len, done.out.splitlines())) <= 80


def test_with_the_word_and_with_options_first(cli: Cli, model: Path, tmp_path: Path) -> None:
    assert cli("compile", model, "-o", "a").code == 0
    assert cli("--target", "reram_128x128", "-o", "b", model).code == 0
    assert cli("-q", model, "-o", "c").out == ""
    reports = [json.loads((tmp_path / name / "report.json").read_text()) for name in "abc"]
    assert reports[0]["layers"] == reports[1]["layers"] == reports[2]["layers"]


def test_json_is_one_document(cli: Cli, model: Path) -> None:
    done = cli(model, "-o", "out", "--json", "--tiles")
    check_report(done.document)
    assert "conv2" in done.err
    assert len(done.document["tiles"]) == done.document["totals"]["arrays"]
    quiet = cli(model, "-o", "out", "--json", "-q")
    assert "tiles" not in quiet.document and quiet.err == ""


def test_options_reach_the_compiler(cli: Cli, model: Path, images: Path) -> None:
    done = cli(
        model, "-o", "out", "--json", "--set", "adc.bits=6", "--set", "array.rows=64",
        "--digital", "conv1", "--analog", "fc",
        "--calibrate", f"{images}@[:8]", "--bind", "batch=1", "--preprocess", "mean=0.5",
    )
    document = done.document
    assert document["target"]["rows"] == 64
    assert document["calibration"] == {"source": f"8 samples of {images}", "samples": 8}
    assert document["bind"] == {"batch": 1}
    where = {layer["name"]: (layer["where"], layer["why"]) for layer in document["layers"]}
    assert where["conv1"] == ("digital", "chosen with --digital")
    assert where["fc"] == ("analog", "chosen with --analog")
    options = json.loads(Path("out/options.json").read_text())["options"]
    assert options["preprocess"]["mean"] == [0.5]


def test_a_folder_of_ours_is_replaced(cli: Cli, model: Path) -> None:
    assert cli(model, "-o", "out").code == 0
    assert cli(model, "-o", "out", "--set", "adc.bits=5").code == 0
    assert cli("report", "out").code == 0
    assert "bits = 5" in next(Path("out").glob("target*.toml")).read_text()


# --- on a compiled folder ---


def test_evaluate(cli: Cli, compiled: Path) -> None:
    done = cli("evaluate", compiled, "--data", "fashion-mnist-mini@test[:64]", "--chips", "2", "--per-layer", "--json")
    assert done.code == 0
    check_report(done.document)
    found = done.document["accuracy"]
    assert (found["chips"], found["samples"], found["metric"]) == (2, 64, "top1")
    assert "mean of 2 chips" in done.err and "only this layer on arrays" in done.err
    plain = cli("evaluate", compiled, "--data", "fashion-mnist-mini@test[:64]", "--chips", "2")
    assert "mean of 2 chips" in plain.out and plain.err == ""
    assert max(map(len, plain.out.splitlines())) <= 80


def test_conditions_reach_the_chips(cli: Cli, compiled: Path, images: Path) -> None:
    options = "--time 1d --temperature 350 --severity 2 --seed 5 --reads 2 --metric mse".split()
    done = cli("evaluate", compiled, "--data", images, "--chips", "1", "--json", *options)
    assert "has no temperature section: --temperature changes nothing" in done.err
    found = done.document["accuracy"]
    assert (found["time_s"], found["temperature_k"], found["severity"]) == (86400.0, None, 2.0)
    assert (found["seed"], found["reads"], found["metric"], found["chip_numbers"]) == (5, 2, "mse", [0])


def test_heat_is_told_of_where_circuits_feel_it(cli: Cli, model: Path, images: Path) -> None:
    """Thermal noise of columns grows with temperature, whatever the devices do."""
    noise = ("--set", "circuit_noise.bandwidth_hz=1e9", "--set", "circuit_noise.full_scale_v=0.5")
    assert cli(model, *noise, "-o", "noisy").code == 0
    done = cli("evaluate", "noisy", "--data", images, "--chips", "1", "--temperature", "350", "--json")
    assert "changes nothing" not in done.err and "at 350 K" in done.err
    assert done.document["accuracy"]["temperature_k"] == 350.0


def test_dynamic_conditions(cli: Cli, compiled: Path, images: Path) -> None:
    words = ["evaluate", compiled, "--data", images, "--chips", "2"]
    for kind, said in (
        ("per-sample", "along the data, independent"),
        ("ou", "along the data, correlated over 200 samples"),
        ("shift", "fitted at severity 1, judged at 2"),
        ("gain-drift", "column gains drifted by up to 10 % together and 3 % each"),
    ):
        done = cli(*words, "--dynamic", kind, "--json")
        assert f"dynamic {kind}: " in done.err and said in done.err
        check_report(done.document)
        assert done.document["accuracy"]["dynamic"]["kind"] == kind
        assert max(map(len, done.err.splitlines())) <= 80
    assert cli(*words, "--json").document["accuracy"]["dynamic"] is None
    assert "dynamic " not in cli(*words).out


def test_run(cli: Cli, compiled: Path, images: Path) -> None:
    assert cli("run", compiled, "--input", images, "--output", "a.npz", "--chip", "3").code == 0
    assert cli("run", compiled, "--input", images, "--output", "b.npz", "--chip", "3").code == 0
    assert cli("run", compiled, "--input", images, "--output", "c.npz", "--chip", "4").code == 0
    assert "ideal devices" in cli("run", compiled, "--input", images, "--output", "d.npz", "--ideal").out
    a, b, c, d = (np.load(f"{name}.npz") for name in "abcd")
    assert len(a.files) == 1
    name = a.files[0]
    assert a[name].shape == (20, 10)
    assert np.array_equal(a[name], b[name])
    assert not np.array_equal(a[name], c[name]) and not np.array_equal(a[name], d[name])
    for arrays in (a, b, c, d):
        arrays.close()


def test_report(cli: Cli, compiled: Path) -> None:
    done = cli("report", compiled)
    assert "conv2" in done.out and "TOPS/W" in done.out
    assert "relu1" not in done.out and "relu1" in cli("report", compiled, "-v").out
    assert cli("report", compiled, "--json").document == json.loads((compiled / "report.json").read_text())


def test_inspect(cli: Cli, compiled: Path) -> None:
    whole = cli("inspect", compiled).out
    assert whole == (compiled / "graph.txt").read_text()
    node = cli("inspect", compiled, "--node", "conv2").out
    assert node.startswith("matrix @conv2 ") and '\nnode "conv2" ' in node and '\n  analog "constant weights"' in node
    assert "fc" not in node
    assert cli("inspect", compiled, "--node", "relu1").out.startswith('node "relu1" ')


def test_inspect_after_a_pass(cli: Cli, compiled: Path) -> None:
    before = cli("inspect", compiled, "--after", "place-layers").out
    assert "= Conv(" in before and "matrix @" not in before
    sliced = cli("inspect", compiled, "--after", "slice-weights").out
    assert "    cells " in sliced and "    cut " not in sliced
    assert cli("inspect", compiled, "--after", "allocate-arrays").out == cli("inspect", compiled).out
    assert "= Conv(" in cli("inspect", compiled, "--after", "drop-unused.1").out
    assert "= ArrayMvm(" in cli("inspect", compiled, "--after", "drop-unused").out


def test_finetune(cli: Cli, compiled: Path) -> None:
    words = ["finetune", compiled, "--data", "fashion-mnist-mini@train[:80]", "--epochs", "1", "--batch-size", "32"]
    done = cli(*words, "--method", "nt", "-o", "tuned", "--json")
    assert done.code == 0
    check_report(done.document)
    assert (done.document["training"]["method"], done.document["training"]["epochs"]) == ("nt", 1)
    assert "fine-tuned with nt" in done.err
    assert "fine-tuned with nt" in cli("report", "tuned").out
    assert ".tuned" in cli("inspect", "tuned", "--after", "restore-trained").out
    assert "changes nothing" not in done.err and "change nothing" not in done.err
    again = cli("evaluate", "tuned", "--data", "fashion-mnist-mini@test[:32]", "--chips", "1", "--json")
    check_report(again.document)
    assert again.document["training"]["method"] == "nt"


def test_finetune_with_wires(cli: Cli, compiled: Path, model: Path) -> None:
    data = ["--data", "fashion-mnist-mini@train[:40]", "--epochs", "1", "--wires-every", "4"]
    assert cli(model, "--set", "wires.row_ohm=2", "--set", "wires.col_ohm=1", "-o", "wired").code == 0
    done = cli("finetune", "wired", *data, "--wires-tolerance", "0.01", "-o", "tuned", "--json")
    assert done.code == 0 and "change nothing" not in done.err
    settings = done.document["training"]["settings"]
    assert (settings["wires_every"], settings["wires_tolerance"]) == (4, 0.01)
    assert "has no wires section: --wires-every" in cli("finetune", compiled, *data, "-o", "other").out


# --- lists ---


def test_targets(cli: Cli) -> None:
    done = cli("targets")
    assert done.code == 0 and "reram_128x128" in done.out and "isaac" in done.out
    page = cli("targets", "reram_128x128").out
    assert "[adc]" in page and "Wan et al." in page and "as above" in page
    assert any(line.startswith("? ") and "rows" in line for line in page.splitlines())
    assert max(map(len, page.splitlines())) <= 80


def test_a_target_of_the_user(cli: Cli, tmp_path: Path) -> None:
    from pinat_compile.hardware.loader import dump_target, load_target

    (tmp_path / "mine.toml").write_text(dump_target(load_target("isaac", ["adc.bits=7"])))
    assert "adc" in cli("targets", "mine.toml").out


def test_operators(cli: Cli) -> None:
    done = cli("operators")
    assert done.code == 0
    assert "Conv" in done.out and "LayerNormalization" in done.out
    assert max(map(len, done.out.splitlines())) <= 80
    assert len(cli("operators", "-v").out) > len(done.out)


def test_version_and_help(cli: Cli) -> None:
    assert cli("--version").out == f"pinat-compile, version {pinat_compile.__version__}\n"
    assert cli().out == cli("--help").out == cli("-h").out
    for command in ("compile", "evaluate", "finetune", "run", "report", "inspect", "targets", "operators"):
        assert cli(command, "--help").out.startswith(f"Usage: pinat-compile {command}")


@pytest.mark.parametrize("module", ["pinat_compile", "pinat_compile.cli"])
def test_as_a_module(module: str) -> None:
    done = subprocess.run([sys.executable, "-m", module, "--version"], capture_output=True, text=True)
    assert done.stdout.startswith("pinat-compile") and done.stderr == ""


def test_a_closed_pipe_is_not_an_error(compiled: Path) -> None:
    command = f'"{sys.executable}" -m pinat_compile inspect "{compiled}" | head -n 1'
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert done.stdout.startswith("graph ") and done.stderr == ""


# --- deployments ---


def test_evaluate_with_a_deployment(cli: Cli, compiled: Path, images: Path) -> None:
    """Figures with and without; unlabelled data of one's own; JSON says what was done."""
    words = ("evaluate", compiled, "--data", images, "--chips", "2", "--time", "1d")
    plain = cli(*words, "--json").document["accuracy"]
    done = cli(*words, "--deploy", "moments,faults,drift", "--deploy-data", f"{images}@[:10]", "--json")
    check_report(done.document)
    found = done.document["accuracy"]["deployment"]
    assert found["steps"] == ["faults", "drift", "moments"]
    assert (found["samples"], found["data"], found["time_s"]) == (10, str(images), 86400.0)
    assert found["without"]["per_chip"] == plain["per_chip"] and plain["deployment"] is None
    shown = cli(*words, "--deploy", "bias", "--deploy-data", images, "--deploy-samples", "5", "--deploy-time", "1h")
    for text in ("without", "deployed, top1", "deployed 1 h after programming: bias (5 samples of", "gain in points:"):
        assert text in shown.out
    assert max(map(len, shown.out.splitlines())) <= 80


def test_the_training_split_is_the_default(cli: Cli, compiled: Path) -> None:
    done = cli("evaluate", compiled, "--data", "fashion-mnist-mini@test[:20]", "--chips", "1", "--deploy", "moments",
               "--json")
    found = done.document["accuracy"]["deployment"]
    assert (found["samples"], found["data"]) == (200, "fashion-mnist-mini@train")


def test_deployments_are_kept_and_used_again(cli: Cli, model: Path, images: Path, tmp_path: Path) -> None:
    cli(model, "--target", "pcm_256x256", "-o", "my", "-q")
    words = ("evaluate", "my", "--data", images, "--chips", "2", "--time", "30d", "--json")
    made = cli(*words, "--deploy", "drift", "--keep")
    assert sorted(path.name for path in (tmp_path / "my" / "chips").iterdir()) == ["0.safetensors", "1.safetensors"]
    assert "wrote 2 deployments" in made.err
    kept = cli(*words, "--deploy", "kept").document["accuracy"]
    assert kept == made.document["accuracy"]
    run = ("run", "my", "--input", images, "--chip", "1", "--time", "30d")
    cli(*run, "--output", "my_plain.npz")
    assert "deployed with drift" in cli(*run, "--output", "my_kept.npz", "--deploy", "kept").out
    assert "deployed with drift" in cli(*run, "--output", "my_made.npz", "--deploy", "drift").out
    plain, kept_run, made_run = (read_npz(tmp_path / f"my_{name}.npz") for name in ("plain", "kept", "made"))
    for name, values in kept_run.items():
        assert np.array_equal(values, made_run[name]) and not np.array_equal(values, plain[name])

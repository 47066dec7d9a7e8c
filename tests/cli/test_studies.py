"""``sweep``, ``study`` and the rarer options of ``finetune``, as a user types them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Cli

STUDY = """
schema = 1
[network]
model = "{model}"
train = "{images}"
test = "{images}"
[protocol]
seeds = 1
chips = 1
severities = [0.0, 1.0]
samples = 4
[[target]]
name = "reram_128x128"
[[method]]
method = "nan"
name = "pinat"
training = {{ reestimate = 4, reestimate_chips = 1, validation_chips = 1 }}
[[method]]
method = "ptq"
"""


def test_sweep(cli: Cli, compiled: Path, images: Path) -> None:
    words = ("sweep", compiled, "--data", images, "--vary", "adc.bits=4,8", "--chips", "1")
    done = cli(*words, "--vary", "severity=0,1", "--json")
    assert done.code == 0 and "adc.bits" in done.err
    assert [point["values"] for point in done.document["points"]][1] == {"adc.bits": "4", "severity": "1"}
    plain = cli(*words, "--deploy", "moments", "--deploy-data", images)
    assert plain.code == 0 and len(plain.out.splitlines()) == 5 and max(map(len, plain.out.splitlines())) <= 80
    assert cli("sweep", compiled, "--data", images, "--vary", "adc.bats=4").code == 1
    assert cli(*words, "--deploy", "kept").code == 2


def test_study(cli: Cli, model: Path, images: Path, tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(STUDY.format(model=model, images=images))
    stopped = cli("study", file, "-o", "out", "--minutes", "0")
    assert stopped.code == 0 and "the same command goes on" in stopped.out
    done = cli("study", file, "-o", "out", "--json")
    assert done.code == 0 and done.document["schema"] == "pinat-study/1"
    [comparison] = done.document["comparisons"]
    assert {method["name"] for method in comparison["methods"]} == {"pinat", "ptq"}
    assert {"table.md", "curves.png", "results.csv", "study.toml"} <= {path.name for path in Path("out").iterdir()}
    assert max(map(len, cli("study", file, "-o", "out", "--table").out.splitlines())) <= 80
    assert cli("study", file, "-o", ".").code == 1 and cli("study", "none.toml", "-o", "x").code == 1


def test_finetune_options_reach_the_run(cli: Cli, compiled: Path, images: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorboardX")
    done = cli(
        "finetune", compiled, "--data", images, "--method", "vant", "--epochs", "1", "--optimiser", "sgd",
        "--augment", "mirror,shift", "--with", "theta=0.25", "--with", "lambda_saturation=1", "--with",
        "validation_chips=1", "--patience", "3", "--precision", "bfloat16", "--log", "logs", "-o", "tuned", "--json",
    )
    assert done.code == 0 and "L_physics: saturation 1" in done.err
    settings = done.document["training"]["settings"]
    assert (settings["theta"], settings["optimiser"], settings["augment"]) == (0.25, "sgd", ["mirror", "shift"])
    assert (settings["precision"], settings["loss"], settings["patience"]) == ("bfloat16", "ce", 3)
    assert any(path.name.startswith("events") for path in Path("logs").iterdir())
    assert not Path("tuned.checkpoint").exists()
    for word in ("theta", "=3", "theta=two words"):
        assert "not of the form KEY=VALUE" in cli("finetune", compiled, "--data", images, "--with", word).err
    assert "has no setting thetta" in cli("finetune", compiled, "--data", images, "--with", "thetta=1").err


def test_plan(cli: Cli, compiled: Path, images: Path) -> None:
    done = cli("plan", compiled, "--data", images, "--chips", "1", "-o", "planned", "--json")
    assert done.code == 0 and len(done.document["tried"]) == 14
    assert "as it was" in done.err and Path("planned/manifest.json").exists()
    assert cli("plan", compiled, "--data", images, "-o", compiled).code == 1
    done = cli("plan", compiled, "--data", images, "--chips", "1", "--redundancy", "1.5", "-o", "doubled", "--json")
    before, after = done.document["energy_j"]
    assert done.code == 0 and before <= after <= 1.5 * before and "copies take" in done.err

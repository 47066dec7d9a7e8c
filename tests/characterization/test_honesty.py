"""What the data cannot tell is said, what the models do not describe is listed, and the written target works."""

from __future__ import annotations

import csv
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pinat_compile.characterization.characterize import characterize
from pinat_compile.characterization.likelihood import Estimate, clipped_loglike, held, maximise, profile_interval
from pinat_compile.characterization.result import Characterization
from pinat_compile.compiler.build import compile
from pinat_compile.errors import OptionError
from pinat_compile.hardware.loader import is_verified, load_target
from pinat_compile.hardware.schema import StuckSection
from tests.characterization.bench import Columns, measure
from tests.cli.conftest import Cli, cli, model  # noqa: F401  fixtures

TIMES = [1.0, 86400.0]


def reram() -> Columns:
    target = load_target("reram_128x128")
    return measure(target.device, np.linspace(1.0, 40.0, 8), TIMES, seed=2, per_target=60, reads=2)


def outside(found: Characterization, section: str) -> str:
    return "; ".join(f"{each.count} {each.what}" for each in found.outside if each.section == section)


def write(path: Path, columns: Columns) -> Path:
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(columns)
        table.writerows(zip(*columns.values(), strict=True))
    return path


@pytest.mark.parametrize(("g", "read"), [(0.0, 0.5), (0.3, 0.5), (2.0, 0.5), (0.0, 0.0), (1.0, 0.0)])
def test_the_likelihood_of_a_clipped_read(g: float, read: float) -> None:
    """Against 4 million samples of max(0, max(0, N(0.4, 0.8²)) + N(0, read²)): probability of 0, density elsewhere."""
    rng = np.random.default_rng(0)
    sample = np.maximum(0.0, np.maximum(0.0, rng.normal(0.4, 0.8, 4_000_000)) + rng.normal(0.0, 1.0, 4_000_000) * read)
    counted = (sample == 0.0).mean() if g == 0.0 else (np.abs(sample - g) < 0.01).mean() / 0.02
    g_us, mean, sd, noise = (np.array([value]) for value in (g, 0.4, 0.8, read))
    row = clipped_loglike(g_us, mean, sd, noise, 0.0, np.inf)
    assert np.exp(row[0]) == pytest.approx(counted, rel=0.02)


def test_an_estimate_is_held_where_it_may_be() -> None:
    """The nearest point in the estimate's own metric: here with x >= 0.2, which moves y along; else it stays."""
    covariance = np.array([[0.04, 0.03], [0.03, 0.09]])
    estimate = Estimate(np.array([0.0, 1.0]), covariance, -10.0, 50)
    found = held(estimate, np.array([[1.0, 0.0]]), 0.2)
    assert found is not None and found.values.tolist() == pytest.approx([0.2, 1.0 + 0.2 * 0.03 / 0.04])
    assert found.loglike == pytest.approx(-10.5)  # one standard error away
    assert held(estimate, np.array([[1.0, 0.0]]), -0.1) is estimate
    assert held(estimate, np.array([[1.0, 0.0]]), 1.0) is None  # five standard errors


def test_profile_interval() -> None:
    """The mean of a normal sample of unknown spread: mean +- s sqrt(n) sqrt(e^(chi²/n) - 1), exactly."""
    x = np.random.default_rng(0).normal(3.0, 2.0, 25)

    def loglike(theta: np.ndarray) -> np.ndarray:
        return np.asarray(-np.log(abs(theta[1])) - 0.5 * ((x - theta[0]) / theta[1]) ** 2)

    low, high = profile_interval(loglike, maximise(loglike, np.array([2.0, 1.0])), 0)
    half = x.std() * (np.exp(2 * 1.920729 / 25) - 1) ** 0.5
    assert (low, high) == pytest.approx((x.mean() - half, x.mean() + half), abs=0.02)


def test_without_device_ids() -> None:
    columns = measure(load_target("pcm_256x256").device, np.linspace(1.0, 20.0, 8), [300.0, 1e4], seed=1, reads=1)
    del columns["device"]
    found = characterize(columns, "pcm_256x256")
    why = {kept.section: kept.why for kept in found.kept}
    assert "no device ids" in why["drift"] and "no device ids" in why["read_noise"]
    like = load_target("pcm_256x256")
    assert [fit.section for fit in found.fits] == ["programming"] and found.target.drift == like.drift


def test_stuck_devices_are_counted_and_left_out() -> None:
    like = replace(load_target("reram_128x128"), stuck=StuckSection(at_g_min=0.05, at_g_max=0.02), mismatch=None)
    columns = measure(like.device, np.linspace(6.0, 34.0, 8), [1.0], seed=3, per_target=100, reads=2, defects=True)
    found = characterize(columns, replace(like, stuck=None))
    assert found["stuck"]["at_g_min"].covers(0.05) and found["stuck"]["at_g_max"].covers(0.02)
    assert "look stuck at g_min" in outside(found, "stuck")


def test_a_tail_and_a_bias_are_reported() -> None:
    """Neither is part of any programming model: a level that lies 2 µS too high, and errors with heavy tails."""
    columns = reram()
    biased = columns | {"g_us": columns["g_us"] + 2.0 * (np.abs(columns["g_target_us"] - 40.0) < 0.1)}
    assert "40 µS at 1 s" in outside(characterize(biased, "reram_128x128"), "programming")
    rng = np.random.default_rng(0)
    tails = np.repeat(rng.standard_t(2, 480) * 2.0, 2 * len(TIMES)).reshape(480, -1).T.ravel()
    found = characterize(columns | {"g_us": (columns["g_target_us"] + tails).clip(0.0)}, "reram_128x128")
    assert "not normal" in outside(found, "programming")


def test_drift_that_is_no_power_law_is_reported() -> None:
    target = load_target("pcm_256x256")
    columns = measure(target.device, np.linspace(4.0, 20.0, 8), [300.0, 1e4, 1e6], seed=1, per_target=60, reads=2)
    columns["g_us"] = columns["g_us"] * np.where(columns["time_s"] == 1e6, 0.5, 1.0)
    assert "another law of drift" in outside(characterize(columns, target), "drift")


def test_read_noise_that_accumulates_is_reported_against_a_white_model() -> None:
    white = load_target("reram_128x128")
    assert white.read_noise is not None
    grows = replace(white, read_noise=replace(white.read_noise, t_read_ns=1000.0))
    columns = measure(grows.device, np.linspace(10.0, 40.0, 8), [1.0, 1e5], seed=2, per_target=60, reads=3)
    assert "noise that accumulates" in outside(characterize(columns, white), "read_noise")
    assert not outside(characterize(columns, grows), "read_noise")


def test_what_lies_outside_the_cell_and_the_clock() -> None:
    target = load_target("pcm_256x256")
    columns = measure(target.device, np.linspace(4.0, 22.0, 10), [20.0, 300.0, 1e5], seed=1, reads=1)
    found = characterize(columns, target)
    assert "360 reads before t0_s = 300" in outside(found, "drift")
    assert "120 targets above g_max: not fitted" in outside(found, "cell")
    assert found["programming"].measurements == 360


def test_nothing_is_counted_twice_and_every_number_has_its_source(tmp_path: Path) -> None:
    verified = ["write_verify.tolerance_us=1.0", "write_verify.max_pulses=10", "programming.times_s=[1.0]",
                "programming.coefficients=[[1.0]]"]
    found = characterize(write(tmp_path / "wafer 7.csv", reram()), "reram_128x128", overrides=verified)
    assert {"mismatch", "write_verify"} <= {kept.section for kept in found.kept if kept.why.startswith("taken out")}
    assert found.target.mismatch is None and found.target.write_verify is None
    source = found.target.sources["programming.coefficients"]
    assert source.startswith("fitted from wafer 7.csv, 960 measurements") and "95 % intervals" in source
    assert is_verified(source) and found.target.name == "wafer_7"


def test_the_written_target_loads_and_compiles(tmp_path: Path, model: Path) -> None:  # noqa: F811
    found = characterize(reram(), "reram_128x128", name="lab")
    path = found.save(tmp_path / "deep" / "lab.toml")
    assert load_target(path) == found.target
    assert "# [programming] polynomial" in path.read_text("utf-8")
    assert compile(model, path).target.name == "lab"


def test_missing_extras_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = characterize(reram(), "reram_128x128")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(OptionError, match="a plot needs matplotlib"):
        found.plot(tmp_path / "x.png")
    monkeypatch.setitem(sys.modules, "statsmodels", None)
    with pytest.raises(OptionError, match="characterize needs statsmodels") as caught:
        characterize({}, "reram_128x128")
    assert caught.value.hint == "pip install 'pinat-compile[characterize]'"


def test_the_command(cli: Cli) -> None:  # noqa: F811
    write(Path("bench.csv"), reram())
    done = cli("characterize", "bench.csv", "--like", "reram_128x128", "-o", "lab.toml")
    assert done.code == 0 and "sigma_fraction" in done.out and "95 % interval" in done.out, done.err
    assert Path("lab.png").read_bytes().startswith(b"\x89PNG") and load_target("lab.toml").name == "lab"
    done = cli("characterize", "bench.csv", "--like", "reram_128x128", "-o", "lab.toml", "--plot", "a.svg", "--json")
    document = done.document
    assert document["schema"] == "pinat-characterization/1" and document["plot"] == "a.svg"
    assert "<svg" in Path("a.svg").read_text("utf-8")
    assert {fit["section"] for fit in document["fits"]} == {"read_noise", "programming"}
    low, high = document["fits"][0]["parameters"][0]["ci95"]
    assert low < 0.01 < high


@pytest.mark.parametrize(("words", "said"), [
    (["no.csv", "-o", "x.toml"], "no.csv: no such file"),
    (["bench.csv", "-o", "bench.csv", "--plot", "x.png"], "bench.csv: is an input as well"),
    (["bench.csv", "-o", "x.toml", "--plot", "x.txt"], "x.txt: not a picture's name"),
    (["bench.csv", "-o", "bench.csv/x.toml"], "is not a folder"),
    (["bench.csv", "-o", "x.toml", "--set", "cell.g_max_us=-1"], "cell.g_max_us"),
])
def test_errors_of_the_command(cli: Cli, words: list[str], said: str) -> None:  # noqa: F811
    write(Path("bench.csv"), {"g_target_us": [1.0], "g_us": [1.0], "time_s": [1.0]})
    done = cli("characterize", *words, "--like", "reram_128x128")
    assert done.code == 1 and said in done.err and done.out == "" and "Traceback" not in done.err
    assert not Path("x.toml").exists()

"""Fine-tuning in two processes: the same batches on the same chips, so the result of one but for the order of sums."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pinat_compile.compiler.build import compile
from pinat_compile.compiler.compiled import Compiled
from pinat_compile.compiler.folder import load
from pinat_compile.data import as_dataset
from pinat_compile.errors import OptionError
from pinat_compile.passes.restore_trained import SUFFIX
from pinat_compile.training.finetune import Run, finetune
from pinat_compile.training.logs import Log
from pinat_compile.training.ranks import Ranks
from pinat_compile.training.settings import Settings
from tests.zoo import NETWORKS, inputs_for

ROOT = Path(__file__).parents[2]
TOLERANCE = 1e-3
"""Of a trained tensor, relative to its largest value: what the order of float32 sums comes to over these steps."""
GIVEN: dict[str, Any] = {"epochs": 1, "batch_size": 12, "chips_per_batch": 3, "loss": "ce", "lambda_divergence": 0.1,
                         "validation_chips": 3, "ema": 0.5}  # fmt: skip


def in_processes(count: int, *words: str) -> None:
    """``pinat-compile`` in so many processes, whose messages do not leave this machine."""
    several = ["torch.distributed.run", "--standalone", "--nproc-per-node", str(count)]
    command = [sys.executable, "-m", *several, "-m", "pinat_compile", *words]
    told = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    done = subprocess.run(command, cwd=ROOT, env=told, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr


def untouched(compiled: Compiled, name: str) -> Any:
    """What a trained tensor was before."""
    return compiled.graph.tensors[name.removesuffix(SUFFIX)]


def history(compiled: Compiled) -> Any:
    assert compiled.options.training is not None
    return compiled.options.training["history"]


def test_two_processes_give_what_one_gives(tmp_path: Path) -> None:
    """Labels are not the network's own, so that training moves it and the values kept are those of the end."""
    model = NETWORKS["lenet"]()
    inputs = inputs_for(model, batch=40)
    compiled = compile(model, "reram_128x128", calibration=inputs)
    outputs = next(iter(compiled.reference.run(inputs).values()))
    data: dict[str, Any] = {**inputs, "y": outputs.argmin(axis=1)}
    np.savez(tmp_path / "data.npz", **data)
    compiled.save(tmp_path / "lenet")
    given = [word for name, value in GIVEN.items() for word in ("--with", f"{name}={value}")]
    folders = (str(tmp_path / "lenet"), "-o", str(tmp_path / "tuned"))
    in_processes(2, "finetune", *folders, "--data", str(tmp_path / "data.npz"), *given)
    one, two = finetune(compiled, data, **GIVEN), load(tmp_path / "tuned")
    assert one.options.training is not None and two.options.training is not None
    assert (one.options.training["processes"], two.options.training["processes"]) == (1, 2)
    assert one.options.training["settings"] == two.options.training["settings"]
    assert one.trained and one.trained.keys() == two.trained.keys()
    for name, value in one.trained.items():
        assert np.abs(two.trained[name] - value).max() <= TOLERANCE * np.abs(value).max(), name
    assert any(not np.array_equal(value, untouched(compiled, name)) for name, value in one.trained.items())
    assert [r["step"] for r in history(one)] == [r["step"] for r in history(two)]
    for a, b in zip(history(one), history(two), strict=True):
        assert (a["loss"] is None) == (b["loss"] is None)
        assert a["loss"] is None or b["loss"] == pytest.approx(a["loss"], rel=1e-3)
        assert b["validation_accuracy"] == pytest.approx(a["validation_accuracy"], abs=0.1)
    assert not (tmp_path / "tuned.checkpoint").exists()


def test_each_process_needs_a_chip() -> None:
    model = NETWORKS["lenet"]()
    inputs = inputs_for(model, batch=20)
    compiled = compile(model, "reram_128x128", calibration=inputs)
    settings = Settings.of("pinat", chips_per_batch=2)
    run = Run(compiled, settings, as_dataset(inputs), None, None, Log(None), Ranks(rank=1, count=3))
    with pytest.raises(OptionError, match="2 virtual chips per batch for 3 processes"):
        run.result(resume=False)


def test_shares_are_all_and_alone_nothing_changes() -> None:
    dealt = [Ranks(rank=rank, count=3).mine(range(8)) for rank in range(3)]
    assert dealt == [[0, 3, 6], [1, 4, 7], [2, 5]]
    alone, tensor = Ranks(), torch.tensor([1.0, 2.0])
    alone.add_up([tensor])
    assert tensor.tolist() == [1.0, 2.0] and alone.totals([0.1], "cpu") == [0.1] and alone.agree("x") == "x"
    assert alone.first and not Ranks(rank=1, count=2).first


def test_every_process_takes_the_device_of_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pinat_compile.training.settings.check_device", lambda device: device)
    monkeypatch.setenv("LOCAL_RANK", "1")
    settings = Settings.of("pinat", device="cuda")
    assert Ranks(rank=5, count=8).settings(settings).device == "cuda:1"
    assert Ranks().settings(settings) is settings


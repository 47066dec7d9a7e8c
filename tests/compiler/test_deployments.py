"""Deployments in the compiled folder: what is written is read back, and nothing else passes for it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from pinat_compile.compiler.build import compile
from pinat_compile.compiler.compiled import Compiled
from pinat_compile.compiler.deployments import file_of, load_deployment, save_deployment
from pinat_compile.compiler.folder import load
from pinat_compile.errors import FolderError, OptionError
from pinat_compile.evaluation import deploy
from pinat_compile.simulator.deployment import Deployment
from tests.zoo import NETWORKS, inputs_for

MODEL = NETWORKS["residual"]()
INPUTS = inputs_for(MODEL, batch=32)
STUCK = ("stuck.at_g_min=0.02", "stuck.at_g_max=0.02")


@pytest.fixture(scope="module")
def compiled() -> Compiled:
    return compile(MODEL, "reram_128x128", calibration=INPUTS, overrides=STUCK)


@pytest.fixture(scope="module")
def made(compiled: Compiled) -> Deployment:
    return deploy(compiled, chip=2, data=INPUTS, steps=("faults", "drift", "moments"), time="1d", seed=3)


@pytest.fixture
def folder(compiled: Compiled, tmp_path: Path) -> Path:
    return compiled.save(tmp_path / "out")


def test_round_trip(compiled: Compiled, made: Deployment, folder: Path) -> None:
    """A loaded network with a loaded deployment computes bit for bit what was deployed."""
    path = save_deployment(made, folder)
    assert path == folder / "chips" / "2.safetensors"
    again = load_deployment(folder, 2)
    assert again.to_dict() == made.to_dict()
    x = {name: torch.from_numpy(value) for name, value in INPUTS.items()}
    one = compiled.simulator(2, time="1d", deployment=made).run(x)
    other = load(folder).simulator(2, time="1d", deployment=again).run(x)
    bare = compiled.simulator(2, time="1d").run(x)
    for name, value in one.items():
        assert torch.equal(value, other[name]) and not torch.equal(value, bare[name])


def test_the_folder_is_a_folder_as_before(compiled: Compiled, made: Deployment, folder: Path) -> None:
    """It loads, it is replaced by the same network and keeps its chips; another network refuses them."""
    save_deployment(made, folder)
    save_deployment(made, folder)
    compiled.save(folder)
    assert load(folder).simulator(2, deployment=load_deployment(folder, 2)).deployment is not None
    other = compile(MODEL, "reram_128x128", calibration=INPUTS)
    other.save(folder)
    with pytest.raises(OptionError, match="made for another network, target or plan"):
        load(folder).simulator(2, deployment=load_deployment(folder, 2))


def test_a_folder_of_another_network_is_refused(made: Deployment, tmp_path: Path) -> None:
    other = compile(MODEL, "reram_128x128", calibration=INPUTS).save(tmp_path / "other")
    with pytest.raises(OptionError, match="made for another network, target or plan"):
        save_deployment(made, other)
    assert not (other / "chips").exists()


def test_a_chip_without_one(folder: Path) -> None:
    with pytest.raises(FolderError, match="chip 7 has no deployment"):
        load_deployment(folder, 7)


def test_what_cannot_be_written(made: Deployment, folder: Path) -> None:
    (folder / "chips").write_text("in the way")
    with pytest.raises(FolderError, match=r"chips.*cannot be written"):
        save_deployment(made, folder)


def changed(path: Path, key: str | None = None, **document: object) -> None:
    """Write the file again with one tensor or parts of its document changed."""
    with safe_open(str(path), framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}
        found = json.loads(file.metadata()["deployment"])
    if key is not None:
        name = next(name for name in tensors if name.startswith(key))
        tensors[name] = tensors[name] + 1
    save_file(tensors, str(path), {"deployment": json.dumps({**found, **document})})


@pytest.mark.parametrize("damage", ["text", "cut", "other chip", "tensor", "schema", "no document", "steps", "cells"])
def test_damage_is_one_line(made: Deployment, folder: Path, damage: str) -> None:
    path = save_deployment(made, folder)
    if damage == "text":
        path.write_text("This is not a deployment.\n")
    elif damage == "cut":
        path.write_bytes(path.read_bytes()[:200])
    elif damage == "other chip":
        path.rename(file_of(folder, 5))
    elif damage == "tensor":
        changed(path, "rows")
    elif damage == "no document":
        save_file({"x": torch.zeros(1)}, str(path), {"other": "1"})
    else:
        changed(path, **{damage: "unknown"})
    with pytest.raises(FolderError, match="not a deployment that can be read") as raised:
        load_deployment(folder, 5 if damage == "other chip" else 2)
    assert "\n" not in raised.value.message and raised.value.hint

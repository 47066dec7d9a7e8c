"""The public contract: commands, options, Python names and parameters that other people's scripts rely on.

Add freely, rename nothing: a name that goes from this list is a name that somebody uses.
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect

import click
import pytest

import pinat_compile
from pinat_compile.cli.app import app
from pinat_compile.training.settings import Settings

COMMANDS = {
    "compile": "model --target --output --calibrate --set --digital --analog --bind --preprocess --json --tiles",
    "targets": "name",
    "operators": "",
    "inspect": "folder --after --node",
    "run": "folder --input --output --chip --seed --ideal --time --temperature",
    "evaluate": "folder --data --chips --reads --seed --time --temperature --severity --dynamic --deploy --deploy-data "
    "--metric --per-layer --json",
    "finetune": "folder --data --method --epochs --loss --output --resume --replan",
    "sweep": "folder --data --vary --json --engine",
    "study": "file --output",
    "compare": "model --target",
    "explore": "model --target --vary --data --engine",
    "report": "folder",
    "characterize": "measurements --like --output",
    "export": "folder --output --annotated --conductances --spice --tile",
}
"""Command -> its arguments and long options."""

FUNCTIONS = {
    "compile": "model target calibration example_inputs",
    "load": "folder",
    "deploy": "compiled chip data steps",
    "evaluate": "compiled data chips",
    "finetune": "compiled data method epochs",
    "estimate": "compiled",
    "export": "compiled",
    "sweep": "compiled data vary",
    "study": "file output",
    "explore": "model target vary data",
    "compare": "model targets",
    "characterize": "measurements like",
    "load_target": "name_or_path",
}
"""Name in `pinat_compile` -> parameters."""


@pytest.mark.parametrize("name", COMMANDS)
def test_commands_and_their_options(name: str) -> None:
    command = app.get_command(click.Context(app), name)
    assert command is not None, f"the command {name} has gone"
    known = {word for parameter in command.params for word in (*parameter.opts, *parameter.secondary_opts)}
    gone = set(COMMANDS[name].split()) - known
    assert not gone, f"{name}: {sorted(gone)} have gone; there are {sorted(known)}"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_and_their_parameters(name: str) -> None:
    assert name in pinat_compile.__all__, f"{name} has gone"
    parameters = inspect.signature(getattr(pinat_compile, name)).parameters
    known = set(parameters)
    if name == "finetune":  # its keywords are those of the settings
        known |= {field.name for field in dataclasses.fields(Settings)}
    gone = set(FUNCTIONS[name].split()) - known
    assert not gone, f"{name}: {sorted(gone)} have gone"


def test_methods_of_what_they_give() -> None:
    from pinat_compile.compiler.compiled import Compiled
    from pinat_compile.simulator.module import Simulator

    assert set(inspect.signature(Compiled.simulator).parameters) >= {"chip", "seed", "device", "noise"}
    assert set(inspect.signature(Simulator.at).parameters) >= {"time", "temperature", "severity"}
    assert callable(Compiled.save)


def test_every_public_name_is_there() -> None:
    for name in pinat_compile.__all__:
        assert getattr(pinat_compile, name) is not None
    assert importlib.import_module("pinat_compile").__version__.count(".") == 2

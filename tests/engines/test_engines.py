"""Engines: the same results bit for bit in this process, from a store, and on Ray, also where a worker is killed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pinat_compile as pc
from pinat_compile.compiler.build import compile
from pinat_compile.compiler.compiled import Compiled
from pinat_compile.engines import InProcess, Store, engine_for
from pinat_compile.engines.engine import parts
from pinat_compile.errors import EngineError
from tests.cli.conftest import small_network
from tests.engines.ray_run import DATA, GIVEN, same

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def compiled() -> Compiled:
    return compile(small_network(), "reram_128x128")


class Counting(InProcess):
    """This process, counting the units it runs and the chips that they are about."""

    def __init__(self, workers: int = 1) -> None:
        super().__init__()
        self.workers = workers
        self.chips: list[int] = []
        self.units = 0

    def run(self, work: Any, units: Any, tell: Any = None) -> Iterator[tuple[int, Any]]:
        for index in reversed(range(len(units))):  # any order will do
            self.units += 1
            self.chips += units[index][3] if work.__name__ == "judge" else []
            yield index, work(*units[index])


def test_parts_are_all_items_in_order() -> None:
    assert [list(part) for part in parts(range(7), 3)] == [[0, 1], [2, 3], [4, 5, 6]]
    assert [list(part) for part in parts([4, 2], 9)] == [[4], [2]]


@pytest.mark.parametrize("name", ["dask", "ray:", "rays", ""])
def test_unknown_engines(name: str) -> None:
    with pytest.raises(EngineError, match="not known"), engine_for(name):
        pass


def test_the_parts_of_an_evaluation_make_the_whole(compiled: Compiled) -> None:
    whole = pc.evaluate(compiled, DATA, **GIVEN)
    several = Counting(workers=2)
    assert same(pc.evaluate(compiled, DATA, engine=several, **GIVEN), whole)
    assert several.units == 5 and sorted(several.chips) == [0, 1, 2, 3, 4]


def test_a_store_is_gone_on_from(compiled: Compiled, tmp_path: Path) -> None:
    path = tmp_path / "results.sqlite"
    first, second, third = Counting(), Counting(), Counting()
    pc.evaluate(compiled, DATA, engine=first, store=path, **{**GIVEN, "chips": [0, 3]})
    found = pc.evaluate(compiled, DATA, engine=second, store=path, **GIVEN)
    again = pc.evaluate(compiled, DATA, engine=third, store=path, **GIVEN)
    assert (first.chips, second.chips, third.units) == ([0, 3], [1, 2, 4], 0)
    assert same(found, pc.evaluate(compiled, DATA, **GIVEN)) and same(again, found)


def test_a_store_knows_what_results_depend_on(compiled: Compiled, tmp_path: Path) -> None:
    other = {"x": DATA["x"] + np.float32(0.001)}
    changes: list[dict[str, Any]] = [{}, {"seed": 1}, {"severity": 0.5}, {"time": "1h"}, {"batch_size": 7},
                                     {"deploy": ("bias",)}, {"deploy_data": other}, {"reads": 2}, {"metric": "cosine"}]
    with Store(tmp_path / "s") as store:
        for change in changes:
            engine = Counting()
            pc.evaluate(compiled, DATA, engine=engine, store=store, **{**GIVEN, "chips": 1, **change})
            assert engine.chips == [0], change
        for network, data in ((compile(small_network(), "reram_128x128", overrides=["adc.bits=5"]), DATA),
                              (compiled, other)):
            engine = Counting()
            pc.evaluate(network, data, engine=engine, store=store, **{**GIVEN, "chips": 1})
            assert engine.chips == [0]
        engine = Counting()
        engine.threads += 1
        pc.evaluate(compiled, DATA, engine=engine, store=store, **{**GIVEN, "chips": 1})
        assert engine.chips == [0]


def test_sweeps_and_explorations_are_kept_too(compiled: Compiled, tmp_path: Path) -> None:
    path, vary = tmp_path / "results.sqlite", ["adc.bits=4,8", "severity=1,2"]
    engine, again = Counting(workers=4), Counting()
    points = pc.sweep(compiled, DATA, vary, chips=2, metric="mse", engine=engine, store=path)
    assert engine.units == 8 and points == pc.sweep(compiled, DATA, vary, chips=2, metric="mse")
    assert pc.sweep(compiled, DATA, vary, chips=2, metric="mse", engine=again, store=path) == points
    assert again.units == 0
    given: dict[str, Any] = {"vary": ["adc.bits=4,8", "array.cols=1,128"], "data": DATA, "metric": "mse", "chips": 1}
    engine, again = Counting(workers=4), Counting()
    found = pc.explore(small_network(), "reram_128x128", engine=engine, store=path, **given)
    assert engine.units == 2 and found == pc.explore(small_network(), "reram_128x128", **given)
    assert pc.explore(small_network(), "reram_128x128", engine=again, store=path, **given) == found
    assert again.units == 0


def test_ray_gives_the_same_bits_though_a_worker_is_killed(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    command = [sys.executable, "-m", "tests.engines.ray_run", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    if "cannot be started" in done.stderr and os.getloadavg()[0] > 4 * (os.cpu_count() or 1):
        pytest.skip("Ray does not start on a machine this busy")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found.pop("error").startswith("OptionError: metric")
    assert found.pop("nowhere").startswith("EngineError: engine ray: cannot be reached at nowhere")
    assert found == {"workers": 2, "threads": True, "killed": True, "same": True, "same sweep": True,
                     "same study": True}

"""Evaluation and sweep in this process and on Ray, a worker being killed in the middle; a JSON line says what came.

A program of its own: processes that Ray leaves to be reaped would count as leaks of the test run.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

import pinat_compile as pc
from benchmarks.trust.workplace import COMMANDS, make
from pinat_compile.engines import Engine
from pinat_compile.engines.on_ray import Ray
from pinat_compile.errors import PinatError
from pinat_compile.graph import Array
from tests.cli.conftest import small_network

DATA = {"x": np.random.default_rng(0).random((48, 1, 28, 28), np.float32)}
GIVEN: dict[str, Any] = {"chips": 5, "metric": "mse", "per_layer": True, "deploy": "moments", "deploy_data": DATA}
VARY = ["adc.bits=4,8", "severity=1,2"]
KILL = "PINAT_TEST_KILL"
"""Names a file; the worker that makes it kills itself."""


def squares(outputs: Array, reference: Array) -> Array:
    """A metric whose first call in a worker kills that worker, so hard that it cannot say so."""
    mark = os.environ.get(KILL)
    if mark and not os.path.exists(mark):
        Path(mark).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    found: Array = ((outputs - reference) ** 2).sum(axis=1)
    return found


def same(one: Any, other: Any) -> bool:
    """Two evaluations equal to the last bit; deployments tensor by tensor."""
    if one.deployment is None or other.deployment is None:
        return bool(one == other)
    pairs = list(zip(one.deployment.made, other.deployment.made, strict=True))
    tensors = all(
        getattr(a, part).keys() == getattr(b, part).keys()
        and all(torch.equal(getattr(a, part)[name], getattr(b, part)[name]) for name in getattr(a, part))
        for a, b in pairs for part in ("scales", "offsets")
    )
    bare = [replace(each, deployment=replace(each.deployment, made=())) for each in (one, other)]
    return tensors and all(a.to_dict() == b.to_dict() for a, b in pairs) and bool(bare[0] == bare[1])


def studied(folder: Path, engine: Engine | None) -> str | None:
    """The digest of a small study's rows and table of figures."""
    place = folder / ("here" if engine is None else "there")
    place.mkdir()
    make(place)
    pc.study(place / "study.toml", place / "out", engine=engine)
    return COMMANDS["study"].stands(place / "out")


def refused(**given: Any) -> str:
    """The kind and the message of the error."""
    try:
        pc.evaluate(pc.compile(small_network(), "reram_128x128"), DATA, **given)
    except PinatError as error:
        return f"{type(error).__name__}: {error.message}"
    return "nothing was refused"


def main(folder: Path) -> None:
    compiled = pc.compile(small_network(), "reram_128x128")
    given = {**GIVEN, "metric": f"{squares.__module__}:squares"}
    here, mark = pc.evaluate(compiled, DATA, **given), folder / "killed"
    points = pc.sweep(compiled, DATA, VARY, chips=2, metric="mse")
    os.environ[KILL] = str(mark)
    engine: Engine = Ray(workers=2)
    del os.environ[KILL]
    try:
        there = pc.evaluate(compiled, DATA, engine=engine, store=folder / "results.sqlite", **given)
        found = {
            "workers": engine.workers,
            "threads": engine.threads == torch.get_num_threads(),
            "killed": mark.exists(),
            "same": same(there, here),
            "same sweep": pc.sweep(compiled, DATA, VARY, chips=2, metric="mse", engine=engine) == points,
            "same study": studied(folder, engine) == studied(folder, None),
            "error": refused(metric="no.such:metric", engine=engine),
        }
    finally:
        engine.close()
    print(json.dumps({**found, "nowhere": refused(engine="ray:nowhere")}))


if __name__ == "__main__":
    from tests.engines import ray_run  # the name that workers know this module by

    ray_run.main(Path(sys.argv[1]))

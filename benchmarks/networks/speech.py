"""Speech detection (silero VAD: convolutions and an LSTM) on phase-change memory, from the first hour to a year.

    python -m benchmarks.networks.speech [--chips 2] [--recordings 12]     # benchmarks/results/speech.csv

Prompts of a speaker from the Debian package asterisk-core-sounds-en-wav, each from a state of zeros to its end. The
first eight recordings set the converters' ranges and, where a step needs samples, make the deployment; the next ones
are judged. Against the float network in onnxruntime: ``agreement``, the share of frames with the same decision at 0.5;
``auroc``, the area under the curve of the chip's probabilities for the reference's decisions, whatever the threshold;
``error``, the mean distance of the probabilities. ``label``: agreement with the energy of the frame, as in
`benchmarks.zoo.scores`. Steps are made at the time at which the chip is judged.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper
from scipy import stats

import pinat_compile as pc
from benchmarks.networks.rows import write
from benchmarks.zoo import inputs
from benchmarks.zoo.fetch import FOLDER, member
from pinat_compile.compiler.compiled import Compiled
from pinat_compile.graph import Array
from pinat_compile.simulator.module import Simulator

TARGET = "pcm_256x256"
MODEL = "silero-vad==6.2.3", "silero_vad/data/silero_vad_16k_sequence.onnx"
CALIBRATION = 8
"""Recordings."""
TIMES = (None, "1h", "1d", "30d", "1y")
STEPS = ("none", "drift", "moments", "drift,moments")


def network() -> Path:
    """The network with its first state fixed at 0: one input, frames [frames, 576]; a probability per frame."""
    path = FOLDER / "silero-from-zero.onnx"
    if not path.is_file():
        model = onnx.load(member(*MODEL, "silero-sequence.onnx"))
        zeros = [helper.make_tensor(name, TensorProto.FLOAT, [1, 1, 128], [0.0] * 128) for name in ("h", "c")]
        kept = [value for value in model.graph.input if value.name == "input"]
        del model.graph.input[:], model.graph.output[1:]
        model.graph.input.extend(kept)
        model.graph.initializer.extend(zeros)
        onnx.save_model(model, path)
    return path


def probabilities(chip: Simulator, recordings: Sequence[Array]) -> list[Array]:
    """Of speech, for every frame of every recording."""
    name = chip.graph.outputs[0]
    with torch.inference_mode():
        return [chip.run({"input": torch.from_numpy(frames)})[name].numpy().reshape(-1) for frames in recordings]


def scores(found: Sequence[Array], reference: Sequence[Array], recordings: Sequence[Array]) -> dict[str, float]:
    p, wanted = np.concatenate(found), np.concatenate(reference)
    loud = np.concatenate([inputs.loud(frames) for frames in recordings])
    return {
        "agreement": float(((p > 0.5) == (wanted > 0.5)).mean()),
        "auroc": _auroc(p, wanted > 0.5),
        "error": float(np.abs(p - wanted).mean()),
        "label": float(((p > 0.5) == loud).mean()),
    }


def _auroc(p: Array, positive: Array) -> float:
    """How often a frame of speech has the larger probability than one without: the Mann-Whitney U, normalised."""
    return float(stats.mannwhitneyu(p[positive], p[~positive]).statistic / (positive.sum() * (~positive).sum()))


def measure(chips: int, count: int) -> None:
    found = list(inputs.recording_frames(CALIBRATION + count))
    known, judged = found[:CALIBRATION], found[CALIBRATION:]
    compiled = pc.compile(network(), TARGET, calibration=[{"input": frames} for frames in known])
    name = compiled.graph.outputs[0]
    reference = [compiled.reference.run({"input": frames})[name].reshape(-1) for frames in judged]
    frames = sum(map(len, judged))
    for label, p in (("reference", reference), ("ideal", probabilities(compiled.simulator(noise=False), judged))):
        row = {"steps": label, "time_s": None, "chip": None}
        write("speech", [{**row, **scores(p, reference, judged), "frames": frames}], ("steps", "time_s", "chip"))
    for time in TIMES:
        for chip in range(chips):
            rows = [
                {"steps": steps, "time_s": one.conditions.time_s, "chip": chip,
                 **scores(probabilities(one, judged), reference, judged), "frames": frames}
                for steps in STEPS for one in [deployed(compiled, chip, time, steps, known)]
            ]  # fmt: skip
            print(*rows, sep="\n", flush=True)
            write("speech", rows, ("steps", "time_s", "chip"))


def deployed(compiled: Compiled, chip: int, time: str | None, steps: str, known: Sequence[Array]) -> Simulator:
    """A chip at a time, with what was measured on it then; all frames of the known recordings, one after the other."""
    if steps == "none":
        return compiled.simulator(chip, time=time)
    frames = np.concatenate(known)
    made = pc.deploy(compiled, chip=chip, data={"input": frames}, steps=steps, samples=len(frames), time=time)
    return compiled.simulator(chip, time=time, deployment=made)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chips", type=int, default=2)
    parser.add_argument("--recordings", type=int, default=12)
    given = parser.parse_args()
    measure(given.chips, given.recordings)


if __name__ == "__main__":
    main()

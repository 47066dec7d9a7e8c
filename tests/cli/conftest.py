"""The command line called in this process, and a small network for it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from pinat_compile.cli import main
from tests.zoo import Builder


@dataclass(frozen=True)
class Done:
    """What a command left."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        """The one JSON document on stdout."""
        found: dict[str, Any] = json.loads(self.out)
        return found


Cli = Callable[..., Done]


@pytest.fixture
def cli(capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """Run ``pinat-compile`` with words, in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(*words: str | Path) -> Done:
        capfd.readouterr()
        with pytest.raises(SystemExit) as stopped:
            main([str(word) for word in words])
        captured = capfd.readouterr()
        return Done(int(stopped.value.code or 0), captured.out, captured.err)

    return run


def small_network() -> onnx.ModelProto:
    """Two strided convolutions and a Gemm, for 28 x 28 images and ten classes."""
    b = Builder("small")
    x = b.relu(b.conv(b.input("x", ["batch", 1, 28, 28]), "conv1", (4, 1, 3, 3), strides=[3, 3]), "relu1")
    x = b.relu(b.conv(x, "conv2", (8, 4, 3, 3), strides=[2, 2]), "relu2")
    x = b.node("Flatten", b.node("GlobalAveragePool", x, name="pool"), name="flatten")
    return b.model(b.linear(x, "fc", 8, 10))


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small network as a file."""
    path = tmp_path_factory.mktemp("model") / "small.onnx"
    onnx.save(small_network(), path)
    return path


@pytest.fixture(scope="session")
def compiled(model: Path) -> Path:
    """The small network compiled; only to be read."""
    from pinat_compile.compiler.build import compile

    return compile(model, "reram_128x128").save(model.parent / "small.compiled")


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Twenty labelled images as a file."""
    rng = np.random.default_rng(0)
    path = tmp_path / "images.npz"
    np.savez(path, x=rng.random((20, 1, 28, 28), np.float32), y=rng.integers(0, 10, 20))
    return path

"""What the training scripts of this folder share: Fashion-MNIST, training in plain torch, export to ONNX.

The data are the four IDX files of Fashion-MNIST (Debian package ``dataset-fashion-mnist``). Every tenth training image
is held out as validation data, so that later fine-tuning and tuning have images that the network has not seen.
"""

from __future__ import annotations

import ast
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from torch import Tensor, nn
from torch.nn import functional

from pinat_compile.data.idx import read_idx_split

FOLDER = Path("/usr/share/datasets/fashion-mnist")
Images = tuple[Tensor, Tensor]  # float32 [n, 1, 28, 28] in [0, 1]; int64 [n]

# --- data ---


def load(folder: Path, split: str) -> Images:
    """One split of Fashion-MNIST, ``train`` or ``test``."""
    images, labels = read_idx_split(folder, split)
    return torch.from_numpy(images.astype(np.float32) / np.float32(255)).unsqueeze(1), torch.from_numpy(labels)


def hold_out(data: Images) -> tuple[Images, Images]:
    """Fit and validation images: every tenth image (9, 19, 29, ...) is validation."""
    held = torch.arange(len(data[0])) % 10 == 9
    return (data[0][~held], data[1][~held]), (data[0][held], data[1][held])


def augment(x: Tensor, generator: torch.Generator) -> Tensor:
    """Shift each image by up to two pixels and mirror half of them."""
    n, _, height, width = x.shape
    shift = torch.randint(0, 5, (2, n, 1), generator=generator)
    rows = torch.arange(height) + shift[0]  # [n, height]
    cols = torch.arange(width) + shift[1]  # [n, width]
    mirrored = torch.rand(n, 1, generator=generator) < 0.5
    cols = torch.where(mirrored, cols.flip(1), cols)
    padded = functional.pad(x, (2, 2, 2, 2))[:, 0]
    return padded[torch.arange(n)[:, None, None], rows[:, :, None], cols[:, None, :]].unsqueeze(1)


def batches(data: Images, size: int, generator: torch.Generator) -> Iterator[Images]:
    """Shuffled, augmented batches; the incomplete last one is left out."""
    order = torch.randperm(len(data[0]), generator=generator)
    for picked in torch.split(order, size):
        if len(picked) == size:
            yield augment(data[0][picked], generator), data[1][picked]


def in_order(data: Images) -> Iterator[Images]:
    """All images in batches of 500."""
    return zip(torch.split(data[0], 500), torch.split(data[1], 500), strict=True)


# --- training ---


def decayed(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Parameter groups: matrices and kernels decay, gains and biases do not."""
    parameters = list(model.parameters())
    return [{"params": [p for p in parameters if p.ndim > 1], "weight_decay": weight_decay},
            {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0}]  # fmt: skip


def train(model: nn.Module, optimizer: torch.optim.Optimizer, fit: Images, validation: Images, *,
          epochs: int, size: int, seed: int, peak: float) -> None:  # fmt: skip
    """One-cycle schedule up to the rate ``peak``, label smoothing 0.05."""
    generator = torch.Generator().manual_seed(seed)
    steps = epochs * (len(fit[0]) // size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=peak, total_steps=max(steps, 1), pct_start=0.25)
    loss_of = nn.CrossEntropyLoss(label_smoothing=0.05)
    for epoch in range(1, epochs + 1):
        started, total, count = time.perf_counter(), 0.0, 0
        model.train()
        for x, y in batches(fit, size, generator):
            loss = loss_of(model(x.to(memory_format=torch.channels_last)), y)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            schedule.step()
            total, count = total + float(loss.detach()), count + 1
        print(f"epoch {epoch:2d}  loss {total / count:.4f}  validation {accuracy(model, validation):.4f}  "
              f"{time.perf_counter() - started:.0f} s", flush=True)


def accuracy(model: nn.Module, data: Images) -> float:
    """Fraction of the images whose largest logit is the label."""
    model.eval()
    with torch.inference_mode():
        right = sum(int((model(x).argmax(1) == y).sum().item()) for x, y in in_order(data))
    return right / len(data[0])


# --- export ---


def export(model: nn.Module, path: Path, kinds: Mapping[str, str]) -> None:
    """Write one ONNX file: input x [batch, 1, 28, 28], output logits [batch, 10], opset 20; plain names, no metadata.

    ``kinds``: what nodes without weights are called, by operator, where its own name would not say it.
    """
    model.eval()
    program = torch.onnx.export(model, (torch.zeros(2, 1, 28, 28),), dynamo=True, opset_version=20, verbose=False,
                                input_names=["x"], output_names=["logits"],
                                dynamic_shapes=({0: torch.export.Dim("batch")},))  # fmt: skip
    assert program is not None
    proto = program.model_proto
    _name(proto, {name for name, part in model.named_modules() if name and list(part.parameters(recurse=False))}, kinds)
    _strip(proto)
    proto.graph.name = path.stem
    onnx.checker.check_model(proto, full_check=True)
    onnx.save_model(proto, path)


def _strip(proto: onnx.ModelProto) -> None:
    """The exporter's stack traces and notes go."""
    graph = proto.graph
    for part in (proto, graph, *graph.node, *graph.input, *graph.output, *graph.initializer):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    graph.ClearField("value_info")


def _name(proto: onnx.ModelProto, layers: set[str], kinds: Mapping[str, str]) -> None:
    """Name each node after its module, each value after its node, each weight as the module calls it."""
    graph = proto.graph
    weights = {tensor.name for tensor in graph.initializer}
    renamed = {value.name: value.name for value in (*graph.input, *graph.output)}
    renamed |= {name: name for name in weights if not name.startswith("val_")}
    taken = dict[str, int]()
    for node in graph.node:
        module = _module(node)
        first = module in layers and module not in taken
        kind = kinds.get(node.op_type, node.op_type.lower())
        base = module if first else f"{module}.{kind}" if module else kind
        taken[base] = taken.get(base, 0) + 1
        node.name = base if taken[base] == 1 else f"{base}{taken[base]}"
        for position, name in enumerate(node.input):
            if name in weights:
                role = f"input{position}" if not first else ("input", "weight", "bias")[position]
                renamed.setdefault(name, f"{node.name}.{role}")
            node.input[position] = renamed[name]
        for position, name in enumerate(node.output):
            renamed.setdefault(name, f"{node.name}.out" if position == 0 else f"{node.name}.out{position}")
            node.output[position] = renamed[name]
    for tensor in graph.initializer:
        tensor.name = renamed[tensor.name]


def _module(node: onnx.NodeProto) -> str:
    """The module that a node belongs to, by its qualified name: its weight's, or the one whose forward made it.

    A batch norm that the exporter folded leaves its own name on the convolution; the weight tells.
    """
    weight = next((name for name in node.input if name.endswith(".weight")), None)
    if weight is not None:
        return str(weight).removesuffix(".weight")
    scopes = next(entry.value for entry in node.metadata_props if entry.key == "pkg.torch.onnx.name_scopes")
    return str(ast.literal_eval(scopes)[-2])


def onnx_accuracy(path: Path, data: Images) -> float:
    """The exported file's accuracy in onnxruntime."""
    session: Any = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    right = sum(int((session.run(["logits"], {"x": x.numpy()})[0].argmax(1) == y.numpy()).sum())
                for x, y in in_order(data))  # fmt: skip
    return right / len(data[0])

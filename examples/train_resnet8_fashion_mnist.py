"""Train ResNet-8 on Fashion-MNIST and export examples/resnet8_fashion_mnist.onnx.

    python examples/train_resnet8_fashion_mnist.py [--data FOLDER] [--epochs 14] [-o FILE.onnx]

Plain torch, nothing analog: this is where the network of the demo comes from. The data are the four IDX files of
Fashion-MNIST (Debian package ``dataset-fashion-mnist``). Every tenth training image is held out as validation data,
so that later fine-tuning and tuning have images that the network has not seen; the test images are read once, at the
end.
"""

import argparse
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from torch import Tensor, nn
from torch.nn import functional

from pinat_compile.data.idx import read_idx_split

HERE = Path(__file__).parent
Images = tuple[Tensor, Tensor]  # float32 [n, 1, 28, 28] in [0, 1]; int64 [n]


class Block(nn.Module):
    """relu(bn(conv(relu(bn(conv(x))))) + shortcut(x)); the shortcut is a 1x1 convolution where the shape changes."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut: nn.Module = nn.Identity()
        self.bn3: nn.Module = nn.Identity()
        if inputs != outputs or stride != 1:
            self.shortcut = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            self.bn3 = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        y = functional.relu(self.bn1(self.conv1(x)))
        return functional.relu(self.bn2(self.conv2(y)) + self.bn3(self.shortcut(x)))


class ResNet8(nn.Module):
    """He et al. 2016 ("Deep residual learning"), section 4.2 with three blocks of 16, 32 and 64 channels."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.block1 = Block(16, 16, 1)
        self.block2 = Block(16, 32, 2)
        self.block3 = Block(32, 64, 2)
        self.fc = nn.Linear(64, classes)

    def forward(self, x: Tensor) -> Tensor:  # [n, 1, 28, 28] -> [n, 10]
        y = functional.relu(self.bn1(self.conv1(x)))
        y = self.block3(self.block2(self.block1(y)))
        y = functional.adaptive_avg_pool2d(y, 1).flatten(1)
        out: Tensor = self.fc(y)
        return out


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


def accuracy(model: nn.Module, data: Images) -> float:
    """Fraction of the images whose largest logit is the label."""
    model.eval()
    with torch.inference_mode():
        right = sum(int((model(x).argmax(1) == y).sum().item()) for x, y in in_order(data))
    return right / len(data[0])


def train(model: nn.Module, fit: Images, validation: Images, *, epochs: int, size: int, seed: int) -> None:
    """SGD with Nesterov momentum, one-cycle schedule, label smoothing 0.05, weight decay 5e-4."""
    generator = torch.Generator().manual_seed(seed)
    decayed = [p for p in model.parameters() if p.ndim > 1]
    plain = [p for p in model.parameters() if p.ndim <= 1]
    optimizer = torch.optim.SGD([{"params": decayed, "weight_decay": 5e-4}, {"params": plain, "weight_decay": 0.0}],
                                lr=0.1, momentum=0.9, nesterov=True)
    steps = epochs * (len(fit[0]) // size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.4, total_steps=max(steps, 1), pct_start=0.25)
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


def export(model: nn.Module, path: Path) -> None:
    """Write one ONNX file: input x [batch, 1, 28, 28], output logits [batch, 10], opset 20; plain names, no metadata.
    """
    model.eval()
    program = torch.onnx.export(model, (torch.zeros(2, 1, 28, 28),), dynamo=True, opset_version=20, verbose=False,
                                input_names=["x"], output_names=["logits"],
                                dynamic_shapes=({0: torch.export.Dim("batch")},))
    assert program is not None
    proto = program.model_proto
    tidy(proto)
    onnx.checker.check_model(proto, full_check=True)
    onnx.save_model(proto, path)


def tidy(proto: onnx.ModelProto) -> None:
    """Strip stack traces and other metadata; name each node after its module, each value after its node."""
    graph = proto.graph
    for part in (proto, graph, *graph.node, *graph.input, *graph.output, *graph.initializer):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    graph.name = "resnet8_fashion_mnist"
    graph.ClearField("value_info")
    weights = {tensor.name for tensor in graph.initializer}
    fixed = {value.name: value.name for value in (*graph.input, *graph.output)}
    renamed: dict[str, str] = dict(fixed)
    module, seen = "", dict[str, int]()
    for node in graph.node:
        weight = next((name for name in node.input if name.endswith(".weight")), None)
        if weight is not None:
            node.name = module = weight.removesuffix(".weight")
        else:
            kind = {"ReduceMean": "pool", "Reshape": "flatten"}.get(node.op_type, node.op_type.lower())
            owner = "" if kind in ("pool", "flatten") else module.rpartition(".")[0]
            base = f"{owner}.{kind}" if owner else kind
            seen[base] = seen.get(base, 0) + 1
            node.name = base if seen[base] == 1 else f"{base}{seen[base]}"
        for position, name in enumerate(node.input):
            if name in weights:
                role = (".input", ".weight", ".bias")[position] if weight is not None else f".input{position}"
                renamed.setdefault(name, f"{node.name}{role}")
            node.input[position] = renamed[name]
        for position, name in enumerate(node.output):
            renamed.setdefault(name, f"{node.name}.out" if position == 0 else f"{node.name}.out{position}")
            node.output[position] = renamed[name]
    for tensor in graph.initializer:
        tensor.name = renamed[tensor.name]


def onnx_accuracy(path: Path, data: Images) -> float:
    """The exported file's accuracy in onnxruntime."""
    session: Any = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    right = sum(int((session.run(["logits"], {"x": x.numpy()})[0].argmax(1) == y.numpy()).sum())
                for x, y in in_order(data))
    return right / len(data[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, default=Path("/usr/share/datasets/fashion-mnist"))
    parser.add_argument("--epochs", type=int, default=14)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--output", type=Path, default=HERE / "resnet8_fashion_mnist.onnx")
    options = parser.parse_args()

    torch.manual_seed(options.seed)
    model = ResNet8()
    print(f"ResNet-8: {sum(p.numel() for p in model.parameters()):,} parameters; {options.epochs} epochs, "
          f"batch {options.batch}, seed {options.seed}, torch {torch.__version__}", flush=True)
    fit, validation = hold_out(load(options.data, "train"))
    train(model, fit, validation, epochs=options.epochs, size=options.batch, seed=options.seed)
    export(model, options.output)
    test = load(options.data, "test")
    print(f"test accuracy in torch:       {accuracy(model, test):.4f}")
    print(f"test accuracy in onnxruntime: {onnx_accuracy(options.output, test):.4f}")
    print(f"wrote {options.output.name}, {options.output.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()

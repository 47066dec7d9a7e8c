"""Train ResNet-8 on Fashion-MNIST and export examples/resnet8_fashion_mnist.onnx.

    python -m examples.train_resnet8_fashion_mnist [--data FOLDER] [--epochs 14] [-o FILE.onnx]

Plain torch, nothing analog: this is where the network of the demo comes from. The data and what is held out:
examples/fashion_mnist.py. The test images are read once, at the end.
"""

import argparse
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from examples import fashion_mnist

HERE = Path(__file__).parent


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


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, default=fashion_mnist.FOLDER)
    parser.add_argument("--epochs", type=int, default=14)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--output", type=Path, default=HERE / "resnet8_fashion_mnist.onnx")
    options = parser.parse_args()

    torch.manual_seed(options.seed)
    model = ResNet8()
    print(f"ResNet-8: {sum(p.numel() for p in model.parameters()):,} parameters; {options.epochs} epochs, "
          f"batch {options.batch}, seed {options.seed}, torch {torch.__version__}", flush=True)
    fit, validation = fashion_mnist.hold_out(fashion_mnist.load(options.data, "train"))
    optimizer = torch.optim.SGD(fashion_mnist.decayed(model, 5e-4), lr=0.1, momentum=0.9, nesterov=True)
    fashion_mnist.train(model, optimizer, fit, validation, epochs=options.epochs, size=options.batch,
                        seed=options.seed, peak=0.4)  # fmt: skip
    fashion_mnist.export(model, options.output, {"ReduceMean": "pool", "Reshape": "flatten"})
    test = fashion_mnist.load(options.data, "test")
    print(f"test accuracy in torch:       {fashion_mnist.accuracy(model, test):.4f}")
    print(f"test accuracy in onnxruntime: {fashion_mnist.onnx_accuracy(options.output, test):.4f}")
    print(f"wrote {options.output.name}, {options.output.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()

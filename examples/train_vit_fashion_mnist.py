"""Train a small vision transformer on Fashion-MNIST and export examples/vit_fashion_mnist.onnx.

    python -m examples.train_vit_fashion_mnist [--data FOLDER] [--epochs 4] [-o FILE.onnx]

Plain torch, nothing analog. Patches of 4 x 4 pixels make 49 tokens of width 64; four blocks of attention (4 heads) and
an MLP of 128; the mean token is classified. The data and what is held out: examples/fashion_mnist.py. The test images
are read once, at the end.
"""

import argparse
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from examples import fashion_mnist

HERE = Path(__file__).parent


class Attention(nn.Module):
    """Multi-head self-attention (Vaswani et al. 2017, section 3.2); one matrix makes queries, keys and values."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:  # [n, tokens, width] -> the same
        n, tokens, width = x.shape
        each = width // self.heads
        q, k, v = self.qkv(x).reshape(n, tokens, 3, self.heads, each).permute(2, 0, 3, 1, 4).unbind(0)
        weights = ((q @ k.transpose(-2, -1)) * each**-0.5).softmax(-1)  # [n, heads, tokens, tokens]
        out: Tensor = self.proj((weights @ v).transpose(1, 2).reshape(n, tokens, width))
        return out


class Block(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x))."""

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width)
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.norm1(x))
        out: Tensor = x + self.fc2(functional.gelu(self.fc1(self.norm2(x))))
        return out


class VisionTransformer(nn.Module):
    """Dosovitskiy et al. 2021 (arXiv 2010.11929), small; the tokens' mean instead of a class token.

    While training only ``kept`` of the 49 tokens are looked at, others in every batch: half the time, and the network
    does without any one of them (PatchDropout, arXiv 2208.07220).
    """

    def __init__(self, width: int = 64, depth: int = 4, heads: int = 4, hidden: int = 128, classes: int = 10,
                 kept: int = 25) -> None:  # fmt: skip
        super().__init__()
        self.kept = kept
        self.patches = nn.Conv2d(1, width, 4, 4)
        self.position = nn.Parameter(torch.randn(1, 49, width) * 0.02)
        self.blocks = nn.Sequential(*(Block(width, heads, hidden) for _ in range(depth)))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:  # [n, 1, 28, 28] -> [n, 10]
        tokens = self.patches(x).flatten(2).transpose(1, 2) + self.position  # [n, 49, width]
        if self.training:
            tokens = tokens[:, torch.randperm(tokens.shape[1])[: self.kept]]
        out: Tensor = self.head(self.norm(self.blocks(tokens)).mean(1))
        return out


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, default=fashion_mnist.FOLDER)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--output", type=Path, default=HERE / "vit_fashion_mnist.onnx")
    options = parser.parse_args()

    torch.manual_seed(options.seed)
    model = VisionTransformer()
    print(f"ViT: {sum(p.numel() for p in model.parameters()):,} parameters; {options.epochs} epochs, "
          f"batch {options.batch}, seed {options.seed}, torch {torch.__version__}", flush=True)  # fmt: skip
    fit, validation = fashion_mnist.hold_out(fashion_mnist.load(options.data, "train"))
    optimizer = torch.optim.AdamW(fashion_mnist.decayed(model, 0.05), lr=2e-4)
    fashion_mnist.train(model, optimizer, fit, validation, epochs=options.epochs, size=options.batch,
                        seed=options.seed, peak=2e-3)  # fmt: skip
    fashion_mnist.export(model, options.output, {"ReduceMean": "pool"})
    test = fashion_mnist.load(options.data, "test")
    print(f"test accuracy in torch:       {fashion_mnist.accuracy(model, test):.4f}")
    print(f"test accuracy in onnxruntime: {fashion_mnist.onnx_accuracy(options.output, test):.4f}")
    print(f"wrote {options.output.name}, {options.output.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()

"""What the studies share: images, a small frozen classifier, rows on disk."""

from __future__ import annotations

import argparse
import csv
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from pinat_compile.data.load import load_data
from pinat_compile.ebm import measures
from pinat_compile.ebm.samplers import Sampler, gibbs

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "results"
Row = dict[str, str | int | float]


def digits() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Images [samples, 8, 8] in [0, 1] and labels: 1,437 for training, 360 for testing, the same always."""
    found = np.load(ROOT / "data" / "digits_8x8.npz")
    order = torch.randperm(len(found["y"]), generator=torch.Generator().manual_seed(0))
    x, y = torch.from_numpy(found["x"]).float()[order] / 16.0, torch.from_numpy(found["y"]).long()[order]
    return x[:1437], y[:1437], x[1437:], y[1437:]


def binary(images: Tensor) -> Tensor:
    """[samples, pixels] of 0 and 1, on where a pixel is at least half as bright as it can be."""
    return (images.flatten(1) >= 0.5).float()


def fashion(train: int, test: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Fashion-MNIST [samples, 28, 28] in [0, 1] and labels, from where Debian's dataset-fashion-mnist puts it."""
    folder = "/usr/share/datasets/fashion-mnist"
    parts = [load_data(f"{folder}@{split}[:{count}]") for split, count in (("train", train), ("test", test))]
    x, y = ([torch.from_numpy(np.asarray(a)) for a in each]
            for each in ([part.inputs["x"] for part in parts], [part.labels for part in parts]))
    return x[0].squeeze(1), y[0].long(), x[1].squeeze(1), y[1].long()


class Classifier(nn.Module):
    """Pixels, 32 features, 10 classes; trained once with a seed of its own, then frozen."""

    def __init__(self, x: Tensor, y: Tensor, steps: int = 600) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.last = nn.Linear(x.shape[1], 32), nn.Linear(32, 10)
        optimiser = torch.optim.Adam(self.parameters(), lr=3e-3)
        for _ in range(steps):
            pick = torch.randint(len(x), (128,))
            loss = nn.functional.cross_entropy(self.last(self.features(x[pick])), y[pick])
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
        self.requires_grad_(False)

    def features(self, x: Tensor) -> Tensor:
        return torch.relu(self.first(x))

    def labels(self, x: Tensor) -> Tensor:
        found: Tensor = self.last(self.features(x)).argmax(dim=1)
        return found


def judged(samples: Tensor, data: Tensor, classifier: Classifier) -> Row:
    """All measures of ``samples`` [samples, pixels] against ``data`` that need no likelihood."""
    means, covariances = measures.moment_errors(samples, data)
    count = min(len(samples), len(data), 500)
    classes, effective = measures.coverage(classifier.labels(samples), 10)
    return {
        "mean_error": means,
        "covariance_error": covariances,
        "mmd": measures.mmd(samples[:count], data[:count]),
        "frechet": measures.frechet_distance(classifier.features(samples), classifier.features(data)),
        "classes": classes,
        "effective_classes": effective,
    }


def chains(sampler: Sampler, start: Tensor, burn_in: int, sweeps: int) -> tuple[Tensor, float]:
    """Visible units after ``burn_in`` + ``sweeps``, and the autocorrelation time of how many pixels are on."""
    counts, v = [], start
    for sweep, (v, _) in enumerate(gibbs(sampler, start, burn_in + sweeps)):  # noqa: B007
        if sweep >= burn_in:
            counts.append(v.sum(dim=1))
    return v, measures.autocorrelation_time(torch.stack(counts))


def script(
    doc: str | None, path: Path, run: Callable[[int, int, int], list[Row]], *, seeds: str = "0", chips: int = 1,
    updates: int = 0, said: str = "of training",
) -> None:
    """The command line of a study: ``run(seed, chips, updates)`` for every seed that ``path`` does not have yet."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", default=seeds)
    parser.add_argument("--chips", type=int, default=chips)
    if updates:
        parser.add_argument("--updates", type=int, default=updates, help=said)
    given = parser.parse_args()
    numbers = [int(seed) for seed in given.seeds.split(",")]
    with_rows(path, numbers, lambda seed: run(seed, given.chips, getattr(given, "updates", 0)))


def with_rows(path: Path, seeds: Sequence[int], run: Callable[[int], list[Row]]) -> None:
    """Run every seed that ``path`` does not have yet, and add its rows when it is done."""
    done = {int(row["seed"]) for row in read_rows(path)}
    for seed in seeds:
        if seed in done:
            continue
        rows = run(seed)
        path.parent.mkdir(exist_ok=True)
        new = not path.exists()
        with path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n", restval="")
            if new:
                writer.writeheader()
            writer.writerows([{key: f"{x:.5g}" if isinstance(x, float) else x for key, x in r.items()} for r in rows])
        print(f"seed {seed}: {len(rows)} rows in {path.name}", flush=True)


def read_rows(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        return []
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))

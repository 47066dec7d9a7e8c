"""Samples against data, where no likelihood is known: moments, kernels, features, modes; and how a chain forgets."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pinat_compile.ebm.samplers import Sampler, clamped

Floats = npt.NDArray[np.float64]


def moment_errors(samples: Tensor, data: Tensor) -> tuple[float, float]:
    """Root mean square differences of the means, and of the covariances of all pairs: [samples, units] each."""
    first, second = samples.double(), data.double()
    means = first.mean(dim=0) - second.mean(dim=0)
    covariances = torch.cov(first.T, correction=0) - torch.cov(second.T, correction=0)
    return float(means.square().mean().sqrt()), float(covariances.square().mean().sqrt())


def mmd(samples: Tensor, data: Tensor, bandwidth: float | None = None) -> float:
    """Squared maximum mean discrepancy, unbiased (Gretton et al., JMLR 13, 2012, eq. 3); may be below 0.

    Kernel exp(-|x - y|² / (2 bandwidth²)); ``None``: the median distance among ``data``.
    """
    x, y = samples.double(), data.double()
    within = torch.cdist(y, y)
    width = float(within[~torch.eye(len(y), dtype=torch.bool)].median()) if bandwidth is None else bandwidth

    def kernel(distance: Tensor) -> Tensor:
        return torch.exp(-distance.square() / (2.0 * width**2))

    def off_diagonal(k: Tensor) -> Tensor:
        return (k.sum() - k.diagonal().sum()) / (len(k) * (len(k) - 1))

    return float(off_diagonal(kernel(torch.cdist(x, x))) + off_diagonal(kernel(within))
                 - 2.0 * kernel(torch.cdist(x, y)).mean())


def frechet_distance(features: Tensor, of_data: Tensor) -> float:
    """|m - n|² + tr(A + B - 2 (A B)^1/2) of two sets of features [samples, features], taken as Gaussians.

    Dowson and Landau 1982. On the features of a small classifier of one's own it is comparable with itself only: it is
    no FID, which is defined by one particular network.
    """
    a, b = features.double(), of_data.double()
    first, second = torch.cov(a.T), torch.cov(b.T)
    root = _root(first)
    product = torch.linalg.eigvalsh(root @ second @ root).clamp(min=0.0).sqrt().sum()
    means = (a.mean(dim=0) - b.mean(dim=0)).square().sum()
    return float(means + first.trace() + second.trace() - 2.0 * product)


def _root(matrix: Tensor) -> Tensor:
    values, vectors = torch.linalg.eigh(matrix)
    root: Tensor = (vectors * values.clamp(min=0.0).sqrt()) @ vectors.T
    return root


def coverage(labels: Tensor, classes: int, least: float = 0.01) -> tuple[int, float]:
    """Classes with at least a share of ``least``, and the number of classes that the entropy amounts to (at most all).

    ``labels`` [samples]: what a classifier takes the samples for.
    """
    share = torch.bincount(labels, minlength=classes).double() / len(labels)
    entropy = -(share * share.clamp(min=1e-300).log()).sum()
    return int((share >= least).sum()), float(entropy.exp())


def autocorrelation_time(series: Tensor) -> float:
    """Integrated autocorrelation time in steps of ``series`` [steps, chains], at least 1; inf where nothing moves.

    1 + 2 sum of the autocorrelation, averaged over chains around their common mean, up to the first lag above five
    times the sum so far (Sokal's window). Chains stuck in different places correlate for ever: then about the series'
    length, a lower bound.
    """
    x = series.double().numpy()
    x = x - x.mean()
    if not x.any():
        return float("inf")
    correlation = _autocorrelation(x)
    total = 1.0
    for lag in range(1, len(correlation)):
        total += 2.0 * float(correlation[lag])
        if lag >= 5.0 * total:
            break
    return max(total, 1.0)


def _autocorrelation(x: Floats) -> Floats:
    """[lags], 1 at lag 0, for ``x`` [steps, chains] of mean 0."""
    steps = len(x)
    spectrum = np.abs(np.fft.rfft(x, 2 * steps, axis=0)) ** 2
    products = np.fft.irfft(spectrum, axis=0)[:steps].mean(axis=1) / np.arange(steps, 0, -1)
    return np.asarray(products / products[0])


def inpainting_errors(
    sampler: Sampler, images: Tensor, known: Tensor, *, sweeps: int = 200, kept: int = 100
) -> tuple[float, float]:
    """Mean squared error per image of the unknown pixels, before (they are 0) and after the chain has filled them in.

    ``known`` [visible], bool, are clamped; the answer is the mean of the last ``kept`` sweeps.
    """
    start = torch.where(known, images.float(), 0.0)
    filled = clamped(sampler, start, known, sweeps, kept)
    before, after = ((image - images.float()).square().sum(dim=1).mean() for image in (start, filled))
    return float(before), float(after)

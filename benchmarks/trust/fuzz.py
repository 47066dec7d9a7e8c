"""Damaged and hostile files of every kind that is read: refused in a line, or read; never run, never endless.

    python -m benchmarks.trust.fuzz [--count 300] [--seed 0] [--seconds S] [--csv FILE] [KIND …]

Each kind starts from valid files and files written to do harm; the rest are mutations of both: bits flipped, parts cut,
doubled or exchanged, numbers made huge. Every input is read in a fork of this process that may use 2 GiB more memory
than it has and 10 s of processor time, under an audit hook that reports programs started, connections, and files
opened outside the input's folder. An input is refused by a `PinatError`; anything else that is raised is a defect.
"""

from __future__ import annotations

import argparse
import csv
import os
import random
import resource
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from benchmarks.trust.hostile import KINDS, Kind
from benchmarks.trust.kill_injection import warm_up

MEMORY = 2 << 30
"""Bytes beyond what the process has when it starts to read."""
SECONDS = 10.0
"""Of the processor, for one input."""
PATIENCE_S = 300.0
"""Of the clock, for one input, on a machine that has other work."""
HUGE = (b"999999999999", b"-1", b"1e308", b"NaN", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff\xff\xff\xff\xff", b"\0" * 8)
FORBIDDEN = ("os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "subprocess.Popen", "socket.connect",
             "pty.spawn", "ctypes.dlopen")


@dataclass(frozen=True)
class Tried:
    """One input and what came of it: ``read``, ``refused``, or the defect."""

    kind: str
    number: int
    what: str
    outcome: str

    @property
    def is_defect(self) -> bool:
        return self.outcome not in ("read", "refused")


class _TooLong(BaseException):
    """The processor time of an input is spent."""


def mutated(data: bytes, draw: random.Random) -> bytes:
    """``data`` with one to four things wrong in it."""
    found = bytearray(data)
    for _ in range(draw.randint(1, 4)):
        at, other = draw.randrange(len(found) + 1), draw.randrange(len(found) + 1)
        low, high = min(at, other), max(at, other)
        match draw.randrange(7):
            case 0 if found:
                found[at % len(found)] ^= 1 << draw.randrange(8)
            case 1:
                del found[low : min(high, low + 64)]
            case 2:
                found[at:at] = found[low : min(high, low + 64)]
            case 3:
                found[at : at + draw.randrange(9)] = draw.choice(HUGE)
            case 4:
                found[at:at] = draw.randbytes(draw.randint(1, 16))
            case 5:
                del found[at:]
            case _:
                found[low : low + 8], found[high : high + 8] = found[high : high + 8], found[low : low + 8]
    return bytes(found)


def inputs(kind: Kind, folder: Path, count: int, seed: int) -> list[tuple[str, bytes]]:
    """Names and contents: the valid ones, the hostile ones, then mutations of them."""
    valid = kind.valid(folder)
    known = [*valid, *kind.hostile(folder)]
    draw = random.Random(f"{seed} {kind.name}")
    drawn = [draw.choice(valid if draw.random() < 0.8 else known) for _ in range(max(0, count - len(known)))]
    return known[:count] + [(f"{name}, mutated", mutated(data, draw)) for name, data in drawn]


def tried(kind: Kind, count: int, seed: int) -> Iterator[Tried]:
    """Every input of a kind, in forks that go on with the next one where an input ends them."""
    with tempfile.TemporaryDirectory() as top:
        folder = Path(top) / "inputs"
        folder.mkdir()
        (Path(top) / "secret.txt").write_text("precious")
        given = inputs(kind, folder, count, seed)
        number = 0
        while number < len(given):
            for outcome in _fork(kind, folder, [data for _, data in given[number:]]):
                yield Tried(kind.name, number, given[number][0], outcome)
                number += 1
        assert (Path(top) / "secret.txt").read_text() == "precious"


def _fork(kind: Kind, folder: Path, given: Sequence[bytes]) -> Iterator[str]:
    """Outcomes of inputs, in order, up to one that ends the fork or the last."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _read_all(kind, folder, given, writing)
    os.close(writing)
    count, ended = 0, "ended without a word"
    try:
        with open(reading, encoding="utf-8", errors="replace") as lines:
            signal.signal(signal.SIGALRM, lambda *_: os.kill(child, signal.SIGKILL))
            while True:
                signal.setitimer(signal.ITIMER_REAL, PATIENCE_S)
                line = lines.readline()
                if not line:
                    break
                yield line.rstrip("\n")
                count += 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        if count < len(given):
            os.kill(child, signal.SIGKILL)  # nobody wants to hear more; one that has ended is not reaped yet
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if count < len(given):
        yield f"{ended}: status {status}"


def _read_all(kind: Kind, folder: Path, given: Sequence[bytes], writing: int) -> None:
    """In the fork: read one input after the other, say what came of it, and never back."""
    try:
        os.chdir(folder)
        sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: SIM115  for the rest of the process
        heard: list[str] = []
        sys.addaudithook(lambda event, of: _listen(event, of, folder.parent, heard))
        pages = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (pages + MEMORY, pages + MEMORY))
        signal.signal(signal.SIGVTALRM, _stop)
        for data in given:
            outcome = _outcome(kind, folder, data)
            said = " ".join(f"{outcome} {'; '.join(heard)}".split())[:300]
            heard.clear()
            os.write(writing, f"{said}\n".encode())
    finally:
        os._exit(0)


def _outcome(kind: Kind, folder: Path, data: bytes) -> str:
    from pinat_compile.errors import PinatError

    signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
    try:
        kind.read(folder, data)
        return "read"
    except PinatError:
        return "refused"
    except _TooLong:
        return f"took more than {SECONDS:g} s"
    except MemoryError:
        return f"wanted more than {MEMORY >> 30} GiB"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)


def _stop(number: int, frame: FrameType | None) -> None:
    raise _TooLong


def _listen(event: str, of: tuple[object, ...], top: Path, heard: list[str]) -> None:
    if event in FORBIDDEN:
        heard.append(f"{event} {of[:1]}")
    if event == "open" and isinstance(of[0], str) and os.path.basename(of[0]) == "secret.txt":
        heard.append(f"opened {of[0]}")
    if event == "open" and isinstance(of[0], str) and isinstance(of[2], int) and of[2] & (os.O_WRONLY | os.O_RDWR):
        path = os.path.abspath(of[0])
        if not path.startswith((str(top / "inputs"), os.devnull)):
            heard.append(f"wrote {path}")


def table(found: Sequence[Tried]) -> str:
    """A line per kind, as Markdown; below it each defect once."""
    lines = ["| files | tried | read | refused | defects |", "|---|---:|---:|---:|---:|"]
    for kind in dict.fromkeys(each.kind for each in found):
        of = [each for each in found if each.kind == kind]
        counts = Counter(each.outcome if not each.is_defect else "defect" for each in of)
        lines.append(f"| {kind} | {len(of):,} | {counts['read']:,} | {counts['refused']:,} | {counts['defect']:,} |")
    defects = dict.fromkeys(f"{each.kind}, {each.what}: {each.outcome}" for each in found if each.is_defect)
    return "\n".join([*lines, "", *defects])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=300, help="inputs of each kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, help="stop after so long")
    parser.add_argument("--csv", type=Path, help="write counts of outcomes there")
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=", ".join(KINDS))
    given = parser.parse_args()
    warm_up()
    end = float("inf") if given.seconds is None else time.monotonic() + given.seconds
    found: list[Tried] = []
    for each in (each for name in given.kinds or KINDS for each in tried(KINDS[name], given.count, given.seed)):
        found.append(each)
        if each.is_defect:
            print(f"{each.kind} {each.number} {each.what}: {each.outcome}", file=sys.stderr, flush=True)
        if time.monotonic() > end:
            break
    if given.csv is not None:
        with open(given.csv, "w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(("files", "outcome", "count"))
            writer.writerows((*key, n) for key, n in Counter((each.kind, each.outcome) for each in found).items())
    print(table(found))
    sys.exit(any(each.is_defect for each in found))


if __name__ == "__main__":
    main()

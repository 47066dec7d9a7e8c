"""Engines: what runs units of work. The one that is always there runs them in this process, one after the other.

A unit is a function of the module level and its arguments. It is pure: its result, plain JSON values, depends on the
arguments and on the number of threads alone, so it does not matter where, when and how often it runs.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from pinat_compile.errors import EngineError

Work = Callable[..., Any]
"""Called with the arguments of a unit; and ``tell``, by keyword, which takes the share of it that is done."""

Tell = Callable[[int, float], None]
"""Called with a unit's index and the share of it that is done."""


class Engine(Protocol):
    """``workers``: units that run at the same time; ``threads``: of each unit, which its last bits depend on."""

    threads: int

    @property
    def workers(self) -> int: ...

    def share(self, value: Any) -> Any:
        """What stands for ``value`` among a unit's arguments; it is sent to each worker once, however large."""

    def run(
        self, work: Work, units: Sequence[tuple[Any, ...]], tell: Tell | None = None
    ) -> Iterator[tuple[int, Any]]:
        """Index and result of each unit, as they are finished. What a unit raises is raised here."""

    def close(self) -> None:
        """Give back what the engine started; it can run nothing more."""


class InProcess:
    """One unit after the other, in order, on the threads that torch has now."""

    workers = 1

    def __init__(self) -> None:
        import torch

        self.threads = torch.get_num_threads()

    def share(self, value: Any) -> Any:
        return value

    def run(
        self, work: Work, units: Sequence[tuple[Any, ...]], tell: Tell | None = None
    ) -> Iterator[tuple[int, Any]]:
        for index, given in enumerate(units):
            yield index, work(*given, tell=None if tell is None else _of(tell, index))

    def close(self) -> None:
        pass


def _of(tell: Tell, index: int) -> Callable[[float], None]:
    return lambda share: tell(index, share)


@contextlib.contextmanager
def engine_for(engine: str | Engine | None) -> Iterator[Engine]:
    """The engine that a name stands for, closed at the end; an engine that was made before is left open.

    ``None``: in this process. ``"ray"``: Ray on this machine, started for it. ``"ray:ADDRESS"``: a Ray cluster that
    runs already (``auto``: the one on this machine). EngineError for anything else, and where Ray cannot be reached.
    """
    if engine is not None and not isinstance(engine, str):
        yield engine
        return
    made = _named(engine)
    try:
        yield made
    finally:
        made.close()


def _named(name: str | None) -> Engine:
    if name is None:
        return InProcess()
    kind, colon, address = name.strip().partition(":")
    if kind != "ray" or (colon and not address):
        raise EngineError(f"engine {name!r}: not known", hint="ray, ray:auto or ray:HOST:PORT; none is this process")
    from pinat_compile.engines.on_ray import Ray

    return Ray(address or None)


def parts(items: Sequence[Any], count: int) -> list[Sequence[Any]]:
    """``items`` in at most ``count`` parts of nearly one size, in order, none empty."""
    count = max(1, min(count, len(items)))
    cuts = [len(items) * index // count for index in range(count + 1)]
    return [items[a:b] for a, b in zip(cuts, cuts[1:], strict=False) if b > a]

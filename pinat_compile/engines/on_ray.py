"""Ray as an engine (Moritz et al., OSDI 2018): units run as tasks in worker processes, on one machine or many.

Every machine needs the same version of this package and its dependencies, and sees the same files under the same
paths. A unit whose worker dies, or whose machine is lost, runs again elsewhere: units are pure, so nothing is lost or
counted twice.
"""

from __future__ import annotations

import contextlib
import os
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pinat_compile.engines.engine import Tell, Work
from pinat_compile.errors import EngineError, PinatError, extra_needed

RETRIES = 4
"""How often a unit is run again whose worker died."""
AHEAD = 3
"""Units handed to Ray for each worker: enough that none waits for the next one."""
KEPT = 4
"""Shared values that a worker process keeps, the latest ones."""
LOOPBACK = "127.0.0.1"
STARTS = 2
"""How often a cluster of our own is tried to be started: Ray waits 30 s for it, which a busy machine may need."""


@dataclass(frozen=True, slots=True)
class Shared:
    """Stands for a value in Ray's object store; a worker takes it out once."""

    name: str
    held: tuple[Any, ...]


class Ray:
    """Tasks on a Ray cluster: of ``address``, or one of this machine alone that is started here and ends with `close`.

    ``threads`` of each unit (default: as many as torch has here, so that results are those of this process).
    ``workers``: of the cluster that is started (default: as many as there are cores for). A cluster that is started is
    at home on the loopback address, without dashboard and usage statistics. One that this process is connected to
    already is used, and left.
    """

    def __init__(self, address: str | None = None, *, threads: int | None = None, workers: int | None = None) -> None:
        try:
            import ray
        except ImportError:
            raise extra_needed("the engine ray", "Ray", "ray") from None
        import torch

        self.ray = ray
        self.threads = threads or torch.get_num_threads()
        self._shared = 0
        self._ours = not ray.is_initialized()
        if self._ours:
            self._connect(address, workers)
        self._task = ray.remote(_on_worker).options(num_cpus=self.threads, max_retries=RETRIES)
        if not self.workers:
            self.close()
            what = f"engine ray: no machine of the cluster has {self.threads} cores for a unit of so many threads"
            raise EngineError(what, hint="--threads 1")

    def _connect(self, address: str | None, workers: int | None) -> None:
        given: dict[str, Any] = {"address": address}
        if address is None:
            os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
            cores = workers * self.threads if workers else len(os.sched_getaffinity(0))
            given = {"address": "local", "num_cpus": cores, "include_dashboard": False, "_node_ip_address": LOOPBACK}
        for left in reversed(range(STARTS)):
            try:
                self.ray.init(logging_level="error", log_to_driver=False, **given)
                return
            except Exception as error:  # a plain Exception where a machine is so busy that Ray's processes come late
                self.ray.shutdown()
                if address is not None or not left:
                    where = "cannot be started" if address is None else f"cannot be reached at {address}"
                    first = (str(error).splitlines() or [type(error).__name__])[0]
                    hint = "ray status says whether a cluster runs; ray alone starts one"
                    raise EngineError(f"engine ray: {where}: {first}", hint=hint) from None

    @property
    def workers(self) -> int:
        """Units that the machines of the cluster have cores for."""
        nodes = (node for node in self.ray.nodes() if node["Alive"])
        return sum(int(node["Resources"].get("CPU", 0)) // self.threads for node in nodes)

    def share(self, value: Any) -> Shared:
        self._shared += 1
        return Shared(f"{os.getpid()}.{id(self)}.{self._shared}", (self.ray.put(value),))

    def run(
        self, work: Work, units: Sequence[tuple[Any, ...]], tell: Tell | None = None
    ) -> Iterator[tuple[int, Any]]:
        waiting = iter(enumerate(units))
        running: dict[Any, int] = {}
        most = AHEAD * self.workers
        try:
            while True:
                for index, given in waiting:
                    running[self._task.remote(self.threads, work, given)] = index
                    if len(running) >= most:
                        break
                if not running:
                    return
                done = self.ray.wait(list(running), num_returns=1)[0]
                for task in done:
                    index = running.pop(task)
                    result = self._result(task)
                    if tell is not None:
                        tell(index, 1.0)
                    yield index, result
        finally:  # something went wrong, or nobody wants the rest
            for task in running:
                with contextlib.suppress(Exception):
                    self.ray.cancel(task, force=True)

    def _result(self, task: Any) -> Any:
        errors = self.ray.exceptions
        try:
            return self.ray.get(task)
        except errors.RayTaskError as error:
            if isinstance(error.cause, PinatError):
                raise error.cause from None
            raise
        except errors.RayError as error:
            what = f"engine ray: a unit of work could not be done, tried {RETRIES + 1} times: {type(error).__name__}"
            raise EngineError(what, hint="is memory short? Ray's logs say more") from None

    def close(self) -> None:
        if self._ours and self.ray.is_initialized():
            self.ray.shutdown()


# --- in a worker ---

_known: OrderedDict[str, Any] = OrderedDict()


def _on_worker(threads: int, work: Work, given: tuple[Any, ...]) -> Any:
    import torch

    torch.set_num_threads(threads)
    return work(*(_value(item) if isinstance(item, Shared) else item for item in given), tell=None)


def _value(shared: Shared) -> Any:
    import ray

    if shared.name not in _known:
        _known[shared.name] = ray.get(shared.held[0])
        if len(_known) > KEPT:
            _known.popitem(last=False)
    _known.move_to_end(shared.name)
    return _known[shared.name]

"""How far torch's FSDP gets with a simulator: fully_shard on a small network, in two processes.

    torchrun --standalone --nproc-per-node 2 -m benchmarks.sharding

Tries, one after the other: all parameters; all but scalars; its outputs and a backward pass; a chip as a view, which is
how fine-tuning runs chips. Prints what each gives.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, distributed
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor

import pinat_compile as pc
from tests.zoo import NETWORKS, inputs_for


def tried(name: str, step: Callable[[], object]) -> None:
    try:
        said = str(step())
    except (RuntimeError, ValueError) as error:
        said = f"{type(error).__name__}: {str(error).splitlines()[0]}"
    if distributed.get_rank() == 0:
        print(f"{name}: {said}", flush=True)


def main() -> None:
    distributed.init_process_group("gloo")
    model = NETWORKS["lenet"]()
    inputs = {name: torch.from_numpy(value) for name, value in inputs_for(model, batch=8).items()}
    compiled = pc.compile(model, "reram_128x128")
    whole, simulator = (compiled.simulator(chip=1_000_000) for _ in range(2))
    mesh = init_device_mesh("cpu", (2,))
    with torch.no_grad():
        expected = simulator(*inputs.values())
    for parameter in simulator.parameters():
        parameter.requires_grad_(parameter.is_floating_point())
    scalars = {parameter for parameter in simulator.parameters() if parameter.ndim == 0}

    def shard(module: torch.nn.Module, ignored: set[torch.nn.Parameter]) -> str:
        fully_shard(module, mesh=mesh, ignored_params=ignored)
        found = [isinstance(parameter, DTensor) for parameter in module.parameters()]
        return f"{sum(found)} of {len(found)} parameters are sharded"

    def backward() -> str:
        outputs: Tensor = simulator(*inputs.values())
        outputs.square().sum().backward()  # type: ignore[no-untyped-call]
        return f"done; outputs are those of one process: {torch.equal(outputs.detach(), expected)}"

    tried("all parameters", lambda: shard(whole, set()))
    tried("all but scalars", lambda: shard(simulator, scalars))
    tried("outputs and a backward pass", backward)
    view = simulator.view(replace(simulator.conditions, chip=1_000_001))
    tried("a chip as a view", lambda: f"done: {len(view.run(inputs))} outputs")
    distributed.destroy_process_group()


if __name__ == "__main__":
    main()

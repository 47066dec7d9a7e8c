"""How the tests make each pass: a table from its name to a function of a case's options."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from pinat_compile.frontend.calibration import Calibration, MatrixInputs
from pinat_compile.graph import parse
from pinat_compile.hardware.loader import load_target
from pinat_compile.hardware.schema import Target
from pinat_compile.passes.allocate_arrays import AllocateArrays
from pinat_compile.passes.allocate_buffers import AllocateBuffers
from pinat_compile.passes.base import Pass
from pinat_compile.passes.check_link import CheckLink
from pinat_compile.passes.cut_into_tiles import CutIntoTiles
from pinat_compile.passes.drop_unused import DropUnused
from pinat_compile.passes.einsum_to_matmul import EinsumToMatmul
from pinat_compile.passes.expand_recurrence import ExpandRecurrence
from pinat_compile.passes.expand_transposed import ExpandTransposed
from pinat_compile.passes.fold_batch_norm import FoldBatchNorm
from pinat_compile.passes.fold_branches import FoldBranches
from pinat_compile.passes.fold_constants import FoldConstants
from pinat_compile.passes.lower_to_arrays import LowerToArrays
from pinat_compile.passes.pack_tiles import PackTiles
from pinat_compile.passes.place_layers import PlaceLayers
from pinat_compile.passes.place_matrices import PlaceMatrices
from pinat_compile.passes.plan_reloads import PlanReloads
from pinat_compile.passes.range_converters import RangeConverters
from pinat_compile.passes.repeat_layers import RepeatLayers
from pinat_compile.passes.replicate_matrices import ReplicateMatrices
from pinat_compile.passes.restore_trained import RestoreTrained
from pinat_compile.passes.scale_weights import ScaleWeights
from pinat_compile.passes.set_parts import SetParts
from pinat_compile.passes.size_buffers import SizeBuffers
from pinat_compile.passes.slice_weights import SliceWeights
from pinat_compile.passes.take_plan import TakePlan
from pinat_compile.passes.widen_integers import WidenIntegers

Options = Mapping[str, Any]


def target_of(options: Options) -> Target:
    return load_target(options.get("target", "ideal_128x128"), options.get("overrides", ()))


def calibration_of(options: Options) -> Calibration:
    """Input vectors by matrix, as the case lists them."""
    vectors = {name: np.array(rows, np.float32) for name, rows in options.get("vectors", {}).items()}
    return Calibration("test", 1, {name: MatrixInputs(rows) for name, rows in vectors.items()})


FACTORIES: dict[str, Callable[[Options], Pass]] = {
    "fold-constants": lambda o: FoldConstants(),
    "fold-batch-norm": lambda o: FoldBatchNorm(),
    "drop-unused": lambda o: DropUnused(),
    "place-layers": lambda o: PlaceLayers(tuple(o.get("digital", ())), tuple(o.get("analog", ()))),
    "lower-to-arrays": lambda o: LowerToArrays(o.get("share", True)),
    "fold-branches": lambda o: FoldBranches(),
    "expand-recurrence": lambda o: ExpandRecurrence(),
    "expand-transposed": lambda o: ExpandTransposed(),
    "einsum-to-matmul": lambda o: EinsumToMatmul(),
    "widen-integers": lambda o: WidenIntegers(),
    "repeat-layers": lambda o: RepeatLayers(o.get("copies", {})),
    "restore-trained": lambda o: RestoreTrained({k: np.array(v, np.float32) for k, v in o.get("trained", {}).items()}),
    "check-link": lambda o: CheckLink(target_of(o)),
    "slice-weights": lambda o: SliceWeights(target_of(o)),
    "scale-weights": lambda o: ScaleWeights(target_of(o), calibration_of(o)),
    "cut-into-tiles": lambda o: CutIntoTiles(target_of(o).array, o.get("full", False)),
    "set-parts": lambda o: SetParts(target_of(o)),
    "range-converters": lambda o: RangeConverters(target_of(o), calibration_of(o)),
    "allocate-arrays": lambda o: AllocateArrays(),
    "replicate-matrices": lambda o: ReplicateMatrices(target_of(o)),
    "pack-tiles": lambda o: PackTiles(target_of(o)),
    "place-matrices": lambda o: PlaceMatrices(target_of(o)),
    "size-buffers": lambda o: SizeBuffers(target_of(o)),
    "allocate-buffers": lambda o: AllocateBuffers(target_of(o)),
    "plan-reloads": lambda o: PlanReloads(target_of(o)),
    "take-plan": lambda o: TakePlan(parse("\n".join(o["planned"]))),
}

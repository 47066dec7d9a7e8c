"""Graph-to-graph passes, and the order in which a network becomes a chip; import as ``pinat_compile.passes``."""

if __name__ != "pinat_compile.passes":
    raise ImportError("import pinat_compile.passes; the folder passes/ is not a package of its own")

from collections.abc import Mapping

from pinat_compile.frontend.calibration import Calibration
from pinat_compile.graph import Array, Graph
from pinat_compile.hardware.schema import Target
from pinat_compile.passes.allocate_arrays import AllocateArrays
from pinat_compile.passes.allocate_buffers import AllocateBuffers
from pinat_compile.passes.base import Pass as Pass
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
from pinat_compile.passes.manager import Observer as Observer
from pinat_compile.passes.manager import PassRecord as PassRecord
from pinat_compile.passes.manager import run_passes as run_passes
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


def preparing(*, digital: tuple[str, ...] = (), analog: tuple[str, ...] = ()) -> tuple[Pass, ...]:
    """From the imported network to plain ONNX, in which Conv, Gemm and MatMul are what runs on arrays."""
    return (
        # --- make the graph plain ---
        FoldConstants(),
        FoldBranches(),
        FoldBatchNorm(),
        DropUnused(),
        # --- decide what is analog, and write it as products ---
        PlaceLayers(digital, analog),
        ExpandRecurrence(),
        ExpandTransposed(),
        EinsumToMatmul(),
        WidenIntegers(),
        DropUnused(),
    )


def lowering(
    *, share: bool = True, repeat: Mapping[str, int] | None = None, trained: Mapping[str, Array]
) -> tuple[Pass, ...]:
    """From plain layers to matrices: what is multiplied on arrays, and by what."""
    return (
        LowerToArrays(share),
        RepeatLayers(repeat or {}),
        RestoreTrained(trained),
        DropUnused(),
    )


def planning(target: Target, calibration: Calibration) -> tuple[Pass, ...]:
    """From matrices to a plan: how each is cut into cells and tiles, scaled and ranged, and where it stands."""
    return (
        CheckLink(target),
        SliceWeights(target),
        ScaleWeights(target, calibration),
        CutIntoTiles(target.array, full=target.layout.pack),
        SetParts(target),
        RangeConverters(target, calibration),
        *placing(target),
    )


def placing(target: Target) -> tuple[Pass, ...]:
    """From tiles to arrays: how many copies of each, where they stand, what is written anew."""
    return (
        ReplicateMatrices(target),
        AllocateArrays(),
        PlaceMatrices(target),
        PackTiles(target),
        PlanReloads(target),
        *buffering(target),
    )


def buffering(target: Target) -> tuple[Pass, ...]:
    """What waits where, while the arrays work."""
    return (SizeBuffers(target), AllocateBuffers(target))


def keeping(planned: Graph, target: Target | None = None) -> tuple[Pass, ...]:
    """The plan of an earlier compilation, in the place of ``planning``; buffers follow for a ``target``."""
    return (TakePlan(planned), *(() if target is None else buffering(target)))

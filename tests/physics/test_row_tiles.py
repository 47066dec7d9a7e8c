"""Row tile by row tile an ideal chip is programmed as it is whole: levels, complements, references, reads."""

import pytest
import torch

from pinat_compile.graph.matrix import Cut
from pinat_compile.hardware.loader import load_target
from pinat_compile.physics import crossbar
from pinat_compile.physics.tiling import Tiling
from tests.simulator.layers import layer

CUT = Cut(blocks=2, row_cuts=(0, 4, 8, 11), col_cuts=(0, 5, 7))
CHIPS: tuple[tuple[str, list[str]], ...] = (
    ("reram_128x128", []),
    ("isaac", []),
    ("reram_128x128", ["weights.scheme=offset"]),
    ("reram_128x128", ["weights.two_sided=true"]),
    ("reram_128x128", ["cell.bits=2", "weights.bits=9"]),
    ("pcm_256x256", []),
)


@pytest.mark.parametrize(("name", "overrides"), CHIPS)
def test_one_after_the_other_is_all_at_once(name: str, overrides: list[str]) -> None:
    target = load_target(name, overrides)
    source = torch.Generator().manual_seed(3)
    blocks = torch.randn(2, 11, 7, generator=source) + 0.3
    cells = layer(target, blocks[0].T.numpy()).matrix.cells
    assert cells is not None
    scale = (0.2 + torch.rand(2, 1, 7, generator=source)) / cells.weight_max * 4
    steps = crossbar.parameters_from_weights(blocks, scale, cells)
    whole = crossbar.program(steps, cells, target.device, Tiling(CUT), None)
    parts = list(crossbar.ideal_row_tiles(blocks, scale, cells, target.device, CUT))
    assert len(parts) == len(whole.levels)
    for index, part in enumerate(parts):
        assert torch.equal(part.levels[0], whole.levels[index])
        assert torch.equal(crossbar.effective(part)[0], crossbar.effective(whole)[index])
        if whole.flipped is not None:
            assert part.flipped is not None and torch.equal(part.flipped[0], whole.flipped[index])
        if whole.reference is not None:
            assert part.reference is not None and torch.equal(part.reference.levels[0], whole.reference.levels[index])

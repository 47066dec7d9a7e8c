"""Piece by piece an ideal chip is programmed as it is whole: levels, complements, references, reads."""

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


@pytest.mark.parametrize("size", [1, 1 << 18])
@pytest.mark.parametrize(("name", "overrides"), CHIPS)
def test_one_after_the_other_is_all_at_once(
    name: str, overrides: list[str], size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crossbar, "PIECE", size)  # column tile by column tile, and all together
    target = load_target(name, overrides)
    source = torch.Generator().manual_seed(3)
    blocks = torch.randn(2, 11, 7, generator=source) + 0.3
    cells = layer(target, blocks[0].T.numpy()).matrix.cells
    assert cells is not None
    scale = (0.2 + torch.rand(2, 1, 7, generator=source)) / cells.weight_max * 4
    steps = crossbar.parameters_from_weights(blocks, scale, cells)
    whole = crossbar.program(steps, cells, target.device, Tiling(CUT), None)
    places = []
    for row, cols, part in crossbar.ideal_pieces(blocks, scale, cells, target.device, CUT):
        places += [(row, col) for col in range(cols.start, cols.stop)]
        width = part.levels.shape[4]  # no piece is padded to the width of tiles in another
        assert torch.equal(part.levels[0], whole.levels[row, cols, :, :, :width])
        assert torch.equal(crossbar.effective(part)[0], crossbar.effective(whole)[row, cols, :, :, :width])
        if whole.flipped is not None:
            assert part.flipped is not None and torch.equal(part.flipped[0], whole.flipped[row, cols, :, :width])
        if whole.reference is not None:
            assert part.reference is not None
            assert torch.equal(part.reference.levels[0], whole.reference.levels[row, cols])
    assert places == [(row, col) for row in range(6) for col in range(2)]

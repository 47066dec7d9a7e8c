"""A chip is a set of draws: the same in every process, under every setting, at every batch size and thread count."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor

from pinat_compile.compiler.build import compile as compile_network
from pinat_compile.compiler.compiled import Compiled
from pinat_compile.errors import OptionError
from pinat_compile.hardware.loader import load_target
from pinat_compile.physics import crossbar
from pinat_compile.physics.randomness import Key
from pinat_compile.simulator import operands
from pinat_compile.simulator.conditions import Conditions, seconds
from tests.execution import relative_error
from tests.simulator.layers import Layer, layer, window
from tests.zoo import NETWORKS, Builder, inputs_for

ROOT = Path(__file__).parents[2]
NO_ADC = ("adc.bits=none", "adc.range=full")
"""What stands before the ADC is the output."""


def network(name: str = "residual", overrides: Sequence[str] = (), target: str = "reram_128x128") -> Compiled:
    return compile_network(NETWORKS[name](), target, overrides=overrides)


def images(count: int, seed: int = 1) -> Tensor:
    return torch.from_numpy(inputs_for(NETWORKS["residual"](), batch=count, seed=seed)["x"])


def run(compiled: Compiled, x: Tensor, chip: int = 0, **options: float) -> Tensor:
    with torch.no_grad():
        found = compiled.simulator(chip, **options)(x)  # type: ignore[arg-type]
    assert isinstance(found, Tensor)
    return found


def digest() -> str:
    """What one chip makes of a few inputs, bit by bit. Another process calls this too."""
    found = run(network(), images(5), chip=3, seed=2)
    return hashlib.sha256(found.numpy().tobytes()).hexdigest()


@contextmanager
def threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


# --- the same chip ---


def test_the_same_chip_twice_is_bit_identical() -> None:
    assert torch.equal(run(network(), images(4), chip=5), run(network(), images(4), chip=5))


def test_in_another_process_too() -> None:
    code = "import torch; torch.set_num_threads(1)\nfrom tests.simulator.test_chips import digest; print(digest())"
    other = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True)
    with threads(1):
        assert other.stdout.strip() == digest()


def test_chips_and_seeds_differ() -> None:
    compiled, x = network(), images(4)
    found = [run(compiled, x, chip=chip) for chip in (0, 1, 100_000, 1_000_000)] + [run(compiled, x, seed=1)]
    for i, a in enumerate(found):
        for b in found[i + 1 :]:
            assert not torch.equal(a, b)
    quiet = network(overrides=["read_noise=none"])
    assert torch.equal(run(quiet, x, seed=0), run(quiet, x, seed=1)), "a seed is for what is fresh, not for the chip"
    assert not torch.equal(run(quiet, x, chip=0), run(quiet, x, chip=1))


def test_a_chip_number_of_numpy_is_the_same_chip() -> None:
    assert torch.equal(run(network(), images(2), chip=np.int64(3)), run(network(), images(2), chip=3))  # type: ignore[arg-type]


def test_matrices_of_one_chip_differ() -> None:
    first, second = (
        crossbar.program(torch.zeros(1, 4, 4), example.arrays.cells, example.target.device, example.arrays.tiling,
                         Key(("chip", 0, name)))
        for example in [layer(load_target("reram_128x128"), np.zeros((4, 4)))] for name in ("a", "b")
    )
    assert not torch.equal(crossbar.conductances_us(first), crossbar.conductances_us(second))


@pytest.mark.parametrize("chip", [-1, -100])
def test_negative_chips_are_refused(chip: int) -> None:
    with pytest.raises(OptionError, match=f"chip = {chip}: chips are numbered from 0"):
        network().simulator(chip=chip)


# --- the same chip under other settings ---


def conductances(example: Layer, chip: int = 0, **conditions: float) -> Tensor:
    """[blocks, rows, cols, slice, device] in µS, tiles put together again."""
    arrays, values = example.arrays, example.simulator(chip).value
    state = crossbar.program(arrays.steps(values), arrays.cells, example.target.device, arrays.tiling,
                             Key(("chip", chip, "m")))
    tiles = crossbar.conductances_us(state, **conditions)  # [row_tile, col_tile, slice, rows, cols, device]
    cut = arrays.cut
    rows = []
    for block in range(cut.blocks):
        row_tiles = tiles[block * cut.row_tiles : (block + 1) * cut.row_tiles]
        rows.append(torch.cat([
            torch.cat([row_tiles[r, c, :, :height, :width] for c, width in enumerate(cut.tile_cols)], dim=2)
            for r, height in enumerate(cut.tile_rows)
        ], dim=1))
    return torch.stack(rows).permute(0, 2, 3, 1, 4)


def reram_layer(*overrides: str, rows: int = 200) -> Layer:
    weight = np.random.default_rng(0).integers(-15, 16, (9, rows))
    return layer(load_target("reram_128x128", overrides), weight)


def target_levels(example: Layer) -> Tensor:
    cell = example.target.device.cell
    weight = torch.from_numpy(example.graph.tensors["w"].T)
    levels = torch.stack((weight.clamp(min=0), (-weight).clamp(min=0)), dim=-1)[None, :, :, None]
    return cell.g_min_us + levels * (cell.g_max_us - cell.g_min_us) / 15


def test_twice_the_mismatch_is_twice_the_deviation() -> None:
    only = ("programming=none", "stuck=none")
    narrow, wide = reram_layer(*only, "mismatch.sigma=0.05"), reram_layer(*only, "mismatch.sigma=0.1")
    asked = target_levels(narrow)
    a, b = (conductances(example, chip=7).div(asked).log() for example in (narrow, wide))
    assert float(a.std()) == pytest.approx(0.05, rel=0.05)
    torch.testing.assert_close(b, 2 * a, rtol=1e-3, atol=1e-5)


def test_more_stuck_cells_hold_the_fewer() -> None:
    only = ("programming=none", "mismatch=none")
    few, many = reram_layer(*only, "stuck.at_g_min=0.01"), reram_layer(*only, "stuck.at_g_min=0.05")
    asked = target_levels(few)
    stuck_few, stuck_many = ((conductances(example, 7) - asked).abs() > 1e-4 for example in (few, many))
    assert 0 < int(stuck_few.sum()) < int(stuck_many.sum())
    assert bool((stuck_many | ~stuck_few).all())


@pytest.mark.parametrize("override", [
    "array.rows=64", "array.rows=19", "array.cols=8", "adc.bits=4", "dac.bits=5", "column.gain_sigma=0.3",
    "read_noise=none", "mapping.adc_share=0.5",
])
def test_devices_keep_their_draws(override: str) -> None:
    assert torch.equal(conductances(reram_layer(override), 4), conductances(reram_layer(), 4))


def test_leaving_an_effect_out_leaves_the_others() -> None:
    both, one = reram_layer("stuck=none"), reram_layer("stuck=none", "mismatch=none")
    ratio = conductances(both, 2) / conductances(one, 2).clamp(min=1e-6)
    only = reram_layer("stuck=none", "programming=none")
    expected = conductances(only, 2) / target_levels(only)
    open_device = conductances(one, 2) < 1e-3
    torch.testing.assert_close(ratio[~open_device], expected[~open_device], rtol=1e-4, atol=1e-5)


def test_slices_and_devices_have_draws_of_their_own() -> None:
    weight = np.full((20, 100), 15 * 17)
    target = load_target("reram_128x128", ["weights.bits=9", "cell.bits=4", "stuck=none"])
    g = conductances(layer(target, weight))  # [1, rows, cols, slice, device]
    top = g[0, :, :, :, 0].reshape(-1, 2)
    assert abs(float(torch.corrcoef(top.T)[0, 1])) < 0.1
    pair = g[0, :, :, 0].reshape(-1, 2)
    assert abs(float(torch.corrcoef(pair.T)[0, 1])) < 0.1


# --- batch size, threads, calls ---


def test_another_batch_size_sees_the_same_chip_and_the_same_noise() -> None:
    compiled, x = network(overrides=NO_ADC), images(37)
    whole = run(compiled, x, chip=1)
    chip = compiled.simulator(1)
    with torch.no_grad():
        for sizes in ([1] * 37, [5, 32], [36, 1], [16, 16, 5]):
            chip.reset()
            parts = torch.cat([chip(part) for part in x.split(sizes)])  # type: ignore[no-untyped-call]
            assert relative_error(parts.numpy(), whole.numpy()) < 1e-5


def merged() -> onnx.ModelProto:
    """[batch, length, features] merged to [batch * length, features] for a Gemm, as exporters like to write it."""
    b = Builder("merged")
    x = b.input("x", ["batch", 4, 6])
    x = b.node("Reshape", x, b.tensor("flat", np.array([-1, 6])), name="merge")
    x = b.relu(b.linear(x, "fc", 6, 5), "relu")
    x = b.node("Reshape", x, b.tensor("split", np.array([-1, 20])), name="again")
    return b.model(b.linear(x, "fc2", 20, 3))


def test_samples_keep_their_noise_where_batch_and_length_are_merged() -> None:
    model = merged()
    compiled = compile_network(model, "reram_128x128", overrides=NO_ADC)
    x = torch.from_numpy(inputs_for(model, batch=9)["x"])
    whole = run(compiled, x)
    chip = compiled.simulator(0)
    with torch.no_grad():
        for sizes in ([4, 5], [1] * 9):
            chip.reset()
            parts = torch.cat([chip(part) for part in x.split(sizes)])  # type: ignore[no-untyped-call]
            assert relative_error(parts.numpy(), whole.numpy()) < 1e-5
        noise = chip(x[:1]) - chip(x[:1])
    assert float(noise.abs().max()) > 0


def test_row_tiles_keep_their_noise_however_they_are_put_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Large batches multiply fewer tiles at a time; that must not show."""
    example = reram_layer("adc.bits=none", "adc.range=full", "array.rows=9")
    x = torch.from_numpy(np.random.default_rng(1).integers(-127, 128, (3, 200)).astype(np.float32))
    with torch.no_grad():
        at_once = example.simulator(0)(x)
        monkeypatch.setattr(operands, "CHUNK_ELEMENTS", 200)
        in_parts = example.simulator(0)(x)
    assert relative_error(in_parts.numpy(), at_once.numpy()) < 1e-5


@pytest.mark.parametrize("adc", [True, False])
def test_another_thread_count_sees_the_same_chip(adc: bool) -> None:
    compiled, x = network(overrides=() if adc else NO_ADC), images(8)
    with threads(1):
        one = run(compiled, x)
    with threads(2):
        two, again = run(compiled, x), run(compiled, x)
    assert torch.equal(two, again)
    assert relative_error(two.numpy(), one.numpy()) < (0.05 if adc else 1e-5)  # a code may tip over


def test_every_call_sees_fresh_noise_until_reset() -> None:
    chip, x = network(overrides=NO_ADC).simulator(0), images(3)
    with torch.no_grad():
        first, second = chip(x), chip(x)
        assert not torch.equal(first, second)
        chip.reset()
        assert torch.equal(chip(x), first) and torch.equal(chip(x), second)
        assert torch.equal(chip(x, first_sample=0), first)
        assert relative_error(chip(x[1:], first_sample=1).numpy(), first[1:].numpy()) < 1e-5


def test_two_nodes_on_one_matrix_read_it_with_noise_of_their_own() -> None:
    b = Builder("twice")
    x = b.input("x", ["batch", 6])
    w = b.random("w", 6, 6)
    y, z = b.node("MatMul", x, w, name="first"), b.node("MatMul", x, w, name="second")
    model = b.model(y, z)
    compiled = compile_network(model, "reram_128x128", overrides=NO_ADC)
    with torch.no_grad():
        first, second = compiled.simulator(0)(torch.from_numpy(inputs_for(model)["x"]))
        assert not torch.equal(first, second)
        quiet = compile_network(model, "reram_128x128", overrides=[*NO_ADC, "read_noise=none"])
        first, second = quiet.simulator(0)(torch.from_numpy(inputs_for(model)["x"]))
        assert torch.equal(first, second), "the same devices"


# --- the same chip at other times ---


def test_a_view_of_a_chip_is_the_same_chip() -> None:
    compiled, x = network(), images(4)
    chip = compiled.simulator(3)
    with torch.no_grad():
        now = chip(x)
        later = chip.at(time="1d")
        assert later.conditions == Conditions(chip=3, time_s=86400.0) and chip.conditions.time_s == 1.0
        changed = later(x)
        assert not torch.equal(changed, now)
        assert torch.equal(later.at(time=1.0)(x), now)
        assert torch.equal(compiled.simulator(3, time="1d")(x), changed)
        hot = chip.at(temperature=350.0, severity=0.5)
        assert (hot.conditions.temperature_k, hot.conditions.severity, hot.conditions.time_s) == (350.0, 0.5, 1.0)
        assert hot.values is chip.values, "parameters are shared"


def test_deviations_at_another_time_are_of_the_same_devices() -> None:
    example = reram_layer("stuck=none", "mismatch=none")
    asked = target_levels(example)
    first = conductances(example, 6, time_s=1.0) - asked
    later = conductances(example, 6, time_s=86400.0) - asked
    free = asked > 15  # far enough from zero not to be cut off
    assert float(torch.corrcoef(torch.stack((first[free], later[free])))[0, 1]) > 0.97


def test_severity_multiplies_deviations() -> None:
    example = reram_layer("stuck=none", "mismatch=none")
    asked = target_levels(example)
    nominal, half = (conductances(example, 6, severity=s) - asked for s in (1.0, 0.5))
    free = asked > 20
    torch.testing.assert_close(half[free], nominal[free] / 2, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", ["residual", "grouped_conv", "matmul_3d"])
def test_severity_zero_is_ideal(name: str) -> None:
    compiled = network(name)
    inputs = [torch.from_numpy(x) for x in inputs_for(NETWORKS[name](), batch=3).values()]
    with torch.no_grad():
        ideal, quiet = compiled.simulator(noise=False)(*inputs), compiled.simulator(0, severity=0.0)(*inputs)
        also = compiled.simulator(0).at(severity=0.0)(*inputs)
    assert relative_error(quiet.numpy(), ideal.numpy()) < 1e-6
    assert torch.equal(also, quiet)


def test_only_the_layers_asked_for_are_analog() -> None:
    compiled, x = network(), images(2)
    reference = torch.from_numpy(compiled.reference.run({"x": x.numpy()})[compiled.graph.outputs[0]])
    with torch.no_grad():
        none, one, everything = (compiled.simulator(0, analog=names)(x) for names in ((), ("conv1",), None))
    errors = [relative_error(found.numpy(), reference.numpy()) for found in (none, one, everything)]
    assert errors[0] < 1e-5 < 1e-3 < errors[1] < errors[2]


def test_training_programs_from_the_present_weights() -> None:
    chip, x = network(overrides=["read_noise=none"]).simulator(0), images(2)
    with torch.no_grad():
        before = chip(x)
        chip.train()
        chip.value("conv1.weight").mul_(-1.0)
        assert not torch.equal(chip(x), before)
        chip.value("conv1.weight").mul_(-1.0)
        assert torch.equal(chip(x), before)
        assert torch.equal(chip.eval()(x), before)


# --- conditions ---


@pytest.mark.parametrize(("text", "expected"), [
    ("1s", 1.0), ("30min", 1800.0), ("1h", 3600.0), ("1d", 86400.0), ("30 d", 30 * 86400.0), ("1y", 365.25 * 86400.0),
    ("2.5", 2.5), ("1e3s", 1000.0), (7, 7.0), ("0", 0.0),
])
def test_times_read_like_words(text: str | float, expected: float) -> None:
    assert seconds(text) == expected


@pytest.mark.parametrize("text", ["", "h", "1 week", "-1s", "1h30m", "nan"])
def test_what_is_not_a_time(text: str) -> None:
    with pytest.raises(OptionError, match="not a time after programming"):
        seconds(text)


@pytest.mark.parametrize(("field", "value", "message"), [
    ("time_s", -1.0, "time = -1.0 s"), ("time_s", float("nan"), "time = nan s"),
    ("temperature_k", 0.0, "temperature = 0.0 K"), ("severity", -0.5, "severity = -0.5"),
    ("severity", float("nan"), "severity = nan"), ("chip", -1, "chip = -1"),
])
def test_impossible_conditions(field: str, value: float, message: str) -> None:
    given = {"chip": 0, "time_s": 1.0, field: value}
    with pytest.raises(OptionError) as caught:
        Conditions(**given)  # type: ignore[arg-type]
    assert caught.value.message.startswith(message)


def test_a_window_at_the_edge_of_a_cut_draws_the_same_weights() -> None:
    """Row cuts inside a channel: the devices of a tile are those of its rows."""
    weight = np.random.default_rng(0).integers(-15, 16, (4, 3, 3, 3))
    op = window((3, 3))
    coarse, fine = (layer(load_target("reram_128x128", [f"array.rows={rows}"]), weight, op=op) for rows in (128, 5))
    assert torch.equal(conductances(fine, 1), conductances(coarse, 1))


def test_other_parameters_are_programmed_anew() -> None:
    chip, x = network().simulator(chip=0), images(2)
    with torch.inference_mode():
        before = chip(x)
        state = chip.state_dict()
        chip.load_state_dict({name: 2 * value if value.ndim > 1 else value for name, value in state.items()})
        chip.reset()
        assert not torch.equal(chip(x), before)

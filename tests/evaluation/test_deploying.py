"""Deployments: what they restore on one chip, what they leave alone, whose they are, what evaluation says of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from pinat_compile.compiler.build import compile
from pinat_compile.compiler.compiled import Compiled
from pinat_compile.compiler.deployments import load_deployment, save_deployment
from pinat_compile.errors import OptionError
from pinat_compile.evaluation import deploy, evaluate
from pinat_compile.graph import Array, dump
from pinat_compile.simulator.matching import LARGEST_SCALE, Kind, match, mix
from pinat_compile.simulator.module import Simulator
from tests.zoo import NETWORKS, inputs_for

ONLY_COLUMNS = ("programming=none", "mismatch=none", "stuck=none", "read_noise=none", "array.rows=256", "dac.bits=14",
                "adc.bits=20", "adc.range=full", "column.gain_sigma=0.1", "column.offset_sigma=0.002")
FITS: tuple[Kind, ...] = ("moments", "bias", "affine")


def network(target: str = "pcm_256x256", *overrides: str, name: str = "residual") -> Compiled:
    model = NETWORKS[name]()
    return compile(model, target, calibration=inputs_for(model, batch=64), overrides=overrides)


@pytest.fixture(scope="module")
def pcm() -> Compiled:
    return network()


def samples(count: int = 64, seed: int = 5, name: str = "residual") -> dict[str, Array]:
    return inputs_for(NETWORKS[name](), batch=count, seed=seed)


@torch.inference_mode()
def layers(chip: Simulator, x: dict[str, Array]) -> dict[str, Tensor]:
    """What every layer on arrays gives, as float64 [vectors, outputs]."""
    [run] = chip.steps({name: torch.from_numpy(value) for name, value in x.items()})
    return {node.name: y.double().flatten(0, -2) for node, y in run}


# --- scale and offset ---


def test_moments_are_those_of_the_ideal_network(pcm: Compiled) -> None:
    """Mean and deviation of every channel of every layer, on the samples that were fitted, on a chip without noise."""
    quiet = network("pcm_256x256", "read_noise=none")
    x = samples()
    made = deploy(quiet, chip=3, data=x, steps=("moments",), time="30d")
    ideal = layers(quiet.simulator(noise=False), x)
    bare, fitted = (layers(quiet.simulator(3, time="30d", deployment=d), x) for d in (None, made))
    for name, wanted in ideal.items():
        assert torch.allclose(fitted[name].mean(0), wanted.mean(0), atol=1e-4 * float(wanted.std()))
        assert torch.allclose(fitted[name].std(0), wanted.std(0), rtol=1e-3)
        assert not torch.allclose(bare[name].std(0), wanted.std(0), rtol=0.1)


def test_bias_restores_the_means_alone() -> None:
    quiet = network("reram_128x128", "read_noise=none")
    x = samples()
    made = deploy(quiet, chip=3, data=x, steps="bias")
    assert not made.scales and made.offsets
    ideal, fitted = layers(quiet.simulator(noise=False), x), layers(quiet.simulator(3, deployment=made), x)
    for name, wanted in ideal.items():
        assert torch.allclose(fitted[name].mean(0), wanted.mean(0), atol=1e-4 * float(wanted.std()))


def test_least_squares_removes_gain_and_offset_of_the_columns() -> None:
    """Where nothing else deviates or clips, a column on one array is off by exactly a scale and an offset."""
    compiled = network("reram_128x128", *ONLY_COLUMNS)
    x = samples()
    made = deploy(compiled, chip=1, data=x, steps="affine")
    ideal, unseen = compiled.simulator(noise=False), samples(seed=6)
    wanted = layers(ideal, unseen)
    bare, fitted = (layers(compiled.simulator(1, deployment=d), unseen) for d in (None, made))
    for name, y in wanted.items():
        before, after = (float((found[name] - y).square().mean() / y.var()) for found in (bare, fitted))
        assert before > 1e-3 and after < 1e-5, name


@pytest.mark.parametrize("kind", FITS)
def test_a_dead_channel_keeps_its_scale(kind: Kind) -> None:
    """Channel 0 gives nothing but a little noise, channel 1 lives, channel 2 is far too weak: its scale is bounded."""
    rng = torch.Generator()
    wanted = torch.randn((500, 3), generator=rng) * torch.tensor([0.0, 2.0, 1.0]) + torch.tensor([1.0, -1.0, 3.0])
    noise = torch.randn((500, 3), generator=rng) * torch.tensor([1e-2, 0.0, 0.0])
    found = wanted * torch.tensor([1.0, 0.5, 0.02]) + noise
    made = match(kind, [found[:200], found[200:]], [wanted[:200], wanted[200:]])
    assert made.live.tolist() == [False, True, True]
    assert made.scale[0] == 1.0
    assert torch.allclose((found * made.scale + made.offset).mean(0), wanted.mean(0), atol=1e-4)
    if kind != "bias":
        assert made.scale.tolist() == pytest.approx([1.0, 2.0, LARGEST_SCALE], rel=1e-4)


def test_a_later_layer_is_matched_with_matched_inputs() -> None:
    """Gains of 10 % per layer multiply; matched one after the other, the second scale undoes the second layer only."""
    compiled = network("reram_128x128", *ONLY_COLUMNS, "column.offset_sigma=0.0", name="conv_bn_chain")
    x = inputs_for(NETWORKS["conv_bn_chain"](), batch=64, seed=5)
    made = deploy(compiled, chip=1, data=x, steps="affine")
    for name, scale in made.scales.items():
        node = compiled.graph.node(name)
        held = compiled.simulator(1).programmed(node.op.matrix)  # type: ignore[attr-defined]
        plain = compiled.simulator(noise=False).arrays(node.op.matrix)  # type: ignore[attr-defined]
        assert held.to_codes is not None and held.from_codes is not None and plain.cut.row_tiles == 1
        gain = (held.to_codes * held.from_codes).flatten()
        assert torch.allclose(scale, 1 / gain, rtol=5e-3), name


# --- drift ---


def test_drift_and_moments_bring_an_old_chip_back(pcm: Compiled) -> None:
    x = samples(200)
    old = evaluate(pcm, x, chips=3, time="30d")
    for steps in ("drift", "moments", "drift,moments"):
        new = evaluate(pcm, x, chips=3, time="30d", deploy=steps, deploy_data=samples(seed=9))
        assert new.deployment is not None
        assert new.mean > old.mean + 0.1, steps
        assert new.deployment.per_chip == old.per_chip
        assert new.deployment.gain.mean == pytest.approx(new.mean - old.mean)


def test_a_deployment_made_early_ages(pcm: Compiled) -> None:
    """At its own time it is best; the chip keeps it when it is looked at later."""
    x, fit = samples(200), samples(seed=9)
    early, now = (
        evaluate(pcm, x, chips=3, time="30d", metric="mse", deploy="drift", deploy_data=fit, deploy_time=time)
        for time in ("1h", None)
    )
    assert early.deployment is not None and now.deployment is not None
    assert (early.deployment.time_s, now.deployment.time_s) == (3600.0, 30 * 86400.0)
    assert early.deployment.spread.mean > early.mean > now.mean
    made = deploy(pcm, chip=2, steps="drift", time="1h")
    chip = pcm.simulator(2, time="1h", deployment=made).at(time="30d")
    assert chip.deployment is made


def test_more_than_one_tile() -> None:
    compiled = network("pcm_256x256", "array.rows=24", "array.cols=16")
    made = deploy(compiled, chip=0, steps="drift_per_tile", time="1d")
    for name, gain in made.drift_gains.items():
        cut = compiled.graph.matrices[name].cut
        assert cut is not None and gain.shape[:2] == (cut.blocks * cut.row_tiles, cut.col_tiles)
    assert any(bool((gain != gain.flatten()[0]).any()) for gain in made.drift_gains.values())


# --- faults ---


def test_known_faults_are_placed_around() -> None:
    """Only stuck cells deviate: placed around, and set off by their partners, they cost a small part of the error."""
    compiled = network("reram_128x128", "programming=none", "mismatch=none", "read_noise=none", "column=none",
                       "stuck.at_g_min=0.01", "stuck.at_g_max=0.01")
    found = evaluate(compiled, samples(100), chips=3, metric="mse", deploy="faults").deployment
    ideal = evaluate(compiled, samples(100), chips=1, metric="mse").ideal
    assert found is not None
    with_faults, placed = found.spread.mean - ideal, found.spread.mean - found.gain.mean - ideal
    assert with_faults > 0 and placed < 0.1 * with_faults
    figures = found.steps[0].figures
    cells = sum(2 * matrix.weights for matrix in compiled.graph.matrices.values())
    assert figures["cells"] == pytest.approx(0.02 * cells, rel=0.3) and figures["error_left"] < 0.05


def test_later_steps_see_the_placed_weights() -> None:
    compiled = network("reram_128x128", "stuck.at_g_min=0.01", "stuck.at_g_max=0.01")
    both = deploy(compiled, chip=1, data=samples(), steps=("moments", "faults"))
    alone = deploy(compiled, chip=1, data=samples(), steps="moments")
    assert [step.name for step in both.steps] == ["faults", "moments"]
    assert not all(torch.equal(both.scales[name], alone.scales[name]) for name in alone.scales)


def test_a_chip_without_faults() -> None:
    made = deploy(network("pcm_256x256"), steps="faults")
    assert not made.placements and made.steps[0].figures == {"cells": 0.0, "error_left": 0.0}


# --- whose it is, and what it leaves alone ---


def test_the_plan_is_left_alone(pcm: Compiled) -> None:
    before, values = dump(pcm.graph), {name: value.copy() for name, value in pcm.graph.tensors.items()}
    evaluate(pcm, samples(), chips=1, time="1d", deploy="drift,moments", deploy_data=samples(seed=9))
    assert dump(pcm.graph) == before
    assert all(np.array_equal(pcm.graph.tensors[name], value) for name, value in values.items())


def test_layers_in_floating_point_are_left_alone(pcm: Compiled) -> None:
    """A deployment belongs to the arrays: a layer that runs digitally has nothing to make up for."""
    x = samples()
    made = deploy(pcm, chip=0, data=x, steps=("drift", "moments"), time="30d")
    bare, fitted = (
        pcm.simulator(0, time="30d", analog=(), deployment=given).run({k: torch.from_numpy(v) for k, v in x.items()})
        for given in (None, made)
    )
    assert all(torch.equal(fitted[name], value) for name, value in bare.items())
    alone = [evaluate(pcm, x, chips=[0], time="30d", per_layer=True, deploy=given).per_layer for given in ((), [made])]
    old, new = ([layer.snr_db or 0.0 for layer in layers or ()] for layers in alone)
    assert np.mean(new) > np.mean(old) + 3.0


def test_another_chip_is_refused(pcm: Compiled) -> None:
    made = deploy(pcm, chip=3, steps="drift")
    with pytest.raises(OptionError, match="made for chip 3, not for chip 4"):
        pcm.simulator(4, deployment=made)
    with pytest.raises(OptionError, match="made for chip 3, not for ideal devices"):
        pcm.simulator(3, noise=False, deployment=made)
    with pytest.raises(OptionError, match="chip 1 has no deployment"):
        evaluate(pcm, samples(), chips=[3, 1], deploy=[made])


def test_another_network_is_refused(pcm: Compiled) -> None:
    made = deploy(pcm, chip=3, steps="drift")
    with pytest.raises(OptionError, match="made for another network, target or plan"):
        network("pcm_256x256", "adc.bits=9").simulator(3, deployment=made)
    tensors = {name: value * np.float32(1.001) if name.endswith("weight") else value
               for name, value in pcm.graph.tensors.items()}
    changed = pcm.graph.copy()
    changed.tensors.update(tensors)
    with pytest.raises(OptionError, match="made for another network, target or plan"):
        evaluate(replace(pcm, graph=changed), samples(), chips=[3], deploy=[made])
    assert evaluate(pcm, samples(), chips=[3], deploy=[made]).deployment is not None


def test_fitting_sees_other_read_noise_than_evaluation(pcm: Compiled) -> None:
    """The same seed, chip and samples: the read noise of the fit is not that of a simulator with this seed."""
    x, quiet = samples(), network("pcm_256x256", "read_noise=none")
    for compiled, differs in ((pcm, True), (quiet, False)):
        offsets = deploy(compiled, chip=0, data=x, steps="bias").offsets
        ideal, chip = (layers(compiled.simulator(0, noise=noise), x) for noise in (False, True))
        first = next(iter(ideal))
        seen = (ideal[first].mean(0) - chip[first].mean(0)).float()
        assert torch.allclose(offsets[first], seen, atol=1e-6) != differs


def test_repeatable_and_seeded(pcm: Compiled) -> None:
    x = samples()
    one, same, other = (deploy(pcm, chip=0, data=x, seed=seed).scales for seed in (0, 0, 1))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not all(torch.equal(one[name], other[name]) for name in one)


def test_labels_are_not_looked_at(pcm: Compiled) -> None:
    x = samples()
    one = deploy(pcm, data=x).scales
    other = deploy(pcm, data={**x, "y": np.zeros(64, np.int64)}).scales
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_gradients_pass_a_deployed_chip(pcm: Compiled) -> None:
    """A deployment is plain numbers: whoever differentiates through the chip can."""
    made = deploy(pcm, data=samples(), steps=("drift", "moments"), time="1d")
    x = {name: torch.from_numpy(value).requires_grad_() for name, value in samples(4).items()}
    output = next(iter(pcm.simulator(0, time="1d", deployment=made).run(x).values()))
    output.square().sum().backward()  # type: ignore[no-untyped-call]
    assert all(value.grad is not None and bool(value.grad.any()) for value in x.values())


def test_a_network_with_a_fixed_batch() -> None:
    compiled = network("reram_128x128", name="old_opset")
    x = np.random.default_rng(0).standard_normal((20, 1, 10, 10)).astype(np.float32)
    made = deploy(compiled, data={compiled.source.inputs[0]: x})
    assert made.steps[0].samples == 20 and set(made.scales) == {"conv", "times"}


# --- what is said of it ---


def test_figures_with_and_without(pcm: Compiled) -> None:
    x = samples()
    plain = evaluate(pcm, x, chips=2, time="1d")
    found = evaluate(pcm, x, chips=2, time="1d", deploy=("moments", "drift"), deploy_data=samples(seed=9)).to_dict()
    said = found["deployment"]
    assert plain.to_dict()["deployment"] is None
    assert said["steps"] == ["drift", "moments"]
    assert (said["samples"], said["data"]) == (64, "data")
    assert [(step["name"], step["samples"], step["probes"]) for step in said["per_step"]] == [
        ("drift", None, 256), ("moments", 64, None)
    ]
    assert said["without"]["per_chip"] == list(plain.per_chip) and said["without"]["mean"] == plain.mean
    assert said["gain"]["per_chip"] == pytest.approx(
        [new - old for new, old in zip(found["per_chip"], plain.per_chip, strict=True)]
    )


def test_in_one_line(pcm: Compiled) -> None:
    found = evaluate(pcm, samples(), chips=2, time="1d", deploy="drift")
    assert found.deployment is not None
    assert f"without deployment {found.deployment.spread.mean:.4g}, ideal" in str(found)


def test_a_smaller_error_is_a_gain(pcm: Compiled) -> None:
    found = evaluate(pcm, samples(), chips=2, time="30d", metric="mse", deploy="drift")
    assert found.deployment is not None and found.mean < found.deployment.spread.mean
    assert found.deployment.gain.mean == pytest.approx(found.deployment.spread.mean - found.mean)


@pytest.mark.parametrize(("options", "message"), [
    ({"deploy": "moments"}, "moments needs unlabelled samples"),
    ({"deploy": ""}, "there is no step ''"),
    ({"deploy": "magic"}, "there is no step 'magic'"),
    ({"deploy": ("drift", "drift_per_tile")}, "drift and drift_per_tile set the same values"),
    ({"deploy": "bias,affine"}, "bias and affine set the same values"),
    ({"deploy": "bias", "deploy_data": samples(4), "deploy_samples": 1}, "expected at least 2"),
])
def test_options_are_checked(pcm: Compiled, options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message) as raised:
        evaluate(pcm, samples(4), chips=1, **options)
    assert raised.value.hint


def test_no_steps_at_all(pcm: Compiled) -> None:
    with pytest.raises(OptionError, match="no steps are given"):
        deploy(pcm, steps=())


# --- distillation ---


def test_distillation_moves_the_affine_towards_the_original_network() -> None:
    """From moments on, on the chip, with unlabelled samples: outputs that were not seen come closer too."""
    compiled = network("reram_128x128")
    x = samples()
    found, seen = {}, []
    for steps in ("moments", "moments,distil"):
        made = deploy(compiled, chip=2, data=x, steps=steps, severity=2.0)
        seen.append(made)
        found[steps] = evaluate(
            compiled, samples(seed=6), chips=[2], severity=2.0, metric="mse", deploy=[made]
        ).mean
    first, second = seen
    assert [step.name for step in second.steps] == ["moments", "distil"]
    assert second.steps[1].figures["loss_after"] < second.steps[1].figures["loss_before"]
    assert set(second.scales) == set(first.scales) and not any(
        torch.equal(first.scales[name], second.scales[name]) for name in first.scales
    )
    assert found["moments,distil"] < found["moments"]
    again = deploy(compiled, chip=2, data=x, steps="distil,moments", severity=2.0)
    assert all(torch.equal(again.scales[name], second.scales[name]) for name in again.scales)


# --- a map among channels ---


def test_the_map_is_that_of_reduced_rank_regression() -> None:
    """Errors that are a map of rank 1 of the outputs, and a constant, are found and undone."""
    generator = torch.Generator().manual_seed(0)
    wanted = torch.randn(6, 50, 8, generator=generator)
    u, v = torch.randn(8, 1, generator=generator), torch.randn(1, 8, generator=generator)
    found = (wanted - 0.3) @ torch.linalg.inv(torch.eye(8) + 0.1 * u @ v)
    made = mix(1, [found[:2], found[2:]], [wanted[:2], wanted[2:]])
    assert made.read.shape == (8, 1) and made.products == 2 * 8 * 50
    before, after = ((x - wanted).square().mean() for x in (found, made(found)))
    assert float(after) < 1e-3 * float(before)


def test_a_map_among_channels_helps_on_samples_that_were_not_seen(tmp_path: Path) -> None:
    compiled = network("reram_128x128")
    errors = []
    for steps in ("affine", "affine,low_rank"):
        made = deploy(compiled, chip=2, data=samples(200), steps=steps, severity=2.0)
        chip = compiled.simulator(2, severity=2.0, deployment=made)
        ideal = layers(compiled.simulator(2, noise=False), samples(seed=6))
        errors.append(sum(float((y - ideal[n]).square().mean() / ideal[n].square().mean())
                          for n, y in layers(chip, samples(seed=6)).items()))
    assert errors[1] < errors[0]
    assert made.steps[1].figures["macs_per_sample"] > 0
    folder = compiled.save(tmp_path / "net")
    save_deployment(made, folder)
    again = load_deployment(folder, 2)
    assert all(torch.equal(again.mix_reads[name], value) for name, value in made.mix_reads.items())

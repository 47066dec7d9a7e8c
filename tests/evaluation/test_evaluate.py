"""Evaluation of a small network: paired chips, any batch size, each layer alone, what the data must be."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pinat_compile.compiler.build import compile
from pinat_compile.compiler.compiled import Compiled
from pinat_compile.compiler.costs import estimate
from pinat_compile.data import as_dataset
from pinat_compile.errors import DataError, OptionError
from pinat_compile.evaluation import evaluate, outputs_of
from pinat_compile.evaluation import running as module
from tests.zoo import NETWORKS, Array, inputs_for

SAMPLES = 100


def data_for(compiled: Compiled, name: str, samples: int = SAMPLES) -> dict[str, Array]:
    """Random inputs, labelled by the reference with some mistakes."""
    inputs = inputs_for(NETWORKS[name](), batch=samples)
    labels = compiled.reference.run(inputs)[compiled.source.outputs[0]].argmax(axis=1)
    labels[::10] = (labels[::10] + 1) % 5
    return {**inputs, "y": labels}


@pytest.fixture(scope="module")
def chain() -> Compiled:
    model = NETWORKS["conv_bn_chain"]()
    return compile(model, "reram_128x128", calibration=inputs_for(model, batch=32))


@pytest.fixture(scope="module")
def data(chain: Compiled) -> dict[str, Array]:
    return data_for(chain, "conv_bn_chain")


def test_figures(chain: Compiled, data: dict[str, Array]) -> None:
    found = evaluate(chain, data, chips=4)
    assert found.metric == "top1"
    assert found.reference == pytest.approx(0.9)
    assert len(found.per_chip) == 4 and len(set(found.per_chip)) > 1
    assert found.mean == pytest.approx(np.mean(found.per_chip))
    assert found.worst == min(found.per_chip) <= found.p5 <= found.mean
    assert found.top5 is not None and found.top5.reference >= found.reference
    assert found.time_s == 1.0
    assert str(found).startswith("top1 of 4 chips 0.")


def test_an_ideal_chip_is_the_reference() -> None:
    model = NETWORKS["residual"]()
    compiled = compile(model, "ideal_128x128", calibration=inputs_for(model, batch=8))
    found = evaluate(compiled, data_for(compiled, "residual"), chips=2, per_layer=True)
    assert found.reference == found.ideal == found.mean
    assert found.top5 is None  # five classes
    assert found.per_layer is not None
    for layer in found.per_layer:
        assert layer.drop == 0.0 and (layer.snr_db is None or layer.snr_db > 100.0)


def test_chips_are_the_same_alone_and_together(chain: Compiled, data: dict[str, Array]) -> None:
    together = evaluate(chain, data, chips=3)
    alone = [evaluate(chain, data, chips=[number]).mean for number in range(3)]
    assert list(together.per_chip) == alone
    assert evaluate(chain, data, chips=(2, 0)).per_chip == (alone[2], alone[0])


def test_groups_of_chips_give_the_same(
    chain: Compiled, data: dict[str, Array], monkeypatch: pytest.MonkeyPatch
) -> None:
    together = evaluate(chain, data, chips=3, per_layer=True)
    monkeypatch.setattr(module, "PROGRAMMED_CELLS", 1)
    apart = evaluate(chain, data, chips=3, per_layer=True)
    assert replace(apart, per_layer=None) == replace(together, per_layer=None)
    for one, other in zip(apart.per_layer or (), together.per_layer or (), strict=True):
        assert one.snr_db == pytest.approx(other.snr_db) and one.drop == pytest.approx(other.drop)


def test_the_same_on_any_batch_size(chain: Compiled, data: dict[str, Array]) -> None:
    whole = evaluate(chain, data, chips=2, metric="mse")
    for size in (7, 32, 100):
        part = evaluate(chain, data, chips=2, metric="mse", batch_size=size)
        # a value near the edge of two ADC codes may fall to the other side
        assert part.per_chip == pytest.approx(whole.per_chip, rel=2e-2)


def test_reads_are_averaged_and_repeatable(chain: Compiled, data: dict[str, Array]) -> None:
    once, often = (evaluate(chain, data, chips=2, metric="mse", reads=reads) for reads in (1, 8))
    assert all(new < old for new, old in zip(often.per_chip, once.per_chip, strict=True))
    assert evaluate(chain, data, chips=2, metric="mse", reads=8) == often
    plain = estimate(chain).total
    assert once.energy_j is None and often.energy_j == estimate(chain, reads=8).total.energy_total
    assert often.energy_j is not None and plain.energy_total is not None
    on_arrays = sum(getattr(plain, name) or 0.0 for name in ("array", "dac", "adc", "sample_hold"))
    assert often.energy_j >= plain.energy_total + 7 * on_arrays * (1 - 1e-9)
    assert evaluate(chain, data, chips=2, metric="mse", seed=1).per_chip != once.per_chip


def test_severity_and_conditions(chain: Compiled, data: dict[str, Array]) -> None:
    none, nominal, strong = (evaluate(chain, data, chips=2, metric="mse", severity=s) for s in (0.0, 1.0, 3.0))
    assert none.mean < nominal.mean < strong.mean
    assert not nominal.higher_is_better and nominal.worst == max(nominal.per_chip)
    assert evaluate(chain, data, chips=1, time="1d").time_s == 86400.0


def test_each_layer_alone(chain: Compiled, data: dict[str, Array]) -> None:
    found = evaluate(chain, data, chips=2, per_layer=True)
    assert found.per_layer is not None
    assert [layer.name for layer in found.per_layer] == ["conv1", "conv2", "fc"]
    assert all(layer.snr_db is not None and 5.0 < layer.snr_db < 40.0 for layer in found.per_layer)
    assert found.per_chip == evaluate(chain, data, chips=2).per_chip


def test_without_labels_the_reference_is_agreed_with(chain: Compiled, data: dict[str, Array]) -> None:
    found = evaluate(chain, data["x"], chips=2)
    assert (found.metric, found.reference) == ("agreement", 1.0)
    assert found.to_dict()["top5"] is None


def test_what_is_not_finite_is_none(chain: Compiled, data: dict[str, Array]) -> None:
    found = evaluate(chain, data["x"], chips=2, metric="psnr").to_dict()
    assert found["reference"] is None and 0.0 < found["mean"] < 100.0


def test_a_fixed_batch_of_one() -> None:
    model = NETWORKS["old_opset"]()  # its Reshape holds the batch
    compiled = compile(model, "ideal_128x128")
    x = np.random.default_rng(0).standard_normal((20, 1, 10, 10)).astype(np.float32)
    found = evaluate(compiled, {compiled.source.inputs[0]: x}, chips=1)
    assert found.samples == 20 and found.mean == 1.0


def test_progress_ends_where_it_said(chain: Compiled, data: dict[str, Array]) -> None:
    told: list[tuple[int, int]] = []
    evaluate(chain, data, chips=2, per_layer=True, progress=lambda done, total: told.append((done, total)))
    assert told[-1][0] == told[-1][1] and len({total for _, total in told}) == 1
    assert [done for done, _ in told] == sorted(done for done, _ in told)


@pytest.mark.parametrize(("options", "message"), [
    ({"chips": 0}, "expected at least one"),
    ({"chips": [100_000]}, "chips for testing are 0 to 99,999"),
    ({"chips": [-1]}, "chips for testing are 0 to 99,999"),
    ({"chips": [3, 1, 3]}, "a chip is named twice"),
    ({"reads": 0}, "reads = 0"),
    ({"time": "soon"}, "time 'soon'"),
    ({"metric": "best"}, "unknown metric"),
])
def test_options_are_checked(
    chain: Compiled, data: dict[str, Array], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(OptionError, match=message) as raised:
        evaluate(chain, data, **options)
    assert raised.value.hint


def test_data_of_another_shape(chain: Compiled) -> None:
    with pytest.raises(DataError, match=r"input 'x' is float32 \[4, 3, 9, 9\], the model expects") as raised:
        evaluate(chain, np.zeros((4, 3, 9, 9), np.float32))
    assert raised.value.hint


def test_a_network_without_one_result_per_sample(chain: Compiled) -> None:
    compiled = compile(NETWORKS["gemm_variants"](), "ideal_128x128")
    with pytest.raises(DataError, match="not one result for each"):
        evaluate(compiled, np.zeros((8, 9), np.float32))


def test_outputs_of_all_samples(chain: Compiled, data: dict[str, Array]) -> None:
    dataset = as_dataset({"x": data["x"]}, inputs=chain.source.inputs)
    found = outputs_of(chain, chain.simulator(noise=False), dataset)
    assert found[chain.graph.outputs[0]].shape == (SAMPLES, 10)
    with pytest.raises(DataError, match="input 'x' is int64, the network takes float32"):
        outputs_of(chain, chain.simulator(), as_dataset({"x": data["x"].astype(np.int64)}))

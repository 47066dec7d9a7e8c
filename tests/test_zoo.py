"""Networks that nobody here made, where `python -m benchmarks.zoo --fetch` has brought them here."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.zoo.check import check, refusal
from benchmarks.zoo.networks import NETWORKS, Network, available

SMALL = [network for network in NETWORKS if network.small]


@pytest.mark.parametrize("network", SMALL, ids=lambda network: network.name)
def test_equals_onnxruntime_on_ideal_arrays(network: Network) -> None:
    if not available(network):
        pytest.skip(f"{network.package} was not fetched")
    if network.refused is not None:
        assert network.refused in refusal(network)
        return
    result, _ = check(replace(network, real=None))
    assert result.passed(network), result
    assert result.analog >= 3

"""The operator cases that ship with ONNX: all of the supported operators pass, or are listed with a reason."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from pinat_compile.errors import GraphError, ModelError
from pinat_compile.frontend import import_model
from tests.execution import run_arrays
from tests.operators.conformance_exceptions import EXCEPTIONS


@dataclass
class Outcome:
    """Names of the cases by what became of them; ``failed`` with the error."""

    passed: set[str] = field(default_factory=set)
    failed: dict[str, str] = field(default_factory=dict)
    unsupported_operator: set[str] = field(default_factory=set)


def _values(items: Any) -> list[Any]:
    return [numpy_helper.to_array(item) if isinstance(item, onnx.TensorProto) else np.asarray(item) for item in items]


def _run(case: Any) -> None:
    graph = import_model(case.model)
    names = [value.name for value in case.model.graph.input]
    for inputs, outputs in case.data_sets:
        given = {name: value for name, value in zip(names, _values(inputs), strict=False) if name in graph.inputs}
        results = run_arrays(graph, given)
        for name, expected in zip(graph.outputs, _values(outputs), strict=True):
            assert results[name].dtype == expected.dtype
            assert results[name].shape == expected.shape
            np.testing.assert_allclose(results[name], expected, rtol=case.rtol, atol=case.atol)


def _sort(case: Any, outcome: Outcome) -> None:
    try:
        _run(case)
    except ModelError as error:
        if error.message.startswith("unsupported operators"):
            outcome.unsupported_operator.add(case.name)
        else:
            outcome.failed[case.name] = error.message
    except (AssertionError, GraphError, RuntimeError, TypeError, ValueError, IndexError) as error:
        outcome.failed[case.name] = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
    else:
        outcome.passed.add(case.name)


@pytest.fixture(scope="module")
def outcome() -> Outcome:
    found = Outcome()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the cases divide by zero on purpose
        from onnx.backend.test.case.node import collect_testcases

        for case in collect_testcases(None):
            _sort(case, found)
    return found


def test_every_case_passes_or_is_listed(outcome: Outcome, capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        print(
            f"\nONNX conformance: {len(outcome.passed)} cases passed, {len(outcome.failed)} listed,"
            f" {len(outcome.unsupported_operator)} of unsupported operators"
        )
    unexpected = {name: error for name, error in outcome.failed.items() if name not in EXCEPTIONS}
    assert not unexpected


def test_the_docs_quote_these_numbers(outcome: Outcome) -> None:
    text = (Path(__file__).parents[2] / "docs" / "operators.md").read_text("utf-8")
    wanted = re.search(r"(\d+) cases pass, (\d+) stand in the list, (\d+) are of operators", text)
    assert wanted is not None
    found = len(outcome.passed), len(outcome.failed), len(outcome.unsupported_operator)
    if onnx.__version__ == re.search(r"onnx (\d+\.\d+\.\d+)", text)[1]:  # type: ignore[index]
        assert tuple(map(int, wanted.groups())) == found


def test_the_list_is_short_and_current(outcome: Outcome) -> None:
    ran = len(outcome.passed) + len(outcome.failed)
    assert len(EXCEPTIONS) <= 0.02 * ran
    known = outcome.passed | outcome.failed.keys() | outcome.unsupported_operator
    assert set(EXCEPTIONS) & outcome.passed == set()
    assert not EXCEPTIONS.keys() & known - outcome.failed.keys()

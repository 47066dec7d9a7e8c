"""Options of the test run."""

import os

import pytest
from hypothesis import settings

settings.register_profile("shared machine", deadline=None)  # others on the machine make any time limit a chance
settings.load_profile("shared machine")


def pytest_addoption(parser: pytest.Parser) -> None:
    text = "rewrite the expected part of tests/passes/golden; then read the diff"
    parser.addoption("--update-golden", action="store_true", help=text)


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--update-golden") and os.environ.get("CI"):
        raise pytest.UsageError("--update-golden: golden files are reviewed by people and never updated in CI")


@pytest.fixture
def update_golden(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--update-golden"))

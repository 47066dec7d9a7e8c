"""pinat-compile: trained networks onto analog crossbars and photonic arrays.

The public face. Names are looked up on first use (PEP 562), so that ``import pinat_compile`` costs nothing and
``pinat-compile --help`` answers at once.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from pinat_compile.characterization.characterize import characterize as characterize
    from pinat_compile.characterization.result import Characterization as Characterization
    from pinat_compile.compiler.build import compile as compile
    from pinat_compile.compiler.compiled import Compiled as Compiled
    from pinat_compile.compiler.costs import estimate as estimate
    from pinat_compile.compiler.deployments import load_deployment as load_deployment
    from pinat_compile.compiler.deployments import save_deployment as save_deployment
    from pinat_compile.compiler.folder import load as load
    from pinat_compile.data import Dataset as Dataset
    from pinat_compile.data import Preprocess as Preprocess
    from pinat_compile.data import load_data as load_data
    from pinat_compile.errors import PinatError as PinatError
    from pinat_compile.evaluation import Evaluation as Evaluation
    from pinat_compile.evaluation import compare as compare
    from pinat_compile.evaluation import deploy as deploy
    from pinat_compile.evaluation import evaluate as evaluate
    from pinat_compile.evaluation import explore as explore
    from pinat_compile.evaluation.plan_search import search_plan as search_plan
    from pinat_compile.evaluation.redundancy import add_redundancy as add_redundancy
    from pinat_compile.evaluation.studies.run import StudyResult as StudyResult
    from pinat_compile.evaluation.studies.run import study as study
    from pinat_compile.evaluation.sweeping import sweep as sweep
    from pinat_compile.exports import export as export
    from pinat_compile.exports.torch_state import state_dict as state_dict
    from pinat_compile.hardware.loader import list_targets as list_targets
    from pinat_compile.hardware.loader import load_target as load_target
    from pinat_compile.hardware.schema import Target as Target
    from pinat_compile.reporting.page.report import report as report
    from pinat_compile.reporting.plots import plot as plot
    from pinat_compile.simulator.deployment import Deployment as Deployment
    from pinat_compile.training.finetune import finetune as finetune

_HOME = {
    "Characterization": "pinat_compile.characterization.result",
    "Compiled": "pinat_compile.compiler.compiled",
    "Dataset": "pinat_compile.data",
    "Deployment": "pinat_compile.simulator.deployment",
    "Evaluation": "pinat_compile.evaluation",
    "PinatError": "pinat_compile.errors",
    "Preprocess": "pinat_compile.data",
    "StudyResult": "pinat_compile.evaluation.studies.run",
    "Target": "pinat_compile.hardware.schema",
    "add_redundancy": "pinat_compile.evaluation.redundancy",
    "characterize": "pinat_compile.characterization.characterize",
    "compare": "pinat_compile.evaluation",
    "compile": "pinat_compile.compiler.build",
    "deploy": "pinat_compile.evaluation",
    "estimate": "pinat_compile.compiler.costs",
    "evaluate": "pinat_compile.evaluation",
    "explore": "pinat_compile.evaluation",
    "export": "pinat_compile.exports",
    "finetune": "pinat_compile.training.finetune",
    "list_targets": "pinat_compile.hardware.loader",
    "load": "pinat_compile.compiler.folder",
    "load_data": "pinat_compile.data",
    "load_deployment": "pinat_compile.compiler.deployments",
    "load_target": "pinat_compile.hardware.loader",
    "plot": "pinat_compile.reporting.plots",
    "report": "pinat_compile.reporting.page.report",
    "save_deployment": "pinat_compile.compiler.deployments",
    "search_plan": "pinat_compile.evaluation.plan_search",
    "state_dict": "pinat_compile.exports.torch_state",
    "study": "pinat_compile.evaluation.studies.run",
    "sweep": "pinat_compile.evaluation.sweeping",
}
"""Public name -> the module that defines it."""

__all__ = ["__version__", *sorted(_HOME)]  # noqa: F822  looked up below


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'pinat_compile' has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})

"""Nothing is imported before it is needed: the help answers at once."""

import resource
import subprocess
import sys

import pytest

HEAVY = ("torch", "onnx", "onnxruntime", "onnxscript", "networkx", "numpy", "PIL", "safetensors", "scipy",
         "statsmodels", "matplotlib", "pandas", "bokeh", "jinja2")

HELP = f"""
import sys
sys.argv = ["pinat-compile", "--help"]
from pinat_compile.cli import main
try:
    main()
except SystemExit as stop:
    assert not stop.code, stop.code
loaded = [name for name in {HEAVY!r} if name in sys.modules]
sys.exit(f"loaded: {{loaded}}" if loaded else 0)
"""


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)


def test_help_loads_nothing_heavy() -> None:
    done = run(HELP)
    assert done.returncode == 0, done.stderr
    assert "Usage" in done.stdout


def test_help_answers_in_well_under_a_second() -> None:
    """Seconds of the processor, beside a bare interpreter: other work on the machine must not fail it."""

    def seconds(code: str) -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        run(code)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime

    assert seconds(HELP) - seconds("pass") < 0.5


@pytest.mark.parametrize("module", ["pinat_compile", "pinat_compile.errors", "pinat_compile.targets"])
def test_light_modules_stay_light(module: str) -> None:
    done = run(f"import sys, {module}; sys.exit(str([n for n in {HEAVY!r} if n in sys.modules] or ''))")
    assert done.stderr.strip() == ""

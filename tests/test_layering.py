"""Who may import whom: imports point leftwards only; ONNX stays in the frontend; rooms and public names never clash."""

import ast
import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import pinat_compile

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "pinat_compile"

ORDER: tuple[tuple[str, ...], ...] = (
    ("errors",),
    ("tables",),
    ("targets", "engines"),
    ("graph", "hardware"),
    ("physics", "frontend", "data"),
    ("cost",),
    ("passes", "simulator"),
    ("compiler", "nn"),
    ("characterization", "training", "exports", "ebm"),
    ("evaluation",),
    ("reporting",),
    ("cli",),
    ("__main__",),
)
"""Each room may import the rooms in the rows above its own, and itself."""

ONNX = {"onnx", "onnx_ir", "onnxruntime", "onnxscript"}
LEVEL = {room: level for level, rooms in enumerate(ORDER) for room in rooms}


def modules() -> list[Path]:
    """Every module of the library once, as a path in the repository."""
    inside = [path for path in PACKAGE.rglob("*.py") if path.relative_to(PACKAGE).parts[0] not in ("passes", "targets")]
    return sorted(inside + [path for folder in ("passes", "targets") for path in (ROOT / folder).rglob("*.py")])


def room_of(path: Path) -> str:
    """The room that a module belongs to; "" for the public face."""
    parts = path.relative_to(ROOT).parts
    inner = parts[1:] if parts[0] == "pinat_compile" else parts
    return "" if inner == ("__init__.py",) else inner[0].removesuffix(".py")


def imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and dotted name of all that is imported, in functions too; ``from a import b`` gives a.b."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called in ("import_module", "__import__") and isinstance(node.args[0].value, str):
                yield node.lineno, node.args[0].value


def offences(path: Path) -> Iterator[str]:
    """What a module imports and may not."""
    room, where = room_of(path), path.relative_to(ROOT)
    for line, name in imports(ast.parse(path.read_text("utf-8"))):
        top, _, rest = name.partition(".")
        if top in ONNX and room != "frontend":
            yield f"{where}:{line}: {top} is for the frontend alone"
        if top != "pinat_compile" or room == "":
            continue
        other = rest.partition(".")[0]
        if other in ("__version__", room) or (other not in LEVEL and room in ("cli", "__main__")):
            continue
        if other not in LEVEL:
            yield f"{where}:{line}: {name} is the public face; import the room that defines it"
        elif LEVEL[other] >= LEVEL[room]:
            yield f"{where}:{line}: {room} may not import {other}"


def test_every_room_has_its_place() -> None:
    assert {room_of(path) for path in modules()} - {""} <= set(LEVEL), "add the new room to ORDER"


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_leftwards(path: Path) -> None:
    assert not list(offences(path))


@pytest.mark.parametrize(("room", "code", "offence"), [
    ("physics", "from pinat_compile.graph import Graph", ""),
    ("physics", "from pinat_compile.physics.wires import solve", ""),
    ("graph", "from pinat_compile import __version__", ""),
    ("graph", "from pinat_compile.hardware import Target", "graph may not import hardware"),
    ("graph", "def f():\n    import pinat_compile.cost", "graph may not import cost"),
    ("cost", "from pinat_compile import cli", "cost may not import cli"),
    ("cost", "import importlib\nimportlib.import_module('pinat_compile.cli')", "cost may not import cli"),
    ("cost", "from pinat_compile import evaluate", "is the public face"),
    ("cost", "import pinat_compile as pc", "is the public face"),
    ("cli", "import pinat_compile as pc", ""),
    ("cost", "import onnx.helper", "onnx is for the frontend alone"),
    ("frontend", "import onnx.helper", ""),
])
def test_the_rule_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: str, code: str, offence: str) -> None:
    monkeypatch.setattr(f"{__name__}.ROOT", tmp_path)
    path = tmp_path / "pinat_compile" / room / "planted.py"
    path.parent.mkdir(parents=True)
    path.write_text(code)
    found = list(offences(path))
    assert len(found) == bool(offence) and all(offence in text for text in found)


def test_public_names_stay_functions_after_every_import() -> None:
    """Importing pinat_compile.x sets the attribute x of pinat_compile: a room of a function's name would replace it."""
    for module in pkgutil.walk_packages(pinat_compile.__path__, "pinat_compile."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    rooms = {room_of(path) for path in modules()}
    assert not rooms & set(pinat_compile.__all__)
    for name in pinat_compile.__all__:
        assert not isinstance(getattr(pinat_compile, name), ModuleType), name


def test_the_public_face_refuses_other_names() -> None:
    with pytest.raises(AttributeError, match="no attribute 'no_such_name'"):
        pinat_compile.no_such_name  # noqa: B018
    assert set(pinat_compile.__all__) <= set(dir(pinat_compile))

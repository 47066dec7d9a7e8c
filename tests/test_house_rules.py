"""Rules that hold for every committed file: no global seeding, no paths of a machine, links where they belong."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

GLOBAL_RANDOMNESS = re.compile(
    r"\btorch(\.\w+)*\.(manual_seed|seed)\("
    r"|\b(np|numpy)\.random\.(?!default_rng\b|Generator\b|SeedSequence\b|BitGenerator\b|Philox\b|PCG64\b)\w+"
    r"|(?<![\w.])random\.(seed|random|randint|shuffle|choice|uniform|gauss)\(")

MACHINE_PATH = re.compile(rb"(^|[^A-Za-z0-9._-])/(?:work|root|home|tmp|Users)/[A-Za-z0-9._-]+/", re.MULTILINE)


def committed() -> list[str]:
    """Paths that git tracks, links left out."""
    lines = subprocess.run(["git", "ls-files", "-s", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    entries = [line.split("\t", 1) for line in lines.split("\0") if line]
    return [path for mode, path in entries if not mode.startswith("120000") and (ROOT / path).is_file()]


def library() -> list[Path]:
    return [ROOT / path for path in committed()
            if path.endswith(".py") and path.startswith(("pinat_compile/", "passes/", "targets/"))]


def test_no_global_randomness_in_the_library() -> None:
    found = [f"{path.relative_to(ROOT)}:{number}: {line.strip()}" for path in library()
             for number, line in enumerate(path.read_text("utf-8").splitlines(), 1) if GLOBAL_RANDOMNESS.search(line)]
    assert not found, "randomness is an argument: a torch.Generator or a chip key"


@pytest.mark.parametrize(("line", "found"), [
    ("torch.manual_seed(0)", True),
    ("torch.cuda.manual_seed(0)", True),
    ("np.random.seed(0)", True),
    ("x = np.random.rand(3)", True),
    ("random.shuffle(x)", True),
    ("g = torch.Generator().manual_seed(0)", False),
    ("generator.manual_seed(0)", False),
    ("rng = np.random.default_rng(0)", False),
    ("bits = np.random.Philox(key=3)", False),
])
def test_the_search_for_global_randomness(line: str, found: bool) -> None:
    assert bool(GLOBAL_RANDOMNESS.search(line)) == found


def test_no_committed_file_names_a_path_of_a_machine() -> None:
    found = [path for path in committed() if MACHINE_PATH.search((ROOT / path).read_bytes())]
    assert not found


def test_the_search_for_machine_paths() -> None:
    for place in ("home", "root", "tmp"):
        assert MACHINE_PATH.search(f'File "/{place}/someone/x.py"'.encode())
    for harmless in ("/usr/share/datasets/x/", "a/home/b/c", "the rate /work/ time"):
        assert not MACHINE_PATH.search(harmless.encode())


def test_the_two_links_are_committed_as_links() -> None:
    for name in ("passes", "targets"):
        entry = subprocess.run(["git", "ls-files", "-s", f"pinat_compile/{name}"], cwd=ROOT, check=True,
                               capture_output=True, text=True).stdout
        assert entry.startswith("120000"), f"pinat_compile/{name} is not a link"
        target = subprocess.run(["git", "cat-file", "-p", entry.split()[1]], cwd=ROOT, check=True, capture_output=True,
                                text=True).stdout
        assert target == f"../{name}"

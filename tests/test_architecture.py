"""Who imports whom, held by walking the imports; and what every source file must be."""

import ast
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "modeling_axk1"
ROOMS = {"cli", "model", "tokenizer", "weights", "stream", "data", "train", "hub"}
# The floor that every room stands on, and the one file above them that only the command line starts.
FLOOR = {"errors", "files", "checksums", "progress", "shipped", "environment"}
TOP = {"quickstart", "__main__", "__init__", "registration"}
ALLOWED = {
    "data": {"data"},
    "weights": {"weights"},
    "stream": {"stream", "weights", "model"},
    "tokenizer": {"tokenizer", "data"},
    "train": {"train", "data", "tokenizer", "model", "weights"},
    "hub": {"hub", "weights", "tokenizer"},
    "model": {"model"},
    "quickstart": {"quickstart", "data", "tokenizer", "train", "weights", "hub", "model"},
    "registration": {"model"},
    "cli": ROOMS | {"quickstart", ""},
    "__main__": {"cli"},
    "__init__": {"registration", "model"},
}
TRAVELLERS = {
    "quantised_axk1.py": set(),
    "products_axk1.py": {"quantised_axk1"},
    "checkpoint_axk1.py": {"quantised_axk1"},
    "configuration_axk1.py": set(),
    "cache_axk1.py": set(),
    "generation_axk1.py": {"cache_axk1"},
    "reading_axk1.py": set(),
    "policies_axk1.py": set(),
    "streaming_axk1.py": {"policies_axk1", "reading_axk1"},
    "memory_axk1.py": {"checkpoint_axk1", "policies_axk1", "quantised_axk1", "reading_axk1"},
    # The one circle: what is streamed is made of the model's parts, and loading a model may ask for it.
    "streamed_axk1.py": {
        "memory_axk1",
        "modeling_axk1",
        "products_axk1",
        "quantised_axk1",
        "reading_axk1",
        "streaming_axk1",
    },
    "attach_axk1.py": {
        "checkpoint_axk1",
        "memory_axk1",
        "modeling_axk1",
        "policies_axk1",
        "products_axk1",
        "quantised_axk1",
        "reading_axk1",
        "streamed_axk1",
        "streaming_axk1",
    },
    "modeling_axk1.py": {
        "attach_axk1",
        "cache_axk1",
        "checkpoint_axk1",
        "configuration_axk1",
        "generation_axk1",
        "memory_axk1",
        "quantised_axk1",
    },
}


def sources() -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*.py") if "_shipped" not in path.parts)


def room_of(path: Path) -> str:
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def imported(path: Path) -> set[str]:
    """Absolute names of the package's modules that a file imports, at the top or inside functions."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 or path.name in TRAVELLERS, f"{path}: relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names} if node.level == 0 else set()
    return {name for name in names if name.split(".")[0] == "modeling_axk1"}


@pytest.mark.parametrize("path", sources(), ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_imports_go_one_way(path):
    room = room_of(path)
    for name in imported(path):
        parts = name.split(".")
        target = parts[1] if len(parts) > 1 else ""
        if target not in ROOMS | FLOOR | TOP:
            target = ""  # a name of the package itself, such as __version__
        if room in FLOOR:
            assert target in FLOOR, f"{path}: the floor imports {name}"
        elif path.name in TRAVELLERS:
            raise AssertionError(f"{path} travels to the hub alone and must not import {name}")
        else:
            assert target in ALLOWED[room] | FLOOR, f"{path}: {room} must not import {name}"


def test_nothing_imports_the_command_line():
    importers = {room_of(path) for path in sources() for name in imported(path) if name.startswith("modeling_axk1.cli")}
    assert importers <= {"cli", "__main__"}


@pytest.mark.parametrize(("name", "siblings"), TRAVELLERS.items())
def test_the_travelling_files_need_only_each_other(name, siblings):
    tree = ast.parse((PACKAGE / "model" / name).read_text("utf-8"))
    relative = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.level > 0}
    outside = {
        (node.module or "").split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.level == 0
    }
    assert relative == siblings
    # safetensors comes with transformers.
    assert outside - sys.stdlib_module_names <= {"torch", "transformers", "safetensors"}


@pytest.mark.parametrize("room", sorted(ROOMS))
def test_every_room_has_a_tests_folder_of_the_same_name(room):
    assert (Path(__file__).parent / room).is_dir()


def test_no_file_is_called_utils():
    assert not [path for path in sources() if path.stem in ("utils", "helpers", "common", "misc")]

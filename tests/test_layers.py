"""The law of imports: reid <- indexer <- search <- cli; one importing place per heavy dependency."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LAYERS = ["reid", "indexer", "search", "cli"]
COMMANDS = "search/commands/"  # of the command line: cli.py alone imports them, and they import when called

# Where a heavy dependency may be imported: a module, or a folder that ends with "/".
HOMES = {
    "torch": ["reid/networks/", "reid/runtimes/pytorch.py", "reid/training/"],
    "torchvision": ["reid/networks/"],
    "onnxruntime": ["reid/runtimes/onnx.py"],
    "openvino": ["reid/runtimes/openvino.py"],
    "safetensors": ["reid/weights.py"],
    "cv2": ["reid/images.py"],
    "PIL": ["reid/images.py"],
    "scipy": ["indexer/tracker.py"],
    "av": ["indexer/decoder.py", "indexer/video.py", "indexer/cutting.py", "reid/people/footage.py"],
    "anny": ["reid/people/body.py"],
    "numba": ["reid/people/kernels/"],
    "lmdb": ["indexer/keyvalue.py"],
    "msgpack": ["indexer/keyvalue.py"],
    "pydantic": ["indexer/settings.py", "indexer/night_settings.py", "indexer/oidc_settings.py"],
    "pydantic_settings": ["indexer/settings.py"],
    "faiss": ["indexer/codes/"],
    "jinja2": ["search/pages.py"],
    "cryptography": ["search/sealing.py"],
    "argon2": ["search/passwords.py"],
    "fastapi": ["search/console/"],
    "starlette": ["search/console/"],
    "uvicorn": ["search/console/"],
    "h11": ["search/console/"],
    "authlib": ["search/console/oidc.py"],
    "joserfc": ["search/console/oidc.py"],
    "httpx2": ["search/console/oidc.py"],
    "ray": ["indexer/machines.py"],
    "typer": ["cli.py", COMMANDS],
    "tensorflow": [],
}
OPTIONAL = {"onnxruntime", "openvino", "anny", "ray"}


def product_files() -> list[Path]:
    files = [path for layer in LAYERS[:-1] for path in (ROOT / layer).rglob("*.py")]
    return [*sorted(files), ROOT / "cli.py"]


def imports(path: Path) -> Iterator[tuple[str, bool]]:
    """(imported module, is it inside a function) for each import that runs."""
    tree = ast.parse(path.read_text("utf-8"))
    typing_only = {
        id(node)
        for guard in ast.walk(tree)
        if isinstance(guard, ast.If) and ast.unparse(guard.test) == "TYPE_CHECKING"
        for node in ast.walk(guard)
    }
    inside = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef))
        for node in ast.walk(function)
    }
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, id(node) in inside
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield str(node.module), id(node) in inside


@pytest.mark.parametrize("path", product_files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_follow_the_law(path: Path) -> None:
    own = LAYERS.index(path.relative_to(ROOT).parts[0].removesuffix(".py"))
    where = path.relative_to(ROOT).as_posix()
    is_command = where.startswith(COMMANDS)
    for module, local in imports(path):
        top = module.split(".")[0]
        assert top not in {"benchmarks", "tests"}, f"{where} imports {module}"
        if top in LAYERS:
            assert LAYERS.index(top) <= own, f"{where} imports {module}, a higher layer"
            assert not local or is_command, f"{where} imports {module} inside a function"
        elif local:
            assert top in OPTIONAL or is_command, f"{where} imports {module} inside a function"
        if f"{module}.".startswith("search.commands."):
            allowed = where == "cli.py" or (is_command and not local)
            assert allowed, f"{where} imports {module}, which cli.py alone may"
        if top in HOMES:
            assert any(
                where == home or (home.endswith("/") and where.startswith(home)) for home in HOMES[top]
            ), f"{where} imports {top}, which belongs to {HOMES[top]}"


def test_there_is_no_import_cycle() -> None:
    graph = {}
    for path in product_files():
        name = path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".").removesuffix(".__init__")
        graph[name] = {
            module for module, local in imports(path) if module.split(".")[0] in LAYERS and not local
        }
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " -> ".join([*trail, name])
        if name not in done:
            for module in graph.get(name, ()):
                visit(module, (*trail, name))
            done.add(name)

    for name in graph:
        visit(name, ())


def test_the_law_test_can_fail(tmp_path: Path) -> None:
    bad = tmp_path / "bad.py"
    bad.write_text("import cv2\ndef f():\n    from search import engine\n")
    assert list(imports(bad)) == [("cv2", False), ("search", True)]


def test_top_level_is_what_was_agreed() -> None:
    code = {path.name for path in ROOT.iterdir() if path.is_dir() and any(path.rglob("*.py"))}
    code -= {name for name in code if name.startswith(".")}
    assert code <= {"reid", "indexer", "search", "benchmarks", "tests"}

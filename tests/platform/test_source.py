"""What the source may not do at all: start programs by what somebody asked, look for patterns that somebody wrote, use
other hashes and ciphers than docs/security.md lists."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("billing", "marketplace", "billing_project", "examples")
# Start what the supervisor and the programs are made of; nothing in them serves a request.
STARTERS = {"billing_project/embedded/launch.py", "billing_project/embedded/processes.py", "billing_project/program.py"}
STARTING = re.compile(
    r"(os\.(system|popen|posix_spawnp?|exec\w+|spawn\w+)|subprocess\.\w+|pty\.spawn|asyncio\.create_subprocess_\w+)"
)
EVALUATING = {"eval", "exec", "compile", "__import__"}
PRIMITIVE = re.compile(r"(hashlib|hmac|secrets|random)\.\w+")
PATTERNS = {"compile", "match", "fullmatch", "search", "sub", "subn", "split", "findall", "finditer"}


@cache
def sources() -> dict[str, ast.Module]:
    paths = (path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
    return {str(path.relative_to(ROOT)): ast.parse(path.read_text()) for path in paths}


def calls() -> Iterator[tuple[str, str, ast.Call]]:
    """File, what is called as it is written, and the call."""
    for file, tree in sources().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                yield file, ast.unparse(node.func), node


def test_few_files_start_programs_and_none_by_a_shell() -> None:
    found = {file for file, name, _ in calls() if STARTING.fullmatch(name)}
    assert found == STARTERS
    shells = [file for file, _, call in calls() for each in call.keywords if each.arg == "shell"]
    assert shells == []


def test_nothing_that_serves_requests_imports_what_starts_programs() -> None:
    modules = {file.removesuffix(".py").replace("/", ".") for file in STARTERS}
    names = {name.rpartition(".")[2]: name.rpartition(".")[0] for name in modules}
    for file, tree in sources().items():
        if file.startswith("billing_project/"):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                assert node.module not in modules, file
                assert not any(names.get(each.name) == node.module for each in node.names), file
            if isinstance(node, ast.Import):
                assert not modules & {each.name for each in node.names}, file


def test_nothing_is_evaluated() -> None:
    assert [(file, name) for file, name, _ in calls() if name in EVALUATING] == []


def test_patterns_are_constants() -> None:
    """So none is made of input: what is put together is put together of other constants of its module."""
    loose = []
    for file, name, call in calls():
        if name.partition(".")[0] == "re" and name.partition(".")[2] in PATTERNS:
            pattern = call.args[0]
            parts = [each for each in ast.walk(pattern) if isinstance(each, ast.Name)]
            written = isinstance(pattern, ast.Constant | ast.JoinedStr | ast.BinOp)
            if not written or not all(each.id.isupper() or each.id.startswith("_") for each in parts):
                loose.append((file, ast.unparse(call)))
    assert loose == []


def test_the_page_lists_every_hash_and_cipher_and_where_it_is_used() -> None:
    page = (ROOT / "docs" / "security.md").read_text().partition("## Keys and algorithms")[2]
    listed = {(name, file) for line in page.splitlines() for name, file in _listed(line)}
    used = {(name, file) for file, tree in sources().items() for name in _used(tree)}
    assert used == listed


def _used(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and PRIMITIVE.fullmatch(ast.unparse(node)):
            yield ast.unparse(node)
        if isinstance(node, ast.ImportFrom):
            # An exception is no cipher.
            for each in (each for each in node.names if each.name != "InvalidToken"):
                name = f"{node.module}.{each.name}".removeprefix("django.utils.crypto.")
                if PRIMITIVE.fullmatch(name) or name == "salted_hmac" or name.startswith("cryptography."):
                    yield name.rpartition(".")[2] if name.startswith("cryptography.") else name


def _listed(line: str) -> Iterator[tuple[str, str]]:
    """``| primitives | what for | files |``"""
    cells = line.split("|")
    if len(cells) == 5:
        for name in re.findall(r"`([\w.]+)`", cells[1]):
            for file in re.findall(r"`([\w/]+\.py)`", cells[3]):
                yield name, file

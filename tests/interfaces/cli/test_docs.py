"""The examples of docs/cli.md are run, in order, and must say what they say there.

``WRITE_DOCS=1`` puts what they say now into the page instead.
"""

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support import cli

ROOT = Path(__file__).resolve().parents[3]
PAGE = ROOT / "docs" / "cli.md"
PROMPT = "$ mcpctl billing "
EDIT = "$ sed -i "
EXIT = "# exit code "
# What is another each time, and how it is shown.
VARYING = (
    (re.compile(r"chk_test_[0-9A-Za-z]{54}"), "chk_test_" + "x" * 54),
    (re.compile(r"chk_test_[0-9A-Za-z]{5}…"), "chk_test_xxxxx…"),
    (
        re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}"),
        "01a20068-0000-7000-8000-000000000000",
    ),
    (re.compile(r" in [0-9.]+ s \([0-9,]+/s\)"), " in 0.1 s (10,000/s)"),
    (re.compile(r"cli:[^ ]+"), "cli:ada"),
)


def test_every_example_says_what_the_page_says(real_db: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = PAGE.read_text()
    (tmp_path / "config").mkdir()
    shutil.copy(ROOT / "config" / "plans.yaml", tmp_path / "config")
    file = re.search(r"\$ cat (\S+)\n(.*?)```", page, re.DOTALL)
    assert file is not None
    (tmp_path / file[1]).write_text(file[2])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LOGNAME", "ada")

    said = re.sub(r"(?<=```console\n).*?(?=```\n)", lambda block: _run(block[0]), page, flags=re.DOTALL)

    if os.environ.get("WRITE_DOCS"):
        PAGE.write_text(said)
    else:
        assert said.splitlines() == page.splitlines()


def _run(block: str) -> str:
    lines = []
    for command in (line for line in block.splitlines() if line.startswith((PROMPT, EDIT))):
        if command.startswith(EDIT):
            subprocess.run(shlex.split(command)[1:], check=True)
            lines.append(command)
            continue
        ran = cli.run(*shlex.split(command.removeprefix(PROMPT)))
        lines += [command, *_constant(ran.out + ran.err).splitlines()]
        if ran.code:
            lines.append(f"{EXIT}{ran.code}")
    return "".join(f"{line}\n" for line in lines)


def _constant(text: str) -> str:
    for pattern, shown in VARYING:
        text = pattern.sub(shown, text)
    return text

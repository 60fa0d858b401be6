"""Units, containers and the page about them run the programs that there are, with the settings that there are."""

import re
import shlex
from pathlib import Path

import pytest
import yaml

from billing_project import program

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "config" / "operations"
PAGE = (ROOT / "docs" / "operations.md").read_text()
MODULE = "billing_project.program"
SETTINGS = "billing_project.settings.production"
# Of a development machine; and what the page names once for a family of settings.
NOT_OF_PRODUCTION = {"DEBUG", "EXAMPLE_CASEWORK"}


@pytest.mark.parametrize("name", sorted(program.PROGRAMS))
def test_each_program_has_a_unit(name: str) -> None:
    (file,) = (FOLDER / "systemd").glob(f"countinghouse-{name}*.service")
    (command,) = re.findall(r"^ExecStart=(.+)$", file.read_text(), re.MULTILINE)
    assert shlex.split(command) == ["/opt/countinghouse/.venv/bin/python", "-m", MODULE, name]


@pytest.mark.parametrize("name", sorted(program.PROGRAMS))
def test_each_program_has_a_container(name: str) -> None:
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    (of_image,) = re.findall(r"^CMD (.+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert services[name].get("command", yaml.safe_load(of_image)) == ["python", "-m", MODULE, name]


def test_the_image_has_the_settings_of_production() -> None:
    text = (ROOT / "Dockerfile").read_text()
    assert set(re.findall(r"DJANGO_SETTINGS_MODULE=(\S+)", text)) == {SETTINGS}
    assert "USER countinghouse" in text


def test_containers_migrate_as_the_owner_after_the_roles_are_made() -> None:
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    owner = "countinghouse_owner"
    assert owner in (FOLDER / "roles.sql").read_text()
    assert owner in services["migrate"]["environment"]["DATABASE_URL"]
    assert [name for name, service in services.items() if owner in str(service)] == ["migrate"]
    assert "roles" in services["migrate"]["depends_on"]
    assert all("migrate" in services[name]["depends_on"] for name in program.PROGRAMS)


def test_every_setting_of_the_environment_is_on_a_page() -> None:
    """One that the page of operations leaves out stands on the page of its subject."""
    sources = [*(ROOT / "billing_project" / "settings").glob("*.py"), ROOT / "billing_project" / "door.py"]
    names = {
        name
        for path in sources
        for name in re.findall(r"(?:\benv(?:\.\w+)?|os\.environ\.get)\(\s*\"([A-Z][A-Z_]+)\"", path.read_text())
    }
    pages = "".join(path.read_text() for path in (ROOT / "docs").glob("*.md"))
    assert len(names) > 40
    assert {name for name in names - NOT_OF_PRODUCTION if not re.search(rf"\b{name}\b", pages)} == set()


def test_files_that_the_page_names_are_there() -> None:
    named = set(re.findall(r"`((?:config|tests|docs)/[\w./-]+)`", PAGE))
    assert named
    assert {name for name in named if not (ROOT / name).exists()} == set()


def test_the_proxy_speaks_present_tls_and_leads_no_call_on() -> None:
    """What it then does was tried by hand (docs/operations.md)."""
    text = (FOLDER / "nginx.conf").read_text()
    assert re.findall(r"ssl_protocols ([^;]+);", text) == ["TLSv1.2 TLSv1.3"]
    plain, encrypted = text.split("listen 443 ssl;")
    assert re.search(r"location /api/ \{\s*return 403;", plain)
    assert "location /api/" not in encrypted
    assert "server_tokens off;" in encrypted

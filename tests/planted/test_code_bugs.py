"""Two of the bugs in the code, and the proofs that see them; ``make planted`` plants them all."""

import pytest

from tests.planted.code_bugs import CODE_BUGS, CodeBug, caught
from tests.planted.scenarios import findings

SHORT = [bug for bug in CODE_BUGS if bug.name in ("a doubled retry", "a skipped expiry")]


@pytest.mark.usefixtures("real_db")
@pytest.mark.parametrize("bug", SHORT, ids=lambda bug: bug.name)
def test_nothing_is_found_without_it(bug: CodeBug) -> None:
    assert findings(bug.proofs[0]) == []


@pytest.mark.usefixtures("real_db")
@pytest.mark.parametrize("bug", SHORT, ids=lambda bug: bug.name)
def test_a_bug_is_seen(bug: CodeBug, monkeypatch: pytest.MonkeyPatch) -> None:
    bug.plant(monkeypatch)
    assert caught(bug, findings(bug.proofs[0]))

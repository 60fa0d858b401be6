"""Source strings are marked for translation: no template of a page says anything that a translator would not be shown.

Left out are the desk of staff and the mails, which are English as invoices are, and what is no language: names of
formats.
"""

import re
from pathlib import Path

import pytest

TEMPLATES = Path(__file__).resolve().parents[3] / "templates"
ENGLISH = ("admin/", "unfold/", "billing/mail/")
NAMES = re.compile(r"\b(?:Countinghouse|PDF|CSV|XLSX|UTC|API)\b")
_MARKED = re.compile(r"\{%\s*blocktranslate\b.*?%\}.*?\{%\s*endblocktranslate\s*%\}", re.DOTALL)
_COMMENT = re.compile(r"\{%\s*comment\b.*?endcomment\s*%\}|\{#.*?#\}|<!--.*?-->", re.DOTALL)
_CODE = re.compile(r"<(script|style|code|pre)\b.*?</\1>", re.DOTALL)
_TAG = re.compile(r"\{%.*?%\}|\{\{.*?\}\}", re.DOTALL)
_SAID = re.compile(r"""\b(?:aria-label|alt|title|placeholder|summary)=(?:"([^"]*)"|'([^']*)')""")
_HTML = re.compile(r"<[^>]+>", re.DOTALL)
_WORD = re.compile(r"[^\W\d_]{2}")


def unmarked(source: str) -> list[str]:
    """What a template says by itself."""
    bare = _TAG.sub("", _CODE.sub("", _MARKED.sub("", _COMMENT.sub("", source))))
    said = ["".join(found) for found in _SAID.findall(bare)]
    said += re.sub(r"&\w+;", " ", _HTML.sub("\n", bare)).splitlines()
    return [text.strip() for text in said if _WORD.search(NAMES.sub("", text))]


def list_pages() -> list[str]:
    found = (str(each.relative_to(TEMPLATES)) for each in TEMPLATES.rglob("*.html"))
    return sorted(name for name in found if not name.startswith(ENGLISH))


@pytest.mark.parametrize("name", list_pages())
def test_every_word_of_a_page_is_marked(name: str) -> None:
    assert unmarked((TEMPLATES / name).read_text()) == []


@pytest.mark.parametrize(
    "planted",
    ["<p>Hello</p>", "{% translate 'a' %} and more", '<a title="To the shop"></a>', "<h1>{{ name }}’s plan</h1>"],
)
def test_a_word_that_is_not_marked_is_seen(planted: str) -> None:
    assert unmarked(planted)


@pytest.mark.parametrize(
    "marked",
    ["{% translate 'Hello' %}", "{% blocktranslate %}Hello{% endblocktranslate %}", "<b>{{ words }}</b> · 3 ×", "PDF"],
)
def test_a_marked_one_is_not(marked: str) -> None:
    assert unmarked(marked) == []

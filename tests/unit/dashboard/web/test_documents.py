"""The documentation that the dashboard shows without a network."""

import re

import pytest
from support.repository import REPOSITORY

from centralcloud.dashboard.pages.words import FINDING_KINDS, finding_guide
from centralcloud.dashboard.web.documents import find_document

_TEMPLATES = REPOSITORY / "centralcloud/dashboard/templates"


def test_every_page_that_is_named_is_a_link_to_a_section_that_is_served() -> None:
    texts = {file: file.read_text() for file in _TEMPLATES.rglob("*.html")}
    assert not [file for file, text in texts.items() if re.search(r"<code>\s*(docs/|{{ *[a-z.]*guide)", text)]
    linked = [match for text in texts.values() for match in re.findall(r'href="/(docs/[^"{]+)"', text)]
    assert len(linked) >= 2
    guides = [guide.path for kind in FINDING_KINDS if (guide := finding_guide(kind)) is not None]
    for path in (*linked, *guides):
        name, _, anchor = path.removeprefix("docs/").partition("#")
        found = find_document(name)
        assert found is not None, path
        assert not anchor or anchor in {each.anchor for each in found.sections}, path


def test_a_line_of_code_does_not_begin_a_section() -> None:
    found = find_document("how-to/see-use-and-cost.md")
    assert found is not None
    assert found.title == "See what each application uses and costs"
    assert all(each.title and not each.title.startswith("#") for each in found.sections)


@pytest.mark.parametrize(
    "name", ["../README.md", "explanation/../../pyproject.toml", "images/demo.svg", "", "how-to/x.md"]
)
def test_no_other_file_is_read(name: str) -> None:
    assert find_document(name) is None

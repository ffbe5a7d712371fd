"""Words for kinds of findings."""

import re
from pathlib import Path

from support.repository import REPOSITORY

from centralcloud.dashboard.pages.words import (
    FINDING_KINDS,
    finding_guide,
    finding_state,
    finding_title,
    pair_words,
    sentence,
)
from centralcloud.monitoring.finding_detector import ALL_KINDS


def test_every_kind_of_finding_of_the_reference_has_a_title_and_no_other_has() -> None:
    text = (REPOSITORY / "docs/reference/tables.md").read_text()
    section = text.partition("\n## Findings\n")[2].partition("\n### ")[0]
    named = set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE))
    assert named == set(FINDING_KINDS)
    assert named == set(ALL_KINDS), "`centralcloud findings --kind` takes each of them"


def test_the_guide_of_each_kind_is_a_section_of_a_page_that_exists() -> None:
    for kind in FINDING_KINDS:
        guide = finding_guide(kind)
        assert guide is not None
        name, _, anchor = guide.path.partition("#")
        headings = re.findall(r"^#+ (.*)$", (Path(REPOSITORY) / name).read_text(), re.MULTILINE)
        assert guide.title in headings, kind
        if anchor:
            assert anchor == re.sub(r"[^\w -]", "", guide.title.lower()).replace(" ", "-"), kind


def test_a_kind_of_a_later_version_has_no_code_name_on_screen() -> None:
    assert finding_title("a_new_kind") == "A new kind"
    assert finding_guide("a_new_kind") is None


def test_a_finding_is_as_urgent_as_its_share_of_the_traffic() -> None:
    shares = [0.001, 0.02, 0.3, None]
    assert [finding_state("slow", share) for share in shares] == ["neutral", "look", "bad", "look"]
    assert finding_state("newcomer", 1.0) == "note"


def test_only_a_complexity_makes_a_pair_of_a_subject() -> None:
    assert pair_words("a/b/complex") == "a/b for complex tasks"
    assert pair_words("host/7") == "host/7"


def test_a_message_becomes_a_sentence() -> None:
    assert sentence("half of them fail") == "Half of them fail."
    assert sentence("atlas is slow", ["atlas"]) == "atlas is slow."
    long = "it rose (log-likelihood ratio 15; chance explains up to 10)"
    assert sentence(long) == "It rose."
    assert sentence(long, statistics=True) == "It rose (log-likelihood ratio 15; chance explains up to 10)."
    assert sentence("(62.8%): 3 expected!") == "(62.8%): 3 expected!"


def test_words_that_pages_use_without_a_definition_stand_in_the_glossary() -> None:
    glossary = (REPOSITORY / "docs/reference/glossary.md").read_text()
    for word in ("frontier", "G", "leader", "finding", "pin", "hold", "probe", "shadow rule"):
        assert f"\n| {word} |" in glossary, word

"""The comparison of the database of operators with that of the pages."""

import pytest

from centralcloud.dashboard.actions.same_database import Identity, OtherDatabaseError, check_same

_PAGES = Identity("routing", 16_384, 7_001)


@pytest.mark.parametrize("cluster", [7_001, None])
def test_the_same_database_passes_under_every_name_of_its_pooler(cluster: int | None) -> None:
    check_same(_PAGES, Identity("routing_by_pooler", 16_384, cluster))


@pytest.mark.parametrize(
    ("operators", "where"),
    [
        (Identity("staging", 16_385, 7_001), "the database 'staging' of the same server"),
        (Identity("routing", 16_384, 7_002), "the database 'routing' of another server"),
        (Identity("staging", 16_390, None), "the database 'staging'"),
    ],
)
def test_another_database_or_another_server_is_refused_with_both_names(operators: Identity, where: str) -> None:
    with pytest.raises(OtherDatabaseError, match=f"{where}, expected 'routing', which the pages show"):
        check_same(_PAGES, operators)

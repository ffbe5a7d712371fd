"""The revisions and the names of tables that commands know without Alembic and SQLAlchemy."""

from alembic.config import Config
from alembic.script import ScriptDirectory

from centralcloud.store.schema_revision import known_revisions, migrations_folder
from centralcloud.store.table_names import TABLES
from centralcloud.store.tables import metadata


def test_the_revisions_are_those_that_alembic_finds() -> None:
    config = Config()
    config.set_main_option("script_location", str(migrations_folder()))
    script = ScriptDirectory.from_config(config)
    known = known_revisions(migrations_folder())
    assert known.newest == script.get_current_head()
    assert known.revisions == {each.revision for each in script.walk_revisions()}


def test_the_names_of_the_tables_are_those_of_their_declarations() -> None:
    assert list(TABLES) == sorted(metadata.tables)

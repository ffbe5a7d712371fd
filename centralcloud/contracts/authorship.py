"""The way in which a change was made, for the log of operators' actions and the history of the configuration. Pure."""

#: The author and the source of a version of the configuration that a migration wrote: `migration as ROLE`, `revision 0021`.
_MIGRATION_AUTHOR = "migration as "
_MIGRATION_SOURCE = "revision "


def way_of(who: str, via: str | None, source: str | None) -> str | None:
    """Return `migration` for a change that a migration made, which is stored as one of the command line; else `via`.

    No operator is named so: the source of a command is a host name, which has no space.
    """
    made = who.startswith(_MIGRATION_AUTHOR) and source is not None and source.startswith(_MIGRATION_SOURCE)
    return "migration" if made else via

"""A target that a plan leaves out, with the reason."""

from msgspec import Struct


class Struck(Struct, frozen=True):
    """A target that a plan leaves out.

    Attributes:
        key: of the target; the name in the configuration for a model that the catalog does not have.
        code: the reason: ``inactive``, ``deprecated``, ``model_type``, ``provider_unavailable``, ``input``, ``no_score``,
            ``not_in_catalog``, ``workspace_restriction``, ``compliance``, ``policy_cost``, ``budget``, or one of
            `RELAXATIONS`.
        words: the reason in words.
    """

    key: str
    code: str
    words: str

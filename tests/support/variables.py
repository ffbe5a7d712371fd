"""The environment variables that programs read."""

from pydantic_settings import BaseSettings

from centralcloud.runtime.settings import _variables


def every_variable(*settings_classes: type[BaseSettings]) -> set[str]:
    """Return the variables of settings, all names of each."""
    return {
        name
        for settings_class in settings_classes
        for field in settings_class.model_fields
        for _, choices in _variables(settings_class, field)
        for name in choices
    }

"""Settings that are given by name or found in the environment: one loader for both programs."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, NamedTuple, Self

from pydantic import AfterValidator, SecretStr, ValidationError, field_validator
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from .environment import EnvironmentFault, check_names, variable
from .http.semantics import is_header_value

MOST = 2**53
"""No whole number is larger."""

MOST_SECONDS = 366 * 24 * 60 * 60
"""No time in seconds is longer."""


class Variables(NamedTuple):
    """The variables of a setting that is not named after the prefix, in an annotation: the first that is set counts."""

    names: tuple[str, ...]


def _token(token: SecretStr) -> SecretStr:
    text = token.get_secret_value().strip()
    if text and not is_header_value(text):
        raise PydanticCustomError(
            "token", "a token is visible ASCII on one line, as an HTTP header has, 512 characters at most"
        )
    return SecretStr(text)


Token = Annotated[SecretStr, AfterValidator(_token)]
"""A secret that is sent in a header, or compared with one: white space around it, as files have, does not count."""


class EnvironmentSettings(BaseSettings):
    """Settings from keywords, then from the environment.

    A setting's variable is ``env_prefix`` and its name in capitals, unless its annotation has ``Variables``. A variable
    that is set but blank counts as unset. Variables with the prefix that no setting and no command has are refused:
    ``EnvironmentFault``.
    """

    model_config = SettingsConfigDict(frozen=True, extra="forbid")

    command_variables: ClassVar[tuple[str, ...]] = ()
    """Variables with the prefix that options of the command line read."""

    @field_validator("*")
    @classmethod
    def _bounded(cls, value: Any) -> Any:
        """Hold numbers to what clocks and databases can add to."""
        most = MOST_SECONDS if isinstance(value, float) else MOST
        if isinstance(value, int | float) and value > most:
            raise PydanticCustomError("too_large", "Input should be at most {most}", {"most": most})
        return value

    @classmethod
    def variables(cls, name: str) -> tuple[str, ...]:
        """The variables of the setting ``name``, first the one that counts first."""
        for mark in cls.model_fields[name].metadata:
            if isinstance(mark, Variables):
                return mark.names
        return (cls._own_variable(name),)

    @classmethod
    def named(cls, name: str) -> str:
        """The setting ``name`` for a message, with the variable that is set or is to be: ``name (VARIABLE)``."""
        variables = cls.variables(name)
        return f"{name} ({next(filter(variable, variables), variables[0])})"

    @classmethod
    def check_environment(cls) -> None:
        """Raise ``EnvironmentFault`` for a variable that has the prefix and no meaning."""
        known = {name: name for name in cls.command_variables}
        for name in cls.model_fields:
            variables = cls.variables(name)
            known |= {cls._own_variable(name): variables[0]}
            known |= {one: one for one in variables}
        check_names(cls.model_config["env_prefix"], known)

    @classmethod
    def read(cls, **values: Any) -> Self:
        """Settings from ``values`` and the environment. Raises ``EnvironmentFault``, which names the variable, too."""
        try:
            return cls(**values)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            name = ".".join(str(part) for part in first["loc"])
            shown = cls.named(name) if name in cls.model_fields else name
            raise EnvironmentFault(
                f"The setting {shown} cannot be used: {first['msg']}.", hint="See docs/settings.md."
            ) from None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Keywords go before the environment; no file is read."""
        return init_settings, _Environment(settings_cls)

    @classmethod
    def _own_variable(cls, name: str) -> str:
        return f"{cls.model_config['env_prefix']}{name.upper()}"


class _Environment(PydanticBaseSettingsSource):
    """The settings that variables give, as text."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """The setting's value, ``None`` if no variable gives one, its name, and that it is no JSON."""
        assert issubclass(self.settings_cls, EnvironmentSettings)  # noqa: S101 - nothing else makes one
        for name in self.settings_cls.variables(field_name):
            if (value := variable(name)) is not None:
                return value, field_name, False
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        """Every setting that a variable gives."""
        assert issubclass(self.settings_cls, EnvironmentSettings)  # noqa: S101 - nothing else makes one
        self.settings_cls.check_environment()
        given = {
            name: self.get_field_value(field, name)[0]
            for name, field in self.settings_cls.model_fields.items()
        }
        return {name: value for name, value in given.items() if value is not None}

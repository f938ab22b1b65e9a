"""Settings come from one place each, and what is no setting is refused by name."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from stepbus.contracts.problems import Refused
from stepbus.orchestrator.bootstrap.settings import COMMAND_LINE, DEFAULT_SOURCE, MASK, Settings, masked, read_settings

GIVEN: dict[str, tuple[str, object]] = {
    "data": ("elsewhere", Path("elsewhere")),
    "store": ("postgresql://user@host/database", "postgresql://user@host/database"),
    "bus": ("nats://host:4223", "nats://host:4223"),
    "nats_port": ("4333", 4333),
    "prefix": ("shop", "shop"),
    "partitions": ("4", 4),
    "publish_timeout_s": ("1.5", 1.5),
    "environment": ("production", "production"),
    "api_host": ("0.0.0.0", "0.0.0.0"),  # noqa: S104 - what is given, not what is bound
    "api_port": ("9000", 9000),
    "api_key": ("secret", "secret"),
    "round_limit": ("64", 64),
    "round_wait_ms": ("0.5", 0.5),
    "cache_tasks": ("10", 10),
    "passivate_after_s": ("0.5", 0.5),
    "backlog_limit": ("500", 500),
    "drain_timeout_s": ("3", 3.0),
}
"""For each setting, a text that is not its default, and the value that it gives."""

UNFIT = {
    "store": "log.db",
    "bus": "embedded server",
    "nats_port": "65536",
    "prefix": "two words",
    "partitions": "0",
    "publish_timeout_s": "0",
    "environment": "",
    "api_host": "",
    "api_port": "-1",
    "api_key": "",
    "round_limit": "0",
    "round_wait_ms": "-1",
    "cache_tasks": "none",
    "passivate_after_s": "0",
    "backlog_limit": "0",
    "drain_timeout_s": "-1",
}
"""For each setting that does not take every text, one that it refuses."""


def value_of(settings: Settings, name: str) -> object:
    value = getattr(settings, name)
    return value.get_secret_value() if isinstance(value, SecretStr) else value


def toml(folder: Path, text: str) -> Path:
    file = folder / "stepbus.toml"
    file.write_text(text)
    return file


def refused_by(file: Path | None = None, environ: dict[str, str] | None = None, **overrides: object) -> Refused:
    with pytest.raises(Refused) as caught:
        read_settings(file, environ or {}, overrides)
    return caught.value


def test_every_setting_has_an_example_here() -> None:
    assert set(GIVEN) == set(Settings.model_fields)


@pytest.mark.parametrize("name", Settings.model_fields)
def test_a_setting_says_what_it_is(name: str) -> None:
    assert Settings.model_fields[name].description


@pytest.mark.parametrize("name", GIVEN)
def test_a_setting_is_read_from_its_variable(name: str) -> None:
    text, value = GIVEN[name]
    variable = f"STEPBUS_{name.upper()}"

    loaded = read_settings(None, {variable: text}, {})

    assert value_of(loaded.settings, name) == value != value_of(Settings(), name)
    assert loaded.sources[name] == variable


@pytest.mark.parametrize("name", GIVEN)
def test_a_setting_is_read_from_the_file(name: str, tmp_path: Path) -> None:
    text, value = GIVEN[name]
    file = toml(tmp_path, f'{name} = "{text}"\n')

    loaded = read_settings(file, {}, {})

    assert value_of(loaded.settings, name) == value
    assert loaded.sources[name] == str(file)


@pytest.mark.parametrize("name", UNFIT)
def test_an_unfit_value_is_refused_where_it_was_given(name: str) -> None:
    refused = refused_by(environ={f"STEPBUS_{name.upper()}": UNFIT[name]})

    (problem,) = refused.problems
    assert problem.code == "settings.invalid"
    assert problem.pointer == f"/{name}"
    assert f"STEPBUS_{name.upper()}" in problem.message


def test_the_command_line_is_stronger_than_the_environment_and_that_than_the_file(tmp_path: Path) -> None:
    file = toml(tmp_path, "api_port = 1\npartitions = 1\nround_limit = 1\n")
    environ = {"STEPBUS_API_PORT": "2", "STEPBUS_PARTITIONS": "2"}

    loaded = read_settings(file, environ, {"api_port": 3})

    assert (loaded.settings.api_port, loaded.settings.partitions, loaded.settings.round_limit) == (3, 2, 1)
    assert loaded.sources["api_port"] == COMMAND_LINE
    assert loaded.sources["cache_tasks"] == DEFAULT_SOURCE


def test_the_store_is_a_file_in_the_data_folder_unless_given(tmp_path: Path) -> None:
    settings = read_settings(None, {"STEPBUS_DATA": f"{tmp_path}/a folder"}, {}).settings

    assert settings.store == f"sqlite://{tmp_path}/a%20folder/log.db"


def test_an_unknown_key_is_refused_with_its_line_and_the_nearest_name(tmp_path: Path) -> None:
    file = toml(tmp_path, "# ports\n\napi_prot = 1\n")

    (problem,) = refused_by(file).problems

    assert problem.code == "settings.unknown_key"
    assert problem.pointer == "/api_prot"
    assert problem.line == 3
    assert "did you mean api_port?" in problem.message


def test_an_unknown_variable_is_refused_with_the_nearest_name() -> None:
    (problem,) = refused_by(environ={"STEPBUS_API_KYE": "x"}).problems

    assert problem.code == "settings.unknown_variable"
    assert "did you mean STEPBUS_API_KEY?" in problem.message


def test_an_unknown_override_is_refused() -> None:
    (problem,) = refused_by(api_prot="1").problems

    assert problem.code == "settings.unknown_key"


def test_variables_of_others_are_none_of_ours() -> None:
    environ = dict.fromkeys(("PATH", "STEPBUS_URL", "STEPBUS_CONFIG", "STEPBUS_NATS_URL", "STEPBUS_TEST_ANYTHING"), "x")

    assert read_settings(None, environ, {}).settings == Settings()


def test_everything_that_is_wrong_is_named_at_once(tmp_path: Path) -> None:
    file = toml(tmp_path, "round_limit = 0\nunheard_of = 1\n")

    refused = refused_by(file, {"STEPBUS_NOWHERE": "1", "STEPBUS_API_PORT": "x"})

    assert [(problem.code, problem.line) for problem in refused.problems] == [
        ("settings.unknown_key", 2),
        ("settings.unknown_variable", None),
        ("settings.invalid", None),
        ("settings.invalid", 1),
    ]


def test_a_file_that_is_not_toml_is_refused_with_its_line(tmp_path: Path) -> None:
    (problem,) = refused_by(toml(tmp_path, "api_port = 1\napi_host =\n")).problems

    assert (problem.code, problem.line) == ("settings.malformed", 2)


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_a_file_that_cannot_be_read_is_refused(content: bytes | None, tmp_path: Path) -> None:
    file = tmp_path / "stepbus.toml"
    if content is not None:
        file.write_bytes(content)

    (problem,) = refused_by(file).problems

    assert problem.code == "settings.unreadable"


def test_secrets_are_not_shown() -> None:
    environ = {"STEPBUS_API_KEY": "hush-hush", "STEPBUS_STORE": "postgresql://user:hush-hush@host/database"}

    loaded = read_settings(None, environ, {})

    assert "hush-hush" not in str(loaded.shown())
    assert "hush-hush" not in repr(loaded)
    assert loaded.shown()["store"]["value"] == f"postgresql://user:{MASK}@host/database"


def test_the_password_of_a_url_is_masked_with_any_signs_in_it_and_the_token_of_nats_is_one() -> None:
    assert masked("redis://:p:w@rd@host/1") == f"redis://:{MASK}@host/1"
    assert masked("amqp://ann:pw@one:5672,two:5672/v") == f"amqp://ann:{MASK}@one:5672,two:5672/v"
    assert masked("nats://token@one,two") == f"nats://{MASK}@one,two"
    assert masked("postgresql://ann@host:5432/log") == "postgresql://ann@host:5432/log"


def test_a_password_in_an_unfit_url_is_not_shown() -> None:
    assert "hush-hush" not in str(refused_by(environ={"STEPBUS_BUS": "NATS://user:hush-hush@host"}))


def test_settings_do_not_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Settings().api_port = 1

"""The settings: one frozen value, read once at the edge.

A setting is looked for on the command line, in the environment (`STEPBUS_<NAME>`) and in one TOML file, in this
order; else it is the default. What is not a setting is refused by name, wherever it stands: a misspelt one is never a
silent default.
"""

import os
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from stepbus.contracts.problems import Problem, Refused, escape_pointer, refuse
from stepbus.contracts.validation import problems_of

CONFIG_FILE = Path("stepbus.toml")
PREFIX = "STEPBUS_"
DEFAULT_SOURCE = "default"
COMMAND_LINE = "command line"
MASK = "********"

NOT_SETTINGS = frozenset({"STEPBUS_URL", "STEPBUS_CONFIG", "STEPBUS_NATS_URL"})
"""Variables that the command line and the TypeScript worker read for themselves."""
_TEST_PREFIX = "STEPBUS_TEST_"


def _store_in(fields: Mapping[str, Any]) -> str:
    data: Path = fields.get("data", Path())
    return f"sqlite://{quote((data.absolute() / 'log.db').as_posix())}"


Port = Annotated[int, Field(ge=0, le=65535)]
Count = Annotated[int, Field(ge=1)]
Url = Annotated[str, Field(pattern=r"^[a-z][a-z0-9+.-]*:")]


class Settings(BaseModel):
    """All that a deployment decides."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: Path = Field(
        default=Path(".stepbus"), description="folder of what is kept here: the SQLite log, the embedded broker's files"
    )
    store: Url = Field(
        default_factory=_store_in,
        repr=False,  # as of the bus: a URL may hold a password
        description="URL of the log and the views: sqlite:///folder/log.db or postgresql://user@host/database; "
        "log.db in the data folder unless given",
    )
    bus: Annotated[str, Field(pattern=r"^embedded$|^[a-z][a-z0-9+.-]*:")] = Field(
        default="embedded",
        repr=False,
        description="URL of the bus: nats://host:4222 or memory:name; `embedded` starts a NATS server as a child if "
        "the extra `nats` is installed, and is memory:dev if not",
    )
    nats_port: Port = Field(default=4222, description="port of the embedded NATS server; 0 takes a free one")
    prefix: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$")] = Field(
        default="stepbus",
        description="first word of every channel's name on the bus, so that several deployments can share one broker",
    )
    partitions: Annotated[int, Field(ge=1, le=64)] = Field(
        default=8, description="into how many channels the answers of workers are spread"
    )
    publish_timeout_s: Annotated[float, Field(gt=0)] = Field(
        default=5.0, description="seconds that the broker has to confirm a message"
    )
    environment: str | None = Field(
        default=None, min_length=1, description="which of a template's `environments` is merged into it at registration"
    )
    api_host: Annotated[str, Field(min_length=1)] = Field(
        default="127.0.0.1", description="address that the API listens on"
    )
    api_port: Port = Field(default=8300, description="port that the API listens on; 0 takes a free one")
    api_key: Annotated[SecretStr, Field(min_length=1)] | None = Field(
        default=None,
        description="key that every request to the API must carry as a bearer token; none is demanded unless it is set",
    )
    round_limit: Count = Field(
        default=200, description="most commands that the coordinator decides and commits in one round"
    )
    round_wait_ms: Annotated[float, Field(ge=0)] = Field(
        default=0.0,
        description="milliseconds that a round waits for more than its first command; 0 takes what has come",
    )
    cache_tasks: Count = Field(
        default=20_000, description="most tasks whose state the coordinator keeps in memory; half of them make room"
    )
    passivate_after_s: Annotated[float, Field(gt=0)] = Field(
        default=30.0,
        description="seconds after which a task that nothing happens to leaves the coordinator's memory, twice as many "
        "at most; it is read from the log when something does",
    )
    backlog_limit: Count = Field(
        default=5_000,
        description="commands that may wait to be decided, or records to be sent, before the API turns new tasks away "
        "for a moment",
    )
    drain_timeout_s: Annotated[float, Field(ge=0)] = Field(
        default=10.0, description="seconds that what is in hand has to finish at a stop"
    )


@dataclass(frozen=True)
class LoadedSettings:
    """The settings, and where each comes from: `default`, the file, the variable, or `command line`."""

    settings: Settings
    sources: Mapping[str, str]

    def shown(self) -> dict[str, dict[str, Any]]:
        """Give value, source and description by name, with secrets masked: the key whole, of a URL the password."""
        values = self.settings.model_dump(mode="json")
        return {
            name: {
                "value": masked(values[name]) if isinstance(values[name], str) else values[name],
                "source": self.sources[name],
                "description": field.description,
            }
            for name, field in Settings.model_fields.items()
        }


def load_settings(file: Path | None = None, overrides: Mapping[str, object] | None = None) -> LoadedSettings:
    """Give the settings of this process: its environment, and the file given or `stepbus.toml` where that is there.

    Raises:
        Refused: see `read_settings`.
    """
    if file is None and "STEPBUS_CONFIG" in os.environ:
        file = Path(os.environ["STEPBUS_CONFIG"])
    if file is None and CONFIG_FILE.is_file():
        file = CONFIG_FILE
    return read_settings(file, os.environ, overrides or {})


def environment_without_settings() -> dict[str, str]:
    """Give this process's environment as a child should have it that is told all of its settings otherwise."""
    return {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}


def read_settings(file: Path | None, environ: Mapping[str, str], overrides: Mapping[str, object]) -> LoadedSettings:
    """Give the settings that a file, an environment and overrides make, each stronger than the one before.

    Raises:
        Refused: every unknown name and every unfit value, coded `settings.…`; or the file can't be read.
    """
    text = "" if file is None else _read(file)
    in_file = {} if file is None else _parsed(file, text)
    in_environment = {name: value for name, value in environ.items() if _is_for_us(name)}
    problems = [*_unknown_keys(in_file, text), *_unknown_variables(in_environment)]

    values: dict[str, object] = {}
    sources = dict.fromkeys(Settings.model_fields, DEFAULT_SOURCE)
    for name in Settings.model_fields:
        variable = PREFIX + name.upper()
        if name in in_file:
            values[name], sources[name] = in_file[name], str(file)
        if variable in in_environment:
            values[name], sources[name] = in_environment[variable], variable
    values |= overrides
    sources |= dict.fromkeys(overrides, COMMAND_LINE)
    try:
        loaded = LoadedSettings(Settings.model_validate(values), sources)
    except ValidationError as error:
        raise Refused(
            problems + [_placed(problem, sources, text) for problem in problems_of(error, "settings")]
        ) from error
    if problems:
        raise Refused(problems)
    return loaded


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise refuse("settings.unreadable", f"expected a TOML file at {file}, but {error}") from error


def _parsed(file: Path, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        place = re.search(r"line (\d+)", str(error))
        line = int(place[1]) if place else len(text.splitlines())
        raise refuse("settings.malformed", f"expected TOML in {file}, but {error}", line=line) from error


def _is_for_us(variable: str) -> bool:
    return variable.startswith(PREFIX) and variable not in NOT_SETTINGS and not variable.startswith(_TEST_PREFIX)


def _unknown_keys(in_file: Mapping[str, Any], text: str) -> Iterator[Problem]:
    for key in [key for key in in_file if key not in Settings.model_fields]:
        yield Problem(
            code="settings.unknown_key",
            message=f"expected the name of a setting, found {key!r}{_nearest(key, Settings.model_fields)}",
            pointer=f"/{escape_pointer(key)}",
            line=_line_of(key, text),
        )


def _unknown_variables(in_environment: Mapping[str, str]) -> Iterator[Problem]:
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    for variable in sorted(in_environment.keys() - known):
        yield Problem(
            code="settings.unknown_variable",
            message=f"expected the variable of a setting, found {variable}{_nearest(variable, known)}",
            pointer=f"/{escape_pointer(variable)}",
        )


def _nearest(name: str, known: Iterable[str]) -> str:
    near = get_close_matches(name, list(known), n=1)
    return f"; did you mean {near[0]}?" if near else ""


def _placed(problem: Problem, sources: Mapping[str, str], text: str) -> Problem:
    """Say of an unfit value where it was given, and show no password that stands in it."""
    name = problem.pointer.split("/")[1]
    source = sources[name]
    in_text = source not in {DEFAULT_SOURCE, COMMAND_LINE} and not source.startswith(PREFIX)
    return problem.model_copy(
        update={
            "message": f"{masked(problem.message)} (from {source})",
            "line": _line_of(name, text) if in_text else None,
        }
    )


def _line_of(key: str, text: str) -> int | None:
    key_there = re.compile(rf"""\s*\[*\s*["']?{re.escape(key)}["']?\s*[=.\]]""")
    return next((number for number, line in enumerate(text.splitlines(), 1) if key_there.match(line)), None)


def masked(text: str) -> str:
    """Give a text without the passwords of the URLs in it, and without the tokens of NATS, which stand alone."""
    text = re.sub(r"((?:nats|tls)://)[^:/@\s]+@", rf"\1{MASK}@", text)
    return re.sub(r"(://[^:/@\s]*):[^/\s]*@", rf"\1:{MASK}@", text)

"""Environment files of systemd, read as systemd reads them: a value is never evaluated.

As a program, it runs a command with the variables of the files:

    python -m centralcloud.runtime.process.environment_file FILE [FILE...] -- COMMAND [ARGUMENT...]

A later file wins. As in a unit, a file after "-" may be missing.
"""

import os
import re
import sys
from pathlib import Path
from typing import Final, NamedTuple

#: The grammar of EnvironmentFile= in systemd.exec(5), as of systemd 254: quotes count at the beginning of a value only, a
#: backslash escapes one character or continues the line, and a comment is a line of its own.
_LINE: Final = re.compile(
    r"""
    [ \t]*
    (?: [#;] [^\n\r]*
      | (?P<name> [^=\n\r]*? ) [ \t]* =
        (?P<quoted> (?: [ \t]* (?: '[^']*(?:'|\Z) | "(?:\\.|[^"\\])*(?:"|\\?\Z) ) )* )
        [ \t]* (?P<plain> (?: \\(?:.|\Z) | [^\\\n\r] )*? ) [ \t]*
      | (?P<junk> [^\n\r]* )
    )
    (?: [\n\r] | \Z )
    """,
    re.VERBOSE | re.DOTALL,
)
_QUOTED: Final = re.compile(r"""'(?P<literal>[^']*)'?|"(?P<escaped>(?:\\.|[^"\\])*)"?""", re.DOTALL)
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class EnvironmentFileError(Exception):
    """A file that cannot be read; names it, and the reason."""


class Parsed(NamedTuple):
    """The variables of a file, and the numbers of the lines that are neither a comment nor NAME=value."""

    variables: dict[str, str]
    ignored: list[int]


def parse(text: str) -> Parsed:
    """Return the variables that a file sets; the last one of a name counts."""
    parsed = Parsed({}, [])
    position = 0
    while position < len(text):
        line = _LINE.match(text, position)
        assert line is not None, "every text has a first line"
        if line["name"] is not None and _NAME.fullmatch(line["name"]):
            parsed.variables[line["name"]] = _unquote(line["quoted"]) + _unescape(line["plain"])
        elif line["name"] is not None or line["junk"]:
            parsed.ignored.append(len(re.findall(r"\r\n|\r|\n", text[:position])) + 1)
        position = line.end()
    return parsed


def _unquote(quoted: str) -> str:
    parts = (part["literal"] or _unescape_quoted(part["escaped"] or "") for part in _QUOTED.finditer(quoted))
    return "".join(parts)


def _unescape_quoted(text: str) -> str:
    """Between double quotes, a backslash escapes these characters and the end of the line; others keep it."""
    kept = {"\n": "", **{character: character for character in '"\\`$'}}
    return re.sub(r"\\(.)", lambda escape: kept.get(escape[1], escape[0]), text, flags=re.DOTALL)


def _unescape(plain: str) -> str:
    return re.sub(r"\\(.|\Z)", lambda escape: "" if escape[1] in "\n\r" else escape[1], plain, flags=re.DOTALL)


def read(file: str) -> Parsed:
    """Parse a file. One whose name begins with "-" may be missing: it then sets nothing.

    Raises:
        EnvironmentFileError: the file cannot be read.
    """
    path = file.removeprefix("-")
    try:
        return parse(Path(path).read_bytes().decode("utf-8"))
    except OSError as error:
        if path != file and isinstance(error, FileNotFoundError):
            return Parsed({}, [])
        raise EnvironmentFileError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise EnvironmentFileError(f"{path}: expected UTF-8") from None


def main(arguments: list[str]) -> int:
    """Become the command after "--", with the variables of the files before it. Returns an exit code if that fails."""
    if "--" not in arguments[:-1]:
        return _refuse("expected FILE [FILE...] -- COMMAND [ARGUMENT...]")
    end = arguments.index("--")
    command = arguments[end + 1 :]
    try:
        for file in arguments[:end]:
            parsed = read(file)
            for number in parsed.ignored:  # without its text, which may be a part of a password
                _print(f"warning: {file}: line {number} is ignored, as by systemd: expected NAME=value")
            os.environ.update(parsed.variables)
        os.execvp(command[0], command)  # noqa: S606 - without a shell on purpose
    except EnvironmentFileError as error:
        return _refuse(str(error))
    except OSError as error:
        return _refuse(f"{command[0]}: {error.strerror}")
    except ValueError:
        return _refuse(f"{', '.join(arguments[:end])}: found a NUL character, expected text")


def _refuse(reason: str) -> int:
    _print(reason)
    return 2


def _print(line: str) -> None:
    sys.stderr.write(f"{line}\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Units and their environment, read by the rules of systemd's manuals."""

from __future__ import annotations

import re
import subprocess


def parse_command(text: str) -> list[str]:
    """Split an ExecStart= by the rules of systemd.syntax(7) and systemd.service(5) that our quoting uses.

    Words are separated by spaces; a word that begins with a double quote ends with one, and in it a backslash
    escapes a backslash or a double quote. %% is %. A : before the program keeps $ as it is.
    """
    words = []
    rest = text
    while rest:
        match = re.match(r'"((?:[^"\\]|\\["\\])*)"(?: |$)|([^ "\\]+)(?: |$)', rest)
        assert match, rest
        word = match[2] if match[2] is not None else re.sub(r"\\(.)", r"\1", match[1])
        assert re.fullmatch("(?:[^%]|%%)*", word)
        words.append(word.replace("%%", "%"))
        rest = rest[match.end() :]
    assert words[0].startswith(":/")
    words[0] = words[0][1:]
    return words


def parse_environment(text: str) -> dict[str, str]:
    """Read an EnvironmentFile with a POSIX shell: double quotes mean the same there, by systemd.exec(5)."""
    script = "set -a; . /dev/stdin; unset PWD _ SHLVL OLDPWD; exec env -0"
    result = subprocess.run(
        ["sh", "-c", script], input=text.encode(), env={}, capture_output=True, check=True
    )  # fmt: skip
    entries = result.stdout.decode().split("\0")[:-1]
    pairs = (entry.split("=", 1) for entry in entries)
    return {name: value for name, value in pairs if name.startswith("EDGE_")}

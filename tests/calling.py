"""A command called as a user calls it: its exit code and what it printed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from holdfast.cli import run


def called(
    command: str, capsys: pytest.CaptureFixture[str], project: Path, *arguments: str
) -> tuple[int, str, str]:
    """`command`: its name, and options that every call has; `project`: its holdfast.toml."""
    capsys.readouterr()
    code = run([*command.split(), "-c", str(project), *arguments])
    told = capsys.readouterr()
    return code, told.out, told.err


def as_json(
    command: str, capsys: pytest.CaptureFixture[str], project: Path, *arguments: str
) -> dict[str, Any]:
    """The one object that it prints where all went well."""
    code, out, err = called(command, capsys, project, *arguments, "--json")
    assert code == 0, err
    assert out.count("\n") == 1
    found: dict[str, Any] = json.loads(out)
    return found

"""The command `holdfast`: errors become one line and an exit code, never a traceback."""

from __future__ import annotations

import sys

import typer

from holdfast import (
    alerts_command,
    buying_command,
    check_commands,
    data_commands,
    demo_command,
    early_command,
    funnel_command,
    groups_command,
    lifecycle_command,
    model_commands,
    paths_command,
    quality_command,
    report_command,
    retention_command,
    store_commands,
    tune_command,
)
from holdfast.app import app
from runtime.errors import HoldfastError, from_foreign

INTERRUPTED = 130
WRONG_CALL = 2

COMMANDS = (
    alerts_command,
    buying_command,
    check_commands,
    data_commands,
    demo_command,
    early_command,
    funnel_command,
    groups_command,
    lifecycle_command,
    model_commands,
    paths_command,
    quality_command,
    report_command,
    retention_command,
    store_commands,
    tune_command,
)


def main() -> None:
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Runs one command; returns 0 done, 1 the work failed, 2 the call or the data is wrong."""
    try:
        code = app(args=arguments, prog_name="holdfast", standalone_mode=False)
        # Typer turns Ctrl-C into its exit code and says nothing.
        return _interrupted() if code == INTERRUPTED else int(code or 0)
    except (KeyboardInterrupt, typer.Abort):
        return _interrupted()
    except typer.TyperException as error:
        if not arguments:
            sys.stderr.write(error.format_message() + "\n")
            return WRONG_CALL
        return _fail("UsageError", error.format_message(), WRONG_CALL, arguments)
    except HoldfastError as error:
        return _fail(type(error).__name__, str(error), error.exit_code, arguments)
    except Exception as error:
        known = from_foreign(error, "the file system")
        if known is None:
            raise
        return _fail(type(known).__name__, str(known), known.exit_code, arguments)


def _interrupted() -> int:
    sys.stderr.write("interrupted; finished work is kept, run the same command again to go on\n")
    return INTERRUPTED


def _fail(kind: str, message: str, code: int, arguments: list[str]) -> int:
    line = " ".join(message.split())
    sys.stderr.write(f"{kind}: {line}\n")
    if "--json" in arguments:
        from holdfast.output import print_json

        print_json({"error": kind, "message": line, "exit_code": code})
    return code

"""The command as a person calls it, in this process."""

from typer.testing import CliRunner, Result

from shadow_provider import cli


def call(*arguments: str, columns: int = 200) -> Result:
    """Call it where nobody watches a screen."""
    return CliRunner().invoke(cli.app, list(arguments), env={"COLUMNS": f"{columns}", "NO_COLOR": "1", "TERM": "dumb"})


def said_wrong(result: Result, code: int = 1) -> str:
    """The one line in which a command says what is wrong."""
    assert result.exit_code == code, result.output
    (line,) = result.stderr.strip().splitlines()
    assert line.startswith("Error: ")
    return line.removeprefix("Error: ")

"""The commands that need nothing but a decision record: judge it again, and report it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shadow_provider.cli.clients import Aws, Profile
from shadow_provider.cli.common import AsJson, EndpointUrl, Region, clear_errors, fail
from shadow_provider.cli.policies import PolicyOption, policy_of

if TYPE_CHECKING:
    from shadow_provider.verdict.record import DecisionRecord

Record = Annotated[str, typer.Argument(help="A decision record: a file, or s3://bucket/key.", metavar="RECORD")]

_MOST_SHOWN = 20
_NOT_DONE = 2


def judge(
    record: Record,
    policy: PolicyOption = None,
    as_json: AsJson = False,
    endpoint_url: EndpointUrl = None,
    region: Region = None,
    profile: Profile = None,
) -> None:
    """Judge a decision record again, offline: by its own policy to check it, by another one to compare.

    By its own policy it must give the same bytes. Exit codes: 0 the same bytes, or another policy was compared; 1 other
    bytes: the record was changed, or another version wrote it; 2 it could not be read.
    """
    with clear_errors(_NOT_DONE):
        content = Aws(endpoint_url, region, profile).read(record)
        found = record_of(content, record)
        if policy is not None:
            _compare(found, policy, as_json=as_json)
            return
        again = found.judged_again()
    digest, written = again.digest, again.canonical_bytes()
    if written == content:
        said = {"same": True, "digest": digest, "verdict": again.judgement.verdict.value, "differences": []}
        line = f"same bytes: SHA-256 {digest}; {again.judgement.verdict.value}: {again.judgement.reason}"
        typer.echo(json.dumps(said, indent=2) if as_json else line)
        return
    different = list(_differences("", json.loads(content), json.loads(written)))
    if as_json:
        said = {"same": False, "digest": digest, "verdict": again.judgement.verdict.value, "differences": different}
        typer.echo(json.dumps(said, indent=2))
    else:
        _show_other_bytes(found, different)
    raise typer.Exit(1)


def report(
    record: Record,
    output: Annotated[Path, typer.Option("--output", "-o", help="Where to: FILE.html or FILE.md.")],
    endpoint_url: EndpointUrl = None,
    region: Region = None,
    profile: Profile = None,
) -> None:
    """Write the report of a decision record: one self-contained HTML file, or Markdown.

    Exit code 2: the record could not be read, or the report not be written.
    """
    with clear_errors(_NOT_DONE):
        if output.suffix not in REPORTS:
            fail(f"--output: {output} is neither .html nor .md", _NOT_DONE)
        found = record_of(Aws(endpoint_url, region, profile).read(record), record)
        write_report(found, output)
    typer.echo(f"{output}: {output.stat().st_size:,} bytes")


REPORTS = (".html", ".md")
"""What a report's file may be called."""


def write_report(record: DecisionRecord, output: Path) -> None:
    """Write it as what the file is called."""
    from shadow_provider.report import html_report, markdown_report

    output.write_bytes(html_report(record) if output.suffix == ".html" else markdown_report(record).encode())


def record_of(content: bytes, place: str) -> DecisionRecord:
    """The decision record that these bytes are.

    Raises:
        ValueError: they are none; the message is one line.
    """
    from pydantic import ValidationError

    from shadow_provider.cli.typed_values import in_one_line
    from shadow_provider.verdict.record import DecisionRecord

    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict) or "schema_version" not in document:
        raise ValueError(f"{place} is no decision record")
    known = DecisionRecord.model_fields["schema_version"].default
    if document["schema_version"] != known:
        raise ValueError(
            f"{place} has schema version {document['schema_version']}; this version reads {known}: judge it with the "
            f"version of shadow_provider that wrote it ({_writer(document)})"
        )
    try:
        return DecisionRecord.model_validate_json(content)
    except ValidationError as error:
        raise ValueError(f"{place} is no whole decision record: {in_one_line(error, {})}") from error


def _writer(document: dict[str, Any]) -> str:
    versions = document.get("versions")
    return str(versions.get("shadow_provider", "unknown")) if isinstance(versions, dict) else "unknown"


def _compare(record: DecisionRecord, given: str, *, as_json: bool) -> None:
    from shadow_provider.verdict.differences import differences

    policy = policy_of(given)
    again = record.judged_again(policy)
    gates = differences(record.judgement, again.judgement)
    before, after = record.judgement, again.judgement
    notes = _limits_of_comparing(record, again)
    if as_json:
        said = {
            "before": {"verdict": before.verdict.value, "reason": before.reason},
            "after": {"verdict": after.verdict.value, "reason": after.reason},
            "gates": [
                {"name": each.shown_name, "changed": list(each.changed), "in_words": each.in_words()} for each in gates
            ],
            "notes": notes,
        }
        typer.echo(json.dumps(said, indent=2))
        return
    typer.echo(f"by its own policy: {before.verdict.value}: {before.reason}")
    typer.echo(f"by {given}: {after.verdict.value}: {after.reason}\n")
    for line in (*(each.in_words() for each in gates), *(f"note: {note}" for note in notes)):
        typer.echo(line)


def _limits_of_comparing(record: DecisionRecord, again: DecisionRecord) -> list[str]:
    """What stays as it was, because the evidence was collected for the record's own policy."""
    if record.policy.effective_block_seconds == again.policy.effective_block_seconds:
        return []
    return [f"blocks stay {record.evidence.blocks.seconds} s long, as they were collected"]


def _show_other_bytes(record: DecisionRecord, different: list[str]) -> None:
    import shadow_provider

    wrote = record.versions.get("shadow_provider", "unknown")
    typer.echo(
        "other bytes: judging the record's evidence again by its own policy does not give what it says", err=True
    )
    for line in different[:_MOST_SHOWN]:
        typer.echo(f"  {line}", err=True)
    if len(different) > _MOST_SHOWN:
        typer.echo(f"  and {len(different) - _MOST_SHOWN} more", err=True)
    if not different:
        typer.echo("  the content is the same, but it was written in another form", err=True)
    typer.echo(
        f"the record was changed, or another version wrote it: {wrote} did, this is {shadow_provider.__version__}",
        err=True,
    )


def _differences(path: str, old: Any, new: Any) -> Iterator[str]:
    """`path: said this, is that` for each value that differs."""
    if isinstance(old, dict) and isinstance(new, dict):
        for name in sorted(old.keys() | new.keys()):
            yield from _differences(f"{path}.{name}" if path else name, old.get(name), new.get(name))
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for number, (one, other) in enumerate(zip(old, new, strict=True)):
            yield from _differences(f"{path}[{number}]", one, other)
    elif old != new or type(old) is not type(new):
        yield f"{path}: the record says {_short(old)}, its evidence {_short(new)}"


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:59] + "…"

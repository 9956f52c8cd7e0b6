"""A decision record as a document that people read: one HTML file, or Markdown.

Both are functions of the record alone: no AWS, no clock, no network, so a record gives the same report every time (and,
for one version of the chart library, the same bytes). jinja2 and matplotlib are
loaded when a report is made, never when this package is imported.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shadow_provider.verdict.record import DecisionRecord


def html_report(record: "DecisionRecord") -> bytes:
    """The record as one HTML file in UTF-8: no scripts, nothing from elsewhere, at most 2,000,000 bytes."""
    from shadow_provider.report.build import html

    return html(record)


def markdown_report(record: "DecisionRecord") -> str:
    """The record as Markdown (GitHub's), without the charts: their figures stand in its tables."""
    from shadow_provider.report.build import markdown

    return markdown(record)

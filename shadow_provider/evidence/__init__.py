"""AWS to evidence: captures are paired, metrics and ground truth are read, and only counts are left."""

from shadow_provider.verdict.evidence import Evidence, EvidenceWindow

__all__ = ["Evidence", "EvidenceWindow"]

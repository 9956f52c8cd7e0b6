"""What is needed of boto3's clients. The caller brings them, ready: this package makes none."""

from typing import Any, Protocol


class S3Client(Protocol):
    """The two reading verbs of boto3's S3 client."""

    def list_objects_v2(self, **kwargs: Any) -> Any:
        """One page of keys."""

    def get_object(self, **kwargs: Any) -> Any:
        """One object; its Body is read in chunks."""


class CloudWatchClient(Protocol):
    """The reading verb of boto3's CloudWatch client."""

    def get_metric_data(self, **kwargs: Any) -> Any:
        """One page of datapoints."""

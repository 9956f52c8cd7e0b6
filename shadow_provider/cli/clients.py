"""Where AWS is and who asks: the options of the commands that talk to it, and their clients."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

import typer

Profile = Annotated[str | None, typer.Option(help="Profile of ~/.aws; default: as boto3 finds it.", show_default=False)]


@dataclass(frozen=True)
class Aws:
    """One account in one region, as the options say.

    Attributes:
        endpoint_url: the one URL of all services; None for AWS itself.
        region: None for boto3's own.
        profile: None for boto3's own.
    """

    endpoint_url: str | None
    region: str | None
    profile: str | None

    def client(self, service: str) -> Any:
        """A client of a service."""
        return self._session.client(service, endpoint_url=self.endpoint_url)

    @cached_property
    def _session(self) -> Any:
        import boto3

        return boto3.Session(profile_name=self.profile, region_name=self.region)

    def read(self, place: str) -> bytes:
        """What a file, or an object by its S3 URI, holds.

        Raises:
            OSError: it cannot be read; the message names it.
        """
        if not place.startswith("s3://"):
            return Path(place).read_bytes()
        from botocore.exceptions import ClientError, ParamValidationError

        from shadow_provider.evidence.objects import split_uri

        bucket, key = split_uri(place)
        try:
            body: bytes = self.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
        except (ClientError, ParamValidationError) as error:
            raise OSError(f"{place} cannot be read: {error}") from error
        return body

"""The local AWS as a context manager: a process of its own, stopped with the with block or with this process."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from shadow_provider.local.control.calls import Call
from shadow_provider.local.control.client import ControlClient, Faults, SetFault
from shadow_provider.local.faults import Fault
from shadow_provider.local.packing import Source, model_archive
from shadow_provider.local.serving.instance import child_environment
from shadow_provider.local.settings import ACCESS_KEY, SECRET_KEY, LocalAddress, LocalSettings
from shadow_provider.local.temporary import owned_directory

logger = logging.getLogger(__name__)

_START_TIMEOUT = 60.0
_STOP_TIMEOUT = 20.0


class LocalAWS:
    """A local AWS in a child process. Any number of them may run at once; they share nothing.

    Example:
        with LocalAWS(LocalSettings(seed=1)) as aws:
            sagemaker = aws.boto3_client("sagemaker")

    Args:
        settings: How it behaves; the defaults if None.
    """

    def __init__(self, settings: LocalSettings | None = None) -> None:
        self.settings = settings or LocalSettings()
        self._process: subprocess.Popen[bytes] | None = None
        self._directory: Path | None = None
        self._cleaning = ExitStack()
        self._address: LocalAddress | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def address(self) -> LocalAddress:
        """Where it is reached.

        Raises:
            RuntimeError: It is not running.
        """
        if self._address is None:
            raise RuntimeError("the local AWS is not running")
        return self._address

    @property
    def endpoint_url(self) -> str:
        """The URL of all its services."""
        return self.address.endpoint_url

    @property
    def connection_uri(self) -> str:
        """An Airflow connection of type aws."""
        return self.address.connection_uri

    @property
    def pid(self) -> int:
        """The server's process."""
        return self.address.pid

    @property
    def log_path(self) -> Path:
        """The server's log; the model processes' logs are named in it and by `status`."""
        assert self._directory is not None
        return self._directory / "server.log"

    def start(self) -> None:
        """Starts the server and waits until it listens.

        Raises:
            RuntimeError: It ended, or did not listen within 60 s.
        """
        self._directory = self._cleaning.enter_context(owned_directory())
        ready_file = self._directory / "ready.json"
        settings = self.settings
        if settings.work_dir is None:
            settings = settings.model_copy(update={"work_dir": self._directory / "work"})
        arguments = ["--settings", settings.model_dump_json(), "--ready-file", str(ready_file)]
        arguments += ["--parent", str(os.getpid())]
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "shadow_provider.local", *arguments],
                stdin=subprocess.PIPE,  # its end tells the server that we are gone
                stdout=log,
                stderr=log,
                env=child_environment({}),
                start_new_session=True,
            )
        deadline = time.monotonic() + _START_TIMEOUT
        while not ready_file.exists():
            if self._process.poll() is not None or time.monotonic() > deadline:
                text = self.log_path.read_text(errors="replace")[-4000:]
                self.stop()
                raise RuntimeError(f"the local AWS did not start:\n{text}")
            time.sleep(0.01)
        ready = json.loads(ready_file.read_text())
        self._address = LocalAddress(ready["endpoint_url"], settings.region, ready["pid"])

    def stop(self) -> None:
        """Stops the server and everything it started; does nothing if it is not running."""
        process, self._process, self._address = self._process, None, None
        if process is not None:
            process.terminate()
            try:
                process.wait(_STOP_TIMEOUT)
            except subprocess.TimeoutExpired:
                logger.warning("the local AWS does not stop, killing it")
                process.kill()
                process.wait()
            assert process.stdin is not None
            process.stdin.close()
        self._cleaning.close()
        self._directory = None

    def boto3_client(self, service: str, **options: Any) -> Any:
        """An unmodified boto3 client of a service; AWS settings of this machine and its environment do not touch it.

        Args:
            service: boto3's name of the service.
            options: Further arguments of boto3's client().
        """
        import boto3
        import botocore.session

        # A profile that is named in the environment would have to exist.
        unset = {"profile": (None, None, None, None), "config_file": (None, None, os.devnull, None)}
        return boto3.session.Session(
            botocore_session=botocore.session.Session(session_vars=unset),
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
            region_name=self.settings.region,
        ).client(service, endpoint_url=self.endpoint_url, **options)

    def status(self) -> dict[str, Any]:
        """What GET /_local/status answers: endpoints, variants, processes, counters."""
        return ControlClient(self.endpoint_url).send("GET", "status")

    @property
    def faults(self) -> Faults:
        """The faults it has; see docs/local.md."""
        return Faults(ControlClient(self.endpoint_url))

    @contextmanager
    def fault(self, fault: Fault) -> Iterator[SetFault]:
        """Has a fault while the with block lasts."""
        made = self.faults.add(fault)
        try:
            yield made
        finally:
            made.remove()

    def calls(self, operation: str = "*", resource: str = "*", since: int = 0) -> list[Call]:
        """The AWS calls it received, oldest first, as far as the log still has them.

        Args:
            operation: Pattern of the operation's name.
            resource: Pattern of a name that the call mentions.
            since: Only calls with a higher sequence number.
        """
        return ControlClient(self.endpoint_url).calls(operation=operation, resource=resource, since=since)

    def clear_calls(self) -> None:
        """Empties the call log."""
        ControlClient(self.endpoint_url).send("DELETE", "calls")

    def reset(self) -> None:
        """Makes it as it was when it had just started; returns when all model processes have ended.

        Endpoints, configurations, models, buckets and what is in them, roles, metrics, alarms, faults and the call log
        are gone. Calls that are under way meanwhile may meet the old state or the new one.
        """
        ControlClient(self.endpoint_url).send("POST", "reset")

    def put_model(self, uri: str, *sources: Source, files: Mapping[str, str | bytes] | None = None) -> str:
        """Packs a model and puts it into the local S3; makes the bucket if it is missing.

        Args:
            uri: s3://bucket/key of the archive.
            sources: See `model_archive`.
            files: See `model_archive`.

        Returns:
            The URI, for ModelDataUrl.

        Raises:
            ValueError: The URI is not of the form s3://bucket/key.
        """
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        if not uri.startswith("s3://") or not bucket or not key:
            raise ValueError(f"not of the form s3://bucket/key: {uri}")
        s3 = self.boto3_client("s3")
        if bucket not in [known["Name"] for known in s3.list_buckets()["Buckets"]]:
            region = self.settings.region
            where = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
            s3.create_bucket(Bucket=bucket, **where)
        s3.put_object(Bucket=bucket, Key=key, Body=model_archive(*sources, files=files))
        return uri

from __future__ import annotations

import json
import subprocess
import sys
from urllib.parse import parse_qs, urlsplit

import pytest
from pydantic import ValidationError

from shadow_provider.local import LocalAddress, LocalSettings


def test_the_connection_reaches_sts_too() -> None:
    address = LocalAddress.of(LocalSettings(region="eu-west-1"), 4566)
    assert address.endpoint_url == "http://127.0.0.1:4566"
    parts = urlsplit(address.connection_uri)
    assert (parts.scheme, parts.username, parts.password) == ("aws", "local", "local")
    extra = json.loads(parse_qs(parts.query)["__extra__"][0])
    assert extra == {
        "endpoint_url": address.endpoint_url,
        "region_name": "eu-west-1",
        "service_config": {"sts": {"endpoint_url": address.endpoint_url}},
    }
    assert address.environment["AWS_ENDPOINT_URL"] == address.endpoint_url


@pytest.mark.parametrize(
    ("host", "advertised", "url"),
    [
        ("0.0.0.0", None, "http://127.0.0.1:1"),
        ("0.0.0.0", "aws", "http://aws:1"),
        ("::1", None, "http://[::1]:1"),
        ("10.0.0.5", None, "http://10.0.0.5:1"),
    ],
)
def test_the_url_is_one_that_clients_can_use(host: str, advertised: str | None, url: str) -> None:
    assert LocalAddress.of(LocalSettings(host=host, advertise_host=advertised), 1).endpoint_url == url


def test_only_loopback_unless_told_otherwise() -> None:
    assert LocalSettings().host == "127.0.0.1"


def test_settings_that_make_no_sense_are_refused() -> None:
    for wrong in ({"account_id": "1"}, {"startup_timeout": 0}, {"unknown": 1}, {"capture_event_id": "both"}):
        with pytest.raises(ValidationError):
            LocalSettings.model_validate(wrong)


@pytest.mark.parametrize(
    ("clock", "window", "seconds"),
    [(1, None, 480), (1, 60, 60), (1, 0.7, 0.7), (60, 1200, 20), (60, None, 10), (60, 60, 10), (60, 5, 5)],
)
def test_the_clock_shortens_startup_windows_but_leaves_processes_time_to_start(
    clock: float, window: float | None, seconds: float
) -> None:
    assert LocalSettings(clock=clock).startup_window(window) == seconds


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = (
        "import sys, shadow_provider.local\n"
        "heavy = ('moto', 'botocore', 'uvicorn', 'numpy', 'pydantic', 'airflow')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

import json
import logging
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from botocore.exceptions import NoCredentialsError

import shadow_provider.local
from shadow_provider import __version__, cli
from shadow_provider.demo import models as demo_models
from shadow_provider.demo import setup as demo_setup
from shadow_provider.demo import traffic as demo_traffic
from shadow_provider.demo.models import ModelArchive, PredictLatency
from shadow_provider.demo.traffic import TrafficError, TrafficSettings, TrafficSummary
from shadow_provider.local.faults import ApiFault, CaptureFault, EndpointFault, Fault, MetricsFault, VariantFault
from shadow_provider.local.faults.notation import written
from shadow_provider.local.settings import LocalAddress, LocalSettings
from tests.unit.cli.calling import call

SUMMARY = TrafficSummary(
    endpoint_name="digits",
    rate_asked=20,
    rate_sent=19.9,
    seed=0,
    requests_sent=10,
    requests_succeeded=8,
    requests_failed=2,
    requests_unsent=1,
    failures_by_cause={"ModelError": 2},
    started_at="2026-03-01T10:00:00+00:00",
    ended_at="2026-03-01T10:01:00+00:00",
    latency_ms={"p50": 2.5, "p90": 3.5, "p99": 9.0},
    late=3,
    late_ms_max=120.0,
    ground_truth_written=10,
    ground_truth_pending=0,
)


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    logger, root = logging.getLogger("shadow_provider"), logging.getLogger()
    level, handlers = logger.level, root.handlers[:]
    yield
    logger.setLevel(level)
    root.handlers[:] = handlers


def test_version() -> None:
    result = call("--version")
    assert result.exit_code == 0
    assert result.stdout.strip() == f"sagemaker-shadow {__version__}"


@pytest.mark.parametrize(
    "command",
    [
        *("plan", "evaluate", "judge", "report"),
        *("local", "watch", "fault", "calls", "reset", "models", "demo-setup", "traffic", "demo"),
    ],
)
def test_every_command_has_help(command: str) -> None:
    result = call(command, "--help")
    assert result.exit_code == 0
    assert command in call("--help").stdout


def test_import_is_light() -> None:
    heavy = ("airflow", "boto3", "botocore", "moto", "numpy", "pydantic", "scipy", "sklearn", "uvicorn")
    code = f"import shadow_provider.cli, sys; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


class TestTraffic:
    @pytest.fixture
    def runs(self, monkeypatch: pytest.MonkeyPatch) -> list[TrafficSettings]:
        """Settings of the runs asked for; each ends with SUMMARY."""
        seen: list[TrafficSettings] = []

        def run(settings: TrafficSettings, **_: Any) -> TrafficSummary:
            seen.append(settings)
            return SUMMARY

        self.answer(monkeypatch, run)
        return seen

    @staticmethod
    def answer(monkeypatch: pytest.MonkeyPatch, run: Callable[..., TrafficSummary]) -> None:
        monkeypatch.setattr(demo_traffic, "run_traffic", run)

    def test_options_become_settings(self, runs: list[TrafficSettings], tmp_path: Path) -> None:
        result = call(
            *("traffic", "digits", "--rate", "50", "--duration", "9", "--count", "7", "--seed", "3", "--workers", "2"),
            *("--ground-truth", "s3://labels/x", "--wait-for-endpoint", "30", "--summary", str(tmp_path / "s.json")),
            *("--endpoint-url", "http://127.0.0.1:1", "--region", "eu-west-1"),
        )
        assert result.exit_code == 0, result.output
        assert runs == [
            TrafficSettings(
                endpoint_name="digits",
                rate=50,
                duration_seconds=9,
                count=7,
                seed=3,
                workers=2,
                ground_truth_uri="s3://labels/x",
                wait_for_endpoint_seconds=30,
                summary_path=tmp_path / "s.json",
                endpoint_url="http://127.0.0.1:1",
                region="eu-west-1",
            )
        ]

    def test_summary_names_failures_lateness_and_what_was_not_sent(self, runs: list[TrafficSettings]) -> None:
        output = call("traffic", "digits").stdout
        assert len(runs) == 1
        for words in ("sent 10", "failed 2", "ModelError: 2", "late 3 (up to 120 ms)", "p99 9.0 ms", "not sent"):
            assert words in output

    @pytest.mark.parametrize(
        ("options", "changes", "code"),
        [
            ([], {}, 0),
            (["--fail-on-error"], {}, 1),
            (["--fail-on-error"], {"requests_failed": 0, "failures_by_cause": {}}, 0),
            ([], {"ground_truth_pending": 4}, 1),
        ],
    )
    def test_exit_code(
        self, monkeypatch: pytest.MonkeyPatch, options: list[str], changes: dict[str, Any], code: int
    ) -> None:
        self.answer(monkeypatch, lambda *_, **__: replace(SUMMARY, **changes))
        assert call("traffic", "digits", *options).exit_code == code

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_a_signal_stops_it_cleanly(self, monkeypatch: pytest.MonkeyPatch, number: signal.Signals) -> None:
        before = signal.getsignal(number)

        def run(_settings: TrafficSettings, *, stop: threading.Event, **_: Any) -> TrafficSummary:
            signal.raise_signal(number)
            assert stop.wait(10)
            assert signal.getsignal(number) == before, "a second signal must do what it always does"
            return SUMMARY

        self.answer(monkeypatch, run)
        result = call("traffic", "digits")
        assert result.exit_code == 0, result.output
        assert signal.getsignal(number) == before

    @pytest.mark.parametrize(
        "error",
        [
            TrafficError("endpoint digits is Failed: ping"),
            ValueError("bad"),
            NoCredentialsError(),
            OSError("disk full"),
        ],
    )
    def test_what_a_user_can_put_right_is_one_line(self, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
        def run(*_: Any, **__: Any) -> TrafficSummary:
            raise error

        self.answer(monkeypatch, run)
        result = call("traffic", "digits")
        assert result.exit_code == 1
        assert result.stderr.strip().splitlines() == [f"Error: {error}"]

    def test_a_bug_keeps_its_traceback(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def run(*_: Any, **__: Any) -> TrafficSummary:
            raise KeyError("bug")

        self.answer(monkeypatch, run)
        assert isinstance(call("traffic", "digits").exception, KeyError)

    def test_a_missing_extra_names_the_way_to_install_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def run(*_: Any, **__: Any) -> TrafficSummary:
            raise ModuleNotFoundError("No module named 'sklearn'", name="sklearn.datasets")

        self.answer(monkeypatch, run)
        result = call("traffic", "digits")
        assert result.exit_code == 1
        assert "pip install 'airflow-provider-sagemaker-shadow[local]'" in result.stderr
        assert "Traceback" not in result.output

    def test_another_missing_module_is_a_bug(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def run(*_: Any, **__: Any) -> TrafficSummary:
            raise ModuleNotFoundError("No module named 'shadow_provider.x'", name="shadow_provider.x")

        self.answer(monkeypatch, run)
        assert isinstance(call("traffic", "digits").exception, ModuleNotFoundError)

    def test_log_lines_come_every_few_seconds(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        now = [0.0]
        monkeypatch.setattr("shadow_provider.cli.demo.time.monotonic", lambda: now[0])
        caplog.set_level(logging.INFO, logger="shadow_provider")
        lines = cli.demo._LogLines()
        for second in range(12):
            now[0] = float(second)
            lines(SUMMARY)
        assert len(caplog.records) == 2
        assert "sent 10, failed 2, 19.9/s" in caplog.text

    def test_a_terminal_gets_a_live_line(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("rich.console.Console.is_terminal", True)
        with cli.demo._progress(TrafficSettings(endpoint_name="digits", count=50)) as progress:
            progress(SUMMARY)
        assert not isinstance(progress, cli.demo._LogLines)


class StubS3:
    class meta:  # noqa: N801 - boto3's own name
        region_name = "eu-west-1"

    def __init__(self, head_status: int) -> None:
        self.created: list[dict[str, Any]] = []
        self._head_status = head_status

    def head_bucket(self, **_: Any) -> None:
        from botocore.exceptions import ClientError

        if self._head_status != 200:
            response: Any = {"Error": {"Code": "x"}, "ResponseMetadata": {"HTTPStatusCode": self._head_status}}
            raise ClientError(response, "HeadBucket")

    def create_bucket(self, **request: Any) -> None:
        self.created.append(request)


class TestModels:
    @pytest.fixture
    def built(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[tuple[Path, int]]:
        calls: list[tuple[Path, int]] = []
        known = {"good": 0.975, "broken": None}
        archives = {
            name: ModelArchive(name, tmp_path / name / "model.tar.gz", "0123456789abcdef", accuracy, accuracy)
            for name, accuracy in known.items()
        }

        def build(path: Path, seed: int) -> dict[str, ModelArchive]:
            calls.append((path, seed))
            return archives

        monkeypatch.setattr(demo_models, "build_models", build)
        monkeypatch.setattr(demo_models, "measure_latency", lambda _: PredictLatency(0.25, 0.5))
        return calls

    def test_shows_figures_and_places(self, built: list[tuple[Path, int]], tmp_path: Path) -> None:
        result = call("models", str(tmp_path))
        assert result.exit_code == 0, result.output
        assert built == [(tmp_path, demo_models.DEFAULT_SEED)]
        assert "97.50%" in result.stdout
        assert str(tmp_path / "good" / "model.tar.gz") in result.stdout
        assert "predict" not in result.stdout

    def test_measures_what_can_be_loaded(self, built: list[tuple[Path, int]], tmp_path: Path) -> None:
        output = call("models", str(tmp_path), "--measure", "--seed", "5").stdout
        assert built == [(tmp_path, 5)]
        assert output.count("0.250 / 0.500") == 1

    @pytest.mark.usefixtures("built")
    def test_uploads(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        s3 = StubS3(404)
        clients: list[dict[str, Any]] = []

        def client(service: str, **options: Any) -> StubS3:
            clients.append({service: options})
            return s3

        monkeypatch.setattr("boto3.client", client)
        monkeypatch.setattr(demo_models, "upload_models", lambda *_: {"good": "s3://models/x/good/model.tar.gz"})
        url = "http://127.0.0.1:1"
        upload = ("--upload", "s3://models/x", "--create-bucket", "--endpoint-url", url, "--region", "eu-west-1")
        result = call("models", str(tmp_path), *upload)
        assert result.exit_code == 0, result.output
        assert "s3://models/x/good/model.tar.gz" in result.stdout
        assert clients == [{"s3": {"endpoint_url": url, "region_name": "eu-west-1"}}]
        assert s3.created == [
            {"Bucket": "models", "CreateBucketConfiguration": {"LocationConstraint": "eu-west-1"}},
        ]


class TestDemoSetup:
    @pytest.fixture
    def calls(self, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
        calls: list[Any] = []

        def client(service: str, **options: Any) -> str:
            calls.append({service: options})
            return service

        def build(directory: Path) -> str:
            calls.append(directory)
            return "archives"

        def store(archives: str, s3: str) -> dict[str, str]:
            calls.append((archives, s3))
            return {"good": "s3://shadow-demo/models/good/model.tar.gz"}

        monkeypatch.setattr("boto3.client", client)
        monkeypatch.setattr(demo_models, "build_models", build)
        monkeypatch.setattr(demo_setup, "store_models", store)
        return calls

    def test_stores_the_models_and_then_creates_the_endpoint(
        self, monkeypatch: pytest.MonkeyPatch, calls: list[Any], tmp_path: Path
    ) -> None:
        def create(sagemaker: str, timeout: float) -> str:
            calls.append((sagemaker, timeout))
            return "digits-baseline"

        monkeypatch.setattr(demo_setup, "create_live_endpoint", create)
        options = {"endpoint_url": "http://127.0.0.1:1", "region_name": "us-east-1"}
        result = call(
            "demo-setup", "--directory", str(tmp_path), "--timeout", "7",
            "--endpoint-url", "http://127.0.0.1:1", "--region", "us-east-1",
        )  # fmt: skip
        assert result.exit_code == 0, result.output
        assert calls == [
            tmp_path, {"s3": options}, ("archives", "s3"), {"sagemaker": options}, ("sagemaker", 7.0),
        ]  # fmt: skip
        assert "s3://shadow-demo/models/good/model.tar.gz" in result.stdout
        assert "endpoint digits serves endpoint config digits-baseline" in result.stdout

    @pytest.mark.usefixtures("calls")
    def test_an_endpoint_that_does_not_serve_is_told_in_one_line(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        def create(*_: Any) -> str:
            raise demo_setup.EndpointNotServingError("the incumbent's endpoint digits is Failed: no ping")

        monkeypatch.setattr(demo_setup, "create_live_endpoint", create)
        result = call("demo-setup", "--directory", str(tmp_path))
        assert result.exit_code == 1
        assert result.stderr == "Error: the incumbent's endpoint digits is Failed: no ping\n"


class TestLocal:
    @pytest.fixture
    def served(self, monkeypatch: pytest.MonkeyPatch) -> list[tuple[LocalSettings, Path | None]]:
        """What servers were asked for; each is at once ready on port 4711 and ends."""
        seen: list[tuple[LocalSettings, Path | None]] = []

        def serve(
            settings: LocalSettings, *, ready_file: Path | None, on_ready: Callable[[LocalAddress], None]
        ) -> None:
            seen.append((settings, ready_file))
            on_ready(LocalAddress.of(settings, 4711))

        monkeypatch.setitem(vars(shadow_provider.local), "serve", serve)
        return seen

    def test_options_reach_the_server_and_the_way_to_it_is_shown(
        self, served: list[tuple[LocalSettings, Path | None]], tmp_path: Path
    ) -> None:
        result = call(
            *("local", "--port", "0", "--region", "eu-west-1", "--ready-file", str(tmp_path / "ready")),
            *("--startup-timeout", "9", "--capture-flush-seconds", "0.5", "--host", "127.0.0.1"),
            *("--clock", "60", "--seed", "3", "--set", "shadow_nice=0", "--set", "account_id=000000000001"),
        )
        assert result.exit_code == 0, result.output
        settings, ready_file = served[0]
        assert settings == LocalSettings(
            port=0,
            region="eu-west-1",
            startup_timeout=9,
            capture_flush_seconds=0.5,
            clock=60,
            seed=3,
            shadow_nice=0,
            account_id="000000000001",
        )
        assert ready_file == tmp_path / "ready"
        address = LocalAddress.of(settings, 4711)
        exported = [line for line in result.stdout.splitlines() if line.startswith("export ")]
        pairs = [shlex.split(line)[1].split("=", 1) for line in exported]
        assert dict(pairs) == address.environment  # type: ignore[arg-type,unused-ignore]
        assert dict(pairs)["AWS_ENDPOINT_URL"] == "http://127.0.0.1:4711"
        assert address.connection_uri in result.stdout.splitlines()
        assert "no signatures" in result.stdout

    def test_without_options_it_is_the_default_on_a_fixed_port(
        self, served: list[tuple[LocalSettings, Path | None]]
    ) -> None:
        assert call("local").exit_code == 0
        assert served == [(LocalSettings(port=4599), None)]

    def test_the_defaults_in_the_help_are_those_of_the_settings(self) -> None:
        text = " ".join(call("local", "--help").stdout.replace("│", " ").split())
        for option in ("host", "region", "clock", "startup_timeout", "capture_flush_seconds"):
            default = LocalSettings.model_fields[option].default
            shown = text.partition(f"--{option.replace('_', '-')} ")[2].partition("[default: (")[2].partition(")")[0]
            assert shown == (str(default) if isinstance(default, str) else f"{default:g}"), option

    def test_every_setting_can_be_given(self, served: list[tuple[LocalSettings, Path | None]]) -> None:
        values = LocalSettings(work_dir=Path("/tmp/x"), advertise_host="aws", seed=1).model_dump(mode="json")
        texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in values.items()}
        result = call("local", *(part for name in texts for part in ("--set", f"{name}={texts[name]}")))
        assert result.exit_code == 0, result.output
        assert served[0][0].model_dump(mode="json") == values

    @pytest.mark.parametrize(
        ("name", "content"),
        [("s.json", '{"seed": 5, "clock": 9, "port": 1}'), ("s.toml", "seed = 5\nclock = 9\nport = 1\n")],
    )
    def test_a_settings_file_comes_after_options(
        self, served: list[tuple[LocalSettings, Path | None]], tmp_path: Path, name: str, content: str
    ) -> None:
        (tmp_path / name).write_text(content)
        result = call("local", "--settings", str(tmp_path / name), "--set", "clock=7", "--port", "2")
        assert result.exit_code == 0, result.output
        assert served == [(LocalSettings(seed=5, clock=7, port=2), None)]

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            (["--clock", "0"], "--clock: Input should be greater than 0, not 0.0"),
            (["--port", "70000"], "--port: Input should be less than or equal to 65535, not 70000"),
            (["--startup-timeout", "-1"], "--startup-timeout: Input should be greater than 0, not -1.0"),
            (["--set", "clok=1"], "--set: there is no clok; did you mean clock?"),
            (["--set", "clock"], "--set: not of the form NAME=VALUE: clock"),
            (["--set", "account_id=12"], "--set account_id: String should match pattern"),
            (["--set", "capture_event_id=both"], "--set capture_event_id: Input should be 'independent' or 'shared'"),
            (["--quota", "10"], "--quota: not of the form NAME=VALUE: 10"),
            (["--settings", "none.json"], "--settings: none.json: [Errno 2] No such file or directory"),
            (["--settings", "none.yaml"], "--settings: none.yaml is neither .json nor .toml"),
        ],
    )
    def test_a_wrong_value_is_one_line_that_names_the_option(
        self, served: list[tuple[LocalSettings, Path | None]], options: list[str], said: str
    ) -> None:
        result = call("local", *options)
        assert result.exit_code == 2
        (line,) = result.stderr.splitlines()
        assert line.startswith(f"Error: {said}")
        assert served == []

    def test_a_wrong_value_in_a_file_names_the_file(self, tmp_path: Path) -> None:
        file = tmp_path / "settings.toml"
        file.write_text("clock = -1")
        result = call("local", "--settings", str(file))
        assert result.stderr == f"Error: {file}: clock: Input should be greater than 0, not -1\n"
        file.write_text("clock = ")
        assert call("local", "--settings", str(file)).stderr.startswith(f"Error: --settings: {file}: Invalid value")
        file.with_suffix(".json").write_text("[]")
        assert "holds no settings" in call("local", "--settings", str(file.with_suffix(".json"))).stderr


class TestFault:
    @pytest.mark.parametrize(
        ("arguments", "expected"),
        [
            (
                ["api", "kind=throttle", "operation=Describe*", "probability=0.3"],
                ApiFault(kind="throttle", operation="Describe*", probability=0.3),
            ),
            (
                ["api", "kind=server_error", "status=503", "resource=503"],
                ApiFault(kind="server_error", status=503, resource="503"),
            ),
            (["variant", "kind=die", "nth=50", "endpoint=e"], VariantFault(kind="die", nth=50, endpoint="e")),
            (["endpoint", "kind=rollback", "reason=no = no"], EndpointFault(kind="rollback", reason="no = no")),
            (['{"on": "capture", "kind": "late", "seconds": 3}'], CaptureFault(kind="late", seconds=3)),
            (
                ["metrics", "kind=delayed", "seconds=90", "metric=Model*"],
                MetricsFault(kind="delayed", seconds=90, metric="Model*"),
            ),
        ],
    )
    def test_arguments_mean_a_fault(self, arguments: list[str], expected: Fault) -> None:
        assert cli.control.fault_of(arguments[0], arguments[1:]) == expected
        on, *pairs = shlex.split(written(expected))
        assert cli.control.fault_of(on, pairs) == expected, "as it is shown it can be given again"

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["moon"], "a fault is on api, variant, endpoint, capture, metrics, alarm; not on moon"),
            (["api"], "kind: Field required"),
            (["api", "kind=explode"], "kind: Input should be 'throttle', 'server_error'"),
            (["api", "kind=throttle", "operaton=x"], "there is no operaton; did you mean operation?"),
            (["api", "throttle"], "not of the form NAME=VALUE: throttle"),
            (["api", "kind=delay"], "kind delay needs seconds"),
            (["variant", "kind=error", "status=200"], "status: Input should be greater than or equal to 400, not 200"),
            (["{", "x"], "a fault as JSON is complete"),
            (["{"], "Invalid JSON"),
        ],
    )
    def test_what_is_no_fault_is_one_line_that_says_why(self, arguments: list[str], said: str) -> None:
        result = call("fault", "add", *arguments)
        assert result.exit_code == 2
        (line,) = result.stderr.splitlines()
        assert line.startswith(f"Error: {said}")

    def test_all_kinds_are_told(self) -> None:
        shown = call("fault", "kinds").stdout
        for model in (ApiFault, VariantFault, EndpointFault, CaptureFault, MetricsFault):
            properties = model.model_json_schema()["properties"]
            assert all(kind in shown for kind in properties["kind"]["enum"])
            assert all(field in shown for field in properties)


class TestDemo:
    @pytest.fixture
    def demos(self, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Path]]:
        calls: list[tuple[str, Path]] = []

        def run_demo(candidate: str, directory: Path) -> int:
            calls.append((candidate, directory))
            return 3

        module = ModuleType("shadow_provider.demo.run")
        vars(module)["run_demo"] = run_demo
        monkeypatch.setitem(sys.modules, "shadow_provider.demo.run", module)
        return calls

    def test_exit_code_is_the_demos(self, demos: list[tuple[str, Path]], tmp_path: Path) -> None:
        result = call("demo", "bad", "--directory", str(tmp_path))
        assert result.exit_code == 3, result.output
        assert demos == [("bad", tmp_path)]

    def test_only_candidates_are_taken(self, demos: list[tuple[str, Path]]) -> None:
        assert call("demo", "incumbent").exit_code == 2
        assert demos == []

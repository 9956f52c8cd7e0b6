"""python -m shadow_provider.cli: where the command itself is not installed."""

from shadow_provider.cli import app

app(prog_name="sagemaker-shadow")

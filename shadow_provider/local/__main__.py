"""The server as LocalAWS starts it: python -m shadow_provider.local."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import threading
from pathlib import Path

from shadow_provider.local.server import serve
from shadow_provider.local.settings import LocalSettings


def main() -> None:
    """Serves until told to stop, or until the starting process is gone."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--settings", type=LocalSettings.model_validate_json, required=True)
    parser.add_argument("--ready-file", type=Path, required=True)
    parser.add_argument("--parent", type=int, required=True)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    threading.Thread(target=_watch, name="lifeline", daemon=True).start()
    if os.getppid() != options.parent:
        return
    serve(options.settings, options.ready_file)


def _watch() -> None:
    # Standard input is a pipe from the starting process: its end means that process is gone.
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()

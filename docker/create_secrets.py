"""Makes the secrets of a Compose stack at its first start; they exist only in its volumes.

Usage: ``create_secrets.py AIRFLOW_DIRECTORY DATABASE_DIRECTORY``. Secrets that are there are kept, because the database
was set up with them.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import sys
from pathlib import Path


def main(airflow: Path, database: Path) -> None:
    """Write what is not there yet."""
    password = _once(database / "password", secrets.token_hex(24))
    _once(airflow / "sql_alchemy_conn", f"postgresql+psycopg2://airflow:{password}@postgres:5432/airflow")
    _once(airflow / "fernet_key", base64.urlsafe_b64encode(secrets.token_bytes(32)).decode())
    _once(airflow / "jwt_secret", secrets.token_hex(32))
    _once(airflow / "api_secret_key", secrets.token_hex(32))
    # The file that Airflow's SimpleAuthManager reads, and would write itself if it were not there.
    _once(airflow / "passwords.json", json.dumps({"admin": secrets.token_urlsafe(18)}))


def _once(path: Path, value: str) -> str:
    if path.exists():
        return path.read_text()
    # Written aside and moved, so that a start that breaks off leaves no half of a secret.
    aside = path.with_name(f".{path.name}.new")
    aside.unlink(missing_ok=True)
    with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(value)
    aside.replace(path)
    return value


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))

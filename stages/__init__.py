"""WHAT: one module per DVC stage, and the runner that calls it."""

import os

# Reports of usage by every tool are off, in this process and its children, unless the user has decided otherwise.
QUIET = {
    "DO_NOT_TRACK": "true",  # MLflow takes only the word true
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DVC_NO_ANALYTICS": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    # Otherwise a bar for every table that is logged.
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}
# OpenMP's threads spin while they wait for each other, which costs ten times the work where another process wants the
# same cores. Sleeping instead must be asked for before torch is imported, whoever imports it first.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
for key, value in QUIET.items():
    os.environ.setdefault(key, value)

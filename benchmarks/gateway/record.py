"""What the record says when its server has ended."""

import json
import os
import subprocess
import sys
from pathlib import Path


def verified(state: Path) -> str:
    """``bottega audit verify`` over a state; its first line, or what it refused."""
    command = [sys.executable, "-m", "bottega", "audit", "verify"]
    environment = {**os.environ, "BOTTEGA_STATE": str(state)}
    told = subprocess.run(command, check=False, env=environment, capture_output=True, text=True)
    said = (told.stdout if told.returncode == 0 else told.stderr).strip().splitlines()
    return f"{'holds' if told.returncode == 0 else 'ALTERED'}: {json.dumps(said[:1])}"

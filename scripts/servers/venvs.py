"""A second venv with another pyspark, for the smoke run of the tests."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from servers.paths import locked


def venv_python(home: Path, project: Path, *requirements: str) -> Path:
    """The python of a venv that holds the project (editable) and the requirements; made once for each setup.cfg."""
    python, stamp = home / "bin" / "python", home / "installed-from"
    wanted = "\n".join([(project / "setup.cfg").read_text(), *requirements, sys.version])
    with locked(home.with_name(home.name + ".lock")):
        if not stamp.exists() or stamp.read_text() != wanted:
            print(f"installing {', '.join(requirements)} into {home}", file=sys.stderr, flush=True)
            subprocess.run([sys.executable, "-m", "venv", "--clear", str(home)], check=True)
            pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            subprocess.run([*pip, "--editable", str(project), *requirements], check=True)
            stamp.write_text(wanted)
    return python

"""Compares the Spark job with the engine and the oracle: `python3 tests/spark_parity`.

Not part of `tests/run.py`, because it needs Java 17 and 500 MB for Spark, which a lake on a laptop does not
need. Creates its own virtual environment in cargo's target directory and
builds the binary. Options after `--` go to pytest.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import run  # noqa: E402

# The first file includes the second; both are listed, so that a change of either recreates the environment.
REQUIREMENTS = [HERE / "requirements.txt", HERE.parent / "requirements.txt"]


def main() -> int:
    pytest = [argument for argument in sys.argv[1:] if argument != "--"]
    started = time.monotonic()
    try:
        java_home = find_java()
        run.prepare_tracer()
        target = run.target_directory()
        python = run.prepare_environment(target / "test-venv-spark", REQUIREMENTS)
        run.step("build", ["cargo", "build", "--release", "--locked", "-p", "pregao"])
        run.step(
            "Spark parity",
            [str(python), "-m", "pytest", str(HERE / "parity.py"), *pytest],
            {"PREGAO": str(run.binary(target)), "JAVA_HOME": str(java_home)},
        )
    except run.Failure as failure:
        run.say(f"FAILED: {failure}")
        return 1
    run.say(f"Spark parity passed in {time.monotonic() - started:.0f} s")
    return 0


def find_java() -> Path:
    """Returns the home of Java 17, the version of EMR 7: Spark 3.5 does not run on every newer version."""
    candidates = [Path(os.environ["JAVA_HOME"])] if "JAVA_HOME" in os.environ else []
    candidates += sorted(Path("/usr/lib/jvm").glob("*17*"))
    for home in candidates:
        release = home / "release"
        if release.exists() and 'JAVA_VERSION="17' in release.read_text() and (home / "bin" / "java").exists():
            return home
    raise run.Failure(
        "Spark 3.5 needs Java 17: set JAVA_HOME to one; on Debian or Ubuntu: sudo apt-get install openjdk-17-jre-headless"
    )


if __name__ == "__main__":
    sys.exit(main())

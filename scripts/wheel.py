"""Builds the wheel of pregao, which pip and uv install: `python3 scripts/wheel.py [--out DIR]`.

The wheel contains the program, and the Python package in `python/pregao`. It uses the same Cargo profile and the same target directory
as `cargo build --release`, so a program that is already built is only packed.

    --portable   for any Linux with glibc 2.28 or newer, as released: linked by zig, in a separate build
    (without)    for Linux systems with the glibc of this machine or newer
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
REQUIREMENTS = ROOT / "scripts" / "wheel-requirements.txt"
# The glibc of RHEL 8 and Debian 10. Newer systems, such as Amazon Linux 2023, have newer versions.
PORTABLE = "manylinux_2_28"

sys.path.insert(0, str(ROOT / "tests"))
from run import Failure, prepare_environment, say, step, target_directory  # noqa: E402


def main() -> int:
    parser = argparse.ArgumentParser(description="Build the wheel of pregao.")
    parser.add_argument(
        "--out", type=Path, default=ROOT / "dist", metavar="DIR", help="the folder for the wheel (default: dist)"
    )
    parser.add_argument("--portable", action="store_true", help="for any Linux with glibc 2.28 or newer")
    arguments = parser.parse_args()
    try:
        wheel = build(arguments.out.resolve(), arguments.portable)
    except Failure as failure:
        print(f"scripts/wheel.py: FAILED: {failure}", file=sys.stderr)
        return 1
    say(f"{wheel} ({wheel.stat().st_size / 1e6:.1f} MB)")
    return 0


def build(out: Path, portable: bool) -> Path:
    """Builds the wheel. Returns its path below `out`."""
    target = target_directory()
    python = prepare_environment(target / "wheel-venv", [REQUIREMENTS])
    folder = out / ".wheel"
    command = [str(python), "-m", "maturin", "build", "--release", "--locked", f"--out={folder}"]
    environment = {"CARGO_TARGET_DIR": str(target), "PATH": os.pathsep.join([str(python.parent), os.environ["PATH"]])}
    if portable:
        command += ["--zig", f"--compatibility={PORTABLE}", f"--target={host()}"]
        environment["PREGAO_PORTABLE"] = "1"
    else:
        command += ["--compatibility=linux"] if sys.platform == "linux" else []
    step("wheel", command, environment, ROOT / "python")
    wheels = list(folder.glob("pregao-*.whl"))
    if len(wheels) != 1:
        raise Failure(f"maturin left {len(wheels)} wheels in {folder}, and one was expected")
    wheel = out / wheels[0].name
    pack(wheels[0], wheel)
    wheels[0].unlink()
    folder.rmdir()
    return wheel


def pack(built: Path, packed: Path) -> None:
    """Writes `built` again as `packed`, with the strongest compression: 7 % smaller. maturin has no option for it."""
    with zipfile.ZipFile(built) as source, zipfile.ZipFile(packed, "w") as target:
        for entry in source.infolist():
            # `entry` also has the time and the mode, which makes the program executable.
            target.writestr(entry, source.read(entry), zipfile.ZIP_DEFLATED, compresslevel=9)


def host() -> str:
    """Returns the target triple of this machine's compiler."""
    version = subprocess.run(["rustc", "-vV"], stdout=subprocess.PIPE, text=True, check=True).stdout
    return next(line.split()[1] for line in version.splitlines() if line.startswith("host:"))


if __name__ == "__main__":
    sys.exit(main())

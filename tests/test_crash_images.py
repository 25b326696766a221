"""A sample of `python3 tests/crash_images`: homes as a power failure could leave them during an upload and a run."""

from __future__ import annotations

import random
from pathlib import Path

from crash_images.disk import Disk
from crash_images.search import search

IMAGES = 24


def test_after_a_power_failure_each_day_is_whole(tmp_path: Path):
    summary = search(tmp_path, IMAGES, seed=7)
    assert not summary.violations, "\n".join(summary.lines())
    assert summary.images == IMAGES
    assert summary.steps > 500, "the recording is almost empty"
    assert summary.completed > 0, "no image was completed by a further run"


def test_unsynced_writes_may_be_lost(tmp_path: Path):
    """On the simulated disk, a file is sure to exist if its bytes and its name are synced."""

    def calls(*more: str) -> list[dict[str, bytes]]:
        root = tmp_path / "root"
        root.mkdir(exist_ok=True)
        disk = Disk(root)
        name = "".join(f"\\x{byte:02x}" for byte in f"{root}/new".encode())
        recorded = [
            f'openat(AT_FDCWD</>, "{name}", O_WRONLY|O_CREAT, 0666) = 3<{name}>',
            f'write(3<{name}>, "\\x61\\x62\\x63\\x64", 4) = 4',
            *[call.format(name=name, root=root) for call in more],
        ]
        list(disk.follow(f"7 {call}" for call in recorded))
        return [files_of(disk, tmp_path / f"image-{len(more)}-{seed}", seed) for seed in range(60)]

    unsynced = calls()
    assert {} in unsynced and {"new": b""} in unsynced and {"new": b"abcd"} in unsynced and {"new": b"ab"} in unsynced
    assert {} in calls("fsync(3<{name}>) = 0")
    assert all(image == {"new": b"abcd"} for image in calls("fsync(3<{name}>) = 0", "fsync(4<{root}>) = 0"))


def files_of(disk: Disk, folder: Path, seed: int) -> dict[str, bytes]:
    disk.image(folder, random.Random(seed))
    return {path.name: path.read_bytes() for path in folder.iterdir()}

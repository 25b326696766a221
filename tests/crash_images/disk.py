"""A disk as it may be after a power failure, from the calls of a process that `strace` recorded.

`Disk` starts with a durable folder and applies the calls of a process to it. It tracks for every byte and every name
whether it was synced. `Disk.image` writes one state that is legal at that time: everything that was synced, a prefix of the
unsynced writes of each file, and any subset of the unsynced changes of names.
"""

from __future__ import annotations

import random
import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

# Calls that change files, names or the position in a file. An unknown call fails the search.
CALLS = (
    "openat,creat,write,pwrite64,writev,pwritev,ftruncate,fallocate,copy_file_range,sendfile,lseek,fsync,fdatasync,syncfs,"
    "sync_file_range,rename,renameat,renameat2,link,linkat,symlink,symlinkat,unlink,unlinkat,mkdir,mkdirat,rmdir"
)
# SQLite's shared memory, which is created at each start, and files that exist only while the process runs.
IGNORED = re.compile(r"-shm$|^(lock|turn|endpoint\.json|tmp/endpoint\.json|tmp/room)$|^athena-spill(/|$)")


@dataclass
class Inode:
    """A file: its durable bytes, and the writes that are not durable, in order."""

    durable: bytearray = field(default_factory=bytearray)
    pending: list[Callable[[bytearray, float], None]] = field(default_factory=list)

    def sync(self) -> None:
        for write in self.pending:
            write(self.durable, 1.0)
        self.pending.clear()

    def image(self, rng: random.Random) -> bytes:
        """Returns the durable bytes with a prefix of the other writes, the last of which may be partial."""
        data = bytearray(self.durable)
        kept = rng.choice([0, len(self.pending), rng.randint(0, len(self.pending))])
        for write in self.pending[:kept]:
            write(data, 1.0)
        if kept < len(self.pending):
            self.pending[kept](data, rng.choice([0.0, rng.random()]))
        return bytes(data)


def write_at(offset: int, data: bytes) -> Callable[[bytearray, float], None]:
    def write(target: bytearray, share: float) -> None:
        part = data[: int(len(data) * share)]
        if part and len(target) < offset:
            target.extend(bytes(offset - len(target)))
        target[offset : offset + len(part)] = part

    return write


def truncate_to(length: int) -> Callable[[bytearray, float], None]:
    def write(target: bytearray, share: float) -> None:
        if share == 1.0:
            del target[length:]
            target.extend(bytes(length - len(target)))

    return write


class Disk:
    def __init__(self, root: Path):
        self.root = root
        self.current: dict[str, Inode | None] = {}  # None: a folder
        for path in sorted(root.rglob("*")):
            name = str(path.relative_to(root))
            if not IGNORED.search(name):
                self.current[name] = None if path.is_dir() else Inode(bytearray(path.read_bytes()))
        self.durable = dict(self.current)
        # Unsynced changes of names, grouped by call: a rename is atomic.
        self.pending: list[dict[str, Inode | bool | None]] = []
        self.offsets: dict[int, int] = {}

    # --- effects of calls ---

    def rename_entries(self, changes: dict[str, Inode | bool | None]) -> None:
        """Changes names to new inodes; False removes a name."""
        changes = {name: entry for name, entry in changes.items() if not IGNORED.search(name)}
        for name, entry in changes.items():
            if entry is False:
                self.current.pop(name, None)
            else:
                self.current[name] = entry
        if changes:
            self.pending.append(changes)

    def sync(self, name: str) -> None:
        if IGNORED.search(name):
            return
        inode = self.current.get(name)
        if inode is not None:
            inode.sync()
            return
        # A folder: the changes of its entries, with the other half of a rename from or to it.
        unsynced = []
        for changes in self.pending:
            if any(str(Path(changed).parent) == (name or ".") for changed in changes):
                self.keep(changes)
            else:
                unsynced.append(changes)
        self.pending = unsynced

    def sync_all(self) -> None:
        for inode in self.current.values():
            if inode is not None:
                inode.sync()
        for changes in self.pending:
            self.keep(changes)
        self.pending.clear()

    def keep(self, changes: dict[str, Inode | bool | None], names: dict | None = None) -> None:
        names = self.durable if names is None else names
        for name, entry in changes.items():
            if entry is False:
                names.pop(name, None)
            else:
                names[name] = entry

    # --- the disk after a power failure ---

    def image(self, folder: Path, rng: random.Random) -> None:
        names = dict(self.durable)
        for changes in self.pending:
            if rng.random() < 0.5:
                self.keep(changes, names)
        folder.mkdir(parents=True)
        for name in sorted(names, key=lambda name: name.count("/")):
            path, entry = folder / name, names[name]
            if not path.parent.is_dir():
                continue  # its folder was lost
            if entry is None:
                path.mkdir(exist_ok=True)
            else:
                path.write_bytes(entry.image(rng))

    # --- strace ---

    def follow(self, lines: Iterator[str]) -> Iterator[str]:
        """Applies the calls, and yields each one that changed or synced something."""
        begun: dict[str, str] = {}
        for line in lines:
            pid, _, call = line.rstrip("\n").partition(" ")
            call = call.strip()
            if call.endswith("<unfinished ...>"):
                begun[pid] = call.removesuffix("<unfinished ...>").rstrip()
                continue
            if match := re.match(r"<\.\.\. \w+ resumed>(.*)", call):
                call = begun.pop(pid) + match[1].lstrip()
            if self.apply(call):
                yield call

    def apply(self, call: str) -> bool:
        match = re.match(r"(\w+)\((.*)\)\s+= (-?\d+)", call)
        if not match or int(match[3]) < 0:
            return False
        name, arguments, result = match[1], match[2], int(match[3])
        file = re.match(r"(\d+)<([^>]*)>", arguments)
        folder = Path(plain(file[2])) if file else Path("/")
        paths = [self.relative(str(folder / plain(text))) for text in quoted(arguments, name)]
        opened = self.relative(plain(file[2])) if file else None
        number = int(file[1]) if file else -1
        if name in ("openat", "creat"):
            return self.open(arguments, paths[0], result)
        if name == "lseek":
            self.offsets[number] = result
            return False
        if name in ("write", "pwrite64", "ftruncate", "fsync", "fdatasync", "fallocate", "syncfs"):
            return opened is not None and self.on_file(name, arguments, number, opened, result)
        if name in ("writev", "pwritev", "copy_file_range", "sendfile", "sync_file_range", "symlink", "symlinkat"):
            if opened is None and (None in paths or not paths):
                return False
            raise ValueError(f"the search does not understand this call on the home: {call[:200]}")
        return self.on_names(name, paths)

    def relative(self, path: str) -> str | None:
        """Returns the path relative to the root, or None if it is outside."""
        path = path.removesuffix(" (deleted)")
        if path == str(self.root):
            return ""
        return path.removeprefix(f"{self.root}/") if path.startswith(f"{self.root}/") else None

    def open(self, arguments: str, name: str | None, result: int) -> bool:
        self.offsets[result] = 0
        if name is None or IGNORED.search(name):
            return False
        if "O_CREAT" in arguments and name not in self.current:
            self.rename_entries({name: Inode()})
            return True
        inode = self.current.get(name)
        if "O_TRUNC" in arguments and inode is not None:
            inode.pending.append(truncate_to(0))
            return True
        return False

    def on_file(self, name: str, arguments: str, number: int, opened: str, result: int) -> bool:
        if name in ("fsync", "fdatasync"):
            self.sync(opened)
            return True
        if name == "syncfs":
            self.sync_all()
            return True
        inode = self.current.get(opened)
        if inode is None or IGNORED.search(opened):
            return False
        if name == "ftruncate":
            inode.pending.append(truncate_to(int(arguments.rsplit(",", 1)[1])))
            return True
        if name == "fallocate":
            return False
        text = re.search(r'"((?:\\x[0-9a-f]{2})*)"(\.\.\.)?', arguments)
        if text is None or text[2]:
            raise ValueError(f"strace cut a write short: {arguments[:100]}")
        data = bytes.fromhex(text[1].replace("\\x", ""))[:result]
        if name == "pwrite64":
            offset = int(arguments.rsplit(",", 1)[1])
        else:
            offset = self.offsets.get(number, 0)
            self.offsets[number] = offset + result
        inode.pending.append(write_at(offset, data))
        return True

    def on_names(self, name: str, paths: list[str | None]) -> bool:
        if any(path is None for path in paths):
            return False
        if name.startswith("rename"):
            old, new = paths
            if old in self.current and self.current[old] is None:
                raise ValueError(f"a folder was renamed: {paths}")
            if old in self.current and self.current.get(new) is not self.current[old]:
                self.rename_entries({new: self.current[old], old: False})
            elif IGNORED.search(old) and not IGNORED.search(new):
                raise ValueError(f"something temporary was renamed into place: {paths}")
        elif name.startswith("link"):
            self.rename_entries({paths[1]: self.current.get(paths[0])})
        elif name.startswith("mkdir"):
            self.rename_entries({paths[0]: None})
        else:  # unlink, unlinkat, rmdir
            self.rename_entries({paths[0]: False})
        return True


def quoted(arguments: str, name: str) -> list[str]:
    """Returns the string arguments, except the data of a write."""
    return [] if name.endswith(("write", "write64", "writev")) else re.findall(r'"((?:\\x[0-9a-f]{2})*)"', arguments)


def plain(text: str) -> str:
    """Decodes a path between angle brackets, which strace may have escaped."""
    return bytes.fromhex(text.replace("\\x", "")).decode() if text.startswith("\\x") else text


def traced(command: list[str], trace: Path, **options: object) -> subprocess.CompletedProcess:
    """Runs the command to its end, and records its `CALLS` in `trace`."""
    strace = ["strace", "-f", "-y", "-xx", "-s", "100000000", "-e", f"trace={CALLS}", "-o", str(trace)]
    return subprocess.run([*strace, *command], capture_output=True, text=True, **options)

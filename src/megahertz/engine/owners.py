"""Which processes listen on a port (proc_pid_net(5), proc_pid_fd(5))."""

from pathlib import Path

LISTEN = "0A"
"""TCP_LISTEN in /proc/net/tcp."""


def listeners(port: int, proc: Path = Path("/proc")) -> list[int]:
    """Process ids that hold a listening socket of a port; those of other users may not be seen."""
    wanted = {f"socket:[{inode}]" for inode in _inodes(port, proc)}
    processes = [folder for folder in proc.iterdir() if folder.name.isdigit()]
    return sorted(int(each.name) for each in processes if wanted & _links(each / "fd"))


def _inodes(port: int, proc: Path) -> list[str]:
    found = []
    for name in ("tcp", "tcp6"):
        try:
            lines = (proc / "net" / name).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if fields[3] == LISTEN and int(fields[1].rpartition(":")[2], 16) == port:
                found.append(fields[9])
    return found


def _links(folder: Path) -> set[str]:
    found = set()
    try:
        for entry in folder.iterdir():
            try:
                found.add(str(entry.readlink()))
            except OSError:
                continue  # closed meanwhile
    except OSError:
        pass  # ended meanwhile, or another user's
    return found

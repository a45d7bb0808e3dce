"""A real OpenSSH server on loopback, run as this user, with its own keys and configuration."""

from __future__ import annotations

import getpass
import os
import socket
import subprocess
import sys
import time
from functools import cache
from pathlib import Path

import psutil
from edge_classify.benchmarks.devices.remote_run import environment_name
from edge_classify.benchmarks.devices.wheel import Wheel, build_wheel

from .system import require


class SshServer:
    """Accepts one key for the host alias "pi"; `cache` is the cache folder of its sessions."""

    def __init__(self, folder: Path, *options: str) -> None:
        self._sshd = require("sshd", "ssh", "ssh-keygen")
        self.folder, self.cache = folder, folder / "far cache"
        self.cache.mkdir(parents=True)
        if os.geteuid() == 0:  # sshd confines itself there, and does not start without it.
            Path("/run/sshd").mkdir(exist_ok=True)
        for name in ("host_key", "user_key"):
            command = [
                require("ssh-keygen"),
                "-q",
                "-t",
                "ed25519",
                "-N",
                "",
                "-C",
                name,
                "-f",
                folder / name,
            ]
            subprocess.run(command, check=True)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        lines = [
            f"Port {self.port}", "ListenAddress 127.0.0.1", f"HostKey {folder}/host_key", "PidFile none",
            f"AuthorizedKeysFile {folder}/user_key.pub", "StrictModes no", "UsePAM no",
            f'SetEnv "XDG_CACHE_HOME={self.cache}"',
        ]  # fmt: skip
        defaults = ["PasswordAuthentication no", "KbdInteractiveAuthentication no"]
        # sshd takes the first of two lines with the same option.
        (folder / "sshd_config").write_text("\n".join([*options, *lines, *defaults]) + "\n")
        self.client = folder / "ssh_config"
        self.client.write_text(
            f"Host pi pi2 *.local\n  HostName 127.0.0.1\n  Port {self.port}\n  User {getpass.getuser()}\n"
            f"  IdentityFile {folder}/user_key\n  IdentitiesOnly yes\n"
            f"  UserKnownHostsFile {folder}/known_hosts\n  GlobalKnownHostsFile /dev/null\n"
        )
        self.trust((folder / "host_key.pub").read_text())
        self._process = self._start()

    @property
    def command(self) -> str:
        """The value for EDGE_CLASSIFY_SSH."""
        return f"ssh -F {self.client}"

    def trust(self, public_key: str) -> None:
        """Write the public key that the client expects of the server."""
        (self.folder / "known_hosts").write_text(f"[127.0.0.1]:{self.port} {public_key}")

    def cut(self) -> int:
        """Kill all sessions, as if the network failed, and return their number."""
        if self._process.poll() is not None:
            return 0
        found = psutil.Process(self._process.pid).children(recursive=True)
        sessions = [process for process in found if process.name().startswith("sshd")]
        for process in sessions:
            process.kill()
        return len(sessions)

    def stop(self) -> None:
        """End the server and its sessions."""
        self.cut()
        self._process.kill()
        self._process.wait()

    def restart(self) -> None:
        """Start the server again after `stop`, on the same port."""
        self._process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        log = (self.folder / "sshd.log").open("ab")
        command = [self._sshd, "-D", "-e", "-f", str(self.folder / "sshd_config")]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        log.close()
        end = time.monotonic() + 20
        while time.monotonic() < end and process.poll() is None:
            with socket.socket() as trial:
                if trial.connect_ex(("127.0.0.1", self.port)) == 0:
                    return process
            time.sleep(0.05)
        process.kill()
        raise AssertionError((self.folder / "sshd.log").read_text())


# Stands in for edge-benchmark on the other side, for tests of how it is started and followed: it prints
# what it was given, and obeys the options before the files.
_STAND_IN = """#!{python}
import hashlib, json, os, signal, sys, time
from pathlib import Path
options, files = sys.argv[1:sys.argv.index("--")], sys.argv[sys.argv.index("--") + 1:]
value = lambda name, otherwise: options[options.index(name) + 1] if name in options else otherwise
log = open({log!r}, "a")
print("start", file=log, flush=True)
for number, name in enumerate(files):
    print("measuring " + name, file=sys.stderr, flush=True)
    try:
        time.sleep(float(value("--seconds", "0")))
    except KeyboardInterrupt:
        print("interrupted", file=log, flush=True)
        sys.exit(130)
    if "--kill" in options:
        os.kill(os.getpid(), signal.SIGKILL)
    if "--garbage" in options:
        print("this is no result")
    if "--fail" in options:
        sys.exit("Error: it cannot be done")
    sums = {{p.as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in Path().glob("data/*/*")}}
    accuracy = {{"data": "data", "images": sums}} if "--data" in options else None
    labels = Path(value("--labels", "")).read_text() if "--labels" in options else None
    sha256 = hashlib.sha256(Path(name).read_bytes()).hexdigest()
    print(json.dumps({{"file": name, "sha256": sha256, "accuracy": accuracy, "labels": labels,
                      "origin": {{"commit": "far"}}, "ratio": {{"base": files[0]}},
                      "remarks": [name + " is fine"]}}), flush=True)
"""


@cache
def one_wheel() -> Wheel:
    """Return the wheel, made once, since packing it takes longer than most tests."""
    return build_wheel()


def keep_stand_in(server: SshServer) -> Path:
    """Create an environment for --keep, with a stand-in for edge-benchmark; return the stand-in's log."""
    folder = server.cache / "edge-classify" / environment_name(one_wheel(), ())
    (folder / "bin").mkdir(parents=True)
    program, log = folder / "bin" / "edge-benchmark", server.folder / "log.txt"
    program.write_text(_STAND_IN.format(python=sys.executable, log=str(log)))
    program.chmod(0o755)
    (folder / "finished").touch()
    return log

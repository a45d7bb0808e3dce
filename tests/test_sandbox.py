"""What a process of --untrusted gives up: tried from inside, with the kernel that is here."""

from __future__ import annotations

import errno
import json
import os
import re
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from edge_classify.edge.isolation.landlock import interface_version
from edge_classify.edge.isolation.seccomp import filter_of
from edge_classify.edge.isolation.syscalls import (
    AARCH64,
    ARM,
    PROCESSORS,
    X86_64,
    Processor,
    numbers_of,
    this_processor,
)

PROBES = Path(__file__).parent / "support" / "sandbox_probes.py"
needs_both = pytest.mark.skipif(
    this_processor() is None or isinstance(interface_version(), str),
    reason=f"the kernel has not both: processor {this_processor()}, Landlock {interface_version()}",
)
REFUSALS = {"EPERM", "EACCES", "ENOSYS", "ENOTTY"}
# What Landlock refuses without a filter of calls, from its version 6 on.
BY_LANDLOCK = {
    "read a file", "read by another path", "read the parent's memory", "read the parent's environment",
    "list a folder", "write a new file", "write an old file", "cut a file", "make a file that is read",
    "make a folder", "make a pipe", "link", "link by name", "rename", "delete", "connect by TCP",
    "listen by TCP", "execute", "signal the parent", "signal the parent's thread",
}  # fmt: skip
# What a filter of calls cannot tell: it sees no names.
ONLY_LANDLOCK = {
    "read a file", "read by another path", "read the parent's memory", "read the parent's environment",
    "list a folder",
}  # fmt: skip


def probe(which: str, folder: Path) -> dict[str, Any]:
    """Return what sandbox_probes.py found; this process is the parent that it tries to reach."""
    for name in ("readable", "secret"):
        (folder / name).write_text(name)
    (folder / "written").mkdir()
    arguments = [which, str(os.getpid()), *(str(folder / name) for name in ("readable", "secret", "written"))]
    done = subprocess.run(
        [sys.executable, str(PROBES), *arguments],
        capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (folder / "secret").read_text() == "secret" or which != "all"
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def inside(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return probe("all", tmp_path_factory.mktemp("inside"))


@needs_both
def test_sandbox_refuses_every_attempt_to_leave_it_and_says_that_nothing_is_missing(
    inside: dict[str, Any],
) -> None:
    allowed = {"read what is named", "start a thread", "sleep", "take memory", "draw a number"}
    allowed |= {"count the cores", "read about the processor", "read what memory is left"}
    assert inside["missing"] == []
    succeeded = {name for name, error in inside["found"].items() if not error}
    assert succeeded == allowed
    others = {name: error for name, error in inside["found"].items() if error and error not in REFUSALS}
    assert others == {}


@needs_both
def test_landlock_alone_takes_files_tcp_and_signals_away(tmp_path: Path) -> None:
    version = interface_version()
    if isinstance(version, str) or version < 6:
        pytest.skip(f"Landlock {version}: TCP since 4, signals since 6")
    done = probe("landlock", tmp_path)
    refused = {name for name, error in done["found"].items() if error in REFUSALS}
    assert refused >= BY_LANDLOCK
    assert not done["found"]["read what is named"]


@needs_both
def test_seccomp_alone_leaves_only_reading_files(tmp_path: Path) -> None:
    done = probe("seccomp", tmp_path)
    succeeded = {name for name, error in done["found"].items() if not error}
    assert succeeded >= ONLY_LANDLOCK
    assert {name for name, error in done["found"].items() if error} == set(done["found"]) - succeeded
    assert not succeeded & (BY_LANDLOCK - ONLY_LANDLOCK)


@needs_both
def test_sandbox_in_a_container_that_forbids_both_says_so() -> None:
    # A filter that stands for a container's: it refuses Landlock (444) and further filters.
    code = (
        "import ctypes, json\nfrom edge_classify.edge.isolation import sandbox, seccomp\n"
        "from edge_classify.edge.isolation.syscalls import this_processor\n"
        "rules = [(0x20, 0, 0, 0), (0x15, 0, 1, 444), (0x06, 0, 0, 0x50026),\n"
        "  (0x15, 0, 1, this_processor().seccomp), (0x06, 0, 0, 0x50001), (0x06, 0, 0, 0x7FFF0000)]\n"
        "ours = seccomp.filter_of\n"
        "seccomp.filter_of = lambda *_: [__import__('struct').pack('=HBBI', *rule) for rule in rules]\n"
        "ctypes.CDLL(None).prctl(38, 1, 0, 0, 0)\nassert seccomp.restrict_calls() is None\n"
        "seccomp.filter_of = ours\nprint(json.dumps(sandbox.enter([], 1 << 30)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    files, calls = json.loads(done.stdout)
    assert files == "its processes can read files (no Landlock: the kernel has none, or a container hides it)"
    assert calls.startswith("its processes can write files, use the network and start programs (no seccomp:")


def answer(program: list[bytes], number: int, arch: int, arguments: tuple[int, ...] = ()) -> int:
    """Return what the kernel would: a filter is classic BPF over struct seccomp_data (linux/seccomp.h)."""
    given = struct.pack("<iIQ6Q", number, arch, 0, *(arguments + (0,) * (6 - len(arguments))))
    place = loaded = 0
    while True:
        code, when_true, when_false, value = struct.unpack("=HBBI", program[place])
        place += 1
        if code == 0x06:
            return int(value)
        if code == 0x20:
            (loaded,) = struct.unpack_from("<I", given, value)
            continue
        holds = {0x15: loaded == value, 0x35: loaded >= value, 0x45: bool(loaded & value)}[code]
        place += when_true if holds else when_false


ALLOW, REFUSED, OLDER, KILL = 0x7FFF0000, 0x00050000 | errno.EPERM, 0x00050000 | errno.ENOSYS, 0x80000000
# Calls of asm/unistd.h of each processor that must be refused.
REFUSED_CALLS = {
    X86_64: {"socket": 41, "connect": 42, "fork": 57, "vfork": 58, "execve": 59, "kill": 62, "ptrace": 101},
    AARCH64: {"unlinkat": 35, "ptrace": 117, "kill": 129, "socket": 198, "connect": 203, "execve": 221},
    ARM: {"fork": 2, "unlink": 10, "execve": 11, "ptrace": 26, "kill": 37, "vfork": 190, "socket": 281},
}


@pytest.mark.parametrize("processor", PROCESSORS, ids=lambda each: each.name)
def test_filter_of_each_processor_allows_its_own_numbers_only(processor: Processor) -> None:
    program, numbers = filter_of(processor, 77), numbers_of(processor)
    arch = processor.audit
    for name in ("read", "write", "futex", "exit_group", "munmap", "rt_sigreturn"):
        assert answer(program, numbers[name], arch) == ALLOW
        assert answer(program, numbers[name], arch ^ 1) == KILL
    for name, number in REFUSED_CALLS[processor].items():
        assert answer(program, number, arch) == REFUSED, name
    assert answer(program, 435, arch) == OLDER  # clone3
    assert answer(program, numbers["clone"], arch, (0x003D0F00,)) == ALLOW  # What pthread_create gives.
    assert answer(program, numbers["clone"], arch, (17,)) == REFUSED  # fork: SIGCHLD
    assert answer(program, numbers["clone"], arch, (0x003D0F00 | 0x10000000,)) == REFUSED  # CLONE_NEWUSER
    assert answer(program, numbers["openat"], arch, (0, 0, os.O_RDONLY | os.O_CLOEXEC)) == ALLOW
    for flags in (os.O_WRONLY, os.O_RDWR, os.O_RDONLY | os.O_CREAT, os.O_RDONLY | os.O_TRUNC):
        assert answer(program, numbers["openat"], arch, (0, 0, flags)) == REFUSED
    mapping = numbers.get("mmap", numbers.get("mmap2", 0))
    assert answer(program, mapping, arch, (0, 4096, 3)) == ALLOW
    assert answer(program, mapping, arch, (0, 4096, 5)) == REFUSED
    assert answer(program, numbers["tgkill"], arch, (77, 77, 6)) == ALLOW
    assert answer(program, numbers["tgkill"], arch, (78, 78, 6)) == REFUSED
    assert answer(program, numbers["prlimit64"], arch, (0, 7, 0)) == ALLOW
    assert answer(program, numbers["prlimit64"], arch, (0, 7, 1)) == REFUSED
    assert answer(program, numbers["prlimit64"], arch, (0, 7, 1 << 32)) == REFUSED


def test_x32_calls_end_the_process() -> None:
    assert answer(filter_of(X86_64, 1), 0x40000000, X86_64.audit) == KILL


HEADERS = {
    X86_64: "/usr/include/x86_64-linux-gnu/asm/unistd_64.h",
    AARCH64: "/usr/include/asm-generic/unistd.h",
    ARM: "/usr/arm-linux-gnueabihf/include/asm/unistd-common.h",
}


@pytest.mark.parametrize("processor", PROCESSORS, ids=lambda each: each.name)
def test_numbers_are_those_of_the_headers_that_are_installed(processor: Processor) -> None:
    header = Path(HEADERS[processor])
    if not header.exists():
        pytest.skip(f"{header} is not installed (Debian: linux-libc-dev, linux-libc-dev-armhf-cross)")
    text = header.read_text()
    stated = {
        name.removeprefix("3264_"): int(number)
        for name, number in re.findall(
            r"#define\s+__NR_?(\w+)\s+\(?(?:__NR_SYSCALL_BASE\s*\+\s*)?(\d+)\)?", text
        )
    }
    if processor is AARCH64:
        stated["newfstatat"] = stated.pop("fstatat")
    numbers = numbers_of(processor)
    compared = {name: number for name, number in numbers.items() if name in stated}
    assert compared == {name: stated[name] for name in compared}
    assert len(compared) > 0.9 * len(numbers)


@pytest.mark.parametrize(
    ("machine", "bits", "expected"),
    [("x86_64", 64, X86_64), ("aarch64", 64, AARCH64), ("aarch64", 32, ARM), ("armv7l", 32, ARM),
     ("armv6l", 32, ARM), ("riscv64", 64, None), ("i686", 32, None), ("x86_64", 32, None)],
)  # fmt: skip
def test_processor_is_that_of_the_process_and_not_of_the_kernel(
    machine: str, bits: int, expected: Processor | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = os.uname_result(("Linux", "host", "6.1", "#1", machine))
    monkeypatch.setattr(os, "uname", lambda: names)
    monkeypatch.setattr(struct, "calcsize", lambda _: bits // 8)
    assert this_processor() == expected

"""The system calls that computing needs, with their numbers on each processor.

Numbers of the Linux kernel's headers, release 6.1: arch/x86/entry/syscalls/syscall_64.tbl,
include/uapi/asm-generic/unistd.h (aarch64), arch/arm/tools/syscall.tbl (32-bit ARM, EABI), and of
arch/arm/include/uapi/asm/unistd.h for the calls that only ARM has. They never change.
"""

from __future__ import annotations

import os
import struct
import sys
from dataclasses import dataclass

# From here on, numbers are the same on all processors; C libraries then fall back to older calls.
FIRST_COMMON_NUMBER = 424


@dataclass(frozen=True)
class Processor:
    """A processor as seccomp knows it: `audit` is its AUDIT_ARCH number of linux/audit.h.

    `foreign_bit` is set in the numbers of a second set of calls, which is refused; 0 where there is none.
    `seccomp` is the number of the call that switches the filter on.
    """

    name: str
    audit: int
    seccomp: int
    foreign_bit: int = 0


X86_64 = Processor("x86_64", 0xC000003E, 317, foreign_bit=0x40000000)  # __X32_SYSCALL_BIT
AARCH64 = Processor("aarch64", 0xC00000B7, 277)
ARM = Processor("arm", 0x40000028, 383)
PROCESSORS = (X86_64, AARCH64, ARM)

# One line a call: its name, and its number on x86_64, aarch64 and arm; - where it does not exist.
_TABLE = """
read 0 63 3
readv 19 65 145
pread64 17 67 180
preadv 295 69 361
write 1 64 4
writev 20 66 146
close 3 57 6
close_range 436 436 436
lseek 8 62 19
_llseek - - 140
dup 32 23 41
dup2 33 - 63
dup3 292 24 358
open 2 - 5
openat 257 56 322
fstat 5 80 108
fstat64 - - 197
stat 4 - 106
stat64 - - 195
lstat 6 - 107
lstat64 - - 196
newfstatat 262 79 -
fstatat64 - - 327
statx 332 291 397
access 21 - 33
faccessat 269 48 334
faccessat2 439 439 439
readlink 89 - 85
readlinkat 267 78 332
getcwd 79 17 183
getdents64 217 61 217
fstatfs 138 44 100
fstatfs64 - - 267
fadvise64 221 223 -
arm_fadvise64_64 - - 270
fcntl 72 25 55
fcntl64 - - 221
ioctl 16 29 54
brk 12 214 45
mmap 9 222 -
mmap2 - - 192
mprotect 10 226 125
munmap 11 215 91
mremap 25 216 163
madvise 28 233 220
mincore 27 232 219
membarrier 324 283 389
clone 56 220 120
exit 60 93 1
exit_group 231 94 248
futex 202 98 240
futex_time64 - - 422
futex_waitv 449 449 449
set_robust_list 273 99 338
set_tid_address 218 96 256
rseq 334 293 398
sched_yield 24 124 158
sched_getaffinity 204 123 242
sched_getparam 143 121 155
sched_getscheduler 145 120 157
sched_get_priority_max 146 125 159
sched_get_priority_min 147 126 160
getcpu 309 168 345
getpid 39 172 20
getppid 110 173 64
gettid 186 178 224
getuid 102 174 24
geteuid 107 175 49
getgid 104 176 47
getegid 108 177 50
getuid32 - - 199
geteuid32 - - 201
getgid32 - - 200
getegid32 - - 202
uname 63 160 122
sysinfo 99 179 116
getrlimit 97 163 -
ugetrlimit - - 191
prlimit64 302 261 369
getrusage 98 165 77
times 100 153 43
prctl 157 167 172
arch_prctl 158 - -
rt_sigaction 13 134 174
rt_sigprocmask 14 135 175
rt_sigreturn 15 139 173
sigreturn - - 119
sigaltstack 131 132 186
restart_syscall 219 128 0
tgkill 234 131 268
setitimer 38 103 104
getitimer 36 102 105
nanosleep 35 101 162
clock_nanosleep 230 115 265
clock_nanosleep_time64 - - 407
clock_gettime 228 113 263
clock_gettime64 - - 403
clock_getres 229 114 264
clock_getres_time64 - - 406
gettimeofday 96 169 78
time 201 - -
poll 7 - 168
ppoll 271 73 336
ppoll_time64 - - 414
select 23 - -
_newselect - - 142
pselect6 270 72 335
pselect6_time64 - - 413
getrandom 318 278 384
ARM_cacheflush - - 983042
ARM_set_tls - - 983045
ARM_get_tls - - 983046
"""


def numbers_of(processor: Processor) -> dict[str, int]:
    """Return the names and numbers of the allowed calls that this architecture has."""
    column = 1 + PROCESSORS.index(processor)
    rows = (line.split() for line in _TABLE.split("\n") if line)
    return {row[0]: int(row[column]) for row in rows if row[column] != "-"}


def this_processor() -> Processor | None:
    """Return the architecture that this process runs as, None for one that is not in the table.

    The kernel's name of the machine is not enough: a 32-bit Raspberry Pi OS has a 64-bit kernel.
    """
    if not sys.platform.startswith("linux") or sys.byteorder != "little":
        return None
    machine, bits = os.uname().machine, 8 * struct.calcsize("P")
    if bits == 64:
        return {"x86_64": X86_64, "aarch64": AARCH64}.get(machine)
    is_arm = machine == "aarch64" or machine.startswith(("armv6", "armv7", "armv8"))
    return ARM if bits == 32 and is_arm else None

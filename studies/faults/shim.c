/* Faults of a disk and of the clock, for any program: preloaded, it stands between the program and the C library.

   FAULT_FOLDER   only files below this folder are concerned
   FAULT_BYTES    so many bytes can be written; then the disk is full
   FAULT_RENAME   1: the disk is full whenever a file is to get a name
   FAULT_READONLY from this many calls on that would change the folder, the disk can only be read
   FAULT_NOSYNC   1: what syncs does nothing
   FAULT_CLOCK    seconds by which the clock jumps, ahead and back again, every 50 times that it is read */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define REAL(name) __extension__((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static atomic_long written, changes, readings;

static int concerned(const char *path) {
    const char *folder = getenv("FAULT_FOLDER");
    return folder && path && strncmp(path, folder, strlen(folder)) == 0;
}

static int concerned_handle(int handle) {
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", handle);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return concerned(path);
}

static int read_only(void) {
    const char *text = getenv("FAULT_READONLY");
    return text && atomic_fetch_add(&changes, 1) >= atol(text);
}

static int refused(const char *path, int is_naming) {
    if (!concerned(path)) return 0;
    if (is_naming && getenv("FAULT_RENAME")) return errno = ENOSPC;
    if (read_only()) return errno = EROFS;
    return 0;
}

ssize_t write(int handle, const void *data, size_t size) {
    const char *most = getenv("FAULT_BYTES");
    if (size && (most || getenv("FAULT_READONLY")) && concerned_handle(handle)) {
        if (!most && read_only()) { errno = EROFS; return -1; }
        if (most) {
            long left = atol(most) - atomic_load(&written);
            if (left <= 0) { errno = ENOSPC; return -1; }
            if ((long)size > left) size = (size_t)left;
            atomic_fetch_add(&written, (long)size);
        }
    }
    return REAL(write)(handle, data, size);
}

static int opened(const char *name, int folder, const char *path, int flags, mode_t mode) {
    if ((flags & O_ACCMODE) != O_RDONLY && refused(path, 0)) return -1;
    int (*real)(int, const char *, int, ...) = (int (*)(int, const char *, int, ...))dlsym(RTLD_NEXT, name);
    return real(folder, path, flags, mode);
}

#define MODE(flags) \
    mode_t mode = 0; \
    if (flags & (O_CREAT | __O_TMPFILE)) { va_list more; va_start(more, flags); mode = va_arg(more, mode_t); va_end(more); }

int open(const char *path, int flags, ...) { MODE(flags) return opened("openat", AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE(flags) return opened("openat64", AT_FDCWD, path, flags, mode); }
int openat(int folder, const char *path, int flags, ...) { MODE(flags) return opened("openat", folder, path, flags, mode); }
int openat64(int folder, const char *path, int flags, ...) { MODE(flags) return opened("openat64", folder, path, flags, mode); }

int rename(const char *from, const char *to) { return refused(to, 1) ? -1 : REAL(rename)(from, to); }
int renameat(int a, const char *from, int b, const char *to) { return refused(to, 1) ? -1 : REAL(renameat)(a, from, b, to); }
int link(const char *from, const char *to) { return refused(to, 1) ? -1 : REAL(link)(from, to); }
int linkat(int a, const char *from, int b, const char *to, int flags) {
    return refused(to, 1) ? -1 : REAL(linkat)(a, from, b, to, flags);
}
int mkdir(const char *path, mode_t mode) { return refused(path, 0) ? -1 : REAL(mkdir)(path, mode); }

int fsync(int handle) { return getenv("FAULT_NOSYNC") ? 0 : REAL(fsync)(handle); }
int fdatasync(int handle) { return getenv("FAULT_NOSYNC") ? 0 : REAL(fdatasync)(handle); }
int syncfs(int handle) { return getenv("FAULT_NOSYNC") ? 0 : REAL(syncfs)(handle); }

static time_t jump(void) {
    const char *text = getenv("FAULT_CLOCK");
    if (!text) return 0;
    return (atomic_fetch_add(&readings, 1) / 50) % 3 == 1 ? atol(text) : (readings / 50) % 3 == 2 ? -atol(text) : 0;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    int status = REAL(clock_gettime)(clock, now);
    if (status == 0 && clock == CLOCK_REALTIME) now->tv_sec += jump();
    return status;
}
int gettimeofday(struct timeval *now, void *zone) {
    int status = REAL(gettimeofday)(now, zone);
    if (status == 0) now->tv_sec += jump();
    return status;
}
time_t time(time_t *result) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (result) *result = now.tv_sec;
    return now.tv_sec;
}

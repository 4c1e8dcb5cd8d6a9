/* Preloaded: while the number in the file named by STALE_SWITCH is odd, everything below STALE_UNDER fails with ESTALE, as on a
   volume whose server has forgotten it. What was opened before the number last changed to even fails for ever. With STALE_HANGS
   in the environment nothing fails: whoever asks for a path waits until the number is even, as for a server that does not answer. */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define MOST 1024
static volatile int64_t *number;
static const char *under;
static int hangs;
/* The number at the time of opening, plus one; 0 for what is not below STALE_UNDER. */
static int64_t opened[MOST];

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

__attribute__((constructor)) static void prepare(void) {
    const char *path = getenv("STALE_SWITCH");
    int descriptor = path ? REAL(open)(path, O_RDONLY) : -1;
    under = getenv("STALE_UNDER");
    hangs = getenv("STALE_HANGS") != NULL;
    if (descriptor < 0)
        return;
    void *mapped = mmap(NULL, sizeof *number, PROT_READ, MAP_SHARED, descriptor, 0);
    REAL(close)(descriptor);
    if (mapped != MAP_FAILED)
        number = mapped;
}

static int below(const char *path) {
    return number && under && path && !strncmp(path, under, strlen(under));
}

static int stale(const char *path) {
    while (hangs && below(path) && (*number & 1))
        usleep(1000);
    if (hangs || !below(path) || !(*number & 1))
        return 0;
    errno = ESTALE;
    return 1;
}

static int stale_descriptor(int descriptor) {
    if (!number || hangs || descriptor < 0 || descriptor >= MOST || !opened[descriptor] || opened[descriptor] == *number + 1)
        return 0;
    errno = ESTALE;
    return 1;
}

static int note(int descriptor, const char *path) {
    if (descriptor >= 0 && descriptor < MOST)
        opened[descriptor] = below(path) ? *number + 1 : 0;
    return descriptor;
}

#define OPEN(name)                                                                                                     \
    int name(const char *path, int flags, ...) {                                                                       \
        va_list rest;                                                                                                  \
        va_start(rest, flags);                                                                                         \
        mode_t mode = va_arg(rest, mode_t);                                                                            \
        va_end(rest);                                                                                                  \
        return stale(path) ? -1 : note(REAL(name)(path, flags, mode), path);                                           \
    }
OPEN(open)
OPEN(open64)

#define BY_PATH(type, failed, name, declared, ...)                                                                     \
    type name declared { return stale(path) ? failed : REAL(name)(__VA_ARGS__); }
BY_PATH(int, -1, stat, (const char *restrict path, struct stat *restrict found), path, found)
BY_PATH(int, -1, stat64, (const char *restrict path, struct stat64 *restrict found), path, found)
BY_PATH(int, -1, lstat, (const char *restrict path, struct stat *restrict found), path, found)
BY_PATH(int, -1, lstat64, (const char *restrict path, struct stat64 *restrict found), path, found)
BY_PATH(int, -1, statvfs, (const char *restrict path, struct statvfs *restrict found), path, found)
BY_PATH(int, -1, statvfs64, (const char *restrict path, struct statvfs64 *restrict found), path, found)
BY_PATH(int, -1, rename, (const char *path, const char *to), path, to)
BY_PATH(int, -1, unlink, (const char *path), path)
BY_PATH(int, -1, rmdir, (const char *path), path)
BY_PATH(int, -1, mkdir, (const char *path, mode_t mode), path, mode)
BY_PATH(int, -1, access, (const char *path, int mode), path, mode)
BY_PATH(DIR *, NULL, opendir, (const char *path), path)

#define BY_DESCRIPTOR(type, name, declared, ...)                                                                       \
    type name declared { return stale_descriptor(descriptor) ? -1 : REAL(name)(__VA_ARGS__); }
BY_DESCRIPTOR(ssize_t, read, (int descriptor, void *data, size_t size), descriptor, data, size)
BY_DESCRIPTOR(ssize_t, write, (int descriptor, const void *data, size_t size), descriptor, data, size)
BY_DESCRIPTOR(ssize_t, pread, (int descriptor, void *data, size_t size, off_t at), descriptor, data, size, at)
BY_DESCRIPTOR(ssize_t, pread64, (int descriptor, void *data, size_t size, off64_t at), descriptor, data, size, at)
BY_DESCRIPTOR(int, fstat, (int descriptor, struct stat *found), descriptor, found)
BY_DESCRIPTOR(int, fstat64, (int descriptor, struct stat64 *found), descriptor, found)
BY_DESCRIPTOR(int, fsync, (int descriptor), descriptor)
BY_DESCRIPTOR(off_t, lseek, (int descriptor, off_t at, int whence), descriptor, at, whence)
BY_DESCRIPTOR(off64_t, lseek64, (int descriptor, off64_t at, int whence), descriptor, at, whence)

int close(int descriptor) {
    if (descriptor >= 0 && descriptor < MOST)
        opened[descriptor] = 0;
    return REAL(close)(descriptor);
}

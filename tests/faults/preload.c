/*
 * Makes calls of the C library fail, for the tests of faults.
 *
 * FAULT=CALL:WHAT:N:MODE, where CALL is one of the functions below, WHAT the number of an error or one of `short` and
 * `slow` (which may be followed by milliseconds), N a count of calls, and MODE `once` (the Nth call), `from` (the Nth and all after it) or `every` (each Nth).
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

enum { NOTHING, FAIL, SHORT, SLOW };

static char call[32], what[32], mode[32];
static long nth;
static atomic_long count;

__attribute__((constructor)) static void begin(void)
{
    const char *f = getenv("FAULT");
    char copy[128], *part[4] = { 0 }, *rest = copy;
    if (!f || strlen(f) >= sizeof copy)
        return;
    strcpy(copy, f);
    for (int i = 0; i < 4; i++)
        part[i] = strsep(&rest, ":");
    if (!part[3])
        return;
    strncpy(call, part[0], sizeof call - 1);
    strncpy(what, part[1], sizeof what - 1);
    nth = atol(part[2]);
    strncpy(mode, part[3], sizeof mode - 1);
}

static int fault(const char *name)
{
    if (strcmp(name, call) != 0)
        return NOTHING;
    long n = atomic_fetch_add(&count, 1) + 1;
    int hit = !strcmp(mode, "once") ? n == nth : !strcmp(mode, "from") ? n >= nth : nth > 0 && n % nth == 0;
    if (!hit)
        return NOTHING;
    if (!strcmp(what, "short"))
        return SHORT;
    if (!strncmp(what, "slow", 4)) {
        usleep(what[4] ? atoi(what + 4) * 1000 : 3000);
        return SLOW;
    }
    errno = atoi(what);
    return FAIL;
}

static size_t less(size_t n)
{
    return n > 1 ? 1 + n / 3 : n;
}

#define REAL(type, name, ...)                        \
    static type (*real)(__VA_ARGS__);                \
    if (!real)                                       \
        real = (type (*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

#define TRANSFER(name, buffer)                                   \
    ssize_t name(int fd, buffer, size_t n)                       \
    {                                                            \
        REAL(ssize_t, #name, int, buffer, size_t);               \
        int f = fault(#name);                                    \
        if (f == FAIL)                                           \
            return -1;                                           \
        return real(fd, b, f == SHORT ? less(n) : n);            \
    }

#define TRANSFER_AT(name, buffer)                                \
    ssize_t name(int fd, buffer, size_t n, off_t at)             \
    {                                                            \
        REAL(ssize_t, #name, int, buffer, size_t, off_t);        \
        int f = fault(#name);                                    \
        if (f == FAIL)                                           \
            return -1;                                           \
        return real(fd, b, f == SHORT ? less(n) : n, at);        \
    }

TRANSFER(read, void *b)
TRANSFER(write, const void *b)
TRANSFER_AT(pread64, void *b)
TRANSFER_AT(pwrite64, const void *b)

int open64(const char *path, int flags, ...)
{
    REAL(int, "open64", const char *, int, ...);
    va_list list;
    va_start(list, flags);
    mode_t m = flags & (O_CREAT | __O_TMPFILE) ? va_arg(list, mode_t) : 0;
    va_end(list);
    return fault("open64") == FAIL ? -1 : real(path, flags, m);
}

int ftruncate64(int fd, off64_t n)
{
    REAL(int, "ftruncate64", int, off64_t);
    return fault("ftruncate64") == FAIL ? -1 : real(fd, n);
}

int fsync(int fd)
{
    REAL(int, "fsync", int);
    return fault("fsync") == FAIL ? -1 : real(fd);
}

int rename(const char *from, const char *to)
{
    REAL(int, "rename", const char *, const char *);
    return fault("rename") == FAIL ? -1 : real(from, to);
}

int pthread_create(pthread_t *t, const pthread_attr_t *a, void *(*f)(void *), void *arg)
{
    REAL(int, "pthread_create", pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    return fault("pthread_create") == FAIL ? EAGAIN : real(t, a, f, arg);
}

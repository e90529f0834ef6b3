// The cast and the witness of a guest whose state is to be saved; see README.md. One static binary, the first argument
// is the part to play:
//   scene stay [WORDS...]        sleeps for ever: for its command line and for whom started it
//   scene actors                 starts every other part below, then sleeps
//   scene last OUTPUT [busy]     as PID 1: runs the witness, then waits for children for ever, as it did before
//   scene tell OUTPUT            the witness: writes all that /proc knows to OUTPUT, a block device or a file
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/klog.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <grp.h>

static void stay(void) { for (;;) pause(); }
static void name(const char *comm) { prctl(PR_SET_NAME, comm, 0, 0, 0); }
static int keep; // failures are told, not fatal: an old kernel may lack something
static void want(int ok, const char *what) { if (!ok) { printf("scene: %s: %s\n", what, strerror(errno)); keep++; } }

// ---- the parts ----

// Forks; the child carries the name, does its work and stays.
#define PART(comm, ...) do { fflush(stdout); if (fork() == 0) { name(comm); __VA_ARGS__; fflush(stdout); stay(); _exit(0); } } while (0)

static void be(uid_t uid, gid_t gid) {
    gid_t groups[] = { gid, 4, 27 };
    want(!setgroups(3, groups) && !setresgid(gid, gid, gid) && !setresuid(uid, uid, uid), "user");
}

static void become(char *const argv[]) { execv("/proc/self/exe", argv); want(0, "exec"); }

static pthread_mutex_t held = PTHREAD_MUTEX_INITIALIZER;
static int nobody_writes[2];
static void *thread(void *arg) {
    long n = (long)arg; char b;
    static const char *names[] = { "in-futex", "in-nanosleep", "in-poll", "in-pipe-read", "in-epoll", "in-sigwait" };
    name(names[n]);
    struct timespec year = { 365 * 24 * 3600, 0 };
    for (;;) switch (n) {
        case 0: pthread_mutex_lock(&held); break;
        case 1: nanosleep(&year, 0); break;
        case 2: { struct pollfd p = { nobody_writes[0], POLLIN, 0 }; poll(&p, 1, -1); break; }
        case 3: want(read(nobody_writes[0], &b, 1) != 1, "a byte out of nowhere"); break;
        case 4: { struct epoll_event e = { EPOLLIN, { 0 } }; int ep = epoll_create1(0); epoll_ctl(ep, EPOLL_CTL_ADD, nobody_writes[0], &e); epoll_wait(ep, &e, 1, -1); break; }
        default: { sigset_t s; sigemptyset(&s); sigaddset(&s, SIGUSR2); int got; sigwait(&s, &got); }
    }
    return 0;
}

static void threads(void) {
    pthread_t t; sigset_t s;
    sigemptyset(&s); sigaddset(&s, SIGUSR2); sigprocmask(SIG_BLOCK, &s, 0);
    want(!pipe(nobody_writes), "pipe");
    pthread_mutex_lock(&held);
    for (long n = 0; n < 6; n++) want(!pthread_create(&t, 0, thread, (void *)n), "thread");
    pthread_join(t, 0);
}

static void open_files(void) {
    int p[2]; sigset_t s; char buffer[600];
    mkdir("/tmp/odd", 0755);
    static const char *odd[] = { "/tmp/odd/with space", "/tmp/odd/tab\tand\nnewline", "/tmp/odd/quo\"te's", "/tmp/odd/back\\slash",
        "/tmp/odd/\xc3\xbcml\xc3\xa4ut \xe2\x82\xac", "/tmp/odd/bytes\x01\xff\xfe", "/tmp/odd/ (deleted)", "/tmp/odd/a-name-that-is-longer-than-what-fits-into-the-directory-entry-itself-0123456789" };
    for (unsigned i = 0; i < sizeof odd / sizeof *odd; i++) { int fd = open(odd[i], O_CREAT | O_RDWR, 0600); want(fd >= 0 && write(fd, "odd\n", 4) == 4, odd[i]); }
    memset(buffer, 'n', 255); buffer[255] = 0; // as long as a name may be
    char path[700]; snprintf(path, sizeof path, "/tmp/odd/%s", buffer); want(open(path, O_CREAT | O_RDWR, 0600) >= 0, "long name");
    mkdir("/tmp/deep", 0755); strcpy(path, "/tmp/deep");
    for (int i = 0; i < 12; i++) { strcat(path, "/directory-with-a-name"); mkdir(path, 0755); }
    strcat(path, "/leaf"); want(open(path, O_CREAT | O_RDWR | O_APPEND, 0600) >= 0, "deep name");
    int fd = open("/tmp/deleted while open", O_CREAT | O_RDWR, 0600); want(fd >= 0 && write(fd, "still here\n", 11) == 11, "deleted"); unlink("/tmp/deleted while open");
    fd = open("/dev/shm/seeked", O_CREAT | O_RDWR | O_CLOEXEC, 0600); want(ftruncate(fd, 1 << 20) == 0 && lseek(fd, 0x12345, SEEK_SET) > 0, "seek");
    void *m = mmap(0, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0); want(m != MAP_FAILED, "mmap"); memset(m, 'm', 8192);
    want(!pipe2(p, O_NONBLOCK), "pipe"); want(write(p[1], "unread", 6) == 6, "pipe");
    mkfifo("/tmp/fifo", 0600); want(open("/tmp/fifo", O_RDWR) >= 0, "fifo");
    want(eventfd(7, 0) >= 0, "eventfd"); int ep = epoll_create1(0); struct epoll_event e = { EPOLLIN, { .u64 = 42 } };
    want(!epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &e), "epoll"); want(timerfd_create(CLOCK_MONOTONIC, 0) >= 0, "timerfd");
    sigemptyset(&s); sigaddset(&s, SIGUSR2); want(signalfd(-1, &s, 0) >= 0, "signalfd");
    int in = inotify_init(); want(inotify_add_watch(in, "/tmp", IN_CREATE) >= 0, "inotify");
    want(syscall(SYS_memfd_create, "a memfd", 0) >= 0, "memfd");
    want(open("/", O_RDONLY | O_DIRECTORY) >= 0 && open("/dev/null", O_WRONLY) >= 0 && open("/dev/zero", O_RDONLY) >= 0 && open("/proc/self/status", O_RDONLY) >= 0, "open");
    want(open("/tmp", O_PATH) >= 0, "O_PATH"); want(open("/sys/kernel/notes", O_RDONLY) >= 0, "notes");
    fd = open("/run/locked", O_CREAT | O_RDWR, 0600); want(!flock(fd, LOCK_EX), "flock");
    want(dup2(fd, 200) == 200, "dup"); // a descriptor beyond the first word of the table
    want(socketpair(AF_UNIX, SOCK_STREAM, 0, p) == 0, "socketpair");
    want(!chdir("/tmp/odd"), "chdir");
    if (fork() == 0) { name("cwd-deleted"); mkdir("/tmp/gone", 0755); want(!chdir("/tmp/gone") && !rmdir("/tmp/gone"), "cwd"); fflush(stdout); stay(); }
}

static int bound4(int type, const char *ip, int port) {
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) }; int fd = socket(AF_INET, type, 0);
    inet_pton(AF_INET, ip, &a.sin_addr); want(!bind(fd, (void *)&a, sizeof a), "bind4"); return fd;
}
static int bound6(int type, const char *ip, int port, int only) {
    struct sockaddr_in6 a = { .sin6_family = AF_INET6, .sin6_port = htons(port) }; int fd = socket(AF_INET6, type, 0);
    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof only);
    inet_pton(AF_INET6, ip, &a.sin6_addr); want(!bind(fd, (void *)&a, sizeof a), "bind6"); return fd;
}
static int join4(int type, const char *ip, int port) {
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) }; int fd = socket(AF_INET, type, 0);
    inet_pton(AF_INET, ip, &a.sin_addr); want(!connect(fd, (void *)&a, sizeof a), "connect4"); return fd;
}
static int join6(int type, const char *ip, int port) {
    struct sockaddr_in6 a = { .sin6_family = AF_INET6, .sin6_port = htons(port) }; int fd = socket(AF_INET6, type, 0);
    inet_pton(AF_INET6, ip, &a.sin6_addr); want(!connect(fd, (void *)&a, sizeof a), "connect6"); return fd;
}

static void tcp(void) {
    int l = bound4(SOCK_STREAM, "0.0.0.0", 7001); want(!listen(l, 9), "listen");
    int k = bound4(SOCK_STREAM, "10.0.2.15", 7002); want(!listen(k, 1), "listen");
    int s = bound6(SOCK_STREAM, "::", 7003, 1); want(!listen(s, 5), "listen");
    int d = bound6(SOCK_STREAM, "::", 7004, 0); want(!listen(d, 5), "listen"); // both families
    int o = bound6(SOCK_STREAM, "::1", 7005, 1); want(!listen(o, 5), "listen");
    bound4(SOCK_STREAM, "127.0.0.1", 7006); // bound, does not listen: in no table
    int c = join4(SOCK_STREAM, "127.0.0.1", 7001), a = accept(l, 0, 0); want(a >= 0 && write(c, "unread by the server", 20) == 20, "tcp");
    c = join4(SOCK_STREAM, "127.0.0.1", 7001); a = accept(l, 0, 0); want(!shutdown(c, SHUT_WR), "half closed"); // FIN_WAIT2 and CLOSE_WAIT
    join4(SOCK_STREAM, "127.0.0.1", 7001); // waits to be accepted
    join6(SOCK_STREAM, "::1", 7005); accept(o, 0, 0);
    join4(SOCK_STREAM, "127.0.0.1", 7004); accept(d, 0, 0); // an IPv4 address in an IPv6 socket
}
static void udp(void) {
    bound4(SOCK_DGRAM, "0.0.0.0", 7101); int b = bound4(SOCK_DGRAM, "127.0.0.1", 7102); (void)b;
    bound6(SOCK_DGRAM, "::", 7103, 1); bound6(SOCK_DGRAM, "::1", 7104, 1); bound6(SOCK_DGRAM, "::", 7105, 0);
    int c = join4(SOCK_DGRAM, "127.0.0.1", 7102); want(write(c, "unread", 6) == 6, "udp"); join6(SOCK_DGRAM, "::1", 7104);
}
static int at(int type, const char *path, int len) {
    struct sockaddr_un u = { .sun_family = AF_UNIX }; int fd = socket(AF_UNIX, type, 0);
    memcpy(u.sun_path, path, len); if (*path) unlink(path);
    want(!bind(fd, (void *)&u, 2 + len), "bind unix"); return fd;
}
static void unix_sockets(void) {
    struct sockaddr_un u = { .sun_family = AF_UNIX }; int p[2];
    int l = at(SOCK_STREAM, "/run/stream.sock", 17); want(!listen(l, 7), "listen");
    strcpy(u.sun_path, "/run/stream.sock"); int c = socket(AF_UNIX, SOCK_STREAM, 0); want(!connect(c, (void *)&u, 2 + 17), "connect unix"); accept(l, 0, 0);
    c = socket(AF_UNIX, SOCK_STREAM, 0); want(!connect(c, (void *)&u, 2 + 17), "connect unix"); // waits to be accepted
    int s = at(SOCK_SEQPACKET, "\0abstract name", 14); want(!listen(s, 3), "listen");
    at(SOCK_DGRAM, "/run/datagram.sock", 19); strcpy(u.sun_path, "/run/datagram.sock");
    int d = socket(AF_UNIX, SOCK_DGRAM, 0); want(!connect(d, (void *)&u, 2 + 19) && write(d, "unread", 6) == 6, "unix datagram");
    want(!socketpair(AF_UNIX, SOCK_STREAM, 0, p) && !socketpair(AF_UNIX, SOCK_DGRAM, 0, p) && !socketpair(AF_UNIX, SOCK_SEQPACKET, 0, p), "socketpair");
    char path[108]; memset(path, 'x', sizeof path); memcpy(path, "/run/", 5); path[107] = 0; at(SOCK_STREAM, path, 108); // the longest name
}
static void raw_sockets(void) {
    want(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP) >= 0 && socket(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6) >= 0, "raw");
    want(socket(AF_PACKET, SOCK_RAW, htons(ETH_P_LOOP)) >= 0, "packet");
    int fd = socket(AF_PACKET, SOCK_DGRAM, htons(ETH_P_ARP)); struct sockaddr_ll l = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_LOOP), .sll_ifindex = if_nametoindex("eth0") };
    want(!bind(fd, (void *)&l, sizeof l), "packet");
    struct sockaddr_nl n = { .nl_family = AF_NETLINK, .nl_groups = 1 };
    want(!bind(socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE), (void *)&n, sizeof n) && !bind(socket(AF_NETLINK, SOCK_DGRAM, NETLINK_KOBJECT_UEVENT), (void *)&n, sizeof n), "netlink");
}

static void dead_and_stopped(void) {
    if (fork() == 0) { name("zombie"); _exit(42); }
    if (fork() == 0) { name("zombie-killed"); raise(SIGKILL); }
    if (fork() == 0) { name("stopped"); raise(SIGSTOP); stay(); }
    if (fork() == 0) { name("traced"); ptrace(PTRACE_TRACEME, 0, 0, 0); raise(SIGTRAP); stay(); }
    if (fork() == 0) { name("vfork-parent"); if (vfork() == 0) { prctl(PR_SET_NAME, "vfork-child", 0, 0, 0); for (;;) pause(); } }
    int status; // a thread group whose leader has gone while a thread lives on
    if (fork() == 0) { name("leaderless"); pthread_t t; want(!pipe(nobody_writes), "pipe"); pthread_create(&t, 0, thread, (void *)3L); pthread_exit(0); }
    (void)status;
}

static void namespaces(void) {
    want(!unshare(CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWPID), "unshare");
    mount("none", "/", 0, MS_REC | MS_PRIVATE, 0);
    mkdir("/mnt/private", 0755); want(!mount("only here", "/mnt/private", "tmpfs", MS_NOEXEC | MS_NOSUID, "size=1m,mode=700"), "mount");
    want(!sethostname("inner-host", 10), "sethostname");
    open("/mnt/private/secret file", O_CREAT | O_RDWR, 0600);
    if (fork() == 0) { name("inner-init"); if (fork() == 0) { name("inner-child"); be(3000, 3000); stay(); } stay(); }
}
static void net_namespace(void) {
    want(!unshare(CLONE_NEWNET), "netns"); int l = bound4(SOCK_STREAM, "0.0.0.0", 7201); want(!listen(l, 4), "listen"); bound6(SOCK_DGRAM, "::", 7202, 1);
}
static void busy(const char *comm, int cpu, int kernel) { // starts when told to, so that the witness has the processors for itself
    cpu_set_t set; CPU_ZERO(&set); CPU_SET(cpu, &set); sched_setaffinity(0, sizeof set, &set); name(comm);
    sigset_t s; sigemptyset(&s); sigaddset(&s, SIGUSR1); sigprocmask(SIG_BLOCK, &s, 0); int got; sigwait(&s, &got);
    if (!kernel) for (volatile unsigned long n = 0;; n++);
    size_t size = 16 << 20; char *b = malloc(size); int fd = open("/dev/zero", O_RDONLY);
    for (;;) if (read(fd, b, size) < 0) stay();
}

static void actors(void) {
    name("actors");
    PART("part-threads", threads());
    PART("part-files", open_files());
    PART("part-tcp", tcp());
    PART("part-udp", be(1000, 1000); udp());
    PART("part-unix", unix_sockets());
    PART("part-raw", raw_sockets());
    PART("part-states", dead_and_stopped());
    PART("part-spaces", namespaces());
    PART("part-netns", net_namespace());
    PART("part-chroot", want(!chroot("/jail") && !chdir("/inner"), "chroot"); open("/inner/file", O_CREAT | O_RDWR, 0600));
    PART("ren) (amed R 1 ", be(65534, 65534));
    PART("\xc3\xbc\xe2\x82\xac-utf8", be(1001, 100));
    PART("nice", want(!setpriority(0, 0, 7), "nice"));
    PART("fifo-class", struct sched_param sp = { 10 }; want(!sched_setscheduler(0, SCHED_FIFO, &sp), "scheduler"));
    PART("session", setsid(); if (fork() == 0) { name("session-child"); setpgid(0, 0); stay(); });
    char long_word[6001]; memset(long_word, 'w', 6000); long_word[6000] = 0;
    PART("x", become((char *[]){ "stay's \"quoted\" argv[0]", "stay", "two words", "", "tab\there", "new\nline", "\xc3\xa4\xe2\x82\xac", "\x01\xff", "--opt='a b'", 0 }));
    PART("x", become((char *[]){ "stay-long", "stay", long_word, "end", 0 }));
    PART("x", be(1000, 1000); become((char *[]){ "a: title with spaces as daemons write it", "stay", 0 }));
    PART("title", prctl(PR_SET_NAME, "title-and-comm"));
    printf("scene: %d parts failed in this process\n", keep);
    fflush(stdout);
    stay();
}

// ---- the witness ----

static char *out; static size_t have, room = 1 << 20; static off_t written; static int out_fd;
static void flush_out(void) {
    for (size_t n = 0; n < have;) { ssize_t w = pwrite(out_fd, out + n, have - n, written); if (w <= 0) { perror("witness"); return; } n += w; written += w; }
    have = 0;
}
static void put(const char *b, size_t n) { while (n) { size_t k = room - have < n ? room - have : n; memcpy(out + have, b, k); have += k; b += k; n -= k; if (have == room) flush_out(); } }
static void section(const char *title, const char *b, size_t n) {
    char head[512]; int h = snprintf(head, sizeof head, "@@@BEGIN %s %zu\n", title, n);
    put(head, h); put(b, n); h = snprintf(head, sizeof head, "\n@@@END %s\n", title); put(head, h);
}
static char *text; static size_t text_room = 1 << 20;
static ssize_t slurp(int fd) {
    size_t n = 0; ssize_t r;
    for (;;) {
        if (n == text_room && !(text = realloc(text, text_room *= 2))) _exit(1);
        if ((r = read(fd, text + n, text_room - n)) <= 0) break;
        n += r;
    }
    return n || r == 0 ? (ssize_t)n : -1;
}
static void file(const char *title, const char *path) {
    int fd = open(path, O_RDONLY | O_NONBLOCK); if (fd < 0) return;
    ssize_t n = slurp(fd); close(fd); if (n >= 0) section(title, text, n);
}
static void command(const char *title, const char *line) { FILE *p = popen(line, "r"); if (!p) return; ssize_t n = slurp(fileno(p)); pclose(p); if (n >= 0) section(title, text, n); }

// Bytes that would spoil a line are written as \xNN, so a list has one line for each thing.
static size_t escape(char *to, const char *b, size_t n) {
    char *t = to;
    for (size_t i = 0; i < n; i++) { unsigned char c = b[i]; if (c > 0x20 && c < 0x7f && c != '\\') *t++ = c; else t += sprintf(t, "\\x%02x", c); }
    *t = 0; return t - to;
}
static void link_line(FILE *f, const char *key, const char *path) {
    char b[8192], e[4 * sizeof b + 1]; ssize_t n = readlink(path, b, sizeof b); if (n < 0) { fprintf(f, "%s !%d\n", key, errno); return; }
    escape(e, b, n); fprintf(f, "%s %s\n", key, e);
}
static int numbers(const char *path, int *list, int max) {
    DIR *d = opendir(path); struct dirent *e; int n = 0; if (!d) return 0;
    while ((e = readdir(d))) if (*e->d_name >= '0' && *e->d_name <= '9' && n < max) list[n++] = atoi(e->d_name);
    closedir(d); return n;
}
static ino_t seen_spaces[64]; static int spaces;
static int first_time(const char *path) {
    struct stat s; if (stat(path, &s)) return 0;
    for (int i = 0; i < spaces; i++) if (seen_spaces[i] == s.st_ino) return 0;
    if (spaces < 64) seen_spaces[spaces++] = s.st_ino;
    return 1;
}
static const char *NET[] = { "dev", "tcp", "tcp6", "udp", "udp6", "udplite", "unix", "raw", "raw6", "icmp", "packet", "netlink", "arp", "route", "ipv6_route", "if_inet6", "sockstat", "dev_mcast", "fib_trie", 0 };

static void tell_process(int pid) {
    char path[128], title[160], key[64]; static int tasks[4096], fds[4096]; char *list; size_t size;
    static const char *of_task[] = { "stat", "status", "comm", "wchan", "stack", "syscall", "cmdline", 0 };
    snprintf(path, sizeof path, "/proc/%d/task", pid); int n = numbers(path, tasks, 4096);
    for (int t = 0; t < n; t++) for (const char **w = of_task; *w; w++) {
        if (!strcmp(*w, "cmdline") && tasks[t] != pid) continue;
        snprintf(path, sizeof path, "/proc/%d/task/%d/%s", pid, tasks[t], *w); snprintf(title, sizeof title, "pid/%d/task/%d/%s", pid, tasks[t], *w); file(title, path);
    }
    FILE *f = open_memstream(&list, &size);
    static const char *links[] = { "cwd", "exe", "root", "ns/mnt", "ns/pid", "ns/uts", "ns/net", "ns/ipc", "ns/user", 0 };
    for (const char **w = links; *w; w++) { snprintf(path, sizeof path, "/proc/%d/%s", pid, *w); link_line(f, *w, path); }
    fclose(f); snprintf(title, sizeof title, "pid/%d/links", pid); section(title, list, size); free(list);
    snprintf(path, sizeof path, "/proc/%d/fd", pid); n = numbers(path, fds, 4096);
    f = open_memstream(&list, &size);
    for (int i = 0; i < n; i++) {
        struct stat s; snprintf(path, sizeof path, "/proc/%d/fd/%d", pid, fds[i]); snprintf(key, sizeof key, "%d", fds[i]);
        if (!stat(path, &s)) snprintf(key, sizeof key, "%d mode=%o,dev=%lu,ino=%lu,size=%lld,rdev=%lu", fds[i], s.st_mode, (unsigned long)s.st_dev, (unsigned long)s.st_ino, (long long)s.st_size, (unsigned long)s.st_rdev);
        link_line(f, key, path);
    }
    fclose(f); snprintf(title, sizeof title, "pid/%d/fd", pid); section(title, list, size); free(list);
    for (int i = 0; i < n; i++) { snprintf(path, sizeof path, "/proc/%d/fdinfo/%d", pid, fds[i]); snprintf(title, sizeof title, "pid/%d/fdinfo/%d", pid, fds[i]); file(title, path); }
    snprintf(path, sizeof path, "/proc/%d/maps", pid); snprintf(title, sizeof title, "pid/%d/maps", pid); file(title, path);
    snprintf(path, sizeof path, "/proc/%d/ns/mnt", pid);
    if (first_time(path)) { snprintf(path, sizeof path, "/proc/%d/mountinfo", pid); snprintf(title, sizeof title, "mountinfo/%d", pid); file(title, path); }
    snprintf(path, sizeof path, "/proc/%d/ns/net", pid);
    if (first_time(path)) for (const char **w = NET; *w; w++) { snprintf(path, sizeof path, "/proc/%d/net/%s", pid, *w); snprintf(title, sizeof title, "net/%d/%s", pid, *w); file(title, path); }
}

static void kernel_log(void) {
    char *list; size_t size; static char record[16384]; ssize_t n; int fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK);
    if (fd < 0) return;
    FILE *f = open_memstream(&list, &size);
    while ((n = read(fd, record, sizeof record)) > 0 || errno == EPIPE) if (n > 0) fwrite(record, 1, n, f);
    fclose(f); close(fd); section("kmsg", list, size); free(list);
    int total = klogctl(10, 0, 0); char *all = malloc(total > 0 ? total : 1); n = klogctl(3, all, total); if (n >= 0) section("klog", all, n); free(all);
}
static void clock_now(const char *title) {
    struct timespec r, m, b; char line[200]; clock_gettime(CLOCK_REALTIME, &r); clock_gettime(CLOCK_MONOTONIC, &m); clock_gettime(CLOCK_BOOTTIME, &b);
    section(title, line, snprintf(line, sizeof line, "realtime %ld.%09ld\nmonotonic %ld.%09ld\nboottime %ld.%09ld\n", (long)r.tv_sec, r.tv_nsec, (long)m.tv_sec, m.tv_nsec, (long)b.tv_sec, b.tv_nsec));
}

static void tell(const char *to) {
    name("witness");
    out_fd = open(to, O_WRONLY | O_DIRECT); if (out_fd < 0) out_fd = open(to, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    out = mmap(0, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); text = malloc(text_room);
    char line[64]; section("witness", line, snprintf(line, sizeof line, "%d", getpid()));
    clock_now("clock/begin");
    static const char *files[] = { "/proc/version", "/proc/cmdline", "/proc/cpuinfo", "/proc/iomem", "/proc/interrupts", "/proc/modules", "/proc/filesystems", "/proc/devices",
        "/proc/partitions", "/proc/swaps", "/proc/locks", "/proc/misc", "/proc/sys/net/ipv6/conf/all/forwarding", "/sys/kernel/vmcoreinfo", "/sys/kernel/notes", 0 };
    for (const char **w = files; *w; w++) file(*w + 1, *w);
    DIR *d = opendir("/proc/sys/kernel"); struct dirent *e; char path[600];
    while (d && (e = readdir(d))) if (e->d_type == DT_REG) { snprintf(path, sizeof path, "/proc/sys/kernel/%s", e->d_name); file(path + 1, path); }
    command("net-state", "cd /sys/class/net; for i in *; do echo $i $(cat $i/ifindex $i/flags $i/operstate); done");
    command("ip-addr", "ip addr"); command("ip-route", "ip route; ip -6 route");
    command("btf", "[ ! -e /sys/kernel/btf/vmlinux ] || { md5sum < /sys/kernel/btf/vmlinux; wc -c < /sys/kernel/btf/vmlinux; }");
    command("module-parts", "cd /sys/module; for m in *; do [ ! -d $m/sections ] || for s in $m/sections/*; do echo $m ${s##*/} $(cat $s); done; [ ! -e $m/initsize ] || echo $m = $(cat $m/coresize $m/initsize $m/refcnt $m/taint 2>/dev/null) $(ls $m/holders | tr '\\n' ','); done");
    static int pids[4096]; int n = numbers("/proc", pids, 4096);
    for (int i = 0; i < n; i++) tell_process(pids[i]);
    kernel_log();
    file("proc/kallsyms", "/proc/kallsyms");
    file("proc/meminfo", "/proc/meminfo"); file("proc/stat", "/proc/stat"); file("proc/loadavg", "/proc/loadavg"); file("proc/uptime", "/proc/uptime");
    clock_now("clock/end");
    put("@@@EOF\n", 7); while (have % 4096) put("\0", 1);
    flush_out(); fsync(out_fd); close(out_fd);
}

int main(int argc, char **argv) {
    const char *part = argc > 1 ? argv[1] : "stay";
    if (!strcmp(part, "actors")) actors();
    if (!strcmp(part, "tell") && argc > 2) { tell(argv[2]); return 0; }
    if (!strcmp(part, "last") && argc > 2) {
        pid_t in_user = 0, in_kernel = 0;
        if (argc > 3 && !strcmp(argv[3], "busy")) {
            if (!(in_user = fork())) busy("busy-in-user", 0, 0);
            if (!(in_kernel = fork())) busy("busy-in-kernel", 1, 1);
            sleep(1);
        }
        if (fork() == 0) {
            sleep(1); tell(argv[2]);
            if (in_user) { kill(in_user, SIGUSR1); kill(in_kernel, SIGUSR1); }
            printf("GUEST READY\n"); fflush(stdout); _exit(0);
        }
        for (;;) wait(0);
    }
    stay();
}

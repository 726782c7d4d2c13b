/* Runs a command and makes one system call on its files fail.

       injection LOG [CALL PATTERN N ERRNO] -- ROOT ... -- COMMAND ...

   LOG gets a line for each call on a file under the ROOTs: "CALL PATH". With CALL and the rest, the N-th CALL on a path
   that matches PATTERN (an extended regular expression, of the whole path) is not made and returns ERRNO (a number);
   its line begins with "! ". N+ stands for the N-th and all that follow, the CALL "*" for any. Threads and child
   processes count together. Ends as the command ends.

   The kernel stops every such call and asks here what to do (seccomp user notification, Linux 5.5), so calls from within
   libc and from any library are met. A failed close leaves the descriptor open, as the kernel would not.
*/
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <regex.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#else
#error "injection.c knows x86-64 and aarch64"
#endif

/* Which argument is a folder's or a file's descriptor, which a path; and of a second file. -1: none. */
struct call {
    const char *name;
    int number, fd, path, fd2, path2;
};
#define AT(name) {#name, SYS_##name, 0, 1, -1, -1}
#define FD(name) {#name, SYS_##name, 0, -1, -1, -1}
#define PATH(name) {#name, SYS_##name, -1, 0, -1, -1}

static const struct call calls[] = {
    AT(openat), AT(openat2), AT(newfstatat), AT(statx), AT(faccessat), AT(faccessat2), AT(mkdirat), AT(unlinkat),
    AT(readlinkat), AT(fchmodat), AT(fchownat), AT(utimensat),
    {"renameat", SYS_renameat, 2, 3, 0, 1}, {"renameat2", SYS_renameat2, 2, 3, 0, 1},
    {"linkat", SYS_linkat, 2, 3, 0, 1}, {"symlinkat", SYS_symlinkat, 1, 2, -1, -1},
    FD(read), FD(pread64), FD(readv), FD(preadv), FD(preadv2), FD(write), FD(pwrite64), FD(writev), FD(pwritev),
    FD(pwritev2), FD(close), FD(fstat), FD(lseek), FD(getdents64), FD(fsync), FD(fdatasync), FD(syncfs),
    FD(sync_file_range), FD(ftruncate), FD(fallocate), FD(fadvise64), FD(flock), FD(fcntl), FD(ioctl), FD(dup),
    FD(fchmod), FD(fchown), FD(fstatfs), FD(fchdir), FD(fgetxattr), FD(flistxattr),
    {"mmap", SYS_mmap, 4, -1, -1, -1}, {"sendfile", SYS_sendfile, 0, -1, 1, -1},
    {"copy_file_range", SYS_copy_file_range, 2, -1, 0, -1},
    PATH(truncate), PATH(statfs), PATH(chdir), PATH(getxattr), PATH(listxattr),
#ifdef SYS_open
    PATH(open), PATH(stat), PATH(lstat), PATH(access), PATH(mkdir), PATH(rmdir), PATH(unlink), PATH(readlink),
    PATH(chmod), PATH(chown), PATH(utimes), PATH(creat),
    {"rename", SYS_rename, -1, 1, -1, 0}, {"link", SYS_link, -1, 1, -1, 0}, {"symlink", SYS_symlink, -1, 1, -1, -1},
#endif
};
#define CALLS ((int)(sizeof calls / sizeof *calls))
#define LONGEST 4096

static char **roots;

static void stop(const char *what) {
    perror(what);
    exit(99);
}

/* The filter, laid over this process and all that it starts. Returns the descriptor on which the kernel asks. */
static int lay_filter(void) {
    struct sock_filter code[2 * CALLS + 6];
    int n = 0;
    code[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch));
    code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCH, 1, 0);
    code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    code[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (int i = 0; i < CALLS; i++) {
        code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, calls[i].number, 0, 1);
        code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF);
    }
    code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    struct sock_fprog program = {n, code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) return -1;
    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
}

static int link_text(const char *format, int pid, int fd, char *text) {
    char name[64];
    snprintf(name, sizeof name, format, pid, fd);
    ssize_t length = readlink(name, text, LONGEST - 1);
    text[length > 0 ? length : 0] = 0;
    char *deleted = strstr(text, " (deleted)");
    if (deleted) *deleted = 0;
    return length > 0;
}

/* The path that a process means by two arguments, absolute, without "//" and "/./". */
static int path_of(int pid, int fd, int has_fd, unsigned long address, char *out) {
    char said[LONGEST] = "", whole[2 * LONGEST];
    /* Up to the end of a page: what lies behind may not be there. */
    for (size_t at = 0; address && at < LONGEST - 1;) {
        size_t size = 256 - (address + at) % 256;
        if (size > LONGEST - 1 - at) size = LONGEST - 1 - at;
        struct iovec here = {said + at, size}, there = {(void *)(address + at), size};
        if (process_vm_readv(pid, &here, 1, &there, 1, 0) != (ssize_t)size) return 0;
        at += size;
        said[at] = 0;
        if (strlen(said) < at) break;
    }
    char start[LONGEST] = "";
    if (said[0] != '/') {
        if (!address && !has_fd) return 0;
        int found = has_fd && fd != AT_FDCWD ? link_text("/proc/%d/fd/%d", pid, fd, start)
                                              : link_text("/proc/%d/cwd", pid, 0, start);
        if (!found) return 0;
    }
    snprintf(whole, sizeof whole, "%s/%s", start, said);
    char *to = out;
    for (char *from = whole; *from && to - out < LONGEST - 1; from++) {
        if (from[0] == '/' && (from[1] == '/' || !from[1])) continue;
        if (from[0] == '/' && from[1] == '.' && (from[2] == '/' || !from[2])) {
            from++;
            continue;
        }
        *to++ = *from;
    }
    *to = 0;
    return 1;
}

static int under_roots(const char *path) {
    for (char **root = roots; strcmp(*root, "--"); root++) {
        size_t length = strlen(*root);
        if (!strncmp(path, *root, length) && (path[length] == '/' || !path[length])) return 1;
    }
    return 0;
}

/* Whether a call is about a file under the roots, and which. */
static int meant(const struct seccomp_notif *asked, const struct call *call, char *path) {
    const __u64 *args = asked->data.args;
    int pid = asked->pid, files[2][2] = {{call->fd, call->path}, {call->fd2, call->path2}};
    for (int i = 0; i < 2; i++) {
        int fd = files[i][0], name = files[i][1];
        if (fd < 0 && name < 0) continue;
        if (path_of(pid, fd < 0 ? AT_FDCWD : (int)args[fd], fd >= 0, name < 0 ? 0 : args[name], path) &&
            under_roots(path))
            return 1;
    }
    return 0;
}

static void answer(int listener, FILE *log, const char *wanted, regex_t *pattern, const char *when, int error) {
    struct seccomp_notif asked;
    struct pollfd waiting = {listener, POLLIN, 0};
    char *more;
    long seen = 0, nth = strtol(when, &more, 10);
    int failed = 0;
    while (poll(&waiting, 1, -1) >= 0 || errno == EINTR) {
        if (waiting.revents & POLLHUP) return; /* the last process has ended */
        memset(&asked, 0, sizeof asked);
        if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &asked)) continue; /* it was killed meanwhile */
        const struct call *call = calls;
        while (call->number != asked.data.nr) call++;
        struct seccomp_notif_resp reply = {asked.id, 0, 0, SECCOMP_USER_NOTIF_FLAG_CONTINUE};
        char path[LONGEST];
        int ours = meant(&asked, call, path), hit = 0;
        int named = wanted && (!strcmp(wanted, "*") || !strcmp(call->name, wanted));
        if (ours && named && !failed && !regexec(pattern, path, 0, NULL, 0))
            seen++, hit = *more ? seen >= nth : seen == nth;
        if (hit) reply.error = -error, reply.flags = 0;
        if (ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &reply)) { /* a signal came first: the call is made again */
            seen -= hit;
            continue;
        }
        failed |= hit && !*more;
        if (ours) fprintf(log, "%s%s %s\n", hit ? "! " : "", call->name, path), fflush(log);
    }
    stop("poll");
}

static int run(void *words) {
    int listener = lay_filter();
    *(volatile int *)((void **)words)[1] = listener < 0 ? -errno : listener;
    if (listener < 0) _exit(99);
    char **command = ((char ***)words)[0];
    execvp(command[0], command);
    _exit(127);
}

int main(int count, char **words) {
    int at = 2, with_fault = count > 2 && strcmp(words[2], "--");
    regex_t pattern;
    if (with_fault) at += 4;
    if (count < at + 3) return fprintf(stderr, "see injection.c\n"), 99;
    char whole[2 * LONGEST];
    snprintf(whole, sizeof whole, "^(%s)$", with_fault ? words[3] : "");
    if (regcomp(&pattern, whole, REG_EXTENDED | REG_NOSUB)) return fprintf(stderr, "a bad pattern\n"), 99;
    roots = words + at + 1;
    char **command = roots;
    while (*command && strcmp(*command, "--")) command++;
    if (!*command || !command[1]) return fprintf(stderr, "no command\n"), 99;
    FILE *log = fopen(words[1], "w");
    if (!log) stop(words[1]);

    /* The child shares descriptors until it becomes the command: so the listener gets here. */
    static char stack[1 << 20];
    volatile int listener = -1;
    void *given[2] = {command + 1, (void *)&listener};
    int child = clone(run, stack + sizeof stack, CLONE_VM | CLONE_VFORK | CLONE_FILES | SIGCHLD, given);
    if (child < 0) stop("clone");
    if (listener < 0) return errno = -listener, perror("seccomp"), 99;
    answer(listener, log, with_fault ? words[2] : NULL, &pattern, with_fault ? words[4] : "",
           with_fault ? atoi(words[5]) : 0);
    int status;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* The system calls that a first record needs, and nothing else: what hg does
 * until the agent is woken, and what an agent does with the record until a
 * collector has it.
 *
 *   floor first DIRECTORY              hg's side; prints microseconds, then one
 *                                      line for each part
 *   floor all DIRECTORY                the same, with the calls by which uilog
 *                                      makes sure of what it finds
 *   floor serve DIRECTORY PORT FILE    the agent's; ends with its input
 *
 * Must not know uilog: no queue of frames, no redaction, no OTLP. A request is a
 * POST without a body and with a head of the same length as an event has.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096
#define RECORD 434
#define WORDS 64
#define REQUEST 1045

static char page[2 * PAGE];

static double now(void) {
  struct timespec it;
  clock_gettime(CLOCK_MONOTONIC, &it);
  return it.tv_sec * 1e6 + it.tv_nsec / 1e3;
}

static void check(long result, const char *what) {
  if (result < 0) {
    perror(what);
    exit(1);
  }
}

static struct sockaddr_un address_in(const char *directory) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  snprintf(address.sun_path, sizeof address.sun_path, "%s/floor", directory);
  return address;
}

static int hold(int file, short begin) {
  struct flock lock = {
      .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = begin, .l_len = 1};
  return fcntl(file, F_OFD_SETLK, &lock);
}

/* Whether this process is confined. */
static void look_at_limits(void) {
  struct rlimit limit;
  syscall(SYS_geteuid);
  getrlimit(RLIMIT_CPU, &limit);
  getrlimit(RLIMIT_FSIZE, &limit);
  prctl(PR_GET_SECCOMP);
}

/* Whether these are still the files that were opened. */
static void look_at(int one, int two) {
  struct stat status;
  check(fstat(one, &status), "fstat");
  check(fstat(two, &status), "fstat");
}

static int first(const char *directory, int is_all) {
  const char *namespaces[] = {"user", "mnt", "pid", "net"};
  struct sockaddr_un address = address_in(directory);
  char name[32], new[40], link[64];
  struct statfs system;
  struct stat status;
  double times[7];
  snprintf(name, sizeof name, "queue-%d", getpid());
  snprintf(new, sizeof new, ".new-%s", name);

  times[0] = now();
  if (is_all)
    look_at_limits();
  int proc = open("/proc/self/ns", O_PATH | O_DIRECTORY | O_CLOEXEC);
  for (int at = 0; at < 4; at++)
    check(readlinkat(proc, namespaces[at], link, sizeof link), "readlinkat");
  close(proc);
  times[1] = now();
  int dir = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
  check(fstatfs(dir, &system), "fstatfs");
  check(fstat(dir, &status), "fstat");
  if (is_all) {
    /* That of uilog within the user's. */
    int parent = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
    check(fstat(parent, &status), "fstat");
    close(parent);
    check(getrandom(page, 16, 0), "getrandom");
  }
  times[2] = now();
  int sum = openat(dir, "reserved", O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC,
                   0600);
  check(fstat(sum, &status), "fstat");
  if (is_all)
    check(fstatfs(sum, &system), "fstatfs");
  check(write(sum, "", 1), "write");
  close(sum);
  times[3] = now();
  int queue = openat(dir, new, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  check(hold(queue, 0), "lock");
  check(pwrite(queue, page, PAGE, 0), "pwrite");
  check(renameat2(dir, new, dir, name, RENAME_NOREPLACE), "rename");
  if (is_all) {
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    for (int times = 0; times < 3; times++)
      look_at(queue, dir);
  }
  times[4] = now();
  if (is_all) {
    char here[PAGE];
    check(fstat(queue, &status), "fstat");
    check(syscall(SYS_getcwd, here, sizeof here), "getcwd");
  }
  check(pwrite(queue, page, RECORD, PAGE), "pwrite");
  check(pwrite(queue, page, WORDS, WORDS), "pwrite");
  times[5] = now();
  int own = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  int evidence = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
  char control[CMSG_SPACE(sizeof evidence)];
  struct iovec text = {name, strlen(name)};
  struct msghdr message = {.msg_name = &address,
                           .msg_namelen = sizeof address,
                           .msg_iov = &text,
                           .msg_iovlen = 1,
                           .msg_control = control,
                           .msg_controllen = sizeof control};
  struct cmsghdr *header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof evidence);
  memcpy(CMSG_DATA(header), &evidence, sizeof evidence);
  check(sendmsg(own, &message, MSG_DONTWAIT | MSG_NOSIGNAL), "sendmsg");
  close(evidence);
  times[6] = now();

  const char *parts[] = {"namespaces", "directory", "bound of all queues",
                         "create, lock, write, name", "two writes",
                         "wake the agent"};
  printf("%.1f\n", times[6] - times[0]);
  for (int at = 0; at < 6; at++)
    printf("%.1f %s\n", times[at + 1] - times[at], parts[at]);
  return 0;
}

/* One record: out of the queue, into a file, and the queue removed when its
 * writer has ended. */
static void take(int bell, int dir, int file) {
  char name[256], control[256];
  struct iovec text = {name, sizeof name - 1};
  struct msghdr message = {.msg_iov = &text,
                           .msg_iovlen = 1,
                           .msg_control = control,
                           .msg_controllen = sizeof control};
  ssize_t length = recvmsg(bell, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (length < 0)
    return;
  name[length] = 0;
  int pid = 0;
  for (struct cmsghdr *it = CMSG_FIRSTHDR(&message); it;
       it = CMSG_NXTHDR(&message, it)) {
    if (it->cmsg_type == SCM_CREDENTIALS)
      pid = ((struct ucred *)CMSG_DATA(it))->pid;
    if (it->cmsg_type == SCM_RIGHTS)
      close(*(int *)CMSG_DATA(it));
  }
  int queue = openat(dir, name, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
  check(queue, "open");
  check(hold(queue, 1), "lock");
  int process = syscall(SYS_pidfd_open, pid, 0);
  check(pread(queue, page, sizeof page, 0), "pread");
  check(write(file, page, 1128), "write");
  if (process >= 0) {
    struct pollfd ended = {process, POLLIN, 0};
    poll(&ended, 1, -1);
    close(process);
  }
  check(unlinkat(dir, name, 0), "unlink");
  close(queue);
}

static int serve(const char *directory, int port, const char *path) {
  struct sockaddr_un address = address_in(directory);
  struct sched_param parameter = {0};
  int yes = 1, is_due = 0;
  int bell = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  check(setsockopt(bell, SOL_SOCKET, SO_PASSCRED, &yes, sizeof yes), "option");
  check(bind(bell, (struct sockaddr *)&address, sizeof address), "bind");
  sched_setscheduler(0, SCHED_BATCH, &parameter);
  int dir = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
  struct sockaddr_in collector = {.sin_family = AF_INET,
                                  .sin_port = htons(port),
                                  .sin_addr = {htonl(INADDR_LOOPBACK)}};
  int peer = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  check(connect(peer, (struct sockaddr *)&collector, sizeof collector),
        "connect");
  char request[REQUEST + 1], answer[4096];
  int length = snprintf(request, sizeof request,
                        "POST /v1/traces HTTP/1.1\r\nHost: localhost\r\n"
                        "Content-Type: application/x-protobuf\r\n"
                        "Content-Length: 0\r\nX-Fill: ");
  memset(request + length, 'x', REQUEST - length - 4);
  memcpy(request + REQUEST - 4, "\r\n\r\n", 4);
  int file = -1;
  double begun = 0;
  puts("ready");
  fflush(stdout);
  for (;;) {
    struct pollfd wanted[] = {{bell, POLLIN, 0}, {0, POLLIN, 0}};
    /* What comes within a second is sent together. */
    int ready = poll(wanted, 2, is_due ? 1000 : -1);
    if (wanted[1].revents)
      return 0;
    if (ready && wanted[0].revents) {
      if (file < 0) {
        file = open(path, O_RDWR | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC,
                    0600);
        check(file, "open");
        begun = now();
        is_due = 1;
      }
      take(bell, dir, file);
    }
    if (is_due && now() - begun >= 1e6) {
      check(fdatasync(file), "sync");
      check(send(peer, request, REQUEST, MSG_NOSIGNAL), "send");
      check(recv(peer, answer, sizeof answer, 0), "receive");
      check(unlink(path), "unlink");
      close(file);
      file = -1;
      is_due = 0;
    }
  }
}

int main(int count, char **words) {
  if (count == 3 && !strcmp(words[1], "first"))
    return first(words[2], 0);
  if (count == 3 && !strcmp(words[1], "all"))
    return first(words[2], 1);
  if (count == 5 && !strcmp(words[1], "serve"))
    return serve(words[2], atoi(words[3]), words[4]);
  fputs("usage: floor first|all DIRECTORY | serve DIRECTORY PORT FILE\n", stderr);
  return 2;
}

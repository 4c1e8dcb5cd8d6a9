// Makes an sshd on loopback look like COUNT machines that are far: `delay_proxy TARGET_PORT DELAY_MS COUNT` listens on
// COUNT ports of 127.0.0.1, prints them, and passes bytes on DELAY_MS later, each way. Ends with its standard input.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MOST_FDS 65536
#define CHUNK 65536

// What is due, oldest first: the delay is the same for all, so they come in order. No bytes: the end of that direction.
struct item { struct item *next; double due; int from, to; ssize_t size; char data[]; };
static struct item *first, **last = &first;
static int other[MOST_FDS], ended[MOST_FDS], listening[MOST_FDS], poller;
static double delay;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static void put(int from, const char *data, ssize_t size) {
    struct item *item = malloc(sizeof *item + (size > 0 ? size : 0));
    item->next = NULL, item->due = now() + delay, item->from = from, item->size = size;
    if (size > 0) memcpy(item->data, data, size);
    *last = item, last = &item->next;
}

static void watch(int fd) {
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event);
}

static int loopback(int port, int (*use)(int, const struct sockaddr *, socklen_t)) {
    struct sockaddr_in place = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), yes = 1;
    if (use(fd, (struct sockaddr *)&place, sizeof place)) { close(fd); return -1; }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    return fd;
}

static void drop(int fd) {
    int far = other[fd];
    close(fd);
    if (far > 0) close(far);
}

// The far end hears of the connection when its first packet would have come there.
static void reach(int fd, int target) {
    int far = loopback(target, connect);
    if (far < 0) { close(fd); return; }
    other[fd] = far, other[far] = fd, ended[fd] = ended[far] = 0;
    watch(fd), watch(far);
}

static void deliver(struct item *item, int target) {
    if (item->size < 0) { reach(item->from, target); return; }
    int to = other[item->from];
    if (item->size > 0) {
        for (ssize_t sent = 0; sent < item->size;) {
            ssize_t count = send(to, item->data + sent, item->size - sent, MSG_NOSIGNAL);
            if (count <= 0) return;
            sent += count;
        }
        return;
    }
    shutdown(to, SHUT_WR);
    ended[item->from] = 2;
    if (ended[to] == 2) drop(to);
}

static void hear(int fd) {
    static char data[CHUNK];
    ssize_t size = recv(fd, data, sizeof data, 0);
    if (size <= 0) {
        size = 0, ended[fd] = 1;
        epoll_ctl(poller, EPOLL_CTL_DEL, fd, NULL);
    }
    put(fd, data, size);
}

int main(int count, char **words) {
    int target = atoi(words[1]), ports = count > 3 ? atoi(words[3]) : 1, yes = 1;
    delay = atof(words[2]) / 1000;
    poller = epoll_create1(EPOLL_CLOEXEC);
    for (int n = 0; n < ports; n++) {
        struct sockaddr_in place;
        socklen_t size = sizeof place;
        int fd = loopback(0, bind);
        listen(fd, 16), getsockname(fd, (struct sockaddr *)&place, &size);
        printf("%d\n", ntohs(place.sin_port));
        listening[fd] = 1, watch(fd);
    }
    fflush(stdout);
    watch(0);
    for (;;) {
        struct epoll_event events[64];
        double wait = first ? first->due - now() : 1;
        int found = epoll_wait(poller, events, 64, wait > 0 ? (int)(wait * 1000 + 0.999) : 0);
        for (int n = 0; n < found; n++) {
            int fd = events[n].data.fd;
            if (fd == 0) return 0;
            if (!listening[fd]) { hear(fd); continue; }
            int near = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
            if (near < 0) continue;
            setsockopt(near, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
            put(near, NULL, -1);
        }
        while (first && first->due <= now()) {
            struct item *item = first;
            if (!(first = item->next)) last = &first;
            deliver(item, target);
            free(item);
        }
    }
}

/* The target. One event loop serves echoes; all other connections have a thread each. */
#define _GNU_SOURCE
#include "load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAX_DESCRIPTORS (1 << 20)

static bool is_echo[MAX_DESCRIPTORS];

struct connection {
    int fd;
    char role;
};

static void send_forever(int fd, const char *buffer) {
    while (write_all(fd, buffer, CHUNK)) {}
}

static void receive_forever(int fd, char *buffer) {
    for (size_t received = 0;;) {
        ssize_t got = read(fd, buffer, CHUNK);
        if (got <= 0) return;
        for (received += (size_t)got; received >= CHUNK; received -= CHUNK)
            if (!write_all(fd, "k", 1)) return;
    }
}

static void send_objects(int fd, char *buffer) {
    uint8_t request[REQUEST];
    while (read_exactly(fd, request, sizeof request)) {
        uint32_t left;
        memcpy(&left, request, sizeof left);
        for (left = ntohl(left); left;) {
            uint32_t part = left < CHUNK ? left : CHUNK;
            if (!write_all(fd, buffer, part)) return;
            left -= part;
        }
    }
}

static void answer(int fd) {
    char rest[sizeof GET - 2]; /* without the terminating 0 and the role */
    const char *text = "HTTP/1.0 204 No Content\r\n\r\n";
    if (read_exactly(fd, rest, sizeof rest)) write_all(fd, text, strlen(text));
}

static void *serve_in_thread(void *argument) {
    struct connection connection = *(struct connection *)argument;
    char *buffer = calloc(1, CHUNK);
    free(argument);
    if (buffer && connection.role == SOURCE) send_forever(connection.fd, buffer);
    if (buffer && connection.role == SINK) receive_forever(connection.fd, buffer);
    if (buffer && connection.role == OBJECTS) send_objects(connection.fd, buffer);
    if (connection.role == WEB) answer(connection.fd);
    free(buffer);
    close(connection.fd);
    return NULL;
}

static void begin_thread(int loop, int fd, char role) {
    struct connection *connection = malloc(sizeof *connection);
    pthread_t thread;
    epoll_ctl(loop, EPOLL_CTL_DEL, fd, NULL);
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
    *connection = (struct connection){fd, role};
    if (pthread_create(&thread, NULL, serve_in_thread, connection)) {
        close(fd);
        free(connection);
        return;
    }
    pthread_detach(thread);
}

/* Echo data; a client that does not read would block all others, but the generator reads. */
static bool send_back(int fd, const char *data, size_t size) {
    while (size) {
        ssize_t sent = send(fd, data, size, MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN) return false;
        if (sent < 0) {
            poll(&(struct pollfd){.fd = fd, .events = POLLOUT}, 1, TIMEOUT_S * 1000);
            continue;
        }
        data += sent;
        size -= (size_t)sent;
    }
    return true;
}

static void handle_input(int loop, int fd) {
    static char buffer[CHUNK];
    char role;
    if (!is_echo[fd]) {
        ssize_t got = recv(fd, &role, 1, 0);
        if (got < 0 && errno == EAGAIN) return;
        if (got <= 0) { close(fd); return; }
        if (role != ECHO) { begin_thread(loop, fd, role); return; }
        is_echo[fd] = true;
    }
    ssize_t got = recv(fd, buffer, sizeof buffer, 0);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0 || !send_back(fd, buffer, (size_t)got)) close(fd);
}

static void accept_all(int loop, int listener) {
    int fd, one = 1;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        is_echo[fd] = false;
        epoll_ctl(loop, EPOLL_CTL_ADD, fd, &(struct epoll_event){.events = EPOLLIN, .data.fd = fd});
    }
}

int serve(const struct sockaddr_in *address) {
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), loop = epoll_create1(0), one = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (const struct sockaddr *)address, sizeof *address) || listen(listener, 4096)) {
        perror("load: cannot listen");
        return 1;
    }
    struct epoll_event events[256] = {{.events = EPOLLIN, .data.fd = listener}};
    epoll_ctl(loop, EPOLL_CTL_ADD, listener, events);
    for (;;) {
        int ready = epoll_wait(loop, events, 256, -1);
        for (int i = 0; i < ready; i++) {
            if (events[i].data.fd == listener) accept_all(loop, listener);
            else handle_input(loop, events[i].data.fd);
        }
    }
}

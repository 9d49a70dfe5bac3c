/* The ways to a target: directly, or through a proxy that is asked for it.
 *
 *   direct   socks5:HOST:PORT   http:HOST:PORT   netjumper:HOST:PORT:SECRET
 */
#include "load.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const char *after(const char *text, const char *prefix) {
    size_t size = strlen(prefix);
    return strncmp(text, prefix, size) ? NULL : text + size;
}

/* Take "HOST:PORT:SECRET" apart. */
static bool parse_jump_server(const char *text, struct way *way) {
    char endpoint[64];
    const char *colon = strrchr(text, ':');
    if (!colon || (size_t)(colon - text) >= sizeof endpoint) return false;
    if (strlen(colon + 1) >= sizeof way->secret) return false;
    memcpy(endpoint, text, (size_t)(colon - text));
    endpoint[colon - text] = 0;
    strcpy(way->secret, colon + 1);
    return parse_endpoint(endpoint, &way->proxy);
}

bool parse_way(const char *text, const char *target, struct way *way) {
    const char *rest;
    if (strlen(target) >= sizeof way->target_text || !parse_endpoint(target, &way->target))
        return false;
    strcpy(way->target_text, target);
    if (!strcmp(text, "direct")) return way->kind = DIRECT, true;
    if ((rest = after(text, "socks5:"))) return way->kind = SOCKS5, parse_endpoint(rest, &way->proxy);
    if ((rest = after(text, "http:")))
        return way->kind = HTTP_CONNECT, parse_endpoint(rest, &way->proxy);
    if ((rest = after(text, "netjumper:"))) return way->kind = NETJUMPER, parse_jump_server(rest, way);
    return false;
}

/* RFC 1928: no authentication, CONNECT to an IPv4 address. */
static bool ask_socks5(int fd, const struct way *way) {
    uint8_t reply[255 + 2], request[10] = {5, 1, 0, 1}, size;
    memcpy(request + 4, &way->target.sin_addr, 4);
    memcpy(request + 8, &way->target.sin_port, 2);
    if (!write_all(fd, "\5\1\0", 3) || !read_exactly(fd, reply, 2) || reply[1]) return false;
    if (!write_all(fd, request, sizeof request) || !read_exactly(fd, reply, 4) || reply[1])
        return false;
    switch (reply[3]) {
    case 1: return read_exactly(fd, reply, 4 + 2);
    case 3: return read_exactly(fd, &size, 1) && read_exactly(fd, reply, size + 2u);
    case 4: return read_exactly(fd, reply, 16 + 2);
    default: return false;
    }
}

/* RFC 9110, section 9.3.6. The target says nothing before it is asked: what comes is the head. */
static bool ask_http(int fd, const struct way *way) {
    char text[1024];
    int size = snprintf(text, sizeof text, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n",
                        way->target_text, way->target_text);
    if (!write_all(fd, text, (size_t)size)) return false;
    for (size_t have = 0; have < sizeof text;) {
        ssize_t got = read(fd, text + have, sizeof text - have);
        if (got <= 0) return false;
        have += (size_t)got;
        if (have > 12 && !memcmp(text + have - 4, "\r\n\r\n", 4)) return !memcmp(text + 9, "200", 3);
    }
    return false;
}

/* Challenge, answer, verdict, destination, outcome: frames of a length byte and so many bytes. */
static bool ask_jump_server(int fd, const struct way *way) {
    uint8_t size, status, buffer[512], answer[21] = {20};
    size_t secret = strlen(way->secret), target = strlen(way->target_text);
    if (!read_exactly(fd, &size, 1) || !read_exactly(fd, buffer, size)) return false;
    memcpy(buffer + size, way->secret, secret);
    sha1(buffer, size + secret, answer + 1);
    if (!write_all(fd, answer, sizeof answer) || !read_exactly(fd, &status, 1) || status) return false;
    buffer[0] = (uint8_t)target;
    memcpy(buffer + 1, way->target_text, target);
    return write_all(fd, buffer, target + 1) && read_exactly(fd, &status, 1) && !status;
}

/* Connect to the target; returns the socket, or -1. */
int open_through(const struct way *way) {
    if (way->kind == DIRECT) return dial(&way->target);
    int fd = dial(&way->proxy);
    if (fd < 0) return -1;
    bool there = way->kind == SOCKS5         ? ask_socks5(fd, way)
                 : way->kind == HTTP_CONNECT ? ask_http(fd, way)
                                             : ask_jump_server(fd, way);
    if (there) return fd;
    close(fd);
    return -1;
}

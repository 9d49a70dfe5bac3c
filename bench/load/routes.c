/* Routes to a target: directly, or through a proxy.
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

/* Parse "HOST:PORT:SECRET". */
static bool parse_jump_server(const char *text, struct route *route) {
    char endpoint[64];
    const char *colon = strrchr(text, ':');
    if (!colon || (size_t)(colon - text) >= sizeof endpoint) return false;
    if (strlen(colon + 1) >= sizeof route->secret) return false;
    memcpy(endpoint, text, (size_t)(colon - text));
    endpoint[colon - text] = 0;
    strcpy(route->secret, colon + 1);
    return parse_endpoint(endpoint, &route->proxy);
}

bool parse_route(const char *text, const char *target, struct route *route) {
    const char *rest;
    if (strlen(target) >= sizeof route->target_text || !parse_endpoint(target, &route->target))
        return false;
    strcpy(route->target_text, target);
    if (!strcmp(text, "direct")) return route->kind = DIRECT, true;
    if ((rest = after(text, "socks5:"))) return route->kind = SOCKS5, parse_endpoint(rest, &route->proxy);
    if ((rest = after(text, "http:")))
        return route->kind = HTTP_CONNECT, parse_endpoint(rest, &route->proxy);
    if ((rest = after(text, "netjumper:"))) return route->kind = NETJUMPER, parse_jump_server(rest, route);
    return false;
}

/* RFC 1928: no authentication, CONNECT to an IPv4 address. */
static bool ask_socks5(int fd, const struct route *route) {
    uint8_t reply[255 + 2], request[10] = {5, 1, 0, 1}, size;
    memcpy(request + 4, &route->target.sin_addr, 4);
    memcpy(request + 8, &route->target.sin_port, 2);
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

/* RFC 9110, section 9.3.6. The target sends nothing by itself: the answer is only a head. */
static bool ask_http(int fd, const struct route *route) {
    char text[1024];
    int size = snprintf(text, sizeof text, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n",
                        route->target_text, route->target_text);
    if (!write_all(fd, text, (size_t)size)) return false;
    for (size_t have = 0; have < sizeof text;) {
        ssize_t got = read(fd, text + have, sizeof text - have);
        if (got <= 0) return false;
        have += (size_t)got;
        if (have > 12 && !memcmp(text + have - 4, "\r\n\r\n", 4)) return !memcmp(text + 9, "200", 3);
    }
    return false;
}

/* Challenge, answer, verdict, target, outcome: frames with a length byte in front. */
static bool ask_jump_server(int fd, const struct route *route) {
    uint8_t size, status, buffer[512], answer[21] = {20};
    size_t secret = strlen(route->secret), target = strlen(route->target_text);
    if (!read_exactly(fd, &size, 1) || !read_exactly(fd, buffer, size)) return false;
    memcpy(buffer + size, route->secret, secret);
    sha1(buffer, size + secret, answer + 1);
    if (!write_all(fd, answer, sizeof answer) || !read_exactly(fd, &status, 1) || status) return false;
    buffer[0] = (uint8_t)target;
    memcpy(buffer + 1, route->target_text, target);
    return write_all(fd, buffer, target + 1) && read_exactly(fd, &status, 1) && !status;
}

/* Connect to the target; returns the socket, or -1. */
int open_through(const struct route *route) {
    if (route->kind == DIRECT) return dial(&route->target);
    int fd = dial(&route->proxy);
    if (fd < 0) return -1;
    bool is_open = route->kind == SOCKS5         ? ask_socks5(fd, route)
                 : route->kind == HTTP_CONNECT ? ask_http(fd, route)
                                             : ask_jump_server(fd, route);
    if (is_open) return fd;
    close(fd);
    return -1;
}

/* Declarations that the files of the load generator share. */
#ifndef LOAD_H
#define LOAD_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CHUNK (256u * 1024) /* bytes per read and write of bulk data, and per acknowledgement */
#define REQUEST 400         /* bytes of a request for an object; a browser sends about as many */
#define GET "GET / HTTP/1.0\r\nHost: target.example.net\r\n\r\n"
#define TIMEOUT_S 30        /* a connection that is silent for longer has failed */

/* The first byte of a connection selects the behaviour of the target. */
enum role {
    ECHO = 'e',    /* echoes all data */
    SOURCE = 's',  /* sends until the other side closes */
    SINK = 'd',    /* receives, and sends one byte for every CHUNK received */
    OBJECTS = 'r', /* for each REQUEST sends as many bytes as its first 4 bytes say */
    WEB = 'G',     /* answers GET and closes */
};

enum route_kind { DIRECT, SOCKS5, HTTP_CONNECT, NETJUMPER };

/* A target and how to connect to it. */
struct route {
    enum route_kind kind;
    struct sockaddr_in proxy;
    struct sockaddr_in target;
    char target_text[64];
    char secret[256];
};

/* The parameters of a measurement. */
struct job {
    struct route route;
    int clients;    /* -c: simultaneous connections; simultaneous pages for page */
    double seconds; /* -t: duration, if count is 0 */
    long count;     /* -n: total number of samples, instead of a duration */
    size_t bytes;   /* -b: size of a message of pingpong, or of an object of page */
    double spread;  /* -s: seconds over which the clients' starts are spread */
};

/* net.c */
double now(void);
bool read_exactly(int fd, void *data, size_t size);
bool write_all(int fd, const void *data, size_t size);
bool parse_endpoint(const char *text, struct sockaddr_in *endpoint);
int dial(const struct sockaddr_in *address);

/* routes.c */
bool parse_route(const char *text, const char *target, struct route *route);
int open_through(const struct route *route);

/* sha1.c */
void sha1(const uint8_t *data, size_t size, uint8_t digest[20]);

/* target.c */
int serve(const struct sockaddr_in *address);

/* modes.c, idle.c */
int measure(const char *mode, const struct job *job);
int hold_idle(const struct job *job);

#endif

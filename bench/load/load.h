/* What the parts of the load generator share. */
#ifndef LOAD_H
#define LOAD_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CHUNK (256u * 1024)   /* bytes per read and write of bulk data, and per acknowledgement */
#define REQUEST 400           /* bytes of a request for an object, about what a browser sends */
#define GET "GET / HTTP/1.0\r\nHost: target.example.net\r\n\r\n"
#define TIMEOUT_S 30           /* seconds that a connection may be silent before it has failed */

/* The first byte of a connection tells the target what to be. */
enum role {
    ECHO = 'e',    /* sends back what it gets */
    SOURCE = 's',  /* sends until the other side closes */
    SINK = 'd',    /* takes, and sends one byte for every CHUNK that it has */
    OBJECTS = 'r', /* for each REQUEST, whose first 4 bytes are a size, sends so many bytes */
    WEB = 'G',     /* answers GET and closes */
};

enum way_kind { DIRECT, SOCKS5, HTTP_CONNECT, NETJUMPER };

/* How to reach a target, and which one. */
struct way {
    enum way_kind kind;
    struct sockaddr_in proxy;
    struct sockaddr_in target;
    char target_text[64];
    char secret[256];
};

/* What is to be measured. */
struct job {
    struct way way;
    int clients;    /* -c: connections at a time; pages at a time for page */
    double seconds; /* -t: how long, where count is 0 */
    long count;     /* -n: how many in all, instead */
    size_t bytes;   /* -b: of a message of pingpong, of an object of page */
    double spread;  /* -s: seconds over which the clients' starts are spread */
};

/* net.c */
double now(void);
bool read_exactly(int fd, void *data, size_t size);
bool write_all(int fd, const void *data, size_t size);
bool parse_endpoint(const char *text, struct sockaddr_in *endpoint);
int dial(const struct sockaddr_in *address);

/* ways.c */
bool parse_way(const char *text, const char *target, struct way *way);
int open_through(const struct way *way);

/* sha1.c */
void sha1(const uint8_t *data, size_t size, uint8_t digest[20]);

/* target.c */
int serve(const struct sockaddr_in *address);

/* modes.c, idle.c */
int measure(const char *mode, const struct job *job);
int hold_idle(const struct job *job);

#endif

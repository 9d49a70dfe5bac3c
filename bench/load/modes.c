/* The modes of measurement. Each client is a thread that blocks: only the proxy's cost matters. */
#define _GNU_SOURCE
#include "load.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define OBJECTS_OF_A_PAGE 30
#define CONNECTIONS_OF_A_PAGE 6

struct client {
    const struct job *job;
    int number;
    long samples, room, errors;
    double *times; /* seconds */
    size_t bytes;
    pthread_t thread;
};

static pthread_barrier_t start;
static double end; /* by now() */
static atomic_long started;

static bool one_more(const struct job *job) {
    return job->count ? atomic_fetch_add(&started, 1) < job->count : now() < end;
}

static void add_time(struct client *client, double seconds) {
    if (client->samples == client->room) {
        client->room = client->room ? client->room * 2 : 1024;
        client->times = realloc(client->times, (size_t)client->room * sizeof(double));
    }
    client->times[client->samples++] = seconds;
}

/* Count a failure, and pause so that a proxy that refuses connections is not flooded. */
static void fail(struct client *client) {
    client->errors++;
    usleep(1000);
}

static void wait_for_start(const struct client *client) {
    pthread_barrier_wait(&start); /* all are ready */
    pthread_barrier_wait(&start); /* the end is set */
    if (client->job->spread > 0)
        usleep((useconds_t)(client->job->spread * 1e6 * client->number / client->job->clients));
}

/* Connect, send a request, receive a byte, close; repeat. */
static void request_loop(struct client *client, const char *request) {
    wait_for_start(client);
    while (one_more(client->job)) {
        char back;
        double began = now();
        int fd = open_through(&client->job->route);
        if (fd >= 0 && write_all(fd, request, strlen(request)) && read_exactly(fd, &back, 1))
            add_time(client, now() - began);
        else fail(client);
        if (fd >= 0) close(fd);
    }
}

static void run_connect(struct client *client) { request_loop(client, "ex"); }

static void run_get(struct client *client) { request_loop(client, GET); }

/* Send a message and receive its echo, on an open connection; repeat. */
static void run_pingpong(struct client *client) {
    size_t size = client->job->bytes;
    char *message = calloc(1, size);
    int fd = open_through(&client->job->route);
    bool alive = fd >= 0 && write_all(fd, "e", 1);
    wait_for_start(client);
    while (alive && one_more(client->job)) {
        double began = now();
        alive = write_all(fd, message, size) && read_exactly(fd, message, size);
        if (alive) add_time(client, now() - began);
    }
    if (!alive) fail(client);
    if (fd >= 0) close(fd);
    free(message);
}

static void run_down(struct client *client) {
    char *buffer = malloc(CHUNK);
    wait_for_start(client);
    int fd = open_through(&client->job->route);
    bool alive = fd >= 0 && write_all(fd, "s", 1);
    while (alive) {
        ssize_t got = read(fd, buffer, CHUNK);
        if (now() >= end) break;
        alive = got > 0;
        if (alive) client->bytes += (size_t)got;
    }
    if (!alive) fail(client);
    if (fd >= 0) close(fd);
    free(buffer);
}

/* Receive acknowledgements of the target: a byte for each CHUNK. */
static bool receive_acknowledgements(int fd, long *pending, int flags) {
    char bytes[256];
    ssize_t got = recv(fd, bytes, sizeof bytes, flags);
    if (got > 0) *pending -= got;
    return got > 0;
}

/* Only acknowledged data counts. A proxy may hold acknowledgements back until sending ends. */
static void run_up(struct client *client) {
    char *buffer = calloc(1, CHUNK);
    long pending = 0;
    wait_for_start(client);
    int fd = open_through(&client->job->route);
    bool alive = fd >= 0 && write_all(fd, "d", 1);
    while (alive && now() < end) {
        alive = write_all(fd, buffer, CHUNK);
        client->bytes += CHUNK;
        pending++;
        receive_acknowledgements(fd, &pending, MSG_DONTWAIT);
    }
    while (alive && pending > 0) alive = receive_acknowledgements(fd, &pending, 0);
    client->bytes -= (size_t)pending * CHUNK;
    if (!alive) fail(client);
    if (fd >= 0) close(fd);
    free(buffer);
}

struct page {
    const struct job *job;
    atomic_int fetched;
    atomic_int errors;
    int first; /* the connection of the document */
};

static bool fetch_object(int fd, size_t size, char *buffer) {
    uint8_t request[REQUEST] = {0};
    uint32_t wanted = htonl((uint32_t)size);
    memcpy(request, &wanted, sizeof wanted);
    return write_all(fd, request, sizeof request) && read_exactly(fd, buffer, size);
}

static void fetch_rest(struct page *page, int fd) {
    size_t size = page->job->bytes;
    char *buffer = malloc(size);
    while (fd >= 0 && atomic_fetch_add(&page->fetched, 1) < OBJECTS_OF_A_PAGE)
        if (!fetch_object(fd, size, buffer)) {
            page->errors++;
            break;
        }
    free(buffer);
}

static int open_for_objects(const struct route *route) {
    int fd = open_through(route);
    if (fd >= 0 && write_all(fd, "r", 1)) return fd;
    if (fd >= 0) close(fd);
    return -1;
}

static void *fetch_on_new_connection(void *argument) {
    struct page *page = argument;
    int fd = open_for_objects(&page->job->route);
    if (fd < 0) page->errors++;
    fetch_rest(page, fd);
    if (fd >= 0) close(fd);
    return NULL;
}

/* Fetch the document, then its objects over the same connection and five more. */
static bool fetch_page(const struct job *job) {
    pthread_t others[CONNECTIONS_OF_A_PAGE - 1];
    struct page page = {.job = job, .first = open_for_objects(&job->route)};
    char *document = malloc(job->bytes);
    bool there = page.first >= 0 && fetch_object(page.first, job->bytes, document);
    free(document);
    if (there) {
        page.fetched = 1;
        for (int i = 0; i < CONNECTIONS_OF_A_PAGE - 1; i++)
            if (pthread_create(&others[i], NULL, fetch_on_new_connection, &page)) exit(2);
        fetch_rest(&page, page.first);
        for (int i = 0; i < CONNECTIONS_OF_A_PAGE - 1; i++) pthread_join(others[i], NULL);
    }
    if (page.first >= 0) close(page.first);
    return there && !page.errors;
}

static void run_page(struct client *client) {
    wait_for_start(client);
    while (one_more(client->job)) {
        double began = now();
        if (fetch_page(client->job)) add_time(client, now() - began);
        else fail(client);
    }
}

static const struct {
    const char *name;
    void (*run)(struct client *);
} modes[] = {
    {"connect", run_connect}, {"get", run_get}, {"pingpong", run_pingpong},
    {"down", run_down},       {"up", run_up},   {"page", run_page},
};

static void (*run_mode)(struct client *);

static void *run_client(void *client) {
    run_mode(client);
    return NULL;
}

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void print(const char *mode, struct client *clients, const struct job *job, double seconds) {
    long samples = 0, errors = 0, at = 0;
    size_t bytes = 0;
    for (int i = 0; i < job->clients; i++) {
        samples += clients[i].samples;
        errors += clients[i].errors;
        bytes += clients[i].bytes;
    }
    double *times = malloc(((size_t)samples + 1) * sizeof(double));
    for (int i = 0; i < job->clients; i++)
        for (long k = 0; k < clients[i].samples; k++) times[at++] = clients[i].times[k];
    qsort(times, (size_t)samples, sizeof(double), compare);
    printf("{\"mode\": \"%s\", \"samples\": %ld, \"errors\": %ld, \"seconds\": %.6f, \"bytes\": %zu, "
           "\"p50_us\": %.1f, \"p99_us\": %.1f}\n",
           mode, samples, errors, seconds, bytes, samples ? times[samples / 2] * 1e6 : 0.0,
           samples ? times[samples * 99 / 100] * 1e6 : 0.0);
    free(times);
}

/* Measure one mode and print a line of JSON. */
int measure(const char *mode, const struct job *job) {
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++)
        if (!strcmp(mode, modes[i].name)) run_mode = modes[i].run;
    if (!run_mode) return fprintf(stderr, "load: no mode %s\n", mode), 2;
    struct client *clients = calloc((size_t)job->clients, sizeof *clients);
    pthread_barrier_init(&start, NULL, (unsigned)job->clients + 1);
    for (int i = 0; i < job->clients; i++) {
        clients[i].job = job;
        clients[i].number = i;
        if (pthread_create(&clients[i].thread, NULL, run_client, clients + i))
            return perror("load: pthread_create"), 2;
    }
    pthread_barrier_wait(&start);
    double began = now();
    end = began + job->seconds;
    pthread_barrier_wait(&start);
    for (int i = 0; i < job->clients; i++) pthread_join(clients[i].thread, NULL);
    /* A download does not count data that it reads after the end. */
    print(mode, clients, job, run_mode == run_down ? job->seconds : now() - began);
    return 0;
}

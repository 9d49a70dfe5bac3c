/* Idle connections. */
#include "load.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define OPENERS 16

static const struct job *job;
static int *sockets;
static atomic_int next, held;

static bool echoes(int fd, char byte) {
    char back = 0;
    return write_all(fd, &byte, 1) && read_exactly(fd, &back, 1) && back == byte;
}

static void *open_some(void *unused) {
    (void)unused;
    for (int i; (i = atomic_fetch_add(&next, 1)) < job->clients;) {
        sockets[i] = open_through(&job->route);
        if (sockets[i] >= 0 && write_all(sockets[i], "e", 1) && echoes(sockets[i], 'a')) held++;
        else sockets[i] = -1;
    }
    return NULL;
}

/* Open the connections, print a line of JSON, wait until standard input ends, check that all live. */
int hold_idle(const struct job *wanted) {
    pthread_t openers[OPENERS];
    double began = now();
    int dead = 0;
    char ignored;
    job = wanted;
    sockets = calloc((size_t)job->clients, sizeof *sockets);
    for (int i = 0; i < OPENERS; i++)
        if (pthread_create(&openers[i], NULL, open_some, NULL)) return perror("load"), 2;
    for (int i = 0; i < OPENERS; i++) pthread_join(openers[i], NULL);
    printf("{\"mode\": \"idle\", \"samples\": %d, \"errors\": %d, \"seconds\": %.6f}\n", (int)held,
           job->clients - held, now() - began);
    fflush(stdout);
    while (read(0, &ignored, 1) > 0) {}
    for (int i = 0; i < job->clients; i++)
        if (sockets[i] >= 0) write_all(sockets[i], "z", 1);
    for (int i = 0; i < job->clients; i++) {
        char back = 0;
        if (sockets[i] >= 0 && (!read_exactly(sockets[i], &back, 1) || back != 'z')) dead++;
    }
    if (dead) fprintf(stderr, "load: %d of %d connections died\n", dead, (int)held);
    return dead > 0;
}

/* A load generator and its target, in C so that they cost less than the measured programs.
 *
 *   load serve TARGET                    run the target; TARGET is an IPv4 address and a port
 *   load MODE ROUTE TARGET [option ...]    measure and print one line of JSON
 *
 *   connect   connect, send a byte, receive a byte, close
 *   get       connect, send an HTTP request, which a proxy may repeat, receive a byte, close
 *   pingpong  messages and their echoes on open connections
 *   down, up  bulk data for -t seconds
 *   page      30 objects over 6 connections, as a browser fetches them
 *   idle      idle connections, until standard input ends
 *
 * routes.c documents ROUTE, load.h the options (struct job).
 * Build: cc -O2 -pthread bench/load/(all).c -o load
 */
#include "load.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static int usage(void) {
    fprintf(stderr, "usage: load serve TARGET | load MODE ROUTE TARGET [-c CLIENTS] [-t SECONDS] "
                    "[-n COUNT] [-b BYTES] [-s SPREAD]\n");
    return 2;
}

static void raise_descriptor_limit(void) {
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

static bool parse_options(int count, char **words, struct job *job) {
    for (int option; (option = getopt(count, words, "c:t:n:b:s:")) != -1;) switch (option) {
        case 'c': job->clients = atoi(optarg); break;
        case 't': job->seconds = atof(optarg); break;
        case 'n': job->count = atol(optarg); break;
        case 'b': job->bytes = strtoul(optarg, NULL, 10); break;
        case 's': job->spread = atof(optarg); break;
        default: return false;
        }
    return optind == count && job->clients > 0 && job->bytes > 0;
}

int main(int count, char **words) {
    struct sockaddr_in address;
    struct job job = {.clients = 1, .seconds = 3};
    signal(SIGPIPE, SIG_IGN);
    raise_descriptor_limit();
    if (count == 3 && !strcmp(words[1], "serve"))
        return parse_endpoint(words[2], &address) ? serve(&address) : usage();
    if (count < 4 || !parse_route(words[2], words[3], &job.route)) return usage();
    job.bytes = strcmp(words[1], "page") ? 64 : 20000;
    if (!parse_options(count - 3, words + 3, &job)) return usage();
    return strcmp(words[1], "idle") ? measure(words[1], &job) : hold_idle(&job);
}

/* A mock of a chat server: answers at once, whole or as a stream of events. One thread, epoll, keep-alive.
 *
 * cc -O2 -o upstream upstream.c; ./upstream PORT EVENTS
 * "stream":true (or with a space) anywhere in the body asks for EVENTS pieces; else the answer is whole, about 1 KiB.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define ROOM (1 << 20)
#define MOST 4096 /* connections */

struct peer {
    char *in;
    size_t have;
};

static struct peer peers[MOST];
static char whole[4096], *stream;
static size_t whole_size, stream_size;

static void prepare(int events) {
    char body[2048], words[1024];
    memset(words, 'w', 700);
    words[700] = 0;
    int size = snprintf(body, sizeof body,
        "{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion\",\"created\":1,\"model\":\"mock\",\"choices\":[{\"index\":0,"
        "\"message\":{\"role\":\"assistant\",\"content\":\"%s\",\"refusal\":null,\"annotations\":[]},\"logprobs\":null,"
        "\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":100,\"total_tokens\":110}}",
        words);
    whole_size = snprintf(whole, sizeof whole,
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", size, body);
    stream = malloc(ROOM);
    char *at = stream;
    at += sprintf(at, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (int n = 0; n <= events + 1; n++) {
        char piece[512];
        int size;
        if (n < events)
            size = sprintf(piece, "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"mock\","
                                  "\"choices\":[{\"index\":0,\"delta\":{\"content\":\"word%d \"},\"finish_reason\":null}]}\n\n", n);
        else if (n == events)
            size = sprintf(piece, "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"mock\","
                                  "\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":10,"
                                  "\"completion_tokens\":%d,\"total_tokens\":%d}}\n\n", events, events + 10);
        else
            size = sprintf(piece, "data: [DONE]\n\n");
        at += sprintf(at, "%x\r\n%s\r\n", size, piece);
    }
    at += sprintf(at, "0\r\n\r\n");
    stream_size = at - stream;
}

static void answer(int fd, const char *body) {
    int streams = strstr(body, "\"stream\":true") || strstr(body, "\"stream\": true");
    const char *out = streams ? stream : whole;
    size_t left = streams ? stream_size : whole_size;
    while (left) {
        ssize_t sent = send(fd, out, left, MSG_NOSIGNAL);
        if (sent <= 0) return;
        out += sent;
        left -= sent;
    }
}

/* Answers what is complete in a peer's buffer; returns 0 when the peer is to be closed. */
static int serve(int fd) {
    struct peer *peer = &peers[fd];
    ssize_t got = recv(fd, peer->in + peer->have, ROOM - peer->have - 1, 0);
    if (got <= 0) return 0;
    peer->have += got;
    peer->in[peer->have] = 0;
    for (;;) {
        char *end = strstr(peer->in, "\r\n\r\n");
        if (!end) return peer->have < ROOM - 1;
        char *said = strcasestr(peer->in, "content-length:");
        size_t size = said && said < end ? strtoul(said + 15, NULL, 10) : 0;
        size_t need = (end + 4 - peer->in) + size;
        if (need >= ROOM) return 0;
        if (peer->have < need) return 1;
        char kept = peer->in[need];
        peer->in[need] = 0;
        answer(fd, end + 4);
        peer->in[need] = kept;
        memmove(peer->in, peer->in + need, peer->have - need + 1);
        peer->have -= need;
    }
}

int main(int count, char **given) {
    signal(SIGPIPE, SIG_IGN);
    prepare(count > 2 ? atoi(given[2]) : 100);
    int listener = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(atoi(given[1])), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (bind(listener, (struct sockaddr *)&at, sizeof at) || listen(listener, 1024)) return perror("listen"), 1;
    int poll = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, ready[64];
    epoll_ctl(poll, EPOLL_CTL_ADD, listener, &event);
    puts("ready");
    fflush(stdout);
    for (;;) {
        int n = epoll_wait(poll, ready, 64, -1);
        for (int i = 0; i < n; i++) {
            int fd = ready[i].data.fd;
            if (fd == listener) {
                int peer = accept(listener, NULL, NULL);
                if (peer < 0) continue;
                if (peer >= MOST) { close(peer); continue; }
                setsockopt(peer, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
                if (!peers[peer].in) peers[peer].in = malloc(ROOM);
                peers[peer].have = 0;
                event = (struct epoll_event){.events = EPOLLIN, .data.fd = peer};
                epoll_ctl(poll, EPOLL_CTL_ADD, peer, &event);
            } else if (!serve(fd)) {
                close(fd);
            }
        }
    }
}

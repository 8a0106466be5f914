/* The floor: the least that an HTTP server on epoll can do and still answer.

   One thread, edge-triggered, one recv and one send a request; requests end at an empty line and
   are counted, not parsed, so that a pipelined batch is answered whole. Bodies are not supported.
   It does what no server may (no limits, no timeouts); the distance to it is the price of being
   one. Usage: floor PORT */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENTS 512
#define BUFFER 65536
#define BATCH 128

static const char ANSWER[] =
    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 12\r\n"
    "date: Sat, 21 Nov 2026 00:00:00 GMT\r\n\r\n{\"msg\":\"ok\"}";
static char batch[BATCH * (sizeof ANSWER - 1)];
static char buffer[BUFFER];
/* How many bytes of "\r\n\r\n" each connection has seen at the end of its last read. */
static unsigned char matched[1 << 20];

static int die(const char *what) {
  perror(what);
  exit(1);
}

static int count_requests(int fd, ssize_t length) {
  int state = matched[fd], found = 0;
  for (ssize_t i = 0; i < length; i++) {
    char want = state % 2 ? '\n' : '\r';
    if (buffer[i] == want) {
      if (++state == 4) {
        found++;
        state = 0;
      }
    } else {
      char *next = memchr(buffer + i, '\r', (size_t)(length - i));
      state = 0;
      if (!next) break;
      i = next - buffer;
      state = 1;
    }
  }
  matched[fd] = (unsigned char)state;
  return found;
}

static void serve(int fd) {
  for (;;) {
    ssize_t length = recv(fd, buffer, BUFFER, 0);
    if (length < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (length <= 0) {
      close(fd);
      return;
    }
    for (int left = count_requests(fd, length); left > 0; left -= BATCH) {
      size_t size = (size_t)(left < BATCH ? left : BATCH) * (sizeof ANSWER - 1);
      if (send(fd, batch, size, MSG_NOSIGNAL) != (ssize_t)size) {
        close(fd);
        return;
      }
    }
    if (length < BUFFER) return;
  }
}

static void welcome(int epoll, int listener) {
  int fd, one = 1;
  while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
    if ((size_t)fd >= sizeof matched) {
      close(fd);
      continue;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    matched[fd] = 0;
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET, .data.fd = fd};
    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
  }
}

int main(int argc, char **argv) {
  if (argc != 2) return fprintf(stderr, "usage: floor PORT\n"), 2;
  int one = 1, epoll = epoll_create1(EPOLL_CLOEXEC);
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  struct sockaddr_in address = {.sin_family = AF_INET,
                                .sin_port = htons((unsigned short)atoi(argv[1])),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 4096))
    die("listen");
  struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, events[EVENTS];
  if (epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event)) die("epoll_ctl");
  for (int i = 0; i < BATCH; i++) memcpy(batch + i * (sizeof ANSWER - 1), ANSWER, sizeof ANSWER - 1);
  for (;;) {
    int ready = epoll_wait(epoll, events, EVENTS, -1);
    if (ready < 0 && errno != EINTR) die("epoll_wait");
    for (int i = 0; i < ready; i++) {
      if (events[i].data.fd == listener)
        welcome(epoll, listener);
      else
        serve(events[i].data.fd);
    }
  }
}

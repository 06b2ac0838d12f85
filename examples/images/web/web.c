/* A small HTTP server for the example Deployment: one static binary without dependencies.
 *
 *   GET /                      web VERSION HOSTNAME
 *   GET /healthz               ok
 *   GET /slow?ms=N             the same as / after N milliseconds (at most 60000)
 *   GET /stress?cpu=N&mb=M&ms=T  burns N milliseconds of CPU time while it holds M MiB of
 *                              memory, at least for T milliseconds
 *
 * Environment: PORT (8080), LOG_REQUESTS=1 (a line for each request on standard output).
 *
 * SIGTERM and SIGINT end it gracefully: whatever waits in the listen queue is still
 * accepted, requests in flight are answered with "Connection: close", and an idle
 * keep-alive connection has LAST_REQUEST_MS for one more request, since its client may
 * have sent it just now. Then it leaves with status 0.
 *
 * A thread serves each connection, so that a slow or a hostile client holds up nobody.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#ifndef VERSION
#define VERSION "dev"
#endif

enum {
  MAX_CONNECTIONS = 1000,  /* more wait in the listen queue */
  MAX_HEADER_BYTES = 8192, /* request line and headers together */
  MAX_DELAY_MS = 60000,
  MAX_STRESS_MB = 16384,
  REQUEST_TIMEOUT_MS = 10000, /* first byte to end of headers, and to take an answer */
  IDLE_TIMEOUT_MS = 75000,
  LAST_REQUEST_MS = 1000,
  LINGER_MS = 1000,
  STACK_BYTES = 128 * 1024,
};

typedef struct {
  int fd;
  size_t filled;                     /* bytes in buffer */
  char buffer[MAX_HEADER_BYTES + 1]; /* one byte more for a final NUL */
} Connection;

typedef struct {
  char *path;
  char *query; /* "" when there is none */
  bool head;   /* HEAD: headers only */
  bool keep_alive;
  bool has_body;
  size_t length; /* bytes of the request in the connection's buffer */
} Request;

static char host[256];
static bool log_requests;
static int stop_event; /* readable for ever once the server is stopping */
static atomic_bool stopping;

static pthread_mutex_t count_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t count_changed = PTHREAD_COND_INITIALIZER;
static int n_connections;

static int64_t
now_ms (void)
{
  struct timespec t;

  clock_gettime (CLOCK_MONOTONIC, &t);
  return (int64_t) t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Waits for events on fd. Returns them, 0 when the time is over. */
static short
wait_for (int fd, short events, int timeout_ms)
{
  struct pollfd p = { .fd = fd, .events = events };
  int64_t end = now_ms () + timeout_ms;

  for (;;)
    {
      int64_t left = end - now_ms ();
      int n = poll (&p, 1, left > 0 ? (int) left : 0);

      if (n > 0)
        return p.revents;
      if (n == 0 || errno != EINTR)
        return 0;
    }
}

/* --- answers ----------------------------------------------------------------------- */

static bool
send_all (int fd, const char *bytes, size_t length)
{
  while (length > 0)
    {
      ssize_t n = send (fd, bytes, length, MSG_NOSIGNAL);

      if (n > 0)
        {
          bytes += n;
          length -= (size_t) n;
        }
      else if (n < 0 && errno == EAGAIN)
        {
          if (!(wait_for (fd, POLLOUT, REQUEST_TIMEOUT_MS) & POLLOUT))
            return false;
        }
      else if (n == 0 || errno != EINTR)
        return false;
    }
  return true;
}

static const char *
reason_of (int status)
{
  switch (status)
    {
    case 200: return "OK";
    case 400: return "Bad Request";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 408: return "Request Timeout";
    case 431: return "Request Header Fields Too Large";
    case 503: return "Service Unavailable";
    case 505: return "HTTP Version Not Supported";
    default: return "Unknown";
    }
}

/* Sends one answer; false when the connection cannot be used any more. */
static bool
answer (Connection *c, const Request *request, int status, const char *format, ...)
{
  char body[512];
  char out[1024];
  bool close_after = !request->keep_alive || atomic_load (&stopping);
  int body_length, head_length;
  va_list args;

  va_start (args, format);
  body_length = vsnprintf (body, sizeof body, format, args);
  va_end (args);
  if (body_length >= (int) sizeof body)
    body_length = sizeof body - 1;

  head_length = snprintf (out, sizeof out,
                          "HTTP/1.1 %d %s\r\n"
                          "Content-Type: text/plain\r\n"
                          "Content-Length: %d\r\n"
                          "%s%s\r\n",
                          status, reason_of (status), body_length, status == 405 ? "Allow: GET, HEAD\r\n" : "",
                          close_after ? "Connection: close\r\n" : "");
  if (!request->head)
    {
      memcpy (out + head_length, body, (size_t) body_length);
      head_length += body_length;
    }
  if (log_requests && request->path)
    {
      printf ("%d %s\n", status, request->path);
      fflush (stdout);
    }
  return send_all (c->fd, out, (size_t) head_length) && !close_after;
}

static bool
refuse (Connection *c, int status, const char *why)
{
  Request none = { 0 };

  return answer (c, &none, status, "%s\n", why);
}

/* --- what the paths do --------------------------------------------------------------- */

/* Reads the number named key from a query. Sets *ret_value to 0 when it is absent; false
 * when it is no decimal number or above max. */
static bool
query_number (const char *query, const char *key, long max, long *ret_value)
{
  size_t key_length = strlen (key);
  const char *p = query;

  *ret_value = 0;
  while (*p)
    {
      size_t length = strcspn (p, "&");

      if (length > key_length && strncmp (p, key, key_length) == 0 && p[key_length] == '=')
        {
          const char *digits = p + key_length + 1, *end = p + length;
          long value = 0;

          if (digits == end)
            return false;
          for (; digits < end; digits++)
            {
              if (!isdigit ((unsigned char) *digits))
                return false;
              value = value * 10 + (*digits - '0');
              if (value > max)
                return false;
            }
          *ret_value = value;
          return true;
        }
      p += length;
      if (*p == '&')
        p++;
    }
  return true;
}

/* Sleeps, or less when the client goes away. */
static void
delay (Connection *c, long ms)
{
  struct pollfd p = { .fd = c->fd, .events = POLLRDHUP };
  int64_t end = now_ms () + ms;

  for (int64_t left = ms; left > 0; left = end - now_ms ())
    if (poll (&p, 1, (int) left) > 0)
      return;
}

static void
burn_cpu (long ms)
{
  struct timespec t;
  volatile uint64_t x = 1;

  do
    {
      for (int i = 0; i < 100000; i++)
        x = x * 6364136223846793005u + 1442695040888963407u;
      clock_gettime (CLOCK_THREAD_CPUTIME_ID, &t);
    }
  while ((long) t.tv_sec * 1000 + t.tv_nsec / 1000000 < ms);
}

static bool
stress (Connection *c, const Request *request)
{
  long cpu_ms, mb, hold_ms;
  int64_t end;
  char *memory = NULL;
  size_t bytes;
  struct timespec before;

  if (!query_number (request->query, "cpu", MAX_DELAY_MS, &cpu_ms) || !query_number (request->query, "mb", MAX_STRESS_MB, &mb)
      || !query_number (request->query, "ms", MAX_DELAY_MS, &hold_ms))
    return answer (c, request, 400, "cpu and ms want 0 to %d, mb 0 to %d\n", MAX_DELAY_MS, MAX_STRESS_MB);

  end = now_ms () + hold_ms;
  bytes = (size_t) mb << 20;
  if (bytes > 0)
    {
      memory = mmap (NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      if (memory == MAP_FAILED)
        return answer (c, request, 503, "cannot have %ld MiB: %s\n", mb, strerror (errno));
      for (size_t i = 0; i < bytes; i += 4096)
        memory[i] = 1;
    }
  if (cpu_ms > 0)
    {
      clock_gettime (CLOCK_THREAD_CPUTIME_ID, &before);
      burn_cpu ((long) before.tv_sec * 1000 + before.tv_nsec / 1000000 + cpu_ms);
    }
  delay (c, end - now_ms ());
  if (memory)
    munmap (memory, bytes);
  return answer (c, request, 200, "stressed cpu=%ld mb=%ld\n", cpu_ms, mb);
}

static bool
dispatch (Connection *c, const Request *request)
{
  long ms;

  if (strcmp (request->path, "/") == 0)
    return answer (c, request, 200, "web %s %s\n", VERSION, host);
  if (strcmp (request->path, "/healthz") == 0)
    return answer (c, request, 200, "ok\n");
  if (strcmp (request->path, "/slow") == 0)
    {
      if (!query_number (request->query, "ms", MAX_DELAY_MS, &ms))
        return answer (c, request, 400, "ms wants 0 to %d\n", MAX_DELAY_MS);
      delay (c, ms);
      return answer (c, request, 200, "web %s %s\n", VERSION, host);
    }
  if (strcmp (request->path, "/stress") == 0)
    return stress (c, request);
  return answer (c, request, 404, "no such path; there are / /healthz /slow /stress\n");
}

/* --- requests ------------------------------------------------------------------------ */

/* Looks at one header line for what we obey; true when it is well formed. */
static bool
read_header (char *line, Request *request)
{
  char *colon = strchr (line, ':');
  char *value;

  if (colon == NULL || colon == line || isspace ((unsigned char) colon[-1]) || isspace ((unsigned char) line[0]))
    return false;
  *colon = '\0';
  value = colon + 1 + strspn (colon + 1, " \t");
  if (strcasecmp (line, "Connection") == 0)
    {
      if (strcasestr (value, "close"))
        request->keep_alive = false;
    }
  else if (strcasecmp (line, "Transfer-Encoding") == 0)
    request->has_body = true;
  else if (strcasecmp (line, "Content-Length") == 0)
    request->has_body |= strcmp (value, "0") != 0;
  return true;
}

/* Takes the request apart, in place. Returns 0 or the status to refuse it with. */
static int
parse (char *text, Request *request)
{
  char *save = NULL;
  char *line = strtok_r (text, "\r\n", &save);
  char *method = line, *target, *version;

  if (line == NULL || (target = strchr (line, ' ')) == NULL)
    return 400;
  *target++ = '\0';
  if ((version = strchr (target, ' ')) == NULL || target[0] != '/')
    return 400;
  *version++ = '\0';
  for (const char *p = target; *p; p++)
    if (*p <= ' ' || *p >= 0x7f)
      return 400;
  if (strcmp (version, "HTTP/1.1") == 0)
    request->keep_alive = true;
  else if (strcmp (version, "HTTP/1.0") != 0)
    return strncmp (version, "HTTP/", 5) == 0 ? 505 : 400;

  while ((line = strtok_r (NULL, "\r\n", &save)) != NULL)
    if (!read_header (line, request))
      return 400;

  /* Nothing here takes a body: the request is answered, the rest thrown away with the connection. */
  if (request->has_body)
    request->keep_alive = false;

  request->head = strcmp (method, "HEAD") == 0;
  if (!request->head && strcmp (method, "GET") != 0)
    return 405;
  request->path = target;
  request->query = strchr (target, '?');
  if (request->query)
    *request->query++ = '\0';
  else
    request->query = (char *) "";
  return 0;
}

/* Waits for the first byte of a request. An idle connection wakes when the server stops. */
static bool
wait_for_request (Connection *c)
{
  struct pollfd p[2] = { { .fd = c->fd, .events = POLLIN }, { .fd = stop_event, .events = POLLIN } };

  if (c->filled > 0)
    return true;
  if (!atomic_load (&stopping))
    {
      int n = poll (p, 2, IDLE_TIMEOUT_MS);

      if (n > 0 && p[0].revents)
        return true;
      if (n == 0 || (n < 0 && errno != EINTR))
        return false;
    }
  return wait_for (c->fd, POLLIN, LAST_REQUEST_MS) != 0;
}

/* Fills the buffer until the headers end. Returns 1, 0 at the end of the connection, or
 * minus the status to refuse it with. */
static int
read_request (Connection *c, Request *request)
{
  int64_t end;

  if (!wait_for_request (c))
    return 0;
  end = now_ms () + REQUEST_TIMEOUT_MS;
  for (;;)
    {
      char *stop = memmem (c->buffer, c->filled, "\r\n\r\n", 4);
      ssize_t n;

      if (stop)
        {
          request->length = (size_t) (stop - c->buffer) + 4;
          return memchr (c->buffer, '\0', request->length) ? -400 : 1;
        }
      if (c->filled == MAX_HEADER_BYTES)
        return -431;
      n = recv (c->fd, c->buffer + c->filled, MAX_HEADER_BYTES - c->filled, 0);
      if (n > 0)
        c->filled += (size_t) n;
      else if (n == 0)
        return 0;
      else if (errno == EAGAIN)
        {
          int64_t left = end - now_ms ();

          if (left <= 0 || wait_for (c->fd, POLLIN, (int) left) == 0)
            return -408;
        }
      else if (errno != EINTR)
        return 0;
    }
}

/* Closing with unread input would reset the connection and take the answer with it. */
static void
linger (int fd)
{
  char rest[4096];
  int64_t end = now_ms () + LINGER_MS;

  shutdown (fd, SHUT_WR);
  for (int64_t left = LINGER_MS; left > 0; left = end - now_ms ())
    {
      ssize_t n;

      if (wait_for (fd, POLLIN, (int) left) == 0)
        return;
      n = recv (fd, rest, sizeof rest, 0);
      if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        return;
    }
}

static void *
serve (void *data)
{
  Connection *c = data;
  bool go_on = true;

  while (go_on)
    {
      Request request = { 0 };
      int status = read_request (c, &request);
      char text[MAX_HEADER_BYTES + 1];

      if (status == 0)
        break;
      if (status > 0)
        {
          memcpy (text, c->buffer, request.length);
          text[request.length] = '\0';
          status = -parse (text, &request);
        }
      if (status < 0)
        {
          refuse (c, -status, reason_of (-status));
          break;
        }
      go_on = dispatch (c, &request);
      c->filled -= request.length;
      memmove (c->buffer, c->buffer + request.length, c->filled);
    }
  linger (c->fd);
  close (c->fd);
  free (c);

  pthread_mutex_lock (&count_lock);
  n_connections--;
  pthread_cond_signal (&count_changed);
  pthread_mutex_unlock (&count_lock);
  return NULL;
}

/* --- the server ------------------------------------------------------------------------ */

static void
start_connection (int fd, const pthread_attr_t *attributes)
{
  Connection *c = calloc (1, sizeof *c);
  pthread_t thread;
  int one = 1;

  if (c == NULL)
    {
      close (fd);
      return;
    }
  c->fd = fd;
  setsockopt (fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);

  pthread_mutex_lock (&count_lock);
  n_connections++;
  pthread_mutex_unlock (&count_lock);
  if (pthread_create (&thread, attributes, serve, c) != 0)
    {
      close (fd);
      free (c);
      pthread_mutex_lock (&count_lock);
      n_connections--;
      pthread_mutex_unlock (&count_lock);
    }
}

/* Accepts all that wait. */
static void
accept_waiting (int listener, const pthread_attr_t *attributes)
{
  for (;;)
    {
      int fd;

      pthread_mutex_lock (&count_lock);
      while (n_connections >= MAX_CONNECTIONS)
        pthread_cond_wait (&count_changed, &count_lock);
      pthread_mutex_unlock (&count_lock);

      fd = accept4 (listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd >= 0)
        start_connection (fd, attributes);
      else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)
        {
          poll (NULL, 0, 10); /* until some connection has ended */
          return;
        }
      else if (errno != ECONNABORTED && errno != EINTR)
        return;
    }
}

static int
listen_on (int port)
{
  struct sockaddr_in6 any6 = { .sin6_family = AF_INET6, .sin6_port = htons ((uint16_t) port), .sin6_addr = in6addr_any };
  struct sockaddr_in any4 = { .sin_family = AF_INET, .sin_port = htons ((uint16_t) port) };
  int one = 1, zero = 0;
  int fd = socket (AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

  if (fd >= 0)
    {
      setsockopt (fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
      setsockopt (fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof zero);
      if (bind (fd, (struct sockaddr *) &any6, sizeof any6) == 0 && listen (fd, SOMAXCONN) == 0)
        return fd;
      close (fd);
    }
  fd = socket (AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0)
    return -1;
  setsockopt (fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (bind (fd, (struct sockaddr *) &any4, sizeof any4) == 0 && listen (fd, SOMAXCONN) == 0)
    return fd;
  close (fd);
  return -1;
}

/* The port from the environment; 8080 when it is not set, -1 when it is no port. */
static int
port_wanted (void)
{
  const char *text = getenv ("PORT");
  char *end;
  long port;

  if (text == NULL || *text == '\0')
    return 8080;
  errno = 0;
  port = strtol (text, &end, 10);
  return errno == 0 && *end == '\0' && port > 0 && port < 65536 ? (int) port : -1;
}

static void
serve_until_signal (int listener, int signals, const pthread_attr_t *attributes)
{
  for (;;)
    {
      struct pollfd p[2] = { { .fd = listener, .events = POLLIN }, { .fd = signals, .events = POLLIN } };

      if (poll (p, 2, -1) < 0)
        continue;
      if (p[0].revents)
        accept_waiting (listener, attributes);
      if (p[1].revents)
        return;
    }
}

static void
stop (int listener, const pthread_attr_t *attributes)
{
  uint64_t one = 1;

  atomic_store (&stopping, true);
  if (write (stop_event, &one, sizeof one) < 0)
    perror ("web: eventfd");
  /* A connection the kernel has completed already would be reset by close(). */
  accept_waiting (listener, attributes);
  close (listener);

  pthread_mutex_lock (&count_lock);
  while (n_connections > 0)
    pthread_cond_wait (&count_changed, &count_lock);
  pthread_mutex_unlock (&count_lock);
}

int
main (void)
{
  pthread_attr_t attributes;
  sigset_t mask;
  int port = port_wanted ();
  int listener, signals;

  if (port < 0)
    {
      fprintf (stderr, "web: PORT is '%s', wanted a number from 1 to 65535\n", getenv ("PORT"));
      return 2;
    }
  gethostname (host, sizeof host - 1);
  log_requests = getenv ("LOG_REQUESTS") && strcmp (getenv ("LOG_REQUESTS"), "1") == 0;

  /* As process 1 of a container nobody else collects the children that an exec leaves behind. */
  signal (SIGCHLD, SIG_IGN);
  signal (SIGPIPE, SIG_IGN);
  sigemptyset (&mask);
  sigaddset (&mask, SIGTERM);
  sigaddset (&mask, SIGINT);
  pthread_sigmask (SIG_BLOCK, &mask, NULL);
  signals = signalfd (-1, &mask, SFD_CLOEXEC);
  stop_event = eventfd (0, EFD_CLOEXEC);
  listener = listen_on (port);
  if (signals < 0 || stop_event < 0 || listener < 0)
    {
      fprintf (stderr, "web: port %d: %s\n", port, strerror (errno));
      return 1;
    }
  pthread_attr_init (&attributes);
  pthread_attr_setdetachstate (&attributes, PTHREAD_CREATE_DETACHED);
  pthread_attr_setstacksize (&attributes, STACK_BYTES);

  printf ("web %s listening on port %d\n", VERSION, port);
  fflush (stdout);
  serve_until_signal (listener, signals, &attributes);
  stop (listener, &attributes);
  printf ("web %s stopped\n", VERSION);
  return 0;
}

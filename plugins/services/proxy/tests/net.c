/* SPDX-License-Identifier: Apache-2.0 */
#include "net.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <poll.h>
#include <sched.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define PORT 8080
int net_wait_ms = 500;

const char *const net_ips[NET_N] = { "10.244.0.1", "10.244.0.11", "10.244.0.12", "10.244.0.13", NET_OUTSIDE_IP };
static int spaces[NET_N], listeners[NET_N * 2], wake_fd = -1;
static GThread *server;
static GMutex lock;
static char last_peer[INET_ADDRSTRLEN];

static gboolean run (const char *format, ...) G_GNUC_PRINTF (1, 2);

static gboolean
run (const char *format, ...)
{
  g_autofree char *line = NULL;
  g_auto (GStrv) argv = NULL;
  int status = -1;
  va_list args;

  va_start (args, format);
  line = g_strdup_vprintf (format, args);
  va_end (args);
  argv = g_strsplit (line, " ", -1);
  if (!g_spawn_sync (NULL, argv, NULL, G_SPAWN_SEARCH_PATH | G_SPAWN_LEAVE_DESCRIPTORS_OPEN, NULL, NULL, NULL, NULL, &status, NULL)
      || status != 0)
    {
      g_test_message ("failed: %s", line);
      return FALSE;
    }
  return TRUE;
}

void
net_enter (NetPlace place)
{
  g_assert_cmpint (setns (spaces[place], CLONE_NEWNET), ==, 0);
}

static gboolean
make_space (NetPlace place)
{
  if (unshare (CLONE_NEWNET) != 0)
    return FALSE;
  spaces[place] = open ("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
  return spaces[place] >= 0 && run ("ip link set lo up");
}

static gboolean
join (NetPlace place, const char *link, const char *address, const char *gateway)
{
  net_enter (NET_NODE);
  if (!run ("ip link add %s type veth peer name peer%d", link, place)
      || !run ("ip link set peer%d netns /proc/%d/fd/%d", place, getpid (), spaces[place]) || !run ("ip link set %s up", link))
    return FALSE;
  net_enter (place);
  return run ("ip addr add %s dev peer%d", address, place) && run ("ip link set peer%d up", place)
         && run ("ip route add default via %s", gateway);
}

static gboolean
make_links (void)
{
  net_enter (NET_NODE);
  if (!run ("ip link add br0 type bridge") || !run ("ip addr add 10.244.0.1/24 dev br0") || !run ("ip link set br0 up"))
    return FALSE;
  for (int i = NET_POD_1; i <= NET_POD_3; i++)
    {
      g_autofree char *link = g_strdup_printf ("pod%d", i), *address = g_strdup_printf ("%s/24", net_ips[i]);

      if (!join (i, link, address, "10.244.0.1"))
        return FALSE;
      net_enter (NET_NODE);
      if (!run ("ip link set %s master br0", link) || !run ("ip link set %s type bridge_slave hairpin on", link))
        return FALSE;
    }
  if (!join (NET_OUTSIDE, "wan", NET_OUTSIDE_IP "/24", NET_NODE_IP))
    return FALSE;
  net_enter (NET_NODE);
  return run ("ip addr add " NET_NODE_IP "/24 dev wan") && run ("ip route add default via " NET_OUTSIDE_IP);
}

/* ---- the servers: answer with their place's number ---- */

static void
answer_tcp (int listener, int place)
{
  struct sockaddr_in peer;
  socklen_t size = sizeof peer;
  char text = (char) ('0' + place);
  int fd = accept4 (listener, (struct sockaddr *) &peer, &size, SOCK_CLOEXEC);

  if (fd < 0)
    return;
  g_mutex_lock (&lock);
  inet_ntop (AF_INET, &peer.sin_addr, last_peer, sizeof last_peer);
  g_mutex_unlock (&lock);
  (void) !send (fd, &text, 1, MSG_NOSIGNAL);
  close (fd);
}

static void
answer_udp (int fd, int place)
{
  struct sockaddr_in peer;
  socklen_t size = sizeof peer;
  char text = (char) ('0' + place), buffer[16];

  if (recvfrom (fd, buffer, sizeof buffer, 0, (struct sockaddr *) &peer, &size) >= 0)
    (void) !sendto (fd, &text, 1, 0, (struct sockaddr *) &peer, size);
}

static gpointer
serve (gpointer data)
{
  struct pollfd polled[NET_N * 2 + 1];

  for (int i = 0; i < NET_N * 2; i++)
    polled[i] = (struct pollfd){ .fd = listeners[i], .events = POLLIN };
  polled[NET_N * 2] = (struct pollfd){ .fd = wake_fd, .events = POLLIN };
  while (poll (polled, G_N_ELEMENTS (polled), -1) >= 0 && polled[NET_N * 2].revents == 0)
    for (int i = 0; i < NET_N * 2; i++)
      if (polled[i].revents != 0)
        {
          if (i % 2 == 0)
            answer_tcp (listeners[i], i / 2);
          else
            answer_udp (listeners[i], i / 2);
        }
  return NULL;
}

static int
make_listener (int type)
{
  struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons (PORT) };
  int fd = socket (AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

  g_assert_cmpint (bind (fd, (struct sockaddr *) &address, sizeof address), ==, 0);
  g_assert_cmpint (type == SOCK_STREAM ? listen (fd, 128) : 0, ==, 0);
  return fd;
}

gboolean
net_start (void)
{
  for (int i = 0; i < NET_N; i++)
    if (!make_space (i))
      return FALSE;
  if (!make_links ())
    return FALSE;
  for (int i = 0; i < NET_N; i++)
    {
      net_enter (i);
      listeners[i * 2] = make_listener (SOCK_STREAM);
      listeners[i * 2 + 1] = make_listener (SOCK_DGRAM);
    }
  net_enter (NET_NODE);
  wake_fd = eventfd (0, EFD_CLOEXEC);
  server = g_thread_new ("servers", serve, NULL);
  return TRUE;
}

void
net_stop (void)
{
  guint64 one = 1;

  if (server == NULL)
    return;
  (void) !write (wake_fd, &one, sizeof one);
  g_thread_join (g_steal_pointer (&server));
  close (wake_fd);
  for (int i = 0; i < NET_N * 2; i++)
    close (listeners[i]);
  for (int i = 0; i < NET_N; i++)
    close (spaces[i]);
}

/* ---- clients ---- */

static int
open_from (NetPlace from, int type)
{
  int fd;

  net_enter (from);
  fd = socket (AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  net_enter (NET_NODE);
  return fd;
}

static int
exchange (int fd, const char *ip, guint16 port, gboolean is_stream)
{
  struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons (port) };
  struct pollfd polled = { .fd = fd, .events = is_stream ? POLLOUT : POLLIN };
  int failure = 0;
  socklen_t size = sizeof failure;
  char text = 0;

  inet_pton (AF_INET, ip, &address.sin_addr);
  if (connect (fd, (struct sockaddr *) &address, sizeof address) != 0 && errno != EINPROGRESS)
    return -errno;
  if (!is_stream && send (fd, "?", 1, MSG_NOSIGNAL) != 1)
    return -errno;
  if (poll (&polled, 1, net_wait_ms) == 0)
    return -ETIMEDOUT;
  getsockopt (fd, SOL_SOCKET, SO_ERROR, &failure, &size);
  if (failure != 0)
    return -failure;
  polled.events = POLLIN;
  if (poll (&polled, 1, net_wait_ms) == 0)
    return -ETIMEDOUT;
  return recv (fd, &text, 1, 0) == 1 ? text - '0' : -errno;
}

int
net_connect (NetPlace from, const char *ip, guint16 port)
{
  int fd = open_from (from, SOCK_STREAM), result = exchange (fd, ip, port, TRUE);

  close (fd);
  return result;
}

int
net_ask_udp (NetPlace from, const char *ip, guint16 port)
{
  int fd = open_from (from, SOCK_DGRAM), result = exchange (fd, ip, port, FALSE);

  close (fd);
  return result;
}

const char *
net_last_peer (void)
{
  static char copy[INET_ADDRSTRLEN];

  g_mutex_lock (&lock);
  g_strlcpy (copy, last_peer, sizeof copy);
  g_mutex_unlock (&lock);
  return copy;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Saying how we are to who started us: systemd by a datagram, `cube up` by a pipe. */
#include "log.h"
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static struct sockaddr_un notify_address;
static socklen_t notify_length; /* 0 = nobody asked */
static int reason_fd = -1;

/* A path, or after "@" an abstract name. */
static void
take_socket (const char *name)
{
  gsize length = strlen (name);
  if ((*name != '/' && *name != '@') || length < 2 || length >= sizeof notify_address.sun_path)
    return;
  notify_address.sun_family = AF_UNIX;
  memcpy (notify_address.sun_path, name, length);
  if (*name == '@')
    notify_address.sun_path[0] = '\0';
  notify_length = (socklen_t) (offsetof (struct sockaddr_un, sun_path) + length);
}

static void
take_reason_fd (const char *text)
{
  guint64 fd;
  struct stat info;
  if (g_ascii_string_to_unsigned (text, 10, 3, 65535, &fd, NULL) && fstat ((int) fd, &info) == 0 && S_ISFIFO (info.st_mode)
      && fcntl ((int) fd, F_SETFD, FD_CLOEXEC) == 0)
    reason_fd = (int) fd;
}

void
cube_notify_init (void)
{
  const char *name = g_getenv ("NOTIFY_SOCKET"), *text = g_getenv (CUBE_REASON_FD);
  if (name != NULL)
    take_socket (name);
  if (text != NULL)
    take_reason_fd (text);
  g_unsetenv ("NOTIFY_SOCKET");
  g_unsetenv (CUBE_REASON_FD);
}

void
cube_notify (const char *state)
{
  if (notify_length == 0)
    return;
  int fd = socket (AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0 || sendto (fd, state, strlen (state), MSG_NOSIGNAL | MSG_DONTWAIT, (struct sockaddr *) &notify_address, notify_length) < 0)
    g_debug ("NOTIFY_SOCKET: %s", g_strerror (errno));
  if (fd >= 0)
    close (fd);
}

void
cube_notify_reason (const char *reason)
{
  if (reason_fd >= 0 && write (reason_fd, reason, strlen (reason)) < 0)
    g_debug ("the reason could not be told: %s", g_strerror (errno));
}

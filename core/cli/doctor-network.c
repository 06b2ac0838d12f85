/* SPDX-License-Identifier: Apache-2.0 */
/* Ports and address ranges that somebody else may have. */
#include "doctor.h"
#include <arpa/inet.h>
#include <errno.h>
#include <gio/gio.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* ---- who listens ---- */

typedef struct {
  guint low, high; /* ports looked for */
  guint port;      /* the first that is listened on */
  guint64 inode;   /* of its socket; 0 = none */
} Listener;

/* Looks through /proc/net/tcp and tcp6. */
static void
find_listener (Listener *listener)
{
  static const char *const files[] = { "/proc/net/tcp", "/proc/net/tcp6" };
  for (guint f = 0; f < G_N_ELEMENTS (files); f++)
    {
      g_autofree char *text = NULL;
      if (!g_file_get_contents (files[f], &text, NULL, NULL))
        continue;
      g_auto (GStrv) lines = g_strsplit (text, "\n", -1);
      for (guint i = 0; lines[i] != NULL; i++) /* the heading does not scan */
        {
          char local[64], remote[64];
          guint state, port;
          unsigned long long inode;
          if (sscanf (lines[i], " %*u: %63s %63s %x %*s %*s %*s %*u %*u %llu", local, remote, &state, &inode) != 4 || state != 0x0a
              || strchr (local, ':') == NULL || sscanf (strchr (local, ':') + 1, "%x", &port) != 1 || port < listener->low
              || port > listener->high)
            continue;
          listener->port = port;
          listener->inode = inode;
          return;
        }
    }
}

static gboolean
process_has (const char *pid, const char *link_text)
{
  g_autofree char *folder = g_build_filename ("/proc", pid, "fd", NULL);
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  const char *name;
  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *path = g_build_filename (folder, name, NULL);
      g_autofree char *text = g_file_read_link (path, NULL);
      if (g_strcmp0 (text, link_text) == 0)
        return TRUE;
    }
  return FALSE;
}

/* "nginx (pid 12)", as far as it may be known. (transfer full) */
static char *
port_holder (const Listener *listener)
{
  g_autofree char *link_text = g_strdup_printf ("socket:[%" G_GUINT64_FORMAT "]", listener->inode);
  g_autoptr (GDir) proc = g_dir_open ("/proc", 0, NULL);
  const char *name;
  while (proc != NULL && (name = g_dir_read_name (proc)) != NULL)
    {
      g_autofree char *path = g_build_filename ("/proc", name, "comm", NULL);
      g_autofree char *command = NULL;
      if (g_ascii_isdigit (*name) && process_has (name, link_text) && g_file_get_contents (path, &command, NULL, NULL))
        return g_strdup_printf ("%s (pid %s)", g_strstrip (command), name);
    }
  return g_strdup ("another program (ss -ltnp as root names it)");
}

/* ---- the API's port ---- */

static void
port_taken (const char *listen_text, guint16 port, int code, Finding *finding)
{
  Listener listener = { port, port, 0, 0 };
  find_listener (&listener);
  g_autofree char *holder = code == EADDRINUSE ? port_holder (&listener) : NULL;
  if (code == EADDRINUSE)
    doctor_bad (finding, DOCTOR_PROBLEM, "end that program, or choose another port: cube up --listen ADDR:PORT (port 0 takes a free one)",
                "%s is held by %s", listen_text, holder);
  else if (code == EACCES)
    doctor_bad (finding, DOCTOR_PROBLEM, "choose a port from 1024 on with --listen, or run it as root", "%s: permission denied",
                listen_text);
  else
    doctor_bad (finding, DOCTOR_PROBLEM, "choose an address of this machine (ip -brief address): --listen ADDR:PORT", "%s: %s", listen_text,
                g_strerror (code));
}

void
doctor_check_port (Doctor *doctor, Finding *finding)
{
  g_autofree char *address = NULL;
  guint16 port;
  const char *listen_text = doctor->options->listen;
  if (doctor->status != NULL)
    {
      doctor_ok (finding, "in use by the running cluster: %s",
                 cube_view_string_or (cube_view_member (cube_value_root (doctor->status), "server"), "no server"));
      return;
    }
  if (!cube_options_split_listen (listen_text, &address, &port, NULL))
    return; /* cannot be: it was looked at with the other options */
  g_autoptr (GSocketAddress) where = g_inet_socket_address_new_from_string (address, port);
  gssize length = g_socket_address_get_native_size (where);
  g_autofree struct sockaddr *native = g_malloc ((gsize) length);
  int on = 1, code = 0;
  g_socket_address_to_native (where, native, (gsize) length, NULL);
  int fd = socket (native->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0 || setsockopt (fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 || bind (fd, native, (socklen_t) length) != 0
      || listen (fd, 1) != 0)
    code = errno;
  if (fd >= 0)
    close (fd);
  if (code == 0)
    doctor_ok (finding, port == 0 ? "%s: a free one is chosen" : "%s is free", listen_text);
  else
    port_taken (listen_text, port, code, finding);
}

/* ---- node ports ---- */

static const char *
configured (const Doctor *doctor, const char *key, const char *fallback)
{
  CubeView config = doctor->options->config != NULL ? cube_value_root (doctor->options->config) : cube_view_none ();
  return cube_view_string_or (cube_view_member (config, key), fallback);
}

void
doctor_check_node_ports (Doctor *doctor, Finding *finding)
{
  const char *range = configured (doctor, "nodePortRange", "30000-32767");
  g_autofree char *text = NULL;
  guint low = 0, high = 0, own_low = 0, own_high = 0;
  if (sscanf (range, "%u-%u", &low, &high) != 2 || low > high || high > 65535)
    {
      doctor_bad (finding, DOCTOR_PROBLEM, "nodePortRange: 30000-32767, in the configuration", "nodePortRange \"%s\" is no range of ports",
                  range);
      return;
    }
  Listener listener = { low, high, 0, 0 };
  find_listener (&listener);
  g_autofree char *holder = listener.inode != 0 ? port_holder (&listener) : NULL;
  if (g_file_get_contents ("/proc/sys/net/ipv4/ip_local_port_range", &text, NULL, NULL) && sscanf (text, "%u %u", &own_low, &own_high) == 2
      && own_low <= high && own_high >= low)
    doctor_bad (finding, DOCTOR_WARNING,
                "sysctl -w net.ipv4.ip_local_port_range='32768 60999', or another nodePortRange in the configuration",
                "%s, of which this machine's own connections use %u to %u", range, MAX (low, own_low), MIN (high, own_high));
  else if (holder != NULL)
    doctor_bad (finding, DOCTOR_WARNING,
                "end that program, or choose another nodePortRange in the configuration; a Service with that port would hide it",
                "port %u of %s is held by %s", listener.port, range, holder);
  else
    doctor_ok (finding, "%s, none in use", range);
}

/* ---- address ranges ---- */

/* "10.96.0.0/16" in host order. FALSE: it is none. */
static gboolean
parse_range (const char *text, guint32 *ret_address, guint32 *ret_mask)
{
  g_auto (GStrv) parts = g_strsplit (text, "/", 2);
  guint64 length;
  struct in_addr address;
  if (g_strv_length (parts) != 2 || inet_pton (AF_INET, parts[0], &address) != 1
      || !g_ascii_string_to_unsigned (parts[1], 10, 1, 32, &length, NULL))
    return FALSE;
  *ret_mask = G_MAXUINT32 << (32 - length);
  *ret_address = ntohl (address.s_addr) & *ret_mask;
  return TRUE;
}

/* The route of this machine that leads into the range, but for the default one: "10.0.0.0/8 by eth0". (transfer full) (nullable) */
static char *
route_into (guint32 address, guint32 mask)
{
  g_autofree char *text = NULL;
  if (!g_file_get_contents ("/proc/net/route", &text, NULL, NULL))
    return NULL;
  g_auto (GStrv) lines = g_strsplit (text, "\n", -1);
  for (guint i = 0; lines[i] != NULL; i++) /* the heading does not scan */
    {
      char link[32];
      guint32 to, to_mask; /* in network order, as the kernel prints them */
      if (sscanf (lines[i], "%31s %x %*x %*x %*d %*d %*d %x", link, &to, &to_mask) != 3 || to_mask == 0)
        continue;
      to = ntohl (to);
      to_mask = ntohl (to_mask);
      if (((to ^ address) & to_mask & mask) == 0)
        return g_strdup_printf ("%u.%u.%u.%u/%d by %s", to >> 24, to >> 16 & 255, to >> 8 & 255, to & 255, __builtin_popcount (to_mask),
                                link);
    }
  return NULL;
}

void
doctor_check_ranges (Doctor *doctor, Finding *finding)
{
  const char *services = configured (doctor, "serviceCIDR", "10.96.0.0/16"), *pods = configured (doctor, "clusterCIDR", NULL);
  const char *const ranges[] = { services, doctor->status == NULL ? pods : NULL }; /* a running cluster's pods have a route, its own */
  for (guint i = 0; i < G_N_ELEMENTS (ranges); i++)
    {
      guint32 address, mask;
      g_autofree char *route = ranges[i] != NULL && parse_range (ranges[i], &address, &mask) ? route_into (address, mask) : NULL;
      if (route == NULL)
        continue;
      g_autofree char *remedy = g_strdup_printf ("choose a range nobody uses (ip route lists them): %s in the configuration",
                                                 i == 0 ? "serviceCIDR" : "clusterCIDR");
      doctor_bad (finding, DOCTOR_WARNING, remedy, "%s for %s overlaps this machine's route %s", ranges[i], i == 0 ? "Services" : "pods",
                  route);
      return;
    }
  doctor_ok (finding, "Services %s, pods %s", services, pods != NULL ? pods : "where there is room");
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The machine: what it has, and the address the others reach it at. */
#include "agent.h"
#include "hostaddress.h"
#include <arpa/inet.h>
#include <net/if.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <unistd.h>

#define RESERVED_MEMORY_BYTES (100LL * 1024 * 1024) /* the hard eviction threshold */
#define DEFAULT_MAX_PODS 110

static char *
read_line (const char *path)
{
  g_autofree char *text = NULL;
  if (!g_file_get_contents (path, &text, NULL, NULL))
    return g_strdup ("");
  char *end = strchr (text, '\n');
  if (end != NULL)
    *end = '\0';
  return g_utf8_make_valid (g_strstrip (text), -1);
}

/* "MemTotal:  123 kB" → bytes */
static gint64
read_meminfo (const char *key)
{
  g_autofree char *text = NULL;
  g_autofree char *wanted = g_strconcat ("\n", key, ":", NULL);
  if (!g_file_get_contents ("/proc/meminfo", &text, NULL, NULL))
    return 0;
  g_autofree char *padded = g_strconcat ("\n", text, NULL);
  const char *at = strstr (padded, wanted);
  return at != NULL ? g_ascii_strtoll (at + strlen (wanted), NULL, 10) * 1024 : 0;
}

static gint64
read_hugepages (const char *folder, gint64 page_bytes)
{
  g_autofree char *path = g_strdup_printf ("/sys/kernel/mm/hugepages/%s/nr_hugepages", folder);
  g_autofree char *text = read_line (path);
  return g_ascii_strtoll (text, NULL, 10) * page_bytes;
}

static char *
read_os_image (void)
{
  g_autofree char *text = NULL;
  if (!g_file_get_contents ("/etc/os-release", &text, NULL, NULL))
    return g_strdup ("Linux");
  g_auto (GStrv) lines = g_strsplit (text, "\n", -1);
  for (guint i = 0; lines[i] != NULL; i++)
    if (g_str_has_prefix (lines[i], "PRETTY_NAME="))
      {
        g_autofree char *value = g_strdup (lines[i] + strlen ("PRETTY_NAME="));
        g_strdelimit (value, "\"", ' ');
        return g_utf8_make_valid (g_strstrip (value), -1);
      }
  return g_strdup ("Linux");
}

/* The address packets to elsewhere would leave with: a UDP socket's choice, nothing is sent. */
static char *
default_route_address (void)
{
  struct sockaddr_in remote = { .sin_family = AF_INET, .sin_port = htons (9) };
  struct sockaddr_in local;
  socklen_t length = sizeof local;
  char text[INET_ADDRSTRLEN];
  inet_pton (AF_INET, "192.0.2.1", &remote.sin_addr);
  int fd = socket (AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0)
    return NULL;
  char *result = NULL;
  if (connect (fd, (struct sockaddr *) &remote, sizeof remote) == 0 && getsockname (fd, (struct sockaddr *) &local, &length) == 0
      && inet_ntop (AF_INET, &local.sin_addr, text, sizeof text) != NULL && strcmp (text, "0.0.0.0") != 0)
    result = g_strdup (text);
  close (fd);
  return result;
}

static char *
find_address (NodeAgent *agent)
{
  char *address = cube_context_fact (agent->context, "advertise-address");
  if (address != NULL && *address != '\0')
    return address;
  g_free (address);
  if ((address = default_route_address ()) != NULL || (address = cube_host_address ()) != NULL)
    return address;
  return g_strdup ("127.0.0.1");
}

static const char *
architecture (const char *machine)
{
  static const char *const names[][2] = { { "x86_64", "amd64" },    { "aarch64", "arm64" },   { "armv7l", "arm" }, { "i686", "386" },
                                          { "riscv64", "riscv64" }, { "ppc64le", "ppc64le" }, { "s390x", "s390x" } };
  for (guint i = 0; i < G_N_ELEMENTS (names); i++)
    if (g_str_equal (machine, names[i][0]))
      return names[i][1];
  return machine;
}

NodeMachine *
node_machine_read (NodeAgent *agent)
{
  NodeMachine *machine = g_new0 (NodeMachine, 1);
  struct utsname uts;
  struct statvfs disk;
  machine->cpus = MAX (sysconf (_SC_NPROCESSORS_ONLN), 1);
  machine->memory_bytes = read_meminfo ("MemTotal");
  machine->swap_bytes = read_meminfo ("SwapTotal");
  machine->hugepages_2m_bytes = read_hugepages ("hugepages-2048kB", 2LL << 20);
  machine->hugepages_1g_bytes = read_hugepages ("hugepages-1048576kB", 1LL << 30);
  if (statvfs (agent->pods_dir, &disk) == 0 || statvfs ("/", &disk) == 0)
    machine->disk_bytes = (gint64) disk.f_blocks * (gint64) disk.f_frsize;
  machine->allocatable_memory_bytes =
      MAX (machine->memory_bytes - RESERVED_MEMORY_BYTES - machine->hugepages_2m_bytes - machine->hugepages_1g_bytes, 0);
  machine->allocatable_disk_bytes = machine->disk_bytes - machine->disk_bytes / 10;
  machine->max_pods = DEFAULT_MAX_PODS;
  machine->hostname = g_ascii_strdown (g_get_host_name (), -1);
  machine->ip = find_address (agent);
  machine->machine_id = read_line ("/etc/machine-id");
  machine->system_uuid = read_line ("/sys/class/dmi/id/product_uuid");
  machine->boot_id = read_line ("/proc/sys/kernel/random/boot_id");
  if (*machine->system_uuid == '\0')
    {
      g_free (machine->system_uuid);
      machine->system_uuid = g_strdup (machine->machine_id);
    }
  machine->os_image = read_os_image ();
  if (uname (&uts) == 0)
    {
      machine->kernel = g_strdup (uts.release);
      machine->arch = g_strdup (architecture (uts.machine));
    }
  return machine;
}

void
node_machine_free (NodeMachine *machine)
{
  if (machine == NULL)
    return;
  g_free (machine->hostname);
  g_free (machine->ip);
  g_free (machine->machine_id);
  g_free (machine->system_uuid);
  g_free (machine->boot_id);
  g_free (machine->kernel);
  g_free (machine->os_image);
  g_free (machine->arch);
  g_free (machine);
}

char *
node_machine_resolv_conf (void)
{
  char *text = NULL;
  return g_file_get_contents ("/etc/resolv.conf", &text, NULL, NULL) ? text : g_strdup ("");
}

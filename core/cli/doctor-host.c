/* SPDX-License-Identifier: Apache-2.0 */
/* Rights, clock, memory, disk and programs. */
#include "doctor.h"
#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <gio/gunixsocketaddress.h>
#include <glib/gstdio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/timex.h>
#include <unistd.h>

#define FSYNC_TIMES 50
#define FSYNC_MAX_US (5 * G_USEC_PER_SEC)
#define FSYNC_WANTED_US (10 * 1000) /* etcd's advice for its write-ahead log: https://etcd.io/docs/latest/faq */
#define MB (1024 * 1024)

/* ---- rights, clock, memory ---- */

void
doctor_check_rights (Doctor *doctor, Finding *finding)
{
  static const struct {
    guint bit;
    const char *name;
  } needed[] = { { 1, "DAC_OVERRIDE" }, { 5, "KILL" }, { 12, "NET_ADMIN" }, { 21, "SYS_ADMIN" }, { 27, "MKNOD" } };
  g_autofree char *text = NULL;
  g_autoptr (GString) missing = g_string_new (NULL);
  if (!doctor->is_root)
    {
      doctor_bad (finding, DOCTOR_PROBLEM, "run it as root (sudo cube up), or with simulated nodes: cube up --runtime sim", "user %u",
                  geteuid ());
      return;
    }
  const char *line = g_file_get_contents ("/proc/self/status", &text, NULL, NULL) ? strstr (text, "CapEff:") : NULL;
  guint64 set = line != NULL ? g_ascii_strtoull (line + strlen ("CapEff:"), NULL, 16) : G_MAXUINT64;
  for (guint i = 0; i < G_N_ELEMENTS (needed); i++)
    if ((set >> needed[i].bit & 1) == 0)
      g_string_append_printf (missing, " CAP_%s", needed[i].name);
  if (missing->len == 0)
    doctor_ok (finding, "root");
  else
    doctor_bad (finding, DOCTOR_PROBLEM, "inside a container, start that one privileged", "root without%s", missing->str);
}

void
doctor_check_clock (Doctor *doctor, Finding *finding)
{
  struct timex clock = { 0 };
  struct stat program;
  gint64 now = g_get_real_time () / G_USEC_PER_SEC;
  if (stat ("/proc/self/exe", &program) == 0 && program.st_mtime > now + 24 * 3600)
    {
      g_autoptr (GDateTime) time = g_date_time_new_now_utc ();
      g_autofree char *shown = g_date_time_format (time, "%F %T UTC");
      doctor_bad (finding, DOCTOR_PROBLEM,
                  "date -s 'YYYY-MM-DD HH:MM:SS', or timedatectl set-ntp true; certificates are valid from now on only",
                  "it is %s, before this program was built", shown);
      return;
    }
  int state = adjtimex (&clock);
  if (state < 0 || state == TIME_ERROR || (clock.status & STA_UNSYNC) != 0)
    doctor_bad (finding, DOCTOR_WARNING, "apt-get install systemd-timesyncd && timedatectl set-ntp true",
                "plausible, but nothing synchronises it; certificates and tokens of other machines may be refused");
  else
    doctor_ok (finding, "synchronised, within %ld ms", clock.maxerror / 1000);
}

static gint64
meminfo_bytes (const char *text, const char *key)
{
  const char *at = text != NULL ? strstr (text, key) : NULL;
  return at != NULL ? g_ascii_strtoll (at + strlen (key), NULL, 10) * 1024 : -1;
}

void
doctor_check_memory (Doctor *doctor, Finding *finding)
{
  g_autofree char *text = NULL;
  g_file_get_contents ("/proc/meminfo", &text, NULL, NULL);
  gint64 available = meminfo_bytes (text, "MemAvailable:") / MB, total = meminfo_bytes (text, "MemTotal:") / MB;
  if (available >= 256)
    doctor_ok (finding, "%" G_GINT64_FORMAT " of %" G_GINT64_FORMAT " MB available", available, total);
  else
    doctor_bad (finding, available < 48 ? DOCTOR_PROBLEM : DOCTOR_WARNING,
                "end other programs (ps axo rss,comm --sort=-rss | head), or add memory",
                "%" G_GINT64_FORMAT " of %" G_GINT64_FORMAT " MB available", available, total);
}

/* ---- disk ---- */

void
doctor_check_disk (Doctor *doctor, Finding *finding)
{
  g_autofree char *dir = doctor_existing_dir (doctor);
  struct statvfs info;
  if (statvfs (dir, &info) != 0)
    {
      doctor_bad (finding, DOCTOR_PROBLEM, "choose another --data-dir", "%s: %s", dir, g_strerror (errno));
      return;
    }
  gint64 free_mb = (gint64) (info.f_bavail * info.f_frsize / MB), wanted_mb = doctor->has_node ? 2048 : 256;
  gboolean has_inodes = info.f_files == 0 || info.f_favail > 10000;
  if (free_mb >= wanted_mb && has_inodes)
    doctor_ok (finding, "%" G_GINT64_FORMAT " MB free for %s", free_mb, doctor->options->data_dir);
  else
    doctor_bad (finding, free_mb < 64 || !has_inodes ? DOCTOR_PROBLEM : DOCTOR_WARNING,
                "free some (apt-get clean; journalctl --vacuum-size=100M), or choose another --data-dir",
                "%" G_GINT64_FORMAT " MB and %" G_GUINT64_FORMAT " files free for %s", free_mb, (guint64) info.f_favail,
                doctor->options->data_dir);
}

/* A file nobody else sees and that is gone once closed. */
static int
open_nameless (const char *dir)
{
  int fd = open (dir, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
  if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL))
    return fd;
  g_autofree char *path = g_build_filename (dir, ".cube-doctor-XXXXXX", NULL);
  fd = g_mkstemp_full (path, O_WRONLY | O_CLOEXEC, 0600);
  if (fd >= 0)
    g_unlink (path);
  return fd;
}

static gint
compare_times (gconstpointer a, gconstpointer b)
{
  gint64 x = *(const gint64 *) a, y = *(const gint64 *) b;
  return (x > y) - (x < y);
}

/* Appends 4 KB and waits for the disk, again and again, as the write-ahead log does. The number of times done, sorted. */
static guint
measure_fsync (int fd, gint64 *times)
{
  static char block[4096];
  gint64 begin = g_get_monotonic_time ();
  guint n = 0;
  memset (block, 'c', sizeof block);
  while (n < FSYNC_TIMES && g_get_monotonic_time () - begin < FSYNC_MAX_US)
    {
      gint64 start = g_get_monotonic_time ();
      if (write (fd, block, sizeof block) != (ssize_t) sizeof block || fdatasync (fd) != 0)
        break;
      times[n++] = g_get_monotonic_time () - start;
    }
  qsort (times, n, sizeof *times, compare_times);
  return n;
}

void
doctor_check_fsync (Doctor *doctor, Finding *finding)
{
  gint64 times[FSYNC_TIMES];
  g_autofree char *dir = doctor_existing_dir (doctor);
  int fd = open_nameless (dir);
  guint n = fd >= 0 ? measure_fsync (fd, times) : 0;
  if (n == 0)
    {
      doctor_bad (finding, DOCTOR_PROBLEM, "choose a --data-dir that can be written to, with space on it", "%s: %s", dir,
                  g_strerror (errno));
      if (fd >= 0)
        close (fd);
      return;
    }
  close (fd);
  gint64 median = times[n / 2], high = times[(n * 99 - 1) / 100];
  if (high <= FSYNC_WANTED_US)
    doctor_ok (finding, "median %.2f ms, 99th percentile %.2f ms, in %s", (double) median / 1000, (double) high / 1000, dir);
  else
    doctor_bad (finding, DOCTOR_WARNING, "put the data directory on a faster disk (an SSD, not a network share): --data-dir DIR",
                "median %.2f ms, 99th percentile %.2f ms, in %s; every write waits for it", (double) median / 1000, (double) high / 1000,
                dir);
}

/* ---- programs ---- */

static const char *
configured_endpoint (const Doctor *doctor)
{
  return doctor->options->config != NULL ? cube_view_get_string (cube_value_root (doctor->options->config), "runtimeEndpoint") : NULL;
}

static void
check_endpoint (const char *endpoint, Finding *finding)
{
  const char *path = g_str_has_prefix (endpoint, "unix://") ? endpoint + strlen ("unix://") : endpoint;
  g_autoptr (GSocketAddress) address = g_unix_socket_address_new (path);
  g_autoptr (GSocketClient) client = g_socket_client_new ();
  g_autoptr (GError) error = NULL;
  g_socket_client_set_timeout (client, 5);
  g_autoptr (GSocketConnection) connection = g_socket_client_connect (client, G_SOCKET_CONNECTABLE (address), NULL, &error);
  if (connection != NULL)
    doctor_ok (finding, "%s answers", path);
  else
    doctor_bad (finding, DOCTOR_PROBLEM,
                "start that runtime, or take runtimeEndpoint out of the configuration for a containerd of Cube's own", "%s: %s", path,
                error->message);
}

void
doctor_check_containerd (Doctor *doctor, Finding *finding)
{
  const char *endpoint = configured_endpoint (doctor);
  if (endpoint != NULL)
    {
      check_endpoint (endpoint, finding);
      return;
    }
  g_autofree char *program = g_find_program_in_path ("containerd"), *ctr = g_find_program_in_path ("ctr");
  g_autofree char *said = program != NULL ? doctor_run (program, "--version") : NULL;
  guint version = doctor_version (said, "containerd");
  if (said == NULL || ctr == NULL)
    doctor_bad (finding, DOCTOR_PROBLEM, "apt-get install containerd", "%s",
                program == NULL ? "not on PATH"
                : said == NULL  ? "does not run"
                                : "ctr is not on PATH");
  else if (version < 10600)
    doctor_bad (finding, DOCTOR_PROBLEM, "apt-get install containerd", "%s", g_strstrip (said));
  else
    doctor_ok (finding, "%u.%u.%u", version / 10000, version / 100 % 100, version % 100);
}

/* CVE-2024-21626: a container could keep a descriptor of the host. Mended in 1.1.12, and in Debian's 1.1.5 from its first security update on. */
void
doctor_check_runc (Doctor *doctor, Finding *finding)
{
  g_autofree char *program = doctor_find_program ("runc");
  g_autofree char *said = program != NULL ? doctor_run (program, "--version") : NULL;
  guint version = doctor_version (said, "version");
  if (configured_endpoint (doctor) != NULL)
    doctor_ok (finding, "not needed: the configured runtime starts containers");
  else if (said == NULL)
    doctor_bad (finding, DOCTOR_PROBLEM, "apt-get install runc", "%s", program == NULL ? "not there" : "does not run");
  else if (version >= 10112 || strstr (said, "+deb12u") != NULL)
    doctor_ok (finding, "%u.%u.%u%s", version / 10000, version / 100 % 100, version % 100,
               version < 10112 ? " with Debian's security updates" : "");
  else
    doctor_bad (finding, DOCTOR_WARNING, "apt-get update && apt-get install runc",
                "%u.%u.%u, in which a container can reach the host (CVE-2024-21626)", version / 10000, version / 100 % 100, version % 100);
}

void
doctor_check_cni (Doctor *doctor, Finding *finding)
{
  static const char *const needed[] = { "bridge", "host-local", "loopback", "portmap" };
  const CubeValue *config = doctor->options->config;
  CubeView own =
      config != NULL ? cube_view_member (cube_view_member (cube_value_root (config), "plugins"), "runtimes-containerd") : cube_view_none ();
  const char *dir = cube_view_string_or (cube_view_member (own, "cni-bin-dir"), "/usr/lib/cni");
  g_autoptr (GString) missing = g_string_new (NULL);
  for (guint i = 0; i < G_N_ELEMENTS (needed); i++)
    {
      g_autofree char *path = g_build_filename (dir, needed[i], NULL);
      if (!g_file_test (path, G_FILE_TEST_IS_EXECUTABLE))
        g_string_append_printf (missing, "%s%s", missing->len > 0 ? ", " : "", needed[i]);
    }
  if (missing->len == 0)
    doctor_ok (finding, "all in %s", dir);
  else
    doctor_bad (
        finding, DOCTOR_PROBLEM,
        "apt-get install containernetworking-plugins, or say where they are: plugins.runtimes-containerd.cni-bin-dir in the configuration",
        "not in %s: %s", dir, missing->str);
}

void
doctor_check_tools (Doctor *doctor, Finding *finding)
{
  static const struct {
    const char *name, *package;
    gboolean is_needed;
  } programs[] = { { "nft", "nftables", TRUE }, { "iptables", "iptables", FALSE }, { "conntrack", "conntrack", FALSE } };
  g_autoptr (GString) missing = g_string_new (NULL), packages = g_string_new ("apt-get install");
  DoctorResult result = DOCTOR_WARNING;
  for (guint i = 0; i < G_N_ELEMENTS (programs); i++)
    {
      g_autofree char *path = doctor_find_program (programs[i].name);
      if (path != NULL)
        continue;
      g_string_append_printf (missing, "%s%s", missing->len > 0 ? ", " : "", programs[i].name);
      g_string_append_printf (packages, " %s", programs[i].package);
      if (programs[i].is_needed)
        result = DOCTOR_PROBLEM;
    }
  if (missing->len == 0)
    doctor_ok (finding, "all there");
  else
    doctor_bad (finding, result, packages->str, "missing: %s", missing->str);
}

void
doctor_check_kubectl (Doctor *doctor, Finding *finding)
{
  g_autofree char *program = g_find_program_in_path ("kubectl");
  if (program != NULL)
    doctor_ok (finding, "%s", program);
  else
    doctor_bad (finding, DOCTOR_WARNING, "apt-get install kubernetes-client", "not on PATH");
}

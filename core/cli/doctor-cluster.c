/* SPDX-License-Identifier: Apache-2.0 */
/* Configuration, plugins, and the cluster that lives in the data directory. Nothing there is changed. */
#include "doctor.h"
#include <cube/storage.h>
#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <linux/magic.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#define TRIAL_TIMEOUT_US (60 * G_USEC_PER_SEC)
#define SOON_S (30 * 24 * 3600)
#define CIFS_MAGIC 0xff534d42

void
doctor_check_configuration (Doctor *doctor, Finding *finding)
{
  if (doctor->option_problem != NULL)
    doctor_bad (finding, DOCTOR_PROBLEM, "correct that; the keys are in docs/operator.md. The checks below go by the defaults", "%s",
                doctor->option_problem);
  else if (doctor->options->config_path != NULL)
    doctor_ok (finding, "%s", doctor->options->config_path);
  else
    doctor_ok (finding, "none, the defaults: runtime %s, roles %s", doctor->options->runtime, doctor->options->roles);
}

/* ---- the data directory ---- */

static const char *
file_system_problem (const char *dir, DoctorResult *ret_result)
{
  struct statfs info;
  if (statfs (dir, &info) != 0)
    return NULL;
  *ret_result = DOCTOR_PROBLEM;
  switch ((guint64) info.f_type & 0xffffffff)
    {
    case NFS_SUPER_MAGIC: return "on NFS, which cannot hold the database";
    case SMB_SUPER_MAGIC:
    case CIFS_MAGIC: return "on a network share, which cannot hold the database";
    case TMPFS_MAGIC:
    case RAMFS_MAGIC: *ret_result = DOCTOR_WARNING; return "in memory (tmpfs): nothing is there any more after a restart of the machine";
    default: return NULL;
    }
}

void
doctor_check_data_dir (Doctor *doctor, Finding *finding)
{
  const char *dir = doctor->options->data_dir;
  g_autofree char *existing = doctor_existing_dir (doctor);
  DoctorResult result;
  struct stat info;
  const char *where = file_system_problem (existing, &result);
  if (stat (dir, &info) == 0 && !S_ISDIR (info.st_mode))
    doctor_bad (finding, DOCTOR_PROBLEM, "move it away, or choose another --data-dir", "%s is no directory", dir);
  else if (access (existing, W_OK | X_OK) != 0)
    doctor_bad (finding, DOCTOR_PROBLEM, "run it as root, or choose a --data-dir of yours", "%s: %s", existing, g_strerror (errno));
  else if (g_str_equal (dir, existing) && (info.st_mode & 022) != 0)
    doctor_bad (finding, DOCTOR_PROBLEM, "chmod go-w DIR", "%s can be written by others (mode %04o): they could put plugins there", dir,
                info.st_mode & 07777);
  else if (g_str_equal (dir, existing) && info.st_uid != geteuid () && info.st_uid != 0)
    doctor_bad (finding, DOCTOR_WARNING, "run cube as that user, or chown the folder", "%s belongs to user %u", dir, info.st_uid);
  else if (where != NULL)
    doctor_bad (finding, result, "choose a --data-dir on a local disk", "%s is %s", dir, where);
  else
    doctor_ok (finding, g_str_equal (dir, existing) ? "%s" : "%s, which cube up will make", dir);
}

void
doctor_check_cluster (Doctor *doctor, Finding *finding)
{
  g_autofree char *path = g_build_filename (doctor->options->data_dir, "cube.lock", NULL);
  g_autofree char *socket_path = g_build_filename (doctor->options->data_dir, "cube.sock", NULL);
  if (doctor->status != NULL)
    {
      CubeView status = cube_value_root (doctor->status);
      const char *waiting = cube_view_string (cube_view_element (cube_view_member (status, "waitingFor"), 0));
      gint64 pid = cube_view_get_int (status, 0, "pid");
      if (cube_view_get_bool (status, FALSE, "ready"))
        doctor_ok (finding, "runs (pid %" G_GINT64_FORMAT ") and is ready", pid);
      else
        doctor_bad (finding, DOCTOR_WARNING, "cube status; the log is DIR/cube.log", "runs (pid %" G_GINT64_FORMAT "), waiting for %s", pid,
                    waiting != NULL ? waiting : "its start");
      return;
    }
  int fd = open (path, O_RDONLY | O_CLOEXEC);
  gboolean is_held = fd >= 0 && flock (fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
  char holder[32] = "";
  if (is_held && pread (fd, holder, sizeof holder - 1, 0) > 0)
    doctor_bad (finding, DOCTOR_PROBLEM, "if it starts or ends just now, wait; else kill that process, then cube up",
                "process %s holds it and does not answer", g_strstrip (holder));
  else if (access (socket_path, F_OK) == 0)
    doctor_bad (finding, DOCTOR_WARNING, "cube up takes its pods over; cube down ends them", "was ended without cube down");
  else
    doctor_ok (finding, fd >= 0 ? "does not run" : "none yet");
  if (fd >= 0)
    close (fd);
}

/* ---- plugins and database: tried in a child, whose end is a finding, not ours ---- */

static const char *
database_problem (Doctor *doctor, CubeRegistry *registry, GError **error)
{
  const char *id = cube_options_storage_plugin (doctor->options);
  g_autofree char *location = cube_options_storage_location (doctor->options);
  const CubeImpl *storage = cube_registry_lookup (registry, CUBE_STORAGE, id);
  if (storage == NULL)
    g_set_error (error, CUBE_ERROR, CUBE_ERROR_SERVICE_UNAVAILABLE, "no storage plugin \"%s\" was loaded", id);
  else if (doctor->status == NULL && CUBE_OPS_HAS ((const CubeStorageOps *) storage->ops, check))
    ((const CubeStorageOps *) storage->ops)->check (storage->state, location, error);
  return *error != NULL ? (*error)->message : NULL;
}

/* In the child: loads as the daemon does, but without a data directory, so that nothing is written; says it in JSON. */
static void
try_plugins (Doctor *doctor, int out_fd)
{
  CubeProcess *process = cube_process_new ();
  CubeRegistry *registry = cube_registry_new ();
  int null_fd = open ("/dev/null", O_WRONLY | O_CLOEXEC);
  dup2 (null_fd, STDERR_FILENO); /* what is refused is in the answer */
  dup2 (null_fd, STDOUT_FILENO);
  cube_process_set_registry (process, registry);
  cube_process_set_schema (process, cube_schema_get_default ());
  cube_process_set_node_name (process, doctor->options->node_name);
  CubePlugins *plugins = cube_options_load_plugins (doctor->options, process, registry, doctor->builtin);
  g_autoptr (CubeValue) list = cube_plugins_describe (plugins);
  g_autoptr (GError) error = NULL;
  g_autoptr (CubeBuilder) builder = cube_builder_new ();
  cube_mut_set_view (cube_builder_root (builder), "plugins", cube_value_root (list));
  cube_mut_set_string (cube_builder_root (builder), "database", database_problem (doctor, registry, &error));
  g_autoptr (CubeValue) value = cube_builder_end (builder);
  gsize length, done = 0;
  g_autofree char *text = cube_view_to_json (cube_value_root (value), &length);
  ssize_t n;
  while (done < length && (n = write (out_fd, text + done, length - done)) > 0)
    done += (gsize) n;
}

static void
read_all (int fd, GString *text)
{
  gint64 deadline = g_get_monotonic_time () + TRIAL_TIMEOUT_US;
  char buffer[4096];
  ssize_t n = 1;
  while (n > 0)
    {
      struct pollfd wait = { .fd = fd, .events = POLLIN };
      gint64 left = deadline - g_get_monotonic_time ();
      n = left > 0 && poll (&wait, 1, (int) (left / 1000)) > 0 ? read (fd, buffer, sizeof buffer) : -1;
      if (n > 0)
        g_string_append_len (text, buffer, n);
    }
}

/* NULL, or how the child ended without an answer. (transfer full) */
static char *
run_trial (Doctor *doctor)
{
  int ends[2], status = 0;
  g_autoptr (GString) text = g_string_new (NULL);
  if (pipe2 (ends, O_CLOEXEC) != 0)
    return g_strdup (g_strerror (errno));
  fflush (stdout);
  pid_t pid = fork ();
  if (pid == 0)
    {
      try_plugins (doctor, ends[1]);
      _exit (0);
    }
  close (ends[1]);
  read_all (ends[0], text);
  close (ends[0]);
  if (pid > 0)
    kill (pid, SIGKILL); /* it has answered, or never will */
  if (pid < 0 || waitpid (pid, &status, 0) != pid)
    return g_strdup (g_strerror (errno));
  doctor->plugins = cube_value_from_json (text->str, (gssize) text->len, NULL, NULL);
  if (doctor->plugins != NULL)
    return NULL;
  return WIFSIGNALED (status) && WTERMSIG (status) != SIGKILL
             ? g_strdup_printf ("loading them ended with signal %d (%s)", WTERMSIG (status), g_strsignal (WTERMSIG (status)))
             : g_strdup ("loading them did not end");
}

void
doctor_check_plugins (Doctor *doctor, Finding *finding)
{
  g_autofree char *why = run_trial (doctor);
  g_autoptr (GPtrArray) dirs = cube_options_plugin_dirs (doctor->options);
  CubeIter it;
  CubeView plugin;
  guint n = 0, n_bad = 0;
  const char *first = NULL;
  if (why != NULL)
    {
      doctor_bad (finding, DOCTOR_PROBLEM, "move the plugins that were added last out of the folder, and ask again", "%s: %s",
                  (const char *) dirs->pdata[0], why);
      return;
    }
  for (cube_iter_init (&it, cube_view_member (cube_value_root (doctor->plugins), "plugins")); cube_iter_next (&it, NULL, &plugin); n++)
    if (g_strcmp0 (cube_view_get_string (plugin, "state"), "failed") == 0)
      {
        n_bad++;
        if (first == NULL)
          first = cube_view_string_or (cube_view_member (plugin, "message"), "?");
      }
  if (n == 0)
    doctor_bad (finding, DOCTOR_PROBLEM, "build cube (ninja -C build) or install it again (ninja -C build install)", "none in %s",
                (const char *) dirs->pdata[0]);
  else if (n_bad > 0)
    doctor_bad (finding, DOCTOR_WARNING, "put that right, or remove the file; the others are used without it",
                "%u of %u cannot be used: %s", n_bad, n, first);
  else
    doctor_ok (finding, "%u, from %s", n, (const char *) dirs->pdata[0]);
}

void
doctor_check_database (Doctor *doctor, Finding *finding)
{
  g_autofree char *location = cube_options_storage_location (doctor->options);
  const char *problem = doctor->plugins != NULL ? cube_view_get_string (cube_value_root (doctor->plugins), "database") : NULL;
  if (problem != NULL)
    doctor_bad (finding, DOCTOR_PROBLEM, "docs/operator.md says more", "%s", problem);
  else if (doctor->status != NULL)
    doctor_ok (finding, "in use by the running cluster");
  else
    doctor_ok (finding, access (location, F_OK) == 0 ? "%s was read whole" : "none yet in %s", location);
}

/* ---- certificates ---- */

static GTlsCertificate *
kubeconfig_certificate (const char *path)
{
  g_autofree char *text = NULL;
  gsize length, pem_length;
  if (!g_file_get_contents (path, &text, &length, NULL))
    return NULL;
  g_autoptr (GPtrArray) documents = cube_values_from_yaml (text, (gssize) length, NULL, NULL);
  CubeView root = documents != NULL && documents->len == 1 ? cube_value_root (documents->pdata[0]) : cube_view_none ();
  CubeView user = cube_view_member (cube_view_element (cube_view_member (root, "users"), 0), "user");
  const char *data = cube_view_string (cube_view_member (user, "client-certificate-data"));
  g_autofree guchar *pem = data != NULL ? g_base64_decode (data, &pem_length) : NULL;
  return pem != NULL ? g_tls_certificate_new_from_pem ((const char *) pem, (gssize) pem_length, NULL) : NULL;
}

static gboolean
check_certificate (GTlsCertificate *certificate, const char *path, gint64 soon_s, const char *remedy, Finding *finding)
{
  g_autoptr (GDateTime) from = g_tls_certificate_get_not_valid_before (certificate),
                        until = g_tls_certificate_get_not_valid_after (certificate);
  gint64 now = g_get_real_time () / G_USEC_PER_SEC;
  if (from == NULL || until == NULL)
    return TRUE;
  g_autofree char *begin = g_date_time_format (from, "%F"), *end = g_date_time_format (until, "%F");
  if (g_date_time_to_unix (from) > now)
    doctor_bad (finding, DOCTOR_PROBLEM, "put the clock right: timedatectl set-ntp true",
                "%s is valid from %s on, which this clock says is to come", path, begin);
  else if (g_date_time_to_unix (until) <= now + soon_s)
    doctor_bad (finding, g_date_time_to_unix (until) <= now ? DOCTOR_PROBLEM : DOCTOR_WARNING, remedy, "%s is valid until %s", path, end);
  else
    return TRUE;
  return FALSE;
}

/* An agent renews its own while it runs, so all that counts is that it is still good. */
static void
check_agent (const char *path, Finding *finding)
{
  g_autoptr (GTlsCertificate) certificate = path != NULL ? kubeconfig_certificate (path) : NULL;
  if (certificate == NULL)
    doctor_ok (finding, "none of its own");
  else if (check_certificate (certificate, path, 0, "join anew: cube token create on the server prints how", finding))
    {
      g_autoptr (GDateTime) until = g_tls_certificate_get_not_valid_after (certificate);
      g_autofree char *end = until != NULL ? g_date_time_format (until, "%F") : g_strdup ("?");
      doctor_ok (finding, "the agent's is valid until %s", end);
    }
}

void
doctor_check_certificates (Doctor *doctor, Finding *finding)
{
  g_autofree char *ca_path = g_build_filename (doctor->options->data_dir, "pki", "ca.crt", NULL);
  g_autofree char *user_path = g_build_filename (doctor->options->data_dir, "admin.kubeconfig", NULL);
  g_autoptr (GError) error = NULL;
  if (doctor->is_agent)
    {
      check_agent (doctor->options->kubeconfig, finding);
      return;
    }
  g_autoptr (GTlsCertificate) ca = g_tls_certificate_new_from_file (ca_path, &error), user = kubeconfig_certificate (user_path);
  if (ca == NULL && g_error_matches (error, G_FILE_ERROR, G_FILE_ERROR_NOENT))
    doctor_ok (finding, "none yet");
  else if (ca == NULL)
    doctor_bad (finding, DOCTOR_PROBLEM, "restore DIR/pki from a backup", "%s: %s", ca_path, error->message);
  else if (check_certificate (
               ca, ca_path, SOON_S,
               "move DIR/pki away, then cube down and cube up: a new authority is made, and every kubeconfig file is to be handed out anew",
               finding)
           && (user == NULL
               || check_certificate (user, user_path, SOON_S,
                                     "cube up makes it anew when it starts: end the process (kill PID, pods go on), then cube up",
                                     finding)))
    {
      g_autoptr (GDateTime) until = g_tls_certificate_get_not_valid_after (ca);
      g_autofree char *end = until != NULL ? g_date_time_format (until, "%F") : g_strdup ("?");
      doctor_ok (finding, "the authority's is valid until %s", end);
    }
}

/* SPDX-License-Identifier: Apache-2.0 */
/* cube doctor: what this machine has of what `cube up` will need, and what to do about the rest. */
#include "doctor.h"
#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define TRIAL_TIMEOUT_S 20

typedef enum { ALWAYS, NODE, API, AGENT, STORE } When;

static const struct {
  const char *name, *wanted;
  When when;
  DoctorCheck check;
} checks[] = {
  { "configuration", "a valid one", ALWAYS, doctor_check_configuration },
  { "data directory", "ours alone, on a local file system", ALWAYS, doctor_check_data_dir },
  { "cluster", "not running, or running well", ALWAYS, doctor_check_cluster },
  { "plugins", "each file can be loaded", ALWAYS, doctor_check_plugins },
  { "database", "undamaged", STORE, doctor_check_database },
  { "certificates", "valid for 30 days more", ALWAYS, doctor_check_certificates },
  { "API port", "free", API, doctor_check_port },
  { "server", "answers, and knows who we are", AGENT, doctor_check_server },
  { "clock", "synchronised", ALWAYS, doctor_check_clock },
  { "memory", "256 MB available", ALWAYS, doctor_check_memory },
  { "disk space", "2 GB free", ALWAYS, doctor_check_disk },
  { "fsync time", "99 of 100 within 10 ms", ALWAYS, doctor_check_fsync },
  { "open files", "10240 allowed", ALWAYS, doctor_check_open_files },
  { "inotify", "128 instances and 8192 watches", ALWAYS, doctor_check_inotify },
  { "kernel", "5.10 or newer", ALWAYS, doctor_check_kernel },
  { "rights", "root with all capabilities", NODE, doctor_check_rights },
  { "namespaces", "mount, network, process, host name, IPC", NODE, doctor_check_namespaces },
  { "root folder", "a mount point", NODE, doctor_check_root_folder },
  { "overlayfs", "mountable above the data directory", NODE, doctor_check_overlay },
  { "links", "veth, bridge, vxlan", NODE, doctor_check_links },
  { "nftables", "maps, address translation", NODE, doctor_check_packet_rules },
  { "cgroups", "cpu, cpuset, memory, pids", NODE, doctor_check_cgroups },
  { "forwarding", "net.ipv4.ip_forward 1", NODE, doctor_check_forwarding },
  { "bridge filter", "net.bridge.bridge-nf-call-iptables 1", NODE, doctor_check_bridge_filter },
  { "node ports", "none in use", NODE, doctor_check_node_ports },
  { "address ranges", "not routed elsewhere", NODE, doctor_check_ranges },
  { "containerd", "1.6 or newer, with ctr", NODE, doctor_check_containerd },
  { "runc", "1.1.12 or newer", NODE, doctor_check_runc },
  { "CNI plugins", "bridge, host-local, loopback, portmap", NODE, doctor_check_cni },
  { "programs", "nft, iptables, conntrack", NODE, doctor_check_tools },
  { "kubectl", "on PATH", ALWAYS, doctor_check_kubectl },
};

static const char *const result_names[] = { "ok", "warning", "problem" };

/* ---- what the checks use ---- */

void
doctor_ok (Finding *finding, const char *format, ...)
{
  va_list args;
  va_start (args, format);
  finding->result = DOCTOR_OK;
  finding->found = g_strdup_vprintf (format, args);
  va_end (args);
}

void
doctor_bad (Finding *finding, DoctorResult result, const char *remedy, const char *format, ...)
{
  va_list args;
  va_start (args, format);
  finding->result = result;
  finding->remedy = g_strdup (remedy);
  finding->found = g_strdup_vprintf (format, args);
  va_end (args);
}

char *
doctor_try (int flags, DoctorTrial trial, gpointer data)
{
  int ends[2], status = 0;
  char text[1024];
  gsize length = 0;
  ssize_t n;
  if (pipe2 (ends, O_CLOEXEC) != 0)
    return g_strdup (g_strerror (errno));
  pid_t pid = fork ();
  if (pid == 0)
    {
      alarm (TRIAL_TIMEOUT_S);
      const char *why = flags != 0 && unshare (flags) != 0 ? g_strerror (errno) : trial (data);
      if (why != NULL && write (ends[1], why, strlen (why)) < 0)
        _exit (2);
      _exit (why != NULL);
    }
  close (ends[1]);
  while (pid > 0 && length < sizeof text - 1 && (n = read (ends[0], text + length, sizeof text - 1 - length)) > 0)
    length += (gsize) n;
  close (ends[0]);
  text[length] = '\0';
  if (pid < 0 || waitpid (pid, &status, 0) != pid)
    return g_strdup (g_strerror (errno));
  if (length > 0)
    return g_strdup (g_strstrip (text));
  if (WIFSIGNALED (status))
    return g_strdup_printf ("the trial was ended by signal %d (%s)", WTERMSIG (status), g_strsignal (WTERMSIG (status)));
  return status == 0 ? NULL : g_strdup ("failed without saying why");
}

char *
doctor_find_program (const char *name)
{
  static const char *const folders[] = { "/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/local/bin", "/usr/bin", "/bin" };
  char *path = g_find_program_in_path (name);
  for (guint i = 0; path == NULL && i < G_N_ELEMENTS (folders); i++)
    {
      g_autofree char *candidate = g_build_filename (folders[i], name, NULL);
      if (g_file_test (candidate, G_FILE_TEST_IS_EXECUTABLE))
        path = g_steal_pointer (&candidate);
    }
  return path;
}

char *
doctor_run (const char *program, const char *argument)
{
  const char *const args[] = { program, argument, NULL };
  char *output = NULL;
  int status;
  if (!g_spawn_sync (NULL, (char **) args, NULL, G_SPAWN_STDERR_TO_DEV_NULL, NULL, NULL, &output, NULL, &status, NULL)
      || !g_spawn_check_wait_status (status, NULL))
    g_clear_pointer (&output, g_free);
  return output;
}

guint
doctor_version (const char *text, const char *prefix)
{
  guint numbers[3] = { 0 };
  const char *at = text != NULL ? strstr (text, prefix) : NULL;
  for (at = at != NULL ? at + strlen (prefix) : ""; *at != '\0'; at += MAX (strspn (at, "0123456789"), 1))
    if (g_ascii_isdigit (*at) && sscanf (at, "%u.%u.%u", &numbers[0], &numbers[1], &numbers[2]) >= 2)
      return MIN (numbers[0], 1000) * 10000 + MIN (numbers[1], 99) * 100 + MIN (numbers[2], 99);
  return 0;
}

char *
doctor_existing_dir (const Doctor *doctor)
{
  char *dir = g_strdup (doctor->options->data_dir);
  while (!g_file_test (dir, G_FILE_TEST_IS_DIR) && !g_str_equal (dir, "/"))
    {
      char *parent = g_path_get_dirname (dir);
      g_free (dir);
      dir = parent;
    }
  return dir;
}

/* ---- the command ---- */

static void
print_finding (const char *name, const char *wanted, const Finding *finding)
{
  printf ("%-8s %-15s ", result_names[finding->result], name);
  cube_cli_print_safe (finding->found);
  if (finding->result != DOCTOR_OK)
    printf (" (wanted: %s)", wanted);
  putchar ('\n');
  if (finding->remedy != NULL)
    {
      printf ("%24s -> ", "");
      cube_cli_print_safe (finding->remedy);
      putchar ('\n');
    }
  fflush (stdout);
}

static void
add_finding (CubeMut *list, const char *name, const char *wanted, const Finding *finding)
{
  CubeMut *entry = cube_mut_append_object (list);
  cube_mut_set_string (entry, "name", name);
  cube_mut_set_string (entry, "result", result_names[finding->result]);
  cube_mut_set_string (entry, "found", finding->found);
  cube_mut_set_string (entry, "wanted", wanted);
  cube_mut_set_string (entry, "remedy", finding->remedy);
}

static gboolean
is_due (const Doctor *doctor, When when)
{
  switch (when)
    {
    case NODE: return doctor->has_node;
    case API: return doctor->has_api;
    case AGENT: return doctor->is_agent;
    case STORE: return !doctor->is_agent;
    default: return TRUE;
    }
}

static int
examine (Doctor *doctor, const char *output)
{
  guint n[G_N_ELEMENTS (result_names)] = { 0 };
  g_autoptr (CubeBuilder) builder = cube_builder_new ();
  CubeMut *root = cube_builder_root (builder), *list = cube_mut_set_array (root, "checks");
  for (guint i = 0; i < G_N_ELEMENTS (checks); i++)
    {
      Finding finding = { DOCTOR_OK, NULL, NULL };
      if (!is_due (doctor, checks[i].when))
        continue;
      checks[i].check (doctor, &finding);
      n[finding.result]++;
      if (output != NULL)
        add_finding (list, checks[i].name, checks[i].wanted, &finding);
      else
        print_finding (checks[i].name, checks[i].wanted, &finding);
      g_free (finding.found);
      g_free (finding.remedy);
    }
  if (output != NULL)
    {
      cube_mut_set_bool (root, "ok", n[DOCTOR_PROBLEM] == 0);
      g_autoptr (CubeValue) value = cube_builder_end (builder);
      cube_cli_print_value (cube_value_root (value), output);
    }
  else
    printf ("\n%u ok, %u with a warning, %u with a problem: `cube up` %s.\n", n[DOCTOR_OK], n[DOCTOR_WARNING], n[DOCTOR_PROBLEM],
            n[DOCTOR_PROBLEM] == 0 ? "can be expected to work" : "would fail");
  return n[DOCTOR_PROBLEM] == 0 ? 0 : 1;
}

static void
fill_from (char **option, gboolean was_given, const char *last)
{
  if (was_given || last == NULL)
    return;
  g_free (*option);
  *option = g_strdup (last);
}

/* The configuration when it can be used, else the defaults; where a cluster was started before, what it was started with. */
static void
complete (Doctor *doctor)
{
  CubeOptions *options = doctor->options;
  g_autoptr (GError) error = NULL;
  gboolean has_listen = options->listen != NULL, has_runtime = options->runtime != NULL, has_config = options->config_path != NULL;
  doctor->is_agent = options->kubeconfig != NULL;
  if (doctor->is_agent && options->roles == NULL)
    options->roles = g_strdup ("node");
  if (!cube_options_complete (options, &error))
    {
      doctor->option_problem = g_strdup (error->message);
      g_clear_error (&error);
      g_clear_pointer (&options->config_path, g_free);
      g_clear_pointer (&options->listen, g_free);
      g_clear_pointer (&options->runtime, g_free);
      g_clear_pointer (&options->roles, g_free);
      g_clear_pointer (&options->config, cube_value_unref);
      cube_options_complete (options, NULL);
    }
  CubeOptions last;
  cube_options_init (&last);
  last.data_dir = g_strdup (options->data_dir);
  if (!has_config && !doctor->is_agent && cube_state_read (&last, NULL))
    {
      doctor->is_agent = last.is_agent;
      fill_from (&options->kubeconfig, FALSE, last.kubeconfig);
      fill_from (&options->listen, has_listen, last.listen);
      fill_from (&options->runtime, has_runtime, last.runtime);
      fill_from (&options->roles, FALSE, last.roles);
    }
  cube_options_clear (&last);
  g_autofree char *joined = g_build_filename (options->data_dir, "agent.kubeconfig", NULL);
  if (doctor->is_agent && options->kubeconfig == NULL && g_file_test (joined, G_FILE_TEST_EXISTS))
    options->kubeconfig = g_steal_pointer (&joined);
  g_auto (GStrv) roles = g_strsplit (options->roles, ",", -1);
  doctor->has_node = g_str_equal (options->runtime, "cri") && g_strv_contains ((const char *const *) roles, "node");
  doctor->has_api = g_strv_contains ((const char *const *) roles, "api");
  doctor->is_root = geteuid () == 0;
  doctor->status = cube_control_call (options->data_dir, "status", NULL);
}

int
cube_command_doctor (int argc, char **argv, const CubeCommandContext *context)
{
  g_auto (CubeArguments) arguments;
  int status;
  if (!cube_cli_parse (argc, argv, context, &arguments, &status))
    return status;
  Doctor doctor = { .options = &arguments.options, .builtin = context->builtin };
  complete (&doctor);
  status = examine (&doctor, arguments.output);
  g_free (doctor.option_problem);
  cube_value_unref (doctor.status);
  cube_value_unref (doctor.plugins);
  return status;
}

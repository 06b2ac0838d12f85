/* SPDX-License-Identifier: Apache-2.0 */
/* cube uninstall: what `down` does, then everything the cluster left: link, packet rules, mounts, files. Nothing of another cluster. */
#include "cli.h"
#include <cube/scalar.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <signal.h>
#include <linux/openat2.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define LOCK_NAME "cube.lock"
#define CNI_RESULTS "/var/lib/cni/results"
#define DOWN_TIMEOUT_S 120
#define MAX_DEPTH 256 /* each level holds a descriptor */

typedef struct {
  const char *data_dir; /* as `up` knew it: names are made of it */
  char *real_dir;       /* the same without links */
  char *network;        /* the bridge and the CNI network: cube%08x */
  char *run_dir;        /* /run/cube-%08x */
  GPtrArray *problems;  /* what could not be removed, and why */
} Removal;

static void G_GNUC_PRINTF (2, 3) complain (Removal *removal, const char *format, ...)
{
  va_list args;
  va_start (args, format);
  g_ptr_array_add (removal->problems, g_strdup_vprintf (format, args));
  va_end (args);
}

/* ---- files ---- */

/* Opens the folder @name below @dir_fd, never through a link, never on another mount. */
static int
open_folder (int dir_fd, const char *name)
{
  struct open_how how = { .flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW,
                          .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV };
  return (int) syscall (SYS_openat2, dir_fd, name, &how, sizeof how);
}

static void remove_content (Removal *removal, int fd, const char *path, const char *keep, guint depth);

static void
remove_entry (Removal *removal, int dir_fd, const char *path, const char *name, guint depth)
{
  struct stat info;
  g_autofree char *below = g_build_filename (path, name, NULL);
  if (fstatat (dir_fd, name, &info, AT_SYMLINK_NOFOLLOW) != 0)
    {
      if (errno != ENOENT)
        complain (removal, "%s: %s", below, g_strerror (errno));
      return;
    }
  if (S_ISDIR (info.st_mode))
    {
      int fd = depth < MAX_DEPTH ? open_folder (dir_fd, name) : (errno = ENAMETOOLONG, -1);
      if (fd < 0)
        {
          complain (removal, "%s: %s", below, errno == EXDEV ? "something is mounted there" : g_strerror (errno));
          return;
        }
      remove_content (removal, fd, below, NULL, depth + 1);
    }
  if (unlinkat (dir_fd, name, S_ISDIR (info.st_mode) ? AT_REMOVEDIR : 0) != 0 && errno != ENOENT && errno != ENOTEMPTY)
    complain (removal, "%s: %s", below, g_strerror (errno));
}

/* Takes @fd. Removes all below it, except an entry called @keep. */
static void
remove_content (Removal *removal, int fd, const char *path, const char *keep, guint depth)
{
  DIR *dir = fdopendir (fd);
  struct dirent *entry;
  if (dir == NULL)
    {
      complain (removal, "%s: %s", path, g_strerror (errno));
      close (fd);
      return;
    }
  while ((entry = readdir (dir)) != NULL)
    if (!g_str_equal (entry->d_name, ".") && !g_str_equal (entry->d_name, "..") && g_strcmp0 (entry->d_name, keep) != 0)
      remove_entry (removal, fd, path, entry->d_name, depth);
  closedir (dir);
}

static void
remove_run_dir (Removal *removal)
{
  struct stat info;
  int fd = open (removal->run_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0)
    {
      if (errno != ENOENT)
        complain (removal, "%s: %s", removal->run_dir, g_strerror (errno));
      return;
    }
  if (fstat (fd, &info) != 0 || info.st_uid != geteuid ())
    {
      complain (removal, "%s: owned by user %u, expected %u", removal->run_dir, info.st_uid, geteuid ());
      close (fd);
      return;
    }
  remove_content (removal, fd, removal->run_dir, NULL, 0);
  if (rmdir (removal->run_dir) != 0)
    complain (removal, "%s: %s", removal->run_dir, g_strerror (errno));
}

/* Results of CNI calls are files called NETWORK-CONTAINER-INTERFACE. */
static void
remove_cni_results (Removal *removal)
{
  g_autofree char *prefix = g_strconcat (removal->network, "-", NULL);
  g_autoptr (GDir) dir = g_dir_open (CNI_RESULTS, 0, NULL);
  const char *name;
  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *path = g_build_filename (CNI_RESULTS, name, NULL);
      if (g_str_has_prefix (name, prefix) && unlink (path) != 0 && errno != ENOENT)
        complain (removal, "%s: %s", path, g_strerror (errno));
    }
  rmdir (CNI_RESULTS); /* when empty; the next CNI call makes it anew */
}

/* The lock goes last and is held until then: a second `uninstall` can finish what this one could not, an `up` cannot come between. */
static void
remove_data_dir (Removal *removal)
{
  int fd = open (removal->real_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0)
    {
      complain (removal, "%s: %s", removal->real_dir, g_strerror (errno));
      return;
    }
  int top_fd = fcntl (fd, F_DUPFD_CLOEXEC, 3);
  guint n_before = removal->problems->len;
  remove_content (removal, fd, removal->real_dir, LOCK_NAME, 0);
  if (removal->problems->len == n_before && unlinkat (top_fd, LOCK_NAME, 0) == 0)
    {
      if (rmdir (removal->real_dir) != 0)
        complain (removal, "%s: %s", removal->real_dir, g_strerror (errno));
      else if (!g_str_equal (removal->real_dir, removal->data_dir))
        unlink (removal->data_dir); /* when a link itself, a dangling one now */
    }
  close (top_fd);
}

/* ---- mounts and network ---- */

static void
unmount_below (Removal *removal, const char *dir)
{
  g_autofree char *text = NULL;
  g_autofree char *prefix = g_strconcat (dir, "/", NULL);
  if (!g_file_get_contents ("/proc/self/mountinfo", &text, NULL, NULL))
    return;
  g_auto (GStrv) lines = g_strsplit (text, "\n", -1);
  for (guint i = g_strv_length (lines); i-- > 0;) /* innermost last in the file */
    {
      g_auto (GStrv) words = g_strsplit (lines[i], " ", 6);
      g_autofree char *point = g_strv_length (words) > 4 ? g_strcompress (words[4]) : g_strdup ("");
      if (g_str_has_prefix (point, prefix) && umount2 (point, MNT_DETACH | UMOUNT_NOFOLLOW) != 0 && errno != EINVAL)
        complain (removal, "unmount %s: %s", point, g_strerror (errno));
    }
}

static void
remove_bridge (Removal *removal)
{
  struct ifreq request = { 0 };
  int fd = socket (AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0 || if_nametoindex (removal->network) == 0)
    {
      if (fd >= 0)
        close (fd);
      return;
    }
  g_strlcpy (request.ifr_name, removal->network, sizeof request.ifr_name);
  if (ioctl (fd, SIOCSIFFLAGS, &request) != 0 || ioctl (fd, SIOCBRDELBR, removal->network) != 0)
    complain (removal, "link %s: %s", removal->network, g_strerror (errno));
  close (fd);
}

static void
remove_rules (Removal *removal)
{
  g_autofree char *digest = g_compute_checksum_for_string (G_CHECKSUM_SHA256, removal->data_dir, -1);
  g_autofree char *path = g_find_program_in_path ("nft");
  g_autofree char *complaint = NULL;
  g_autoptr (GError) error = NULL;
  digest[12] = '\0';
  if (path == NULL)
    {
      complain (removal, "packet rules \"table ip cube-%s\": the program nft is not there", digest);
      return;
    }
  /* Made first, so that one that is gone is no error. */
  g_autofree char *script = g_strdup_printf ("add table ip cube-%s\ndelete table ip cube-%s\n", digest, digest);
  const char *const args[] = { path, "-f", "-", NULL };
  g_autoptr (GSubprocess) nft =
      g_subprocess_newv (args, G_SUBPROCESS_FLAGS_STDIN_PIPE | G_SUBPROCESS_FLAGS_STDOUT_SILENCE | G_SUBPROCESS_FLAGS_STDERR_PIPE, &error);
  if (nft == NULL || !g_subprocess_communicate_utf8 (nft, script, NULL, NULL, &complaint, &error))
    complain (removal, "packet rules: %s", error->message);
  else if (!g_subprocess_get_successful (nft))
    complain (removal, "packet rules: nft: %s", g_strchomp (complaint));
}

/* ---- the command ---- */

static gboolean
is_below_or_same (const char *path, const char *dir)
{
  gsize length = strlen (dir);
  return g_str_equal (dir, "/") || (g_str_has_prefix (path, dir) && (path[length] == '/' || path[length] == '\0'));
}

/* A folder that `up` made, and none that holds a home or this program. */
static gboolean
check_folder (const Removal *removal)
{
  struct stat info;
  g_autofree char *lock = g_build_filename (removal->data_dir, LOCK_NAME, NULL);
  g_autofree char *self = g_file_read_link ("/proc/self/exe", NULL);
  if (removal->real_dir == NULL)
    g_printerr ("cube uninstall: %s: %s\n", removal->data_dir, g_strerror (errno));
  else if (lstat (lock, &info) != 0 || !S_ISREG (info.st_mode))
    g_printerr ("cube uninstall: %s is no data directory of a cluster (found no file %s in it); nothing was removed\n", removal->data_dir,
                LOCK_NAME);
  else if (info.st_uid != geteuid () && geteuid () != 0)
    g_printerr ("cube uninstall: the cluster in %s is of user %u: run it as that user\n", removal->data_dir, info.st_uid);
  else if (is_below_or_same (g_get_home_dir (), removal->real_dir) || (self != NULL && is_below_or_same (self, removal->real_dir)))
    g_printerr ("cube uninstall: %s also holds a home directory or this program; nothing was removed\n", removal->data_dir);
  else
    return TRUE;
  return FALSE;
}

static gboolean
confirm (const char *data_dir)
{
  char answer[16] = "";
  if (isatty (STDIN_FILENO) != 1 || !cube_cli_is_terminal ())
    {
      g_printerr ("cube uninstall: removes the cluster in %s with all its data; say --yes to do it without being asked\n", data_dir);
      return FALSE;
    }
  printf ("Remove the cluster in ");
  cube_cli_print_safe (data_dir);
  printf (" with all its data? Type yes: ");
  fflush (stdout);
  if (fgets (answer, sizeof answer, stdin) != NULL && g_str_equal (g_strstrip (answer), "yes"))
    return TRUE;
  g_printerr ("cube uninstall: nothing was removed\n");
  return FALSE;
}

/* Did the cluster have containers and a network? When nothing says otherwise, as root, yes. */
static gboolean
had_network (const CubeOptions *options)
{
  CubeOptions last;
  cube_options_init (&last);
  last.data_dir = g_strdup (options->data_dir);
  gboolean is_known = cube_state_read (&last, NULL);
  gboolean had = geteuid () == 0 && (!is_known || g_strcmp0 (last.runtime, "cri") == 0);
  cube_options_clear (&last);
  return had;
}

/* `cube down` as a process of its own: nothing is removed by a process that just ran plugins, and only after one that ended well. */
static gboolean
run_down (const char *data_dir)
{
  const char *const args[] = { "/proc/self/exe", "down", "--data-dir", data_dir, NULL };
  g_autoptr (GError) error = NULL;
  gint64 deadline = g_get_monotonic_time () + DOWN_TIMEOUT_S * G_USEC_PER_SEC;
  GPid pid;
  pid_t ended;
  int status = 0;
  fflush (stdout);
  if (!g_spawn_async (NULL, (char **) args, NULL, G_SPAWN_DO_NOT_REAP_CHILD, NULL, NULL, &pid, &error))
    {
      g_printerr ("cube uninstall: %s; nothing was removed\n", error->message);
      return FALSE;
    }
  while ((ended = waitpid (pid, &status, WNOHANG)) == 0 && g_get_monotonic_time () < deadline)
    g_usleep (20 * 1000);
  if (ended == 0)
    {
      kill (pid, SIGKILL);
      waitpid (pid, &status, 0);
      g_printerr ("cube uninstall: cube down did not end within %d s; nothing was removed, try again\n", DOWN_TIMEOUT_S);
      return FALSE;
    }
  if (ended == pid && g_spawn_check_wait_status (status, &error))
    return TRUE;
  g_printerr ("cube uninstall: cube down: %s; nothing was removed, try again\n", error != NULL ? error->message : g_strerror (errno));
  return FALSE;
}

static int
remove_all (Removal *removal, gboolean has_network)
{
  g_autofree char *path = g_build_filename (removal->real_dir, LOCK_NAME, NULL);
  int lock_fd = open (path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
  if (lock_fd < 0 || flock (lock_fd, LOCK_EX | LOCK_NB) != 0)
    {
      g_printerr ("cube uninstall: %s: %s\n", path, errno == EWOULDBLOCK ? "a cluster started there meanwhile" : g_strerror (errno));
      if (lock_fd >= 0)
        close (lock_fd);
      return 1;
    }
  if (has_network)
    {
      remove_bridge (removal);
      remove_rules (removal);
      remove_cni_results (removal);
      unmount_below (removal, removal->run_dir);
      unmount_below (removal, removal->real_dir);
      remove_run_dir (removal);
    }
  remove_data_dir (removal);
  close (lock_fd);
  for (guint i = 0; i < removal->problems->len; i++)
    g_printerr ("cube uninstall: %s\n", (const char *) g_ptr_array_index (removal->problems, i));
  if (removal->problems->len > 0)
    return 1;
  printf ("The cluster in %s is removed.\n", removal->data_dir);
  return 0;
}

int
cube_command_uninstall (int argc, char **argv, const CubeCommandContext *context)
{
  g_auto (CubeArguments) arguments;
  int status;
  if (!cube_cli_parse_complete (argc, argv, context, &arguments, &status))
    return status;
  const char *data_dir = arguments.options.data_dir;
  guint32 hash = cube_hash_fnv32a (data_dir, strlen (data_dir), 0);
  g_autofree char *real_dir = realpath (data_dir, NULL);
  g_autofree char *network = g_strdup_printf ("cube%08x", hash), *run_dir = g_strdup_printf ("/run/cube-%08x", hash);
  g_autoptr (GPtrArray) problems = g_ptr_array_new_with_free_func (g_free);
  Removal removal = { data_dir, real_dir, network, run_dir, problems };
  if (!check_folder (&removal))
    return 1;
  if (!arguments.is_yes && !confirm (data_dir))
    return 2;
  gboolean has_network = had_network (&arguments.options);
  return run_down (data_dir) ? remove_all (&removal, has_network) : 1;
}

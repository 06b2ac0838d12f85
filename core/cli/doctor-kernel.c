/* SPDX-License-Identifier: Apache-2.0 */
/* What the kernel can do: tried in a child with namespaces of its own rather than guessed from its version. */
#include "doctor.h"
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <gio/gio.h>
#include <glib/gstdio.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#define NAMESPACES (CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWPID | CLONE_NEWUTS | CLONE_NEWIPC)
#define MIN_KERNEL 51000
#define MIN_OPEN_FILES 10240

static gboolean
needs_root (const Doctor *doctor, Finding *finding)
{
  if (doctor->is_root)
    return FALSE;
  doctor_bad (finding, DOCTOR_WARNING, "run cube doctor as root to have it tried", "not tried: needs root");
  return TRUE;
}

static gint64
read_number (const char *path, gint64 fallback)
{
  g_autofree char *text = NULL;
  return g_file_get_contents (path, &text, NULL, NULL) ? g_ascii_strtoll (text, NULL, 10) : fallback;
}

/* ---- version, namespaces, overlayfs ---- */

void
doctor_check_kernel (Doctor *doctor, Finding *finding)
{
  struct utsname name;
  uname (&name);
  if (doctor_version (name.release, "") >= MIN_KERNEL)
    doctor_ok (finding, "%s %s", name.sysname, name.release);
  else
    doctor_bad (finding, DOCTOR_PROBLEM, "apt-get install linux-image-amd64, then restart the machine", "%s %s", name.sysname,
                name.release);
}

static const char *
nothing (gpointer data)
{
  return NULL;
}

void
doctor_check_namespaces (Doctor *doctor, Finding *finding)
{
  if (needs_root (doctor, finding))
    return;
  g_autofree char *why = doctor_try (NAMESPACES, nothing, NULL);
  if (why == NULL)
    doctor_ok (finding, "all of them");
  else
    doctor_bad (
        finding, DOCTOR_PROBLEM,
        "inside a container, start that one privileged; else a kernel with CONFIG_NAMESPACES and its *_NS options: apt-get install linux-image-amd64",
        "cannot be made: %s", why);
}

void
doctor_check_root_folder (Doctor *doctor, Finding *finding)
{
  struct statx root;
  if (statx (AT_FDCWD, "/", 0, STATX_BASIC_STATS, &root) != 0 || (root.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT) == 0)
    doctor_ok (finding, "not known to this kernel");
  else if ((root.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0)
    doctor_ok (finding, "a mount point");
  else
    doctor_bad (finding, DOCTOR_PROBLEM, "leave the chroot; mount --bind DIR DIR; chroot DIR",
                "/ is no mount point (a chroot?): runc cannot start containers");
}

/* @data: a folder with lower, upper, work and merged in it. Where "/" is no mount (a chroot) it cannot be made private, and nothing may stay. */
static const char *
mount_overlay (gpointer data)
{
  g_autofree char *options = g_strdup_printf ("lowerdir=%1$s/lower,upperdir=%1$s/upper,workdir=%1$s/work", (const char *) data);
  g_autofree char *merged = g_build_filename (data, "merged", NULL);
  if ((mount (NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 && errno != EINVAL) || mount ("overlay", merged, "overlay", 0, options) != 0)
    return g_strerror (errno);
  umount2 (merged, MNT_DETACH);
  return NULL;
}

static int
remove_one (const char *path, const struct stat *info, int type, struct FTW *at)
{
  return remove (path);
}

void
doctor_check_overlay (Doctor *doctor, Finding *finding)
{
  static const char *const names[] = { "lower", "upper", "work", "merged" };
  if (needs_root (doctor, finding))
    return;
  g_autofree char *above = doctor_existing_dir (doctor);
  g_autofree char *dir = g_build_filename (above, ".cube-doctor-XXXXXX", NULL);
  if (g_mkdtemp_full (dir, 0700) == NULL)
    {
      doctor_bad (finding, DOCTOR_PROBLEM, "choose a --data-dir that can be written to", "%s: %s", above, g_strerror (errno));
      return;
    }
  for (guint i = 0; i < G_N_ELEMENTS (names); i++)
    {
      g_autofree char *path = g_build_filename (dir, names[i], NULL);
      g_mkdir (path, 0700);
    }
  g_autofree char *why = doctor_try (CLONE_NEWNS, mount_overlay, dir);
  nftw (dir, remove_one, 8, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
  if (why == NULL)
    doctor_ok (finding, "works in %s", above);
  else
    doctor_bad (finding, DOCTOR_PROBLEM,
                "modprobe overlay; when that is loaded, choose a --data-dir on ext4 or xfs (not on overlayfs, NFS or eCryptfs)",
                "cannot be mounted with its upper folder in %s: %s", above, why);
}

/* ---- network ---- */

typedef struct {
  struct nlmsghdr header;
  struct ifinfomsg info;
  char attributes[256];
} LinkRequest;

static struct rtattr *
add_attribute (LinkRequest *request, int type, const void *data, gsize length)
{
  struct rtattr *attribute = (struct rtattr *) (void *) ((char *) request + NLMSG_ALIGN (request->header.nlmsg_len));
  attribute->rta_type = (unsigned short) type;
  attribute->rta_len = (unsigned short) RTA_LENGTH (length);
  if (length > 0)
    memcpy (RTA_DATA (attribute), data, length);
  request->header.nlmsg_len = NLMSG_ALIGN (request->header.nlmsg_len) + RTA_ALIGN (attribute->rta_len);
  return attribute;
}

static void
close_attribute (LinkRequest *request, struct rtattr *attribute)
{
  attribute->rta_len = (unsigned short) ((char *) request + request->header.nlmsg_len - (char *) attribute);
}

/* @data: the kind of link to make. */
static const char *
make_link (gpointer data)
{
  const char *kind = data;
  LinkRequest request = { .header = { NLMSG_LENGTH (sizeof (struct ifinfomsg)), RTM_NEWLINK,
                                      NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, 1, 0 } };
  struct {
    struct nlmsghdr header;
    struct nlmsgerr error;
    char rest[512];
  } answer;
  guint32 vni = 1;
  add_attribute (&request, IFLA_IFNAME, "trial", sizeof "trial");
  struct rtattr *info = add_attribute (&request, IFLA_LINKINFO, NULL, 0);
  add_attribute (&request, IFLA_INFO_KIND, kind, strlen (kind));
  if (g_str_equal (kind, "vxlan"))
    {
      struct rtattr *details = add_attribute (&request, IFLA_INFO_DATA, NULL, 0);
      add_attribute (&request, IFLA_VXLAN_ID, &vni, sizeof vni);
      close_attribute (&request, details);
    }
  close_attribute (&request, info);
  int fd = socket (AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
  if (fd < 0 || send (fd, &request, request.header.nlmsg_len, 0) < 0
      || recv (fd, &answer, sizeof answer, 0) < (ssize_t) NLMSG_LENGTH (sizeof (int)))
    return g_strerror (errno);
  return answer.header.nlmsg_type == NLMSG_ERROR && answer.error.error != 0 ? g_strerror (-answer.error.error) : NULL;
}

void
doctor_check_links (Doctor *doctor, Finding *finding)
{
  static const char *const kinds[] = { "veth", "bridge", "vxlan" }; /* the last one at most between machines */
  if (needs_root (doctor, finding))
    return;
  for (guint i = 0; i < G_N_ELEMENTS (kinds); i++)
    {
      g_autofree char *why = doctor_try (CLONE_NEWNET, make_link, (gpointer) kinds[i]);
      if (why == NULL)
        continue;
      g_autofree char *remedy = g_strdup_printf ("modprobe %s; when there is no such module: apt-get install linux-image-amd64", kinds[i]);
      doctor_bad (finding, i < 2 ? DOCTOR_PROBLEM : DOCTOR_WARNING, remedy, "a link of kind %s cannot be made: %s%s", kinds[i], why,
                  i < 2 ? "" : "; one machine does without");
      return;
    }
  doctor_ok (finding, "veth, bridge, vxlan");
}

/* @data: the path of nft. What the service proxy and portmap use, in a network of its own. */
static const char *
make_rules (gpointer data)
{
  static const char script[] = "add table ip t\nadd map ip t m { type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service; }\n"
                               "add chain ip t pre { type nat hook prerouting priority -100; }\n"
                               "add rule ip t pre dnat ip to ip daddr . meta l4proto . th dport map @m\n"
                               "add chain ip t post { type nat hook postrouting priority 100; }\nadd rule ip t post masquerade\n";
  static char text[512];
  int in[2], out[2], status;
  ssize_t n = 0;
  if (pipe2 (in, O_CLOEXEC) != 0 || pipe2 (out, O_CLOEXEC) != 0 || write (in[1], script, sizeof script - 1) < 0)
    return g_strerror (errno);
  close (in[1]);
  pid_t pid = fork ();
  if (pid == 0)
    {
      dup2 (in[0], STDIN_FILENO);
      dup2 (out[1], STDERR_FILENO);
      execl (data, "nft", "-f", "-", NULL);
      _exit (127);
    }
  close (out[1]);
  n = read (out[0], text, sizeof text - 1);
  text[MAX (n, 0)] = '\0';
  if (pid < 0 || waitpid (pid, &status, 0) != pid)
    return g_strerror (errno);
  text[strcspn (text, "\n")] = '\0';
  return status == 0 ? NULL : *text != '\0' ? text : "nft failed";
}

void
doctor_check_packet_rules (Doctor *doctor, Finding *finding)
{
  g_autofree char *nft = doctor_find_program ("nft");
  if (nft == NULL)
    {
      doctor_bad (finding, DOCTOR_PROBLEM, "apt-get install nftables", "the program nft is not there");
      return;
    }
  if (needs_root (doctor, finding))
    return;
  g_autofree char *why = doctor_try (CLONE_NEWNET, make_rules, nft);
  if (why == NULL)
    doctor_ok (finding, "a table with maps and address translation was made and is gone");
  else
    doctor_bad (finding, DOCTOR_PROBLEM,
                "modprobe nf_tables nft_nat nft_masq; when there are no such modules: apt-get install linux-image-amd64", "%s", why);
}

void
doctor_check_forwarding (Doctor *doctor, Finding *finding)
{
  static const char path[] = "/proc/sys/net/ipv4/ip_forward";
  if (read_number (path, 0) == 1)
    doctor_ok (finding, "net.ipv4.ip_forward is 1");
  else if (access (path, W_OK) == 0)
    doctor_ok (finding, "net.ipv4.ip_forward is 0; cube up sets it to 1");
  else
    doctor_bad (finding, doctor->is_root ? DOCTOR_PROBLEM : DOCTOR_WARNING,
                "sysctl -w net.ipv4.ip_forward=1, on the host when this is a container", "net.ipv4.ip_forward is 0 and cannot be written");
}

void
doctor_check_bridge_filter (Doctor *doctor, Finding *finding)
{
  static const char path[] = "/proc/sys/net/bridge/bridge-nf-call-iptables";
  gint64 value = read_number (path, -1);
  if (value == 1)
    doctor_ok (finding, "net.bridge.bridge-nf-call-iptables is 1");
  else if (value == 0 && access (path, W_OK) == 0)
    doctor_ok (finding, "net.bridge.bridge-nf-call-iptables is 0; cube up sets it to 1");
  else
    doctor_bad (finding, DOCTOR_WARNING,
                "modprobe br_netfilter; to have it after each start: echo br_netfilter > /etc/modules-load.d/cube.conf",
                "%s; a pod that calls a Service sees its own node as the caller",
                value < 0 ? "the module br_netfilter is not loaded" : "net.bridge.bridge-nf-call-iptables is 0 and cannot be written");
}

/* ---- cgroups ---- */

/* The folder a controller's groups are made in, from /proc/self/mountinfo: of version 1 by its name, of version 2 with @controller NULL. (transfer full) */
static char *
cgroup_mount (const char *mountinfo, const char *controller)
{
  g_auto (GStrv) lines = g_strsplit (mountinfo, "\n", -1);
  for (guint i = 0; lines[i] != NULL; i++)
    {
      const char *type = strstr (lines[i], controller != NULL ? " - cgroup " : " - cgroup2 ");
      g_auto (GStrv) words = g_strsplit (lines[i], " ", 6);
      const char *super = type != NULL ? strrchr (type, ' ') + 1 : "";
      g_auto (GStrv) names = g_strsplit (super, ",", -1);
      if (type != NULL && g_strv_length (words) > 4 && (controller == NULL || g_strv_contains ((const char *const *) names, controller)))
        return g_strcompress (words[4]);
    }
  return NULL;
}

/* Makes a group and removes it. */
static gboolean
can_make_group (const char *folder, char **ret_why)
{
  g_autofree char *path = g_strdup_printf ("%s/cube-doctor-%d", folder, getpid ());
  if (mkdir (path, 0755) == 0 && rmdir (path) == 0)
    return TRUE;
  *ret_why = g_strdup_printf ("%s cannot be written: %s", folder, g_strerror (errno));
  return FALSE;
}

static void
check_cgroups (Doctor *doctor, const char *mountinfo, const char *unified, const char *listed, Finding *finding)
{
  static const char *const needed[] = { "cpu", "cpuset", "memory", "pids" };
  g_autoptr (GString) missing = g_string_new (NULL);
  g_autofree char *why = NULL, *folder = NULL;
  g_auto (GStrv) words = g_strsplit_set (listed, " \n", -1);
  guint n_unified = 0;
  for (guint i = 0; i < G_N_ELEMENTS (needed); i++)
    {
      g_autofree char *own = cgroup_mount (mountinfo, needed[i]);
      gboolean is_unified = g_strv_contains ((const char *const *) words, needed[i]);
      n_unified += is_unified;
      if (own == NULL && !is_unified)
        g_string_append_printf (missing, "%s%s", missing->len > 0 ? ", " : "", needed[i]);
      if (own != NULL && folder == NULL)
        folder = g_steal_pointer (&own);
    }
  const char *version = n_unified == G_N_ELEMENTS (needed) ? "version 2" : unified != NULL ? "hybrid (versions 1 and 2)" : "version 1";
  if (missing->len > 0)
    doctor_bad (
        finding, DOCTOR_PROBLEM,
        "add cgroup_enable=memory to the kernel's command line (GRUB_CMDLINE_LINUX in /etc/default/grub, then update-grub), restart the machine",
        "%s, without the controllers %s", version, missing->str);
  else if (doctor->is_root && !can_make_group (n_unified == G_N_ELEMENTS (needed) ? unified : folder, &why))
    doctor_bad (finding, DOCTOR_PROBLEM, "inside a container, start that one privileged, with /sys/fs/cgroup writable", "%s", why);
  else
    doctor_ok (finding, "%s with cpu, cpuset, memory, pids", version);
}

void
doctor_check_cgroups (Doctor *doctor, Finding *finding)
{
  g_autofree char *mountinfo = NULL, *listed = NULL;
  if (!g_file_get_contents ("/proc/self/mountinfo", &mountinfo, NULL, NULL))
    mountinfo = g_strdup ("");
  g_autofree char *unified = cgroup_mount (mountinfo, NULL);
  g_autofree char *path = unified != NULL ? g_build_filename (unified, "cgroup.controllers", NULL) : NULL;
  if (path == NULL || !g_file_get_contents (path, &listed, NULL, NULL))
    listed = g_strdup ("");
  if (unified == NULL && strstr (mountinfo, " - cgroup ") == NULL)
    doctor_bad (finding, DOCTOR_PROBLEM, "mount -t cgroup2 none /sys/fs/cgroup", "not mounted");
  else
    check_cgroups (doctor, mountinfo, unified, listed, finding);
}

/* ---- limits ---- */

void
doctor_check_inotify (Doctor *doctor, Finding *finding)
{
  gint64 instances = read_number ("/proc/sys/fs/inotify/max_user_instances", 0),
         watches = read_number ("/proc/sys/fs/inotify/max_user_watches", 0);
  if (instances >= 128 && watches >= 8192)
    doctor_ok (finding, "%" G_GINT64_FORMAT " instances, %" G_GINT64_FORMAT " watches", instances, watches);
  else
    doctor_bad (finding, DOCTOR_WARNING, "sysctl -w fs.inotify.max_user_instances=512 fs.inotify.max_user_watches=65536",
                "%" G_GINT64_FORMAT " instances, %" G_GINT64_FORMAT " watches", instances, watches);
}

void
doctor_check_open_files (Doctor *doctor, Finding *finding)
{
  struct rlimit limit;
  getrlimit (RLIMIT_NOFILE, &limit);
  if (limit.rlim_cur >= MIN_OPEN_FILES)
    doctor_ok (finding, "%" G_GUINT64_FORMAT " a process", (guint64) limit.rlim_cur);
  else
    doctor_bad (finding, DOCTOR_WARNING,
                limit.rlim_max >= MIN_OPEN_FILES ? "ulimit -n 10240, in the shell that starts cube" : "as root: ulimit -n 10240",
                "%" G_GUINT64_FORMAT " a process, of at most %" G_GUINT64_FORMAT "; many clients at once may be refused",
                (guint64) limit.rlim_cur, (guint64) limit.rlim_max);
}

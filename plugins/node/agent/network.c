/* SPDX-License-Identifier: Apache-2.0 */
/* The pods' network on this node: one bridge, configured for CNI's bridge, host-local and portmap plugins. */
#include "agent.h"
#include "hostaddress.h"
#include <errno.h>
#include <gio/gio.h>
#include <glib/gstdio.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONFIGURATION_NAME "10-cube.conflist"

static char *
configuration_dir (NodeAgent *agent)
{
  char *dir = cube_context_fact (agent->context, "cni-conf-dir");
  return dir != NULL ? dir : g_build_filename (cube_context_data_dir (agent->context), "containerd", "cni", "net.d", NULL);
}

/* The MTU of the link the node's address is on; 0 = unknown. */
static int
link_mtu (void)
{
  g_autofree char *routes = NULL;
  struct ifreq request = { 0 };
  int mtu = 0;
  if (!g_file_get_contents ("/proc/net/route", &routes, NULL, NULL))
    return 0;
  g_auto (GStrv) lines = g_strsplit (routes, "\n", -1);
  for (guint i = 1; lines[0] != NULL && lines[i] != NULL && *request.ifr_name == '\0'; i++)
    {
      g_auto (GStrv) fields = g_strsplit (lines[i], "\t", 3);
      if (g_strv_length (fields) == 3 && g_str_equal (fields[1], "00000000"))
        g_strlcpy (request.ifr_name, fields[0], sizeof request.ifr_name);
    }
  int fd = *request.ifr_name != '\0' ? socket (AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0) : -1;
  if (fd < 0)
    return 0;
  if (ioctl (fd, SIOCGIFMTU, &request) == 0)
    mtu = request.ifr_mtu;
  close (fd);
  return mtu;
}

static CubeValue *
configuration (NodeAgent *agent, const char *pod_cidr)
{
  g_autoptr (CubeBuilder) builder = cube_builder_new ();
  CubeMut *root = cube_builder_root (builder);
  g_autofree char *name = cube_host_link_name (agent->context, "cube");
  g_autofree char *state_dir = g_build_filename (cube_context_data_dir (agent->context), "cni", NULL);
  int mtu = link_mtu ();
  cube_mut_set_string (root, "cniVersion", "0.4.0");
  cube_mut_set_string (root, "name", name);
  CubeMut *plugins = cube_mut_set_array (root, "plugins");
  CubeMut *bridge = cube_mut_append_object (plugins);
  cube_mut_set_string (bridge, "type", "bridge");
  cube_mut_set_string (bridge, "bridge", name);
  cube_mut_set_bool (bridge, "isGateway", TRUE);
  cube_mut_set_bool (bridge, "hairpinMode", TRUE);
  cube_mut_set_bool (bridge, "ipMasq", FALSE);
  if (mtu > 0)
    cube_mut_set_int (bridge, "mtu", mtu);
  CubeMut *ipam = cube_mut_set_object (bridge, "ipam");
  cube_mut_set_string (ipam, "type", "host-local");
  cube_mut_set_string (ipam, "dataDir", state_dir);
  CubeMut *ranges = cube_mut_set_array (ipam, "ranges");
  CubeMut *range = cube_mut_new_array (builder);
  cube_mut_append (ranges, range);
  cube_mut_set_string (cube_mut_append_object (range), "subnet", pod_cidr);
  cube_mut_set_string (cube_mut_append_object (cube_mut_set_array (ipam, "routes")), "dst",
                       strchr (pod_cidr, ':') != NULL ? "::/0" : "0.0.0.0/0");
  CubeMut *portmap = cube_mut_append_object (plugins);
  cube_mut_set_string (portmap, "type", "portmap");
  cube_mut_set_bool (cube_mut_set_object (portmap, "capabilities"), "portMappings", TRUE);
  cube_mut_set_bool (portmap, "snat", TRUE);
  return cube_builder_end (builder);
}

/* "10.244.0.0/24": an address, a slash, a length; never anything that could mean more inside a configuration. */
static gboolean
check_cidr (const char *cidr, GError **error)
{
  g_auto (GStrv) parts = g_strsplit (cidr, "/", 2);
  g_autoptr (GInetAddressMask) mask = g_strv_length (parts) == 2 ? g_inet_address_mask_new_from_string (cidr, NULL) : NULL;
  if (mask != NULL)
    return TRUE;
  g_set_error (error, CUBE_ERROR, CUBE_ERROR_INVALID, "node's podCIDR \"%s\", expected an address range such as 10.244.0.0/24", cidr);
  return FALSE;
}

gboolean
node_network_configure (NodeAgent *agent, const char *pod_cidr, GError **error)
{
  g_auto (NodeRuntime) runtime = { 0 };
  g_autofree char *dir = configuration_dir (agent);
  g_autofree char *path = g_build_filename (dir, CONFIGURATION_NAME, NULL);
  g_autofree char *name = cube_host_link_name (agent->context, "cube");
  g_autofree char *there = NULL;
  if (!check_cidr (pod_cidr, error))
    return FALSE;
  g_autoptr (CubeValue) wanted = configuration (agent, pod_cidr);
  g_autofree char *text = cube_view_to_json (cube_value_root (wanted), NULL);
  cube_context_set_fact (agent->context, "bridge", name);
  cube_context_set_fact (agent->context, "pod-cidr", pod_cidr);
  if ((!g_file_get_contents (path, &there, NULL, NULL) || !g_str_equal (there, text)) && !node_files_write (path, text, -1, 0644, error))
    return FALSE;
  if (node_runtime_open (agent, &runtime, NULL) && CUBE_OPS_HAS (runtime.ops, set_pod_cidr))
    {
      g_autoptr (GError) problem = NULL;
      if (!runtime.ops->set_pod_cidr (runtime.state, pod_cidr, &problem))
        g_debug ("the runtime does not take the pod range: %s", problem->message);
    }
  return TRUE;
}

static void
delete_link (const char *name)
{
  struct {
    struct nlmsghdr header;
    struct ifinfomsg info;
  } request = {
    .header = { sizeof request, RTM_DELLINK, NLM_F_REQUEST | NLM_F_ACK, 1, 0 },
    .info = { .ifi_family = AF_UNSPEC, .ifi_index = (int) if_nametoindex (name) },
  };
  struct {
    struct nlmsghdr header;
    struct nlmsgerr error;
    char more[256];
  } answer = { 0 };
  if (request.info.ifi_index == 0)
    return;
  int fd = socket (AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
  if (fd < 0)
    return;
  if (send (fd, &request, sizeof request, 0) < 0 || recv (fd, &answer, sizeof answer, 0) < 0)
    g_warning ("link %s: %s", name, g_strerror (errno));
  else if (answer.header.nlmsg_type == NLMSG_ERROR && answer.error.error != 0)
    g_warning ("link %s: %s", name, g_strerror (-answer.error.error));
  close (fd);
}

void
node_network_remove (NodeAgent *agent)
{
  g_autofree char *dir = configuration_dir (agent);
  g_autofree char *path = g_build_filename (dir, CONFIGURATION_NAME, NULL);
  g_autofree char *name = cube_host_link_name (agent->context, "cube");
  g_autofree char *state_dir = g_build_filename (cube_context_data_dir (agent->context), "cni", NULL);
  g_autoptr (GError) error = NULL;
  unlink (path);
  delete_link (name);
  if (!node_files_remove_tree (state_dir, &error))
    g_warning ("%s", error->message);
}

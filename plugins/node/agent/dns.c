/* SPDX-License-Identifier: Apache-2.0 */
/* Names: a pod's host name, its /etc/hosts, its resolver. */
#include "agent.h"
#include <string.h>

#define MAX_SERVERS 3
#define MAX_SEARCHES 32
#define MAX_SEARCH_BYTES 2048

char *
node_dns_hostname (CubeView pod, char **ret_domain, const char *cluster_domain)
{
  const char *override = cube_view_get_string (pod, "spec", "hostnameOverride"), *own = cube_view_get_string (pod, "spec", "hostname");
  const char *subdomain = cube_view_get_string (pod, "spec", "subdomain");
  const char *name = override != NULL && *override != '\0' ? override
                     : own != NULL && *own != '\0'         ? own
                                                           : cube_view_string_or (cube_view_get (pod, "metadata", "name"), "");
  char *result = g_strndup (name, 63);
  for (gsize length = strlen (result); length > 0 && strchr ("-.", result[length - 1]) != NULL; length--)
    result[length - 1] = '\0';
  *ret_domain = subdomain != NULL && *subdomain != '\0' && (override == NULL || *override == '\0') ? g_strdup_printf (
                    "%s.%s.svc.%s", subdomain, cube_view_string_or (cube_view_get (pod, "metadata", "namespace"), ""), cluster_domain)
                                                                                                   : NULL;
  return result;
}

/* ---- /etc/hosts ---- */

gboolean
node_dns_write_hosts (NodeJob *job, GError **error)
{
  g_autoptr (GString) text = g_string_new (NULL);
  g_autofree char *domain = NULL;
  g_autofree char *host = node_dns_hostname (cube_value_root (job->value), &domain, job->agent->cluster_domain);
  g_autofree char *pod_dir = node_files_pod_dir (job->agent, job->pod->uid);
  g_autofree char *path = g_build_filename (pod_dir, "etc-hosts", NULL);
  g_autofree char *theirs = NULL;
  CubeIter it, names;
  CubeView alias, name, aliases = cube_view_member (job->spec, "hostAliases");
  if (cube_view_get_bool (job->spec, FALSE, "hostNetwork"))
    {
      g_string_append (text, "# Kubernetes-managed hosts file (host network).\n");
      if (g_file_get_contents ("/etc/hosts", &theirs, NULL, NULL))
        g_string_append (text, theirs);
    }
  else
    {
      g_string_append (
          text, "# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::0\tip6-localnet\n"
                "fe00::0\tip6-mcastprefix\nfe00::1\tip6-allnodes\nfe00::2\tip6-allrouters\n");
      for (guint i = 0; job->ips != NULL && job->ips[i] != NULL; i++)
        if (domain != NULL)
          g_string_append_printf (text, "%s\t%s.%s\t%s\n", job->ips[i], host, domain, host);
        else
          g_string_append_printf (text, "%s\t%s\n", job->ips[i], host);
    }
  if (cube_view_length (aliases) > 0)
    g_string_append (text, "\n# Entries added by HostAliases.\n");
  for (cube_iter_init (&it, aliases); cube_iter_next (&it, NULL, &alias);)
    {
      g_string_append (text, cube_view_string_or (cube_view_member (alias, "ip"), ""));
      for (cube_iter_init (&names, cube_view_member (alias, "hostnames")); cube_iter_next (&names, NULL, &name);)
        g_string_append_printf (text, "\t%s", cube_view_string_or (name, ""));
      g_string_append_c (text, '\n');
    }
  g_autofree char *there = NULL;
  /* written in place: a running container has this very file mounted */
  if (g_file_get_contents (path, &there, NULL, NULL) && g_str_equal (there, text->str))
    return TRUE;
  return node_files_write (path, text->str, (gssize) text->len, 0644, error);
}

/* ---- resolver ---- */

typedef struct {
  GPtrArray *servers, *searches, *options; /* (element-type utf8) */
} Resolver;

static void
add_once (GPtrArray *list, const char *text)
{
  if (text != NULL && *text != '\0' && !g_ptr_array_find_with_equal_func (list, text, g_str_equal, NULL))
    g_ptr_array_add (list, g_strdup (text));
}

static void
add_option (GPtrArray *list, const char *name, const char *value)
{
  gsize length = strlen (name);
  for (guint i = 0; i < list->len; i++)
    {
      const char *there = list->pdata[i];
      if (strncmp (there, name, length) == 0 && (there[length] == '\0' || there[length] == ':'))
        {
          g_ptr_array_remove_index (list, i);
          break;
        }
    }
  g_ptr_array_add (list, value != NULL && *value != '\0' ? g_strdup_printf ("%s:%s", name, value) : g_strdup (name));
}

static void
read_host (Resolver *resolver, gboolean with_servers)
{
  g_autofree char *text = node_machine_resolv_conf ();
  g_auto (GStrv) lines = g_strsplit (text, "\n", -1);
  g_autoptr (GPtrArray) searches = g_ptr_array_new_with_free_func (g_free);
  for (guint i = 0; lines[i] != NULL; i++)
    {
      g_auto (GStrv) words = g_strsplit_set (g_strstrip (lines[i]), " \t", -1);
      if (words[0] == NULL)
        continue;
      if (g_str_equal (words[0], "search"))
        g_ptr_array_set_size (searches, 0); /* the last line wins */
      for (guint w = 1; words[w] != NULL; w++)
        {
          if (g_str_equal (words[0], "nameserver") && with_servers)
            add_once (resolver->servers, words[w]);
          else if (g_str_equal (words[0], "options") && with_servers && *words[w] != '\0')
            {
              g_auto (GStrv) parts = g_strsplit (words[w], ":", 2);
              add_option (resolver->options, parts[0], parts[1]);
            }
          else if (g_str_equal (words[0], "search"))
            {
              gsize length = strlen (words[w]);
              if (length > 0 && words[w][length - 1] == '.')
                words[w][length - 1] = '\0';
              add_once (searches, words[w]);
            }
        }
    }
  for (guint i = 0; i < searches->len; i++)
    add_once (resolver->searches, searches->pdata[i]);
}

static void
add_cluster (NodeJob *job, Resolver *resolver)
{
  NodeAgent *agent = job->agent;
  g_autofree char *own = g_strdup_printf ("%s.svc.%s", job->pod->ns, agent->cluster_domain);
  g_autofree char *services = g_strdup_printf ("svc.%s", agent->cluster_domain);
  add_once (resolver->servers, agent->cluster_dns);
  add_once (resolver->searches, own);
  add_once (resolver->searches, services);
  add_once (resolver->searches, agent->cluster_domain);
  read_host (resolver, FALSE);
  add_option (resolver->options, "ndots", "5");
}

static void
add_config (Resolver *resolver, CubeView config)
{
  CubeIter it;
  CubeView entry;
  for (cube_iter_init (&it, cube_view_member (config, "nameservers")); cube_iter_next (&it, NULL, &entry);)
    add_once (resolver->servers, cube_view_string (entry));
  for (cube_iter_init (&it, cube_view_member (config, "searches")); cube_iter_next (&it, NULL, &entry);)
    add_once (resolver->searches, cube_view_string (entry));
  for (cube_iter_init (&it, cube_view_member (config, "options")); cube_iter_next (&it, NULL, &entry);)
    add_option (resolver->options, cube_view_string_or (cube_view_member (entry, "name"), ""), cube_view_get_string (entry, "value"));
}

static void
keep_limits (NodeJob *job, Resolver *resolver)
{
  gsize bytes = 0;
  guint n = 0;
  if (resolver->servers->len > MAX_SERVERS)
    {
      g_ptr_array_set_size (resolver->servers, MAX_SERVERS);
      g_ptr_array_add (resolver->servers, NULL);
      g_autofree char *applied = g_strjoinv (" ", (char **) resolver->servers->pdata);
      g_ptr_array_set_size (resolver->servers, MAX_SERVERS);
      node_pod_event (job->pod, NULL, "Warning", "DNSConfigForming",
                      "Nameserver limits were exceeded, some nameservers have been omitted, the applied nameserver line is: %s", applied);
    }
  while (n < resolver->searches->len && n < MAX_SEARCHES && bytes + strlen (resolver->searches->pdata[n]) + (n > 0) <= MAX_SEARCH_BYTES)
    bytes += strlen (resolver->searches->pdata[n++]) + 1;
  if (n < resolver->searches->len)
    {
      g_ptr_array_set_size (resolver->searches, (gint) n);
      g_ptr_array_add (resolver->searches, NULL);
      g_autofree char *applied = g_strjoinv (" ", (char **) resolver->searches->pdata);
      g_ptr_array_set_size (resolver->searches, (gint) n);
      node_pod_event (job->pod, NULL, "Warning", "DNSConfigForming",
                      "Search Line limits were exceeded, some search paths have been omitted, the applied search line is: %s", applied);
    }
}

static const char *const *
take_list (GPtrArray *list, NodeScratch *scratch)
{
  const char **texts = node_scratch_alloc (scratch, (list->len + 1) * sizeof (char *));
  for (guint i = 0; i < list->len; i++)
    texts[i] = node_scratch_strdup (scratch, list->pdata[i]);
  g_ptr_array_unref (list);
  return texts;
}

void
node_dns_fill (NodeJob *job, CubeSandboxConfig *config, NodeScratch *scratch)
{
  Resolver resolver = { g_ptr_array_new_with_free_func (g_free), g_ptr_array_new_with_free_func (g_free),
                        g_ptr_array_new_with_free_func (g_free) };
  const char *policy = cube_view_string_or (cube_view_member (job->spec, "dnsPolicy"), "ClusterFirst");
  gboolean is_host = cube_view_get_bool (job->spec, FALSE, "hostNetwork");
  gboolean is_cluster = g_str_equal (policy, "ClusterFirstWithHostNet") || (g_str_equal (policy, "ClusterFirst") && !is_host);
  if (is_cluster && (job->agent->cluster_dns == NULL || *job->agent->cluster_dns == '\0'))
    {
      node_pod_event (
          job->pod, NULL, "Warning", "MissingClusterDNS",
          "pod: \"%s_%s(%s)\". kubelet does not have ClusterDNS IP configured and cannot create Pod using \"%s\" policy. Falling back to \"Default\" policy.",
          job->pod->name, job->pod->ns, job->pod->uid, policy);
      is_cluster = FALSE;
      policy = "Default";
    }
  if (is_cluster)
    add_cluster (job, &resolver);
  else if (!g_str_equal (policy, "None"))
    read_host (&resolver, TRUE);
  add_config (&resolver, cube_view_member (job->spec, "dnsConfig"));
  keep_limits (job, &resolver);
  config->dns_servers = take_list (resolver.servers, scratch);
  config->dns_searches = take_list (resolver.searches, scratch);
  config->dns_options = take_list (resolver.options, scratch);
}

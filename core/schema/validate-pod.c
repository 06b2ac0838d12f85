/* SPDX-License-Identifier: Apache-2.0 */
/* The pod spec as a whole, and pod templates. */
#include "validate-more.h"

/* ---- security ---- */

static void
check_profile (CubeFieldErrors *errors, const CubePath *path, CubeView profile, gboolean is_seccomp)
{
  CubeView local = cube_view_member (profile, "localhostProfile");
  const char *type = cube_view_string_or (cube_view_member (profile, "type"), ""), *text = cube_view_string_or (local, "");
  CubePath at = CUBE_AT (path, "localhostProfile");
  if (!cube_view_exists (profile))
    return;
  if (*type == '\0')
    cube_check_add (errors, "Required", &CUBE_AT (path, "type"), cube_view_none (), "type is required when %s is set",
                    is_seccomp ? "seccompProfile" : "appArmorProfile");
  if (strcmp (type, "Localhost") != 0)
    {
      if (cube_view_exists (local))
        cube_check_add (errors, "Invalid", &at, local, "can only be set when %s type is Localhost", is_seccomp ? "seccomp" : "AppArmor");
      return;
    }
  g_autofree char *stripped = g_strstrip (g_strdup (text));
  if (*stripped == '\0')
    cube_check_add (errors, "Required", &at, cube_view_none (), "must be set when %s type is Localhost",
                    is_seccomp ? "seccomp" : "AppArmor");
  else if (is_seccomp)
    cube_check_relative_path (errors, &at, local);
  else if (strcmp (stripped, text) != 0)
    cube_check_add (errors, "Invalid", &at, local, "must not be padded with whitespace");
  if (!is_seccomp && strlen (text) > 4095)
    cube_check_add (errors, "TooLong", &at, cube_view_none (), "may not be more than 4095 bytes");
}

static const char *
check_sysctl_name (const char *name)
{
  static const char rule[] = "must have at most 253 characters and match regex "
                             "^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$";
  char last = '.';
  if (strlen (name) > 253 || *name == '\0')
    return rule;
  for (; *name != '\0'; last = *name++)
    {
      gboolean is_dot = *name == '.' || *name == '/', is_dash = *name == '-' || *name == '_', after_dot = last == '.' || last == '/';
      if (!is_dot && !is_dash && !g_ascii_islower (*name) && !g_ascii_isdigit (*name))
        return rule;
      if ((after_dot && (is_dot || is_dash)) || (is_dot && (last == '-' || last == '_')))
        return rule;
    }
  return g_ascii_isalnum (last) ? NULL : rule;
}

static void
check_sysctls (const CubePodCheck *pod, const CubePath *path, CubeView sysctls)
{
  g_autoptr (GHashTable) seen = NULL;
  CubeIter it;
  CubeView v;
  guint i = 0;
  for (cube_iter_init (&it, sysctls); cube_iter_next (&it, NULL, &v); i++)
    {
      CubePath at = CUBE_AT_INDEX (path, i), name_at = CUBE_AT (&at, "name");
      CubeView name = cube_view_member (v, "name");
      const char *text = cube_view_string_or (name, "");
      if (*text == '\0')
        continue;
      cube_check_name (pod->errors, &at, v, "name", check_sysctl_name);
      if (!cube_check_unique (&seen, text))
        cube_check_add (pod->errors, "Duplicate", &name_at, name, "%s", "");
      if (pod->host_network && g_str_has_prefix (text, "net."))
        cube_check_add (pod->errors, "Invalid", &name_at, name, "may not be specified when 'hostNetwork' is true");
      if (cube_view_bool (cube_view_member (pod->spec, "hostIPC"), FALSE)
          && (g_str_has_prefix (text, "kernel.shm") || g_str_has_prefix (text, "kernel.msg") || strcmp (text, "kernel.sem") == 0
              || g_str_has_prefix (text, "fs.mqueue.")))
        cube_check_add (pod->errors, "Invalid", &name_at, name, "may not be specified when 'hostIPC' is true");
    }
}

void
cube_check_pod_security (const CubePodCheck *pod, const CubePath *path, CubeView security)
{
  static const char *const ids[] = { "fsGroup", "runAsUser", "runAsGroup" };
  CubeIter it;
  CubeView v;
  guint i = 0;
  if (cube_view_bool (cube_view_member (pod->spec, "shareProcessNamespace"), FALSE)
      && cube_view_bool (cube_view_member (pod->spec, "hostPID"), FALSE))
    cube_check_add (pod->errors, "Invalid", &CUBE_AT (path, "shareProcessNamespace"), cube_view_member (pod->spec, "shareProcessNamespace"),
                    "ShareProcessNamespace and HostPID cannot both be enabled");
  if (cube_view_length (security) == 0)
    return;
  for (guint k = 0; k < G_N_ELEMENTS (ids); k++)
    cube_check_range (pod->errors, path, security, ids[k], 0, G_MAXINT32);
  CubePath groups = CUBE_AT (path, "supplementalGroups");
  for (cube_iter_init (&it, cube_view_member (security, "supplementalGroups")); cube_iter_next (&it, NULL, &v); i++)
    if (cube_view_int (v, 0) < 0 || cube_view_int (v, 0) > G_MAXINT32)
      cube_check_add (pod->errors, "Invalid", &CUBE_AT_INDEX (&groups, i), v, "must be between 0 and 2147483647, inclusive");
  check_sysctls (pod, &CUBE_AT (path, "sysctls"), cube_view_member (security, "sysctls"));
  check_profile (pod->errors, &CUBE_AT (path, "seccompProfile"), cube_view_member (security, "seccompProfile"), TRUE);
  check_profile (pod->errors, &CUBE_AT (path, "appArmorProfile"), cube_view_member (security, "appArmorProfile"), FALSE);
  CubeView change = cube_view_member (security, "seLinuxChangePolicy"), windows = cube_view_member (security, "windowsOptions");
  if (cube_view_exists (change) && g_strcmp0 (cube_view_string (change), "Recursive") != 0
      && g_strcmp0 (cube_view_string (change), "MountOption") != 0)
    cube_check_add (pod->errors, "NotSupported", &CUBE_AT (path, "seLinuxChangePolicy"), change,
                    "supported values: \"MountOption\", \"Recursive\"");
  if (cube_view_exists (windows))
    {
      cube_check_windows_options (pod, path, windows);
      *pod->has_host_process |= cube_view_exists (cube_view_member (windows, "hostProcess"));
    }
}

void
cube_check_container_security (const CubePodCheck *pod, const CubePath *path, CubeView security)
{
  CubeIter it;
  CubeView v, proc = cube_view_member (security, "procMount");
  if (cube_view_length (security) == 0)
    return;
  cube_check_range (pod->errors, path, security, "runAsUser", 0, G_MAXINT32);
  cube_check_range (pod->errors, path, security, "runAsGroup", 0, G_MAXINT32);
  check_profile (pod->errors, &CUBE_AT (path, "seccompProfile"), cube_view_member (security, "seccompProfile"), TRUE);
  check_profile (pod->errors, &CUBE_AT (path, "appArmorProfile"), cube_view_member (security, "appArmorProfile"), FALSE);
  if (g_strcmp0 (cube_view_string (proc), "Unmasked") == 0 && cube_view_bool (cube_view_member (pod->spec, "hostUsers"), TRUE))
    cube_check_add (pod->errors, "Invalid", &CUBE_AT (path, "procMount"), proc, "`hostUsers` must be false to use `Unmasked`");
  if (!cube_view_bool (cube_view_member (security, "allowPrivilegeEscalation"), TRUE))
    {
      if (cube_view_bool (cube_view_member (security, "privileged"), FALSE))
        cube_check_add (pod->errors, "Invalid", path, security, "cannot set `allowPrivilegeEscalation` to false and `privileged` to true");
      for (cube_iter_init (&it, cube_view_get (security, "capabilities", "add")); cube_iter_next (&it, NULL, &v);)
        if (g_strcmp0 (cube_view_string (v), "CAP_SYS_ADMIN") == 0)
          cube_check_add (pod->errors, "Invalid", path, security,
                          "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN");
    }
  CubeView windows = cube_view_member (security, "windowsOptions");
  if (cube_view_exists (windows))
    {
      cube_check_windows_options (pod, path, windows);
      *pod->has_host_process |= cube_view_exists (cube_view_member (windows, "hostProcess"));
    }
}

/* ---- names and addresses ---- */

static void
check_search (CubeFieldErrors *errors, const CubePath *path, CubeView search)
{
  g_autofree char *text = g_strdup (cube_view_string_or (search, ""));
  gsize length = strlen (text);
  if (strcmp (text, ".") == 0)
    return;
  if (length > 0 && text[length - 1] == '.')
    text[length - 1] = '\0';
  for (char *at = text; *at != '\0'; at++)
    if (*at == '_')
      *at = 'a';
  if (cube_name_check_dns1123_subdomain (text) != NULL)
    cube_check_add (
        errors, "Invalid", path, search,
        "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', '-' or '.', and must start and end with an "
        "alphanumeric character (e.g. 'example.com', regex used for validation is "
        "'_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?(\\._?[a-z0-9]([-_a-z0-9]*[a-z0-9])?)*')");
}

static void
check_dns (const CubePodCheck *pod, const CubePath *path)
{
  CubeView config = cube_view_member (pod->spec, "dnsConfig"), servers = cube_view_member (config, "nameservers"), v;
  CubeView searches = cube_view_member (config, "searches");
  CubePath at = CUBE_AT (path, "dnsConfig"), servers_at = CUBE_AT (&at, "nameservers"), searches_at = CUBE_AT (&at, "searches");
  if (g_strcmp0 (cube_view_string (cube_view_member (pod->spec, "dnsPolicy")), "None") == 0)
    {
      if (!cube_view_exists (config))
        cube_check_add (pod->errors, "Required", &at, cube_view_none (), "must provide `dnsConfig` when `dnsPolicy` is None");
      else if (cube_view_length (servers) == 0)
        cube_check_add (pod->errors, "Required", &servers_at, cube_view_none (),
                        "must provide at least one DNS nameserver when `dnsPolicy` is None");
    }
  if (!cube_view_exists (config))
    return;
  CubeIter it;
  guint i = 0;
  gsize total = 0;
  if (cube_view_length (servers) > 3)
    cube_check_add (pod->errors, "Invalid", &servers_at, servers, "must not have more than 3 nameservers");
  for (cube_iter_init (&it, servers); cube_iter_next (&it, NULL, &v); i++)
    cube_check_ip (pod->errors, &CUBE_AT_INDEX (&servers_at, i), v);
  if (cube_view_length (searches) > 32)
    cube_check_add (pod->errors, "Invalid", &searches_at, searches, "must not have more than 32 search paths");
  i = 0;
  for (cube_iter_init (&it, searches); cube_iter_next (&it, NULL, &v); i++)
    {
      total += cube_view_string_length (v) + (i > 0 ? 1 : 0);
      check_search (pod->errors, &CUBE_AT_INDEX (&searches_at, i), v);
    }
  if (total > 2048)
    cube_check_add (pod->errors, "Invalid", &searches_at, searches,
                    "must not have more than 2048 characters (including spaces) in the search list");
  i = 0;
  CubePath options = CUBE_AT (&at, "options");
  for (cube_iter_init (&it, cube_view_member (config, "options")); cube_iter_next (&it, NULL, &v); i++)
    if (cube_is_empty (cube_view_member (v, "name")))
      cube_check_add (pod->errors, "Required", &CUBE_AT_INDEX (&options, i), cube_view_none (), "must not be empty");
}

static void
check_host_aliases (const CubePodCheck *pod, const CubePath *path, CubeView aliases)
{
  CubeIter it, inner;
  CubeView v, name;
  guint i = 0;
  const char *why;
  for (cube_iter_init (&it, aliases); cube_iter_next (&it, NULL, &v); i++)
    {
      CubePath at = CUBE_AT_INDEX (path, i), names = CUBE_AT (&at, "hostnames");
      guint j = 0;
      cube_check_ip (pod->errors, &CUBE_AT (&at, "ip"), cube_view_member (v, "ip"));
      for (cube_iter_init (&inner, cube_view_member (v, "hostnames")); cube_iter_next (&inner, NULL, &name); j++)
        if ((why = cube_name_check_dns1123_subdomain (cube_view_string_or (name, ""))) != NULL)
          cube_check_add (pod->errors, "Invalid", &CUBE_AT_INDEX (&names, j), name, "%s", why);
    }
}

static void
check_gates (const CubePodCheck *pod, const CubePath *path)
{
  g_autoptr (GHashTable) seen = NULL;
  CubePath gates = CUBE_AT (path, "schedulingGates"), ready = CUBE_AT (path, "readinessGates");
  CubeIter it;
  CubeView v;
  guint i = 0;
  const char *why;
  for (cube_iter_init (&it, cube_view_member (pod->spec, "schedulingGates")); cube_iter_next (&it, NULL, &v); i++)
    {
      CubeView name = cube_view_member (v, "name");
      const char *text = cube_view_string_or (name, "");
      if ((why = cube_name_check_qualified (text)) != NULL)
        cube_check_add_text (pod->errors, "Invalid", &CUBE_AT_INDEX (&gates, i), text, "%s", why);
      if (!cube_check_unique (&seen, text))
        cube_check_add_text (pod->errors, "Duplicate", &CUBE_AT_INDEX (&gates, i), text, "%s", "");
    }
  i = 0;
  for (cube_iter_init (&it, cube_view_member (pod->spec, "readinessGates")); cube_iter_next (&it, NULL, &v); i++)
    cube_check_name (pod->errors, &CUBE_AT_INDEX (&ready, i), v, "conditionType", cube_name_check_qualified);
}

static void
check_claims (const CubePodCheck *pod, const CubePath *path, CubeView claims)
{
  g_autoptr (GHashTable) seen = NULL;
  CubeIter it;
  CubeView v;
  guint i = 0;
  for (cube_iter_init (&it, claims); cube_iter_next (&it, NULL, &v); i++)
    {
      CubePath at = CUBE_AT_INDEX (path, i);
      CubeView name = cube_view_member (v, "name");
      gboolean claim = cube_view_exists (cube_view_member (v, "resourceClaimName")),
               template = cube_view_exists (cube_view_member (v, "resourceClaimTemplateName"));
      cube_check_name (pod->errors, &at, v, "name", cube_name_check_dns1123_label);
      if (!cube_is_empty (name) && !cube_check_unique (&seen, cube_view_string_or (name, "")))
        cube_check_add (pod->errors, "Duplicate", &CUBE_AT (&at, "name"), name, "%s", "");
      if (claim && template)
        cube_check_add (pod->errors, "Invalid", &at, v,
                        "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified");
      else if (!claim && !template)
        cube_check_add (pod->errors, "Invalid", &at, v, "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`");
      cube_check_name (pod->errors, &at, v, "resourceClaimName", cube_name_check_dns1123_subdomain);
      cube_check_name (pod->errors, &at, v, "resourceClaimTemplateName", cube_name_check_dns1123_subdomain);
    }
}

static void
check_host_users (const CubePodCheck *pod, const CubePath *path)
{
  static const char *const fields[][2] = { { "hostNetwork", "hostNetwork" }, { "hostPID", "HostPID" }, { "hostIPC", "HostIPC" } };
  if (cube_view_bool (cube_view_member (pod->spec, "hostUsers"), TRUE))
    return;
  for (guint i = 0; i < G_N_ELEMENTS (fields); i++)
    if (cube_view_bool (cube_view_member (pod->spec, fields[i][0]), FALSE))
      cube_check_add (pod->errors, "Forbidden", &CUBE_AT (path, fields[i][1]), cube_view_none (), "when `hostUsers` is false");
}

static void
check_pod_resources (const CubePodCheck *pod, const CubePath *path, CubeView resources)
{
  static const char *const sides[] = { "limits", "requests" };
  CubeIter it;
  const char *name;
  CubeView v;
  if (!cube_view_exists (resources))
    return;
  if (cube_view_length (cube_view_member (resources, "claims")) > 0)
    cube_check_add (pod->errors, "Forbidden", &CUBE_AT (path, "claims"), cube_view_none (),
                    "claims may not be set for Resources at pod-level");
  for (guint i = 0; i < 2; i++)
    {
      CubePath side = CUBE_AT (path, sides[i]);
      for (cube_iter_init (&it, cube_view_member (resources, sides[i])); cube_iter_next (&it, &name, &v);)
        if (strcmp (name, "cpu") != 0 && strcmp (name, "memory") != 0 && !g_str_has_prefix (name, "hugepages-"))
          cube_check_add_text (pod->errors, "NotSupported", &CUBE_AT_KEY (&side, name), name,
                               "supported values: \"cpu\", \"hugepages-\", \"memory\"");
      cube_check_resources (pod->errors, &side, cube_view_member (resources, sides[i]), TRUE);
    }
  cube_check_pod_sums (pod->errors, path, pod->spec, resources);
}

static void
check_secrets (const CubePodCheck *pod, const CubePath *path, CubeView secrets)
{
  CubeIter it;
  CubeView v;
  guint i = 0;
  for (cube_iter_init (&it, secrets); cube_iter_next (&it, NULL, &v); i++)
    if (cube_view_length (v) > (cube_view_exists (cube_view_member (v, "name")) ? 1u : 0u))
      cube_check_add (pod->errors, "Invalid", &CUBE_AT_INDEX (path, i), v, "only name may be set");
}

static void
check_names (const CubePodCheck *pod, const CubePath *path)
{
  static const struct {
    const char *field;
    CubeNameCheck check;
  } names[] = { { "serviceAccountName", cube_name_check_dns1123_subdomain },
                { "nodeName", cube_name_check_dns1123_subdomain },
                { "hostname", cube_name_check_dns1123_label },
                { "subdomain", cube_name_check_dns1123_label },
                { "priorityClassName", cube_name_check_dns1123_subdomain },
                { "runtimeClassName", cube_name_check_dns1123_subdomain },
                { "hostnameOverride", cube_name_check_dns1123_subdomain } };
  for (guint i = 0; i < G_N_ELEMENTS (names); i++)
    cube_check_name (pod->errors, path, pod->spec, names[i].field, names[i].check);
  CubeView over = cube_view_member (pod->spec, "hostnameOverride");
  if (!cube_view_exists (over))
    return;
  CubePath at = CUBE_AT (path, "hostnameOverride");
  if (cube_view_bool (cube_view_member (pod->spec, "setHostnameAsFQDN"), FALSE))
    cube_check_add (pod->errors, "Forbidden", &at, over, "may not be specified when setHostnameAsFQDN is true");
  if (pod->host_network)
    cube_check_add (pod->errors, "Forbidden", &at, over, "may not be specified when hostNetwork is true");
  if (cube_view_string_length (over) > 64)
    cube_check_add (pod->errors, "TooLong", &at, cube_view_none (), "may not be more than 64 bytes");
}

/* The tables refuse these words; Kubernetes names the choices in an order of its own. */
static void
say_choices (CubeFieldErrors *errors, const CubePath *path, CubeView spec)
{
  static const char *const restarts[] = { "Always", "OnFailure", "Never", NULL };
  static const char *const dns[] = { "ClusterFirstWithHostNet", "ClusterFirst", "Default", "None", NULL };
  static const char *const preemptions[] = { "PreemptLowerPriority", "Never", NULL };
  static const char *const messages[] = { "File", "FallbackToLogsOnError", NULL };
  static const char *const effects[] = { "NoSchedule", "PreferNoSchedule", "NoExecute", NULL };
  static const char *const lists[] = { "containers", "initContainers", "ephemeralContainers", "tolerations" };
  CubeIter it;
  CubeView v;
  cube_check_one_of (errors, path, spec, "restartPolicy", restarts);
  cube_check_one_of (errors, path, spec, "dnsPolicy", dns);
  cube_check_one_of (errors, path, spec, "preemptionPolicy", preemptions);
  for (guint l = 0; l < G_N_ELEMENTS (lists); l++)
    {
      CubePath list = CUBE_AT (path, lists[l]);
      guint i = 0;
      for (cube_iter_init (&it, cube_view_member (spec, lists[l])); cube_iter_next (&it, NULL, &v); i++)
        cube_check_one_of (errors, &CUBE_AT_INDEX (&list, i), v, l == 3 ? "effect" : "terminationMessagePolicy",
                           l == 3 ? effects : messages);
    }
}

void
cube_check_pod_spec (CubeFieldErrors *errors, const CubePath *path, CubeView spec, CubeView metadata, gboolean is_template)
{
  gboolean has_host_process = FALSE;
  CubeView os = cube_view_member (cube_view_member (spec, "os"), "name");
  CubePodCheck pod = { errors,
                       spec,
                       cube_view_member (spec, "volumes"),
                       metadata,
                       is_template,
                       cube_view_bool (cube_view_member (spec, "hostNetwork"), FALSE),
                       cube_view_string_or (cube_view_member (spec, "restartPolicy"), ""),
                       cube_view_string_or (os, ""),
                       &has_host_process };
  if (cube_field_errors_count (errors) > 0)
    say_choices (errors, path, spec);
  cube_check_volumes (&pod, &CUBE_AT (path, "volumes"));
  cube_check_containers (&pod, path);
  check_pod_resources (&pod, &CUBE_AT (path, "resources"), cube_view_member (spec, "resources"));
  cube_check_range (errors, path, spec, "activeDeadlineSeconds", 1, G_MAXINT32);
  cube_check_labels (errors, &CUBE_AT (path, "nodeSelector"), cube_view_member (spec, "nodeSelector"));
  cube_check_pod_security (&pod, &CUBE_AT (path, "securityContext"), cube_view_member (spec, "securityContext"));
  check_secrets (&pod, &CUBE_AT (path, "imagePullSecrets"), cube_view_member (spec, "imagePullSecrets"));
  cube_check_affinity (errors, &CUBE_AT (path, "affinity"), cube_view_member (spec, "affinity"));
  check_dns (&pod, path);
  check_gates (&pod, path);
  cube_check_topology_spread (errors, &CUBE_AT (path, "topologySpreadConstraints"), cube_view_member (spec, "topologySpreadConstraints"));
  check_names (&pod, path);
  cube_check_tolerations (errors, &CUBE_AT (path, "tolerations"), cube_view_member (spec, "tolerations"));
  check_host_aliases (&pod, &CUBE_AT (path, "hostAliases"), cube_view_member (spec, "hostAliases"));
  check_claims (&pod, &CUBE_AT (path, "resourceClaims"), cube_view_member (spec, "resourceClaims"));
  check_host_users (&pod, path);
  if (has_host_process || strcmp (pod.os, "windows") == 0)
    cube_check_windows (&pod, path);
  CubePath overhead = CUBE_AT (path, "overhead");
  cube_check_resources (errors, &CUBE_AT (&overhead, "limits"), cube_view_member (spec, "overhead"), TRUE);
  if (*pod.os != '\0' && strcmp (pod.os, "linux") != 0 && strcmp (pod.os, "windows") != 0)
    cube_check_add (errors, "NotSupported", &CUBE_AT (path, "os"), os, "supported values: \"linux\", \"windows\"");
}

void
cube_check_pod_template (CubeFieldErrors *errors, const CubePath *path, CubeView template)
{
  CubeView metadata = cube_view_member (template, "metadata"), spec = cube_view_member (template, "spec");
  CubePath spec_at = CUBE_AT (path, "spec");
  cube_check_labels (errors, &CUBE_AT (path, "labels"), cube_view_member (metadata, "labels"));
  cube_check_annotations (errors, &CUBE_AT (path, "annotations"), cube_view_member (metadata, "annotations"));
  cube_check_profiles (errors, &CUBE_AT (path, "annotations"), cube_view_member (metadata, "annotations"), spec);
  cube_check_pod_spec (errors, &spec_at, spec, metadata, TRUE);
  if (cube_view_length (cube_view_member (spec, "ephemeralContainers")) > 0)
    cube_check_add (errors, "Forbidden", &CUBE_AT (&spec_at, "ephemeralContainers"), cube_view_none (),
                    "ephemeral containers not allowed in pod template");
}

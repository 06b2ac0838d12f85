/* SPDX-License-Identifier: Apache-2.0 */
/* Pods of Windows: options of security contexts, host processes, and what such a pod may not say. */
#include "validate-more.h"

/* ---- options ---- */

static gboolean
is_netbios (const char *domain)
{
  return *domain != '\0' && *domain != '.' && strlen (domain) <= 15 && strpbrk (domain, "\\/:*?\"<>|") == NULL;
}

static gboolean
is_dns (const char *domain)
{
  char last = '.';
  for (; *domain != '\0'; last = *domain++)
    if ((!g_ascii_isalnum (*domain) && *domain != '-' && *domain != '.') || (*domain == '.' && (last == '.' || last == '-'))
        || (*domain == '-' && last == '.'))
      return FALSE;
  return g_ascii_isalnum (last);
}

static void
check_user (CubeFieldErrors *errors, const CubePath *path, CubeView value)
{
  const char *text = cube_view_string_or (value, ""), *slash = strchr (text, '\\'), *user = slash == NULL ? text : slash + 1;
  CubePath at = CUBE_AT (path, "runAsUserName");
  const char *whole = *text == '\0'                                       ? "runAsUserName cannot be an empty string"
                      : slash != NULL && strchr (slash + 1, '\\') != NULL ? "runAsUserName cannot contain more than one backslash"
                                                                          : NULL;
  for (const char *c = text; *c != '\0'; c++)
    if (g_ascii_iscntrl (*c))
      whole = "runAsUserName cannot contain control characters";
  if (whole != NULL)
    {
      cube_check_add (errors, "Invalid", &at, value, "%s", whole);
      return;
    }
  g_autofree char *domain = g_strndup (text, slash == NULL ? 0 : (gsize) (slash - text));
  if (strlen (domain) >= 256)
    cube_check_add (errors, "Invalid", &at, value, "runAsUserName's Domain length must be under 256 characters");
  if (slash != NULL && !is_netbios (domain) && !is_dns (domain))
    cube_check_add (errors, "Invalid", &at, value, "runAsUserName's Domain doesn't match the NetBios nor the DNS format");
  if (*user == '\0')
    cube_check_add (errors, "Invalid", &at, value, "runAsUserName's User cannot be empty");
  else if (strlen (user) > 104)
    cube_check_add (errors, "Invalid", &at, value, "runAsUserName's User length must not be longer than 104 characters");
  if (*user != '\0' && user[strspn (user, ". ")] == '\0')
    cube_check_add (errors, "Invalid", &at, value, "runAsUserName's User cannot contain only periods or spaces");
  if (strpbrk (user, "\"/:;|=,+*?<>@[]") != NULL)
    cube_check_add (errors, "Invalid", &at, value, "runAsUserName's User cannot contain the following characters: \"/\\:;|=,+*?<>@[]");
}

void
cube_check_windows_options (const CubePodCheck *pod, const CubePath *security, CubeView options)
{
  CubePath path = CUBE_AT (security, "windowsOptions");
  CubeView spec = cube_view_member (options, "gmsaCredentialSpec"), user = cube_view_member (options, "runAsUserName"),
           name = cube_view_member (options, "gmsaCredentialSpecName");
  if (strcmp (pod->os, "linux") == 0)
    cube_check_forbidden (pod->errors, &path, "windows options cannot be set for a linux pod");
  const char *why = cube_view_exists (name) ? cube_name_check_dns1123_subdomain (cube_view_string_or (name, "")) : NULL;
  if (why != NULL)
    cube_check_add (pod->errors, "Invalid", &CUBE_AT (&path, "gmsaCredentialSpecName"), name, "%s", why);
  if (cube_view_exists (spec) && cube_is_empty (spec))
    cube_check_add (pod->errors, "Invalid", &CUBE_AT (&path, "gmsaCredentialSpec"), spec, "gmsaCredentialSpec cannot be an empty string");
  if (cube_view_string_length (spec) > 65536)
    cube_check_add (pod->errors, "Invalid", &CUBE_AT (&path, "gmsaCredentialSpec"), spec, "gmsaCredentialSpec size must be under 64 KiB");
  if (cube_view_exists (user))
    check_user (pod->errors, &path, user);
}

/* ---- host processes ---- */

typedef struct {
  CubeView pod_says;
  guint containers, host_processes;
} HostProcesses;

static void
count_host_process (const CubePodCheck *pod, const CubePath *at, CubeView container, HostProcesses *count)
{
  CubeView own = cube_view_get (container, "securityContext", "windowsOptions", "hostProcess");
  gboolean pod_value = cube_view_bool (count->pod_says, FALSE);
  CubePath security = CUBE_AT (at, "securityContext"), options = CUBE_AT (&security, "windowsOptions");
  count->containers++;
  count->host_processes += cube_view_bool (own, pod_value) ? 1 : 0;
  if (cube_view_exists (own) && cube_view_exists (count->pod_says) && cube_view_bool (own, FALSE) != pod_value)
    cube_check_add (pod->errors, "Invalid", &CUBE_AT (&options, "hostProcess"), own,
                    "pod hostProcess value must be identical if both are specified, was %s", pod_value ? "true" : "false");
}

/* ---- what a pod of Windows may not say ---- */

static void
refuse (const CubePodCheck *pod, const CubePath *path, CubeView object, const char *const *fields)
{
  for (guint i = 0; fields[i] != NULL; i++)
    if (cube_view_exists (cube_view_member (object, fields[i])))
      cube_check_forbidden (pod->errors, &CUBE_AT (path, fields[i]), "cannot be set for a windows pod");
}

static void
refuse_linux_fields (const CubePodCheck *pod, const CubePath *path)
{
  static const char *const security[] = { "appArmorProfile",     "seLinuxOptions",
                                          "seccompProfile",      "fsGroup",
                                          "fsGroupChangePolicy", "sysctls",
                                          "runAsUser",           "runAsGroup",
                                          "supplementalGroups",  "supplementalGroupsPolicy",
                                          "seLinuxChangePolicy", NULL };
  static const char *const spec[] = { "hostUsers", "shareProcessNamespace", NULL };
  static const char *const flags[] = { "hostPID", "hostIPC" };
  refuse (pod, &CUBE_AT (path, "securityContext"), cube_view_member (pod->spec, "securityContext"), security);
  refuse (pod, path, pod->spec, spec);
  for (guint i = 0; i < G_N_ELEMENTS (flags); i++)
    if (cube_view_bool (cube_view_member (pod->spec, flags[i]), FALSE))
      cube_check_forbidden (pod->errors, &CUBE_AT (path, flags[i]), "cannot be set for a windows pod");
  if (cube_view_exists (cube_view_member (pod->spec, "resources")))
    cube_check_forbidden (pod->errors, &CUBE_AT (path, "resources"), "may not be set for a windows pod");
}

/* Called for pods that name Windows or have options of it. */
void
cube_check_windows (const CubePodCheck *pod, const CubePath *path)
{
  static const char *const lists[] = { "initContainers", "containers", "ephemeralContainers" };
  static const char *const never[] = { "appArmorProfile",
                                       "seLinuxOptions",
                                       "seccompProfile",
                                       "capabilities",
                                       "readOnlyRootFilesystem",
                                       "privileged",
                                       "allowPrivilegeEscalation",
                                       "procMount",
                                       "runAsUser",
                                       "runAsGroup",
                                       NULL };
  HostProcesses count = { cube_view_get (pod->spec, "securityContext", "windowsOptions", "hostProcess"), 0, 0 };
  gboolean is_windows = strcmp (pod->os, "windows") == 0;
  CubeIter it;
  CubeView v;
  if (is_windows)
    refuse_linux_fields (pod, path);
  for (guint l = 0; l < G_N_ELEMENTS (lists); l++)
    {
      CubePath list = CUBE_AT (path, lists[l]);
      guint i = 0;
      for (cube_iter_init (&it, cube_view_member (pod->spec, lists[l])); cube_iter_next (&it, NULL, &v); i++)
        {
          CubePath at = CUBE_AT_INDEX (&list, i);
          count_host_process (pod, &at, v, &count);
          if (is_windows)
            refuse (pod, &CUBE_AT (&at, "securityContext"), cube_view_member (v, "securityContext"), never);
        }
    }
  if (count.host_processes == 0)
    return;
  if (count.host_processes != count.containers)
    cube_check_add_text (pod->errors, "Invalid", path, "",
                         "If pod contains any hostProcess containers then all containers must be HostProcess containers");
  if (!pod->host_network)
    {
      g_autoptr (CubeValue) no = cube_value_from_json ("false", -1, NULL, NULL);
      cube_check_add (pod->errors, "Invalid", &CUBE_AT (path, "hostNetwork"), cube_value_root (no),
                      "hostNetwork must be true if pod contains any hostProcess containers");
    }
}

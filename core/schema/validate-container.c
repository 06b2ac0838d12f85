/* SPDX-License-Identifier: Apache-2.0 */
/* Containers of all kinds: ports, environment, mounts, resources, probes, lifecycle. */
#include "validate-container.h"

/* ---- ports ---- */

static void
check_host_port (const CubeContainerCheck *check, const CubePath *at, CubeView port, GHashTable **taken)
{
  CubeView host = cube_view_member (port, "hostPort");
  gint64 number = cube_view_int (host, 0), inside = cube_view_get_int (port, 0, "containerPort");
  CubePath path = CUBE_AT (at, "hostPort");
  if (number != 0 && (number < 1 || number > 65535))
    cube_check_add (check->errors, "Invalid", &path, host, "must be between 1 and 65535, inclusive");
  if (check->pod->host_network && number != inside && (number != 0 || !check->pod->is_template))
    cube_check_add (check->errors, "Invalid", &path, host, "must match `containerPort` when `hostNetwork` is true");
  if (number == 0)
    return;
  g_autofree char *key = g_strdup_printf ("%s/%s/%" G_GINT64_FORMAT, cube_view_string_or (cube_view_member (port, "protocol"), "TCP"),
                                          cube_view_string_or (cube_view_member (port, "hostIP"), ""), number);
  if (!cube_check_unique (taken, key))
    cube_check_add_text (check->errors, "Duplicate", &path, key, "%s", "");
}

static void
check_ports (const CubeContainerCheck *check, const CubePath *path, CubeView ports, GHashTable **taken)
{
  g_autoptr (GHashTable) names = NULL, own = NULL;
  CubeIter it;
  CubeView v;
  guint i = 0;
  const char *why;
  for (cube_iter_init (&it, ports); cube_iter_next (&it, NULL, &v); i++)
    {
      CubePath at = CUBE_AT_INDEX (path, i);
      CubeView name = cube_view_member (v, "name"), number = cube_view_member (v, "containerPort");
      if (!cube_is_empty (name))
        {
          if ((why = cube_name_check_port_name (cube_view_string_or (name, ""))) != NULL)
            cube_check_add (check->errors, "Invalid", &CUBE_AT (&at, "name"), name, "%s", why);
          else if (!cube_check_unique (&names, cube_view_string (name)))
            cube_check_add (check->errors, "Duplicate", &CUBE_AT (&at, "name"), name, "%s", "");
        }
      if (cube_view_int (number, 0) == 0)
        cube_check_add (check->errors, "Required", &CUBE_AT (&at, "containerPort"), cube_view_none (), "%s", "");
      else
        cube_check_range (check->errors, &at, v, "containerPort", 1, 65535);
      check_host_port (check, &at, v, check->kind == CUBE_CONTAINER_REGULAR ? taken : &own);
    }
}

/* ---- environment ---- */

static CubeView
find_volume (const CubePodCheck *pod, CubeView name)
{
  CubeIter it;
  CubeView v;
  const char *text = cube_view_string (name);
  for (cube_iter_init (&it, pod->volumes); text != NULL && cube_iter_next (&it, NULL, &v);)
    if (g_strcmp0 (cube_view_string (cube_view_member (v, "name")), text) == 0)
      return v;
  return cube_view_none ();
}

/* metadata.labels['k'] */
static gboolean
split_subscript (const char *path, char **ret_path, char **ret_key)
{
  const char *open = strstr (path, "['");
  if (open == NULL || !g_str_has_suffix (path, "']") || strlen (open) < 4)
    return FALSE;
  *ret_path = g_strndup (path, (gsize) (open - path));
  *ret_key = g_strndup (open + 2, strlen (open) - 4);
  return TRUE;
}

void
cube_check_field_ref (CubeFieldErrors *errors, const CubePath *path, CubeView reference, gboolean is_volume)
{
  static const char *const env[] = { "metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName",
                                     "status.hostIP", "status.hostIPs",     "status.podIP", "status.podIPs", NULL };
  static const char *const volume[] = { "metadata.annotations", "metadata.labels", "metadata.name",
                                        "metadata.namespace",   "metadata.uid",    NULL };
  const char *const *supported = is_volume ? volume : env, *why;
  CubeView value = cube_view_member (reference, "fieldPath");
  const char *text = cube_view_string_or (value, "");
  g_autofree char *base = NULL, *key = NULL;
  if (*text == '\0')
    return; /* reported as required already */
  if (split_subscript (text, &base, &key))
    {
      gboolean annotations = strcmp (base, "metadata.annotations") == 0;
      g_autofree char *lower = annotations ? g_ascii_strdown (key, -1) : g_strdup (key);
      if (!annotations && strcmp (base, "metadata.labels") != 0)
        cube_check_add_text (errors, "Invalid", path, base, "does not support subscript");
      else if ((why = cube_name_check_qualified (lower)) != NULL)
        cube_check_add_text (errors, "Invalid", path, key, "%s", why);
      return;
    }
  if (g_strv_contains (supported, text))
    return;
  CubePath at = CUBE_AT (path, "fieldPath");
  static const char *const known[] = { "metadata.annotations",
                                       "metadata.labels",
                                       "metadata.name",
                                       "metadata.namespace",
                                       "metadata.uid",
                                       "spec.nodeName",
                                       "spec.restartPolicy",
                                       "spec.serviceAccountName",
                                       "spec.schedulerName",
                                       "spec.hostNetwork",
                                       "status.phase",
                                       "status.hostIP",
                                       "status.hostIPs",
                                       "status.podIP",
                                       "status.podIPs",
                                       "status.nominatedNodeName",
                                       NULL };
  if (!g_strv_contains (known, text))
    {
      cube_check_add (errors, "Invalid", &at, value, "error converting fieldPath: field label not supported: %s", text);
      return;
    }
  g_autofree char *list = g_strjoinv ("\", \"", (char **) supported);
  cube_check_add (errors, "NotSupported", &at, value, "supported values: \"%s\"", list);
}

void
cube_check_resource_field_ref (CubeFieldErrors *errors, const CubePath *path, CubeView reference, gboolean is_volume)
{
  static const char *const plain[] = {
    "limits.cpu", "limits.ephemeral-storage", "limits.memory", "requests.cpu", "requests.ephemeral-storage", "requests.memory", NULL
  };
  static const char *const units[] = { "1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei", "0", NULL };
  CubeView resource = cube_view_member (reference, "resource"), divisor = cube_view_member (reference, "divisor");
  const char *text = cube_view_string_or (resource, ""), *amount = cube_view_string_or (divisor, "0");
  if (is_volume)
    cube_check_required (errors, path, reference, "containerName", "");
  if (*text == '\0')
    return;
  gboolean huge = g_str_has_prefix (text, "requests.hugepages-") || g_str_has_prefix (text, "limits.hugepages-");
  if (!huge && !g_strv_contains (plain, text))
    {
      g_autofree char *list = g_strjoinv ("\", \"", (char **) plain);
      cube_check_add (errors, "NotSupported", &CUBE_AT (path, "resource"), resource, "supported values: \"%s\"", list);
      return;
    }
  if (g_str_has_suffix (text, ".cpu"))
    {
      if (strcmp (amount, "1m") != 0 && strcmp (amount, "1") != 0 && strcmp (amount, "0") != 0)
        cube_check_add (errors, "Invalid", &CUBE_AT (path, "divisor"), resource,
                        "only divisor's values 1m and 1 are supported with the cpu resource");
    }
  else if (!g_strv_contains (units, amount))
    {
      cube_check_add (errors, "Invalid", &CUBE_AT (path, "divisor"), resource,
                      "only divisor's values 1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, 1Pi, 1Ei are supported with the %s resource",
                      huge                                 ? "hugepages"
                      : g_str_has_suffix (text, ".memory") ? "memory"
                                                           : "local ephemeral storage");
    }
}

static void
check_key_ref (CubeFieldErrors *errors, const CubePath *path, CubeView reference)
{
  const char *why = cube_name_check_dns1123_subdomain (cube_view_string_or (cube_view_member (reference, "name"), ""));
  if (why != NULL)
    cube_check_add_text (errors, "Invalid", &CUBE_AT (path, "name"), cube_view_string_or (cube_view_member (reference, "name"), ""), "%s",
                         why);
  cube_check_name (errors, path, reference, "key", cube_name_check_config_map_key);
}

static void
check_file_ref (const CubeContainerCheck *check, const CubePath *path, CubeView reference)
{
  CubeView name = cube_view_member (reference, "volumeName"), volume = find_volume (check->pod, name);
  cube_check_name (check->errors, path, reference, "key", cube_name_check_env_relaxed);
  cube_check_name (check->errors, path, reference, "volumeName", cube_name_check_dns1123_label);
  if (!cube_is_empty (name) && !cube_view_exists (volume))
    cube_check_add (check->errors, "NotFound", &CUBE_AT (path, "volumeName"), name, "%s", "");
  else if (!cube_is_empty (name) && !cube_view_exists (cube_view_member (volume, "emptyDir")))
    cube_check_add (check->errors, "Invalid", &CUBE_AT (path, "volumeName"), name, "referenced volume must be of type emptyDir");
  cube_check_no_backsteps (check->errors, &CUBE_AT (path, "path"), cube_view_member (reference, "path"));
}

static void
check_value_from (const CubeContainerCheck *check, const CubePath *path, CubeView source, gboolean has_value)
{
  CubeIter it;
  const char *key;
  CubeView v;
  guint n = 0;
  for (cube_iter_init (&it, source); cube_iter_next (&it, &key, &v);)
    {
      CubePath at = CUBE_AT (path, key);
      n++;
      if (strcmp (key, "fieldRef") == 0)
        cube_check_field_ref (check->errors, &at, v, FALSE);
      else if (strcmp (key, "resourceFieldRef") == 0)
        cube_check_resource_field_ref (check->errors, &at, v, FALSE);
      else if (strcmp (key, "configMapKeyRef") == 0 || strcmp (key, "secretKeyRef") == 0)
        check_key_ref (check->errors, &at, v);
      else if (strcmp (key, "fileKeyRef") == 0)
        check_file_ref (check, &at, v);
    }
  if (n == 0)
    cube_check_add_text (check->errors, "Invalid", path, "",
                         "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`");
  else if (has_value)
    cube_check_add_text (check->errors, "Invalid", path, "", "may not be specified when `value` is not empty");
  else if (n > 1)
    cube_check_add_text (check->errors, "Invalid", path, "", "may not have more than one field specified at a time");
}

static void
check_env (const CubeContainerCheck *check, const CubePath *path, CubeView env)
{
  CubeIter it;
  CubeView v;
  guint i = 0;
  for (cube_iter_init (&it, env); cube_iter_next (&it, NULL, &v); i++)
    {
      CubePath at = CUBE_AT_INDEX (path, i);
      CubeView source = cube_view_member (v, "valueFrom");
      cube_check_name (check->errors, &at, v, "name", cube_name_check_env_relaxed);
      if (cube_view_exists (source))
        check_value_from (check, &CUBE_AT (&at, "valueFrom"), source, !cube_is_empty (cube_view_member (v, "value")));
    }
}

static void
check_env_from (const CubeContainerCheck *check, const CubePath *path, CubeView sources)
{
  static const char *const kinds[] = { "configMapRef", "secretRef" };
  CubeIter it;
  CubeView v;
  guint i = 0;
  for (cube_iter_init (&it, sources); cube_iter_next (&it, NULL, &v); i++)
    {
      CubePath at = CUBE_AT_INDEX (path, i);
      guint n = 0;
      cube_check_name (check->errors, &at, v, "prefix", cube_name_check_env_relaxed);
      for (guint k = 0; k < G_N_ELEMENTS (kinds); k++)
        {
          CubeView reference = cube_view_member (v, kinds[k]);
          if (!cube_view_exists (reference))
            continue;
          n++;
          cube_check_required (check->errors, &CUBE_AT (&at, kinds[k]), reference, "name", "");
          cube_check_name (check->errors, &CUBE_AT (&at, kinds[k]), reference, "name", cube_name_check_dns1123_subdomain);
        }
      if (n == 0)
        cube_check_add_text (check->errors, "Invalid", path, "", "must specify one of: `configMapRef` or `secretRef`");
      else if (n > 1)
        cube_check_add_text (check->errors, "Invalid", path, "", "may not have more than one field specified at a time");
    }
}

/* ---- mounts ---- */

static void
check_mount_details (const CubeContainerCheck *check, const CubePath *path, CubeView mount)
{
  CubeView sub = cube_view_member (mount, "subPath"), expression = cube_view_member (mount, "subPathExpr");
  CubeView propagation = cube_view_member (mount, "mountPropagation"), recursive = cube_view_member (mount, "recursiveReadOnly");
  const char *how = cube_view_string (recursive), *spread = cube_view_string (propagation);
  if (!cube_is_empty (sub))
    cube_check_relative_path (check->errors, &CUBE_AT (path, "subPath"), sub);
  if (!cube_is_empty (expression))
    {
      if (!cube_is_empty (sub))
        cube_check_add (check->errors, "Invalid", &CUBE_AT (path, "subPathExpr"), expression,
                        "subPathExpr and subPath are mutually exclusive");
      cube_check_relative_path (check->errors, &CUBE_AT (path, "subPathExpr"), expression);
    }
  if (g_strcmp0 (spread, "Bidirectional") == 0 && !cube_view_get_bool (check->container, FALSE, "securityContext", "privileged"))
    cube_check_add (check->errors, "Forbidden", &CUBE_AT (path, "mountPropagation"), propagation,
                    "Bidirectional mount propagation is available only to privileged containers");
  if (how == NULL || strcmp (how, "Disabled") == 0)
    return;
  CubePath at = CUBE_AT (path, "recursiveReadOnly");
  if (strcmp (how, "Enabled") != 0 && strcmp (how, "IfPossible") != 0)
    {
      cube_check_add (check->errors, "NotSupported", &at, recursive, "supported values: \"Disabled\", \"Enabled\", \"IfPossible\"");
      return;
    }
  if (!cube_view_get_bool (mount, FALSE, "readOnly"))
    cube_check_add (check->errors, "Forbidden", &at, recursive, "may only be specified when readOnly is true");
  if (spread != NULL && strcmp (spread, "None") != 0)
    cube_check_add (check->errors, "Forbidden", &at, recursive, "may only be specified when mountPropagation is None or not specified");
}

static void
check_mounts (const CubeContainerCheck *check, const CubePath *path, CubeView mounts, CubeView devices)
{
  g_autoptr (GHashTable) paths = NULL;
  CubeIter it;
  CubeView v;
  guint i = 0;
  for (cube_iter_init (&it, mounts); cube_iter_next (&it, NULL, &v); i++)
    {
      CubePath at = CUBE_AT_INDEX (path, i);
      CubeView name = cube_view_member (v, "name"), where = cube_view_member (v, "mountPath");
      if (!cube_is_empty (name) && !cube_view_exists (find_volume (check->pod, name)))
        cube_check_add (check->errors, "NotFound", &CUBE_AT (&at, "name"), name, "%s", "");
      if (cube_list_names (devices, "name", name))
        cube_check_add (check->errors, "Invalid", &CUBE_AT (&at, "name"), name, "must not already exist in volumeDevices");
      if (!cube_is_empty (where) && !cube_check_unique (&paths, cube_view_string_or (where, "")))
        cube_check_add (check->errors, "Invalid", &CUBE_AT (&at, "mountPath"), where, "must be unique");
      if (cube_list_names (devices, "devicePath", where))
        cube_check_add (check->errors, "Invalid", &CUBE_AT (&at, "mountPath"), where, "must not already exist as a path in volumeDevices");
      check_mount_details (check, path, v);
    }
}

static void
check_devices (const CubeContainerCheck *check, const CubePath *path, CubeView devices, CubeView mounts)
{
  g_autoptr (GHashTable) names = NULL, paths = NULL;
  CubeIter it;
  CubeView v;
  guint i = 0;
  for (cube_iter_init (&it, devices); cube_iter_next (&it, NULL, &v); i++)
    {
      CubePath at = CUBE_AT_INDEX (path, i);
      CubeView name = cube_view_member (v, "name"), where = cube_view_member (v, "devicePath"), volume = find_volume (check->pod, name);
      if (!cube_is_empty (name) && !cube_check_unique (&names, cube_view_string_or (name, "")))
        cube_check_add (check->errors, "Invalid", &CUBE_AT (&at, "name"), name, "must be unique");
      if (!cube_is_empty (name) && !cube_view_exists (volume))
        cube_check_add (check->errors, "NotFound", &CUBE_AT (&at, "name"), name, "%s", "");
      else if (!cube_is_empty (name) && !cube_view_exists (cube_view_member (volume, "persistentVolumeClaim"))
               && !cube_view_exists (cube_view_member (volume, "ephemeral")))
        cube_check_add (check->errors, "Invalid", &CUBE_AT (&at, "name"), name,
                        "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode");
      if (cube_list_names (mounts, "name", name))
        cube_check_add (check->errors, "Invalid", &CUBE_AT (&at, "name"), name, "must not already exist in volumeMounts");
      if (!cube_is_empty (where) && !cube_check_unique (&paths, cube_view_string_or (where, "")))
        cube_check_add (check->errors, "Invalid", &CUBE_AT (&at, "devicePath"), where, "must be unique");
      if (strstr (cube_view_string_or (where, ""), "..") != NULL)
        cube_check_add (check->errors, "Invalid", &CUBE_AT (&at, "devicePath"), where, "can not contain backsteps ('..')");
      if (cube_list_names (mounts, "mountPath", where))
        cube_check_add (check->errors, "Invalid", &CUBE_AT (&at, "devicePath"), where, "must not already exist as a path in volumeMounts");
    }
}

/* ---- probes and lifecycle ---- */

static void
check_handler (const CubeContainerCheck *check, const CubePath *path, CubeView handler)
{
  static const char *const kinds[] = { "exec", "httpGet", "tcpSocket", "grpc", "sleep" };
  guint n = 0;
  for (guint i = 0; i < G_N_ELEMENTS (kinds); i++)
    {
      CubeView action = cube_view_member (handler, kinds[i]), v;
      CubePath at = CUBE_AT (path, kinds[i]);
      if (!cube_view_exists (action))
        continue;
      if (n++ > 0)
        {
          cube_check_add (check->errors, "Forbidden", &at, cube_view_none (), "may not specify more than 1 handler type");
          continue;
        }
      if (i == 0)
        cube_check_required (check->errors, &at, action, "command", "");
      if (i == 1 || i == 2)
        cube_check_port (check->errors, &CUBE_AT (&at, "port"), cube_view_member (action, "port"));
      if (i == 3 && (cube_view_get_int (action, 0, "port") < 1 || cube_view_get_int (action, 0, "port") > 65535))
        cube_check_add (check->errors, "Invalid", &CUBE_AT (&at, "port"), cube_view_member (action, "port"),
                        "must be between 1 and 65535, inclusive");
      CubeIter it;
      const char *why;
      for (cube_iter_init (&it, cube_view_member (action, "httpHeaders")); cube_iter_next (&it, NULL, &v);)
        if ((why = cube_name_check_header (cube_view_string_or (cube_view_member (v, "name"), ""))) != NULL)
          cube_check_add_text (check->errors, "Invalid", &CUBE_AT (&at, "httpHeaders"),
                               cube_view_string_or (cube_view_member (v, "name"), ""), "%s", why);
      gint64 grace = cube_view_get_int (check->pod->spec, 30, "terminationGracePeriodSeconds"),
             seconds = cube_view_get_int (action, 0, "seconds");
      if (i == 4 && (seconds < 0 || seconds > grace))
        cube_check_add (check->errors, "Invalid", &at, cube_view_member (action, "seconds"),
                        "must be non-negative and less than terminationGracePeriodSeconds (%" G_GINT64_FORMAT ")", grace);
    }
  if (n == 0)
    cube_check_add (check->errors, "Required", path, cube_view_none (), "must specify a handler type");
}

static void
check_probe (const CubeContainerCheck *check, const CubePath *path, CubeView probe, const char *name)
{
  CubeView grace = cube_view_member (probe, "terminationGracePeriodSeconds"), successes = cube_view_member (probe, "successThreshold");
  if (!cube_view_exists (probe))
    return;
  check_handler (check, path, probe);
  gboolean is_readiness = strcmp (name, "readinessProbe") == 0;
  if (cube_view_exists (grace) && is_readiness)
    cube_check_add (check->errors, "Invalid", &CUBE_AT (path, "terminationGracePeriodSeconds"), grace,
                    "must not be set for readinessProbes");
  else if (cube_view_exists (grace) && cube_view_int (grace, 0) <= 0)
    cube_check_add (check->errors, "Invalid", &CUBE_AT (path, "terminationGracePeriodSeconds"), grace, "must be greater than 0");
  if (!is_readiness && cube_view_int (successes, 1) != 1)
    cube_check_add (check->errors, "Invalid", &CUBE_AT (path, "successThreshold"), successes, "must be 1");
}

static void
check_lifecycle (const CubeContainerCheck *check, const CubePath *path, CubeView lifecycle)
{
  static const char *const moments[] = { "postStart", "preStop" };
  for (guint i = 0; i < G_N_ELEMENTS (moments); i++)
    if (cube_view_exists (cube_view_member (lifecycle, moments[i])))
      check_handler (check, &CUBE_AT (path, moments[i]), cube_view_member (lifecycle, moments[i]));
  CubeView signal = cube_view_member (lifecycle, "stopSignal");
  if (!cube_view_exists (signal))
    return;
  if (*check->pod->os == '\0')
    cube_check_add (check->errors, "Forbidden", &CUBE_AT (path, "stopSignal"), signal,
                    "may not be set for containers with empty `spec.os.name`");
  else if (strcmp (check->pod->os, "windows") == 0 && g_strcmp0 (cube_view_string (signal), "SIGKILL") != 0
           && g_strcmp0 (cube_view_string (signal), "SIGTERM") != 0)
    cube_check_add (check->errors, "NotSupported", &CUBE_AT (path, "stopSignal"), signal, "supported values: \"SIGKILL\", \"SIGTERM\"");
}

static void
check_probes (const CubeContainerCheck *check, const CubePath *path)
{
  static const char *const names[] = { "livenessProbe", "readinessProbe", "startupProbe", "lifecycle" };
  for (guint i = 0; i < G_N_ELEMENTS (names); i++)
    {
      CubeView value = cube_view_member (check->container, names[i]);
      CubePath at = CUBE_AT (path, names[i]);
      if (!cube_view_exists (value))
        continue;
      if (check->kind == CUBE_CONTAINER_INIT && !check->is_sidecar)
        cube_check_add (check->errors, "Forbidden", &at, cube_view_none (),
                        "may not be set for init containers without restartPolicy=Always");
      else if (i < 3)
        check_probe (check, &at, value, names[i]);
      else
        check_lifecycle (check, &at, value);
    }
}

/* ---- the container ---- */

static void
check_ephemeral (const CubeContainerCheck *check, const CubePath *path)
{
  static const char *const never[] = { "ports",     "resources",    "livenessProbe", "readinessProbe",    "startupProbe",
                                       "lifecycle", "resizePolicy", "restartPolicy", "restartPolicyRules" };
  static const char *const paths[] = { "subPath", "subPathExpr" };
  CubeView target = cube_view_member (check->container, "targetContainerName"), v;
  CubePath mounts = CUBE_AT (path, "volumeMounts");
  CubeIter it;
  guint index = 0;
  for (cube_iter_init (&it, cube_view_member (check->container, "volumeMounts")); cube_iter_next (&it, NULL, &v); index++)
    for (guint i = 0; i < G_N_ELEMENTS (paths); i++)
      {
        CubePath at = CUBE_AT_INDEX (&mounts, index);
        if (!cube_is_empty (cube_view_member (v, paths[i])))
          cube_check_forbidden (check->errors, &CUBE_AT (&at, paths[i]), "cannot be set for an Ephemeral Container");
      }
  for (guint i = 0; i < G_N_ELEMENTS (never); i++)
    if (!cube_is_empty (cube_view_member (check->container, never[i])))
      cube_check_add (check->errors, "Forbidden", &CUBE_AT (path, never[i]), cube_view_none (), "cannot be set for an Ephemeral Container");
  if (!cube_is_empty (target) && !cube_list_names (cube_view_member (check->pod->spec, "containers"), "name", target)
      && !cube_list_names (cube_view_member (check->pod->spec, "initContainers"), "name", target))
    cube_check_add (check->errors, "NotFound", &CUBE_AT (path, "targetContainerName"), target, "%s", "");
}

static void
check_image (const CubeContainerCheck *check, const CubePath *path)
{
  CubeView image = cube_view_member (check->container, "image");
  const char *text = cube_view_string_or (image, "");
  gsize length = strlen (text);
  if (length == 0)
    cube_check_add (check->errors, "Required", &CUBE_AT (path, "image"), cube_view_none (), "%s", "");
  else if (!check->pod->is_template && (g_ascii_isspace (text[0]) || g_ascii_isspace (text[length - 1])))
    cube_check_add (check->errors, "Invalid", &CUBE_AT (path, "image"), image, "must not have leading or trailing whitespace");
}

static void
check_container (const CubeContainerCheck *check, const CubePath *path, GHashTable **names, GHashTable **host_ports)
{
  CubeView c = check->container, name = cube_view_member (c, "name");
  cube_check_name (check->errors, path, c, "name", cube_name_check_dns1123_label);
  if (!cube_is_empty (name) && !cube_check_unique (names, cube_view_string_or (name, "")))
    cube_check_add (check->errors, "Duplicate", &CUBE_AT (path, "name"), name, "%s", "");
  check_image (check, path);
  check_env (check, &CUBE_AT (path, "env"), cube_view_member (c, "env"));
  check_env_from (check, &CUBE_AT (path, "envFrom"), cube_view_member (c, "envFrom"));
  CubeView mounts = cube_view_member (c, "volumeMounts"), devices = cube_view_member (c, "volumeDevices");
  check_mounts (check, &CUBE_AT (path, "volumeMounts"), mounts, devices);
  check_devices (check, &CUBE_AT (path, "volumeDevices"), devices, mounts);
  cube_check_container_security (check->pod, &CUBE_AT (path, "securityContext"), cube_view_member (c, "securityContext"));
  if (check->kind == CUBE_CONTAINER_EPHEMERAL)
    {
      check_ephemeral (check, path);
      return;
    }
  check_ports (check, &CUBE_AT (path, "ports"), cube_view_member (c, "ports"), host_ports);
  CubeView resources = cube_view_member (c, "resources");
  CubePath resources_at = CUBE_AT (path, "resources");
  cube_check_container_resources (check, &resources_at, resources);
  cube_check_resize_policies (check, &CUBE_AT (path, "resizePolicy"), cube_view_member (c, "resizePolicy"));
  check_probes (check, path);
  cube_check_container_restart (check, path);
}

void
cube_check_containers (const CubePodCheck *pod, const CubePath *path)
{
  static const struct {
    CubeContainerKind kind;
    const char *list;
  } lists[] = { { CUBE_CONTAINER_REGULAR, "containers" },
                { CUBE_CONTAINER_INIT, "initContainers" },
                { CUBE_CONTAINER_EPHEMERAL, "ephemeralContainers" } };
  g_autoptr (GHashTable) names = NULL, host_ports = NULL;
  /* regular containers first, as Kubernetes does: a name that is taken twice is reported at the other kinds */
  for (guint l = 0; l < G_N_ELEMENTS (lists); l++)
    {
      CubeContainerIter iter;
      guint index;
      CubeContainerCheck check = { pod, pod->errors, cube_view_none (), lists[l].kind, FALSE };
      CubePath list = CUBE_AT (path, lists[l].list);
      cube_containers_init (&iter, pod->spec, lists[l].kind);
      while (cube_containers_next (&iter, &check.container, NULL, &index))
        {
          check.is_sidecar = g_strcmp0 (cube_view_string (cube_view_member (check.container, "restartPolicy")), "Always") == 0;
          check_container (&check, &CUBE_AT_INDEX (&list, index), &names, &host_ports);
        }
    }
}

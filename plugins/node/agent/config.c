/* SPDX-License-Identifier: Apache-2.0 */
/* From a pod's specification to what the runtime is told. */
#include "agent.h"
#include <string.h>
#include <sys/stat.h>

/* ---- pairs ---- */


static void
add_pair (GArray *pairs, NodeScratch *scratch, const char *key, const char *value)
{
  CubePair pair = { node_scratch_strdup (scratch, key), node_scratch_strdup (scratch, value != NULL ? value : "") };
  g_array_append_val (pairs, pair);
}

static void
add_map (GArray *pairs, NodeScratch *scratch, CubeView map)
{
  CubeIter it;
  const char *key;
  CubeView value;
  for (cube_iter_init (&it, map); cube_iter_next (&it, &key, &value);)
    add_pair (pairs, scratch, key, cube_view_string (value));
}

static const CubePair *
end_pairs (GArray *pairs, NodeScratch *scratch)
{
  CubePair *list = node_scratch_alloc (scratch, (pairs->len + 1) * sizeof *list);
  if (pairs->len > 0)
    memcpy (list, pairs->data, pairs->len * sizeof *list);
  g_array_unref (pairs);
  return list;
}

static GArray *
new_pairs (void)
{
  return g_array_new (FALSE, FALSE, sizeof (CubePair));
}

/* ---- security ---- */

/* The container's word, else the pod's. */
static CubeView
security_member (CubeView pod_spec, CubeView container, const char *key)
{
  CubeView own = cube_view_get (container, "securityContext", key);
  return cube_view_exists (own) ? own : cube_view_get (pod_spec, "securityContext", key);
}

static const char *
profile_name (CubeView profile, NodeScratch *scratch)
{
  const char *type = cube_view_get_string (profile, "type");
  if (g_strcmp0 (type, "Localhost") == 0)
    return node_scratch_printf (scratch, "localhost/%s", cube_view_string_or (cube_view_member (profile, "localhostProfile"), ""));
  return type;
}

static void
fill_user (CubeView pod_spec, CubeView container, CubeSecurityContext *security, NodeScratch *scratch)
{
  CubeView user = security_member (pod_spec, container, "runAsUser"), group = security_member (pod_spec, container, "runAsGroup");
  CubeView more = cube_view_get (pod_spec, "securityContext", "supplementalGroups"),
           fs_group = cube_view_get (pod_spec, "securityContext", "fsGroup");
  guint n = cube_view_length (more);
  gint64 *groups = node_scratch_alloc (scratch, (n + 1) * sizeof *groups);
  security->has_run_as_user = cube_view_exists (user);
  security->run_as_user = cube_view_int (user, 0);
  security->has_run_as_group = cube_view_exists (group);
  security->run_as_group = cube_view_int (group, 0);
  for (guint i = 0; i < n; i++)
    groups[i] = cube_view_int (cube_view_element (more, i), 0);
  if (cube_view_exists (fs_group))
    groups[n++] = cube_view_int (fs_group, 0);
  security->supplemental_groups = groups;
  security->n_supplemental_groups = n;
}

static void
fill_namespaces (CubeView pod_spec, CubeSecurityContext *security)
{
  security->network = cube_view_get_bool (pod_spec, FALSE, "hostNetwork") ? CUBE_NAMESPACE_NODE : CUBE_NAMESPACE_POD;
  security->ipc = cube_view_get_bool (pod_spec, FALSE, "hostIPC") ? CUBE_NAMESPACE_NODE : CUBE_NAMESPACE_POD;
  security->pid = cube_view_get_bool (pod_spec, FALSE, "hostPID")                 ? CUBE_NAMESPACE_NODE
                  : cube_view_get_bool (pod_spec, FALSE, "shareProcessNamespace") ? CUBE_NAMESPACE_POD
                                                                                  : CUBE_NAMESPACE_CONTAINER;
}

void
node_config_security (CubeView pod_spec, CubeView container, CubeSecurityContext *security, NodeScratch *scratch)
{
  CubeView own = cube_view_member (container, "securityContext");
  CubeView selinux = security_member (pod_spec, container, "seLinuxOptions"),
           apparmor = security_member (pod_spec, container, "appArmorProfile");
  CubeView escalation = cube_view_member (own, "allowPrivilegeEscalation");
  static const char *const nothing[] = { NULL };
  fill_user (pod_spec, container, security, scratch);
  fill_namespaces (pod_spec, security);
  security->is_privileged = cube_view_get_bool (own, FALSE, "privileged");
  security->is_readonly_rootfs = cube_view_get_bool (own, FALSE, "readOnlyRootFilesystem");
  security->no_new_privs = cube_view_exists (escalation) && !cube_view_bool (escalation, TRUE);
  security->add_capabilities = node_scratch_texts (scratch, cube_view_get (own, "capabilities", "add"));
  security->drop_capabilities = node_scratch_texts (scratch, cube_view_get (own, "capabilities", "drop"));
  security->seccomp_profile = profile_name (security_member (pod_spec, container, "seccompProfile"), scratch);
  if (security->seccomp_profile == NULL)
    security->seccomp_profile = "Unconfined"; /* seccompDefault is off */
  security->apparmor_profile = profile_name (apparmor, scratch);
  security->selinux_user = cube_view_get_string (selinux, "user");
  security->selinux_role = cube_view_get_string (selinux, "role");
  security->selinux_type = cube_view_get_string (selinux, "type");
  security->selinux_level = cube_view_get_string (selinux, "level");
  if (g_strcmp0 (cube_view_get_string (own, "procMount"), "Unmasked") == 0)
    security->masked_paths = security->readonly_paths = nothing;
}

/* Source: runAsNonRoot is verified by the one who starts it. */
static gboolean
check_non_root (NodeJob *job, CubeView container, const CubeSecurityContext *security, GError **error)
{
  const char *name = cube_view_get_string (container, "name");
  CubeView wanted = security_member (job->spec, container, "runAsNonRoot");
  if (!cube_view_bool (wanted, FALSE))
    return TRUE;
  if (security->has_run_as_user)
    {
      if (security->run_as_user != 0)
        return TRUE;
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_INVALID,
                   "container's runAsUser breaks non-root policy (pod: \"%s_%s(%s)\", container: %s)", job->pod->name, job->pod->ns,
                   job->pod->uid, name);
      return FALSE;
    }
  CubeImage *image =
      job->runtime.ops->image_status (job->runtime.state, cube_view_string_or (cube_view_member (container, "image"), ""), NULL);
  gboolean is_root = image == NULL || (image->has_uid ? image->uid == 0 : image->username == NULL || *image->username == '\0');
  gboolean is_named = image != NULL && !image->has_uid && image->username != NULL && *image->username != '\0';
  if (is_named)
    g_set_error (
        error, CUBE_ERROR, CUBE_ERROR_INVALID,
        "container has runAsNonRoot and image has non-numeric user (%s), cannot verify user is non-root (pod: \"%s_%s(%s)\", container: %s)",
        image->username, job->pod->name, job->pod->ns, job->pod->uid, name);
  else if (is_root)
    g_set_error (error, CUBE_ERROR, CUBE_ERROR_INVALID,
                 "container has runAsNonRoot and image will run as root (pod: \"%s_%s(%s)\", container: %s)", job->pod->name, job->pod->ns,
                 job->pod->uid, name);
  cube_image_free (image);
  return !is_root && !is_named;
}

/* ---- sandbox ---- */

static void
fill_ports (NodeJob *job, CubeSandboxConfig *config, NodeScratch *scratch)
{
  CubeContainerIter it;
  CubeView container, port;
  CubeIter ports;
  guint n = 0;
  for (cube_containers_init (&it, job->spec, CUBE_CONTAINER_REGULAR | CUBE_CONTAINER_INIT);
       cube_containers_next (&it, &container, NULL, NULL);)
    n += cube_view_length (cube_view_member (container, "ports"));
  config->ports = node_scratch_alloc (scratch, (n + 1) * sizeof *config->ports);
  for (cube_containers_init (&it, job->spec, CUBE_CONTAINER_REGULAR | CUBE_CONTAINER_INIT);
       cube_containers_next (&it, &container, NULL, NULL);)
    for (cube_iter_init (&ports, cube_view_member (container, "ports")); cube_iter_next (&ports, NULL, &port);)
      {
        const char *protocol = cube_view_string_or (cube_view_member (port, "protocol"), "TCP");
        if (cube_view_get_int (port, 0, "hostPort") == 0 || config->security.network == CUBE_NAMESPACE_NODE)
          continue;
        guint at = config->n_ports++;
        config->ports[at].protocol = g_str_equal (protocol, "UDP") ? 1 : g_str_equal (protocol, "SCTP") ? 2 : 0;
        config->ports[at].container_port = (gint32) cube_view_get_int (port, 0, "containerPort");
        config->ports[at].host_port = (gint32) cube_view_get_int (port, 0, "hostPort");
        config->ports[at].host_ip = cube_view_get_string (port, "hostIP");
      }
}

static void
fill_sandbox_resources (NodeJob *job, CubeSandboxConfig *config)
{
  gint64 millis = cube_pod_request (job->spec, "cpu"), quota = cube_pod_limit (job->spec, "cpu"),
         memory = cube_pod_limit (job->spec, "memory");
  config->resources.cpu_shares = millis <= 0 ? 2 : CLAMP (millis * 1024 / 1000, 2, 262144);
  if (quota > 0)
    {
      config->resources.cpu_period = 100000;
      config->resources.cpu_quota = MAX (quota * 100, 1000);
    }
  config->resources.memory_limit_bytes = MAX (memory, 0);
}

static const CubePair *
sandbox_sysctls (NodeJob *job, NodeScratch *scratch)
{
  GArray *pairs = new_pairs ();
  CubeIter it;
  CubeView sysctl;
  for (cube_iter_init (&it, cube_view_get (job->spec, "securityContext", "sysctls")); cube_iter_next (&it, NULL, &sysctl);)
    add_pair (pairs, scratch, cube_view_string_or (cube_view_member (sysctl, "name"), ""), cube_view_get_string (sysctl, "value"));
  return end_pairs (pairs, scratch);
}

CubeSandboxConfig *
node_config_sandbox (NodeJob *job, guint attempt, NodeScratch *scratch, GError **error)
{
  CubeSandboxConfig *config = node_scratch_alloc (scratch, sizeof *config);
  NodePod *pod = job->pod;
  GArray *labels = new_pairs (), *annotations = new_pairs ();
  g_autofree char *domain = NULL;
  config->name = pod->name;
  config->uid = pod->uid;
  config->ns = pod->ns;
  config->attempt = attempt;
  config->hostname = node_scratch_take (scratch, node_dns_hostname (cube_value_root (job->value), &domain, job->agent->cluster_domain));
  if (domain != NULL && cube_view_get_bool (job->spec, FALSE, "setHostnameAsFQDN"))
    {
      config->hostname = node_scratch_printf (scratch, "%s.%s", config->hostname, domain);
      if (strlen (config->hostname) > 64)
        {
          g_set_error (
              error, CUBE_ERROR, CUBE_ERROR_INVALID,
              "failed to construct FQDN from pod hostname and cluster domain, FQDN %s is too long (64 characters is the max, %zu characters requested)",
              config->hostname, strlen (config->hostname));
          g_array_unref (labels);
          g_array_unref (annotations);
          return NULL;
        }
    }
  config->log_directory = node_scratch_printf (scratch, "%s/%s_%s_%s", job->agent->logs_dir, pod->ns, pod->name, pod->uid);
  add_map (labels, scratch, cube_value_get (job->value, "metadata", "labels"));
  add_pair (labels, scratch, NODE_LABEL_POD_NAME, pod->name);
  add_pair (labels, scratch, NODE_LABEL_POD_NAMESPACE, pod->ns);
  add_pair (labels, scratch, NODE_LABEL_POD_UID, pod->uid);
  config->labels = end_pairs (labels, scratch);
  add_map (annotations, scratch, cube_value_get (job->value, "metadata", "annotations"));
  add_pair (annotations, scratch, NODE_ANNOTATION_OWNER, job->agent->owner);
  config->annotations = end_pairs (annotations, scratch);
  config->sysctls = sandbox_sysctls (job, scratch);
  node_config_security (job->spec, cube_view_none (), &config->security, scratch);
  if (g_str_equal (config->security.seccomp_profile, "Unconfined"))
    config->security.seccomp_profile = "RuntimeDefault"; /* of the pause process */
  if (config->security.network == CUBE_NAMESPACE_NODE)
    config->hostname = NULL;
  node_dns_fill (job, config, scratch);
  fill_ports (job, config, scratch);
  fill_sandbox_resources (job, config);
  return config;
}

/* ---- mounts ---- */

static gint32
propagation (CubeView mount)
{
  const char *text = cube_view_get_string (mount, "mountPropagation");
  return g_strcmp0 (text, "Bidirectional") == 0 ? 2 : g_strcmp0 (text, "HostToContainer") == 0 ? 1 : 0;
}

static gboolean
volume_mount (NodeJob *job, CubeView mount, const char *container, guint index, GHashTable *env, CubeMount *ret, NodeScratch *scratch,
              GError **error)
{
  const char *name = cube_view_string_or (cube_view_member (mount, "name"), "");
  const char *path = job->volumes != NULL ? g_hash_table_lookup (job->volumes, name) : NULL;
  const char *sub_path = cube_view_get_string (mount, "subPath"), *expression = cube_view_get_string (mount, "subPathExpr");
  if (path == NULL)
    {
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_INVALID, "cannot find volume \"%s\" to mount into container", name);
      return FALSE;
    }
  if (expression != NULL && *expression != '\0')
    sub_path = node_scratch_take (scratch, node_env_expand (expression, env));
  if (sub_path != NULL && *sub_path != '\0')
    {
      g_autofree char *pod_dir = node_files_pod_dir (job->agent, job->pod->uid);
      g_autofree char *target = g_strdup_printf ("%s/volume-subpaths/%s/%s/%u", pod_dir, name, container, index);
      path = node_scratch_take (scratch, node_volumes_mount_sub_path (path, sub_path, target, error));
      if (path == NULL)
        {
          g_prefix_error (error, "failed to prepare subPath for volumeMount \"%s\": ", name);
          return FALSE;
        }
    }
  const char *target = cube_view_string_or (cube_view_member (mount, "mountPath"), "");
  ret->container_path = *target == '/' ? target : node_scratch_printf (scratch, "/%s", target);
  ret->host_path = path;
  ret->is_readonly = cube_view_get_bool (mount, FALSE, "readOnly");
  ret->propagation = propagation (mount);
  return TRUE;
}

/* The file a container may leave its last words in: POD_DIR/containers/NAME/RANDOM. */
static gboolean
message_mount (NodeJob *job, CubeView container, CubeMount *ret, NodeScratch *scratch, GError **error)
{
  g_autofree char *pod_dir = node_files_pod_dir (job->agent, job->pod->uid);
  const char *name = cube_view_get_string (container, "name");
  char *path = node_scratch_printf (scratch, "%s/containers/%s/%08x", pod_dir, name, (guint32) cube_context_random (job->agent->context));
  if (!node_files_write (path, "", 0, 0666, error))
    return FALSE;
  ret->host_path = path;
  ret->container_path = cube_view_string_or (cube_view_member (container, "terminationMessagePath"), "/dev/termination-log");
  return TRUE;
}

static gboolean
fill_mounts (NodeJob *job, CubeView container, GHashTable *env, CubeContainerConfig *config, const char **ret_message_file,
             NodeScratch *scratch, GError **error)
{
  CubeView list = cube_view_member (container, "volumeMounts"), mount;
  CubeMount *mounts = node_scratch_alloc (scratch, (cube_view_length (list) + 3) * sizeof *mounts);
  gboolean has_hosts = FALSE, has_message = FALSE;
  const char *message_path = cube_view_string_or (cube_view_member (container, "terminationMessagePath"), "/dev/termination-log");
  CubeIter it;
  config->mounts = mounts;
  for (cube_iter_init (&it, list); cube_iter_next (&it, NULL, &mount);)
    {
      if (!volume_mount (job, mount, config->name, config->n_mounts, env, &mounts[config->n_mounts], scratch, error))
        return FALSE;
      has_hosts |= g_str_equal (mounts[config->n_mounts].container_path, "/etc/hosts");
      has_message |= g_str_equal (mounts[config->n_mounts].container_path, message_path);
      config->n_mounts++;
    }
  if (!has_hosts)
    {
      g_autofree char *pod_dir = node_files_pod_dir (job->agent, job->pod->uid);
      if (!node_dns_write_hosts (job, error))
        return FALSE;
      mounts[config->n_mounts++] =
          (CubeMount){ .container_path = "/etc/hosts", .host_path = node_scratch_printf (scratch, "%s/etc-hosts", pod_dir) };
    }
  if (!has_message && *message_path != '\0')
    {
      if (!message_mount (job, container, &mounts[config->n_mounts], scratch, error))
        return FALSE;
      *ret_message_file = mounts[config->n_mounts++].host_path;
    }
  return TRUE;
}

/* ---- container ---- */

char *
node_config_hash (CubeView container)
{
  g_autoptr (GString) text = g_string_new ("{\"image\":");
  cube_json_append_string (text, cube_view_string_or (cube_view_member (container, "image"), ""), -1);
  g_string_append (text, ",\"name\":");
  cube_json_append_string (text, cube_view_string_or (cube_view_member (container, "name"), ""), -1);
  g_string_append_c (text, '}');
  return g_strdup_printf ("%x", cube_hash_fnv32a (text->str, text->len, 0));
}

static const char *const *
expand_list (CubeView list, GHashTable *env, NodeScratch *scratch)
{
  guint n = cube_view_length (list);
  const char **texts = node_scratch_alloc (scratch, (n + 1) * sizeof (char *));
  for (guint i = 0; i < n; i++)
    texts[i] = node_scratch_take (scratch, node_env_expand (cube_view_string_or (cube_view_element (list, i), ""), env));
  return n > 0 ? texts : NULL;
}

static const CubePair *
container_annotations (NodeJob *job, CubeView container, guint attempt, const char *message_file, NodeScratch *scratch)
{
  GArray *pairs = new_pairs ();
  CubeView pre_stop = cube_view_get (container, "lifecycle", "preStop");
  g_autofree char *hash = node_config_hash (container);
  add_pair (pairs, scratch, NODE_ANNOTATION_HASH, hash);
  add_pair (pairs, scratch, NODE_ANNOTATION_RESTART_COUNT, node_scratch_printf (scratch, "%u", attempt));
  add_pair (pairs, scratch, NODE_ANNOTATION_MESSAGE_PATH,
            cube_view_string_or (cube_view_member (container, "terminationMessagePath"), "/dev/termination-log"));
  add_pair (pairs, scratch, NODE_ANNOTATION_MESSAGE_POLICY,
            cube_view_string_or (cube_view_member (container, "terminationMessagePolicy"), "File"));
  if (message_file != NULL)
    add_pair (pairs, scratch, NODE_ANNOTATION_MESSAGE_FILE, message_file);
  if (cube_view_exists (pre_stop))
    add_pair (pairs, scratch, NODE_ANNOTATION_PRE_STOP, node_scratch_take (scratch, cube_view_to_json (pre_stop, NULL)));
  add_pair (pairs, scratch, NODE_ANNOTATION_GRACE,
            node_scratch_printf (scratch, "%" G_GINT64_FORMAT, cube_view_get_int (job->spec, 30, "terminationGracePeriodSeconds")));
  return end_pairs (pairs, scratch);
}

static const CubePair *
container_labels (NodeJob *job, const char *name, NodeScratch *scratch)
{
  GArray *pairs = new_pairs ();
  add_pair (pairs, scratch, NODE_LABEL_CONTAINER, name);
  add_pair (pairs, scratch, NODE_LABEL_POD_NAME, job->pod->name);
  add_pair (pairs, scratch, NODE_LABEL_POD_NAMESPACE, job->pod->ns);
  add_pair (pairs, scratch, NODE_LABEL_POD_UID, job->pod->uid);
  return end_pairs (pairs, scratch);
}

static void
fill_target (NodeJob *job, CubeView container, CubeContainerConfig *config)
{
  const char *target = cube_view_get_string (container, "targetContainerName");
  NodeContainer *running = target != NULL && *target != '\0' ? node_snapshot_find (job->snapshot, target, 0) : NULL;
  if (running == NULL)
    return;
  config->security.pid = CUBE_NAMESPACE_TARGET;
  config->security.target_id = running->status->id;
}

CubeContainerConfig *
node_config_container (NodeJob *job, CubeView container, CubeContainerKind kind, const char *image, guint attempt, NodeScratch *scratch,
                       GError **error)
{
  CubeContainerConfig *config = node_scratch_alloc (scratch, sizeof *config);
  g_autoptr (GHashTable) env = NULL;
  const char *message_file = NULL;
  config->name = cube_view_get_string (container, "name");
  config->attempt = attempt;
  config->image = image;
  config->user_image = cube_view_get_string (container, "image");
  config->env = node_env_build (job, container, &env, scratch, error);
  if (config->env == NULL)
    return NULL;
  config->command = expand_list (cube_view_member (container, "command"), env, scratch);
  config->args = expand_list (cube_view_member (container, "args"), env, scratch);
  config->working_dir = cube_view_get_string (container, "workingDir");
  node_config_security (job->spec, container, &config->security, scratch);
  if (!check_non_root (job, container, &config->security, error)
      || !fill_mounts (job, container, env, config, &message_file, scratch, error))
    return NULL;
  config->labels = container_labels (job, config->name, scratch);
  config->annotations = container_annotations (job, container, attempt, message_file, scratch);
  config->log_path = node_scratch_printf (scratch, "%s/%u.log", config->name, attempt);
  config->stdin_open = cube_view_get_bool (container, FALSE, "stdin");
  config->stdin_once = cube_view_get_bool (container, FALSE, "stdinOnce");
  config->tty = cube_view_get_bool (container, FALSE, "tty");
  node_resources_fill (job->agent, job->spec, container, &config->resources);
  if (kind == CUBE_CONTAINER_EPHEMERAL)
    fill_target (job, container, config);
  g_autofree char *log_dir =
      g_strdup_printf ("%s/%s_%s_%s/%s", job->agent->logs_dir, job->pod->ns, job->pod->name, job->pod->uid, config->name);
  g_mkdir_with_parents (log_dir, 0755);
  return config;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* A container's environment: service variables, envFrom, env, references, $(NAME). Also the downward API's fields. */
#include "agent.h"
#include "downward.h"
#include <string.h>

typedef struct {
  NodeJob *job;
  CubeView container;
  GHashTable *map;  /* name → value */
  GPtrArray *order; /* names in order of first setting; borrowed from map's keys */
} Env;

static void
set_variable (Env *env, const char *name, const char *value)
{
  if (!g_hash_table_contains (env->map, name))
    {
      char *key = g_strdup (name);
      g_ptr_array_add (env->order, key);
      g_hash_table_insert (env->map, key, g_strdup (value));
      return;
    }
  g_hash_table_insert (env->map, g_strdup (name), g_strdup (value)); /* keeps the first key */
}

/* $(NAME) from @map; unknown stays; $$ is one $; $$(NAME) is the text $(NAME). */
char *
node_env_expand (const char *text, GHashTable *map)
{
  g_autoptr (GString) out = g_string_new (NULL);
  for (const char *at = text; *at != '\0';)
    {
      const char *end = at[0] == '$' && at[1] == '(' ? strchr (at + 2, ')') : NULL;
      if (at[0] == '$' && at[1] == '$')
        {
          g_string_append_c (out, '$');
          at += 2;
        }
      else if (end != NULL)
        {
          g_autofree char *name = g_strndup (at + 2, (gsize) (end - at - 2));
          const char *value = map != NULL ? g_hash_table_lookup (map, name) : NULL;
          if (value != NULL)
            g_string_append (out, value);
          else
            g_string_append_len (out, at, end + 1 - at);
          at = end + 1;
        }
      else
        g_string_append_c (out, *at++);
    }
  return g_string_free (g_steal_pointer (&out), FALSE);
}

/* ---- services ---- */

static void
add_service (Env *env, CubeView service)
{
  const char *name = cube_view_get_string (service, "metadata", "name"), *ip = cube_view_get_string (service, "spec", "clusterIP");
  CubeView ports = cube_view_get (service, "spec", "ports"), port;
  CubeIter it;
  guint index = 0;
  if (name == NULL || ip == NULL || *ip == '\0' || g_str_equal (ip, "None"))
    return;
  g_autofree char *prefix = g_ascii_strup (name, -1);
  g_strdelimit (prefix, "-", '_');
  g_autofree char *shown = strchr (ip, ':') != NULL ? g_strdup_printf ("[%s]", ip) : g_strdup (ip);
  g_autoptr (NodeScratch) scratch = node_scratch_new ();
  set_variable (env, node_scratch_printf (scratch, "%s_SERVICE_HOST", prefix), ip);
  for (cube_iter_init (&it, ports); cube_iter_next (&it, NULL, &port); index++)
    {
      const char *number = node_scratch_printf (scratch, "%" G_GINT64_FORMAT, cube_view_get_int (port, 0, "port"));
      const char *protocol = cube_view_string_or (cube_view_member (port, "protocol"), "TCP"), *label = cube_view_get_string (port, "name");
      const char *lower = node_scratch_take (scratch, g_ascii_strdown (protocol, -1));
      const char *url = node_scratch_printf (scratch, "%s://%s:%s", lower, shown, number);
      const char *base = node_scratch_printf (scratch, "%s_PORT_%s_%s", prefix, number, protocol);
      if (index == 0)
        {
          set_variable (env, node_scratch_printf (scratch, "%s_SERVICE_PORT", prefix), number);
          set_variable (env, node_scratch_printf (scratch, "%s_PORT", prefix), url);
        }
      if (label != NULL && *label != '\0')
        {
          g_autofree char *upper = g_ascii_strup (label, -1);
          g_strdelimit (upper, "-", '_');
          set_variable (env, node_scratch_printf (scratch, "%s_SERVICE_PORT_%s", prefix, upper), number);
        }
      set_variable (env, base, url);
      set_variable (env, node_scratch_printf (scratch, "%s_PROTO", base), lower);
      set_variable (env, node_scratch_printf (scratch, "%s_PORT", base), number);
      set_variable (env, node_scratch_printf (scratch, "%s_ADDR", base), ip);
    }
}

static void
add_services (Env *env)
{
  NodeJob *job = env->job;
  const CubeResource *services = node_agent_resource (job->agent, "v1", "services");
  if (services == NULL)
    return;
  g_autoptr (CubeObject) kubernetes = cube_client_get (job->agent->client, services, "default", "kubernetes", NULL);
  if (kubernetes != NULL)
    {
      g_autoptr (CubeValue) value = cube_object_value (kubernetes);
      add_service (env, cube_value_root (value));
    }
  if (!cube_view_get_bool (job->spec, TRUE, "enableServiceLinks"))
    return;
  if (job->services == NULL)
    job->services = cube_client_list (job->agent->client, services, job->pod->ns, NULL, NULL, NULL);
  for (guint i = 0; job->services != NULL && i < job->services->len; i++)
    {
      g_autoptr (CubeValue) value = cube_object_value (job->services->pdata[i]);
      if (g_strcmp0 (cube_view_string (cube_value_get (value, "spec", "type")), "ExternalName") != 0)
        add_service (env, cube_value_root (value));
    }
}

/* ---- references ---- */

/* A ConfigMap or Secret. NULL without error: it is not there and need not be. */
static CubeValue *
get_source (NodeJob *job, const char *resource, const char *kind, const char *name, gboolean is_optional, GError **error)
{
  g_autoptr (GError) problem = NULL;
  g_autoptr (CubeObject) object =
      cube_client_get (job->agent->client, node_agent_resource (job->agent, "v1", resource), job->pod->ns, name, &problem);
  if (object != NULL)
    return cube_object_value (object);
  if (!g_error_matches (problem, CUBE_ERROR, CUBE_ERROR_NOT_FOUND))
    g_propagate_error (error, g_steal_pointer (&problem));
  else if (!is_optional)
    g_set_error (error, CUBE_ERROR, CUBE_ERROR_NOT_FOUND, "%s \"%s\" not found", kind, name);
  return NULL;
}

/* One value of it as text: base64 undone for secrets and binaryData. (transfer full) */
static char *
source_text (CubeView source, gboolean is_secret, const char *key)
{
  const char *text = cube_view_get_string (source, "data", key);
  if (text == NULL || !is_secret)
    return g_strdup (text);
  gsize length = 0;
  g_autofree guchar *bytes = g_base64_decode (text, &length);
  return g_strndup ((const char *) bytes, length);
}

static gboolean
add_key_ref (Env *env, const char *name, CubeView ref, gboolean is_secret, GError **error)
{
  NodeJob *job = env->job;
  const char *source_name = cube_view_string_or (cube_view_member (ref, "name"), ""),
             *key = cube_view_string_or (cube_view_member (ref, "key"), "");
  gboolean is_optional = cube_view_get_bool (ref, FALSE, "optional");
  GError *problem = NULL;
  g_autoptr (CubeValue) source =
      get_source (job, is_secret ? "secrets" : "configmaps", is_secret ? "secret" : "configmap", source_name, is_optional, &problem);
  if (problem != NULL)
    {
      g_propagate_error (error, problem);
      return FALSE;
    }
  g_autofree char *text = source != NULL ? source_text (cube_value_root (source), is_secret, key) : NULL;
  if (text != NULL)
    set_variable (env, name, text);
  else if (!is_optional)
    {
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_NOT_FOUND, "couldn't find key %s in %s %s/%s", key, is_secret ? "Secret" : "ConfigMap",
                   job->pod->ns, source_name);
      return FALSE;
    }
  return TRUE;
}

static gboolean
add_from (Env *env, CubeView from, GError **error)
{
  const char *prefix = cube_view_string_or (cube_view_member (from, "prefix"), "");
  gboolean is_secret = cube_view_exists (cube_view_member (from, "secretRef"));
  CubeView ref = cube_view_member (from, is_secret ? "secretRef" : "configMapRef");
  GError *problem = NULL;
  g_autoptr (CubeValue) source =
      get_source (env->job, is_secret ? "secrets" : "configmaps", is_secret ? "secret" : "configmap",
                  cube_view_string_or (cube_view_member (ref, "name"), ""), cube_view_get_bool (ref, FALSE, "optional"), &problem);
  if (problem != NULL)
    {
      g_propagate_error (error, problem);
      return FALSE;
    }
  CubeIter it;
  const char *key;
  for (cube_iter_init (&it, source != NULL ? cube_value_get (source, "data") : cube_view_none ()); cube_iter_next (&it, &key, NULL);)
    {
      g_autofree char *name = g_strconcat (prefix, key, NULL);
      g_autofree char *text = source_text (cube_value_root (source), is_secret, key);
      if (text != NULL && strchr (name, '=') == NULL)
        set_variable (env, name, text);
    }
  return TRUE;
}

static CubeView
find_container (CubeView spec, const char *name)
{
  CubeContainerIter it;
  CubeView container;
  for (cube_containers_init (&it, spec, CUBE_CONTAINER_ALL); cube_containers_next (&it, &container, NULL, NULL);)
    if (g_strcmp0 (cube_view_get_string (container, "name"), name) == 0)
      return container;
  return cube_view_none ();
}

static gboolean
add_field_ref (Env *env, const char *name, CubeView from, GError **error)
{
  NodeJob *job = env->job;
  CubeView pod = cube_value_root (job->value), resource = cube_view_member (from, "resourceFieldRef");
  const NodeMachine *machine = job->agent->machine;
  CubeDownwardNode node = { job->agent->node_name, machine->ip, machine->cpus * 1000, machine->allocatable_memory_bytes,
                            machine->allocatable_disk_bytes };
  g_autofree char *text = NULL;
  if (cube_view_exists (resource))
    {
      const char *other = cube_view_get_string (resource, "containerName");
      CubeView container = other != NULL && *other != '\0' ? find_container (job->spec, other) : env->container;
      text = cube_downward_resource (pod, container, cube_view_get_string (resource, "resource"),
                                     cube_view_get_string (resource, "divisor"), &node, error);
    }
  else
    text = cube_downward_field (pod, cube_view_get_string (from, "fieldRef", "fieldPath"), &node, job->ips, error);
  if (text != NULL)
    set_variable (env, name, text);
  return text != NULL;
}

static gboolean
add_variable (Env *env, CubeView variable, GError **error)
{
  const char *name = cube_view_string_or (cube_view_member (variable, "name"), "");
  CubeView from = cube_view_member (variable, "valueFrom");
  if (!cube_view_exists (from))
    {
      g_autofree char *value = node_env_expand (cube_view_string_or (cube_view_member (variable, "value"), ""), env->map);
      set_variable (env, name, value);
      return TRUE;
    }
  if (cube_view_exists (cube_view_member (from, "configMapKeyRef")))
    return add_key_ref (env, name, cube_view_member (from, "configMapKeyRef"), FALSE, error);
  if (cube_view_exists (cube_view_member (from, "secretKeyRef")))
    return add_key_ref (env, name, cube_view_member (from, "secretKeyRef"), TRUE, error);
  return add_field_ref (env, name, from, error);
}

const CubePair *
node_env_build (NodeJob *job, CubeView container, GHashTable **ret_map, NodeScratch *scratch, GError **error)
{
  Env env = { .job = job, .container = container };
  CubeIter it;
  CubeView entry;
  gboolean ok = TRUE;
  env.map = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  env.order = g_ptr_array_new ();
  add_services (&env);
  for (cube_iter_init (&it, cube_view_member (container, "envFrom")); ok && cube_iter_next (&it, NULL, &entry);)
    ok = add_from (&env, entry, error);
  for (cube_iter_init (&it, cube_view_member (container, "env")); ok && cube_iter_next (&it, NULL, &entry);)
    ok = add_variable (&env, entry, error);
  CubePair *pairs = node_scratch_alloc (scratch, (env.order->len + 1) * sizeof *pairs);
  for (guint i = 0; i < env.order->len; i++)
    pairs[i] = (CubePair){ node_scratch_strdup (scratch, env.order->pdata[i]),
                           node_scratch_strdup (scratch, g_hash_table_lookup (env.map, env.order->pdata[i])) };
  g_ptr_array_unref (env.order);
  *ret_map = env.map;
  return ok ? pairs : NULL;
}

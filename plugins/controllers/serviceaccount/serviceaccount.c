/* SPDX-License-Identifier: Apache-2.0 */
/* Every namespace has a ServiceAccount "default" and a ConfigMap "kube-root-ca.crt" with the cluster's CA. */
#include <cube/controller.h>
#include <cube/plugin.h>
#include <string.h>

#define ROOT_CA "kube-root-ca.crt"
#define DESCRIPTION                                                                                                                                              \
  "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the internal service IP or kubernetes.default.svc. " \
  "No other usage is guaranteed across distributions of Kubernetes clusters."

/* The state: the CA's certificate, read at start. */
typedef struct {
  char *ca_pem;
} Accounts;

static gboolean
is_active (CubeControllerEnv *env, const char *ns)
{
  const CubeResource *namespaces = cube_schema_resource (cube_client_schema (env->client), "v1", "namespaces");
  g_autoptr (CubeObject) object = cube_client_get (env->client, namespaces, NULL, ns, NULL);
  return object != NULL && cube_object_deletion_timestamp (object) == NULL;
}

static CubeBuilder *
new_object (const char *kind, const char *ns, const char *name)
{
  CubeBuilder *builder = cube_builder_new ();
  CubeMut *root = cube_builder_root (builder);
  cube_mut_set_string (root, "apiVersion", "v1");
  cube_mut_set_string (root, "kind", kind);
  CubeMut *metadata = cube_mut_set_object (root, "metadata");
  cube_mut_set_string (metadata, "name", name);
  cube_mut_set_string (metadata, "namespace", ns);
  return builder;
}

/* A namespace that is going away takes nothing new: no failure. */
static gboolean
create (CubeControllerEnv *env, const CubeResource *resource, const char *ns, CubeBuilder *builder, GError **error)
{
  g_autoptr (GError) problem = NULL;
  g_autoptr (CubeValue) value = cube_builder_end (builder);
  g_autoptr (CubeObject) made = cube_client_create (env->client, resource, ns, value, &problem);
  if (made != NULL || g_error_matches (problem, CUBE_ERROR, CUBE_ERROR_ALREADY_EXISTS) || !is_active (env, ns))
    return TRUE;
  g_propagate_error (error, g_steal_pointer (&problem));
  return FALSE;
}

static gboolean
ensure_account (CubeControllerEnv *env, const char *ns, GError **error)
{
  const CubeResource *accounts = cube_schema_resource (cube_client_schema (env->client), "v1", "serviceaccounts");
  g_autoptr (CubeObject) there = cube_client_get (env->client, accounts, ns, "default", NULL);
  if (there != NULL)
    return TRUE;
  g_autoptr (CubeBuilder) builder = new_object ("ServiceAccount", ns, "default");
  return create (env, accounts, ns, builder, error);
}

static void
fill_root_ca (const Accounts *accounts, CubeMut *root)
{
  cube_mut_set_string (cube_mut_ensure (root, "metadata", "annotations"), "kubernetes.io/description", DESCRIPTION);
  cube_mut_set_string (cube_mut_set_object (root, "data"), "ca.crt", accounts->ca_pem);
}

static gboolean
restore_root_ca (CubeMut *root, CubeView current, gpointer data)
{
  const Accounts *accounts = data;
  if (g_strcmp0 (cube_view_get_string (current, "data", "ca.crt"), accounts->ca_pem) == 0
      && cube_view_length (cube_view_member (current, "data")) == 1)
    return FALSE;
  fill_root_ca (accounts, root);
  return TRUE;
}

static gboolean
ensure_root_ca (Accounts *accounts, CubeControllerEnv *env, const char *ns, GError **error)
{
  const CubeResource *maps = cube_schema_resource (cube_client_schema (env->client), "v1", "configmaps");
  g_autoptr (CubeObject) there = cube_client_get (env->client, maps, ns, ROOT_CA, NULL);
  if (accounts->ca_pem == NULL)
    return TRUE;
  if (there == NULL)
    {
      g_autoptr (CubeBuilder) builder = new_object ("ConfigMap", ns, ROOT_CA);
      fill_root_ca (accounts, cube_builder_root (builder));
      return create (env, maps, ns, builder, error);
    }
  g_autoptr (GError) problem = NULL;
  g_autoptr (CubeObject) changed = cube_client_modify (env->client, maps, NULL, ns, ROOT_CA, restore_root_ca, accounts, &problem);
  if (changed != NULL || g_error_matches (problem, CUBE_ERROR, CUBE_ERROR_NOT_FOUND))
    return TRUE;
  g_propagate_error (error, g_steal_pointer (&problem));
  return FALSE;
}

static gint64
reconcile (gpointer state, CubeControllerEnv *env, const char *key, GError **error)
{
  if (!is_active (env, key))
    return 0;
  return ensure_account (env, key, error) && ensure_root_ca (state, env, key, error) ? 0 : -1;
}

static gboolean
start (gpointer state, CubeControllerEnv *env, GError **error)
{
  Accounts *accounts = state;
  g_autoptr (GPtrArray) authorities = cube_registry_list (cube_context_registry (env->context), CUBE_CERTIFICATE_AUTHORITY);
  if (accounts->ca_pem != NULL || authorities->len == 0)
    return TRUE;
  const CubeImpl *authority = authorities->pdata[0];
  return ((const CubeCertificateAuthorityOps *) authority->ops)->get_ca (authority->state, &accounts->ca_pem, error);
}

/* Somebody touched what belongs here: look at its namespace. */
static void
map_part (gpointer state, CubeControllerEnv *env, CubeEventType type, CubeObject *object, CubeObject *old)
{
  const char *name = cube_object_name (object);
  if ((type == CUBE_EVENT_DELETED && strcmp (name, "default") == 0) || (type != CUBE_EVENT_ADDED && strcmp (name, ROOT_CA) == 0))
    cube_queue_add (env->queue, cube_object_namespace (object));
}

static gboolean
load (CubeContext *context, gpointer *ret_state, GError **error)
{
  *ret_state = g_new0 (Accounts, 1);
  return TRUE;
}

static void
unload (gpointer state)
{
  g_free (((Accounts *) state)->ca_pem);
  g_free (state);
}

static const CubeControllerWatch watches[] = {
  { "v1", "namespaces", NULL }, { "v1", "serviceaccounts", map_part }, { "v1", "configmaps", map_part }, { NULL, NULL, NULL }
};
static const CubeControllerOps ops = {
  .ops_size = sizeof (CubeControllerOps), .watches = watches, .reconcile = reconcile, .start = start, .workers = 2
};
static const CubeInterfaceImpl impls[] = { CUBE_IMPL (CUBE_CONTROLLER, CUBE_CONTROLLER_VERSION, "service-account", ops),
                                           { NULL, 0, 0, NULL, NULL } };
CUBE_PLUGIN_DEFINE (.name = "controllers-serviceaccount", .version = "1.0", .license = "Apache-2.0",
                    .description = "a default service account and the cluster's CA in every namespace", .impls = impls, .load = load,
                    .unload = unload);

/* SPDX-License-Identifier: Apache-2.0 */
/* serviceaccounts/token: a signed token from the cube.auth.TokenIssuer, bound to what the request names. */
#include "local-private.h"

#define DEFAULT_SECONDS 3600
#define MIN_SECONDS 600
#define MAX_SECONDS (G_GINT64_CONSTANT (1) << 32)

/* What the token is bound to; the objects keep the strings of the request alive. */
typedef struct {
  CubeTokenRequest request;
  CubeObject *bound, *node;
  CubeValue *bound_value;
} Binding;

static void
binding_clear (Binding *binding)
{
  cube_object_unref (binding->bound);
  cube_object_unref (binding->node);
  cube_value_unref (binding->bound_value);
}

static GError *
check_expiration (CubeCall *call, gint64 seconds)
{
  const char *text = seconds < MIN_SECONDS   ? "may not specify a duration less than 10 minutes"
                     : seconds > MAX_SECONDS ? "may not specify a duration larger than 2^32 seconds"
                                             : NULL;
  GError *error;

  if (text == NULL)
    return NULL;
  error =
      g_error_new (CUBE_ERROR, CUBE_ERROR_INVALID,
                   "TokenRequest.authentication.k8s.io \"%s\" is invalid: spec.expirationSeconds: Invalid value: %" G_GINT64_FORMAT ": %s",
                   call->name, seconds, text);
  cube_error_set_object (error, "authentication.k8s.io", "TokenRequest", call->name);
  cube_error_add_cause (error, "FieldValueInvalid", "spec.expirationSeconds", "Invalid value: %" G_GINT64_FORMAT ": %s", seconds, text);
  return error;
}

static GError *
bind_pod (CubeCall *call, Binding *binding)
{
  CubeView pod;
  const char *account, *node;

  binding->bound_value = cube_object_value (binding->bound);
  pod = cube_value_root (binding->bound_value);
  account = cube_view_get_string (pod, "spec", "serviceAccountName");
  node = cube_view_get_string (pod, "spec", "nodeName");
  if (g_strcmp0 (account, call->name) != 0)
    return g_error_new (CUBE_ERROR, CUBE_ERROR_BAD_REQUEST,
                        "cannot bind token for serviceaccount \"%s\" to pod running with different serviceaccount name.", call->name);
  binding->request.pod_name = cube_object_name (binding->bound);
  binding->request.pod_uid = cube_object_uid (binding->bound);
  if (node == NULL || *node == '\0')
    return NULL;
  binding->request.node_name = node;
  binding->node = cube_store_get (call->local->store, "/nodes", "", node);
  binding->request.node_uid = binding->node != NULL ? cube_object_uid (binding->node) : NULL;
  return NULL;
}

static GError *
bind_reference (CubeCall *call, CubeView reference, Binding *binding)
{
  const char *kind = cube_view_string_or (cube_view_member (reference, "kind"), ""),
             *version = cube_view_string_or (cube_view_member (reference, "apiVersion"), "");
  const char *name = cube_view_string_or (cube_view_member (reference, "name"), ""),
             *uid = cube_view_string (cube_view_member (reference, "uid"));
  const char *resource = g_str_equal (kind, "Pod")      ? "pods"
                         : g_str_equal (kind, "Secret") ? "secrets"
                         : g_str_equal (kind, "Node")   ? "nodes"
                                                        : NULL;
  g_autofree char *key = g_strdup_printf ("/%s", resource != NULL ? resource : "");

  if (resource == NULL || !g_str_equal (version, "v1"))
    return g_error_new (CUBE_ERROR, CUBE_ERROR_BAD_REQUEST, "cannot bind token to object of type %s, Kind=%s", version, kind);
  binding->bound = cube_store_get (call->local->store, key, g_str_equal (resource, "nodes") ? "" : call->ns, name);
  if (binding->bound == NULL)
    return cube_error_not_found ("", resource, name);
  if (uid != NULL && *uid != '\0' && !g_str_equal (uid, cube_object_uid (binding->bound)))
    {
      g_autofree char *why = g_strdup_printf (
          "the UID in the bound object reference (%s) does not match the UID in record. The object might have been deleted "
          "and then recreated",
          uid);

      return cube_error_conflict ("", resource, name, why);
    }
  if (g_str_equal (resource, "pods"))
    return bind_pod (call, binding);
  if (g_str_equal (resource, "secrets"))
    {
      binding->request.secret_name = cube_object_name (binding->bound);
      binding->request.secret_uid = cube_object_uid (binding->bound);
      return NULL;
    }
  binding->request.node_name = cube_object_name (binding->bound);
  binding->request.node_uid = cube_object_uid (binding->bound);
  return NULL;
}

static GPtrArray *
audiences_of (CubeView spec)
{
  GPtrArray *audiences = g_ptr_array_new ();
  CubeView element;
  const char *key;
  CubeIter it;

  for (cube_iter_init (&it, cube_view_member (spec, "audiences")); cube_iter_next (&it, &key, &element);)
    if (cube_view_string (element) != NULL)
      g_ptr_array_add (audiences, (gpointer) cube_view_string (element));
  g_ptr_array_add (audiences, NULL);
  return audiences;
}

static CubeValue *
make_answer (CubeCall *call, CubeView body, gint64 seconds, const char *token, gint64 expires_us)
{
  g_autoptr (CubeBuilder) builder = cube_builder_new_from (body);
  CubeMut *root = cube_builder_root (builder), *metadata, *status;
  char text[32];

  cube_mut_set_string (root, "kind", "TokenRequest");
  cube_mut_set_string (root, "apiVersion", "authentication.k8s.io/v1");
  metadata = cube_mut_ensure (root, "metadata");
  cube_mut_set_string (metadata, "name", call->name);
  cube_mut_set_string (metadata, "namespace", call->ns);
  cube_call_now (call, text);
  cube_mut_set_string (metadata, "creationTimestamp", text);
  cube_mut_set_int (cube_mut_ensure (root, "spec"), "expirationSeconds", seconds);
  status = cube_mut_set_object (root, "status");
  cube_mut_set_string (status, "token", token);
  cube_time_format (expires_us, text);
  cube_mut_set_string (status, "expirationTimestamp", text);
  return cube_builder_end (builder);
}

/* Asks the first issuer there is. */
static CubeCallState
issue (CubeCall *call, Binding *binding, CubeView body)
{
  g_autoptr (GPtrArray) issuers = cube_registry_list (call->local->registry, CUBE_TOKEN_ISSUER);
  g_autoptr (GPtrArray) audiences = audiences_of (cube_view_member (body, "spec"));
  g_autofree char *token = NULL;
  gint64 expires = 0;
  GError *error = NULL;
  const CubeImpl *impl;

  if (issuers->len == 0)
    return cube_call_fail (call, g_error_new_literal (CUBE_ERROR, CUBE_ERROR_NOT_IMPLEMENTED, "no plugin issues service account tokens"));
  impl = issuers->pdata[0];
  binding->request.ns = call->ns;
  binding->request.service_account = call->name;
  binding->request.service_account_uid = cube_object_uid (call->old);
  binding->request.audiences = audiences->len > 1 ? (const char *const *) audiences->pdata : NULL;
  if (!((const CubeTokenIssuerOps *) impl->ops)->issue (impl->state, &binding->request, &token, &expires, &error))
    return cube_call_fail (call, error);
  cube_admission_finish (call, NULL, TRUE);
  call->response->is_created = TRUE;
  return cube_call_answer_value (call, make_answer (call, body, binding->request.expiration_seconds, token, expires));
}

CubeCallState
cube_local_token (CubeCall *call)
{
  Binding binding = { .request.expiration_seconds = DEFAULT_SECONDS };
  CubeView body, reference;
  CubeCallState state;
  const char *name;
  GError *error;

  if (call->request->body == NULL || cube_view_type (cube_value_root (call->request->body)) != CUBE_VALUE_OBJECT)
    return cube_call_fail_bad_request (call, "the request has no body, wanted a TokenRequest");
  body = cube_value_root (call->request->body);
  name = cube_view_get_string (body, "metadata", "name");
  if (name != NULL && *name != '\0' && !g_str_equal (name, call->name))
    return cube_call_fail_bad_request (call, "the name of the object (%s) does not match the name on the URL (%s)", name, call->name);
  if (!cube_call_read_old (call))
    return CUBE_CALL_DONE;
  binding.request.expiration_seconds = cube_view_get_int (body, DEFAULT_SECONDS, "spec", "expirationSeconds");
  error = check_expiration (call, binding.request.expiration_seconds);
  if (error == NULL)
    cube_admission_pass (call, body, &error);
  reference = cube_view_get (body, "spec", "boundObjectRef");
  if (error == NULL && cube_view_type (reference) == CUBE_VALUE_OBJECT)
    error = bind_reference (call, reference, &binding);
  state = error != NULL ? cube_call_fail (call, error) : issue (call, &binding, body);
  binding_clear (&binding);
  return state;
}

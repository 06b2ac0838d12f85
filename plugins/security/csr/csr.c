/* SPDX-License-Identifier: Apache-2.0 */
/* cube.controller.Controller "certificatesigningrequest": approves what nodes may have, signs what is approved, deletes what is old. */
#include "rules.h"

#include <cube/controller.h>
#include <cube/scalar.h>
#include <string.h>

#define GROUP "certificates.k8s.io"
#define NODE_PREFIX "system:node:"
#define DEFAULT_SECONDS (365 * 24 * 3600)
#define ALIVE_US (40 * G_USEC_PER_SEC) /* a Lease younger than that: the machine is there */
/* Source: csrcleaner: an hour after the end, a day when nobody decided. */
#define DECIDED_US (3600 * (gint64) G_USEC_PER_SEC)
#define PENDING_US (24 * 3600 * (gint64) G_USEC_PER_SEC)

typedef struct {
  CubeContext *context;
  gint64 longest_seconds;
} State;

typedef struct {
  const char *type, *reason, *message;
  gint64 now_us;
} Condition;

static const CubeResource *
requests_of (State *state)
{
  return cube_schema_resource (cube_context_schema (state->context), GROUP "/v1", "certificatesigningrequests");
}

/* ---- writing ---- */

static gboolean
add_condition (CubeMut *root, CubeView current, gpointer data)
{
  const Condition *condition = data;
  char now[32];
  CubeMut *entry;

  if (cube_view_exists (cube_condition_find (cube_view_member (current, "status"), condition->type)))
    return FALSE;
  cube_time_format (condition->now_us, now);
  entry = cube_mut_append_object (cube_mut_ensure_array (cube_mut_ensure_object (root, "status"), "conditions"));
  cube_mut_set_string (entry, "type", condition->type);
  cube_mut_set_string (entry, "status", "True");
  cube_mut_set_string (entry, "reason", condition->reason);
  cube_mut_set_string (entry, "message", condition->message);
  cube_mut_set_string (entry, "lastUpdateTime", now);
  cube_mut_set_string (entry, "lastTransitionTime", now);
  return TRUE;
}

static gint64
set_condition (State *state, CubeControllerEnv *env, const char *name, const char *subresource, const char *type, const char *reason,
               const char *message, GError **error)
{
  Condition condition = { type, reason, message, cube_context_now_us (state->context) };
  g_autoptr (CubeObject) written =
      cube_client_modify (env->client, requests_of (state), subresource, NULL, name, add_condition, &condition, error);

  return written != NULL ? 0 : -1;
}

static gboolean
put_certificate (CubeMut *root, CubeView current, gpointer data)
{
  g_autofree char *encoded = g_base64_encode (data, strlen (data));

  cube_mut_set_string (cube_mut_ensure_object (root, "status"), "certificate", encoded);
  return TRUE;
}

/* ---- approving ---- */

/* Who asked, as the server noted it. (transfer full) */
static CubeUser *
requestor (CubeView spec)
{
  g_autoptr (GPtrArray) groups = g_ptr_array_new ();
  CubeIter it;
  CubeView group;

  for (cube_iter_init (&it, cube_view_member (spec, "groups")); cube_iter_next (&it, NULL, &group);)
    g_ptr_array_add (groups, (gpointer) cube_view_string_or (group, ""));
  g_ptr_array_add (groups, NULL);
  return cube_user_new (cube_view_string_or (cube_view_member (spec, "username"), ""),
                        cube_view_string_or (cube_view_member (spec, "uid"), ""), (const char *const *) groups->pdata);
}

/* Source: the kubelet approver: subresource selfnodeclient for one's own renewal, else nodeclient. */
static gboolean
may_have_it (State *state, CubeView spec, const RequestedSubject *subject)
{
  g_autoptr (CubeUser) user = requestor (spec);
  CubeAttributes attributes = { .user = user,
                                .verb = "create",
                                .group = GROUP,
                                .version = "v1",
                                .resource = "certificatesigningrequests",
                                .subresource = g_str_equal (user->name, subject->common_name) ? "selfnodeclient" : "nodeclient",
                                .ns = "",
                                .name = "",
                                .path = "" };

  return cube_authorize (cube_context_registry (state->context), &attributes, NULL);
}

/* A machine of that name is at work: whoever has a token must not take its place. */
static gboolean
is_alive (State *state, CubeControllerEnv *env, const char *node)
{
  const CubeResource *leases = cube_schema_resource (cube_context_schema (state->context), "coordination.k8s.io/v1", "leases");
  g_autoptr (CubeObject) lease = cube_client_get (env->client, leases, "kube-node-lease", node, NULL);
  g_autoptr (CubeValue) value = lease != NULL ? cube_object_value (lease) : NULL;
  const char *text = value != NULL ? cube_view_string (cube_value_get (value, "spec", "renewTime")) : NULL;
  gint64 renewed_us;

  return text != NULL && cube_time_parse (text, &renewed_us) && cube_context_now_us (state->context) - renewed_us < ALIVE_US;
}

static gint64
approve_kubelet (State *state, CubeControllerEnv *env, const char *name, CubeView spec, const RequestedSubject *subject, GError **error)
{
  gboolean is_own = g_strcmp0 (cube_view_get_string (spec, "username"), subject->common_name) == 0;

  if (!may_have_it (state, spec, subject))
    return 0; /* somebody else may decide */
  if (!is_own && is_alive (state, env, subject->common_name + strlen (NODE_PREFIX)))
    return set_condition (state, env, name, "approval", "Denied", "NodeIsAlive",
                          "a node of that name is at work: choose another name, or delete the node and wait 40 s", error);
  return set_condition (state, env, name, "approval", "Approved", "AutoApproved",
                        is_own ? "Auto approving self kubelet client certificate after SubjectAccessReview."
                               : "Auto approving kubelet client certificate after SubjectAccessReview.",
                        error);
}

/* ---- signing ---- */

static gint64
sign (State *state, CubeControllerEnv *env, const char *name, CubeView spec, const RequestedSubject *subject, GError **error)
{
  static const char *const none[] = { NULL };
  g_autoptr (GPtrArray) authorities = cube_registry_list (cube_context_registry (state->context), CUBE_CERTIFICATE_AUTHORITY);
  CubeCertificateRequest request = { .common_name = subject->common_name,
                                     .organizations = (const char *const *) subject->organizations,
                                     .dns_names = none,
                                     .ip_addresses = none,
                                     .is_client = TRUE,
                                     .valid_seconds = rules_seconds (spec, state->longest_seconds) };
  g_autofree char *pem = NULL;
  g_autoptr (CubeObject) written = NULL;
  g_autoptr (GError) problem = NULL;

  if (authorities->len == 0)
    {
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_SERVICE_UNAVAILABLE, "no plugin offers " CUBE_CERTIFICATE_AUTHORITY);
      return -1;
    }
  const CubeImpl *impl = authorities->pdata[0];
  const CubeCertificateAuthorityOps *ops = impl->ops;
  if (!ops->sign_csr (impl->state, subject->pem, &request, &pem, &problem))
    {
      if (g_error_matches (problem, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST))
        return set_condition (state, env, name, "status", "Failed", "SignerValidationFailure", problem->message, error);
      g_propagate_error (error, g_steal_pointer (&problem));
      return -1;
    }
  written = cube_client_modify (env->client, requests_of (state), "status", NULL, name, put_certificate, pem, error);
  return written != NULL ? 0 : -1;
}

/* ---- a request's life ---- */

static gint64
until_old (State *state, CubeControllerEnv *env, CubeObject *object, gboolean is_decided, GError **error)
{
  g_autoptr (CubeValue) value = cube_object_value (object);
  const char *text = cube_view_string (cube_value_get (value, "metadata", "creationTimestamp"));
  gint64 made_us = 0, left;

  if (text == NULL || !cube_time_parse (text, &made_us))
    return 0;
  left = made_us + (is_decided ? DECIDED_US : PENDING_US) - cube_context_now_us (state->context);
  if (left > 0)
    return left;
  if (!cube_client_delete (env->client, requests_of (state), NULL, cube_object_name (object), cube_object_uid (object), -1,
                           CUBE_PROPAGATION_DEFAULT, error))
    return -1;
  return 0;
}

static gint64
decide (State *state, CubeControllerEnv *env, CubeObject *object, CubeView root, GError **error)
{
  CubeView spec = cube_view_member (root, "spec");
  const char *name = cube_object_name (object), *signer = cube_view_string_or (cube_view_member (spec, "signerName"), "");
  gboolean is_kubelet = g_str_equal (signer, SIGNER_KUBELET),
           is_approved = cube_condition_is_true (cube_view_member (root, "status"), "Approved");
  g_auto (RequestedSubject) subject = { 0 };
  g_autoptr (GError) problem = NULL;
  g_autofree char *why = NULL;

  if (!is_kubelet && (!g_str_equal (signer, SIGNER_CLIENT) || !is_approved))
    return until_old (state, env, object, FALSE, error);
  if (!rules_read (spec, &subject, &problem))
    why = g_strdup (problem->message);
  else
    why = is_kubelet ? rules_check_kubelet (spec, &subject) : rules_check_client (spec, &subject);
  if (why != NULL && is_approved)
    return set_condition (state, env, name, "status", "Failed", "SignerValidationFailure", why, error);
  if (why != NULL)
    return until_old (state, env, object, FALSE, error);
  if (is_approved)
    return sign (state, env, name, spec, &subject, error);
  gint64 result = approve_kubelet (state, env, name, spec, &subject, error);
  return result != 0 ? result : until_old (state, env, object, FALSE, error);
}

static gint64
reconcile (gpointer data, CubeControllerEnv *env, const char *key, GError **error)
{
  State *state = data;
  g_autoptr (GError) problem = NULL;
  g_autoptr (CubeObject) object = cube_client_get (env->client, requests_of (state), NULL, key, &problem);
  g_autoptr (CubeValue) value = NULL;
  CubeView status;

  if (object == NULL && g_error_matches (problem, CUBE_ERROR, CUBE_ERROR_NOT_FOUND))
    return 0;
  if (object == NULL)
    {
      g_propagate_error (error, g_steal_pointer (&problem));
      return -1;
    }
  value = cube_object_value (object);
  status = cube_value_get (value, "status");
  if (cube_view_get_string (status, "certificate") != NULL || cube_condition_is_true (status, "Denied")
      || cube_condition_is_true (status, "Failed"))
    return until_old (state, env, object, TRUE, error);
  return decide (state, env, object, cube_value_root (value), error);
}

static gboolean
load (CubeContext *context, gpointer *ret_state, GError **error)
{
  State *state = g_new0 (State, 1);
  const char *text = cube_view_string (cube_view_member (cube_context_config (context), "duration"));
  gint64 ns;

  state->context = context;
  state->longest_seconds =
      text != NULL && cube_duration_parse (text, &ns) && ns >= G_USEC_PER_SEC * 1000 ? ns / 1000000000 : DEFAULT_SECONDS;
  *ret_state = state;
  return TRUE;
}

static const CubeControllerWatch watches[] = { { GROUP "/v1", "certificatesigningrequests", NULL }, { NULL, NULL, NULL } };
static const CubeControllerOps ops = { .ops_size = sizeof ops, .watches = watches, .reconcile = reconcile, .workers = 2 };
static const CubeInterfaceImpl impls[] = { CUBE_IMPL (CUBE_CONTROLLER, CUBE_CONTROLLER_VERSION, "certificatesigningrequest", ops),
                                           { NULL } };

CUBE_PLUGIN_DEFINE (.name = "security-csr", .version = "1", .description = "approves and signs client certificates of nodes and users",
                    .license = "Apache-2.0", .impls = impls, .load = load, .unload = g_free,
                    .config_schema = "duration duration 8760h the longest a certificate is good for");

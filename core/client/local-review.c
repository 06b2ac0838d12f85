/* SPDX-License-Identifier: Apache-2.0 */
/* Kinds that are only created and never stored: questions to the authenticators and authorizers. */
#include "local-private.h"

typedef struct {
  CubeCall *call;
  CubeBuilder *builder;
  CubeMut *root;
  CubeView body;
} Review;

static CubeCallState
answer (Review *review)
{
  review->call->response->is_created = TRUE;
  return cube_call_answer_value (review->call, cube_builder_end (review->builder));
}

static CubeCallState
invalid (Review *review, const char *field, const char *text)
{
  CubeFieldErrors *errors = cube_field_errors_new ();
  const CubeResource *resource = review->call->resource;
  g_autoptr (CubeValue) empty = cube_value_from_json ("\"\"", 2, NULL, NULL);
  GError *error;

  cube_field_errors_add (errors, "Invalid", field, cube_value_root (empty), "%s", text);
  error = cube_field_errors_to_error (errors, resource->group, resource->kind, "");
  cube_field_errors_free (errors);
  return cube_call_fail (review->call, error);
}

static char **
strings_of (CubeView array)
{
  GPtrArray *texts = g_ptr_array_new ();
  CubeView element;
  CubeIter it;
  const char *key;

  for (cube_iter_init (&it, array); cube_iter_next (&it, &key, &element);)
    if (cube_view_string (element) != NULL)
      g_ptr_array_add (texts, g_strdup (cube_view_string (element)));
  g_ptr_array_add (texts, NULL);
  return (char **) g_ptr_array_free (texts, FALSE);
}

static void
set_user (CubeMut *status, const CubeUser *user)
{
  CubeMut *info = cube_mut_set_object (status, "user"), *groups, *extra;
  GHashTableIter iter;
  gpointer key, values;

  cube_mut_set_string (info, "username", user->name);
  if (*user->uid != '\0')
    cube_mut_set_string (info, "uid", user->uid);
  groups = cube_mut_set_array (info, "groups");
  for (char **group = user->groups; *group != NULL; group++)
    cube_mut_append_string (groups, *group);
  if (user->extra == NULL)
    return;
  extra = cube_mut_set_object (info, "extra");
  g_hash_table_iter_init (&iter, user->extra);
  while (g_hash_table_iter_next (&iter, &key, &values))
    {
      CubeMut *list = cube_mut_set_array (extra, key);

      for (char **value = values; *value != NULL; value++)
        cube_mut_append_string (list, *value);
    }
}

/* ---- TokenReview ---- */

#define INVALID "invalid bearer token"

/* A token for other audiences than ours is the issuer's to judge; ours go through all authenticators. */
static CubeUser *
review_token (CubeCall *call, const char *token, char **audiences, char ***ret_audiences, GError **error)
{
  CubeCredentials credentials = { .bearer_token = token };
  const CubeImpl *issuer = NULL;
  CubeUser *user = NULL;
  g_autoptr (GPtrArray) issuers = cube_registry_list (call->local->registry, CUBE_TOKEN_ISSUER);
  g_autoptr (GError) why = NULL;

  if (*audiences == NULL)
    return cube_authenticate (call->local->registry, &credentials, error);
  if (issuers->len > 0)
    issuer = issuers->pdata[0];
  if (issuer == NULL)
    {
      g_set_error_literal (error, CUBE_ERROR, CUBE_ERROR_NOT_IMPLEMENTED, "no plugin issues service account tokens");
      return NULL;
    }
  if (((const CubeTokenIssuerOps *) issuer->ops)
          ->review (issuer->state, token, (const char *const *) audiences, &user, ret_audiences, &why))
    return user;
  g_set_error (error, CUBE_ERROR, CUBE_ERROR_UNAUTHORIZED, g_str_equal (why->message, INVALID) ? "%s" : "[" INVALID ", %s]", why->message);
  return NULL;
}

static CubeCallState
token_review (Review *review)
{
  const char *token = cube_view_get_string (review->body, "spec", "token");
  g_auto (GStrv) asked = strings_of (cube_view_get (review->body, "spec", "audiences")), granted = NULL;
  g_autoptr (CubeUser) user = NULL;
  g_autoptr (GError) error = NULL;
  CubeMut *status = cube_mut_set_object (review->root, "status");

  if (token == NULL || *token == '\0')
    return cube_call_fail_bad_request (review->call, "token is required for TokenReview in authentication");
  user = review_token (review->call, token, asked, &granted, &error);
  if (user == NULL)
    {
      cube_mut_set_bool (status, "authenticated", FALSE);
      if (error != NULL)
        cube_mut_set_string (status, "error", error->message);
      return answer (review);
    }
  cube_mut_set_bool (status, "authenticated", TRUE);
  set_user (status, user);
  if (granted != NULL)
    {
      CubeMut *list = cube_mut_set_array (status, "audiences");

      for (char **audience = granted; *audience != NULL; audience++)
        cube_mut_append_string (list, *audience);
    }
  return answer (review);
}

/* ---- SubjectAccessReview and its kin ---- */

static const char *
text_of (CubeView view, const char *key)
{
  const char *text = cube_view_string (cube_view_member (view, key));

  return text != NULL ? text : "";
}

static CubeUser *
user_of_spec (CubeView spec)
{
  g_auto (GStrv) groups = strings_of (cube_view_member (spec, "groups"));
  CubeUser *user = cube_user_new (text_of (spec, "user"), text_of (spec, "uid"), (const char *const *) groups);
  CubeView extra = cube_view_member (spec, "extra"), values;
  const char *key;
  CubeIter it;

  if (cube_view_length (extra) == 0)
    return user;
  user->extra = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, (GDestroyNotify) g_strfreev);
  for (cube_iter_init (&it, extra); cube_iter_next (&it, &key, &values);)
    g_hash_table_insert (user->extra, g_ascii_strdown (key, -1), strings_of (values));
  return user;
}

static CubeDecision
decide (Review *review, const CubeUser *user, CubeView spec, char **ret_reason)
{
  CubeView resource = cube_view_member (spec, "resourceAttributes"), path = cube_view_member (spec, "nonResourceAttributes");
  CubeAttributes attributes = { .user = user, .group = "", .version = "", .subresource = "", .ns = "", .name = "", .path = "" };

  if (cube_view_exists (resource))
    {
      attributes.verb = text_of (resource, "verb");
      attributes.group = text_of (resource, "group");
      attributes.version = text_of (resource, "version");
      attributes.resource = text_of (resource, "resource");
      attributes.subresource = text_of (resource, "subresource");
      attributes.ns = text_of (resource, "namespace");
      attributes.name = text_of (resource, "name");
    }
  else
    {
      attributes.verb = text_of (path, "verb");
      attributes.path = text_of (path, "path");
    }
  return cube_authorize_decide (review->call->local->registry, &attributes, ret_reason);
}

static CubeCallState
access_review (Review *review)
{
  const char *kind = review->call->resource->kind;
  CubeView spec = cube_view_member (review->body, "spec");
  gboolean has_resource = cube_view_exists (cube_view_member (spec, "resourceAttributes"));
  gboolean has_path = cube_view_exists (cube_view_member (spec, "nonResourceAttributes"));
  gboolean is_self = g_str_equal (kind, "SelfSubjectAccessReview"), is_local = g_str_equal (kind, "LocalSubjectAccessReview");
  g_autoptr (CubeUser) user = NULL;
  g_autofree char *reason = NULL;
  CubeDecision decision;
  CubeMut *status;

  if (has_resource && has_path)
    return invalid (review, "spec.nonResourceAttributes", "cannot be specified in combination with resourceAttributes");
  if (!has_resource && !has_path)
    return invalid (review, "spec.resourceAttributes", "exactly one of nonResourceAttributes or resourceAttributes must be specified");
  if (is_local && has_path)
    return invalid (review, "spec.nonResourceAttributes", "disallowed on this kind of request");
  if (is_local && !g_str_equal (text_of (cube_view_member (spec, "resourceAttributes"), "namespace"), review->call->ns))
    return invalid (review, "spec.resourceAttributes.namespace", "must match metadata.namespace");
  if (!is_self && *text_of (spec, "user") == '\0' && cube_view_length (cube_view_member (spec, "groups")) == 0)
    return invalid (review, "spec.user", "at least one of user or group must be specified");
  user = is_self ? cube_user_ref (review->call->user) : user_of_spec (spec);
  decision = decide (review, user, spec, &reason);
  status = cube_mut_set_object (review->root, "status");
  cube_mut_set_bool (status, "allowed", decision == CUBE_DECISION_ALLOW);
  if (decision == CUBE_DECISION_DENY)
    cube_mut_set_bool (status, "denied", TRUE);
  if (reason != NULL && *reason != '\0')
    cube_mut_set_string (status, "reason", reason);
  return answer (review);
}

static CubeCallState
rules_review (Review *review)
{
  const char *ns = cube_view_get_string (review->body, "spec", "namespace");
  CubeMut *status, *resource_rules, *path_rules;
  g_autoptr (CubeChain) chain = NULL;

  if (ns == NULL || *ns == '\0')
    return cube_call_fail_bad_request (review->call, "no namespace on request");
  chain = cube_chain_get (review->call->local->registry, CUBE_CHAIN_AUTHORIZERS);
  status = cube_mut_set_object (review->root, "status");
  resource_rules = cube_mut_set_array (status, "resourceRules");
  path_rules = cube_mut_set_array (status, "nonResourceRules");
  cube_mut_set_bool (status, "incomplete", FALSE);
  for (guint i = 0; i < chain->n; i++)
    {
      const CubeAuthorizerOps *ops = chain->impls[i]->ops;

      if (CUBE_OPS_HAS (ops, list_rules))
        ops->list_rules (chain->impls[i]->state, review->call->user, ns, resource_rules, path_rules);
    }
  return answer (review);
}

static CubeCallState
self_review (Review *review)
{
  CubeMut *status = cube_mut_set_object (review->root, "status");

  set_user (status, review->call->user);
  /* The kind names the member userInfo where TokenReview has user. */
  cube_mut_set (status, "userInfo", cube_mut_new_copy (review->builder, cube_mut_member (status, "user")));
  cube_mut_remove (status, "user");
  return answer (review);
}

CubeCallState
cube_local_review (CubeCall *call)
{
  g_autoptr (CubeBuilder) builder = NULL;
  g_autoptr (CubeValue) decoded = NULL;
  Review review = { .call = call };
  const char *kind = call->resource->kind;
  GError *error = NULL;
  char now[32];

  if (call->request->body == NULL)
    return cube_call_fail_bad_request (call, "the request has no body, wanted a %s", kind);
  builder = cube_builder_new_from (cube_value_root (call->request->body));
  review.builder = builder;
  review.root = cube_builder_root (builder);
  if (!cube_local_check_identity (call, review.root, &error)
      || !cube_local_decode (call, review.root, call->request->body_duplicates, &error))
    return cube_call_fail (call, error);
  cube_call_now (call, now);
  cube_mut_set_string (cube_mut_ensure (review.root, "metadata"), "creationTimestamp", now);
  decoded = cube_builder_end (builder);
  review.body = cube_value_root (decoded);
  if (g_str_equal (kind, "TokenReview"))
    return token_review (&review);
  if (g_str_equal (kind, "SelfSubjectRulesReview"))
    return rules_review (&review);
  if (g_str_equal (kind, "SelfSubjectReview"))
    return self_review (&review);
  return access_review (&review);
}

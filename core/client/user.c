/* SPDX-License-Identifier: Apache-2.0 */
/* Identities and the two chains a front end asks: who is it, and may they. */
#include "chain.h"

CubeUser *
cube_user_new (const char *name, const char *uid, const char *const *groups)
{
  CubeUser *user = g_new0 (CubeUser, 1);

  user->ref_count = 1;
  user->name = g_strdup (name != NULL ? name : "");
  user->uid = g_strdup (uid != NULL ? uid : "");
  user->groups = groups != NULL ? g_strdupv ((char **) groups) : g_new0 (char *, 1);
  return user;
}

CubeUser *
cube_user_ref (CubeUser *user)
{
  g_atomic_int_inc (&user->ref_count);
  return user;
}

void
cube_user_unref (CubeUser *user)
{
  if (user == NULL || !g_atomic_int_dec_and_test (&user->ref_count))
    return;
  g_free (user->name);
  g_free (user->uid);
  g_strfreev (user->groups);
  g_clear_pointer (&user->extra, g_hash_table_unref);
  g_free (user);
}

gboolean
cube_user_in_group (const CubeUser *user, const char *group)
{
  return user != NULL && g_strv_contains ((const char *const *) user->groups, group);
}

/* Each complaint once; more than one in brackets, as Kubernetes joins errors. */
static void
set_complaints (GPtrArray *complaints, GError **error)
{
  g_autofree char *joined = NULL;

  g_ptr_array_add (complaints, NULL);
  joined = g_strjoinv (", ", (char **) complaints->pdata);
  if (complaints->len > 2)
    g_set_error (error, CUBE_ERROR, CUBE_ERROR_UNAUTHORIZED, "[%s]", joined);
  else
    g_set_error_literal (error, CUBE_ERROR, CUBE_ERROR_UNAUTHORIZED, complaints->len > 1 ? joined : "Unauthorized");
}

/* Whom one authenticator takes for wrong, another may know: all are asked until one says who it is. */
CubeUser *
cube_authenticate (CubeRegistry *registry, const CubeCredentials *credentials, GError **error)
{
  g_autoptr (CubeChain) chain = cube_chain_get (registry, CUBE_CHAIN_AUTHENTICATORS);
  g_autoptr (GPtrArray) complaints = g_ptr_array_new_with_free_func (g_free);

  if (credentials->bearer_token != NULL)
    g_ptr_array_add (complaints, g_strdup ("invalid bearer token"));
  for (guint i = 0; i < chain->n; i++)
    {
      const CubeAuthenticatorOps *ops = chain->impls[i]->ops;
      CubeUser *user = NULL;
      g_autoptr (GError) why = NULL;

      if (ops->authenticate (chain->impls[i]->state, credentials, &user, &why) && user != NULL)
        return user;
      if (why != NULL && !g_ptr_array_find_with_equal_func (complaints, why->message, g_str_equal, NULL))
        g_ptr_array_add (complaints, g_strdup (why->message));
    }
  set_complaints (complaints, error);
  return NULL;
}

CubeDecision
cube_authorize_decide (CubeRegistry *registry, const CubeAttributes *attributes, char **ret_reason)
{
  g_autoptr (CubeChain) chain = cube_chain_get (registry, CUBE_CHAIN_AUTHORIZERS);
  g_autoptr (GString) reasons = NULL;

  for (guint i = 0; i < chain->n; i++)
    {
      const CubeAuthorizerOps *ops = chain->impls[i]->ops;
      g_autofree char *reason = NULL;
      CubeDecision decision = ops->authorize (chain->impls[i]->state, attributes, &reason);

      if (decision != CUBE_DECISION_NO_OPINION)
        {
          if (ret_reason != NULL)
            *ret_reason = g_steal_pointer (&reason);
          return decision;
        }
      if (reason != NULL && *reason != '\0')
        {
          if (reasons == NULL)
            reasons = g_string_new (reason);
          else
            g_string_append_printf (reasons, "\n%s", reason);
        }
    }
  if (ret_reason != NULL)
    *ret_reason = reasons != NULL ? g_string_free (g_steal_pointer (&reasons), FALSE) : NULL;
  return CUBE_DECISION_NO_OPINION;
}

/* The text is shown in browsers too: Kubernetes escapes these three in it. */
static char *
escape_html (const char *text)
{
  GString *out = g_string_new (NULL);

  for (const char *c = text; *c != '\0'; c++)
    if (*c == '&')
      g_string_append (out, "&amp;");
    else if (*c == '<')
      g_string_append (out, "&lt;");
    else if (*c == '>')
      g_string_append (out, "&gt;");
    else
      g_string_append_c (out, *c);
  return g_string_free (out, FALSE);
}

static const char *
or_empty (const char *text)
{
  return text != NULL ? text : "";
}

static GError *
forbidden_resource (const CubeAttributes *attributes, const char *reason)
{
  GString *text = g_string_new (or_empty (attributes->resource));
  g_autofree char *escaped = NULL;
  g_autoptr (GString) inner = g_string_new (NULL);
  GError *error;

  g_string_append_printf (inner, "User \"%s\" cannot %s resource \"%s", attributes->user->name, attributes->verb, attributes->resource);
  if (*or_empty (attributes->subresource) != '\0')
    g_string_append_printf (inner, "/%s", attributes->subresource);
  g_string_append_printf (inner, "\" in API group \"%s\"", or_empty (attributes->group));
  if (*or_empty (attributes->ns) != '\0')
    g_string_append_printf (inner, " in the namespace \"%s\"", attributes->ns);
  else
    g_string_append (inner, " at the cluster scope");
  if (reason != NULL && *reason != '\0')
    g_string_append_printf (inner, ": %s", reason);
  escaped = escape_html (inner->str);

  if (*or_empty (attributes->group) != '\0')
    g_string_append_printf (text, ".%s", attributes->group);
  if (*or_empty (attributes->name) != '\0')
    g_string_append_printf (text, " \"%s\"", attributes->name);
  g_string_append_printf (text, " is forbidden: %s", escaped);
  error = g_error_new_literal (CUBE_ERROR, CUBE_ERROR_FORBIDDEN, text->str);
  g_string_free (text, TRUE);
  cube_error_set_object (error, attributes->group, attributes->resource, *or_empty (attributes->name) != '\0' ? attributes->name : NULL);
  return error;
}

gboolean
cube_authorize (CubeRegistry *registry, const CubeAttributes *attributes, GError **error)
{
  g_autofree char *reason = NULL;

  if (cube_authorize_decide (registry, attributes, &reason) == CUBE_DECISION_ALLOW)
    return TRUE;
  if (attributes->resource != NULL)
    {
      g_propagate_error (error, forbidden_resource (attributes, reason));
      return FALSE;
    }
  {
    g_autofree char *text =
        g_strdup_printf ("User \"%s\" cannot %s path \"%s\"", attributes->user->name, attributes->verb, or_empty (attributes->path));
    g_autofree char *escaped = escape_html (text);

    g_set_error (error, CUBE_ERROR, CUBE_ERROR_FORBIDDEN, "forbidden: %s%s%s", escaped, reason != NULL && *reason != '\0' ? ": " : "",
                 reason != NULL ? reason : "");
    if (error != NULL)
      cube_error_set_object (*error, "", "", NULL);
  }
  return FALSE;
}

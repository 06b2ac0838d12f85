/* SPDX-License-Identifier: Apache-2.0 */
/* Rules of webhook configurations and admission policies; expressions are not compiled here. */
#include "validate-more.h"

static const CubePath spec_path = { NULL, "spec", 0, FALSE };

/* ---- shared ---- */

/* @list: required, no empty entry, "*" alone. */
static void
check_star (CubeFieldErrors *errors, const CubePath *path, CubeView object, const char *field, const char *what, gboolean is_name)
{
  CubeView list = cube_view_member (object, field), v;
  CubePath at = CUBE_AT (path, field);
  CubeIter it;
  guint i = 0;
  if (cube_view_length (list) == 0)
    cube_check_add (errors, "Required", &at, cube_view_none (), "%s", "");
  for (cube_iter_init (&it, list); is_name && cube_iter_next (&it, NULL, &v); i++)
    if (cube_is_empty (v))
      cube_check_add (errors, "Required", &CUBE_AT_INDEX (&at, i), cube_view_none (), "%s", "");
  if (cube_view_length (list) > 1 && cube_list_has (list, "*"))
    cube_check_add (errors, "Invalid", &at, list, "if '*' is present, must not specify other %s", what);
}

static void
check_resource_names (CubeFieldErrors *errors, const CubePath *at, CubeView list)
{
  gboolean has_plain_star = cube_list_has (list, "*"), has_plain = FALSE;
  CubeIter it;
  CubeView v;
  guint i = 0;
  for (cube_iter_init (&it, list); cube_iter_next (&it, NULL, &v); i++)
    {
      const char *text = cube_view_string_or (v, ""), *slash = strchr (text, '/');
      CubePath here = CUBE_AT_INDEX (at, i);
      if (*text == '\0')
        cube_check_add (errors, "Required", &here, cube_view_none (), "%s", "");
      if (strcmp (text, "*/*") == 0 || *text == '\0' || strcmp (text, "*") == 0)
        continue;
      if (slash == NULL)
        {
          has_plain = TRUE;
          continue;
        }
      g_autofree char *name = g_strndup (text, (gsize) (slash - text)), *all = g_strconcat (name, "/*", NULL),
                      *any = g_strconcat ("*/", slash + 1, NULL);
      if (strcmp (slash + 1, "*") != 0 && cube_list_has (list, all))
        cube_check_add (errors, "Invalid", &here, v, "if '%s' is present, must not specify %s", all, text);
      if (strcmp (name, "*") != 0 && cube_list_has (list, any))
        cube_check_add (errors, "Invalid", &here, v, "if '%s' is present, must not specify %s", any, text);
    }
  if (cube_list_has (list, "*/*") && cube_view_length (list) > 1)
    cube_check_add (errors, "Invalid", at, list, "if '*/*' is present, must not specify other resources");
  if (has_plain_star && has_plain)
    cube_check_add (errors, "Invalid", at, list, "if '*' is present, must not specify other resources without subresources");
}

static void
check_rule (CubeFieldErrors *errors, const CubePath *at, CubeView rule)
{
  CubeView resources = cube_view_member (rule, "resources");
  check_star (errors, at, rule, "operations", "operations", FALSE);
  check_star (errors, at, rule, "apiGroups", "API groups", FALSE);
  check_star (errors, at, rule, "apiVersions", "API versions", TRUE);
  if (cube_view_length (resources) == 0)
    cube_check_add (errors, "Required", &CUBE_AT (at, "resources"), cube_view_none (), "%s", "");
  check_resource_names (errors, &CUBE_AT (at, "resources"), resources);
}

static void
check_conditions (CubeFieldErrors *errors, const CubePath *path, CubeView object)
{
  g_autoptr (GHashTable) names = NULL;
  CubePath list = CUBE_AT (path, "matchConditions");
  CubeIter it;
  CubeView v;
  guint i = 0;
  cube_check_count (errors, path, object, "matchConditions", 64);
  for (cube_iter_init (&it, cube_view_member (object, "matchConditions")); cube_iter_next (&it, NULL, &v); i++)
    {
      CubePath at = CUBE_AT_INDEX (&list, i);
      CubeView name = cube_view_member (v, "name");
      cube_check_name (errors, &at, v, "name", cube_name_check_qualified);
      if (!cube_is_empty (name) && !cube_check_unique (&names, cube_view_string_or (name, "")))
        cube_check_add (errors, "Duplicate", &CUBE_AT (&at, "name"), name, "%s", "");
    }
}

/* ---- webhooks ---- */

static void
check_url (CubeFieldErrors *errors, const CubePath *at, CubeView url)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GUri) uri = g_uri_parse (cube_view_string_or (url, ""), G_URI_FLAGS_HAS_PASSWORD | G_URI_FLAGS_PARSE_RELAXED, &error);
  if (uri == NULL && strstr (cube_view_string_or (url, ""), "://") == NULL)
    {
      cube_check_add_text (errors, "Invalid", at, "", "'https' is the only allowed URL scheme; desired format: https://host[/path]");
      cube_check_add_text (errors, "Invalid", at, "", "host must be specified; desired format: https://host[/path]");
      return;
    }
  if (uri == NULL)
    {
      cube_check_add (errors, "Required", at, cube_view_none (), "url must be a valid URL: %s; desired format: https://host[/path]",
                      error->message);
      return;
    }
  const char *host = g_uri_get_host (uri);
  if (g_strcmp0 (g_uri_get_scheme (uri), "https") != 0)
    cube_check_add_text (errors, "Invalid", at, g_uri_get_scheme (uri),
                         "'https' is the only allowed URL scheme; desired format: https://host[/path]");
  if (host == NULL || *host == '\0')
    cube_check_add_text (errors, "Invalid", at, "", "host must be specified; desired format: https://host[/path]");
  if (g_uri_get_userinfo (uri) != NULL)
    cube_check_add_text (errors, "Invalid", at, g_uri_get_userinfo (uri), "user information is not permitted in the URL");
  if (g_uri_get_fragment (uri) != NULL && *g_uri_get_fragment (uri) != '\0')
    cube_check_add_text (errors, "Invalid", at, g_uri_get_fragment (uri), "fragments are not permitted in the URL");
  if (g_uri_get_query (uri) != NULL && *g_uri_get_query (uri) != '\0')
    cube_check_add_text (errors, "Invalid", at, g_uri_get_query (uri), "query parameters are not permitted in the URL");
}

static void
check_url_path (CubeFieldErrors *errors, const CubePath *at, CubeView value)
{
  const char *path = cube_view_string_or (value, "");
  gsize length = strlen (path);
  if (*path != '/')
    {
      cube_check_add (errors, "Invalid", at, value, "must start with a '/'");
      return;
    }
  g_autofree char *inner = g_strdup (path + 1);
  if (length > 1 && path[length - 1] == '/')
    inner[length - 2] = '\0';
  if (*inner == '\0' && length < 2)
    return;
  g_auto (GStrv) steps = g_strsplit (inner, "/", -1);
  for (guint i = 0; steps[i] != NULL; i++)
    {
      const char *why = cube_name_check_dns1123_subdomain (steps[i]);
      if (*steps[i] == '\0')
        cube_check_add (errors, "Invalid", at, value, "segment[%u] may not be empty", i);
      else if (why != NULL)
        cube_check_add (errors, "Invalid", at, value, "segment[%u]: %s", i, why);
    }
}

void
cube_check_client_service (CubeFieldErrors *errors, const CubePath *at, CubeView service)
{
  CubeView port = cube_view_member (service, "port");
  if (cube_view_exists (port) && (cube_view_int (port, 0) < 1 || cube_view_int (port, 0) > 65535))
    cube_check_add (errors, "Invalid", &CUBE_AT (at, "port"), port, "port is not valid: must be between 1 and 65535, inclusive");
  if (cube_view_exists (cube_view_member (service, "path")))
    check_url_path (errors, &CUBE_AT (at, "path"), cube_view_member (service, "path"));
}

void
cube_check_client_config (CubeFieldErrors *errors, const CubePath *at, CubeView client)
{
  CubeView url = cube_view_member (client, "url"), service = cube_view_member (client, "service");
  if (cube_view_exists (url) == cube_view_exists (service))
    cube_check_add (errors, "Required", at, cube_view_none (), "exactly one of url or service is required");
  if (cube_view_exists (url))
    check_url (errors, &CUBE_AT (at, "url"), url);
  if (cube_view_exists (service))
    cube_check_client_service (errors, &CUBE_AT (at, "service"), service);
}

static void
check_review_versions (CubeFieldErrors *errors, const CubePath *path, CubeView webhook)
{
  g_autoptr (GHashTable) seen = NULL;
  CubeView list = cube_view_member (webhook, "admissionReviewVersions"), v;
  CubePath at = CUBE_AT (path, "admissionReviewVersions");
  CubeIter it;
  guint i = 0;
  if (cube_view_length (list) == 0)
    {
      cube_check_add (errors, "Required", &at, cube_view_none (), "must specify one of v1, v1beta1");
      return;
    }
  for (cube_iter_init (&it, list); cube_iter_next (&it, NULL, &v); i++)
    {
      const char *text = cube_view_string_or (v, ""), *why = cube_name_check_dns1035_label (text);
      if (!cube_check_unique (&seen, text))
        cube_check_add (errors, "Invalid", &CUBE_AT_INDEX (&at, i), v, "duplicate version");
      if (why != NULL)
        cube_check_add (errors, "Invalid", &CUBE_AT_INDEX (&at, i), v, "%s", why);
    }
  if (!cube_list_has (list, "v1") && !cube_list_has (list, "v1beta1"))
    cube_check_add (errors, "Invalid", &at, list, "must include at least one of v1, v1beta1");
}

static void
check_webhook (CubeFieldErrors *errors, const CubePath *at, CubeView webhook, CubeView old)
{
  static const char *const effects[] = { "None", "NoneOnDryRun", NULL };
  static const char *const selectors[] = { "namespaceSelector", "objectSelector" };
  CubeView timeout = cube_view_member (webhook, "timeoutSeconds"), effect = cube_view_member (webhook, "sideEffects"), v;
  CubePath rules = CUBE_AT (at, "rules");
  CubeIter it;
  guint i = 0;
  cube_check_name (errors, at, webhook, "name", cube_name_check_three_segments);
  check_review_versions (errors, at, webhook);
  for (cube_iter_init (&it, cube_view_member (webhook, "rules")); cube_iter_next (&it, NULL, &v); i++)
    check_rule (errors, &CUBE_AT_INDEX (&rules, i), v);
  if (!cube_view_exists (effect))
    cube_check_add (errors, "Required", &CUBE_AT (at, "sideEffects"), cube_view_none (), "must specify one of None, NoneOnDryRun");
  else if (!cube_view_equal (effect, cube_view_member (old, "sideEffects")))
    cube_check_one_of (errors, at, webhook, "sideEffects", effects);
  if (cube_view_exists (timeout) && (cube_view_int (timeout, 0) < 1 || cube_view_int (timeout, 0) > 30))
    cube_check_add (errors, "Invalid", &CUBE_AT (at, "timeoutSeconds"), timeout, "the timeout value must be between 1 and 30 seconds");
  for (i = 0; i < 2; i++)
    if (cube_view_exists (cube_view_member (webhook, selectors[i])))
      cube_check_label_selector (errors, &CUBE_AT (at, selectors[i]), cube_view_member (webhook, selectors[i]));
  check_conditions (errors, at, webhook);
  cube_check_client_config (errors, &CUBE_AT (at, "clientConfig"), cube_view_member (webhook, "clientConfig"));
}

void
cube_hook_webhooks (const char *subresource, CubeView object, CubeView old, CubeFieldErrors *errors)
{
  static const CubePath list = { NULL, "webhooks", 0, FALSE };
  g_autoptr (GHashTable) names = NULL;
  CubeIter it;
  CubeView v;
  guint i = 0;
  for (cube_iter_init (&it, cube_view_member (object, "webhooks")); cube_iter_next (&it, NULL, &v); i++)
    {
      CubePath at = CUBE_AT_INDEX (&list, i);
      CubeView name = cube_view_member (v, "name");
      check_webhook (errors, &at, v, cube_view_element (cube_view_member (old, "webhooks"), i));
      if (!cube_is_empty (name) && !cube_check_unique (&names, cube_view_string_or (name, "")))
        cube_check_add (errors, "Duplicate", &CUBE_AT (&at, "name"), name, "%s", "");
    }
}

/* ---- policies ---- */

static void
check_param_kind (CubeFieldErrors *errors, CubeView kind)
{
  CubePath at = CUBE_AT (&spec_path, "paramKind");
  CubeView version = cube_view_member (kind, "apiVersion"), name = cube_view_member (kind, "kind");
  const char *text = cube_view_string_or (version, ""), *slash = strchr (text, '/');
  if (!cube_view_exists (kind))
    return;
  if (*text == '\0')
    cube_check_add (errors, "Required", &CUBE_AT (&at, "apiVersion"), cube_view_none (), "%s", "");
  else if (slash != NULL && slash[1] == '\0')
    cube_check_add (errors, "Invalid", &CUBE_AT (&at, "apiVersion"), version, "version must be specified");
  g_autofree char *lower = g_ascii_strdown (cube_view_string_or (name, ""), -1);
  const char *why = cube_name_check_dns1035_label (lower);
  if (*lower == '\0')
    cube_check_add (errors, "Required", &CUBE_AT (&at, "kind"), cube_view_none (), "%s", "");
  else if (why != NULL)
    cube_check_add (errors, "Invalid", &CUBE_AT (&at, "kind"), name, "may have mixed case, but should otherwise match: %s", why);
}

static void
check_constraint_rules (CubeFieldErrors *errors, const CubePath *at, CubeView list, gboolean is_mutating)
{
  static const char *const operations[] = { "*", "CONNECT", "CREATE", "UPDATE", NULL };
  CubeIter it, inner;
  CubeView v, name;
  guint i = 0;
  for (cube_iter_init (&it, list); cube_iter_next (&it, NULL, &v); i++)
    {
      CubePath rule = CUBE_AT_INDEX (at, i), names = CUBE_AT (&rule, "resourceNames");
      guint j = 0;
      check_rule (errors, &rule, v);
      if (is_mutating)
        cube_check_each_of (errors, at, v, "operations", operations, TRUE);
      for (cube_iter_init (&inner, cube_view_member (v, "resourceNames")); cube_iter_next (&inner, NULL, &name); j++)
        {
          const char *why = cube_name_check_path_segment (cube_view_string_or (name, ""));
          if (why != NULL)
            cube_check_add (errors, "Invalid", &CUBE_AT_INDEX (&names, j), name, "%s", why);
        }
      cube_check_distinct (errors, &names, cube_view_member (v, "resourceNames"));
    }
}

static void
check_constraints (CubeFieldErrors *errors, CubeView spec, gboolean is_mutating)
{
  static const char *const needed[] = { "matchPolicy", "namespaceSelector", "objectSelector" };
  CubePath at = CUBE_AT (&spec_path, "matchConstraints");
  CubeView constraints = cube_view_member (spec, "matchConstraints");
  if (!cube_view_exists (constraints))
    {
      cube_check_add (errors, "Required", &at, cube_view_none (), "%s", "");
      return;
    }
  for (guint i = 0; i < G_N_ELEMENTS (needed); i++)
    {
      CubeView v = cube_view_member (constraints, needed[i]);
      if (!cube_view_exists (v))
        cube_check_add (errors, "Required", &CUBE_AT (&at, needed[i]), cube_view_none (), "%s", "");
      else if (i > 0)
        cube_check_label_selector (errors, &CUBE_AT (&at, needed[i]), v);
    }
  if (cube_view_length (cube_view_member (constraints, "resourceRules")) == 0)
    cube_check_add (errors, "Required", &CUBE_AT (&at, "resourceRules"), cube_view_none (), "%s", "");
  check_constraint_rules (errors, &CUBE_AT (&at, "resourceRules"), cube_view_member (constraints, "resourceRules"), is_mutating);
  check_constraint_rules (errors, &CUBE_AT (&at, "excludeResourceRules"), cube_view_member (constraints, "excludeResourceRules"),
                          is_mutating);
}

static gboolean
is_identifier (const char *text)
{
  if (!g_ascii_isalpha (*text) && *text != '_')
    return FALSE;
  for (; *text != '\0'; text++)
    if (!g_ascii_isalnum (*text) && *text != '_')
      return FALSE;
  return TRUE;
}

static void
check_variables (CubeFieldErrors *errors, CubeView spec)
{
  CubePath list = CUBE_AT (&spec_path, "variables");
  CubeIter it;
  CubeView v;
  guint i = 0;
  for (cube_iter_init (&it, cube_view_member (spec, "variables")); cube_iter_next (&it, NULL, &v); i++)
    {
      CubePath at = CUBE_AT_INDEX (&list, i);
      CubeView name = cube_view_member (v, "name");
      cube_check_required (errors, &at, v, "name", "name is not specified");
      if (!cube_is_empty (name) && !is_identifier (cube_view_string_or (name, "")))
        cube_check_add (errors, "Invalid", &CUBE_AT (&at, "name"), name, "must be a valid CEL identifier");
      cube_check_required (errors, &at, v, "expression", "expression is not specified");
    }
}

static gboolean
is_blank (const char *text)
{
  return text[strspn (text, " \t\r\n")] == '\0';
}

static void
check_validation (CubeFieldErrors *errors, const CubePath *at, CubeView v)
{
  static const char *const reasons[] = { "Forbidden", "Invalid", "RequestEntityTooLarge", NULL };
  CubeView message = cube_view_member (v, "message"), computed = cube_view_member (v, "messageExpression");
  const char *expression = cube_view_string_or (cube_view_member (v, "expression"), "");
  if (is_blank (expression))
    cube_check_add (errors, "Required", &CUBE_AT (at, "expression"), cube_view_none (), "expression is not specified");
  if (!cube_is_empty (computed) && is_blank (cube_view_string_or (computed, "")))
    cube_check_add (errors, "Invalid", &CUBE_AT (at, "messageExpression"), computed, "must be non-empty if specified");
  if (!cube_is_empty (message) && is_blank (cube_view_string_or (message, "")))
    cube_check_add (errors, "Invalid", &CUBE_AT (at, "message"), message, "must be non-empty if specified");
  else if (strpbrk (cube_view_string_or (message, ""), "\r\n") != NULL)
    cube_check_add (errors, "Invalid", &CUBE_AT (at, "message"), message, "must not contain line breaks");
  else if (cube_is_empty (message) && strpbrk (expression, "\r\n") != NULL)
    cube_check_add (errors, "Required", &CUBE_AT (at, "message"), cube_view_none (),
                    "message must be specified if expression contains line breaks");
  cube_check_one_of (errors, at, v, "reason", reasons);
}

static void
check_audit (CubeFieldErrors *errors, CubeView spec, const char *policy)
{
  g_autoptr (GHashTable) keys = NULL;
  CubePath list = CUBE_AT (&spec_path, "auditAnnotations");
  CubeView all = cube_view_member (spec, "auditAnnotations"), v;
  CubeIter it;
  guint i = 0;
  if (cube_view_length (all) > 20)
    cube_check_add (errors, "Invalid", &list, all, "must not have more than 20 auditAnnotations");
  for (cube_iter_init (&it, all); cube_iter_next (&it, NULL, &v); i++)
    {
      CubePath at = CUBE_AT_INDEX (&list, i);
      CubeView key = cube_view_member (v, "key"), value = cube_view_member (v, "valueExpression");
      g_autofree char *whole = g_strdup_printf ("%s/%s", policy, cube_view_string_or (key, ""));
      const char *why = *policy == '\0' ? NULL : cube_name_check_qualified (whole);
      if (why != NULL)
        cube_check_add (errors, "Invalid", &CUBE_AT (&at, "key"), key, "%s", why);
      if (!cube_check_unique (&keys, cube_view_string_or (key, "")))
        cube_check_add (errors, "Duplicate", &CUBE_AT (&at, "key"), key, "%s", "");
      if (is_blank (cube_view_string_or (value, "")))
        cube_check_add (errors, "Required", &CUBE_AT (&at, "valueExpression"), cube_view_none (), "valueExpression is not specified");
      else if (cube_view_string_length (value) > 5120)
        cube_check_add (errors, "Required", &CUBE_AT (&at, "valueExpression"), cube_view_none (), "must not exceed 5120 bytes in length");
    }
}

static void
check_policy (CubeFieldErrors *errors, CubeView spec, gboolean is_mutating)
{
  check_param_kind (errors, cube_view_member (spec, "paramKind"));
  check_constraints (errors, spec, is_mutating);
  check_conditions (errors, &spec_path, spec);
  check_variables (errors, spec);
}

void
cube_hook_validating_policy (const char *subresource, CubeView object, CubeView old, CubeFieldErrors *errors)
{
  CubeView spec = cube_view_member (object, "spec"), v;
  CubePath list = CUBE_AT (&spec_path, "validations");
  CubeIter it;
  guint i = 0;
  if (*subresource != '\0')
    return;
  if (!cube_view_exists (cube_view_member (spec, "failurePolicy")))
    cube_check_add (errors, "Required", &CUBE_AT (&spec_path, "failurePolicy"), cube_view_none (), "%s", "");
  check_policy (errors, spec, FALSE);
  if (cube_view_length (cube_view_member (spec, "validations")) + cube_view_length (cube_view_member (spec, "auditAnnotations")) == 0)
    {
      cube_check_add (errors, "Required", &list, cube_view_none (), "validations or auditAnnotations must contain at least one item");
      cube_check_add (errors, "Required", &CUBE_AT (&spec_path, "auditAnnotations"), cube_view_none (),
                      "validations or auditAnnotations must contain at least one item");
    }
  for (cube_iter_init (&it, cube_view_member (spec, "validations")); cube_iter_next (&it, NULL, &v); i++)
    check_validation (errors, &CUBE_AT_INDEX (&list, i), v);
  check_audit (errors, spec, cube_view_string_or (cube_view_get (object, "metadata", "name"), ""));
}

void
cube_hook_mutating_policy (const char *subresource, CubeView object, CubeView old, CubeFieldErrors *errors)
{
  static const char *const forms[][2] = { { "JSONPatch", "jsonPatch" }, { "ApplyConfiguration", "applyConfiguration" } };
  CubeView spec = cube_view_member (object, "spec"), mutations = cube_view_member (spec, "mutations"), v;
  CubePath list = CUBE_AT (&spec_path, "mutations");
  CubeIter it;
  guint i = 0;
  if (*subresource != '\0')
    return;
  check_policy (errors, spec, TRUE);
  cube_check_required (errors, &spec_path, spec, "reinvocationPolicy", "");
  if (cube_view_length (mutations) == 0)
    cube_check_add (errors, "Required", &list, cube_view_none (), "mutations must contain at least one item");
  for (cube_iter_init (&it, mutations); cube_iter_next (&it, NULL, &v); i++)
    {
      CubePath at = CUBE_AT_INDEX (&list, i);
      const char *type = cube_view_string_or (cube_view_member (v, "patchType"), "");
      for (guint f = 0; f < 2; f++)
        {
          CubeView own = cube_view_member (v, forms[f][1]), other = cube_view_member (v, forms[1 - f][1]);
          CubePath own_at = CUBE_AT (&at, forms[f][1]);
          if (strcmp (type, forms[f][0]) != 0)
            continue;
          if (!cube_view_exists (own))
            cube_check_add (errors, "Required", &own_at, cube_view_none (), "must be specified when patchType is %s", type);
          else
            cube_check_required (errors, &own_at, own, "expression", "");
          g_autofree char *shown = g_strdup_printf ("{%s}", forms[1 - f][1]);
          if (cube_view_exists (other))
            cube_check_add_text (errors, "Invalid", &CUBE_AT (&at, forms[1 - f][1]), shown, "must not be specified when patchType is %s",
                                 type);
        }
    }
}

void
cube_hook_policy_binding (const char *subresource, CubeView object, CubeView old, CubeFieldErrors *errors)
{
  static const char *const actions[] = { "Deny", "Allow", NULL };
  CubeView spec = cube_view_member (object, "spec"), param = cube_view_member (spec, "paramRef"),
           list = cube_view_member (spec, "validationActions");
  CubePath at = CUBE_AT (&spec_path, "paramRef"), list_at = CUBE_AT (&spec_path, "validationActions");
  gboolean has_name = !cube_is_empty (cube_view_member (param, "name")),
           has_selector = cube_view_exists (cube_view_member (param, "selector"));
  gboolean is_mutating = g_str_has_prefix (cube_view_string_or (cube_view_member (object, "kind"), ""), "Mutating");
  cube_check_name (errors, &spec_path, spec, "policyName", cube_name_check_dns1123_subdomain);
  if (cube_view_exists (param))
    {
      if (has_name && has_selector)
        {
          cube_check_forbidden (errors, &CUBE_AT (&at, "name"), "name and selector are mutually exclusive");
          cube_check_forbidden (errors, &CUBE_AT (&at, "selector"), "name and selector are mutually exclusive");
        }
      if (!has_name && !has_selector)
        cube_check_add (errors, "Required", &at, cube_view_none (), "one of name or selector must be specified");
      if (has_selector)
        cube_check_label_selector (errors, &CUBE_AT (&at, "selector"), cube_view_member (param, "selector"));
      cube_check_required (errors, &at, param, "parameterNotFoundAction", "");
      cube_check_one_of (errors, &at, param, "parameterNotFoundAction", actions);
    }
  if (is_mutating)
    return;
  if (cube_view_length (list) == 0)
    cube_check_add (errors, "Required", &list_at, cube_view_none (), "at least one validation action is required");
  cube_check_distinct (errors, &list_at, list);
  if (cube_list_has (list, "Deny") && cube_list_has (list, "Warn"))
    cube_check_add (errors, "Invalid", &list_at, list,
                    "must not contain both Deny and Warn (repeating the same validation failure information in the API response and "
                    "headers serves no purpose)");
}

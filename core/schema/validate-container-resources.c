/* SPDX-License-Identifier: Apache-2.0 */
/* Resources of containers, resizing and restarting them. */
#include "validate-container.h"

gboolean
cube_list_names (CubeView list, const char *field, CubeView value)
{
  CubeIter it;
  CubeView v;
  for (cube_iter_init (&it, list); cube_iter_next (&it, NULL, &v);)
    if (cube_view_equal (cube_view_member (v, field), value))
      return TRUE;
  return FALSE;
}

/* ---- resources ---- */

static gboolean
may_overcommit (const char *name)
{
  return !g_str_has_prefix (name, "hugepages-") && (strchr (name, '/') == NULL || strstr (name, "kubernetes.io/") != NULL);
}

static void
check_pages (CubeFieldErrors *errors, const CubePath *path, CubeView amounts)
{
  CubeIter it;
  const char *name;
  CubeView v;
  for (cube_iter_init (&it, amounts); cube_iter_next (&it, &name, &v);)
    {
      CubeQuantity amount, page;
      if (!g_str_has_prefix (name, "hugepages-") || !cube_quantity_from_view (v, &amount)
          || !cube_quantity_parse (name + strlen ("hugepages-"), &page, NULL))
        continue;
      gint64 size = cube_quantity_value (&page);
      if (size > 0 && cube_quantity_value (&amount) % size != 0)
        cube_check_add (errors, "Invalid", &CUBE_AT_KEY (path, name), v, "%s is not positive integer multiple of %s",
                        cube_view_string_or (v, ""), name);
    }
}

static void
check_amounts (const CubeContainerCheck *check, const CubePath *path, CubeView resources)
{
  CubeView limits = cube_view_member (resources, "limits"), requests = cube_view_member (resources, "requests"), v;
  CubePath requests_at = CUBE_AT (path, "requests"), limits_at = CUBE_AT (path, "limits");
  CubeFieldErrors *errors = check->errors;
  CubeIter it;
  const char *name;
  gboolean huge = FALSE;
  cube_check_resources (errors, &limits_at, limits, TRUE);
  cube_check_resources (errors, &requests_at, requests, TRUE);
  for (cube_iter_init (&it, requests); cube_iter_next (&it, &name, &v);)
    {
      CubeQuantity request, limit;
      CubeView bound = cube_view_member (limits, name);
      huge |= g_str_has_prefix (name, "hugepages-");
      if (!cube_view_exists (bound))
        {
          if (!may_overcommit (name))
            cube_check_add (errors, "Required", &limits_at, cube_view_none (), "Limit must be set for non overcommitable resources");
          continue;
        }
      if (!cube_quantity_from_view (v, &request) || !cube_quantity_from_view (bound, &limit))
        continue;
      int order = cube_quantity_compare (&request, &limit);
      char text[64];
      cube_quantity_format (&limit, text);
      if (order != 0 && !may_overcommit (name))
        cube_check_add (errors, "Invalid", &requests_at, v, "must be equal to %s limit of %s", name, text);
      else if (order > 0)
        cube_check_add (errors, "Invalid", &requests_at, v, "must be less than or equal to %s limit of %s", name, text);
    }
  for (cube_iter_init (&it, limits); cube_iter_next (&it, &name, NULL);)
    huge |= g_str_has_prefix (name, "hugepages-");
  if (huge)
    {
      check_pages (errors, &limits_at, limits);
      check_pages (errors, &requests_at, requests);
    }
  if (huge && !cube_view_exists (cube_view_member (limits, "cpu")) && !cube_view_exists (cube_view_member (limits, "memory"))
      && !cube_view_exists (cube_view_member (requests, "cpu")) && !cube_view_exists (cube_view_member (requests, "memory")))
    cube_check_add (errors, "Forbidden", path, cube_view_none (), "HugePages require cpu or memory");
}

/* All requests of a claim, or some of them by name, once. */
static void
check_claim_key (const CubeContainerCheck *check, const CubePath *at, CubeView claim, GHashTable **seen)
{
  CubeView name = cube_view_member (claim, "name"), request = cube_view_member (claim, "request");
  const char *text = cube_view_string_or (name, "");
  if (*seen != NULL && g_hash_table_contains (*seen, text))
    {
      cube_check_add (check->errors, "Duplicate", at, name, "%s", "");
      return;
    }
  cube_check_name (check->errors, at, claim, "request", cube_name_check_dns1123_label);
  g_autofree char *key = cube_is_empty (request) ? g_strdup (text) : g_strdup_printf ("%s/%s", text, cube_view_string_or (request, ""));
  if (!cube_check_unique (seen, key))
    cube_check_add_text (check->errors, "Duplicate", at, key, "%s", "");
}

static void
check_claims (const CubeContainerCheck *check, const CubePath *path, CubeView claims)
{
  g_autoptr (GHashTable) seen = NULL;
  CubeView known = cube_view_member (check->pod->spec, "resourceClaims"), v;
  CubeIter it;
  guint i = 0;
  for (cube_iter_init (&it, claims); cube_iter_next (&it, NULL, &v); i++)
    {
      CubeView name = cube_view_member (v, "name");
      if (cube_is_empty (name))
        continue; /* the tables require it */
      check_claim_key (check, &CUBE_AT_INDEX (path, i), v, &seen);
      if (cube_list_names (known, "name", name))
        continue;
      g_autoptr (GString) names = g_string_new (NULL);
      CubeIter inner;
      CubeView claim;
      for (cube_iter_init (&inner, known); cube_iter_next (&inner, NULL, &claim);)
        g_string_append_printf (names, "%s%s", names->len > 0 ? ", " : ": ", cube_view_string_or (cube_view_member (claim, "name"), ""));
      cube_check_add (check->errors, "NotFound", &CUBE_AT_INDEX (path, i), name, "must be one of the names in pod.spec.resourceClaims%s",
                      names->len > 0 ? names->str : " which is empty");
    }
}

void
cube_check_container_resources (const CubeContainerCheck *check, const CubePath *path, CubeView resources)
{
  check_amounts (check, path, resources);
  check_claims (check, &CUBE_AT (path, "claims"), cube_view_member (resources, "claims"));
}

/* ---- resizing ---- */

void
cube_check_resize_policies (const CubeContainerCheck *check, const CubePath *path, CubeView policies)
{
  g_autoptr (GHashTable) names = NULL;
  CubeIter it;
  CubeView v;
  guint i = 0;
  for (cube_iter_init (&it, policies); cube_iter_next (&it, NULL, &v); i++)
    {
      CubePath at = CUBE_AT_INDEX (path, i);
      CubeView name = cube_view_member (v, "resourceName"), restart = cube_view_member (v, "restartPolicy");
      const char *text = cube_view_string_or (name, ""), *how = cube_view_string_or (restart, "");
      if (*text == '\0' || *how == '\0')
        cube_check_add (check->errors, "Required", path, cube_view_none (), "%s", "");
      if (*how != '\0' && strcmp (how, "NotRequired") != 0 && strcmp (how, "RestartContainer") != 0)
        cube_check_add (check->errors, "NotSupported", path, restart, "supported values: \"NotRequired\", \"RestartContainer\"");
      if (*text != '\0' && !cube_check_unique (&names, text))
        cube_check_add (check->errors, "Duplicate", &at, name, "%s", "");
      if (*text != '\0' && strcmp (text, "cpu") != 0 && strcmp (text, "memory") != 0)
        cube_check_add (check->errors, "NotSupported", path, name, "supported values: \"cpu\", \"memory\"");
      if (strcmp (check->pod->restart_policy, "Never") == 0 && strcmp (how, "NotRequired") != 0)
        cube_check_add (check->errors, "Invalid", path, restart, "must be 'NotRequired' when pod `restartPolicy` is 'Never'");
      else if (check->kind == CUBE_CONTAINER_INIT && !check->is_sidecar && strcmp (how, "RestartContainer") == 0)
        cube_check_add (check->errors, "Invalid", &CUBE_AT (&at, "restartPolicy"), restart,
                        "must not be set to 'RestartContainer' for non-sidecar initContainers");
    }
}

/* ---- restarts ---- */

static void
check_restart_rule (const CubeContainerCheck *check, const CubePath *at, CubeView rule)
{
  CubeView action = cube_view_member (rule, "action"),
           codes = cube_view_member (rule, "exitCodes"), operator= cube_view_member (codes, "operator");
  const char *what = cube_view_string_or (action, ""), *how = cube_view_string_or (operator, "");
  CubePath codes_at = CUBE_AT (at, "exitCodes");
  if (strcmp (what, "Restart") != 0 && strcmp (what, "RestartAllContainers") != 0)
    cube_check_add_text (check->errors, "NotSupported", &CUBE_AT (at, "action"), what,
                         "supported values: \"Restart\", \"RestartAllContainers\"");
  if (!cube_view_exists (codes))
    {
      cube_check_add (check->errors, "Required", &codes_at, cube_view_none (), "must be specified");
      return;
    }
  if (strcmp (how, "In") != 0 && strcmp (how, "NotIn") != 0)
    cube_check_add_text (check->errors, "NotSupported", &CUBE_AT (&codes_at, "operator"), how, "supported values: \"In\", \"NotIn\"");
  cube_check_count (check->errors, &codes_at, codes, "values", 255);
}

void
cube_check_container_restart (const CubeContainerCheck *check, const CubePath *path)
{
  CubeView policy = cube_view_member (check->container, "restartPolicy"), rules = cube_view_member (check->container, "restartPolicyRules");
  const char *text = cube_view_string (policy);
  if (text != NULL && strcmp (text, "Always") != 0 && strcmp (text, "Never") != 0 && strcmp (text, "OnFailure") != 0)
    cube_check_add (check->errors, "NotSupported", &CUBE_AT (path, "restartPolicy"), policy,
                    "supported values: \"Always\", \"Never\", \"OnFailure\"");
  if (cube_view_length (rules) > 0 && text == NULL)
    cube_check_add (check->errors, "Required", &CUBE_AT (path, "restartPolicy"), cube_view_none (),
                    "must specify restartPolicy when restart rules are used");
  if (cube_view_length (rules) == 0)
    return;
  cube_check_count (check->errors, path, check->container, "restartPolicyRules", 20);
  CubePath list = CUBE_AT (path, "restartPolicyRules");
  CubeIter it;
  CubeView v;
  guint i = 0;
  for (cube_iter_init (&it, rules); cube_iter_next (&it, NULL, &v); i++)
    check_restart_rule (check, &CUBE_AT_INDEX (&list, i), v);
}

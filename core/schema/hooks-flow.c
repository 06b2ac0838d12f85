/* SPDX-License-Identifier: Apache-2.0 */
/* Rules of priority and fairness: flow schemas and priority levels. */
#include "validate-more.h"
#include <math.h>

static const CubePath spec_path = { NULL, "spec", 0, FALSE };

/* ---- FlowSchema ---- */

static void
check_subject (CubeFieldErrors *errors, const CubePath *at, CubeView subject)
{
  static const char *const kinds[][2] = { { "User", "user" }, { "Group", "group" }, { "ServiceAccount", "serviceAccount" } };
  const char *kind = cube_view_string_or (cube_view_member (subject, "kind"), "");
  gboolean is_known = FALSE;
  for (guint i = 0; i < G_N_ELEMENTS (kinds); i++)
    is_known |= strcmp (kind, kinds[i][0]) == 0;
  if (!is_known)
    {
      cube_check_add_text (errors, "NotSupported", &CUBE_AT (at, "kind"), kind,
                           "supported values: \"Group\", \"ServiceAccount\", \"User\"");
      return;
    }
  for (guint i = 0; i < G_N_ELEMENTS (kinds); i++)
    {
      CubeView member = cube_view_member (subject, kinds[i][1]);
      CubePath here = CUBE_AT (at, kinds[i][1]);
      gboolean is_own = strcmp (kind, kinds[i][0]) == 0;
      if (is_own && !cube_view_exists (member))
        cube_check_add (errors, "Required", &here, cube_view_none (), "%s is required when subject kind is '%s'", kinds[i][1], kinds[i][0]);
      else if (!is_own && cube_view_exists (member))
        cube_check_add (errors, "Forbidden", &here, cube_view_none (), "%s is forbidden when subject kind is not '%s'", kinds[i][1],
                        kinds[i][0]);
    }
  CubeView account = cube_view_member (subject, "serviceAccount");
  CubePath account_at = CUBE_AT (at, "serviceAccount");
  if (strcmp (kind, "ServiceAccount") != 0 || !cube_view_exists (account))
    return;
  if (g_strcmp0 (cube_view_string (cube_view_member (account, "name")), "*") != 0)
    cube_check_name (errors, &account_at, account, "name", cube_name_check_dns1123_subdomain);
  cube_check_required (errors, &account_at, account, "namespace", "must specify namespace for service account");
  cube_check_name (errors, &account_at, account, "namespace", cube_name_check_dns1123_label);
}

static void
check_words (CubeFieldErrors *errors, const CubePath *path, CubeView rule, const char *field, const char *missing, const char *others)
{
  CubeView list = cube_view_member (rule, field);
  CubePath at = CUBE_AT (path, field);
  if (cube_view_length (list) == 0)
    cube_check_add (errors, "Required", &at, cube_view_none (), "%s", missing);
  else if (cube_view_length (list) > 1 && cube_list_has (list, "*"))
    cube_check_add (errors, "Invalid", &at, list, "if '*' is present, must not specify other %s", others);
}

static void
check_verbs (CubeFieldErrors *errors, const CubePath *path, CubeView rule, const char *const *known)
{
  CubePath at = CUBE_AT (path, "verbs");
  CubeView verbs = cube_view_member (rule, "verbs"), v;
  CubeIter it;
  check_words (errors, path, rule, "verbs", "verbs must contain at least one value", "verbs");
  if (cube_list_has (verbs, "*"))
    return;
  for (cube_iter_init (&it, verbs); cube_iter_next (&it, NULL, &v);)
    if (!g_strv_contains (known, cube_view_string_or (v, "")))
      {
        g_autofree char *list = g_strjoinv ("\", \"", (char **) known);
        cube_check_add (errors, "NotSupported", &at, verbs, "supported values: \"%s\"", list);
        return;
      }
}

static void
check_resource_rule (CubeFieldErrors *errors, const CubePath *at, CubeView rule)
{
  static const char *const verbs[] = { "create", "delete", "deletecollection", "get", "list", "patch", "proxy", "update", "watch", NULL };
  CubePath spaces_at = CUBE_AT (at, "namespaces");
  CubeView spaces = cube_view_member (rule, "namespaces"), v;
  CubeIter it;
  guint i = 0;
  check_verbs (errors, at, rule, verbs);
  check_words (errors, at, rule, "apiGroups", "resource rules must supply at least one api group", "api groups");
  check_words (errors, at, rule, "resources", "resource rules must supply at least one resource", "resources");
  if (cube_view_length (spaces) == 0 && !cube_view_bool (cube_view_member (rule, "clusterScope"), FALSE))
    cube_check_add (errors, "Required", &spaces_at, cube_view_none (),
                    "resource rules that are not cluster scoped must supply at least one namespace");
  else if (cube_view_length (spaces) > 1 && cube_list_has (spaces, "*"))
    cube_check_add (errors, "Invalid", &spaces_at, spaces, "if '*' is present, must not specify other namespaces");
  for (cube_iter_init (&it, spaces); cube_iter_next (&it, NULL, &v); i++)
    {
      const char *text = cube_view_string_or (v, ""), *why = strcmp (text, "*") == 0 ? NULL : cube_name_check_dns1123_label (text);
      if (why != NULL)
        cube_check_add (errors, "Invalid", &CUBE_AT_INDEX (&spaces_at, i), v,
                        "each member of this list must be '*' or a DNS-1123 label; %s", why);
    }
}

static const char *
check_url (const char *text)
{
  if (strpbrk (text, " \t\n\r\v\f") != NULL)
    return "must not contain white-space";
  if (*text != '/')
    return "must start with slash";
  if (strstr (text, "//") != NULL)
    return "must not contain double slash";
  const char *star = strchr (text, '*');
  if (star != NULL && (star[1] != '\0' || star[-1] != '/'))
    return "wildcard can only do suffix matching";
  return NULL;
}

static void
check_url_rule (CubeFieldErrors *errors, const CubePath *at, CubeView rule)
{
  static const char *const verbs[] = { "connect", "delete", "get", "head", "options", "patch", "post", "put", "trace", NULL };
  CubePath urls_at = CUBE_AT (at, "nonResourceURLs");
  CubeView urls = cube_view_member (rule, "nonResourceURLs"), v;
  CubeIter it;
  guint i = 0;
  check_verbs (errors, at, rule, verbs);
  check_words (errors, at, rule, "nonResourceURLs", "nonResourceURLs must contain at least one value", "non-resource URLs");
  for (cube_iter_init (&it, urls); cube_iter_next (&it, NULL, &v); i++)
    {
      const char *text = cube_view_string_or (v, ""), *why = strcmp (text, "*") == 0 ? NULL : check_url (text);
      if (why != NULL)
        cube_check_add (errors, "Invalid", &CUBE_AT_INDEX (&urls_at, i), v, "%s", why);
    }
}

static void
check_flow_rule (CubeFieldErrors *errors, const CubePath *at, CubeView rule)
{
  CubePath subjects = CUBE_AT (at, "subjects"), resources = CUBE_AT (at, "resourceRules"), urls = CUBE_AT (at, "nonResourceRules");
  CubeIter it;
  CubeView v;
  guint i = 0;
  if (cube_view_length (cube_view_member (rule, "subjects")) == 0)
    cube_check_add (errors, "Required", &subjects, cube_view_none (), "subjects must contain at least one value");
  for (cube_iter_init (&it, cube_view_member (rule, "subjects")); cube_iter_next (&it, NULL, &v); i++)
    check_subject (errors, &CUBE_AT_INDEX (&subjects, i), v);
  if (cube_view_length (cube_view_member (rule, "resourceRules")) + cube_view_length (cube_view_member (rule, "nonResourceRules")) == 0)
    cube_check_add (errors, "Required", at, cube_view_none (), "at least one of resourceRules and nonResourceRules has to be non-empty");
  i = 0;
  for (cube_iter_init (&it, cube_view_member (rule, "resourceRules")); cube_iter_next (&it, NULL, &v); i++)
    check_resource_rule (errors, &CUBE_AT_INDEX (&resources, i), v);
  i = 0;
  for (cube_iter_init (&it, cube_view_member (rule, "nonResourceRules")); cube_iter_next (&it, NULL, &v); i++)
    check_url_rule (errors, &CUBE_AT_INDEX (&urls, i), v);
}

void
cube_hook_flow_schema (const char *subresource, CubeView object, CubeView old, CubeFieldErrors *errors)
{
  static const char *const methods[] = { "ByNamespace", "ByUser", NULL };
  CubeView spec = cube_view_member (object, "spec"), precedence = cube_view_member (spec, "matchingPrecedence"),
           level = cube_view_member (spec, "priorityLevelConfiguration"), v;
  CubePath at = CUBE_AT (&spec_path, "matchingPrecedence"), rules = CUBE_AT (&spec_path, "rules"),
           level_at = CUBE_AT (&spec_path, "priorityLevelConfiguration");
  const char *name = cube_view_string_or (cube_view_get (object, "metadata", "name"), "");
  gint64 number = cube_view_int (precedence, 0);
  CubeIter it;
  guint i = 0;
  if (*subresource != '\0')
    return;
  if (number <= 0)
    cube_check_add (errors, "Invalid", &at, precedence, "must be a positive value");
  if (number > 10000)
    cube_check_add (errors, "Invalid", &at, precedence, "must not be greater than 10000");
  if (number == 1 && strcmp (name, "exempt") != 0)
    cube_check_add (errors, "Invalid", &at, precedence, "only the schema named 'exempt' may have matchingPrecedence 1");
  if (cube_view_exists (cube_view_member (spec, "distinguisherMethod")))
    cube_check_one_of (errors, &CUBE_AT (&spec_path, "distinguisherMethod"), cube_view_member (spec, "distinguisherMethod"), "type",
                       methods);
  cube_check_required (errors, &level_at, level, "name", "must reference a priority level");
  cube_check_name (errors, &level_at, level, "name", cube_name_check_dns1123_subdomain);
  for (cube_iter_init (&it, cube_view_member (spec, "rules")); cube_iter_next (&it, NULL, &v); i++)
    check_flow_rule (errors, &CUBE_AT_INDEX (&rules, i), v);
}

/* ---- PriorityLevelConfiguration ---- */

/* Bits needed to deal @hand of @deck cards. */
static int
entropy_bits (gint64 deck, gint64 hand)
{
  double bits = 0;
  for (gint64 i = 0; i < hand; i++)
    bits += log2 ((double) (deck - i));
  return (int) ceil (bits);
}

static void
check_queuing (CubeFieldErrors *errors, const CubePath *at, CubeView queuing)
{
  static const char *const counts[] = { "queueLengthLimit", "queues", "handSize" };
  CubeView queues = cube_view_member (queuing, "queues"), hand = cube_view_member (queuing, "handSize");
  gint64 n = cube_view_int (queues, 0), h = cube_view_int (hand, 0);
  for (guint i = 0; i < G_N_ELEMENTS (counts); i++)
    if (cube_view_get_int (queuing, 0, counts[i]) <= 0)
      cube_check_add (errors, "Invalid", &CUBE_AT (at, counts[i]), cube_view_member (queuing, counts[i]), "must be positive");
  if (n > 10000000)
    cube_check_add (errors, "Invalid", &CUBE_AT (at, "queues"), queues, "must not be greater than 10000000");
  if (h > n)
    cube_check_add (errors, "Invalid", &CUBE_AT (at, "handSize"), hand, "should not be greater than queues (%" G_GINT64_FORMAT ")", n);
  else if (n > 0 && h > 0 && n <= 10000000 && (h > 60 || entropy_bits (n, h) > 60))
    cube_check_add (
        errors, "Invalid", &CUBE_AT (at, "handSize"), hand,
        "required entropy bits of deckSize %" G_GINT64_FORMAT " and handSize %" G_GINT64_FORMAT " should not be greater than 60", n, h);
}

static void
check_shares (CubeFieldErrors *errors, const CubePath *at, CubeView part)
{
  CubeView lend = cube_view_member (part, "lendablePercent");
  cube_check_least (errors, at, part, "nominalConcurrencyShares", 0, "must be a non-negative integer");
  if (cube_view_exists (lend) && (cube_view_int (lend, 0) < 0 || cube_view_int (lend, 0) > 100))
    cube_check_add (errors, "Invalid", &CUBE_AT (at, "lendablePercent"), lend, "must be between 0 and 100, inclusive");
}

static void
check_limited (CubeFieldErrors *errors, CubeView limited)
{
  static const char *const types[] = { "Queue", "Reject", NULL };
  CubePath at = CUBE_AT (&spec_path, "limited"), response_at = CUBE_AT (&at, "limitResponse"),
           queuing_at = CUBE_AT (&response_at, "queuing");
  CubeView response = cube_view_member (limited, "limitResponse"), queuing = cube_view_member (response, "queuing");
  const char *type = cube_view_string_or (cube_view_member (response, "type"), "");
  check_shares (errors, &at, limited);
  cube_check_least (errors, &at, limited, "borrowingLimitPercent", 0, "if specified, must be a non-negative integer");
  cube_check_one_of (errors, &response_at, response, "type", types);
  if (strcmp (type, "Reject") == 0 && cube_view_exists (queuing))
    cube_check_forbidden (errors, &queuing_at, "must be nil if limited.limitResponse.type is not Limited");
  if (strcmp (type, "Queue") != 0)
    return;
  if (!cube_view_exists (queuing))
    cube_check_add (errors, "Required", &queuing_at, cube_view_none (), "must not be empty if limited.limitResponse.type is Limited");
  else
    check_queuing (errors, &queuing_at, queuing);
}

void
cube_hook_priority_level (const char *subresource, CubeView object, CubeView old, CubeFieldErrors *errors)
{
  static const char *const types[] = { "Exempt", "Limited", NULL };
  CubeView spec = cube_view_member (object, "spec"), type = cube_view_member (spec, "type"), limited = cube_view_member (spec, "limited"),
           exempt = cube_view_member (spec, "exempt");
  const char *text = cube_view_string_or (type, "");
  gboolean is_exempt = strcmp (text, "Exempt") == 0,
           is_named = g_strcmp0 (cube_view_get_string (object, "metadata", "name"), "exempt") == 0;
  if (*subresource != '\0')
    return;
  cube_check_one_of (errors, &spec_path, spec, "type", types);
  if (is_exempt != is_named)
    cube_check_add (errors, "Invalid", &CUBE_AT (&spec_path, "type"), type, "must be 'Exempt' if and only if `name` is 'exempt'");
  if (is_exempt)
    {
      if (cube_view_exists (limited))
        cube_check_forbidden (errors, &CUBE_AT (&spec_path, "limited"), "must be nil if the type is not Limited");
      if (cube_view_exists (exempt))
        check_shares (errors, &CUBE_AT (&spec_path, "exempt"), exempt);
      return;
    }
  if (strcmp (text, "Limited") != 0)
    return;
  if (cube_view_exists (exempt))
    cube_check_forbidden (errors, &CUBE_AT (&spec_path, "exempt"), "must be nil if the type is Limited");
  if (!cube_view_exists (limited))
    cube_check_add (errors, "Required", &CUBE_AT (&spec_path, "limited"), cube_view_none (), "must not be empty when type is Limited");
  else
    check_limited (errors, limited);
}

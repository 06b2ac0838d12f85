/* SPDX-License-Identifier: Apache-2.0 */
#include "rules.h"

#include <string.h>

#define RULE_ALL_VERBS (1u << 31)
#define MAX_SUBTEXT 512

struct _Role {
  gint ref_count;
  GPtrArray *rules;        /* owned */
  GHashTable *by_resource; /* "pods", "pods/log" → GPtrArray of Rule (borrowed) */
  GPtrArray *wildcards;    /* borrowed: rules with "*" or a resource of the form star, slash, subresource */
  GPtrArray *url_rules;    /* borrowed */
};

static const char *const common_verbs[] = { "get",         "list", "watch",    "create",  "update", "patch", "delete", "deletecollection",
                                            "impersonate", "bind", "escalate", "approve", "sign",   "use",   "proxy",  "post",
                                            "put",         "head", "options" };

static guint32
verb_bit (const char *verb)
{
  for (guint i = 0; i < G_N_ELEMENTS (common_verbs); i++)
    if (strcmp (common_verbs[i], verb) == 0)
      return 1u << i;
  return 0;
}

static char **
read_strings (CubeView array)
{
  GPtrArray *texts = g_ptr_array_new ();
  CubeIter it;
  CubeView value;

  if (cube_view_type (array) == CUBE_VALUE_ARRAY)
    for (cube_iter_init (&it, array); cube_iter_next (&it, NULL, &value);)
      if (cube_view_string (value) != NULL)
        g_ptr_array_add (texts, g_strdup (cube_view_string (value)));
  g_ptr_array_add (texts, NULL);
  return (char **) g_ptr_array_free (texts, FALSE);
}

static void
fill_mask (Rule *rule)
{
  for (char **verb = rule->verbs; *verb != NULL; verb++)
    rule->verb_mask |= g_str_equal (*verb, "*") ? RULE_ALL_VERBS : verb_bit (*verb);
}

Rule *
rule_new (CubeView view)
{
  Rule *rule = g_new0 (Rule, 1);

  rule->verbs = read_strings (cube_view_member (view, "verbs"));
  rule->groups = read_strings (cube_view_member (view, "apiGroups"));
  rule->resources = read_strings (cube_view_member (view, "resources"));
  rule->names = read_strings (cube_view_member (view, "resourceNames"));
  rule->urls = read_strings (cube_view_member (view, "nonResourceURLs"));
  fill_mask (rule);
  return rule;
}

static char **
one (const char *text)
{
  char **texts = g_new0 (char *, 2);

  texts[0] = g_strdup (text);
  return texts;
}

Rule *
rule_new_from_texts (const char *verb, const char *group, const char *resource, const char *name, const char *url)
{
  Rule *rule = g_new0 (Rule, 1);

  rule->verbs = one (verb);
  rule->groups = one (group);
  rule->resources = one (resource);
  rule->names = one (name);
  rule->urls = one (url);
  fill_mask (rule);
  return rule;
}

void
rule_free (Rule *rule)
{
  if (rule == NULL)
    return;
  g_strfreev (rule->verbs);
  g_strfreev (rule->groups);
  g_strfreev (rule->resources);
  g_strfreev (rule->names);
  g_strfreev (rule->urls);
  g_free (rule);
}

/* ---- roles ---- */

static void
index_rule (Role *role, Rule *rule)
{
  gboolean is_wild = FALSE;

  for (char **resource = rule->resources; *resource != NULL; resource++)
    {
      GPtrArray *list;

      if (**resource == '*')
        {
          is_wild = TRUE;
          continue;
        }
      list = g_hash_table_lookup (role->by_resource, *resource);
      if (list == NULL)
        {
          list = g_ptr_array_new ();
          g_hash_table_insert (role->by_resource, *resource, list);
        }
      if (list->len == 0 || list->pdata[list->len - 1] != rule)
        g_ptr_array_add (list, rule);
    }
  if (is_wild)
    g_ptr_array_add (role->wildcards, rule);
  if (rule->urls[0] != NULL)
    g_ptr_array_add (role->url_rules, rule);
}

Role *
role_new (CubeView rules)
{
  Role *role = g_new0 (Role, 1);
  CubeIter it;
  CubeView view;

  role->ref_count = 1;
  role->rules = g_ptr_array_new_with_free_func ((GDestroyNotify) rule_free);
  role->by_resource = g_hash_table_new_full (g_str_hash, g_str_equal, NULL, (GDestroyNotify) g_ptr_array_unref);
  role->wildcards = g_ptr_array_new ();
  role->url_rules = g_ptr_array_new ();
  if (cube_view_type (rules) == CUBE_VALUE_ARRAY)
    for (cube_iter_init (&it, rules); cube_iter_next (&it, NULL, &view);)
      {
        Rule *rule = rule_new (view);

        g_ptr_array_add (role->rules, rule);
        index_rule (role, rule);
      }
  return role;
}

Role *
role_ref (Role *role)
{
  g_atomic_int_inc (&role->ref_count);
  return role;
}

void
role_unref (Role *role)
{
  if (role == NULL || !g_atomic_int_dec_and_test (&role->ref_count))
    return;
  g_ptr_array_unref (role->url_rules);
  g_ptr_array_unref (role->wildcards);
  g_hash_table_unref (role->by_resource); /* its keys are the rules' */
  g_ptr_array_unref (role->rules);
  g_free (role);
}

const GPtrArray *
role_rules (const Role *role)
{
  return role->rules;
}

/* ---- one request ---- */

static gboolean
has (char *const *texts, const char *text)
{
  for (; *texts != NULL; texts++)
    if (strcmp (*texts, text) == 0)
      return TRUE;
  return FALSE;
}

static gboolean
has_or_star (char *const *texts, const char *text)
{
  for (; *texts != NULL; texts++)
    if (strcmp (*texts, text) == 0 || strcmp (*texts, "*") == 0)
      return TRUE;
  return FALSE;
}

static gboolean
verb_matches (const Rule *rule, const char *verb, guint32 bit)
{
  return (rule->verb_mask & (bit | RULE_ALL_VERBS)) != 0 || (bit == 0 && has (rule->verbs, verb));
}

static gboolean
rest_matches (const Rule *rule, const CubeAttributes *a, guint32 bit)
{
  return verb_matches (rule, a->verb, bit) && has_or_star (rule->groups, a->group != NULL ? a->group : "")
         && (rule->names[0] == NULL || (a->name != NULL && has (rule->names, a->name)));
}

/* "*", or a star before the slash and the very subresource after it. */
static gboolean
wildcard_matches (const Rule *rule, const char *subresource)
{
  for (char **resource = rule->resources; *resource != NULL; resource++)
    {
      const char *r = *resource;

      if (r[0] == '*' && (r[1] == '\0' || (r[1] == '/' && *subresource != '\0' && strcmp (r + 2, subresource) == 0)))
        return TRUE;
    }
  return FALSE;
}

static gboolean
url_matches (char *const *urls, const char *path)
{
  for (; *urls != NULL; urls++)
    {
      gsize n = strlen (*urls);

      if (strcmp (*urls, path) == 0 || (n > 0 && (*urls)[n - 1] == '*' && strncmp (*urls, path, n - 1) == 0))
        return TRUE;
    }
  return FALSE;
}

static gboolean
allows_path (const Role *role, const CubeAttributes *a)
{
  guint32 bit = verb_bit (a->verb);

  for (guint i = 0; i < role->url_rules->len; i++)
    {
      const Rule *rule = role->url_rules->pdata[i];

      if (verb_matches (rule, a->verb, bit) && a->path != NULL && url_matches (rule->urls, a->path))
        return TRUE;
    }
  return FALSE;
}

static const GPtrArray *
rules_of (const Role *role, const CubeAttributes *a, const char *subresource)
{
  char text[MAX_SUBTEXT];

  if (*subresource == '\0')
    return g_hash_table_lookup (role->by_resource, a->resource);
  if (g_snprintf (text, sizeof text, "%s/%s", a->resource, subresource) >= (int) sizeof text)
    return NULL;
  return g_hash_table_lookup (role->by_resource, text);
}

gboolean
role_allows (const Role *role, const CubeAttributes *a)
{
  const char *subresource = a->subresource != NULL ? a->subresource : "";
  const GPtrArray *rules;
  guint32 bit;

  if (a->resource == NULL)
    return allows_path (role, a);
  bit = verb_bit (a->verb);
  rules = rules_of (role, a, subresource);
  for (guint i = 0; rules != NULL && i < rules->len; i++)
    if (rest_matches (rules->pdata[i], a, bit))
      return TRUE;
  for (guint i = 0; i < role->wildcards->len; i++)
    if (rest_matches (role->wildcards->pdata[i], a, bit) && wildcard_matches (role->wildcards->pdata[i], subresource))
      return TRUE;
  return FALSE;
}

/* ---- does what one holds cover what is to be granted? ---- */

static gboolean
resource_covered (const Rule *owner, const char *resource)
{
  const char *slash = strchr (resource, '/');

  for (char **r = owner->resources; *r != NULL; r++)
    if (strcmp (*r, "*") == 0 || strcmp (*r, resource) == 0
        || (slash != NULL && (*r)[0] == '*' && (*r)[1] == '/' && strcmp (*r + 1, slash) == 0))
      return TRUE;
  return FALSE;
}

static gboolean
url_covered (const Rule *owner, const char *url)
{
  for (char **u = owner->urls; *u != NULL; u++)
    {
      gsize n = strlen (*u);

      if (strcmp (*u, url) == 0 || (n > 0 && (*u)[n - 1] == '*' && strncmp (*u, url, n - 1) == 0))
        return TRUE;
    }
  return FALSE;
}

/* @part has at most one text of each sort. */
static gboolean
part_covered (const GPtrArray *owned, const Rule *part)
{
  for (guint i = 0; i < owned->len; i++)
    {
      const Rule *owner = owned->pdata[i];

      if (!has_or_star (owner->verbs, part->verbs[0]))
        continue;
      if (part->urls[0] != NULL)
        {
          if (url_covered (owner, part->urls[0]))
            return TRUE;
        }
      else if (has_or_star (owner->groups, part->groups[0]) && resource_covered (owner, part->resources[0])
               && (owner->names[0] == NULL || (part->names[0] != NULL && has (owner->names, part->names[0]))))
        return TRUE;
    }
  return FALSE;
}

static void
take_if_uncovered (GPtrArray *out, const GPtrArray *owned, Rule *part)
{
  if (part_covered (owned, part))
    rule_free (part);
  else
    g_ptr_array_add (out, part);
}

static void
split_resource (GPtrArray *out, const GPtrArray *owned, const Rule *rule, const char *verb)
{
  for (char **group = rule->groups; *group != NULL; group++)
    for (char **resource = rule->resources; *resource != NULL; resource++)
      {
        if (rule->names[0] == NULL)
          take_if_uncovered (out, owned, rule_new_from_texts (verb, *group, *resource, NULL, NULL));
        for (char **name = rule->names; *name != NULL; name++)
          take_if_uncovered (out, owned, rule_new_from_texts (verb, *group, *resource, *name, NULL));
      }
}

GPtrArray *
rules_not_covered (const GPtrArray *owned, const GPtrArray *wanted)
{
  GPtrArray *out = g_ptr_array_new_with_free_func ((GDestroyNotify) rule_free);

  for (guint i = 0; i < wanted->len; i++)
    {
      const Rule *rule = wanted->pdata[i];

      for (char **verb = rule->verbs; *verb != NULL; verb++)
        {
          split_resource (out, owned, rule, *verb);
          for (char **url = rule->urls; *url != NULL; url++)
            take_if_uncovered (out, owned, rule_new_from_texts (*verb, NULL, NULL, NULL, *url));
        }
    }
  return out;
}

/* ---- as text and as JSON ---- */

static void
append_field (GString *out, const char *name, char *const *texts)
{
  if (texts[0] == NULL)
    return;
  g_string_append_printf (out, "%s%s:[", out->str[out->len - 1] == '{' ? "" : ", ", name);
  for (guint i = 0; texts[i] != NULL; i++)
    {
      if (i > 0)
        g_string_append (out, ", ");
      cube_json_append_string (out, texts[i], -1);
    }
  g_string_append_c (out, ']');
}

static char *
rule_head (const Rule *rule)
{
  GString *out = g_string_new ("{");

  append_field (out, "APIGroups", rule->groups);
  append_field (out, "Resources", rule->resources);
  append_field (out, "ResourceNames", rule->names);
  append_field (out, "NonResourceURLs", rule->urls);
  return g_string_free (out, FALSE);
}

static int
compare_texts (gconstpointer a, gconstpointer b)
{
  return strcmp (*(char *const *) a, *(char *const *) b);
}

char *
rules_to_text (const GPtrArray *rules)
{
  g_autoptr (GHashTable) by_head = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, (GDestroyNotify) g_ptr_array_unref);
  g_autoptr (GPtrArray) lines = g_ptr_array_new_with_free_func (g_free);
  GHashTableIter it;
  gpointer head, verbs;

  for (guint i = 0; i < rules->len; i++)
    {
      const Rule *rule = rules->pdata[i];
      char *key = rule_head (rule);
      GPtrArray *list = g_hash_table_lookup (by_head, key);

      if (list == NULL)
        {
          list = g_ptr_array_new ();
          g_hash_table_insert (by_head, key, list);
        }
      else
        g_free (key);
      for (char **verb = rule->verbs; *verb != NULL; verb++)
        if (!g_ptr_array_find_with_equal_func (list, *verb, g_str_equal, NULL))
          g_ptr_array_add (list, *verb);
    }
  for (g_hash_table_iter_init (&it, by_head); g_hash_table_iter_next (&it, &head, &verbs);)
    {
      GString *line = g_string_new (head);

      g_ptr_array_add (verbs, NULL);
      append_field (line, "Verbs", (char **) ((GPtrArray *) verbs)->pdata);
      g_string_append_c (line, '}');
      g_ptr_array_add (lines, g_string_free (line, FALSE));
    }
  g_ptr_array_sort (lines, compare_texts);
  g_ptr_array_add (lines, NULL);
  return g_strjoinv ("\n", (char **) lines->pdata);
}

static void
append_strings (CubeMut *object, const char *key, char *const *texts)
{
  CubeMut *array;

  if (texts[0] == NULL)
    return;
  array = cube_mut_set_array (object, key);
  for (; *texts != NULL; texts++)
    cube_mut_append_string (array, *texts);
}

void
rule_append (const Rule *rule, CubeMut *resource_rules, CubeMut *non_resource_rules)
{
  if (rule->resources[0] != NULL)
    {
      CubeMut *object = cube_mut_append_object (resource_rules);

      append_strings (object, "verbs", rule->verbs);
      append_strings (object, "apiGroups", rule->groups);
      append_strings (object, "resources", rule->resources);
      append_strings (object, "resourceNames", rule->names);
    }
  if (rule->urls[0] != NULL)
    {
      CubeMut *object = cube_mut_append_object (non_resource_rules);

      append_strings (object, "verbs", rule->verbs);
      append_strings (object, "nonResourceURLs", rule->urls);
    }
}

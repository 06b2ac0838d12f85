/* SPDX-License-Identifier: Apache-2.0 */
#include "policy.h"

#include <cube/error.h>
#include <string.h>

#define GROUP "rbac.authorization.k8s.io"
#define AUTOUPDATE "rbac.authorization.kubernetes.io/autoupdate"
#define READ "get,list,watch"
#define WRITE "create,update,patch,delete,deletecollection"

static const struct {
  const char *name, *verbs;
} verb_sets[] = {
  { "@read", READ },
  { "@write", WRITE },
  { "@all", READ "," WRITE },
  { "@change", READ ",update,patch" },
  { "@events", "create,patch,update" },
};

typedef struct {
  GPtrArray *items;
  CubeBuilder *role; /* the role being read */
  char *ns, *name;
} Parser;

void
policy_item_free (PolicyItem *item)
{
  g_free (item->ns);
  g_free (item->name);
  cube_value_unref (item->object);
  g_free (item);
}

static void
add_item (Parser *parser, const char *resource, const char *ns, const char *name, CubeBuilder *builder)
{
  PolicyItem *item = g_new0 (PolicyItem, 1);

  item->resource = resource;
  item->ns = g_strdup (ns);
  item->name = g_strdup (name);
  item->object = cube_builder_end (builder);
  g_ptr_array_add (parser->items, item);
}

static CubeBuilder *
new_object (const char *kind, const char *ns, const char *name)
{
  CubeBuilder *builder = cube_builder_new ();
  CubeMut *root = cube_builder_root (builder), *metadata;

  cube_mut_set_string (root, "apiVersion", GROUP "/v1");
  cube_mut_set_string (root, "kind", kind);
  metadata = cube_mut_set_object (root, "metadata");
  cube_mut_set_string (metadata, "name", name);
  if (*ns != '\0')
    cube_mut_set_string (metadata, "namespace", ns);
  cube_mut_set_string (cube_mut_set_object (metadata, "labels"), "kubernetes.io/bootstrapping", "rbac-defaults");
  cube_mut_set_string (cube_mut_set_object (metadata, "annotations"), AUTOUPDATE, "true");
  return builder;
}

static void
finish_role (Parser *parser)
{
  if (parser->role != NULL)
    add_item (parser, *parser->ns == '\0' ? "clusterroles" : "roles", parser->ns, parser->name, parser->role);
  g_clear_pointer (&parser->role, cube_builder_free);
  g_clear_pointer (&parser->ns, g_free);
  g_clear_pointer (&parser->name, g_free);
}

/* "ns/name" or "name" */
static void
split_name (const char *text, char **ret_ns, char **ret_name)
{
  const char *slash = strchr (text, '/');

  *ret_ns = slash != NULL ? g_strndup (text, (gsize) (slash - text)) : g_strdup ("");
  *ret_name = g_strdup (slash != NULL ? slash + 1 : text);
}

static gboolean
read_role (Parser *parser, char **words)
{
  CubeMut *root;

  finish_role (parser);
  split_name (words[1], &parser->ns, &parser->name);
  parser->role = new_object (*parser->ns == '\0' ? "ClusterRole" : "Role", parser->ns, parser->name);
  root = cube_builder_root (parser->role);
  cube_mut_set_array (root, "rules");
  for (char **word = words + 2; *word != NULL; word++)
    {
      const char *key = strchr (*word, '=');
      g_autofree char *label = key != NULL ? g_strconcat (GROUP "/aggregate-to-", key + 1, NULL) : NULL;

      if (g_str_has_prefix (*word, "label="))
        cube_mut_set_string (cube_mut_get (root, "metadata", "labels"), label, "true");
      else if (g_str_has_prefix (*word, "aggregate="))
        {
          CubeMut *selectors = cube_mut_set_array (cube_mut_set_object (root, "aggregationRule"), "clusterRoleSelectors");
          cube_mut_set_string (cube_mut_set_object (cube_mut_append_object (selectors), "matchLabels"), label, "true");
        }
      else
        return FALSE;
    }
  return TRUE;
}

static void
set_list (CubeMut *rule, const char *key, const char *text)
{
  g_auto (GStrv) parts = g_strsplit (text, ",", -1);
  CubeMut *array = cube_mut_set_array (rule, key);

  for (char **part = parts; *part != NULL; part++)
    cube_mut_append_string (array, g_str_equal (*part, "core") ? "" : *part);
}

static const char *
expand_verbs (const char *text)
{
  for (guint i = 0; i < G_N_ELEMENTS (verb_sets); i++)
    if (g_str_equal (verb_sets[i].name, text))
      return verb_sets[i].verbs;
  return text;
}

static gboolean
read_rule (Parser *parser, char **words, guint n)
{
  CubeMut *rules = parser->role != NULL ? cube_mut_member (cube_builder_root (parser->role), "rules") : NULL, *rule;
  gboolean is_url = g_str_equal (words[0], "url");

  if (rules == NULL || n < (is_url ? 3u : 4u))
    return FALSE;
  rule = cube_mut_append_object (rules);
  set_list (rule, "verbs", expand_verbs (words[1]));
  if (is_url)
    {
      set_list (rule, "nonResourceURLs", words[2]);
      return TRUE;
    }
  set_list (rule, "apiGroups", words[2]);
  set_list (rule, "resources", words[3]);
  if (n > 4 && g_str_has_prefix (words[4], "names="))
    set_list (rule, "resourceNames", words[4] + strlen ("names="));
  return n <= 5;
}

static gboolean
add_subject (CubeMut *subjects, const char *text)
{
  CubeMut *subject = cube_mut_append_object (subjects);
  const char *colon = strchr (text, ':');

  if (colon == NULL)
    return FALSE;
  if (g_str_has_prefix (text, "sa:"))
    {
      g_autofree char *ns = NULL, *name = NULL;

      split_name (colon + 1, &ns, &name);
      cube_mut_set_string (subject, "kind", "ServiceAccount");
      cube_mut_set_string (subject, "name", name);
      cube_mut_set_string (subject, "namespace", ns);
      return TRUE;
    }
  cube_mut_set_string (subject, "apiGroup", GROUP);
  cube_mut_set_string (subject, "kind", g_str_has_prefix (text, "user:") ? "User" : "Group");
  cube_mut_set_string (subject, "name", colon + 1);
  return g_str_has_prefix (text, "user:") || g_str_has_prefix (text, "group:");
}

static gboolean
read_binding (Parser *parser, char **words, guint n)
{
  g_autofree char *ns = NULL, *name = NULL;
  g_autoptr (CubeBuilder) builder = NULL;
  CubeMut *root, *ref, *subjects;
  gboolean is_cluster_role;

  if (n < 3)
    return FALSE;
  split_name (words[1], &ns, &name);
  is_cluster_role = *ns == '\0' || g_str_has_prefix (words[2], "cluster:");
  builder = new_object (*ns == '\0' ? "ClusterRoleBinding" : "RoleBinding", ns, name);
  root = cube_builder_root (builder);
  ref = cube_mut_set_object (root, "roleRef");
  cube_mut_set_string (ref, "apiGroup", GROUP);
  cube_mut_set_string (ref, "kind", is_cluster_role ? "ClusterRole" : "Role");
  cube_mut_set_string (ref, "name", g_str_has_prefix (words[2], "cluster:") ? words[2] + strlen ("cluster:") : words[2]);
  if (n > 3)
    {
      subjects = cube_mut_set_array (root, "subjects");
      for (guint i = 3; i < n; i++)
        if (!add_subject (subjects, words[i]))
          return FALSE;
    }
  add_item (parser, *ns == '\0' ? "clusterrolebindings" : "rolebindings", ns, name, builder);
  return TRUE;
}

static gboolean
read_controller (Parser *parser, char **words)
{
  g_autofree char *role = g_strconcat ("system:controller:", words[1], NULL), *account = g_strconcat ("sa:kube-system/", words[1], NULL);
  char *role_words[] = { words[0], role, NULL }, *bind_words[] = { words[0], role, role, account, NULL };

  return read_role (parser, role_words) && read_binding (parser, bind_words, 4);
}

static gboolean
read_line (Parser *parser, char **words)
{
  guint n = g_strv_length (words);

  if (n < 2)
    return FALSE;
  if (g_str_equal (words[0], "role"))
    return read_role (parser, words);
  if (g_str_equal (words[0], "rule") || g_str_equal (words[0], "url"))
    return read_rule (parser, words, n);
  if (g_str_equal (words[0], "bind"))
    return read_binding (parser, words, n);
  return g_str_equal (words[0], "controller") && read_controller (parser, words);
}

GPtrArray *
policy_parse (const char *text, GError **error)
{
  g_auto (GStrv) lines = g_strsplit (text, "\n", -1);
  g_autoptr (GPtrArray) items = g_ptr_array_new_with_free_func ((GDestroyNotify) policy_item_free);
  Parser parser = { items, NULL, NULL, NULL };
  gboolean is_good = TRUE;

  for (guint i = 0; is_good && lines[i] != NULL; i++)
    {
      g_auto (GStrv) words = NULL;

      if (*lines[i] == '\0' || *lines[i] == '#')
        continue;
      words = g_strsplit (lines[i], " ", -1);
      is_good = read_line (&parser, words);
      if (!is_good)
        g_set_error (error, CUBE_ERROR, CUBE_ERROR_INTERNAL, "bootstrap policy, line %u: cannot read \"%s\"", i + 1, lines[i]);
    }
  finish_role (&parser);
  return is_good ? g_steal_pointer (&items) : NULL;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Discovery documents. Made on demand: they are asked for rarely and are small. */
#include "discovery.h"

void
cube_json_member (GString *out, const char *key, const char *text)
{
  if (out->len > 0 && strchr ("{[,:", out->str[out->len - 1]) == NULL)
    g_string_append_c (out, ',');
  g_string_append_printf (out, "\"%s\":", key);
  cube_json_append_string (out, text, -1);
}

static void
append_strings (GString *out, const char *key, const char *const *list)
{
  if (list == NULL || list[0] == NULL)
    return;
  g_string_append_printf (out, ",\"%s\":[", key);
  for (guint i = 0; list[i] != NULL; i++)
    {
      if (i > 0)
        g_string_append_c (out, ',');
      cube_json_append_string (out, list[i], -1);
    }
  g_string_append_c (out, ']');
}

/* Discovery lists verbs in alphabetical order. */
static void
append_verbs (GString *out, guint32 verbs)
{
  static const CubeVerb order[] = { CUBE_VERB_CREATE, CUBE_VERB_DELETE, CUBE_VERB_DELETE_COLLECTION,
                                    CUBE_VERB_GET,    CUBE_VERB_LIST,   CUBE_VERB_PATCH,
                                    CUBE_VERB_UPDATE, CUBE_VERB_WATCH };
  g_string_append (out, "\"verbs\":[");
  gboolean first = TRUE;
  for (guint i = 0; i < G_N_ELEMENTS (order); i++)
    if ((verbs & (1u << order[i])) != 0)
      {
        g_string_append_printf (out, "%s\"%s\"", first ? "" : ",", cube_verb_name (order[i]));
        first = FALSE;
      }
  g_string_append_c (out, ']');
}

/* ---- groups ---- */

/* The groups in discovery order with their versions, preferred first: built-in ones, then custom ones by name. */
typedef struct {
  const char *name;
  GPtrArray *versions; /* (element-type utf8) not owned */
} Group;

static void
group_free (gpointer data)
{
  Group *group = data;
  g_ptr_array_unref (group->versions);
  g_free (group);
}

static Group *
find_group (GPtrArray *groups, const char *name)
{
  for (guint i = 0; i < groups->len; i++)
    if (strcmp (((Group *) groups->pdata[i])->name, name) == 0)
      return groups->pdata[i];
  return NULL;
}

static Group *
add_group (GPtrArray *groups, const char *name)
{
  Group *group = g_new0 (Group, 1);
  group->name = name;
  group->versions = g_ptr_array_new ();
  g_ptr_array_add (groups, group);
  return group;
}

/* v1 > v1beta2 > v1beta1 > v1alpha1 > anything else by name; higher numbers first. */
int
cube_version_compare (const char *a, const char *b)
{
  guint level[2] = { 0, 0 };
  guint64 major[2] = { 0, 0 }, minor[2] = { 0, 0 };
  const char *text[2] = { a, b };
  for (guint i = 0; i < 2; i++)
    {
      const char *at = text[i];
      char *end;
      if (*at != 'v' || !g_ascii_isdigit (at[1]))
        continue;
      major[i] = g_ascii_strtoull (at + 1, &end, 10);
      if (*end == '\0')
        {
          level[i] = 3;
          continue;
        }
      gboolean beta = g_str_has_prefix (end, "beta"), alpha = g_str_has_prefix (end, "alpha");
      const char *digits = end + (beta ? 4 : 5);
      if ((!beta && !alpha) || !g_ascii_isdigit (*digits))
        continue;
      minor[i] = g_ascii_strtoull (digits, &end, 10);
      level[i] = *end == '\0' ? (beta ? 2 : 1) : 0;
    }
  if (level[0] != level[1])
    return level[0] > level[1] ? -1 : 1;
  if (level[0] == 0)
    return strcmp (a, b);
  if (major[0] != major[1])
    return major[0] > major[1] ? -1 : 1;
  return minor[0] == minor[1] ? 0 : minor[0] > minor[1] ? -1 : 1;
}

static int
compare_versions (gconstpointer a, gconstpointer b)
{
  return cube_version_compare (*(const char *const *) a, *(const char *const *) b);
}

static int
compare_groups (gconstpointer a, gconstpointer b)
{
  return strcmp ((*(Group *const *) a)->name, (*(Group *const *) b)->name);
}

static GPtrArray *
list_groups (CubeSchema *schema, GPtrArray *resources)
{
  GPtrArray *groups = g_ptr_array_new_with_free_func (group_free);
  for (const CubeGroup *builtin = cube_builtin_groups; builtin->name != NULL; builtin++)
    {
      Group *group = add_group (groups, builtin->name);
      for (guint i = 0; builtin->versions[i] != NULL; i++)
        g_ptr_array_add (group->versions, (gpointer) builtin->versions[i]);
    }
  g_autoptr (GPtrArray) custom = g_ptr_array_new ();
  for (guint i = 0; i < resources->len; i++)
    {
      const CubeResource *resource = resources->pdata[i];
      if (!resource->is_custom)
        continue;
      Group *group = find_group (groups, resource->group);
      if (group == NULL)
        group = find_group (custom, resource->group);
      if (group == NULL)
        group = add_group (custom, resource->group);
      if (!g_ptr_array_find_with_equal_func (group->versions, resource->version, g_str_equal, NULL))
        g_ptr_array_add (group->versions, (gpointer) resource->version);
    }
  g_ptr_array_sort (custom, compare_groups);
  for (guint i = 0; i < custom->len; i++)
    {
      g_ptr_array_sort (((Group *) custom->pdata[i])->versions, compare_versions);
      g_ptr_array_add (groups, custom->pdata[i]);
    }
  return groups;
}

static void
append_group_version (GString *out, const Group *group, guint index)
{
  g_string_append_printf (out, "{\"groupVersion\":\"%s/%s\",\"version\":\"%s\"}", group->name, (char *) group->versions->pdata[index],
                          (char *) group->versions->pdata[index]);
}

static void
append_group (GString *out, const Group *group, gboolean with_type)
{
  g_string_append_c (out, '{');
  if (with_type)
    g_string_append (out, "\"kind\":\"APIGroup\",\"apiVersion\":\"v1\",");
  g_string_append_printf (out, "\"name\":\"%s\",\"versions\":[", group->name);
  for (guint i = 0; i < group->versions->len; i++)
    {
      if (i > 0)
        g_string_append_c (out, ',');
      append_group_version (out, group, i);
    }
  g_string_append (out, "],\"preferredVersion\":");
  append_group_version (out, group, 0);
  g_string_append_c (out, '}');
}

char *
cube_schema_discovery_api (CubeSchema *schema, const char *server_address)
{
  GString *out =
      g_string_new ("{\"kind\":\"APIVersions\",\"versions\":[\"v1\"],\"serverAddressByClientCIDRs\":[{\"clientCIDR\":\"0.0.0.0/0\",");
  cube_json_member (out, "serverAddress", server_address == NULL ? "" : server_address);
  g_string_append (out, "}]}");
  return g_string_free (out, FALSE);
}

char *
cube_schema_discovery_groups (CubeSchema *schema)
{
  g_autoptr (GPtrArray) resources = cube_schema_list (schema);
  g_autoptr (GPtrArray) groups = list_groups (schema, resources);
  GString *out = g_string_new ("{\"kind\":\"APIGroupList\",\"apiVersion\":\"v1\",\"groups\":[");
  gboolean first = TRUE;
  for (guint i = 0; i < groups->len; i++)
    {
      const Group *group = groups->pdata[i];
      if (*group->name == '\0')
        continue;
      if (!first)
        g_string_append_c (out, ',');
      append_group (out, group, FALSE);
      first = FALSE;
    }
  g_string_append (out, "]}");
  return g_string_free (out, FALSE);
}

char *
cube_schema_discovery_group (CubeSchema *schema, const char *name)
{
  g_autoptr (GPtrArray) resources = cube_schema_list (schema);
  g_autoptr (GPtrArray) groups = list_groups (schema, resources);
  const Group *group = name == NULL || *name == '\0' ? NULL : find_group (groups, name);
  if (group == NULL)
    return NULL;
  GString *out = g_string_new (NULL);
  append_group (out, group, TRUE);
  return g_string_free (out, FALSE);
}

/* ---- resources ---- */

static void
append_api_resource (GString *out, const CubeResource *resource)
{
  g_string_append_c (out, '{');
  cube_json_member (out, "name", resource->resource);
  cube_json_member (out, "singularName", resource->singular);
  g_string_append_printf (out, ",\"namespaced\":%s", resource->is_namespaced ? "true" : "false");
  cube_json_member (out, "kind", resource->kind);
  g_string_append_c (out, ',');
  append_verbs (out, resource->verbs);
  append_strings (out, "shortNames", resource->short_names);
  append_strings (out, "categories", resource->categories);
  if (*resource->storage_version_hash != '\0')
    cube_json_member (out, "storageVersionHash", resource->storage_version_hash);
  g_string_append_c (out, '}');
  for (const CubeSubresource *sub = resource->subresources; sub->name != NULL; sub++)
    {
      g_string_append_printf (out, ",{\"name\":\"%s/%s\",\"singularName\":\"\",\"namespaced\":%s", resource->resource, sub->name,
                              resource->is_namespaced ? "true" : "false");
      if (sub->version != NULL)
        {
          cube_json_member (out, "group", sub->group);
          cube_json_member (out, "version", sub->version);
        }
      cube_json_member (out, "kind", sub->kind);
      g_string_append_c (out, ',');
      append_verbs (out, sub->verbs);
      g_string_append_c (out, '}');
    }
}

/* The resources of a version, with commas between; FALSE when there are none. */
static gboolean
append_resources (GString *out, GPtrArray *resources, const char *group, const char *version,
                  void (*append) (GString *out, const CubeResource *resource))
{
  gboolean first = TRUE;
  for (guint i = 0; i < resources->len; i++)
    {
      const CubeResource *resource = resources->pdata[i];
      if (strcmp (resource->group, group) != 0 || strcmp (resource->version, version) != 0)
        continue;
      if (!first)
        g_string_append_c (out, ',');
      append (out, resource);
      first = FALSE;
    }
  return !first;
}

char *
cube_schema_discovery_resources (CubeSchema *schema, const char *group, const char *version)
{
  g_autoptr (GPtrArray) resources = cube_schema_list (schema);
  if (group == NULL || version == NULL)
    return NULL;
  GString *out = g_string_new ("{\"kind\":\"APIResourceList\",\"apiVersion\":\"v1\",\"groupVersion\":\"");
  g_string_append_printf (out, "%s%s%s\",\"resources\":[", group, *group == '\0' ? "" : "/", version);
  if (!append_resources (out, resources, group, version, append_api_resource))
    {
      g_string_free (out, TRUE);
      return NULL;
    }
  g_string_append (out, "]}");
  return g_string_free (out, FALSE);
}

/* ---- aggregated ---- */

static void
append_response_kind (GString *out, const char *group, const char *version, const char *kind)
{
  g_string_append (out, ",\"responseKind\":{");
  cube_json_member (out, "group", group);
  cube_json_member (out, "version", version);
  cube_json_member (out, "kind", kind);
  g_string_append_c (out, '}');
}

static void
append_aggregated_resource (GString *out, const CubeResource *resource)
{
  g_string_append_c (out, '{');
  cube_json_member (out, "resource", resource->resource);
  append_response_kind (out, resource->group, resource->version, resource->kind);
  cube_json_member (out, "scope", resource->is_namespaced ? "Namespaced" : "Cluster");
  cube_json_member (out, "singularResource", resource->singular);
  g_string_append_c (out, ',');
  append_verbs (out, resource->verbs);
  append_strings (out, "shortNames", resource->short_names);
  append_strings (out, "categories", resource->categories);
  if (resource->subresources[0].name != NULL)
    {
      g_string_append (out, ",\"subresources\":[");
      for (const CubeSubresource *sub = resource->subresources; sub->name != NULL; sub++)
        {
          g_string_append_printf (out, "%s{\"subresource\":\"%s\"", sub == resource->subresources ? "" : ",", sub->name);
          append_response_kind (out, sub->version == NULL ? resource->group : sub->group,
                                sub->version == NULL ? resource->version : sub->version, sub->kind);
          g_string_append_c (out, ',');
          append_verbs (out, sub->verbs);
          g_string_append_c (out, '}');
        }
      g_string_append_c (out, ']');
    }
  g_string_append_c (out, '}');
}

static void
append_aggregated_version (GString *out, GPtrArray *resources, const char *group, const char *version)
{
  g_string_append_printf (out, "{\"version\":\"%s\",\"resources\":[", version);
  append_resources (out, resources, group, version, append_aggregated_resource);
  g_string_append (out, "],\"freshness\":\"Current\"}");
}

char *
cube_schema_discovery_aggregated (CubeSchema *schema, gboolean is_core, const char *version)
{
  g_autoptr (GPtrArray) resources = cube_schema_list (schema);
  g_autoptr (GPtrArray) groups = list_groups (schema, resources);
  GString *out = g_string_new ("{\"kind\":\"APIGroupDiscoveryList\",\"apiVersion\":\"apidiscovery.k8s.io/");
  g_string_append_printf (out, "%s\",\"metadata\":{},\"items\":[", version == NULL ? "v2" : version);
  gboolean first = TRUE;
  for (guint i = 0; i < groups->len; i++)
    {
      const Group *group = groups->pdata[i];
      if ((*group->name == '\0') != is_core)
        continue;
      g_string_append (out, first ? "{\"metadata\":{" : ",{\"metadata\":{");
      if (!is_core)
        cube_json_member (out, "name", group->name);
      g_string_append (out, "},\"versions\":[");
      for (guint v = 0; v < group->versions->len; v++)
        {
          if (v > 0)
            g_string_append_c (out, ',');
          append_aggregated_version (out, resources, group->name, group->versions->pdata[v]);
        }
      g_string_append (out, "]}");
      first = FALSE;
    }
  g_string_append (out, "]}");
  return g_string_free (out, FALSE);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* ObjectMeta rules shared by all kinds. */
#include "types.h"

#define MAX_ANNOTATIONS 262144u

static const char *
check_name (const CubeResource *resource, const char *name)
{
  switch (cube_resource_type (resource)->name_rule)
    {
    case CUBE_NAME_DNS_LABEL: return cube_name_check_dns1123_label (name);
    case CUBE_NAME_PATH_SEGMENT: return cube_name_check_path_segment (name);
    default: return cube_name_check_dns1123_subdomain (name);
    }
}

static void
validate_names (const CubeResource *resource, CubeView metadata, CubeFieldErrors *errors)
{
  CubeView name = cube_view_member (metadata, "name"), generate = cube_view_member (metadata, "generateName");
  const char *why;
  if (cube_view_string_length (generate) > 0)
    {
      /* A trailing dash is fine: something follows it. */
      g_autofree char *probe = g_strdup (cube_view_string (generate));
      gsize length = strlen (probe);
      if (length > 1 && probe[length - 1] == '-')
        probe[length - 2] = probe[length - 1] = 'a';
      if ((why = check_name (resource, probe)) != NULL)
        cube_field_errors_add (errors, "Invalid", "metadata.generateName", generate, "%s", why);
    }
  if (cube_view_string_length (name) == 0)
    cube_field_errors_add (errors, "Required", "metadata.name", cube_view_none (), "name or generateName is required");
  else if ((why = check_name (resource, cube_view_string (name))) != NULL)
    cube_field_errors_add (errors, "Invalid", "metadata.name", name, "%s", why);

  CubeView namespace = cube_view_member (metadata, "namespace");
  gboolean has_namespace = cube_view_string_length (namespace) > 0;
  if (!resource->is_namespaced)
    {
      if (has_namespace)
        cube_field_errors_add (errors, "Forbidden", "metadata.namespace", cube_view_none (), "not allowed on this type");
    }
  else if (!has_namespace)
    {
      cube_field_errors_add (errors, "Required", "metadata.namespace", cube_view_none (), "%s", "");
    }
  else if ((why = cube_name_check_dns1123_label (cube_view_string (namespace))) != NULL)
    {
      cube_field_errors_add (errors, "Invalid", "metadata.namespace", namespace, "%s", why);
    }
}

/* A value of its own for an error about a key. */
static void
add_text_error (CubeFieldErrors *errors, const char *path, const char *text, const char *why)
{
  g_autoptr (CubeBuilder) builder = cube_builder_new ();
  g_autoptr (CubeValue) value = cube_mut_to_value (cube_mut_new_string (builder, text, -1));
  cube_field_errors_add (errors, "Invalid", path, cube_value_root (value), "%s", why);
}

static void
validate_labels (CubeView labels, CubeFieldErrors *errors)
{
  CubeIter it;
  const char *key, *why;
  CubeView v;
  for (cube_iter_init (&it, labels); cube_iter_next (&it, &key, &v);)
    {
      if ((why = cube_name_check_qualified (key)) != NULL)
        add_text_error (errors, "metadata.labels", key, why);
      const char *text = cube_view_string (v);
      if (text != NULL && (why = cube_name_check_label_value (text)) != NULL)
        cube_field_errors_add (errors, "Invalid", "metadata.labels", v, "%s", why);
    }
}

static void
validate_annotations (CubeView annotations, CubeFieldErrors *errors)
{
  CubeIter it;
  const char *key, *why;
  CubeView v;
  gsize total = 0;
  for (cube_iter_init (&it, annotations); cube_iter_next (&it, &key, &v);)
    {
      g_autofree char *lower = g_ascii_strdown (key, -1);
      if ((why = cube_name_check_qualified (lower)) != NULL)
        add_text_error (errors, "metadata.annotations", key, why);
      total += strlen (key) + cube_view_string_length (v);
    }
  if (total > MAX_ANNOTATIONS)
    cube_field_errors_add (errors, "TooLong", "metadata.annotations", cube_view_none (), "may not be more than %u bytes", MAX_ANNOTATIONS);
}

static void
validate_owner (CubeView owner, CubeFieldErrors *errors)
{
  static const char *const fields[] = { "kind", "name", "uid" };
  const char *api_version = cube_view_string_or (cube_view_member (owner, "apiVersion"), "");
  const char *slash = strchr (api_version, '/');
  if (*(slash == NULL ? api_version : slash + 1) == '\0' || (slash != NULL && strchr (slash + 1, '/') != NULL))
    cube_field_errors_add (errors, "Invalid", "metadata.ownerReferences.apiVersion", cube_view_member (owner, "apiVersion"),
                           "version must not be empty");
  for (guint i = 0; i < G_N_ELEMENTS (fields); i++)
    {
      g_autofree char *path = g_strconcat ("metadata.ownerReferences.", fields[i], NULL);
      if (cube_view_string_length (cube_view_member (owner, fields[i])) == 0)
        cube_field_errors_add (errors, "Invalid", path, cube_view_member (owner, fields[i]), "must not be empty");
    }
  if (strcmp (api_version, "v1") == 0 && g_strcmp0 (cube_view_get_string (owner, "kind"), "Event") == 0)
    cube_field_errors_add (errors, "Invalid", "metadata.ownerReferences", owner, "/v1, Kind=Event is disallowed from being an owner");
}

static void
validate_owners (CubeView owners, CubeFieldErrors *errors)
{
  CubeIter it;
  CubeView v, controller = cube_view_none ();
  for (cube_iter_init (&it, owners); cube_iter_next (&it, NULL, &v);)
    {
      validate_owner (v, errors);
      if (!cube_view_get_bool (v, FALSE, "controller"))
        continue;
      if (!cube_view_exists (controller))
        {
          controller = v;
          continue;
        }
      cube_field_errors_add (
          errors, "Invalid", "metadata.ownerReferences", owners,
          "Only one reference can have Controller set to true. Found \"true\" in references for %s/%s and %s/%s",
          cube_view_string_or (cube_view_member (controller, "kind"), ""), cube_view_string_or (cube_view_member (controller, "name"), ""),
          cube_view_string_or (cube_view_member (v, "kind"), ""), cube_view_string_or (cube_view_member (v, "name"), ""));
    }
}

static void
validate_finalizers (CubeView finalizers, CubeFieldErrors *errors)
{
  gboolean orphan = FALSE, foreground = FALSE;
  CubeIter it;
  CubeView v;
  guint index = 0;
  for (cube_iter_init (&it, finalizers); cube_iter_next (&it, NULL, &v); index++)
    {
      const char *text = cube_view_string_or (v, ""), *why = cube_name_check_qualified (text);
      gboolean is_orphan = strcmp (text, "orphan") == 0, is_foreground = strcmp (text, "foregroundDeletion") == 0;
      orphan |= is_orphan;
      foreground |= is_foreground;
      if (why != NULL)
        {
          cube_field_errors_add (errors, "Invalid", "metadata.finalizers", v, "%s", why);
        }
      else if (strchr (text, '/') == NULL && !is_orphan && !is_foreground && strcmp (text, "kubernetes") != 0)
        {
          g_autofree char *path = g_strdup_printf ("metadata.finalizers[%u]", index);
          cube_field_errors_add (errors, "Invalid", path, v, "name is neither a standard finalizer name nor is it fully qualified");
        }
    }
  if (orphan && foreground)
    cube_field_errors_add (errors, "Invalid", "metadata.finalizers", finalizers,
                           "finalizer orphan and foregroundDeletion cannot be both set");
}

void
cube_schema_validate_metadata (const CubeResource *resource, CubeView metadata, CubeFieldErrors *errors)
{
  validate_names (resource, metadata, errors);
  CubeView generation = cube_view_member (metadata, "generation");
  if (cube_view_int (generation, 0) < 0)
    cube_field_errors_add (errors, "Invalid", "metadata.generation", generation, "must be greater than or equal to 0");
  validate_labels (cube_view_member (metadata, "labels"), errors);
  validate_annotations (cube_view_member (metadata, "annotations"), errors);
  validate_owners (cube_view_member (metadata, "ownerReferences"), errors);
  validate_finalizers (cube_view_member (metadata, "finalizers"), errors);
}

static gboolean
array_has (CubeView array, const char *text)
{
  CubeIter it;
  CubeView v;
  for (cube_iter_init (&it, array); cube_iter_next (&it, NULL, &v);)
    if (g_strcmp0 (cube_view_string (v), text) == 0)
      return TRUE;
  return FALSE;
}

static void
validate_new_finalizers (CubeView metadata, CubeView old, CubeFieldErrors *errors)
{
  if (!cube_view_exists (cube_view_member (old, "deletionTimestamp")))
    return;
  g_autoptr (GString) added = g_string_new (NULL);
  CubeIter it;
  CubeView v;
  for (cube_iter_init (&it, cube_view_member (metadata, "finalizers")); cube_iter_next (&it, NULL, &v);)
    {
      const char *text = cube_view_string_or (v, "");
      if (!array_has (cube_view_member (old, "finalizers"), text))
        g_string_append_printf (added, "%s\"%s\"", added->len > 0 ? ", " : "", text);
    }
  if (added->len > 0)
    cube_field_errors_add (errors, "Forbidden", "metadata.finalizers", cube_view_none (),
                           "no new finalizers can be added if the object is being deleted, found new finalizers []string{%s}", added->str);
}

void
cube_schema_validate_metadata_update (CubeView metadata, CubeView old, CubeFieldErrors *errors)
{
  static const char *const immutable[] = {
    "name", "namespace", "uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"
  };
  validate_new_finalizers (metadata, old, errors);
  if (cube_view_string_length (cube_view_member (metadata, "resourceVersion")) == 0)
    cube_field_errors_add (errors, "Invalid", "metadata.resourceVersion", cube_view_member (metadata, "resourceVersion"),
                           "must be specified for an update");
  CubeView generation = cube_view_member (metadata, "generation");
  if (cube_view_int (generation, 0) < cube_view_get_int (old, 0, "generation"))
    cube_field_errors_add (errors, "Invalid", "metadata.generation", generation, "must not be decremented");
  for (guint i = 0; i < G_N_ELEMENTS (immutable); i++)
    {
      CubeView now = cube_view_member (metadata, immutable[i]), before = cube_view_member (old, immutable[i]);
      if (cube_view_equal (now, before) || (!cube_view_exists (now) && !cube_view_exists (before)))
        continue;
      g_autofree char *path = g_strconcat ("metadata.", immutable[i], NULL);
      cube_field_errors_add (errors, "Invalid", path, now, "field is immutable");
    }
}

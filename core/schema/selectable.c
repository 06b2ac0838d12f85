/* SPDX-License-Identifier: Apache-2.0 */
/* Fields usable in field selectors. */
#include "types.h"

gboolean
cube_schema_is_selectable (const CubeResource *resource, const char *field)
{
  const CubeResourceType *type = cube_resource_type (resource);
  return field != NULL && g_strv_contains (type->selectable, field);
}

typedef struct {
  const CubeResource *resource;
  const CubeObject *object;
  CubeValue *value; /* parsed when a field outside the header is asked for */
  char number[32];
} Getter;

static CubeView
walk (CubeView view, const char *path)
{
  while (cube_view_exists (view) && *path != '\0')
    {
      char key[128];
      const char *dot = strchr (path, '.');
      gsize length = dot == NULL ? strlen (path) : (gsize) (dot - path);
      if (length >= sizeof key)
        return cube_view_none ();
      memcpy (key, path, length);
      key[length] = '\0';
      view = cube_view_member (view, key);
      path += length + (dot == NULL ? 0 : 1);
    }
  return view;
}

static const char *
text_of (Getter *getter, CubeView view, gboolean is_set)
{
  switch (cube_view_type (view))
    {
    case CUBE_VALUE_STRING: return cube_view_string (view);
    case CUBE_VALUE_BOOL: return cube_view_bool (view, FALSE) ? "true" : "false";
    case CUBE_VALUE_INT:
      g_snprintf (getter->number, sizeof getter->number, "%" G_GINT64_FORMAT, cube_view_int (view, 0));
      return getter->number;
    default: return is_set ? "" : NULL;
    }
}

/* Fields whose unset value Kubernetes compares as something else than "". */
static const char *
unset_text (const CubeResource *resource, const char *field)
{
  if (strcmp (field, "spec.unschedulable") == 0 || strcmp (field, "spec.hostNetwork") == 0)
    return "false";
  if (strcmp (field, "status.replicas") == 0 || strcmp (field, "status.successful") == 0)
    return "0";
  return NULL;
}

static const char *
get_special (Getter *getter, CubeView root, const char *field, gboolean *ret_found)
{
  gboolean is_event = strcmp (getter->resource->kind, "Event") == 0;
  *ret_found = TRUE;
  if (strcmp (field, "spec.host") == 0)
    return cube_view_get_string (root, "spec", "nodeName");
  if (strcmp (field, "status.podIP") == 0)
    {
      const char *first = cube_view_string (cube_view_member (cube_view_element (cube_view_get (root, "status", "podIPs"), 0), "ip"));
      return first != NULL ? first : cube_view_get_string (root, "status", "podIP");
    }
  if (strcmp (field, "status.successful") == 0)
    return text_of (getter, cube_view_get (root, "status", "succeeded"), FALSE);
  if (is_event && strcmp (field, "source") == 0)
    {
      const char *source = cube_view_get_string (root, "source", "component");
      return source != NULL && *source != '\0' ? source : cube_view_get_string (root, "reportingComponent");
    }
  *ret_found = FALSE;
  return NULL;
}

static const char *
get_field (const char *field, gpointer data)
{
  Getter *getter = data;
  if (strcmp (field, "metadata.name") == 0 || strcmp (field, "name") == 0)
    return cube_object_name (getter->object);
  if (strcmp (field, "metadata.namespace") == 0)
    return cube_object_namespace (getter->object);
  if (getter->value == NULL)
    getter->value = cube_object_value (getter->object);
  CubeView root = cube_value_root (getter->value);
  gboolean found;
  const char *text = get_special (getter, root, field, &found);
  if (!found)
    text = text_of (getter, walk (root, field), FALSE);
  return text != NULL ? text : unset_text (getter->resource, field);
}

gboolean
cube_selector_matches_resource (const CubeSelector *fields, const CubeResource *resource, const CubeObject *object)
{
  if (cube_selector_is_everything (fields))
    return TRUE;
  Getter getter = { resource, object, NULL, "" };
  gboolean matches = cube_selector_matches_fields (fields, get_field, &getter);
  cube_value_unref (getter.value);
  return matches;
}

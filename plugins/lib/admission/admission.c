/* SPDX-License-Identifier: Apache-2.0 */
#include "admission.h"

gboolean
admission_forbid (const CubeAdmissionRequest *request, GError **error, const char *format, ...)
{
  const CubeResource *resource = request->resource;
  const char *name = request->name != NULL ? request->name : "";
  g_autofree char *why = NULL;
  GError *local;
  va_list args;

  va_start (args, format);
  why = g_strdup_vprintf (format, args);
  va_end (args);
  local = g_error_new (CUBE_ERROR, CUBE_ERROR_FORBIDDEN, "%s%s%s \"%s\" is forbidden: %s", resource->resource,
                       *resource->group != '\0' ? "." : "", resource->group, name, why);
  cube_error_set_object (local, resource->group, resource->resource, name);
  g_propagate_error (error, local);
  return FALSE;
}

gboolean
admission_is (const CubeResource *resource, const char *group, const char *name)
{
  return g_str_equal (resource->resource, name) && g_str_equal (resource->group, group);
}

CubeObject *
admission_look_up (CubeContext *context, const char *api_version, const char *resource, const char *ns, const char *name, GError **error)
{
  const CubeResource *kind = cube_schema_resource (cube_context_schema (context), api_version, resource);
  CubeClient *client = cube_context_client (context);
  g_autoptr (GError) local = NULL;
  CubeObject *object;

  if (kind == NULL || client == NULL)
    {
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_SERVICE_UNAVAILABLE, "%s %s cannot be read yet", api_version, resource);
      return NULL;
    }
  object = cube_client_get (client, kind, ns, name, &local);
  if (object == NULL && !g_error_matches (local, CUBE_ERROR, CUBE_ERROR_NOT_FOUND))
    g_propagate_error (error, g_steal_pointer (&local));
  return object;
}

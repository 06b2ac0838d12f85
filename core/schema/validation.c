/* SPDX-License-Identifier: Apache-2.0 */
/* The doors of validation: metadata, the structure the tables know, the rules of a CustomResourceDefinition, the kind's own rules. */
#include "crd.h"
#include "hooks.h"
#include "structure.h"

void
cube_schema_validate_create (const CubeResource *resource, CubeView object, CubeFieldErrors *errors)
{
  const CubeResourceType *type = cube_resource_type (resource);
  if (resource->verbs & (1u << CUBE_VERB_GET))
    cube_schema_validate_metadata (resource, cube_view_member (object, "metadata"), errors);
  if (resource->is_custom)
    {
      cube_crd_validate (resource, object, cube_view_none (), errors);
      return;
    }
  cube_structure_validate (type->table, &type->table->types[type->type], object, NULL, errors);
  cube_hooks_validate (resource, "", object, cube_view_none (), errors);
}

void
cube_schema_validate_update (const CubeResource *resource, const char *subresource, CubeView object, CubeView old, CubeFieldErrors *errors)
{
  const CubeResourceType *type = cube_resource_type (resource);
  const char *door = subresource == NULL ? "" : subresource;
  if (resource->is_custom)
    {
      cube_crd_validate (resource, object, old, errors);
      return;
    }
  if (*door == '\0')
    {
      cube_structure_validate (type->table, &type->table->types[type->type], object, NULL, errors);
      cube_structure_validate_update (type->table, &type->table->types[type->type], object, old, NULL, errors);
    }
  cube_hooks_validate (resource, door, object, old, errors);
}

void
cube_schema_warnings (const CubeResource *resource, CubeView object, CubeView old, GPtrArray *warnings)
{
  cube_hooks_warn (resource, object, old, warnings);
}

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "schema/types.h"
/* Helpers of the schema tests. All abort the test on failure. */
static inline CubeValue *
parse (const char *json)
{
  g_autoptr (GError) error = NULL;
  CubeValue *value = cube_value_from_json (json, -1, NULL, &error);
  g_assert_no_error (error);
  return value;
}

static inline const CubeResource *
resource (const char *api_version, const char *name)
{
  const CubeResource *found = cube_schema_resource (cube_schema_get_default (), api_version, name);
  g_assert_nonnull (found);
  return found;
}

static inline void
assert_json (CubeView view, const char *expected)
{
  g_autoptr (CubeValue) wanted = parse (expected);
  if (cube_view_equal (view, cube_value_root (wanted)))
    return;
  g_autofree char *have = cube_view_to_json (view, NULL);
  g_error ("have   %s\nwanted %s", have, expected);
}

/* Decodes and defaults. */
static inline CubeValue *
prepare (const CubeResource *kind, const char *json)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CubeValue) value = parse (json);
  g_autoptr (CubeBuilder) builder = cube_builder_new_from (cube_value_root (value));
  cube_schema_decode (kind, "", cube_builder_root (builder), CUBE_STRICT_STRICT, NULL, NULL, &error);
  g_assert_no_error (error);
  cube_schema_set_defaults (kind, cube_builder_root (builder));
  return cube_builder_end (builder);
}

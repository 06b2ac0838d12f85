/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "types.h"
#include "schema-tables.h"
/* The conditional defaults of a type: what depends on other fields (default-hook of the schema files). */
G_GNUC_INTERNAL void cube_default_hook (CubeDefaultHook hook, CubeMut *object);
G_GNUC_INTERNAL void cube_default_hook_workload (CubeDefaultHook hook, CubeMut *object); /* the part in default-workloads.c */
G_GNUC_INTERNAL void cube_mut_default_string (CubeMut *object, const char *key, const char *text); /* when absent or empty */
G_GNUC_INTERNAL void cube_mut_default_int (CubeMut *object, const char *key, gint64 number);       /* when absent */
G_GNUC_INTERNAL void cube_mut_default_bool (CubeMut *object, const char *key, gboolean truth);
G_GNUC_INTERNAL gboolean cube_mut_string_is (CubeMut *object, const char *key, const char *text);
/* A value from JSON text written by us. */
G_GNUC_INTERNAL CubeMut *cube_mut_new_json (CubeBuilder *builder, const char *json);
G_GNUC_INTERNAL void cube_defaults_apply (const CubeTypeTable *table, const CubeType *type, CubeMut *object);

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The registry's insides, private to core/schema. */
#include "types.h"

struct _CubeSchema {
  GRWLock lock; /* held for a lookup only */
  GHashTable *by_resource, *by_kind; /* "group/version/name" → CubeResource */
  GHashTable *by_key;
  GPtrArray *custom; /* CubeResource of CustomResourceDefinitions, in order of arrival */
  GPtrArray *retired; /* CubeResource no longer served; others may still hold them */
  GHashTable *custom_specs; /* key → guint64 hash of the spec registered */
  guint64 generation;
};

G_GNUC_INTERNAL void cube_schema_add_locked (CubeSchema *schema, const CubeResource *resource);

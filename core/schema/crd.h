/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "types.h"
/* What a version of a CustomResourceDefinition keeps beside its table. */
typedef struct {
  CubeValue *schema;     /* openAPIV3Schema without descriptions, for validation; NULL = none */
  GBytes *documented;    /* the whole of it, zlib, for the documents; NULL = none */
  GHashTable *patterns;  /* pattern → GRegex, made when first used */
  GMutex lock;           /* of patterns */
} CubeCustom;
/* Validates an object of a custom kind against its structural schema. @old NONE on create. */
G_GNUC_INTERNAL void cube_crd_validate (const CubeResource *resource, CubeView object, CubeView old, CubeFieldErrors *errors);
G_GNUC_INTERNAL GRegex *cube_crd_pattern (CubeCustom *custom, const char *pattern); /* NULL = cannot be compiled; (transfer none) */
/* The schema as the author wrote it; NULL without one. (transfer full) */
G_GNUC_INTERNAL CubeValue *cube_crd_documented_schema (const CubeResource *resource);

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <cube/value.h>
/* What a plain YAML 1.1 scalar means, as Kubernetes' tools read it. */
typedef struct {
  CubeValueType type;
  gboolean truth;
  gint64 integer;
  double real;
  gboolean is_infinite; /* .inf, .nan: no JSON number */
} CubeYamlScalar;
G_GNUC_INTERNAL void cube_yaml_resolve (const char *text, gsize length, CubeYamlScalar *ret_scalar);
G_GNUC_INTERNAL gboolean cube_yaml_is_timestamp (const char *text);

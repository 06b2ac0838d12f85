/* SPDX-License-Identifier: Apache-2.0 */
/* Conversion between served versions of one object: core/v1 and events.k8s.io/v1 events, autoscaling v1 and v2, custom kinds. */
#include "types.h"

static void
move (CubeMut *object, const char *from, const char *to)
{
  CubeMut *value = cube_mut_member (object, from);
  if (value == NULL)
    return;
  cube_mut_set (object, to, cube_mut_new_copy (cube_mut_builder (object), value));
  cube_mut_remove (object, from);
}

static const char *const event_fields[][2] = {
  { "involvedObject", "regarding" },
  { "message", "note" },
  { "source", "deprecatedSource" },
  { "firstTimestamp", "deprecatedFirstTimestamp" },
  { "lastTimestamp", "deprecatedLastTimestamp" },
  { "count", "deprecatedCount" },
  { "reportingComponent", "reportingController" },
};

static void
convert_event (CubeMut *object, gboolean to_core)
{
  for (guint i = 0; i < G_N_ELEMENTS (event_fields); i++)
    move (object, event_fields[i][to_core ? 1 : 0], event_fields[i][to_core ? 0 : 1]);
}

/* ---- autoscalers: v1 keeps what it has no field for in annotations ---- */

#define METRICS_ANNOTATION "autoscaling.alpha.kubernetes.io/metrics"
#define BEHAVIOR_ANNOTATION "autoscaling.alpha.kubernetes.io/behavior"
#define CONDITIONS_ANNOTATION "autoscaling.alpha.kubernetes.io/conditions"
#define CURRENT_ANNOTATION "autoscaling.alpha.kubernetes.io/current-metrics"

static gboolean
is_cpu_utilization (CubeMut *metric, const char *side)
{
  return g_strcmp0 (cube_mut_string (cube_mut_member (metric, "type")), "Resource") == 0
         && g_strcmp0 (cube_mut_string (cube_mut_get (metric, "resource", "name")), "cpu") == 0
         && cube_mut_get (metric, "resource", side, "averageUtilization") != NULL;
}

static void
annotate (CubeMut *object, const char *annotation, CubeMut *value)
{
  g_autoptr (GString) json = g_string_new (NULL);
  cube_mut_append_json (value, json);
  cube_mut_set_string (cube_mut_ensure (object, "metadata", "annotations"), annotation, json->str);
}

/* Takes the CPU utilization out of a list and puts the rest into an annotation. */
static void
split_metrics (CubeMut *object, CubeMut *part, const char *list_name, const char *side, const char *field, const char *annotation)
{
  CubeMut *list = cube_mut_member (part, list_name);
  for (guint i = 0; i < cube_mut_length (list); i++)
    {
      CubeMut *metric = cube_mut_element (list, i);
      if (!is_cpu_utilization (metric, side))
        continue;
      cube_mut_set_int (part, field, cube_mut_int (cube_mut_get (metric, "resource", side, "averageUtilization"), 0));
      cube_mut_remove_element (list, i);
      break;
    }
  if (cube_mut_length (list) > 0)
    annotate (object, annotation, list);
  cube_mut_remove (part, list_name);
}

static void
autoscaler_to_v1 (CubeMut *object)
{
  CubeMut *spec = cube_mut_member (object, "spec"), *status = cube_mut_member (object, "status");
  split_metrics (object, spec, "metrics", "target", "targetCPUUtilizationPercentage", METRICS_ANNOTATION);
  if (cube_mut_member (spec, "behavior") != NULL)
    {
      annotate (object, BEHAVIOR_ANNOTATION, cube_mut_member (spec, "behavior"));
      cube_mut_remove (spec, "behavior");
    }
  if (status == NULL)
    return;
  split_metrics (object, status, "currentMetrics", "current", "currentCPUUtilizationPercentage", CURRENT_ANNOTATION);
  if (cube_mut_length (cube_mut_member (status, "conditions")) > 0)
    annotate (object, CONDITIONS_ANNOTATION, cube_mut_member (status, "conditions"));
  cube_mut_remove (status, "conditions");
}

/* The value an annotation holds, taken out of it; NULL without one. */
static CubeMut *
take_annotation (CubeMut *object, const char *annotation)
{
  CubeMut *annotations = cube_mut_get (object, "metadata", "annotations");
  const char *text = cube_mut_string (cube_mut_member (annotations, annotation));
  if (text == NULL)
    return NULL;
  g_autoptr (CubeValue) value = cube_value_from_json (text, -1, NULL, NULL);
  CubeMut *result = value == NULL ? NULL : cube_mut_new_view (cube_mut_builder (object), cube_value_root (value));
  cube_mut_remove (annotations, annotation);
  if (cube_mut_length (annotations) == 0)
    cube_mut_remove (cube_mut_member (object, "metadata"), "annotations");
  return result;
}

static void
join_metrics (CubeMut *object, CubeMut *part, const char *list_name, const char *side, const char *field, const char *annotation)
{
  CubeMut *rest = take_annotation (object, annotation), *percent = cube_mut_member (part, field);
  if (percent == NULL && rest == NULL)
    return;
  CubeMut *list = cube_mut_set_array (part, list_name);
  for (guint i = 0; i < cube_mut_length (rest); i++)
    cube_mut_append (list, cube_mut_new_copy (cube_mut_builder (object), cube_mut_element (rest, i)));
  if (percent == NULL)
    return;
  CubeMut *metric = cube_mut_append_object (list);
  cube_mut_set_string (metric, "type", "Resource");
  CubeMut *resource = cube_mut_set_object (metric, "resource");
  cube_mut_set_string (resource, "name", "cpu");
  CubeMut *target = cube_mut_set_object (resource, side);
  if (strcmp (side, "target") == 0)
    cube_mut_set_string (target, "type", "Utilization");
  cube_mut_set_int (target, "averageUtilization", cube_mut_int (percent, 0));
  cube_mut_remove (part, field);
}

static void
autoscaler_to_v2 (CubeMut *object)
{
  CubeMut *spec = cube_mut_ensure_object (object, "spec"), *status = cube_mut_ensure_object (object, "status");
  join_metrics (object, spec, "metrics", "target", "targetCPUUtilizationPercentage", METRICS_ANNOTATION);
  CubeMut *behavior = take_annotation (object, BEHAVIOR_ANNOTATION);
  if (behavior != NULL)
    cube_mut_set (spec, "behavior", behavior);
  join_metrics (object, status, "currentMetrics", "current", "currentCPUUtilizationPercentage", CURRENT_ANNOTATION);
  CubeMut *conditions = take_annotation (object, CONDITIONS_ANNOTATION);
  if (conditions != NULL)
    cube_mut_set (status, "conditions", conditions);
}

CubeObject *
cube_schema_convert (const CubeResource *to, CubeObject *object, GError **error)
{
  if (strcmp (cube_object_api_version (object), to->api_version) == 0)
    return cube_object_ref (object);
  if (strcmp (cube_object_kind (object), to->kind) != 0)
    {
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST, "%s %s cannot be converted to %s %s", cube_object_api_version (object),
                   cube_object_kind (object), to->api_version, to->kind);
      return NULL;
    }
  g_autoptr (CubeValue) value = cube_object_value (object);
  g_autoptr (CubeBuilder) builder = cube_builder_new_from (cube_value_root (value));
  CubeMut *root = cube_builder_root (builder);
  cube_mut_set_string (root, "apiVersion", to->api_version);
  if (strcmp (to->kind, "Event") == 0 && !to->is_custom)
    convert_event (root, *to->group == '\0');
  else if (strcmp (to->kind, "HorizontalPodAutoscaler") == 0 && !to->is_custom)
    (strcmp (to->version, "v1") == 0 ? autoscaler_to_v1 : autoscaler_to_v2) (root);
  g_autoptr (CubeValue) converted = cube_builder_end (builder);
  return cube_object_new (cube_value_root (converted), cube_object_revision (object), error);
}

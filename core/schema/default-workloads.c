/* SPDX-License-Identifier: Apache-2.0 */
/* Conditional defaults of the workload kinds and the autoscaler. */
#include "defaults.h"

static void
default_percent (CubeMut *object, const char *key, const char *percent)
{
  if (cube_mut_member (object, key) == NULL)
    cube_mut_set_string (object, key, percent);
}

static void
deployment_strategy (CubeMut *object)
{
  if (!cube_mut_string_is (object, "type", "RollingUpdate"))
    return;
  CubeMut *rolling = cube_mut_ensure_object (object, "rollingUpdate");
  default_percent (rolling, "maxUnavailable", "25%");
  default_percent (rolling, "maxSurge", "25%");
}

static void
daemon_set_strategy (CubeMut *object)
{
  if (!cube_mut_string_is (object, "type", "RollingUpdate"))
    return;
  CubeMut *rolling = cube_mut_ensure_object (object, "rollingUpdate");
  cube_mut_default_int (rolling, "maxUnavailable", 1);
  cube_mut_default_int (rolling, "maxSurge", 0);
}

static void
stateful_set_strategy (CubeMut *object)
{
  const char *type = cube_mut_string (cube_mut_member (object, "type"));
  if (type == NULL || *type == '\0')
    {
      cube_mut_set_string (object, "type", "RollingUpdate");
      cube_mut_ensure_object (object, "rollingUpdate");
    }
  CubeMut *rolling = cube_mut_member (object, "rollingUpdate");
  if (cube_mut_string_is (object, "type", "RollingUpdate") && cube_mut_type (rolling) == CUBE_VALUE_OBJECT)
    cube_mut_default_int (rolling, "partition", 0);
}

static void
job_spec (CubeMut *object)
{
  if (cube_mut_member (object, "completions") == NULL && cube_mut_member (object, "parallelism") == NULL)
    cube_mut_set_int (object, "completions", 1);
  cube_mut_default_int (object, "parallelism", 1);
  cube_mut_default_int (object, "backoffLimit", cube_mut_member (object, "backoffLimitPerIndex") != NULL ? G_MAXINT32 : 6);
  gboolean has_policy = cube_mut_member (object, "podFailurePolicy") != NULL;
  cube_mut_default_string (object, "podReplacementPolicy", has_policy ? "Failed" : "TerminatingOrFailed");
}

static void
labels_of_template (CubeMut *object)
{
  CubeMut *labels = cube_mut_get (object, "spec", "template", "metadata", "labels");
  if (cube_mut_length (labels) > 0 && cube_mut_length (cube_mut_get (object, "metadata", "labels")) == 0)
    cube_mut_set (cube_mut_ensure (object, "metadata"), "labels", cube_mut_new_copy (cube_mut_builder (object), labels));
}

static void
replication_controller (CubeMut *object)
{
  CubeMut *labels = cube_mut_get (object, "spec", "template", "metadata", "labels");
  if (cube_mut_length (labels) > 0 && cube_mut_length (cube_mut_get (object, "spec", "selector")) == 0)
    cube_mut_set (cube_mut_member (object, "spec"), "selector", cube_mut_new_copy (cube_mut_builder (object), labels));
  labels_of_template (object);
}

static void
scaling_rules (CubeMut *behavior, const char *key, gboolean is_up)
{
  CubeMut *rules = cube_mut_ensure_object (behavior, key);
  if (is_up)
    cube_mut_default_int (rules, "stabilizationWindowSeconds", 0);
  cube_mut_default_string (rules, "selectPolicy", "Max");
  if (cube_mut_length (cube_mut_member (rules, "policies")) > 0)
    return;
  CubeBuilder *builder = cube_mut_builder (behavior);
  const char *up = "[{\"type\":\"Pods\",\"value\":4,\"periodSeconds\":15},{\"type\":\"Percent\",\"value\":100,\"periodSeconds\":15}]";
  const char *down = "[{\"type\":\"Percent\",\"value\":100,\"periodSeconds\":15}]";
  cube_mut_set (rules, "policies", cube_mut_new_json (builder, is_up ? up : down));
}

static void
autoscaler_spec (CubeMut *object)
{
  const char *metrics =
      "[{\"type\":\"Resource\",\"resource\":{\"name\":\"cpu\",\"target\":{\"type\":\"Utilization\",\"averageUtilization\":80}}}]";
  if (cube_mut_length (cube_mut_member (object, "metrics")) == 0)
    cube_mut_set (object, "metrics", cube_mut_new_json (cube_mut_builder (object), metrics));
  CubeMut *behavior = cube_mut_member (object, "behavior");
  if (cube_mut_type (behavior) != CUBE_VALUE_OBJECT)
    return;
  scaling_rules (behavior, "scaleUp", TRUE);
  scaling_rules (behavior, "scaleDown", FALSE);
}

void
cube_default_hook_workload (CubeDefaultHook hook, CubeMut *object)
{
  static void (*const hooks[CUBE_DEFAULT_N]) (CubeMut *) = {
    [CUBE_DEFAULT_DEPLOYMENT_STRATEGY] = deployment_strategy,
    [CUBE_DEFAULT_DAEMON_SET_STRATEGY] = daemon_set_strategy,
    [CUBE_DEFAULT_STATEFUL_SET_STRATEGY] = stateful_set_strategy,
    [CUBE_DEFAULT_JOB_SPEC] = job_spec,
    [CUBE_DEFAULT_JOB] = labels_of_template,
    [CUBE_DEFAULT_REPLICATION_CONTROLLER] = replication_controller,
    [CUBE_DEFAULT_AUTOSCALER_SPEC] = autoscaler_spec,
  };
  if (hooks[hook] != NULL)
    hooks[hook](object);
}

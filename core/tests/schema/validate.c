/* SPDX-License-Identifier: Apache-2.0 */
/* Rules across fields: an object, a merge patch that breaks one rule, the text that has to come. */
#include "test-schema.h"
#include "schema/schema-ops.h"

typedef struct {
  const char *patch, *expected; /* NULL: fine */
} Case;

typedef struct {
  const char *api_version, *plural, *base;
  const Case *cases;
  guint n_cases;
} Kind;

static CubeValue *
patched (CubeView base, const char *patch)
{
  g_autoptr (CubeBuilder) builder = cube_builder_new_from (base);
  g_autoptr (CubeValue) value = parse (patch);
  cube_patch_merge (cube_builder_root (builder), cube_value_root (value));
  return cube_builder_end (builder);
}

static CubeValue *
ready (const CubeResource *kind, CubeView base, const char *patch)
{
  g_autoptr (CubeValue) value = patched (base, patch);
  g_autofree char *json = cube_view_to_json (cube_value_root (value), NULL);
  return prepare (kind, json);
}

static void
check_errors (CubeFieldErrors *errors, const CubeResource *kind, const Case *test)
{
  g_autoptr (GError) error = cube_field_errors_to_error (errors, kind->group, kind->kind, "x");
  if (test->expected == NULL) {
    g_assert_no_error (error);
  } else {
    g_autofree char *plain = g_strdup_printf (" is invalid: %s", test->expected);
    if (error == NULL || !g_str_has_suffix (error->message, plain))
      g_error ("%s %s\nhave   %s\nwanted %s", kind->kind, test->patch, error == NULL ? "(no error)" : error->message, test->expected);
  }
}

static void
run_create (const Kind *kinds)
{
  const CubeResource *kind = resource (kinds->api_version, kinds->plural);
  g_autoptr (CubeValue) base = parse (kinds->base);
  for (guint i = 0; i < kinds->n_cases; i++) {
    g_autoptr (CubeValue) value = ready (kind, cube_value_root (base), kinds->cases[i].patch);
    g_autoptr (CubeFieldErrors) errors = cube_field_errors_new ();
    cube_schema_validate_create (kind, cube_value_root (value), errors);
    check_errors (errors, kind, &kinds->cases[i]);
  }
}

static void
run_update (const Kind *kinds)
{
  const CubeResource *kind = resource (kinds->api_version, kinds->plural);
  g_autoptr (CubeValue) base = parse (kinds->base);
  for (guint i = 0; i < kinds->n_cases; i++) {
    g_autoptr (CubeValue) old = ready (kind, cube_value_root (base), "{}"), value = ready (kind, cube_value_root (base), kinds->cases[i].patch);
    g_autoptr (CubeFieldErrors) errors = cube_field_errors_new ();
    cube_schema_validate_update (kind, "", cube_value_root (value), cube_value_root (old), errors);
    check_errors (errors, kind, &kinds->cases[i]);
  }
}

#define META "\"metadata\":{\"name\":\"x\",\"namespace\":\"d\"}"
#define POD "{\"apiVersion\":\"v1\",\"kind\":\"Pod\"," META ",\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"i\"}]}}"
#define CONTAINER(more) "{\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"i\"," more "}]}}"

static const Case pod_cases[] = {
  { "{}", NULL },
  { "{\"spec\":{\"containers\":[{\"name\":\"A\",\"image\":\"i\"}]}}",
    "spec.containers[0].name: Invalid value: \"A\": a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start "
    "and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')" },
  { "{\"spec\":{\"containers\":[{\"name\":\"c\"}]}}", "spec.containers[0].image: Required value" },
  { "{\"spec\":{\"containers\":[]}}", "spec.containers: Required value" },
  { "{\"spec\":{\"initContainers\":[{\"name\":\"c\",\"image\":\"i\"}]}}", "spec.initContainers[0].name: Duplicate value: \"c\"" },
  { CONTAINER ("\"ports\":[{\"containerPort\":70000}]"),
    "spec.containers[0].ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive" },
  { CONTAINER ("\"volumeMounts\":[{\"name\":\"v\",\"mountPath\":\"/a\"}]"), "spec.containers[0].volumeMounts[0].name: Not found: \"v\"" },
  { CONTAINER ("\"resources\":{\"requests\":{\"cpu\":\"2\"},\"limits\":{\"cpu\":\"1\"}}"),
    "spec.containers[0].resources.requests: Invalid value: \"2\": must be less than or equal to cpu limit of 1" },
  { CONTAINER ("\"resources\":{\"limits\":{\"foo\":\"1\"}}"),
    "[spec.containers[0].resources.limits[foo]: Invalid value: \"foo\": must be a standard resource type or fully qualified, "
    "spec.containers[0].resources.requests[foo]: Invalid value: \"foo\": must be a standard resource type or fully qualified]" },
  { CONTAINER ("\"livenessProbe\":{\"periodSeconds\":3}"), "spec.containers[0].livenessProbe: Required value: must specify a handler type" },
  { CONTAINER ("\"livenessProbe\":{\"tcpSocket\":{\"port\":0}}"),
    "spec.containers[0].livenessProbe.tcpSocket.port: Invalid value: 0: must be between 1 and 65535, inclusive" },
  { CONTAINER ("\"env\":[{\"name\":\"a=b\"}]"), "spec.containers[0].env[0].name: Invalid value: \"a=b\": a valid environment variable name must consist "
    "only of printable ASCII characters other than '='" },
  { CONTAINER ("\"env\":[{\"name\":\"a\",\"valueFrom\":{\"fieldRef\":{\"fieldPath\":\"status.phase\"}}}]"),
    "spec.containers[0].env[0].valueFrom.fieldRef.fieldPath: Unsupported value: \"status.phase\": supported values: \"metadata.name\", "
    "\"metadata.namespace\", \"metadata.uid\", \"spec.nodeName\", \"spec.serviceAccountName\", \"status.hostIP\", \"status.hostIPs\", \"status.podIP\", "
    "\"status.podIPs\"" },
  { CONTAINER ("\"securityContext\":{\"privileged\":true,\"allowPrivilegeEscalation\":false}"),
    "spec.containers[0].securityContext: Invalid value: {\"privileged\":true,\"allowPrivilegeEscalation\":false}: cannot set "
    "`allowPrivilegeEscalation` to false and `privileged` to true" },
  { "{\"spec\":{\"volumes\":[{\"name\":\"v\",\"emptyDir\":{},\"hostPath\":{\"path\":\"/a\"}}]}}",
    "spec.volumes[0].hostPath: Forbidden: may not specify more than 1 volume type" },
  { "{\"spec\":{\"volumes\":[{\"name\":\"v\"},{\"name\":\"v\"}]}}", "spec.volumes[1].name: Duplicate value: \"v\"" },
  { "{\"spec\":{\"volumes\":[{\"name\":\"v\",\"configMap\":{\"name\":\"m\",\"items\":[{\"key\":\"k\",\"path\":\"/a\"}]}}]}}",
    "spec.volumes[0].configMap.items[0].path: Invalid value: \"/a\": must be a relative path" },
  { "{\"spec\":{\"tolerations\":[{\"operator\":\"Equal\",\"value\":\"x\"}]}}",
    "spec.tolerations[0].operator: Invalid value: \"Equal\": operator must be Exists when `key` is empty, which means \"match all values and all keys\"" },
  { "{\"spec\":{\"tolerations\":[{\"key\":\"a\",\"operator\":\"Exists\",\"tolerationSeconds\":3,\"effect\":\"NoSchedule\"}]}}",
    "spec.tolerations[0].effect: Invalid value: \"NoSchedule\": effect must be 'NoExecute' when `tolerationSeconds` is set" },
  { "{\"spec\":{\"topologySpreadConstraints\":[{\"maxSkew\":0,\"topologyKey\":\"z\",\"whenUnsatisfiable\":\"DoNotSchedule\"}]}}",
    "spec.topologySpreadConstraints[0].maxSkew: Invalid value: 0: must be greater than zero" },
  { "{\"spec\":{\"affinity\":{\"nodeAffinity\":{\"requiredDuringSchedulingIgnoredDuringExecution\":{\"nodeSelectorTerms\":[]}}}}}",
    "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms: Required value: must have at least one node selector term" },
  { "{\"spec\":{\"dnsPolicy\":\"None\"}}", "spec.dnsConfig: Required value: must provide `dnsConfig` when `dnsPolicy` is None" },
  { "{\"spec\":{\"ephemeralContainers\":[{\"name\":\"e\",\"image\":\"i\"}]}}", "spec.ephemeralContainers: Forbidden: cannot be set on create" },
  { "{\"spec\":{\"restartPolicy\":\"Maybe\"}}", "spec.restartPolicy: Unsupported value: \"Maybe\": supported values: \"Always\", \"Never\", \"OnFailure\"" },
  { "{\"spec\":{\"hostAliases\":[{\"ip\":\"1.2.3\"}]}}",
    "spec.hostAliases[0].ip: Invalid value: \"1.2.3\": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)" },
};

#define MAY_CHANGE \
  "spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`," \
  "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set " \
  "to 1 if it was previously negative)"

static const Case pod_updates[] = {
  { "{\"metadata\":{\"labels\":{\"a\":\"b\"}}}", NULL },
  { "{\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"j\",\"imagePullPolicy\":\"Always\"}]}}", NULL },
  { "{\"spec\":{\"tolerations\":[{\"key\":\"a\",\"operator\":\"Exists\"}]}}", NULL },
  { "{\"spec\":{\"nodeName\":\"n\"}}", MAY_CHANGE "\n+ spec.nodeName" },
  { "{\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"i\"},{\"name\":\"d\",\"image\":\"i\"}]}}",
    "spec.containers: Forbidden: pod updates may not add or remove containers" },
};

#define TEMPLATE "\"template\":{\"metadata\":{\"labels\":{\"a\":\"b\"}},\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"i\"}]}}"
#define SELECTOR "\"selector\":{\"matchLabels\":{\"a\":\"b\"}}"
#define DEPLOYMENT "{\"apiVersion\":\"apps/v1\",\"kind\":\"Deployment\"," META ",\"spec\":{" SELECTOR "," TEMPLATE "}}"
#define STATEFUL_SET "{\"apiVersion\":\"apps/v1\",\"kind\":\"StatefulSet\"," META ",\"spec\":{\"serviceName\":\"s\"," SELECTOR "," TEMPLATE "}}"
#define JOB \
  "{\"apiVersion\":\"batch/v1\",\"kind\":\"Job\"," META ",\"spec\":{\"manualSelector\":true," SELECTOR ",\"template\":{\"metadata\":{\"labels\":" \
  "{\"a\":\"b\"}},\"spec\":{\"restartPolicy\":\"Never\",\"containers\":[{\"name\":\"c\",\"image\":\"i\"}]}}}}"

static const Case deployment_cases[] = {
  { "{}", NULL },
  { "{\"spec\":{\"selector\":{\"matchLabels\":{\"a\":\"c\"}}}}",
    "spec.template.metadata.labels: Invalid value: {\"a\":\"b\"}: `selector` does not match template `labels`" },
  { "{\"spec\":{\"selector\":{\"matchLabels\":null}}}", "spec.selector: Invalid value: {}: empty selector is invalid for deployment" },
  { "{\"spec\":{\"template\":{\"spec\":{\"restartPolicy\":\"Never\"}}}}",
    "spec.template.spec.restartPolicy: Unsupported value: \"Never\": supported values: \"Always\"" },
  { "{\"spec\":{\"template\":{\"spec\":{\"activeDeadlineSeconds\":5}}}}",
    "spec.template.spec.activeDeadlineSeconds: Forbidden: activeDeadlineSeconds in ReplicaSet is not Supported" },
  { "{\"spec\":{\"strategy\":{\"type\":\"Recreate\",\"rollingUpdate\":{\"maxSurge\":1}}}}",
    "spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is 'Recreate'" },
  { "{\"spec\":{\"strategy\":{\"rollingUpdate\":{\"maxSurge\":0,\"maxUnavailable\":0}}}}",
    "spec.strategy.rollingUpdate.maxUnavailable: Invalid value: 0: may not be 0 when `maxSurge` is 0" },
  { "{\"spec\":{\"strategy\":{\"rollingUpdate\":{\"maxUnavailable\":\"120%\"}}}}",
    "spec.strategy.rollingUpdate.maxUnavailable: Invalid value: \"120%\": must not be greater than 100%" },
  { "{\"spec\":{\"progressDeadlineSeconds\":5,\"minReadySeconds\":5}}",
    "spec.progressDeadlineSeconds: Invalid value: 5: must be greater than minReadySeconds" },
  { "{\"spec\":{\"template\":{\"spec\":{\"containers\":[{\"name\":\"c\"}]}}}}", "spec.template.spec.containers[0].image: Required value" },
};

static const Case deployment_updates[] = {
  { "{\"spec\":{\"replicas\":5}}", NULL },
  { "{\"spec\":{\"selector\":{\"matchLabels\":{\"c\":\"d\"}},\"template\":{\"metadata\":{\"labels\":{\"c\":\"d\"}}}}}",
    "spec.selector: Invalid value: {\"matchLabels\":{\"a\":\"b\",\"c\":\"d\"}}: field is immutable" },
};

static const Case stateful_updates[] = {
  { "{\"spec\":{\"replicas\":5}}", NULL },
  { "{\"spec\":{\"serviceName\":\"t\"}}",
    "spec: Forbidden: updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', "
    "'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden" },
};

static const Case job_cases[] = {
  { "{}", NULL },
  { "{\"spec\":{\"template\":{\"spec\":{\"restartPolicy\":\"Always\"}}}}",
    "spec.template.spec.restartPolicy: Required value: valid values: \"OnFailure\", \"Never\"" },
  { "{\"spec\":{\"completionMode\":\"Indexed\",\"completions\":null}}", NULL },
  { "{\"spec\":{\"backoffLimitPerIndex\":1}}", "spec.backoffLimitPerIndex: Invalid value: 1: requires indexed completion mode" },
};

static const Case job_updates[] = {
  { "{\"spec\":{\"parallelism\":3,\"completions\":1}}", NULL },
  { "{\"spec\":{\"completions\":3}}", "spec.completions: Invalid value: 3: field is immutable" },
};

#define KIND(api, plural, base, cases) { api, plural, base, cases, G_N_ELEMENTS (cases) }

static const Kind creates[] = {
  KIND ("v1", "pods", POD, pod_cases),
  KIND ("apps/v1", "deployments", DEPLOYMENT, deployment_cases),
  KIND ("batch/v1", "jobs", JOB, job_cases),
};

static const Kind updates[] = {
  KIND ("v1", "pods", POD, pod_updates),
  KIND ("apps/v1", "deployments", DEPLOYMENT, deployment_updates),
  KIND ("apps/v1", "statefulsets", STATEFUL_SET, stateful_updates),
  KIND ("batch/v1", "jobs", JOB, job_updates),
};

static void
test_create (void)
{
  for (guint i = 0; i < G_N_ELEMENTS (creates); i++)
    run_create (&creates[i]);
}

static void
test_update (void)
{
  for (guint i = 0; i < G_N_ELEMENTS (updates); i++)
    run_update (&updates[i]);
}

static void
test_warnings (void)
{
  static const Case cases[] = {
    { CONTAINER ("\"env\":[{\"name\":\"A\",\"value\":\"1\"},{\"name\":\"A\",\"value\":\"2\"}]"),
      "spec.containers[0].env[1]: hides previous definition of \"A\", which may be dropped when using apply" },
    { "{\"spec\":{\"terminationGracePeriodSeconds\":-1}}",
      "spec.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be treated as 1" },
    { "{\"spec\":{\"volumes\":[{\"name\":\"v\",\"gitRepo\":{\"repository\":\"r\"}}]}}",
      "spec.volumes[0].gitRepo: deprecated in v1.11, and disabled by default in v1.33+" },
  };
  const CubeResource *kind = resource ("v1", "pods");
  g_autoptr (CubeValue) base = parse (POD);
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (CubeValue) value = ready (kind, cube_value_root (base), cases[i].patch);
    g_autoptr (GPtrArray) warnings = g_ptr_array_new_with_free_func (g_free);
    cube_schema_warnings (kind, cube_value_root (value), cube_view_none (), warnings);
    g_assert_cmpuint (warnings->len, ==, 1);
    g_assert_cmpstr (warnings->pdata[0], ==, cases[i].expected);
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/schema/validate/create", test_create);
  g_test_add_func ("/schema/validate/update", test_update);
  g_test_add_func ("/schema/validate/warnings", test_warnings);
  return g_test_run ();
}

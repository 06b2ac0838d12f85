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
  if (test->expected == NULL)
    {
      g_assert_no_error (error);
    }
  else
    {
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
  for (guint i = 0; i < kinds->n_cases; i++)
    {
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
  for (guint i = 0; i < kinds->n_cases; i++)
    {
      g_autoptr (CubeValue) old = ready (kind, cube_value_root (base), "{}"),
                            value = ready (kind, cube_value_root (base), kinds->cases[i].patch);
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
    "spec.containers[0].resources.limits[foo]: Invalid value: \"foo\": must be a standard resource for containers, "
    "spec.containers[0].resources.requests[foo]: Invalid value: \"foo\": must be a standard resource type or fully qualified, "
    "spec.containers[0].resources.requests[foo]: Invalid value: \"foo\": must be a standard resource for containers]" },
  { CONTAINER ("\"livenessProbe\":{\"periodSeconds\":3}"),
    "spec.containers[0].livenessProbe: Required value: must specify a handler type" },
  { CONTAINER ("\"livenessProbe\":{\"tcpSocket\":{\"port\":0}}"),
    "spec.containers[0].livenessProbe.tcpSocket.port: Invalid value: 0: must be between 1 and 65535, inclusive" },
  { CONTAINER ("\"env\":[{\"name\":\"a=b\"}]"),
    "spec.containers[0].env[0].name: Invalid value: \"a=b\": a valid environment variable name must consist "
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
  { "{\"spec\":{\"ephemeralContainers\":[{\"name\":\"e\",\"image\":\"i\"}]}}",
    "spec.ephemeralContainers: Forbidden: cannot be set on create" },
  { "{\"spec\":{\"restartPolicy\":\"Maybe\"}}",
    "spec.restartPolicy: Unsupported value: \"Maybe\": supported values: \"Always\", \"OnFailure\", \"Never\"" },
  { "{\"spec\":{\"hostAliases\":[{\"ip\":\"1.2.3\"}]}}",
    "spec.hostAliases[0].ip: Invalid value: \"1.2.3\": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)" },
};

#define MAY_CHANGE                                                                                                                                     \
  "spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"                           \
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
#define STATEFUL_SET                                                                                                                       \
  "{\"apiVersion\":\"apps/v1\",\"kind\":\"StatefulSet\"," META ",\"spec\":{\"serviceName\":\"s\"," SELECTOR "," TEMPLATE "}}"
#define JOB                                                                                                                                \
  "{\"apiVersion\":\"batch/v1\",\"kind\":\"Job\"," META ",\"spec\":{\"manualSelector\":true," SELECTOR                                     \
  ",\"template\":{\"metadata\":{\"labels\":"                                                                                               \
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

static const Case service_cases[] = {
  { "{}", NULL },
  { "{\"spec\":{\"ports\":[]}}", "spec.ports: Required value" },
  { "{\"spec\":{\"ports\":[{\"port\":0}]}}",
    "[spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive, spec.ports[0].targetPort: Invalid value: 0: must be between 1 "
    "and 65535, inclusive]" },
  { "{\"spec\":{\"ports\":[{\"port\":80,\"name\":\"a\"},{\"port\":81}]}}", "spec.ports[1].name: Required value" },
  { "{\"spec\":{\"ports\":[{\"port\":80,\"nodePort\":30000}]}}",
    "spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'" },
  { "{\"spec\":{\"type\":\"LoadBalancer\",\"clusterIP\":\"None\"}}",
    "spec.clusterIPs[0]: Invalid value: \"None\": may not be set to 'None' for LoadBalancer services" },
  { "{\"spec\":{\"type\":\"ExternalName\"}}", "spec.externalName: Required value" },
  { "{\"spec\":{\"externalIPs\":[\"127.0.0.1\"]}}",
    "spec.externalIPs[0]: Invalid value: \"127.0.0.1\": may not be in the loopback range (127.0.0.0/8, ::1/128)" },
  { "{\"spec\":{\"loadBalancerSourceRanges\":[\"10.0.0.0/8\"]}}",
    "spec.LoadBalancerSourceRanges: Forbidden: may only be used when `type` is 'LoadBalancer'" },
};

static const Case slice_cases[] = {
  { "{}", NULL },
  { "{\"endpoints\":[{\"addresses\":[\"fd00::1\"]}]}", "endpoints[0].addresses: Invalid value: \"fd00::1\": must be an IPv4 address" },
};

static const Case ingress_cases[] = {
  { "{}", NULL },
  { "{\"spec\":{\"rules\":null}}", "spec: Invalid value: []: either `defaultBackend` or `rules` must be specified" },
  { "{\"spec\":{\"rules\":[{\"http\":{\"paths\":[{\"path\":\"/\",\"backend\":{\"service\":{\"name\":\"s\",\"port\":{\"number\":80}}}}]}}]}}",
    "spec.rules[0].http.paths[0].pathType: Required value: pathType must be specified" },
  { "{\"spec\":{\"defaultBackend\":{\"service\":{\"name\":\"s\"}}}}",
    "spec.defaultBackend: Required value: port name or number is required" },
};

static const Case policy_cases[] = {
  { "{}", NULL },
  { "{\"spec\":{\"ingress\":[{\"from\":[{}]}]}}", "spec.ingress[0].from[0]: Required value: must specify a peer" },
  { "{\"spec\":{\"egress\":[{\"ports\":[{\"port\":80,\"endPort\":70}]}]}}",
    "spec.egress[0].ports[0].endPort: Invalid value: 80: must be greater than or equal to `port`" },
};

static const Case secret_cases[] = {
  { "{}", NULL },
  { "{\"type\":\"kubernetes.io/tls\",\"data\":{\"tls.crt\":\"YQ==\"}}", "data[tls.key]: Required value" },
  { "{\"type\":\"kubernetes.io/dockerconfigjson\",\"data\":{\".dockerconfigjson\":\"e30=\"}}", NULL },
  { "{\"type\":\"kubernetes.io/service-account-token\"}", "metadata.annotations[kubernetes.io/service-account.name]: Required value" },
};

static const Case node_cases[] = {
  { "{}", NULL },
  { "{\"spec\":{\"taints\":[{\"key\":\"a\",\"effect\":\"Maybe\"}]}}",
    "metadata.taints[0].effect: Unsupported value: \"Maybe\": supported values: \"NoSchedule\", \"PreferNoSchedule\", \"NoExecute\"" },
  { "{\"spec\":{\"podCIDRs\":[\"10.0.0.0\"]}}",
    "spec.podCIDRs[0]: Invalid value: \"10.0.0.0\": must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)" },
};

static const Case lease_cases[] = {
  { "{\"spec\":{\"leaseDurationSeconds\":15}}", NULL },
  { "{\"spec\":{\"leaseDurationSeconds\":0}}", "spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0" },
};

static const Case limit_cases[] = {
  { "{}", NULL },
  { "{\"spec\":{\"limits\":[{\"type\":\"Container\",\"max\":{\"cpu\":\"1\"},\"min\":{\"cpu\":\"2\"},\"default\":{\"cpu\":\"1500m\"},\"defaultRequest\":{\"cpu\":\"3\"}}]}}",
    "[spec.limits[0].min[cpu]: Invalid value: \"2\": min value 2 is greater than max value 1, spec.limits[0].default[cpu]: Invalid value: \"1500m\": min value 2 is greater than default value 1500m, spec.limits[0].default[cpu]: Invalid value: \"1500m\": default value 1500m is greater than max value 1, spec.limits[0].defaultRequest[cpu]: Invalid value: \"3\": default request value 3 is greater than max value 1, spec.limits[0].defaultRequest[cpu]: Invalid value: \"3\": default request value 3 is greater than default limit value 1500m]" },
};

static const Case quota_cases[] = {
  { "{}", NULL },
  { "{\"spec\":{\"hard\":{\"foo\":\"1\"}}}",
    "[spec.hard[foo]: Invalid value: \"foo\": must be a standard resource type or fully qualified, "
    "spec.hard[foo]: Invalid value: \"foo\": must be a standard resource for quota]" },
  { "{\"spec\":{\"scopes\":[\"BestEffort\",\"NotBestEffort\"]}}",
    "spec.scopes: Invalid value: [\"BestEffort\",\"NotBestEffort\"]: conflicting scopes" },
};

static const Case priority_cases[] = {
  { "{}", NULL },
  { "{\"value\":1000000001}", "value: Forbidden: maximum allowed value of a user defined priority is 1000000000" },
  { "{\"metadata\":{\"name\":\"system-x\"}}",
    "metadata.name: Forbidden: priority class names with 'system-' prefix are reserved for system use only. error: system-x is not a known system priority class" },
};

static const Case role_cases[] = {
  { "{}", NULL },
  { "{\"rules\":[{\"verbs\":[],\"apiGroups\":[\"\"],\"resources\":[\"pods\"]}]}",
    "rules[0].verbs: Required value: verbs must contain at least one value" },
  { "{\"rules\":[{\"verbs\":[\"get\"],\"nonResourceURLs\":[\"/a\"]}]}",
    "rules[0].nonResourceURLs: Invalid value: [\"/a\"]: namespaced rules cannot apply to non-resource URLs" },
};

static const Case binding_cases[] = {
  { "{}", NULL },
  { "{\"roleRef\":{\"kind\":\"Rule\"}}", "roleRef.kind: Unsupported value: \"Rule\": supported values: \"Role\", \"ClusterRole\"" },
  { "{\"subjects\":[{\"kind\":\"Robot\",\"name\":\"u\"}]}",
    "subjects[0].kind: Unsupported value: \"Robot\": supported values: \"ServiceAccount\", \"User\", \"Group\"" },
};

static const Case autoscaler_cases[] = {
  { "{}", NULL },
  { "{\"spec\":{\"minReplicas\":5}}", "spec.maxReplicas: Invalid value: 3: must be greater than or equal to `minReplicas`" },
  { "{\"spec\":{\"maxReplicas\":0}}", "spec.maxReplicas: Required value: must be set and greater than 0" },
};

static const Case budget_cases[] = {
  { "{}", NULL },
  { "{\"spec\":{\"minAvailable\":\"120%\"}}", "spec.minAvailable: Invalid value: \"120%\": must not be greater than 100%" },
};

static const Case cron_job_cases[] = {
  { "{\"spec\":{\"schedule\":\"*/5 0-6,22 1 jan-mar mon\"}}", NULL },
  { "{\"spec\":{\"schedule\":\"@daily\"}}", NULL },
  { "{\"spec\":{\"schedule\":\"@every 1h30m\"}}", NULL },
  { "{\"spec\":{\"schedule\":\"0 0 */2 ? 5/1\"}}", NULL },
  { "{\"spec\":{\"schedule\":\"never\"}}", "spec.schedule: Invalid value: \"never\": expected exactly 5 fields, found 1: [never]" },
  { "{\"spec\":{\"schedule\":\"60 * * * *\"}}", "spec.schedule: Invalid value: \"60 * * * *\": end of range (60) above maximum (59): 60" },
  { "{\"spec\":{\"schedule\":\"* * 0 * *\"}}", "spec.schedule: Invalid value: \"* * 0 * *\": beginning of range (0) below minimum (1): 0" },
  { "{\"spec\":{\"schedule\":\"5-1 * * * *\"}}",
    "spec.schedule: Invalid value: \"5-1 * * * *\": beginning of range (5) beyond end of range (1): 5-1" },
  { "{\"spec\":{\"schedule\":\"1-2-3 * * * *\"}}", "spec.schedule: Invalid value: \"1-2-3 * * * *\": too many hyphens: 1-2-3" },
  { "{\"spec\":{\"schedule\":\"*/0 * * * *\"}}",
    "spec.schedule: Invalid value: \"*/0 * * * *\": step of range should be a positive number: */0" },
  { "{\"spec\":{\"schedule\":\"*/1/2 * * * *\"}}", "spec.schedule: Invalid value: \"*/1/2 * * * *\": too many slashes: */1/2" },
  { "{\"spec\":{\"schedule\":\"x * * * *\"}}",
    "spec.schedule: Invalid value: \"x * * * *\": failed to parse int from x: strconv.Atoi: parsing \"x\": invalid syntax" },
  { "{\"spec\":{\"schedule\":\"@often\"}}", "spec.schedule: Invalid value: \"@often\": unrecognized descriptor: @often" },
};

static const Case config_map_updates[] = {
  { "{\"metadata\":{\"labels\":{\"a\":\"b\"}}}", NULL },
  { "{\"data\":{\"a\":\"2\"}}", "data: Forbidden: field is immutable when `immutable` is set" },
};

static const Case binding_updates[] = {
  { "{\"subjects\":[{\"kind\":\"User\",\"name\":\"u\"}]}", NULL },
  { "{\"roleRef\":{\"name\":\"s\"}}",
    "roleRef: Invalid value: {\"apiGroup\":\"rbac.authorization.k8s.io\",\"kind\":\"Role\",\"name\":\"s\"}: cannot change roleRef" },
};

#define KIND(api, plural, base, cases)                                                                                                     \
  {                                                                                                                                        \
    api, plural, base, cases, G_N_ELEMENTS (cases)                                                                                         \
  }

static const Kind creates[] = {
  KIND ("v1", "pods", POD, pod_cases),
  KIND ("apps/v1", "deployments", DEPLOYMENT, deployment_cases),
  KIND ("batch/v1", "jobs", JOB, job_cases),
  KIND (
      "batch/v1", "cronjobs",
      "{\"apiVersion\":\"batch/v1\",\"kind\":\"CronJob\",\"metadata\":{\"name\":\"x\",\"namespace\":\"d\"},\"spec\":{\"schedule\":\"* * * * *\",\"jobTemplate\":{\"spec\":{\"template\":{\"spec\":{\"restartPolicy\":\"Never\",\"containers\":[{\"name\":\"c\",\"image\":\"i\"}]}}}}}}",
      cron_job_cases),
  KIND (
      "v1", "services",
      "{\"apiVersion\":\"v1\",\"kind\":\"Service\",\"metadata\":{\"name\":\"x\",\"namespace\":\"d\"},\"spec\":{\"ports\":[{\"port\":80}]}}",
      service_cases),
  KIND (
      "discovery.k8s.io/v1", "endpointslices",
      "{\"apiVersion\":\"discovery.k8s.io/v1\",\"kind\":\"EndpointSlice\",\"metadata\":{\"name\":\"x\",\"namespace\":\"d\"},\"addressType\":\"IPv4\",\"endpoints\":[{\"addresses\":[\"10.0.0.1\"]}],\"ports\":[{\"port\":80}]}",
      slice_cases),
  KIND (
      "networking.k8s.io/v1", "ingresses",
      "{\"apiVersion\":\"networking.k8s.io/v1\",\"kind\":\"Ingress\",\"metadata\":{\"name\":\"x\",\"namespace\":\"d\"},\"spec\":{\"rules\":[{\"host\":\"a.b\",\"http\":{\"paths\":[{\"path\":\"/\",\"pathType\":\"Prefix\",\"backend\":{\"service\":{\"name\":\"s\",\"port\":{\"number\":80}}}}]}}]}}",
      ingress_cases),
  KIND (
      "networking.k8s.io/v1", "networkpolicies",
      "{\"apiVersion\":\"networking.k8s.io/v1\",\"kind\":\"NetworkPolicy\",\"metadata\":{\"name\":\"x\",\"namespace\":\"d\"},\"spec\":{\"podSelector\":{}}}",
      policy_cases),
  KIND ("v1", "secrets", "{\"apiVersion\":\"v1\",\"kind\":\"Secret\",\"metadata\":{\"name\":\"x\",\"namespace\":\"d\"}}", secret_cases),
  KIND ("v1", "nodes", "{\"apiVersion\":\"v1\",\"kind\":\"Node\",\"metadata\":{\"name\":\"x\"}}", node_cases),
  KIND ("coordination.k8s.io/v1", "leases",
        "{\"apiVersion\":\"coordination.k8s.io/v1\",\"kind\":\"Lease\",\"metadata\":{\"name\":\"x\",\"namespace\":\"d\"}}", lease_cases),
  KIND (
      "v1", "limitranges",
      "{\"apiVersion\":\"v1\",\"kind\":\"LimitRange\",\"metadata\":{\"name\":\"x\",\"namespace\":\"d\"},\"spec\":{\"limits\":[{\"type\":\"Container\",\"max\":{\"cpu\":\"2\"},\"min\":{\"cpu\":\"1\"}}]}}",
      limit_cases),
  KIND (
      "v1", "resourcequotas",
      "{\"apiVersion\":\"v1\",\"kind\":\"ResourceQuota\",\"metadata\":{\"name\":\"x\",\"namespace\":\"d\"},\"spec\":{\"hard\":{\"pods\":\"3\",\"count/jobs.batch\":\"2\"}}}",
      quota_cases),
  KIND ("scheduling.k8s.io/v1", "priorityclasses",
        "{\"apiVersion\":\"scheduling.k8s.io/v1\",\"kind\":\"PriorityClass\",\"metadata\":{\"name\":\"x\"},\"value\":5}", priority_cases),
  KIND (
      "rbac.authorization.k8s.io/v1", "roles",
      "{\"apiVersion\":\"rbac.authorization.k8s.io/v1\",\"kind\":\"Role\",\"metadata\":{\"name\":\"x\",\"namespace\":\"d\"},\"rules\":[{\"verbs\":[\"get\"],\"apiGroups\":[\"\"],\"resources\":[\"pods\"]}]}",
      role_cases),
  KIND (
      "rbac.authorization.k8s.io/v1", "rolebindings",
      "{\"apiVersion\":\"rbac.authorization.k8s.io/v1\",\"kind\":\"RoleBinding\",\"metadata\":{\"name\":\"x\",\"namespace\":\"d\"},\"roleRef\":{\"kind\":\"Role\",\"name\":\"r\"},\"subjects\":[{\"kind\":\"User\",\"name\":\"u\"}]}",
      binding_cases),
  KIND (
      "autoscaling/v2", "horizontalpodautoscalers",
      "{\"apiVersion\":\"autoscaling/v2\",\"kind\":\"HorizontalPodAutoscaler\",\"metadata\":{\"name\":\"x\",\"namespace\":\"d\"},\"spec\":{\"scaleTargetRef\":{\"apiVersion\":\"apps/v1\",\"kind\":\"Deployment\",\"name\":\"d\"},\"maxReplicas\":3}}",
      autoscaler_cases),
  KIND (
      "policy/v1", "poddisruptionbudgets",
      "{\"apiVersion\":\"policy/v1\",\"kind\":\"PodDisruptionBudget\",\"metadata\":{\"name\":\"x\",\"namespace\":\"d\"},\"spec\":{\"minAvailable\":1,\"selector\":{\"matchLabels\":{\"a\":\"b\"}}}}",
      budget_cases),
};

static const Kind updates[] = {
  KIND ("v1", "pods", POD, pod_updates),
  KIND ("apps/v1", "deployments", DEPLOYMENT, deployment_updates),
  KIND ("apps/v1", "statefulsets", STATEFUL_SET, stateful_updates),
  KIND ("batch/v1", "jobs", JOB, job_updates),
  KIND (
      "v1", "configmaps",
      "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"x\",\"namespace\":\"d\"},\"immutable\":true,\"data\":{\"a\":\"1\"}}",
      config_map_updates),
  KIND (
      "rbac.authorization.k8s.io/v1", "rolebindings",
      "{\"apiVersion\":\"rbac.authorization.k8s.io/v1\",\"kind\":\"RoleBinding\",\"metadata\":{\"name\":\"x\",\"namespace\":\"d\"},\"roleRef\":{\"apiGroup\":\"rbac.authorization.k8s.io\",\"kind\":\"Role\",\"name\":\"r\"}}",
      binding_updates),
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
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
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

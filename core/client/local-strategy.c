/* SPDX-License-Identifier: Apache-2.0 */
/* What the request pipeline does differently by kind, as tables of store keys. */
#include "local-private.h"

static gboolean
is_one_of (const CubeResource *resource, const char *const *keys)
{
  return g_strv_contains (keys, resource->key);
}

gboolean
cube_strategy_creates_on_update (const CubeResource *resource)
{
  static const char *const keys[] = { "/services",
                                      "/endpoints",
                                      "/limitranges",
                                      "/events",
                                      "rbac.authorization.k8s.io/roles",
                                      "rbac.authorization.k8s.io/clusterroles",
                                      "rbac.authorization.k8s.io/rolebindings",
                                      "rbac.authorization.k8s.io/clusterrolebindings",
                                      "node.k8s.io/runtimeclasses",
                                      "coordination.k8s.io/leases",
                                      "coordination.k8s.io/leasecandidates",
                                      NULL };

  return is_one_of (resource, keys);
}

gboolean
cube_strategy_updates_unconditionally (const CubeResource *resource)
{
  static const char *const refusing[] = { "storage.k8s.io/volumeattachments",
                                          "storage.k8s.io/csinodes",
                                          "storage.k8s.io/csidrivers",
                                          "storage.k8s.io/csistoragecapacities",
                                          "policy/poddisruptionbudgets",
                                          "node.k8s.io/runtimeclasses",
                                          "coordination.k8s.io/leases",
                                          "coordination.k8s.io/leasecandidates",
                                          "certificates.k8s.io/podcertificaterequests",
                                          "certificates.k8s.io/clustertrustbundles",
                                          "apiregistration.k8s.io/apiservices",
                                          "admissionregistration.k8s.io/validatingwebhookconfigurations",
                                          "admissionregistration.k8s.io/mutatingwebhookconfigurations",
                                          "admissionregistration.k8s.io/validatingadmissionpolicies",
                                          "admissionregistration.k8s.io/validatingadmissionpolicybindings",
                                          "admissionregistration.k8s.io/mutatingadmissionpolicies",
                                          "admissionregistration.k8s.io/mutatingadmissionpolicybindings",
                                          "apiextensions.k8s.io/customresourcedefinitions",
                                          "storagemigration.k8s.io/storageversionmigrations",
                                          NULL };

  return !resource->is_custom && !is_one_of (resource, refusing);
}

gboolean
cube_strategy_returns_deleted (const CubeResource *resource)
{
  static const char *const keys[] = { "/pods",
                                      "/podtemplates",
                                      "/persistentvolumeclaims",
                                      "/persistentvolumes",
                                      "/resourcequotas",
                                      "/serviceaccounts",
                                      "/services",
                                      "storage.k8s.io/storageclasses",
                                      "storage.k8s.io/csidrivers",
                                      "storage.k8s.io/csinodes",
                                      "storage.k8s.io/csistoragecapacities",
                                      "storage.k8s.io/volumeattachments",
                                      NULL };

  return is_one_of (resource, keys);
}

gboolean
cube_strategy_orphans_by_default (const CubeResource *resource)
{
  static const char *const keys[] = { "/replicationcontrollers", "batch/jobs", NULL };

  return is_one_of (resource, keys);
}

gboolean
cube_strategy_is_review (const CubeResource *resource)
{
  static const char *const kinds[] = { "TokenReview",
                                       "SubjectAccessReview",
                                       "LocalSubjectAccessReview",
                                       "SelfSubjectAccessReview",
                                       "SelfSubjectRulesReview",
                                       "SelfSubjectReview",
                                       NULL };

  return !resource->is_custom && g_strv_contains (kinds, resource->kind);
}

gboolean
cube_strategy_has_own_fields (const CubeResource *resource)
{
  static const char *const keys[] = { "/pods",
                                      "/events",
                                      "/nodes",
                                      "/replicationcontrollers",
                                      "/namespaces",
                                      "/secrets",
                                      "/services",
                                      "batch/jobs",
                                      "certificates.k8s.io/certificatesigningrequests",
                                      NULL };

  return is_one_of (resource, keys);
}

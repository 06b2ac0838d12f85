/* SPDX-License-Identifier: Apache-2.0 */
#include "node-rules.h"

#include "podrefs.h"

#include <cube/selector.h>
#include <string.h>

#define USER_PREFIX "system:node:"

typedef gboolean (*Relation) (const NodeWorld *world, const char *node, const CubeAttributes *a);

const char *
node_rules_identity (const CubeUser *user)
{
  if (user == NULL || !g_str_has_prefix (user->name, USER_PREFIX) || user->name[strlen (USER_PREFIX)] == '\0'
      || !cube_user_in_group (user, "system:nodes"))
    return NULL;
  return user->name + strlen (USER_PREFIX);
}

static const char *
required_field (const CubeAttributes *a, const char *field)
{
  return a->has_fields && a->fields != NULL ? cube_selector_requires (a->fields, field) : NULL;
}

/* The one object a request is about: by its name, or by metadata.name= of a list or watch. NULL = many. */
static const char *
single_name (const CubeAttributes *a)
{
  return a->name != NULL && *a->name != '\0' ? a->name : required_field (a, "metadata.name");
}

/* ---- relations ---- */

static gboolean
any (const NodeWorld *world, const char *node, const CubeAttributes *a)
{
  return TRUE;
}

static gboolean
own_name (const NodeWorld *world, const char *node, const CubeAttributes *a)
{
  return g_strcmp0 (single_name (a), node) == 0;
}

/* At create the name is in the body: the admission looks at it. */
static gboolean
own_name_or_new (const NodeWorld *world, const char *node, const CubeAttributes *a)
{
  return g_str_equal (a->verb, "create") || own_name (world, node, a);
}

static gboolean
own_lease (const NodeWorld *world, const char *node, const CubeAttributes *a)
{
  return g_strcmp0 (a->ns, "kube-node-lease") == 0 && own_name_or_new (world, node, a);
}

static gboolean
is_many (const CubeAttributes *a)
{
  return g_str_equal (a->verb, "list") || g_str_equal (a->verb, "watch");
}

/* A list of the pods bound to it. A front end that does not say which ones are asked for is trusted with the question. */
static gboolean
own_pods (const NodeWorld *world, const char *node, const CubeAttributes *a)
{
  g_autoptr (CubeValue) pod = NULL;

  if (is_many (a) && (a->name == NULL || *a->name == '\0'))
    return !a->has_fields || g_strcmp0 (required_field (a, "spec.nodeName"), node) == 0;
  if (a->name == NULL || *a->name == '\0')
    return FALSE;
  pod = world->look_up (world->data, "v1", "pods", a->ns, a->name);
  return pod != NULL && g_strcmp0 (cube_view_string (cube_value_get (pod, "spec", "nodeName")), node) == 0;
}

/* A pod bound to the node, in the request's namespace, refers to it. */
static gboolean
referenced_as (const NodeWorld *world, const char *node, const char *ns, const char *resource, const char *name)
{
  g_autoptr (GPtrArray) pods = name != NULL && ns != NULL && *ns != '\0' ? world->pods_on (world->data, node) : NULL;

  for (guint i = 0; pods != NULL && i < pods->len; i++)
    {
      CubeView pod = cube_value_root (pods->pdata[i]);

      if (g_strcmp0 (cube_view_get_string (pod, "metadata", "namespace"), ns) == 0 && podrefs_has (pod, resource, name))
        return TRUE;
    }
  return FALSE;
}

static gboolean
referenced (const NodeWorld *world, const char *node, const CubeAttributes *a)
{
  return referenced_as (world, node, a->ns, a->resource, single_name (a));
}

/* A volume is reached through the claim it is bound to. */
static gboolean
own_volume (const NodeWorld *world, const char *node, const CubeAttributes *a)
{
  const char *name = single_name (a);
  g_autoptr (CubeValue) volume = name != NULL ? world->look_up (world->data, "v1", "persistentvolumes", "", name) : NULL;
  CubeView claim = volume != NULL ? cube_value_get (volume, "spec", "claimRef") : cube_view_none ();

  return referenced_as (world, node, cube_view_get_string (claim, "namespace"), "persistentvolumeclaims",
                        cube_view_get_string (claim, "name"));
}

static gboolean
own_attachment (const NodeWorld *world, const char *node, const CubeAttributes *a)
{
  const char *name = single_name (a);
  g_autoptr (CubeValue) attachment = name != NULL ? world->look_up (world->data, "storage.k8s.io/v1", "volumeattachments", "", name) : NULL;

  return attachment != NULL && g_strcmp0 (cube_view_string (cube_value_get (attachment, "spec", "nodeName")), node) == 0;
}

static gboolean
own_slices (const NodeWorld *world, const char *node, const CubeAttributes *a)
{
  return !a->has_fields || g_strcmp0 (required_field (a, "spec.nodeName"), node) == 0;
}

/* ---- the list ---- */

static const struct {
  const char *group, *resource, *subresource, *verbs; /* verbs between commas */
  Relation relation;
} rules[] = {
  { "authentication.k8s.io", "tokenreviews", "", ",create,", any },
  { "authorization.k8s.io", "subjectaccessreviews", "", ",create,", any },
  { "authorization.k8s.io", "localsubjectaccessreviews", "", ",create,", any },
  { "", "services", "", ",get,list,watch,", any },
  { "", "nodes", "", ",create,get,list,watch,update,patch,", own_name_or_new },
  { "", "nodes", "status", ",update,patch,", own_name },
  { "", "events", "", ",create,update,patch,", any },
  { "events.k8s.io", "events", "", ",create,update,patch,", any },
  { "", "pods", "", ",get,list,watch,", own_pods },
  { "", "pods", "", ",create,delete,", any }, /* which ones: the admission */
  { "", "pods", "status", ",update,patch,", any },
  { "", "pods", "eviction", ",create,", any },
  { "", "secrets", "", ",get,list,watch,", referenced },
  { "", "configmaps", "", ",get,list,watch,", referenced },
  { "", "persistentvolumeclaims", "", ",get,", referenced },
  { "", "persistentvolumeclaims", "status", ",get,update,patch,", referenced },
  { "", "persistentvolumes", "", ",get,", own_volume },
  { "", "serviceaccounts", "", ",get,", referenced },
  { "", "serviceaccounts", "token", ",create,", referenced },
  { "", "endpoints", "", ",get,", any },
  { "resource.k8s.io", "resourceclaims", "", ",get,", referenced },
  { "resource.k8s.io", "resourceslices", "", ",list,watch,deletecollection,", own_slices },
  { "resource.k8s.io", "resourceslices", "", ",create,update,patch,delete,get,", any },
  { "certificates.k8s.io", "certificatesigningrequests", "", ",create,get,list,watch,", any },
  { "coordination.k8s.io", "leases", "", ",get,create,update,patch,delete,", own_lease },
  { "storage.k8s.io", "volumeattachments", "", ",get,", own_attachment },
  { "storage.k8s.io", "csidrivers", "", ",get,list,watch,", any },
  { "storage.k8s.io", "csinodes", "", ",get,create,update,patch,delete,", own_name_or_new },
  { "node.k8s.io", "runtimeclasses", "", ",get,list,watch,", any },
};

CubeDecision
node_rules_decide (const NodeWorld *world, const char *node, const CubeAttributes *a, char **ret_reason)
{
  g_autofree char *verb = g_strconcat (",", a->verb, ",", NULL);
  gboolean is_listed = FALSE;

  if (a->resource == NULL)
    return CUBE_DECISION_NO_OPINION;
  for (guint i = 0; i < G_N_ELEMENTS (rules); i++)
    {
      if (!g_str_equal (rules[i].resource, a->resource) || g_strcmp0 (rules[i].group, a->group) != 0
          || !g_str_equal (rules[i].subresource, a->subresource != NULL ? a->subresource : "") || strstr (rules[i].verbs, verb) == NULL)
        continue;
      if (rules[i].relation (world, node, a))
        return CUBE_DECISION_ALLOW;
      is_listed = TRUE;
    }
  if (ret_reason != NULL)
    *ret_reason = is_listed ? g_strdup_printf ("no relationship found between node '%s' and this object", node) : NULL;
  return CUBE_DECISION_NO_OPINION;
}

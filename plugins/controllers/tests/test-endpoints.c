/* SPDX-License-Identifier: Apache-2.0 */
/* Endpoints and EndpointSlices of services, on a virtual clock. */
#include "room.h"

extern const CubePluginDescriptor cube_plugin_controllers_endpoints, cube_plugin_controllers_endpointslice;
#define MS 1000
#define SLICES "discovery.k8s.io/v1", "endpointslices"

static void
begin (Room *room)
{
  room_init (room);
  room_load (room, &cube_plugin_controllers_endpoints, NULL);
  room_load (room, &cube_plugin_controllers_endpointslice, NULL);
  room_start (room);
}

static void
put_service (Room *room, const char *spec)
{
  put (room, "v1", "services", "default",
       "{'apiVersion':'v1','kind':'Service','metadata':{'name':'web','labels':{'team':'a'}},'spec':{'clusterIP':'10.0.0.9',%s}}", spec);
}

static void
put_pod (Room *room, const char *name, guint n, const char *port_name, gboolean is_ready)
{
  put (
      room, "v1", "pods", "default",
      "{'apiVersion':'v1','kind':'Pod','metadata':{'name':'%s','labels':{'app':'web'}},'spec':{'nodeName':'n1','hostname':'h','subdomain':'web',"
      "'containers':[{'name':'c','image':'i','ports':[{'name':'%s','containerPort':%u}]}]}}",
      name, port_name, 8000 + n % 2);
  merge (room, "v1", "pods", "status", "default", name,
         "{'status':{'phase':'Running','podIP':'10.1.%u.%u','podIPs':[{'ip':'10.1.%u.%u'}],'conditions':[{'type':'Ready','status':'%s'}]}}",
         n / 250, n % 250 + 1, n / 250, n % 250 + 1, is_ready ? "True" : "False");
}

static void
set_ready (Room *room, const char *name, gboolean is_ready)
{
  merge (room, "v1", "pods", "status", "default", name, "{'status':{'conditions':[{'type':'Ready','status':'%s'}]}}",
         is_ready ? "True" : "False");
}

static CubeValue *
only_slice (Room *room)
{
  g_autoptr (GPtrArray) slices = all (room, SLICES, "default");
  g_assert_cmpuint (slices->len, ==, 1);
  return cube_object_value (slices->pdata[0]);
}

static void
test_one (void)
{
  Room room;
  begin (&room);
  put_service (&room, "'selector':{'app':'web'},'ports':[{'name':'http','port':80,'targetPort':8000,'appProtocol':'http'}]");
  room_run (&room, G_USEC_PER_SEC);
  {
    g_autoptr (CubeValue) slice = only_slice (&room); /* the placeholder */
    assert_at (slice, "endpoints", "[]");
    assert_at (slice, "metadata.generateName", "web-");
    assert_at (slice, "metadata.labels.team", "a");
    assert_at (
        slice, "metadata.labels",
        "{'team':'a','endpointslice.kubernetes.io/managed-by':'endpointslice-controller.k8s.io','kubernetes.io/service-name':'web'}");
    assert_at (slice, "metadata.ownerReferences[0].kind", "Service");
  }
  put_pod (&room, "a", 0, "p", TRUE);
  put_pod (&room, "b", 2, "p", FALSE);
  room_run (&room, 10 * MS);
  {
    g_autoptr (CubeValue) slice = only_slice (&room), endpoints = look (&room, "v1", "endpoints", "default", "web");
    assert_at (slice, "ports", "[{'name':'http','port':8000,'protocol':'TCP','appProtocol':'http'}]");
    assert_at (slice, "endpoints[0].addresses", "['10.1.0.1']");
    assert_at (slice, "endpoints[0].conditions", "{'ready':true,'serving':true,'terminating':false}");
    assert_at (slice, "endpoints[1].conditions", "{'ready':false,'serving':false,'terminating':false}");
    assert_at (slice, "endpoints[0].nodeName", "n1");
    assert_at (slice, "endpoints[0].hostname", "h");
    assert_at (slice, "endpoints[0].targetRef.name", "a");
    assert_at (endpoints, "subsets[0].addresses[0].ip", "10.1.0.1");
    assert_at (endpoints, "subsets[0].notReadyAddresses[0].ip", "10.1.0.3");
    assert_at (endpoints, "subsets[0].ports[0].port", "8000");
    assert_at (endpoints, "metadata.labels", "{'team':'a','endpoints.kubernetes.io/managed-by':'endpoint-controller'}");
  }
  set_ready (&room, "b", TRUE); /* readiness arrives within milliseconds */
  room_run (&room, 5 * MS);
  {
    g_autoptr (CubeValue) slice = only_slice (&room);
    assert_at (slice, "endpoints[1].conditions.ready", "true");
  }
  drop (&room, "v1", "pods", "default", "b", CUBE_PROPAGATION_DEFAULT); /* on a node: grace */
  room_run (&room, 5 * MS);
  {
    g_autoptr (CubeValue) slice = only_slice (&room), endpoints = look (&room, "v1", "endpoints", "default", "web");
    assert_at (slice, "endpoints[1].conditions", "{'ready':false,'serving':true,'terminating':true}");
    assert_at (endpoints, "subsets[0].notReadyAddresses", "");
    assert_at (endpoints, "subsets[0].addresses[1]", "");
  }
  drop (&room, "v1", "services", "default", "web", CUBE_PROPAGATION_DEFAULT);
  room_run (&room, G_USEC_PER_SEC);
  g_assert_null (look (&room, "v1", "endpoints", "default", "web"));
  room_clear (&room);
}

/* What does not concern an endpoint writes nothing; nor does a restart. */
static void
test_quiet (void)
{
  Room room;
  begin (&room);
  put_service (&room, "'selector':{'app':'web'},'ports':[{'port':80,'targetPort':'p'}]");
  put_pod (&room, "a", 0, "p", TRUE);
  room_run (&room, G_USEC_PER_SEC);
  g_autoptr (GPtrArray) slices = all (&room, SLICES, "default");
  const char *name = cube_object_name (slices->pdata[0]);
  guint64 slice_revision = revision_of (&room, SLICES, "default", name),
          endpoints_revision = revision_of (&room, "v1", "endpoints", "default", "web");
  merge (&room, "v1", "pods", NULL, "default", "a", "{'metadata':{'annotations':{'x':'y'}}}");
  room_run (&room, G_USEC_PER_SEC);
  room_stop (&room);
  room_run (&room, G_USEC_PER_SEC);
  room_start (&room);
  room_run (&room, 30 * G_USEC_PER_SEC);
  g_assert_cmpuint (revision_of (&room, SLICES, "default", name), ==, slice_revision);
  g_assert_cmpuint (revision_of (&room, "v1", "endpoints", "default", "web"), ==, endpoints_revision);
  /* Somebody's change is undone. */
  merge (&room, SLICES, NULL, "default", name, "{'endpoints':[]}");
  room_run (&room, 100 * MS);
  g_autoptr (CubeValue) slice = only_slice (&room);
  assert_at (slice, "endpoints[0].targetRef.name", "a");
  room_clear (&room);
}

/* A named port that is another number in some pods: two port sets, two slices; pods without it are left out. */
static void
test_named_ports (void)
{
  Room room;
  begin (&room);
  put_service (&room, "'selector':{'app':'web'},'ports':[{'port':80,'targetPort':'p'}]");
  for (guint i = 0; i < 4; i++)
    {
      g_autofree char *name = g_strdup_printf ("w%u", i);
      put_pod (&room, name, i, i == 3 ? "other" : "p", TRUE);
    }
  room_run (&room, G_USEC_PER_SEC);
  g_autoptr (GPtrArray) slices = all (&room, SLICES, "default");
  g_autoptr (CubeValue) endpoints = look (&room, "v1", "endpoints", "default", "web");
  g_assert_cmpuint (slices->len, ==, 2);
  g_assert_cmpuint (cube_view_length (cube_value_get (endpoints, "subsets")), ==, 2);
  room_clear (&room);
}

/* 250 pods: three slices of at most 100; a pod that goes touches one of them; scaled to nothing, one empty slice remains. */
static void
test_many (void)
{
  Room room;
  guint total = 0, changed = 0;
  begin (&room);
  put_service (&room, "'selector':{'app':'web'},'ports':[{'port':80,'targetPort':8000}]");
  for (guint i = 0; i < 250; i++)
    {
      g_autofree char *name = g_strdup_printf ("w%u", i);
      put_pod (&room, name, i, "p", TRUE);
    }
  room_run (&room, 5 * G_USEC_PER_SEC);
  g_autoptr (GPtrArray) before = all (&room, SLICES, "default");
  g_assert_cmpuint (before->len, ==, 3);
  for (guint i = 0; i < before->len; i++)
    {
      g_autoptr (CubeValue) slice = cube_object_value (before->pdata[i]);
      guint n = cube_view_length (cube_value_get (slice, "endpoints"));
      g_assert_cmpuint (n, <=, 100);
      total += n;
    }
  g_assert_cmpuint (total, ==, 250);
  set_ready (&room, "w7", FALSE);
  room_run (&room, 5 * G_USEC_PER_SEC);
  for (guint i = 0; i < before->len; i++)
    changed += revision_of (&room, SLICES, "default", cube_object_name (before->pdata[i])) != cube_object_revision (before->pdata[i]);
  g_assert_cmpuint (changed, ==, 1);
  merge (&room, "v1", "services", NULL, "default", "web", "{'spec':{'selector':{'app':'none'}}}");
  room_run (&room, 5 * G_USEC_PER_SEC);
  g_autoptr (CubeValue) slice = only_slice (&room);
  assert_at (slice, "endpoints", "[]");
  room_clear (&room);
}

static void
test_left_alone (void)
{
  Room room;
  begin (&room);
  put_service (&room, "'ports':[{'port':80}]");
  put (
      &room, "v1", "endpoints", "default",
      "{'apiVersion':'v1','kind':'Endpoints','metadata':{'name':'web'},'subsets':[{'addresses':[{'ip':'1.2.3.4'}],'ports':[{'port':1}]}]}");
  guint64 revision = revision_of (&room, "v1", "endpoints", "default", "web");
  room_run (&room, 5 * G_USEC_PER_SEC);
  g_autoptr (GPtrArray) slices = all (&room, SLICES, "default");
  g_assert_cmpuint (slices->len, ==, 0);
  g_assert_cmpuint (revision_of (&room, "v1", "endpoints", "default", "web"), ==, revision);
  room_clear (&room);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/controllers/endpoints/one", test_one);
  g_test_add_func ("/controllers/endpoints/quiet", test_quiet);
  g_test_add_func ("/controllers/endpoints/named-ports", test_named_ports);
  g_test_add_func ("/controllers/endpoints/many", test_many);
  g_test_add_func ("/controllers/endpoints/left-alone", test_left_alone);
  return g_test_run ();
}

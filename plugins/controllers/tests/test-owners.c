/* SPDX-License-Identifier: Apache-2.0 */
/* What becomes of dependents when owners go, and of a namespace's content, on a virtual clock. */
#include "room.h"

extern const CubePluginDescriptor cube_plugin_controllers_garbage_collector, cube_plugin_controllers_namespace;
#define S G_USEC_PER_SEC
#define MAPS "v1", "configmaps"

static void
begin (Room *room)
{
  room_init (room);
  room_load (room, &cube_plugin_controllers_garbage_collector, NULL);
  room_load (room, &cube_plugin_controllers_namespace, NULL);
  room_start (room);
  room_run (room, S);
}

/* A config map in @ns; @owner NULL = none; @extra: more of the owner reference. */
static void
put_map (Room *room, const char *ns, const char *name, const char *owner, const char *extra)
{
  g_autoptr (CubeObject) object =
      owner != NULL ? cube_client_get (room->fixture.client, resource (&room->fixture, MAPS), ns, owner, NULL) : NULL;
  g_autofree char *references =
      owner != NULL ? g_strdup_printf ("'ownerReferences':[{'apiVersion':'v1','kind':'ConfigMap','name':'%s','uid':'%s'%s}]", owner,
                                       object != NULL ? cube_object_uid (object) : "11111111-2222-4333-8444-555555555555", extra)
                    : g_strdup ("'labels':{}");
  put (room, MAPS, ns, "{'apiVersion':'v1','kind':'ConfigMap','metadata':{'name':'%s',%s}}", name, references);
}

static gboolean
exists (Room *room, const char *name)
{
  return revision_of (room, MAPS, "default", name) > 0;
}

static void
test_background (void)
{
  Room room;
  begin (&room);
  put_map (&room, "default", "top", NULL, "");
  put_map (&room, "default", "middle", "top", "");
  put_map (&room, "default", "leaf", "middle", "");
  put_map (&room, "default", "other", NULL, "");
  room_run (&room, S);
  g_assert_true (exists (&room, "leaf"));
  drop (&room, MAPS, "default", "top", CUBE_PROPAGATION_BACKGROUND);
  g_assert_false (exists (&room, "top"));
  room_run (&room, S);
  g_assert_false (exists (&room, "middle"));
  g_assert_false (exists (&room, "leaf"));
  g_assert_true (exists (&room, "other"));
  /* One that names an owner that never was goes too. */
  put_map (&room, "default", "stray", "nobody", "");
  room_run (&room, S);
  g_assert_false (exists (&room, "stray"));
  room_clear (&room);
}

/* The owner stays until what blocks it is gone. */
static void
test_foreground (void)
{
  Room room;
  begin (&room);
  put_map (&room, "default", "top", NULL, "");
  put_map (&room, "default", "blocks", "top", ",'blockOwnerDeletion':true");
  put_map (&room, "default", "free", "top", "");
  merge (&room, MAPS, NULL, "default", "blocks", "{'metadata':{'finalizers':['x.y/z']}}");
  drop (&room, MAPS, "default", "top", CUBE_PROPAGATION_FOREGROUND);
  room_run (&room, S);
  g_assert_true (exists (&room, "top"));
  g_assert_true (exists (&room, "blocks"));
  g_assert_false (exists (&room, "free"));
  merge (&room, MAPS, NULL, "default", "blocks", "{'metadata':{'finalizers':null}}");
  room_run (&room, S);
  g_assert_false (exists (&room, "blocks"));
  g_assert_false (exists (&room, "top"));
  room_clear (&room);
}

static void
test_orphan (void)
{
  Room room;
  begin (&room);
  put_map (&room, "default", "top", NULL, "");
  put_map (&room, "default", "child", "top", "");
  drop (&room, MAPS, "default", "top", CUBE_PROPAGATION_ORPHAN);
  room_run (&room, S);
  g_assert_false (exists (&room, "top"));
  g_autoptr (CubeValue) child = look (&room, MAPS, "default", "child");
  g_assert_nonnull (child);
  assert_at (child, "metadata.ownerReferences", "");
  room_clear (&room);
}

/* A solid owner keeps it; the reference to the one that went is taken out. */
static void
test_two_owners (void)
{
  Room room;
  begin (&room);
  put_map (&room, "default", "one", NULL, "");
  put_map (&room, "default", "two", NULL, "");
  g_autoptr (CubeValue) two = look (&room, MAPS, "default", "two");
  g_autofree char *uid = text_at (two, "metadata.uid"),
                  *extra = g_strdup_printf ("},{'apiVersion':'v1','kind':'ConfigMap','name':'two','uid':'%s'", uid);
  put_map (&room, "default", "child", "one", extra);
  drop (&room, MAPS, "default", "one", CUBE_PROPAGATION_BACKGROUND);
  room_run (&room, S);
  g_autoptr (CubeValue) child = look (&room, MAPS, "default", "child");
  g_assert_nonnull (child);
  assert_at (child, "metadata.ownerReferences[0].name", "two");
  assert_at (child, "metadata.ownerReferences[1]", "");
  room_clear (&room);
}

/* The owner went while nobody watched. */
static void
test_restart (void)
{
  Room room;
  begin (&room);
  put_map (&room, "default", "top", NULL, "");
  put_map (&room, "default", "child", "top", "");
  put_map (&room, "default", "half", NULL, "");
  put_map (&room, "default", "half-child", "half", ",'blockOwnerDeletion':true");
  room_stop (&room);
  drop (&room, MAPS, "default", "top", CUBE_PROPAGATION_BACKGROUND);
  drop (&room, MAPS, "default", "half", CUBE_PROPAGATION_FOREGROUND);
  room_run (&room, 30 * S);
  g_assert_true (exists (&room, "child"));
  room_start (&room);
  room_run (&room, 30 * S);
  g_assert_false (exists (&room, "child"));
  g_assert_false (exists (&room, "half-child"));
  g_assert_false (exists (&room, "half"));
  room_clear (&room);
}

static void
test_invalid_namespace (void)
{
  Room room;
  begin (&room);
  put (
      &room, "v1", "persistentvolumes", NULL,
      "{'apiVersion':'v1','kind':'PersistentVolume','metadata':{'name':'pv','ownerReferences':[{'apiVersion':'v1','kind':'ConfigMap','name':'m','uid':'u-1'}]},"
      "'spec':{'capacity':{'storage':'1Gi'},'accessModes':['ReadWriteOnce'],'hostPath':{'path':'/x'}}}");
  room_run (&room, 2 * S);
  g_assert_cmpuint (revision_of (&room, "v1", "persistentvolumes", NULL, "pv"), >, 0);
  g_autofree char *message = event_message (&room, "default", "OwnerRefInvalidNamespace");
  g_assert_cmpstr (message, ==, "ownerRef [v1/ConfigMap, namespace: , name: m, uid: u-1] does not exist in namespace \"\"");
  room_clear (&room);
}

/* A custom kind that comes while the collector runs: its objects own and are owned. */
static void
test_custom (void)
{
  Room room;
  g_autoptr (GError) error = NULL;
  begin (&room);
  const char *text =
      "{'apiVersion':'apiextensions.k8s.io/v1','kind':'CustomResourceDefinition','metadata':{'name':'owners.test.cube'},'spec':{'group':'test.cube',"
      "'scope':'Namespaced','names':{'plural':'owners','singular':'owner','kind':'Owner','listKind':'OwnerList'},"
      "'versions':[{'name':'v1','served':true,'storage':true,'schema':{'openAPIV3Schema':{'type':'object'}}}]}}";
  g_autoptr (CubeValue) definition = json ("%s", text);
  put (&room, "apiextensions.k8s.io/v1", "customresourcedefinitions", NULL, "%s", text);
  g_assert_true (cube_schema_put_custom (cube_schema_get_default (), cube_value_root (definition), &error));
  g_assert_no_error (error);
  room_run (&room, S);
  put (&room, "test.cube/v1", "owners", "default", "{'apiVersion':'test.cube/v1','kind':'Owner','metadata':{'name':'top'}}");
  g_autoptr (CubeValue) top = look (&room, "test.cube/v1", "owners", "default", "top");
  g_autofree char *uid = text_at (top, "metadata.uid");
  put (
      &room, MAPS, "default",
      "{'apiVersion':'v1','kind':'ConfigMap','metadata':{'name':'child','ownerReferences':[{'apiVersion':'test.cube/v1','kind':'Owner','name':'top','uid':'%s'}]}}",
      uid);
  room_run (&room, S);
  g_assert_true (exists (&room, "child"));
  drop (&room, "test.cube/v1", "owners", "default", "top", CUBE_PROPAGATION_BACKGROUND);
  room_run (&room, S);
  g_assert_false (exists (&room, "child"));
  room_clear (&room);
}

/* ---- namespaces ---- */

static void
test_namespace (void)
{
  Room room;
  begin (&room);
  put (&room, "v1", "namespaces", NULL, "{'apiVersion':'v1','kind':'Namespace','metadata':{'name':'gone'}}");
  put_map (&room, "gone", "a", NULL, "");
  put_map (&room, "gone", "b", NULL, "");
  merge (&room, MAPS, NULL, "gone", "b", "{'metadata':{'finalizers':['x.y/z']}}");
  put (&room, "v1", "pods", "gone",
       "{'apiVersion':'v1','kind':'Pod','metadata':{'name':'p'},'spec':{'nodeName':'n','containers':[{'name':'c','image':'i'}]}}");
  drop (&room, "v1", "namespaces", NULL, "gone", CUBE_PROPAGATION_DEFAULT);
  room_run (&room, 5 * S);
  {
    g_autoptr (CubeValue) ns = look (&room, "v1", "namespaces", NULL, "gone");
    g_assert_cmpuint (revision_of (&room, MAPS, "gone", "a"), >, 0); /* pods first */
    assert_at (ns, "status.phase", "Terminating");
    assert_at (ns, "status.conditions[3].type", "NamespaceContentRemaining");
    assert_at (ns, "status.conditions[3].message", "Some resources are remaining: pods. has 1 resource instances");
  }
  g_assert_true (cube_client_delete (room.fixture.client, resource (&room.fixture, "v1", "pods"), "gone", "p", NULL, 0,
                                     CUBE_PROPAGATION_DEFAULT, NULL));
  room_run (&room, 5 * S);
  {
    g_autoptr (CubeValue) ns = look (&room, "v1", "namespaces", NULL, "gone");
    g_assert_cmpuint (revision_of (&room, MAPS, "gone", "a"), ==, 0);
    assert_at (ns, "status.conditions[0].message", "All resources successfully discovered");
    assert_at (ns, "status.conditions[1].message", "All legacy kube types successfully parsed");
    assert_at (ns, "status.conditions[2].message", "All content successfully deleted, may be waiting on finalization");
    assert_at (ns, "status.conditions[3].message", "Some resources are remaining: configmaps. has 1 resource instances");
    assert_at (ns, "status.conditions[4].reason", "SomeFinalizersRemain");
    assert_at (ns, "status.conditions[4].message", "Some content in the namespace has finalizers remaining: x.y/z in 1 resource instances");
  }
  room_stop (&room); /* and somebody else goes on */
  merge (&room, MAPS, NULL, "gone", "b", "{'metadata':{'finalizers':null}}");
  room_start (&room);
  room_run (&room, 30 * S);
  g_assert_cmpuint (revision_of (&room, "v1", "namespaces", NULL, "gone"), ==, 0);
  room_clear (&room);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/controllers/owners/background", test_background);
  g_test_add_func ("/controllers/owners/foreground", test_foreground);
  g_test_add_func ("/controllers/owners/orphan", test_orphan);
  g_test_add_func ("/controllers/owners/two-owners", test_two_owners);
  g_test_add_func ("/controllers/owners/restart", test_restart);
  g_test_add_func ("/controllers/owners/invalid-namespace", test_invalid_namespace);
  g_test_add_func ("/controllers/owners/custom", test_custom);
  g_test_add_func ("/controllers/namespace", test_namespace);
  return g_test_run ();
}

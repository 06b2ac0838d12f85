/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"
#include <glib/gstdio.h>

extern const CubePluginDescriptor cube_plugin_storage_memory, cube_plugin_storage_sqlite;

static const char *const volatile_resources[] = { LEASES, NULL };

const CubePluginDescriptor *
storage_plugin (StorageKind kind)
{
  return kind == STORAGE_MEMORY ? &cube_plugin_storage_memory : &cube_plugin_storage_sqlite;
}

const CubeStorageOps *
storage_ops (StorageKind kind)
{
  return storage_plugin (kind)->impls[0].ops;
}

void
fixture_init (Fixture *fixture, StorageKind kind, gboolean is_simulated)
{
  *fixture = (Fixture){ .kind = kind };
  fixture->process = is_simulated ? cube_process_new_simulated (1, G_USEC_PER_SEC) : cube_process_new ();
  fixture->context = cube_process_new_context (fixture->process, "store", cube_view_none ());
  g_assert_true (storage_plugin (kind)->load (fixture->context, &fixture->state, NULL));
  fixture->fault = fault_storage_new (storage_ops (kind), fixture->state);
  if (kind == STORAGE_SQLITE)
    fixture->directory = g_dir_make_tmp ("cube-store-XXXXXX", NULL);
}

gboolean
fixture_try_open (Fixture *fixture, GError **error)
{
  CubeStoreOptions options = { fixture->history, fixture->compact_every_us, volatile_resources };
  if (!fault_storage_ops.open (fixture->fault, fixture->directory, error))
    return FALSE;
  fixture->store = cube_store_new (fixture->context, &fault_storage_ops, fixture->fault, &options, error);
  if (fixture->store == NULL)
    fault_storage_ops.close (fixture->fault);
  return fixture->store != NULL;
}

void
fixture_open (Fixture *fixture)
{
  g_autoptr (GError) error = NULL;
  gboolean is_open = fixture_try_open (fixture, &error);
  g_assert_no_error (error);
  g_assert_true (is_open);
}

void
fixture_close (Fixture *fixture)
{
  if (fixture->store == NULL)
    return;
  g_clear_pointer (&fixture->store, cube_store_free);
  fault_storage_ops.close (fixture->fault);
}

void
remove_tree (const char *directory)
{
  g_autoptr (GDir) dir = g_dir_open (directory, 0, NULL);
  for (const char *name; dir != NULL && (name = g_dir_read_name (dir)) != NULL;)
    {
      g_autofree char *path = g_build_filename (directory, name, NULL);
      g_remove (path);
    }
  g_rmdir (directory);
}

void
fixture_clear (Fixture *fixture)
{
  fixture_close (fixture);
  fault_storage_free (fixture->fault);
  storage_plugin (fixture->kind)->unload (fixture->state);
  cube_process_free (fixture->process);
  if (fixture->directory != NULL)
    remove_tree (fixture->directory);
  g_free (fixture->directory);
}

CubeObject *
make_object (const char *kind, const char *ns, const char *name, const char *node, const char *owner_uid, guint pad)
{
  g_autoptr (CubeBuilder) builder = cube_builder_new ();
  g_autoptr (GError) error = NULL;
  g_autofree char *filler = g_strnfill (pad, 'x');
  CubeMut *root = cube_builder_root (builder);
  cube_mut_set_string (root, "apiVersion", "v1");
  cube_mut_set_string (root, "kind", kind);
  CubeMut *metadata = cube_mut_set_object (root, "metadata");
  cube_mut_set_string (metadata, "name", name);
  if (*ns != '\0')
    cube_mut_set_string (metadata, "namespace", ns);
  cube_mut_set_string (cube_mut_set_object (metadata, "annotations"), "pad", filler);
  if (owner_uid != NULL)
    {
      CubeMut *owner = cube_mut_append_object (cube_mut_set_array (metadata, "ownerReferences"));
      cube_mut_set_string (owner, "apiVersion", "apps/v1");
      cube_mut_set_string (owner, "kind", "ReplicaSet");
      cube_mut_set_string (owner, "name", "owner");
      cube_mut_set_string (owner, "uid", owner_uid);
    }
  CubeMut *spec = cube_mut_set_object (root, "spec");
  if (node != NULL)
    cube_mut_set_string (spec, "nodeName", node);
  g_autoptr (CubeValue) value = cube_builder_end (builder);
  CubeObject *object = cube_object_new (cube_value_root (value), 0, &error);
  g_assert_no_error (error);
  return object;
}

CubeObject *
make_pod (const char *ns, const char *name, guint pad)
{
  return make_object ("Pod", ns, name, NULL, NULL, pad);
}

guint64
put_pod (Fixture *fixture, const char *name, guint64 expected, guint pad)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CubeObject) object =
      cube_store_commit (fixture->store, PODS, "default", name, make_pod ("default", name, pad), expected, NULL, &error);
  g_assert_no_error (error);
  return cube_object_revision (object);
}

guint64
delete_pod (Fixture *fixture, const char *name, guint64 expected)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CubeObject) object = cube_store_commit (fixture->store, PODS, "default", name, NULL, expected, NULL, &error);
  g_assert_no_error (error);
  return cube_object_revision (object);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"

extern const CubePluginDescriptor cube_plugin_storage_memory;

static const CubeStorageOps *
storage_ops (void)
{
  return cube_plugin_storage_memory.impls[0].ops;
}

void
fixture_init (Fixture *fixture, gboolean is_simulated, guint history)
{
  CubeStoreOptions options = { .history = history };
  g_autoptr (GError) error = NULL;

  *fixture = (Fixture){ .is_simulated = is_simulated };
  fixture->process = is_simulated ? cube_process_new_simulated (1, G_GINT64_CONSTANT (1700000000) * G_USEC_PER_SEC) : cube_process_new ();
  fixture->context = cube_process_new_context (fixture->process, "test", cube_view_none ());
  fixture->registry = cube_registry_new ();
  cube_process_set_schema (fixture->process, cube_schema_get_default ());
  cube_process_set_registry (fixture->process, fixture->registry);
  g_assert_true (cube_plugin_storage_memory.load (fixture->context, &fixture->storage, NULL));
  g_assert_true (storage_ops ()->open (fixture->storage, NULL, NULL));
  fixture->store = cube_store_new (fixture->context, storage_ops (), fixture->storage, &options, &error);
  g_assert_no_error (error);
  fixture->local = cube_client_new_local (fixture->context, fixture->store, cube_schema_get_default (), fixture->registry);
  fixture->client = cube_client_ref (fixture->local);
  cube_process_set_client (fixture->process, fixture->local);
  fixture->loop = cube_context_get_loop (fixture->context, "main");
}

void
fixture_clear (Fixture *fixture)
{
  cube_client_stop_local (fixture->local);
  cube_client_unref (fixture->client);
  cube_process_stop_loops (fixture->process);
  cube_store_free (fixture->store);
  storage_ops ()->close (fixture->storage);
  cube_plugin_storage_memory.unload (fixture->storage);
  cube_process_free (fixture->process);
  cube_client_unref (fixture->local);
  cube_registry_free (fixture->registry);
}

void
fixture_wait (Fixture *fixture, FixtureTest test, gpointer data)
{
  gint64 until = cube_context_monotonic_us (fixture->context) + 20 * G_USEC_PER_SEC;

  while (!test (data))
    {
      g_assert_cmpint (cube_context_monotonic_us (fixture->context), <, until);
      if (fixture->is_simulated)
        cube_process_step (fixture->process, until);
      else if (!g_main_context_iteration (NULL, FALSE))
        g_usleep (200);
    }
}

void
fixture_run (Fixture *fixture, gint64 duration_us)
{
  g_assert_true (fixture->is_simulated);
  cube_process_run_until (fixture->process, cube_context_now_us (fixture->context) + duration_us);
}

CubeValue *
json (const char *format, ...)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *text = NULL;
  CubeValue *value;
  va_list args;

  va_start (args, format);
  text = g_strdup_vprintf (format, args);
  va_end (args);
  g_strdelimit (text, "'", '"');
  value = cube_value_from_json (text, -1, NULL, &error);
  g_assert_no_error (error);
  return value;
}

const CubeResource *
resource (Fixture *fixture, const char *api_version, const char *plural)
{
  const CubeResource *found = cube_schema_resource (cube_client_schema (fixture->client), api_version, plural);

  g_assert_nonnull (found);
  return found;
}

CubeObject *
create (Fixture *fixture, const char *api_version, const char *plural, const char *ns, const CubeValue *value)
{
  g_autoptr (GError) error = NULL;
  CubeObject *object = cube_client_create (fixture->client, resource (fixture, api_version, plural), ns, value, &error);

  g_assert_no_error (error);
  g_assert_nonnull (object);
  return object;
}

CubeObject *
create_pod (Fixture *fixture, const char *name, const char *labels)
{
  g_autoptr (CubeValue) pod = json ("{'apiVersion':'v1','kind':'Pod','metadata':{'name':'%s','labels':{%s}},"
                                    "'spec':{'containers':[{'name':'web','image':'cube.local/web:v1'}]}}",
                                    name, labels);

  return create (fixture, "v1", "pods", "default", pod);
}

CubeObject *
create_config_map (Fixture *fixture, const char *name, const char *value)
{
  g_autoptr (CubeValue) map = json ("{'apiVersion':'v1','kind':'ConfigMap','metadata':{'name':'%s'},'data':{'key':'%s'}}", name, value);

  return create (fixture, "v1", "configmaps", "default", map);
}

CubeResponse *
execute (Fixture *fixture, CubeRequest *request)
{
  g_autoptr (GError) error = NULL;
  CubeResponse *response = cube_client_execute (fixture->client, request, &error);

  g_assert_no_error (error);
  g_assert_nonnull (response);
  return response;
}

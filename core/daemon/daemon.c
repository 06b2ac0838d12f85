/* SPDX-License-Identifier: Apache-2.0 */
/* One process: plugins, store, client, components by role, controllers; ready when all of them say so; down in reverse. */
#include "daemon.h"
#include "log.h"
#include <client/client-private.h>
#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <glib-unix.h>
#include <glib/gstdio.h>
#include <store/store.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <config.h>

#define LOCK_TRIES 10

typedef struct {
  const CubeOptions *options;
  CubeProcess *process;
  CubeContext *context;
  CubeRegistry *registry;
  CubePlugins *plugins;
  const CubeImpl *storage;
  CubeStore *store;
  CubeClient *client;
  CubeControllers *controllers;
  CubeInformer *nodes; /* of an agent: its own, as the server has them */
  CubeRenewal *renewal;
  CubeControl *control;
  GPtrArray *components; /* CubeImpl, started, in order */
  CubeRegistryWatch *components_watch;
  GMainLoop *loop;
  int lock_fd;
  char *kubeconfig, *server;
  gint64 started_us, ready_us; /* monotonic; ready 0 = not yet */
  const char *step;            /* what it is doing now, for `up`'s progress */
  GPtrArray *warnings;         /* char *: what in the configuration says nothing */
  char *failure;
  CubeTimer *ready_timer;
  CubeMemoryWatch *memory;
} Daemon;

/* Who looks whether a cube runs has the lock for a moment: that is no other cube. */
static gboolean
lock_exclusively (int fd)
{
  for (guint i = 0; i < LOCK_TRIES; i++)
    {
      if (flock (fd, LOCK_EX | LOCK_NB) == 0)
        return TRUE;
      if (errno != EWOULDBLOCK)
        return FALSE;
      g_usleep (10 * 1000);
    }
  errno = EWOULDBLOCK;
  return FALSE;
}

static gboolean
take_lock (Daemon *daemon, GError **error)
{
  g_autofree char *path = g_build_filename (daemon->options->data_dir, "cube.lock", NULL);
  if (g_mkdir_with_parents (daemon->options->data_dir, 0700) != 0)
    {
      g_set_error (error, G_IO_ERROR, g_io_error_from_errno (errno), "data directory %s: %s", daemon->options->data_dir,
                   g_strerror (errno));
      return FALSE;
    }
  daemon->lock_fd = open (path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (daemon->lock_fd < 0 || !lock_exclusively (daemon->lock_fd))
    {
      g_set_error (error, G_IO_ERROR, G_IO_ERROR_BUSY,
                   errno == EWOULDBLOCK ? "data directory %s is in use by another cube" : "data directory %s cannot be locked",
                   daemon->options->data_dir);
      return FALSE;
    }
  g_autofree char *pid = g_strdup_printf ("%d\n", getpid ());
  if (ftruncate (daemon->lock_fd, 0) != 0 || write (daemon->lock_fd, pid, strlen (pid)) < 0)
    g_warning ("%s: %s", path, g_strerror (errno));
  return TRUE;
}

/* ---- facts ---- */

static void
set_config_fact (Daemon *daemon, const char *fact, const char *key, const char *fallback)
{
  CubeView config = daemon->options->config != NULL ? cube_value_root (daemon->options->config) : cube_view_none ();
  const char *value = cube_view_string_or (cube_view_member (config, key), fallback);
  if (value != NULL)
    cube_context_set_fact (daemon->context, fact, value);
}

/* A server that listens everywhere is reached where packets to elsewhere leave from. */
static void
set_advertised (Daemon *daemon, const char *listen_address)
{
  g_autofree char *configured = cube_context_fact (daemon->context, "advertise-address");
  g_autoptr (GInetAddress) listen = g_inet_address_new_from_string (listen_address);
  g_autofree char *address = NULL;
  if (configured != NULL || daemon->options->is_agent || listen == NULL || !g_inet_address_get_is_any (listen))
    return;
  address = cube_local_address ("192.0.2.1");
  if (address != NULL)
    cube_context_set_fact (daemon->context, "advertise-address", address);
}

static gboolean
set_facts (Daemon *daemon, GError **error)
{
  const CubeOptions *options = daemon->options;
  g_autofree char *address = NULL;
  guint16 port;
  if (!cube_options_split_listen (options->listen, &address, &port, error))
    return FALSE;
  g_autofree char *port_text = g_strdup_printf ("%u", port);
  g_autofree char *sim_nodes = g_strdup_printf ("%d", options->sim_nodes);
  cube_context_set_fact (daemon->context, "listen-address", address);
  cube_context_set_fact (daemon->context, "listen-port", port_text);
  cube_context_set_fact (daemon->context, "roles", options->roles);
  cube_context_set_fact (daemon->context, "runtime", options->runtime);
  cube_context_set_fact (daemon->context, "sim-nodes", sim_nodes);
  cube_context_set_fact (daemon->context, "version", CUBE_VERSION);
  if (options->is_teardown)
    cube_context_set_fact (daemon->context, "teardown", "true");
  set_config_fact (daemon, "advertise-address", "advertiseAddress", NULL);
  set_advertised (daemon, address);
  set_config_fact (daemon, "cluster-cidr", "clusterCIDR", NULL);
  set_config_fact (daemon, "service-cidr", "serviceCIDR", "10.96.0.0/16");
  set_config_fact (daemon, "cluster-dns", "clusterDNS", "10.96.0.10");
  set_config_fact (daemon, "cluster-domain", "clusterDomain", "cluster.local");
  set_config_fact (daemon, "node-port-range", "nodePortRange", "30000-32767");
  set_config_fact (daemon, "runtime-endpoint", "runtimeEndpoint", NULL);
  return TRUE;
}

/* ---- plugins ---- */

/* What the configuration says of plugins that are here must hold; of others it may, they can come later. */
static gboolean
check_plugin_config (Daemon *daemon, GError **error)
{
  if (!cube_plugins_check_config (daemon->plugins, daemon->warnings, error))
    return FALSE;
  for (guint i = 0; i < daemon->warnings->len; i++)
    g_warning ("%s", (const char *) daemon->warnings->pdata[i]);
  return TRUE;
}

static gboolean
start_plugins (Daemon *daemon, GError **error)
{
  CubeView config = daemon->options->config != NULL ? cube_value_root (daemon->options->config) : cube_view_none ();
  g_autoptr (GPtrArray) required = g_ptr_array_new ();
  CubeIter it;
  CubeView element;
  for (cube_iter_init (&it, cube_view_member (config, "requiredPlugins")); cube_iter_next (&it, NULL, &element);)
    g_ptr_array_add (required, (gpointer) cube_view_string (element));
  g_ptr_array_add (required, NULL);
  if (!cube_plugins_start (daemon->plugins, (const char *const *) required->pdata, error))
    return FALSE;
  g_autoptr (GPtrArray) dirs = cube_options_plugin_dirs (daemon->options);
  for (guint i = 0; i < dirs->len; i++)
    if (g_file_test (dirs->pdata[i], G_FILE_TEST_IS_DIR))
      cube_plugins_watch_dir (daemon->plugins, dirs->pdata[i]);
  return TRUE;
}

/* ---- store and client ---- */

static gboolean
open_store (Daemon *daemon, GError **error)
{
  CubeView config =
      daemon->options->config != NULL ? cube_view_member (cube_value_root (daemon->options->config), "storage") : cube_view_none ();
  const char *id = cube_options_storage_plugin (daemon->options);
  g_autofree char *location = cube_options_storage_location (daemon->options);
  daemon->storage = cube_registry_lookup (daemon->registry, CUBE_STORAGE, id);
  if (daemon->storage == NULL)
    {
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_SERVICE_UNAVAILABLE, "no storage plugin \"%s\" was loaded (configuration storage.plugin)",
                   id);
      return FALSE;
    }
  static const char *const volatile_default[] = { "coordination.k8s.io/leases", NULL };
  CubeStoreOptions options = { .volatile_resources = volatile_default,
                               .history = (guint) CLAMP (cube_view_int (cube_view_member (config, "history"), 0), 0, 10000000) };
  g_autoptr (GPtrArray) listed = g_ptr_array_new ();
  CubeIter it;
  CubeView element;
  for (cube_iter_init (&it, cube_view_member (config, "volatile")); cube_iter_next (&it, NULL, &element);)
    g_ptr_array_add (listed, (gpointer) g_intern_string (cube_view_string (element)));
  g_ptr_array_add (listed, NULL);
  if (cube_view_exists (cube_view_member (config, "volatile")))
    options.volatile_resources = (const char *const *) listed->pdata;
  cube_registry_pin (daemon->registry, daemon->storage);
  const CubeStorageOps *ops = daemon->storage->ops;
  if (!ops->open (daemon->storage->state, location, error))
    {
      g_prefix_error (error, "storage: ");
      return FALSE;
    }
  daemon->store = cube_store_new (daemon->context, ops, daemon->storage->state, &options, error);
  if (daemon->store == NULL)
    {
      g_prefix_error (error, "store: ");
      return FALSE;
    }
  daemon->client = cube_client_new_local (daemon->context, daemon->store, cube_context_schema (daemon->context), daemon->registry);
  cube_process_set_client (daemon->process, daemon->client);
  return TRUE;
}

/* ---- components ---- */

static gint
compare_components (gconstpointer a, gconstpointer b)
{
  const CubeImpl *x = *(const CubeImpl *const *) a, *y = *(const CubeImpl *const *) b;
  return ((const CubeComponentOps *) x->ops)->order - ((const CubeComponentOps *) y->ops)->order;
}

static gboolean
is_wanted (Daemon *daemon, const CubeImpl *impl)
{
  const CubeComponentOps *ops = impl->ops;
  for (guint i = 0; i < daemon->components->len; i++)
    if (((const CubeImpl *) daemon->components->pdata[i])->ops == impl->ops)
      return FALSE;
  return *ops->role == '\0' || cube_context_has_role (daemon->context, ops->role);
}

static gboolean
start_component (Daemon *daemon, const CubeImpl *impl, GError **error)
{
  const CubeComponentOps *ops = impl->ops;
  if (!ops->start (impl->state, error))
    {
      g_prefix_error (error, "%s: ", impl->id);
      return FALSE;
    }
  cube_registry_pin (daemon->registry, impl);
  g_ptr_array_add (daemon->components, (gpointer) cube_impl_ref (impl));
  return TRUE;
}

/* One that came with a file while we run. */
static void
components_changed (gpointer data)
{
  Daemon *daemon = data;
  g_autoptr (GPtrArray) list = cube_registry_list (daemon->registry, CUBE_COMPONENT);
  for (guint i = 0; i < list->len; i++)
    {
      const CubeImpl *impl = list->pdata[i];
      g_autoptr (GError) error = NULL;
      if (is_wanted (daemon, impl) && !start_component (daemon, impl, &error))
        cube_context_set_health (impl->context, FALSE, error != NULL ? error->message : "did not start");
    }
}

static gboolean
start_components (Daemon *daemon, GError **error)
{
  g_autoptr (GPtrArray) list = cube_registry_list (daemon->registry, CUBE_COMPONENT);
  g_ptr_array_sort (list, compare_components);
  for (guint i = 0; i < list->len; i++)
    {
      const CubeImpl *impl = list->pdata[i];
      if (!is_wanted (daemon, impl))
        continue;
      daemon->step = impl->id;
      if (!start_component (daemon, impl, error))
        return FALSE;
    }
  daemon->components_watch =
      cube_registry_watch (daemon->registry, CUBE_COMPONENT, cube_context_get_loop (daemon->context, "main"), components_changed, daemon);
  return TRUE;
}

static void
stop_components (Daemon *daemon)
{
  g_clear_pointer (&daemon->components_watch, cube_registry_unwatch);
  while (daemon->components->len > 0)
    {
      const CubeImpl *impl = g_ptr_array_steal_index (daemon->components, daemon->components->len - 1);
      const CubeComponentOps *ops = impl->ops;
      ops->stop (impl->state);
      cube_impl_unref (impl);
    }
}

/* ---- readiness ---- */

/* What is still missing, or NULL. (transfer full) */
static char *
nodes_missing (Daemon *daemon)
{
  if (!cube_context_has_role (daemon->context, "node"))
    return NULL;
  const CubeResource *nodes = cube_schema_resource (cube_context_schema (daemon->context), "v1", "nodes");
  if (daemon->nodes != NULL && !cube_informer_has_synced (daemon->nodes))
    return g_strdup_printf ("an answer of the server %s", daemon->server);
  g_autoptr (GPtrArray) list = daemon->nodes != NULL ? cube_informer_list (daemon->nodes, NULL, NULL)
                                                     : cube_client_list (daemon->client, nodes, NULL, NULL, NULL, NULL);
  guint expected = (guint) daemon->options->sim_nodes + (g_str_equal (daemon->options->runtime, "cri") ? 1 : 0);
  guint n_ready = 0;
  g_autofree char *why = NULL;
  for (guint i = 0; list != NULL && i < list->len; i++)
    {
      g_autoptr (CubeValue) value = cube_object_value (list->pdata[i]);
      CubeView ready = cube_condition_find (cube_value_get (value, "status"), "Ready");
      if (g_strcmp0 (cube_view_get_string (ready, "status"), "True") == 0)
        n_ready++;
      else if (cube_view_exists (ready) && why == NULL)
        why = g_strdup_printf ("node %s: %s", cube_object_name (list->pdata[i]),
                               cube_view_string_or (cube_view_member (ready, "message"), "not ready"));
    }
  if (n_ready >= expected)
    return NULL;
  return why != NULL ? g_steal_pointer (&why) : g_strdup_printf ("%u of %u nodes are ready", n_ready, expected);
}

/* Everything that is not ready yet: (transfer full) (element-type utf8) */
static GPtrArray *
waiting_for (Daemon *daemon)
{
  GPtrArray *waiting = g_ptr_array_new_with_free_func (g_free);
  for (guint i = 0; i < daemon->components->len; i++)
    {
      const CubeImpl *impl = daemon->components->pdata[i];
      const CubeComponentOps *ops = impl->ops;
      g_autofree char *why = NULL;
      if (CUBE_OPS_HAS (ops, is_ready) && !ops->is_ready (impl->state, &why))
        g_ptr_array_add (waiting, g_strdup_printf ("%s: %s", impl->id, why != NULL ? why : "not ready"));
    }
  char *nodes = nodes_missing (daemon);
  if (nodes != NULL)
    g_ptr_array_add (waiting, nodes);
  return waiting;
}

static void
check_ready (gpointer data)
{
  Daemon *daemon = data;
  cube_timer_cancel (g_steal_pointer (&daemon->ready_timer));
  g_autoptr (GPtrArray) waiting = waiting_for (daemon);
  if (waiting->len == 0)
    {
      daemon->ready_us = g_get_monotonic_time ();
      daemon->step = "ready";
      cube_notify ("STATUS=ready");
      g_message ("ready after %.3f s", (double) (daemon->ready_us - daemon->started_us) / G_USEC_PER_SEC);
      return;
    }
  daemon->ready_timer = cube_loop_after (cube_context_get_loop (daemon->context, "main"), 20 * 1000, check_ready, daemon, NULL);
}

/* ---- the control socket's answers ---- */

/* What an operator should know though the cluster is ready. */
static void
append_warnings (Daemon *daemon, CubeMut *root)
{
  g_autofree char *trouble = NULL;
  CubeMut *list = cube_mut_set_array (root, "warnings");
  if (!cube_context_get_health (daemon->context, &trouble))
    cube_mut_append_string (list, trouble);
  for (guint i = 0; i < daemon->warnings->len; i++)
    cube_mut_append_string (list, daemon->warnings->pdata[i]);
}

static CubeValue *
describe_status (Daemon *daemon)
{
  g_autoptr (CubeBuilder) builder = cube_builder_new ();
  CubeMut *root = cube_builder_root (builder);
  g_autoptr (GPtrArray) waiting = waiting_for (daemon);
  g_autoptr (CubeValue) plugins = cube_plugins_describe (daemon->plugins);
  cube_mut_set_int (root, "pid", getpid ());
  cube_mut_set_string (root, "server", daemon->server);
  cube_mut_set_string (root, "kubeconfig", daemon->kubeconfig);
  cube_mut_set_bool (root, "ready", daemon->ready_us != 0 && waiting->len == 0);
  cube_mut_set_string (root, "step", daemon->step);
  cube_mut_set_string (root, "dataDir", daemon->options->data_dir);
  cube_mut_set_string (root, "roles", daemon->options->roles);
  cube_mut_set_string (root, "runtime", daemon->options->runtime);
  cube_mut_set_bool (root, "agent", daemon->options->is_agent);
  CubeMut *versions = cube_mut_set_object (root, "versions");
  cube_mut_set_string (versions, "cube", CUBE_VERSION);
  cube_mut_set_string (versions, "kubernetes", CUBE_KUBERNETES_VERSION);
  g_autofree char *runtime_version = cube_context_fact (daemon->context, "runtime-version");
  cube_mut_set_string (versions, "runtime", runtime_version);
  if (daemon->ready_us != 0)
    cube_mut_set_double (root, "secondsToReady", (double) (daemon->ready_us - daemon->started_us) / G_USEC_PER_SEC);
  CubeMut *list = cube_mut_set_array (root, "waitingFor");
  for (guint i = 0; i < waiting->len; i++)
    cube_mut_append_string (list, waiting->pdata[i]);
  append_warnings (daemon, root);
  cube_mut_set_view (root, "plugins", cube_value_root (plugins));
  return cube_builder_end (builder);
}

static void
quit (gpointer data)
{
  g_main_loop_quit (((Daemon *) data)->loop);
}

static CubeValue *
answer_control (const char *op, CubeView request, gpointer data)
{
  Daemon *daemon = data;
  if (g_str_equal (op, "status"))
    return describe_status (daemon);
  if (g_str_equal (op, "plugins"))
    return cube_plugins_describe (daemon->plugins);
  if (!g_str_equal (op, "down"))
    return cube_tokens_answer (daemon->context, op, request);
  cube_context_set_fact (daemon->context, "teardown", "true");
  cube_loop_post (cube_context_get_loop (daemon->context, "main"), quit, daemon, NULL);
  return describe_status (daemon);
}

static gboolean
on_signal (gpointer data)
{
  quit (data);
  return G_SOURCE_CONTINUE;
}

/* ---- the whole ---- */

static gboolean
write_kubeconfig (Daemon *daemon, GError **error)
{
  g_autofree char *port = cube_context_fact (daemon->context, "listen-port");
  g_autofree char *address = cube_context_fact (daemon->context, "listen-address");
  if (!cube_context_has_role (daemon->context, "api") || g_strcmp0 (port, "0") == 0)
    return TRUE;
  const char *host = g_str_equal (address, "0.0.0.0") ? "127.0.0.1" : g_str_equal (address, "::") ? "[::1]" : address;
  daemon->server = strchr (host, ':') != NULL && *host != '[' ? g_strdup_printf ("https://[%s]:%s", host, port)
                                                              : g_strdup_printf ("https://%s:%s", host, port);
  cube_context_set_fact (daemon->context, "server", daemon->server);
  daemon->kubeconfig = cube_kubeconfig_write (daemon->context, daemon->server, error);
  return daemon->kubeconfig != NULL && cube_bootstrap_cluster_info (daemon->context, daemon->server, error);
}

/* An agent's objects are its server's. */
static gboolean
connect_to_server (Daemon *daemon, GError **error)
{
  daemon->step = "server";
  if (!cube_agent_connect (daemon->context, daemon->options, &daemon->client, &daemon->kubeconfig, &daemon->server, error))
    return FALSE;
  if (daemon->client == NULL)
    return TRUE;
  cube_context_set_fact (daemon->context, "server", daemon->server);
  cube_context_set_fact (daemon->context, "agent", "true");
  cube_context_set_fact (daemon->context, "kubeconfig", daemon->kubeconfig);
  cube_process_set_client (daemon->process, daemon->client);
  return TRUE;
}

static gboolean
bring_up_agent (Daemon *daemon, GError **error)
{
  if (!connect_to_server (daemon, error))
    return FALSE;
  if (daemon->client == NULL)
    return TRUE;
  daemon->control = cube_control_listen (daemon->options->data_dir, answer_control, daemon, error);
  if (daemon->control == NULL || !start_plugins (daemon, error) || !start_components (daemon, error))
    return FALSE;
  daemon->step = "nodes";
  if (!daemon->options->is_teardown)
    {
      daemon->nodes = cube_agent_watch_nodes (daemon->context, daemon->client, daemon->options);
      daemon->renewal = cube_renewal_start (daemon->context, daemon->client, daemon->options, daemon->kubeconfig);
      check_ready (daemon);
    }
  return TRUE;
}

static gboolean
bring_up (Daemon *daemon, const CubePluginDescriptor *const *builtin, GError **error)
{
  daemon->step = "plugins";
  if (!take_lock (daemon, error) || !set_facts (daemon, error))
    return FALSE;
  if (!daemon->options->is_teardown && !cube_state_write (daemon->options, error))
    return FALSE;
  g_autofree char *own = g_build_filename (daemon->options->data_dir, "plugins", NULL);
  g_mkdir_with_parents (own, 0700);
  daemon->plugins = cube_options_load_plugins (daemon->options, daemon->process, daemon->registry, builtin);
  g_message ("cube %s starts in %s: roles %s, runtime %s", CUBE_VERSION, daemon->options->data_dir, daemon->options->roles,
             daemon->options->runtime);
  if (!check_plugin_config (daemon, error))
    return FALSE;
  if (daemon->options->is_agent)
    return bring_up_agent (daemon, error);
  daemon->step = "store";
  if (!open_store (daemon, error))
    return FALSE;
  daemon->control = cube_control_listen (daemon->options->data_dir, answer_control, daemon, error);
  if (daemon->control == NULL || !start_plugins (daemon, error))
    return FALSE;
  daemon->step = "bootstrap";
  if (!cube_bootstrap_namespaces (daemon->context, error) || !start_components (daemon, error) || !write_kubeconfig (daemon, error))
    return FALSE;
  daemon->step = "controllers";
  if (cube_context_has_role (daemon->context, "controllers"))
    daemon->controllers = cube_controllers_start (daemon->context, daemon->client);
  daemon->step = "nodes";
  daemon->memory = cube_memory_watch_new (daemon->context);
  check_ready (daemon);
  return TRUE;
}

static void
bring_down (Daemon *daemon)
{
  cube_timer_cancel (g_steal_pointer (&daemon->ready_timer));
  g_clear_pointer (&daemon->control, cube_control_free);
  g_clear_pointer (&daemon->nodes, cube_informer_free);
  g_clear_pointer (&daemon->renewal, cube_renewal_stop);
  g_clear_pointer (&daemon->controllers, cube_controllers_stop);
  stop_components (daemon);
  if (daemon->client != NULL && !daemon->options->is_agent)
    cube_client_stop_local (daemon->client); /* lets go of the admission plugins it holds */
  if (daemon->plugins != NULL)
    cube_plugins_stop (daemon->plugins, daemon->storage != NULL ? daemon->storage->plugin : NULL);
  cube_process_stop_loops (daemon->process);
  g_clear_pointer (&daemon->memory, cube_memory_watch_free);
  g_clear_pointer (&daemon->store, cube_store_free);
  if (daemon->storage != NULL)
    ((const CubeStorageOps *) daemon->storage->ops)->close (daemon->storage->state);
  g_clear_pointer (&daemon->storage, cube_impl_unref);
  if (daemon->plugins != NULL)
    cube_plugins_stop (daemon->plugins, NULL);
}

static gboolean
on_hangup (gpointer data)
{
  cube_log_reopen ();
  return G_SOURCE_CONTINUE;
}

static void
start_log (const CubeOptions *options)
{
  CubeLogLevel level = CUBE_LOG_INFO;
  CubeLogFormat format = CUBE_LOG_TEXT;
  g_autofree char *path = g_build_filename (options->data_dir, "cube.log", NULL);
  cube_log_level_from_name (options->log_level, &level);
  cube_log_format_from_name (options->log_format, &format);
  /* What `cube down` says of a dead cluster is for people: only what went wrong. */
  cube_log_start (options->is_teardown ? MIN (level, CUBE_LOG_WARNING) : level, format, path);
  if (cube_log_is_file ()) /* else a hangup is a terminal that went away */
    g_unix_signal_add (SIGHUP, on_hangup, NULL);
}

/* The reason this process ends, where each who may want to know looks. */
static void
say_why (const CubeOptions *options, const char *reason)
{
  g_autofree char *state = g_strdup_printf ("STATUS=%s", reason);
  cube_notify_reason (reason);
  cube_notify (g_strdelimit (state, "\n", ' '));
  if (options->is_teardown) /* somebody at a terminal waits for `cube down` */
    g_printerr ("cube: %s\n", reason);
  else
    cube_log_error (reason);
}

int
cube_daemon_run (const CubeOptions *options, const CubePluginDescriptor *const *builtin)
{
  g_autoptr (GError) error = NULL;
  Daemon daemon = { .options = options, .lock_fd = -1, .started_us = g_get_monotonic_time (), .step = "start" };
  prctl (PR_SET_NAME, "cube", 0, 0, 0);
  umask (0022); /* what containerd makes is the root folder of containers, of whichever user: whoever starts us has no say */
  cube_notify_init ();
  start_log (options);
  daemon.loop = g_main_loop_new (NULL, FALSE);
  daemon.process = cube_process_new ();
  daemon.components = g_ptr_array_new ();
  daemon.warnings = g_ptr_array_new_with_free_func (g_free);
  daemon.registry = cube_registry_new ();
  cube_process_set_registry (daemon.process, daemon.registry);
  cube_process_set_schema (daemon.process, cube_schema_get_default ());
  cube_process_set_data_dir (daemon.process, options->data_dir);
  cube_process_set_node_name (daemon.process, options->node_name);
  daemon.context = cube_process_new_context (daemon.process, "core", cube_view_none ());
  g_unix_signal_add (SIGTERM, on_signal, &daemon);
  g_unix_signal_add (SIGINT, on_signal, &daemon);
  signal (SIGPIPE, SIG_IGN);
  gboolean ok = bring_up (&daemon, builtin, &error);
  if (ok && !options->is_teardown)
    {
      cube_notify (daemon.ready_us != 0 ? "READY=1" : "READY=1\nSTATUS=started, not every node is ready yet");
      g_main_loop_run (daemon.loop);
    }
  else if (!ok)
    say_why (options, error->message);
  cube_notify ("STOPPING=1");
  bring_down (&daemon);
  g_free (daemon.kubeconfig);
  g_free (daemon.server);
  g_ptr_array_unref (daemon.components);
  g_ptr_array_unref (daemon.warnings);
  g_main_loop_unref (daemon.loop);
  if (daemon.lock_fd >= 0)
    close (daemon.lock_fd);
  return ok ? 0 : 1;
}

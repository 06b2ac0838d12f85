/* SPDX-License-Identifier: Apache-2.0 */
#include <cube/error.h>
#include <string.h>

#include "cri.h"
#include "events.pb-c.h"

/* Packs and unpacks, as the wire would. */
static CubeGrpcMessage *
over_the_wire (const ProtobufCMessage *message)
{
  size_t size = protobuf_c_message_get_packed_size (message);
  g_autofree guint8 *bytes = g_malloc (size + 1);
  CubeGrpcMessage *copy;

  protobuf_c_message_pack (message, bytes);
  copy = protobuf_c_message_unpack (message->descriptor, NULL, size, bytes);
  g_assert_nonnull (copy);
  return copy;
}

static void
test_sandbox_config (void)
{
  const CubePair labels[] = { { "app", "web" }, { "io.kubernetes.pod.name", "web-1" }, { NULL, NULL } };
  const CubePair sysctls[] = { { "net.core.somaxconn", "1024" }, { NULL, NULL } };
  const char *const servers[] = { "10.96.0.10", NULL }, *const searches[] = { "default.svc", "svc", NULL };
  const gint64 groups[] = { 7, 8 };
  CubeSandboxConfig config = {
    .name = "web-1",
    .ns = "default",
    .uid = "u",
    .attempt = 2,
    .hostname = "web-1",
    .log_directory = "/var/log/pods/x",
    .cgroup_parent = "/kubepods/x",
    .labels = labels,
    .sysctls = sysctls,
    .dns_servers = servers,
    .dns_searches = searches,
  };
  g_autoptr (CriArena) arena = cri_arena_new ();
  g_autoptr (CubeGrpcMessage) message = NULL;
  const Cri__PodSandboxConfig *seen;
  const Cri__LinuxSandboxSecurityContext *security;

  config.ports = g_malloc0 (sizeof *config.ports);
  config.ports[0].protocol = 1;
  config.ports[0].container_port = 53;
  config.ports[0].host_port = 5353;
  config.n_ports = 1;
  config.security.network = CUBE_NAMESPACE_NODE;
  config.security.has_run_as_user = TRUE;
  config.security.supplemental_groups = groups;
  config.security.n_supplemental_groups = 2;

  message = over_the_wire (&cri_sandbox_config (arena, &config)->base);
  seen = (const Cri__PodSandboxConfig *) message;
  g_assert_cmpstr (seen->metadata->name, ==, "web-1");
  g_assert_cmpstr (seen->metadata->namespace_, ==, "default");
  g_assert_cmpstr (seen->metadata->uid, ==, "u");
  g_assert_cmpuint (seen->metadata->attempt, ==, 2);
  g_assert_cmpstr (seen->hostname, ==, "web-1");
  g_assert_cmpstr (seen->log_directory, ==, "/var/log/pods/x");
  g_assert_cmpuint (seen->dns_config->n_servers, ==, 1);
  g_assert_cmpuint (seen->dns_config->n_searches, ==, 2);
  g_assert_cmpstr (seen->dns_config->searches[1], ==, "svc");
  g_assert_cmpuint (seen->n_port_mappings, ==, 1);
  g_assert_cmpint (seen->port_mappings[0]->protocol, ==, CRI__PROTOCOL__UDP);
  g_assert_cmpint (seen->port_mappings[0]->host_port, ==, 5353);
  g_assert_cmpuint (seen->n_labels, ==, 2);
  g_assert_cmpstr (seen->labels[1]->value, ==, "web-1");
  g_assert_cmpuint (seen->n_annotations, ==, 0);
  g_assert_cmpstr (seen->linux_->cgroup_parent, ==, "/kubepods/x");
  g_assert_cmpstr (seen->linux_->sysctls[0]->key, ==, "net.core.somaxconn");
  security = seen->linux_->security_context;
  g_assert_cmpint (security->namespace_options->network, ==, CRI__NAMESPACE_MODE__NODE);
  g_assert_cmpint (security->namespace_options->pid, ==, CRI__NAMESPACE_MODE__POD);
  /* User 0 is said; a group that is not set is not. */
  g_assert_nonnull (security->run_as_user);
  g_assert_cmpint (security->run_as_user->value, ==, 0);
  g_assert_null (security->run_as_group);
  g_assert_cmpuint (security->n_supplemental_groups, ==, 2);
  g_assert_cmpint (security->supplemental_groups[1], ==, 8);
  g_assert_cmpint (security->seccomp->profile_type, ==, CRI__SECURITY_PROFILE__PROFILE_TYPE__RuntimeDefault);
  g_assert_null (security->apparmor);
  g_free (config.ports);
}

static void
test_container_config (void)
{
  const char *const command[] = { "/bin/sh", "-c", NULL }, *const args[] = { "", "x", NULL };
  const char *const add[] = { "NET_ADMIN", NULL }, *const drop[] = { "ALL", NULL };
  const CubePair env[] = { { "A", "1" }, { "EMPTY", "" }, { NULL, NULL } };
  const CubeMount mounts[] = { { "/data", "/srv/data", TRUE, FALSE, 2 } };
  const CubeDevice devices[] = { { "/dev/fuse", "/dev/fuse", "rw" } };
  CubeContainerConfig config = {
    .name = "main",
    .attempt = 3,
    .image = "sha256:abc",
    .user_image = "web:v1",
    .command = command,
    .args = args,
    .working_dir = "/w",
    .env = env,
    .mounts = mounts,
    .n_mounts = 1,
    .devices = devices,
    .n_devices = 1,
    .log_path = "main/3.log",
    .stdin_open = TRUE,
    .tty = TRUE,
    .stop_signal = 15,
  };
  g_autoptr (CriArena) arena = cri_arena_new ();
  g_autoptr (CubeGrpcMessage) message = NULL;
  const Cri__ContainerConfig *seen;
  const Cri__LinuxContainerSecurityContext *security;

  config.resources = (CubeLinuxResources){
    .cpu_period = 100000, .cpu_quota = 50000, .cpu_shares = 512, .memory_limit_bytes = 1 << 20, .oom_score_adj = -997
  };
  config.security.add_capabilities = add;
  config.security.drop_capabilities = drop;
  config.security.no_new_privs = TRUE;
  config.security.seccomp_profile = "localhost/profiles/x.json";
  config.security.pid = CUBE_NAMESPACE_TARGET;
  config.security.target_id = "t";

  message = over_the_wire (&cri_container_config (arena, &config)->base);
  seen = (const Cri__ContainerConfig *) message;
  g_assert_cmpstr (seen->metadata->name, ==, "main");
  g_assert_cmpuint (seen->metadata->attempt, ==, 3);
  g_assert_cmpstr (seen->image->image, ==, "sha256:abc");
  g_assert_cmpstr (seen->image->user_specified_image, ==, "web:v1");
  g_assert_cmpuint (seen->n_command, ==, 2);
  g_assert_cmpuint (seen->n_args, ==, 2);
  g_assert_cmpstr (seen->args[0], ==, "");
  g_assert_cmpuint (seen->n_envs, ==, 2);
  g_assert_cmpmem (seen->envs[0]->value.data, seen->envs[0]->value.len, "1", 1);
  g_assert_cmpuint (seen->envs[1]->value.len, ==, 0);
  g_assert_true (seen->mounts[0]->readonly);
  g_assert_cmpint (seen->mounts[0]->propagation, ==, CRI__MOUNT_PROPAGATION__PROPAGATION_BIDIRECTIONAL);
  g_assert_cmpstr (seen->devices[0]->permissions, ==, "rw");
  g_assert_cmpstr (seen->log_path, ==, "main/3.log");
  g_assert_true (seen->stdin_ && seen->tty && !seen->stdin_once);
  g_assert_cmpint (seen->stop_signal, ==, 15);
  g_assert_cmpint (seen->linux_->resources->cpu_quota, ==, 50000);
  g_assert_cmpint (seen->linux_->resources->oom_score_adj, ==, -997);
  security = seen->linux_->security_context;
  g_assert_cmpstr (security->capabilities->add_capabilities[0], ==, "NET_ADMIN");
  g_assert_cmpstr (security->capabilities->drop_capabilities[0], ==, "ALL");
  g_assert_true (security->no_new_privs);
  g_assert_cmpint (security->seccomp->profile_type, ==, CRI__SECURITY_PROFILE__PROFILE_TYPE__Localhost);
  g_assert_cmpstr (security->seccomp->localhost_ref, ==, "profiles/x.json");
  g_assert_cmpint (security->namespace_options->pid, ==, CRI__NAMESPACE_MODE__TARGET);
  g_assert_cmpstr (security->namespace_options->target_id, ==, "t");
}

static guint
count_masked (gboolean is_privileged, const char *const *masked)
{
  CubeContainerConfig config = { .name = "x" };
  g_autoptr (CriArena) arena = cri_arena_new ();

  config.security.is_privileged = is_privileged;
  config.security.masked_paths = masked;
  return (guint) cri_container_config (arena, &config)->linux_->security_context->n_masked_paths;
}

static void
test_masked_paths (void)
{
  const char *const none[] = { NULL }, *const one[] = { "/proc/x", NULL };

  g_assert_cmpuint (count_masked (FALSE, NULL), >=, 11);
  g_assert_cmpuint (count_masked (TRUE, NULL), ==, 0);
  g_assert_cmpuint (count_masked (FALSE, none), ==, 0);
  g_assert_cmpuint (count_masked (FALSE, one), ==, 1);
}

/* Field numbers are the contract with every runtime: bytes written by hand. */
static void
test_wire (void)
{
  const guint8 request_bytes[] = { 0x0a, 1, 'c', 0x12, 2, 'l', 's', 0x12, 0, 0x18, 5 };
  const guint8 exit_bytes[] = { 0x0a, 1, 'c', 0x12, 1, 'e', 0x18, 9, 0x20, 3, 0x2a, 2, 0x08, 1 };
  const guint8 status_bytes[] = { 0x0a, 1, 'i',  0x18, 2,   0x20, 10, 0x28, 11,   0x30, 12, 0x38,
                                  0x89, 1, 0x52, 1,    'r', 0x5a, 1,  'm',  0x7a, 1,    'l' };
  Cri__ExecSyncRequest request = CRI__EXEC_SYNC_REQUEST__INIT;
  char *command[] = { (char *) "ls", (char *) "" };
  guint8 bytes[64];
  Ctd__TaskExit *exit_event = ctd__task_exit__unpack (NULL, sizeof exit_bytes, exit_bytes);
  Cri__ContainerStatus *status = cri__container_status__unpack (NULL, sizeof status_bytes, status_bytes);

  request.container_id = (char *) "c";
  request.cmd = command;
  request.n_cmd = 2;
  request.timeout = 5;
  g_assert_cmpmem (bytes, cri__exec_sync_request__pack (&request, bytes), request_bytes, sizeof request_bytes);

  g_assert_nonnull (exit_event);
  g_assert_cmpstr (exit_event->container_id, ==, "c");
  g_assert_cmpstr (exit_event->id, ==, "e");
  g_assert_cmpuint (exit_event->exit_status, ==, 3);
  ctd__task_exit__free_unpacked (exit_event, NULL);

  g_assert_nonnull (status);
  g_assert_cmpint (status->state, ==, CRI__CONTAINER_STATE__CONTAINER_EXITED);
  g_assert_cmpint (status->created_at, ==, 10);
  g_assert_cmpint (status->finished_at, ==, 12);
  g_assert_cmpint (status->exit_code, ==, 137);
  g_assert_cmpstr (status->reason, ==, "r");
  g_assert_cmpstr (status->message, ==, "m");
  g_assert_cmpstr (status->log_path, ==, "l");
  cri__container_status__free_unpacked (status, NULL);
}

static void
test_answers (void)
{
  Cri__ContainerStatus status = CRI__CONTAINER_STATUS__INIT;
  Cri__Pair label = CRI__PAIR__INIT, *labels[] = { &label };
  CubeContainer *container;
  CubeSandbox *sandbox;
  Cri__PodSandboxStatus sandbox_status = CRI__POD_SANDBOX_STATUS__INIT;
  Cri__PodSandboxNetworkStatus network = CRI__POD_SANDBOX_NETWORK_STATUS__INIT;
  Cri__PodIP second = CRI__POD_IP__INIT, *more[] = { &second };

  status.id = (char *) "i";
  status.state = 17;
  status.message = (char *) "broken \xff text";
  label.key = (char *) "k\xc3";
  status.labels = labels;
  status.n_labels = 1;
  container = cri_container_from_status (&status);
  g_assert_cmpint (container->state, ==, CUBE_CONTAINER_UNKNOWN);
  g_assert_true (g_utf8_validate (container->message, -1, NULL));
  g_assert_null (container->reason);
  g_assert_cmpuint (g_hash_table_size (container->labels), ==, 1);
  cube_container_free (container);

  sandbox = cri_sandbox_from_status (&sandbox_status);
  g_assert_true (sandbox->is_ready);
  g_assert_null (sandbox->ips[0]);
  cube_sandbox_free (sandbox);
  network.ip = (char *) "10.0.0.1";
  second.ip = (char *) "fd00::1";
  network.additional_ips = more;
  network.n_additional_ips = 1;
  sandbox_status.network = &network;
  sandbox_status.state = CRI__POD_SANDBOX_STATE__SANDBOX_NOTREADY;
  sandbox = cri_sandbox_from_status (&sandbox_status);
  g_assert_false (sandbox->is_ready);
  g_assert_cmpstr (sandbox->ips[0], ==, "10.0.0.1");
  g_assert_cmpstr (sandbox->ips[1], ==, "fd00::1");
  g_assert_null (sandbox->ips[2]);
  cube_sandbox_free (sandbox);
}

/* An answer with bytes changed is read or refused, no more. */
static void
test_mutated_answers (void)
{
  Cri__ContainerStats stats = CRI__CONTAINER_STATS__INIT;
  Cri__ContainerAttributes attributes = CRI__CONTAINER_ATTRIBUTES__INIT;
  Cri__CpuUsage cpu = CRI__CPU_USAGE__INIT;
  Cri__UInt64Value value = CRI__UINT64_VALUE__INIT;
  Cri__Pair label = CRI__PAIR__INIT, *labels[] = { &label };
  guint8 bytes[256], copy[256];
  size_t size;

  attributes.id = (char *) "an-id";
  label.key = (char *) "key";
  label.value = (char *) "value";
  attributes.labels = labels;
  attributes.n_labels = 1;
  cpu.timestamp = 123456789;
  value.value = 987654321;
  cpu.usage_core_nano_seconds = &value;
  stats.attributes = &attributes;
  stats.cpu = &cpu;
  size = cri__container_stats__pack (&stats, bytes);
  for (guint round = 0; round < 20000; round++)
    {
      Cri__ContainerStats *message;

      memcpy (copy, bytes, size);
      for (int i = g_test_rand_int_range (1, 5); i > 0; i--)
        copy[g_test_rand_int_range (0, (gint32) size)] = (guint8) g_test_rand_int ();
      message = cri__container_stats__unpack (NULL, (size_t) g_test_rand_int_range (0, (gint32) size + 1), copy);
      if (message == NULL)
        continue;
      cube_stats_free (cri_stats_from_container (message));
      cri__container_stats__free_unpacked (message, NULL);
    }
}

static void
test_errors (void)
{
  static const struct {
    CubeGrpcStatus from;
    CubeErrorCode to;
  } cases[] = {
    { CUBE_GRPC_NOT_FOUND, CUBE_ERROR_NOT_FOUND },
    { CUBE_GRPC_ALREADY_EXISTS, CUBE_ERROR_ALREADY_EXISTS },
    { CUBE_GRPC_UNAVAILABLE, CUBE_ERROR_SERVICE_UNAVAILABLE },
    { CUBE_GRPC_DEADLINE_EXCEEDED, CUBE_ERROR_TIMEOUT },
    { CUBE_GRPC_UNKNOWN, CUBE_ERROR_INTERNAL },
    { (CubeGrpcStatus) 99, CUBE_ERROR_INTERNAL },
    { CUBE_GRPC_CANCELLED, CUBE_ERROR_SERVICE_UNAVAILABLE },
  };
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  GError *error;

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      error = g_error_new (CUBE_GRPC_ERROR, (int) cases[i].from, "rpc error: …");
      cri_convert_error (&error, cancellable);
      g_assert_error (error, CUBE_ERROR, (int) cases[i].to);
      g_assert_cmpstr (error->message, ==, "rpc error: …");
      g_clear_error (&error);
    }
  g_cancellable_cancel (cancellable);
  error = g_error_new (CUBE_GRPC_ERROR, CUBE_GRPC_CANCELLED, "x");
  cri_convert_error (&error, cancellable);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_clear_error (&error);
  error = NULL;
  cri_convert_error (&error, NULL);
  g_assert_no_error (error);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/cri/mapping/sandbox-config", test_sandbox_config);
  g_test_add_func ("/cri/mapping/container-config", test_container_config);
  g_test_add_func ("/cri/mapping/masked-paths", test_masked_paths);
  g_test_add_func ("/cri/mapping/wire", test_wire);
  g_test_add_func ("/cri/mapping/answers", test_answers);
  g_test_add_func ("/cri/mapping/mutated-answers", test_mutated_answers);
  g_test_add_func ("/cri/mapping/errors", test_errors);
  return g_test_run ();
}

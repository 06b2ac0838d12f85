/* SPDX-License-Identifier: Apache-2.0 */
#include "cri.h"

#include <string.h>

/* What a container does not see or may not write unless its configuration says
 * otherwise.  Source: Kubernetes' procMount "Default". */
static const char *const default_masked_paths[] = {
  "/proc/acpi",
  "/proc/asound",
  "/proc/interrupts",
  "/proc/kcore",
  "/proc/keys",
  "/proc/latency_stats",
  "/proc/sched_debug",
  "/proc/scsi",
  "/proc/timer_list",
  "/proc/timer_stats",
  "/sys/devices/virtual/powercap",
  "/sys/firmware",
  NULL,
};
static const char *const default_readonly_paths[] = {
  "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger", NULL,
};

static Cri__Int64Value *
int64_value (CriArena *arena, gboolean is_set, gint64 number)
{
  Cri__Int64Value *value;

  if (!is_set)
    return NULL;
  value = cri_arena_message (arena, Cri__Int64Value, cri__int64_value__init);
  value->value = number;
  return value;
}

static Cri__NamespaceOption *
namespace_option (CriArena *arena, const CubeSecurityContext *security)
{
  Cri__NamespaceOption *option = cri_arena_message (arena, Cri__NamespaceOption, cri__namespace_option__init);

  option->network = (Cri__NamespaceMode) security->network;
  option->pid = (Cri__NamespaceMode) security->pid;
  option->ipc = (Cri__NamespaceMode) security->ipc;
  option->target_id = cri_text (security->target_id);
  return option;
}

static Cri__SELinuxOption *
selinux_option (CriArena *arena, const CubeSecurityContext *security)
{
  Cri__SELinuxOption *option;

  if (security->selinux_user == NULL && security->selinux_role == NULL && security->selinux_type == NULL && security->selinux_level == NULL)
    return NULL;
  option = cri_arena_message (arena, Cri__SELinuxOption, cri__selinux_option__init);
  option->user = cri_text (security->selinux_user);
  option->role = cri_text (security->selinux_role);
  option->type = cri_text (security->selinux_type);
  option->level = cri_text (security->selinux_level);
  return option;
}

/* "RuntimeDefault", "Unconfined" or "localhost/<path>" */
static Cri__SecurityProfile *
security_profile (CriArena *arena, const char *profile)
{
  Cri__SecurityProfile *message;

  if (profile == NULL)
    return NULL;
  message = cri_arena_message (arena, Cri__SecurityProfile, cri__security_profile__init);
  if (g_str_has_prefix (profile, "localhost/"))
    {
      message->profile_type = CRI__SECURITY_PROFILE__PROFILE_TYPE__Localhost;
      message->localhost_ref = cri_text (profile + strlen ("localhost/"));
    }
  else if (g_str_equal (profile, "Unconfined"))
    message->profile_type = CRI__SECURITY_PROFILE__PROFILE_TYPE__Unconfined;
  else
    message->profile_type = CRI__SECURITY_PROFILE__PROFILE_TYPE__RuntimeDefault;
  return message;
}

static const char *
seccomp_or_default (const CubeSecurityContext *security)
{
  return security->seccomp_profile != NULL ? security->seccomp_profile : "RuntimeDefault";
}

static Cri__LinuxSandboxSecurityContext *
sandbox_security (CriArena *arena, const CubeSecurityContext *security)
{
  Cri__LinuxSandboxSecurityContext *context =
      cri_arena_message (arena, Cri__LinuxSandboxSecurityContext, cri__linux_sandbox_security_context__init);

  context->namespace_options = namespace_option (arena, security);
  context->selinux_options = selinux_option (arena, security);
  context->run_as_user = int64_value (arena, security->has_run_as_user, security->run_as_user);
  context->run_as_group = int64_value (arena, security->has_run_as_group, security->run_as_group);
  context->readonly_rootfs = security->is_readonly_rootfs;
  context->supplemental_groups = (gint64 *) security->supplemental_groups;
  context->n_supplemental_groups = security->n_supplemental_groups;
  context->privileged = security->is_privileged;
  context->seccomp = security_profile (arena, seccomp_or_default (security));
  context->apparmor = security_profile (arena, security->apparmor_profile);
  return context;
}

static Cri__LinuxContainerSecurityContext *
container_security (CriArena *arena, const CubeSecurityContext *security)
{
  Cri__LinuxContainerSecurityContext *context =
      cri_arena_message (arena, Cri__LinuxContainerSecurityContext, cri__linux_container_security_context__init);
  Cri__Capability *capabilities = cri_arena_message (arena, Cri__Capability, cri__capability__init);
  const char *const *masked = security->masked_paths, *const *readonly = security->readonly_paths;

  capabilities->add_capabilities = cri_texts (security->add_capabilities, &capabilities->n_add_capabilities);
  capabilities->drop_capabilities = cri_texts (security->drop_capabilities, &capabilities->n_drop_capabilities);
  context->capabilities = capabilities;
  context->privileged = security->is_privileged;
  context->namespace_options = namespace_option (arena, security);
  context->selinux_options = selinux_option (arena, security);
  context->run_as_user = int64_value (arena, security->has_run_as_user, security->run_as_user);
  context->run_as_group = int64_value (arena, security->has_run_as_group, security->run_as_group);
  context->run_as_username = cri_text (security->run_as_username);
  context->readonly_rootfs = security->is_readonly_rootfs;
  context->supplemental_groups = (gint64 *) security->supplemental_groups;
  context->n_supplemental_groups = security->n_supplemental_groups;
  context->no_new_privs = security->no_new_privs;
  context->seccomp = security_profile (arena, seccomp_or_default (security));
  context->apparmor = security_profile (arena, security->apparmor_profile);
  if (masked == NULL && !security->is_privileged)
    masked = default_masked_paths;
  if (readonly == NULL && !security->is_privileged)
    readonly = default_readonly_paths;
  context->masked_paths = cri_texts (masked, &context->n_masked_paths);
  context->readonly_paths = cri_texts (readonly, &context->n_readonly_paths);
  return context;
}

Cri__LinuxContainerResources *
cri_resources (CriArena *arena, const CubeLinuxResources *resources)
{
  Cri__LinuxContainerResources *message = cri_arena_message (arena, Cri__LinuxContainerResources, cri__linux_container_resources__init);

  message->cpu_period = resources->cpu_period;
  message->cpu_quota = resources->cpu_quota;
  message->cpu_shares = resources->cpu_shares;
  message->memory_limit_in_bytes = resources->memory_limit_bytes;
  message->oom_score_adj = resources->oom_score_adj;
  message->cpuset_cpus = cri_text (resources->cpuset_cpus);
  message->cpuset_mems = cri_text (resources->cpuset_mems);
  message->unified = cri_arena_pairs (arena, resources->unified, &message->n_unified);
  return message;
}

static void
add_port_mappings (CriArena *arena, Cri__PodSandboxConfig *message, const CubeSandboxConfig *config)
{
  Cri__PortMapping *mappings = cri_arena_array (arena, Cri__PortMapping, config->n_ports);

  message->port_mappings = cri_arena_array (arena, Cri__PortMapping *, config->n_ports);
  message->n_port_mappings = config->n_ports;
  for (guint i = 0; i < config->n_ports; i++)
    {
      cri__port_mapping__init (&mappings[i]);
      mappings[i].protocol = (Cri__Protocol) config->ports[i].protocol;
      mappings[i].container_port = config->ports[i].container_port;
      mappings[i].host_port = config->ports[i].host_port;
      mappings[i].host_ip = cri_text (config->ports[i].host_ip);
      message->port_mappings[i] = &mappings[i];
    }
}

static Cri__DNSConfig *
dns_config (CriArena *arena, const CubeSandboxConfig *config)
{
  Cri__DNSConfig *dns;

  if (config->dns_servers == NULL && config->dns_searches == NULL && config->dns_options == NULL)
    return NULL;
  dns = cri_arena_message (arena, Cri__DNSConfig, cri__dnsconfig__init);
  dns->servers = cri_texts (config->dns_servers, &dns->n_servers);
  dns->searches = cri_texts (config->dns_searches, &dns->n_searches);
  dns->options = cri_texts (config->dns_options, &dns->n_options);
  return dns;
}

Cri__PodSandboxConfig *
cri_sandbox_config (CriArena *arena, const CubeSandboxConfig *config)
{
  Cri__PodSandboxConfig *message = cri_arena_message (arena, Cri__PodSandboxConfig, cri__pod_sandbox_config__init);
  Cri__PodSandboxMetadata *metadata = cri_arena_message (arena, Cri__PodSandboxMetadata, cri__pod_sandbox_metadata__init);
  Cri__LinuxPodSandboxConfig *linux_config = cri_arena_message (arena, Cri__LinuxPodSandboxConfig, cri__linux_pod_sandbox_config__init);

  metadata->name = cri_text (config->name);
  metadata->uid = cri_text (config->uid);
  metadata->namespace_ = cri_text (config->ns);
  metadata->attempt = config->attempt;
  message->metadata = metadata;
  message->hostname = cri_text (config->hostname);
  message->log_directory = cri_text (config->log_directory);
  message->dns_config = dns_config (arena, config);
  add_port_mappings (arena, message, config);
  message->labels = cri_arena_pairs (arena, config->labels, &message->n_labels);
  message->annotations = cri_arena_pairs (arena, config->annotations, &message->n_annotations);
  linux_config->cgroup_parent = cri_text (config->cgroup_parent);
  linux_config->security_context = sandbox_security (arena, &config->security);
  linux_config->sysctls = cri_arena_pairs (arena, config->sysctls, &linux_config->n_sysctls);
  linux_config->overhead = cri_resources (arena, &config->overhead);
  linux_config->resources = cri_resources (arena, &config->resources);
  message->linux_ = linux_config;
  return message;
}

static void
add_environment (CriArena *arena, Cri__ContainerConfig *message, const CubePair *env)
{
  Cri__KeyValue *variables;
  size_t n = 0;

  while (env != NULL && env[n].key != NULL)
    n++;
  variables = cri_arena_array (arena, Cri__KeyValue, n);
  message->envs = cri_arena_array (arena, Cri__KeyValue *, n);
  message->n_envs = n;
  for (size_t i = 0; i < n; i++)
    {
      cri__key_value__init (&variables[i]);
      variables[i].key = cri_text (env[i].key);
      if (env[i].value != NULL)
        {
          variables[i].value.data = (guint8 *) env[i].value;
          variables[i].value.len = strlen (env[i].value);
        }
      message->envs[i] = &variables[i];
    }
}

static void
add_mounts (CriArena *arena, Cri__ContainerConfig *message, const CubeContainerConfig *config)
{
  Cri__Mount *mounts = cri_arena_array (arena, Cri__Mount, config->n_mounts);

  message->mounts = cri_arena_array (arena, Cri__Mount *, config->n_mounts);
  message->n_mounts = config->n_mounts;
  for (guint i = 0; i < config->n_mounts; i++)
    {
      cri__mount__init (&mounts[i]);
      mounts[i].container_path = cri_text (config->mounts[i].container_path);
      mounts[i].host_path = cri_text (config->mounts[i].host_path);
      mounts[i].readonly = config->mounts[i].is_readonly;
      mounts[i].selinux_relabel = config->mounts[i].selinux_relabel;
      mounts[i].propagation = (Cri__MountPropagation) config->mounts[i].propagation;
      message->mounts[i] = &mounts[i];
    }
}

static void
add_devices (CriArena *arena, Cri__ContainerConfig *message, const CubeContainerConfig *config)
{
  Cri__Device *devices = cri_arena_array (arena, Cri__Device, config->n_devices);

  message->devices = cri_arena_array (arena, Cri__Device *, config->n_devices);
  message->n_devices = config->n_devices;
  for (guint i = 0; i < config->n_devices; i++)
    {
      cri__device__init (&devices[i]);
      devices[i].container_path = cri_text (config->devices[i].container_path);
      devices[i].host_path = cri_text (config->devices[i].host_path);
      devices[i].permissions = cri_text (config->devices[i].permissions);
      message->devices[i] = &devices[i];
    }
}

Cri__ContainerConfig *
cri_container_config (CriArena *arena, const CubeContainerConfig *config)
{
  Cri__ContainerConfig *message = cri_arena_message (arena, Cri__ContainerConfig, cri__container_config__init);
  Cri__ContainerMetadata *metadata = cri_arena_message (arena, Cri__ContainerMetadata, cri__container_metadata__init);
  Cri__ImageSpec *image = cri_arena_message (arena, Cri__ImageSpec, cri__image_spec__init);
  Cri__LinuxContainerConfig *linux_config = cri_arena_message (arena, Cri__LinuxContainerConfig, cri__linux_container_config__init);

  metadata->name = cri_text (config->name);
  metadata->attempt = config->attempt;
  message->metadata = metadata;
  image->image = cri_text (config->image);
  image->user_specified_image = cri_text (config->user_image);
  message->image = image;
  message->command = cri_texts (config->command, &message->n_command);
  message->args = cri_texts (config->args, &message->n_args);
  message->working_dir = cri_text (config->working_dir);
  add_environment (arena, message, config->env);
  add_mounts (arena, message, config);
  add_devices (arena, message, config);
  message->labels = cri_arena_pairs (arena, config->labels, &message->n_labels);
  message->annotations = cri_arena_pairs (arena, config->annotations, &message->n_annotations);
  message->log_path = cri_text (config->log_path);
  message->stdin_ = config->stdin_open;
  message->stdin_once = config->stdin_once;
  message->tty = config->tty;
  linux_config->resources = cri_resources (arena, &config->resources);
  linux_config->security_context = container_security (arena, &config->security);
  message->linux_ = linux_config;
  message->stop_signal = config->stop_signal;
  return message;
}

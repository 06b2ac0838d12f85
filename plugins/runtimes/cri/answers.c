/* SPDX-License-Identifier: Apache-2.0 */
#include "cri.h"

/* Nothing a runtime sends is trusted to be UTF-8: protobuf-c does not look. */
char *
cri_copy_text (const char *text)
{
  if (text == NULL || text[0] == '\0')
    return NULL;
  return g_utf8_make_valid (text, -1);
}

static char *
copy_text_or_empty (const char *text)
{
  return g_utf8_make_valid (text != NULL ? text : "", -1);
}

GHashTable *
cri_copy_pairs (Cri__Pair **pairs, size_t n)
{
  GHashTable *table = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);

  for (size_t i = 0; i < n; i++)
    g_hash_table_insert (table, copy_text_or_empty (pairs[i]->key), copy_text_or_empty (pairs[i]->value));
  return table;
}

static char **
copy_texts (char **texts, size_t n)
{
  char **copy = g_new0 (char *, n + 1);

  for (size_t i = 0; i < n; i++)
    copy[i] = copy_text_or_empty (texts[i]);
  return copy;
}

static void
set_sandbox_metadata (CubeSandbox *sandbox, const Cri__PodSandboxMetadata *metadata)
{
  if (metadata == NULL)
    return;
  sandbox->name = cri_copy_text (metadata->name);
  sandbox->ns = cri_copy_text (metadata->namespace_);
  sandbox->uid = cri_copy_text (metadata->uid);
  sandbox->attempt = metadata->attempt;
}

static char **
copy_ips (const Cri__PodSandboxNetworkStatus *network)
{
  GPtrArray *ips = g_ptr_array_new ();

  if (network != NULL && network->ip[0] != '\0')
    {
      g_ptr_array_add (ips, copy_text_or_empty (network->ip));
      for (size_t i = 0; i < network->n_additional_ips; i++)
        g_ptr_array_add (ips, copy_text_or_empty (network->additional_ips[i]->ip));
    }
  g_ptr_array_add (ips, NULL);
  return (char **) g_ptr_array_free (ips, FALSE);
}

CubeSandbox *
cri_sandbox_from_status (const Cri__PodSandboxStatus *status)
{
  CubeSandbox *sandbox = g_new0 (CubeSandbox, 1);
  const Cri__NamespaceOption *options = NULL;

  sandbox->id = copy_text_or_empty (status->id);
  set_sandbox_metadata (sandbox, status->metadata);
  sandbox->is_ready = status->state == CRI__POD_SANDBOX_STATE__SANDBOX_READY;
  sandbox->created_ns = status->created_at;
  sandbox->ips = copy_ips (status->network);
  if (status->linux_ != NULL && status->linux_->namespaces != NULL)
    options = status->linux_->namespaces->options;
  if (options != NULL)
    sandbox->network = (CubeNamespaceMode) options->network;
  sandbox->labels = cri_copy_pairs (status->labels, status->n_labels);
  sandbox->annotations = cri_copy_pairs (status->annotations, status->n_annotations);
  sandbox->runtime_handler = cri_copy_text (status->runtime_handler);
  return sandbox;
}

CubeSandbox *
cri_sandbox_from_item (const Cri__PodSandbox *item)
{
  CubeSandbox *sandbox = g_new0 (CubeSandbox, 1);

  sandbox->id = copy_text_or_empty (item->id);
  set_sandbox_metadata (sandbox, item->metadata);
  sandbox->is_ready = item->state == CRI__POD_SANDBOX_STATE__SANDBOX_READY;
  sandbox->created_ns = item->created_at;
  sandbox->ips = g_new0 (char *, 1);
  sandbox->labels = cri_copy_pairs (item->labels, item->n_labels);
  sandbox->annotations = cri_copy_pairs (item->annotations, item->n_annotations);
  sandbox->runtime_handler = cri_copy_text (item->runtime_handler);
  return sandbox;
}

static void
set_container_metadata (CubeContainer *container, const Cri__ContainerMetadata *metadata)
{
  if (metadata == NULL)
    return;
  container->name = cri_copy_text (metadata->name);
  container->attempt = metadata->attempt;
}

/* A state this version of CRI does not know is no state we know. */
static CubeContainerState
container_state (int state)
{
  return state >= 0 && state < CUBE_CONTAINER_UNKNOWN ? (CubeContainerState) state : CUBE_CONTAINER_UNKNOWN;
}

CubeContainer *
cri_container_from_status (const Cri__ContainerStatus *status)
{
  CubeContainer *container = g_new0 (CubeContainer, 1);

  container->id = copy_text_or_empty (status->id);
  set_container_metadata (container, status->metadata);
  container->state = container_state ((int) status->state);
  container->created_ns = status->created_at;
  container->started_ns = status->started_at;
  container->finished_ns = status->finished_at;
  container->exit_code = status->exit_code;
  container->image = cri_copy_text (status->image != NULL ? status->image->image : NULL);
  container->image_ref = cri_copy_text (status->image_ref);
  container->reason = cri_copy_text (status->reason);
  container->message = cri_copy_text (status->message);
  container->log_path = cri_copy_text (status->log_path);
  container->labels = cri_copy_pairs (status->labels, status->n_labels);
  container->annotations = cri_copy_pairs (status->annotations, status->n_annotations);
  return container;
}

CubeContainer *
cri_container_from_item (const Cri__Container *item)
{
  CubeContainer *container = g_new0 (CubeContainer, 1);

  container->id = copy_text_or_empty (item->id);
  container->sandbox_id = cri_copy_text (item->pod_sandbox_id);
  set_container_metadata (container, item->metadata);
  container->state = container_state ((int) item->state);
  container->created_ns = item->created_at;
  container->image = cri_copy_text (item->image != NULL ? item->image->image : NULL);
  container->image_ref = cri_copy_text (item->image_ref);
  container->labels = cri_copy_pairs (item->labels, item->n_labels);
  container->annotations = cri_copy_pairs (item->annotations, item->n_annotations);
  return container;
}

CubeImage *
cri_image_from_message (const Cri__Image *message)
{
  CubeImage *image = g_new0 (CubeImage, 1);

  image->id = copy_text_or_empty (message->id);
  image->tags = copy_texts (message->repo_tags, message->n_repo_tags);
  image->digests = copy_texts (message->repo_digests, message->n_repo_digests);
  image->size_bytes = message->size;
  image->has_uid = message->uid != NULL;
  image->uid = message->uid != NULL ? message->uid->value : 0;
  image->username = cri_copy_text (message->username);
  return image;
}

static guint64
number (const Cri__UInt64Value *value)
{
  return value != NULL ? value->value : 0;
}

static void
set_cpu_and_memory (CubeStats *stats, const Cri__CpuUsage *cpu, const Cri__MemoryUsage *memory)
{
  if (cpu != NULL)
    {
      stats->timestamp_ns = cpu->timestamp;
      stats->cpu_usage_ns = number (cpu->usage_core_nano_seconds);
    }
  if (memory != NULL)
    {
      stats->timestamp_ns = MAX (stats->timestamp_ns, memory->timestamp);
      stats->memory_working_set = number (memory->working_set_bytes);
      stats->memory_usage = number (memory->usage_bytes);
      stats->memory_rss = number (memory->rss_bytes);
      stats->memory_page_faults = number (memory->page_faults);
      stats->memory_major_page_faults = number (memory->major_page_faults);
    }
}

CubeStats *
cri_stats_from_container (const Cri__ContainerStats *message)
{
  CubeStats *stats = g_new0 (CubeStats, 1);
  const Cri__ContainerAttributes *attributes = message->attributes;

  stats->id = copy_text_or_empty (attributes != NULL ? attributes->id : NULL);
  stats->labels = attributes != NULL ? cri_copy_pairs (attributes->labels, attributes->n_labels) : cri_copy_pairs (NULL, 0);
  set_cpu_and_memory (stats, message->cpu, message->memory);
  if (message->writable_layer != NULL)
    {
      stats->rootfs_used_bytes = number (message->writable_layer->used_bytes);
      stats->rootfs_inodes = number (message->writable_layer->inodes_used);
    }
  return stats;
}

CubeStats *
cri_stats_from_sandbox (const Cri__PodSandboxStats *message)
{
  CubeStats *stats = g_new0 (CubeStats, 1);
  const Cri__PodSandboxAttributes *attributes = message->attributes;

  stats->id = copy_text_or_empty (attributes != NULL ? attributes->id : NULL);
  stats->labels = attributes != NULL ? cri_copy_pairs (attributes->labels, attributes->n_labels) : cri_copy_pairs (NULL, 0);
  if (message->linux_ == NULL)
    return stats;
  set_cpu_and_memory (stats, message->linux_->cpu, message->linux_->memory);
  if (message->linux_->network != NULL && message->linux_->network->default_interface != NULL)
    {
      stats->network_rx_bytes = number (message->linux_->network->default_interface->rx_bytes);
      stats->network_tx_bytes = number (message->linux_->network->default_interface->tx_bytes);
    }
  return stats;
}

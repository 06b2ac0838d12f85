/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <cube/context.h>
#include <gio/gio.h>
#include <sys/types.h>

/* Where one containerd keeps what; all absolute. */
typedef struct {
  char *dir;          /* <data-dir>/containerd */
  char *root, *state; /* images and snapshots; running pods */
  char *socket;       /* at most 100 bytes */
  char *config, *log, *pid_file, *cni_conf_dir, *cni_state_dir;
} ContainerdPaths;

/* ---- config.c ---- */
void containerd_paths_init (ContainerdPaths *paths, const char *data_dir);
void containerd_paths_clear (ContainerdPaths *paths);
gboolean containerd_write_config (const ContainerdPaths *paths, const char *sandbox_image, const char *cni_bin_dir, GError **error);

/* ---- cleanup.c ---- */
/* Ends what a containerd has left: shims by its socket, mounts below its state folder, empty cgroups of its pods. Blocks. */
void containerd_sweep (const ContainerdPaths *paths);
/* The arguments of a process, joined by '\n'. (transfer full) NULL: no such process. */
char *containerd_command_line (const char *pid);
/* SIGTERM, and SIGKILL after @timeout_us. Blocks until the process is gone. */
void containerd_end_process (pid_t pid, gint64 timeout_us);

/* ---- images.c ---- */
/* Imports every archive of @dirs (NULL-terminated) whose images the runtime lacks, pause first. Blocks; @cancellable ends it from another thread. */
gboolean containerd_import_images (const ContainerdPaths *paths, const char *const *dirs, GCancellable *cancellable, GError **error);

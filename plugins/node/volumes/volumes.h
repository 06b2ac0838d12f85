/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Private to the volume plugins of a node. */
#include <cube/auth.h>
#include <cube/context.h>
#include <cube/error.h>
#include <cube/node.h>
#include <cube/scalar.h>

typedef struct {
  CubeContext *context;
  GMutex lock;
  GHashTable *tokens;       /* "<uid>/<volume>/<audience>/<seconds>" → VolumesToken */
} Volumes;

/* ---- atomic.c: files that change all at once ---- */
typedef struct {
  char *path;               /* relative, checked */
  GBytes *bytes;
  guint mode;
} VolumesFile;
GPtrArray *volumes_files_new (void); /* (element-type VolumesFile) */
gboolean volumes_files_add (GPtrArray *files, const char *path, GBytes *bytes /* (transfer full) */, guint mode, GError **error);
/* Makes @dir hold exactly @files, by a time-stamped directory and the link ..data. Nothing is written when nothing changed. */
gboolean volumes_write (CubeContext *context, const char *dir, GPtrArray *files, gint64 fs_group, GError **error);
gboolean volumes_remove_tree (const char *path, GError **error);
gboolean volumes_make_dir (const char *path, guint mode, GError **error);

/* ---- mounts.c ---- */
gboolean volumes_is_mount (const char *path);
gboolean volumes_mount_tmpfs (const char *path, guint mode, gint64 size_bytes, GError **error); /* idempotent */
gboolean volumes_unmount (const char *path, GError **error);
gboolean volumes_set_group (const char *path, gint64 fs_group, gboolean is_readonly, GError **error);

/* ---- sources.c: contents ---- */
gboolean volumes_add_config_map (const CubeVolumeRequest *request, CubeView source, const char *name, guint mode, GPtrArray *files, GError **error);
gboolean volumes_add_secret (const CubeVolumeRequest *request, CubeView source, const char *name, guint mode, GPtrArray *files, GError **error);
gboolean volumes_add_downward (Volumes *volumes, const CubeVolumeRequest *request, CubeView source, guint mode, GPtrArray *files, GError **error);
gboolean volumes_add_token (Volumes *volumes, const CubeVolumeRequest *request, CubeView source, guint mode, GPtrArray *files, GError **error);
void volumes_forget_tokens (Volumes *volumes, const char *uid);
void volumes_token_free (gpointer token);

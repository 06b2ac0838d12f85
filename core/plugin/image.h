/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Core-private: a plugin file: checked, opened, its descriptor copied to the size we know. */
#include <cube/plugin.h>
#include <sys/stat.h>

typedef struct {
  char *path;                      /* as found */
  gpointer handle;                 /* dlopen's; NULL for a builtin */
  int copy_fd;                     /* what is mapped; -1 = the file itself, or a builtin */
  guint64 length;                  /* bytes of it */
  struct stat file;                /* the file when it was read */
  CubePluginDescriptor descriptor; /* our copy, bounded by both sizes */
} CubePluginImage;

/* The handshake up to the known interfaces: regular file, owner root or us, not writable by others, ELF, symbol, ABI major, required fields,
 * interfaces and sizes. The code is mapped from a private copy: the file may be written, cut or removed later, and a new file of the same name
 * is a new image. @ret_is_busy (nullable) becomes TRUE when that failed only because somebody is writing the file: ask again. */
CubePluginImage *cube_plugin_image_open (const char *path, gboolean *ret_is_busy, GError **error);
CubePluginImage *cube_plugin_image_new_builtin (const CubePluginDescriptor *descriptor, GError **error);
/* Whether the file is still (or again) what is mapped. */
gboolean cube_plugin_image_is_current (CubePluginImage *image);
void cube_plugin_image_free (CubePluginImage *image); /* the code stays mapped */

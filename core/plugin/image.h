/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Core-private: a plugin file: checked, opened, its descriptor copied to the size we know. */
#include <cube/plugin.h>

typedef struct {
  char *path;                      /* as found */
  gpointer handle;                 /* dlopen's; NULL for a builtin */
  CubePluginDescriptor descriptor; /* our copy, bounded by both sizes */
} CubePluginImage;

/* The handshake up to the known interfaces: regular file, owner root or us, not writable by others, ELF, symbol, ABI major, required fields,
 * interfaces and sizes. @is_copy: load through a private copy under @copy_dir, so that a replaced file of the same name is a new image. */
CubePluginImage *cube_plugin_image_open (const char *path, const char *copy_dir, GError **error);
CubePluginImage *cube_plugin_image_new_builtin (const CubePluginDescriptor *descriptor, GError **error);
void cube_plugin_image_free (CubePluginImage *image); /* the code stays mapped */

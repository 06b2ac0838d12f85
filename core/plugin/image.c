/* SPDX-License-Identifier: Apache-2.0 */
#include "image.h"
#include "registry.h"
#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static gboolean refuse (GError **error, const char *path, const char *format, ...) G_GNUC_PRINTF (3, 4);

static gboolean
refuse (GError **error, const char *path, const char *format, ...)
{
  va_list args;
  va_start (args, format);
  g_autofree char *why = g_strdup_vprintf (format, args);
  va_end (args);
  g_set_error (error, CUBE_ERROR, CUBE_ERROR_INVALID, "plugin %s: %s", path, why);
  return FALSE;
}

/* Every loaded segment lies within the file: mapping one that does not would be a bus error, not an error of dlopen. */
static gboolean
has_its_segments (int fd, const Elf64_Ehdr *header, guint64 file_size)
{
  if (header->e_ident[EI_CLASS] != ELFCLASS64 || header->e_phentsize != sizeof (Elf64_Phdr) || header->e_phnum == 0
      || header->e_phnum > 128)
    return FALSE;
  for (guint i = 0; i < header->e_phnum; i++)
    {
      Elf64_Phdr segment;
      if (header->e_phoff > file_size
          || pread (fd, &segment, sizeof segment, (off_t) (header->e_phoff + i * sizeof segment)) != (ssize_t) sizeof segment)
        return FALSE;
      if (segment.p_type != PT_NULL && (segment.p_filesz > file_size || segment.p_offset > file_size - segment.p_filesz))
        return FALSE;
    }
  return TRUE;
}

static gboolean
check_file (int fd, const char *path, GError **error)
{
  struct stat st;
  if (fstat (fd, &st) != 0)
    return refuse (error, path, "%s", g_strerror (errno));
  if (!S_ISREG (st.st_mode))
    return refuse (error, path, "not a regular file");
  if (st.st_uid != 0 && st.st_uid != geteuid ())
    return refuse (error, path, "owned by user %u; it must be owned by root or by user %u: chown it", st.st_uid, geteuid ());
  if (st.st_mode & (S_IWGRP | S_IWOTH))
    return refuse (error, path, "writable by others (mode %04o): chmod go-w it", st.st_mode & 07777);
  Elf64_Ehdr header;
  if (pread (fd, &header, sizeof header, 0) != (ssize_t) sizeof header || memcmp (header.e_ident, ELFMAG, SELFMAG) != 0)
    return refuse (error, path, "not an ELF shared object");
  if (header.e_type != ET_DYN)
    return refuse (error, path, "an ELF file, but no shared object (link it with -shared)");
  if (!has_its_segments (fd, &header, (guint64) st.st_size))
    return refuse (error, path, "cannot be loaded: the file is cut short or damaged");
  return TRUE;
}

/* Copies the open file to a name of its own below @copy_dir. (transfer full) */
static char *
copy_file (int fd, const char *path, const char *copy_dir, GError **error)
{
  g_autofree char *base = g_path_get_basename (path);
  g_autofree char *target = g_strdup_printf ("%s/%s.XXXXXX", copy_dir, base);
  if (g_mkdir_with_parents (copy_dir, 0700) != 0)
    {
      refuse (error, path, "cannot make %s: %s", copy_dir, g_strerror (errno));
      return NULL;
    }
  int out = g_mkstemp_full (target, O_WRONLY | O_CLOEXEC, 0600);
  if (out < 0)
    {
      refuse (error, path, "cannot copy to %s: %s", target, g_strerror (errno));
      return NULL;
    }
  char buffer[65536];
  off_t at = 0;
  ssize_t n;
  gboolean ok = TRUE;
  while (ok && (n = pread (fd, buffer, sizeof buffer, at)) > 0)
    {
      ok = write (out, buffer, (gsize) n) == n;
      at += n;
    }
  if (close (out) != 0 || !ok)
    {
      refuse (error, path, "cannot copy to %s: %s", target, g_strerror (errno));
      g_unlink (target);
      return NULL;
    }
  return g_steal_pointer (&target);
}

static gboolean
check_impl (const CubeInterfaceImpl *impl, const char *path, GError **error)
{
  if (impl->id == NULL || *impl->id == '\0' || impl->ops == NULL)
    return refuse (error, path, "its entry for %s lacks an id or its functions", impl->interface);
  const CubeInterface *known = cube_interface_find (impl->interface);
  if (known == NULL)
    return g_str_has_prefix (impl->interface, "cube.")
               ? refuse (error, path, "offers the interface %s, which this version of cube does not know", impl->interface)
               : TRUE; /* a vendor's own, between its plugins */
  if (impl->version != known->version)
    return refuse (error, path, "was built for version %u of %s; this cube has version %u: rebuild it", impl->version, impl->interface,
                   known->version);
  if (impl->ops_size < known->min_size || *(const guint32 *) impl->ops != impl->ops_size)
    return refuse (error, path,
                   "its functions for %s \"%s\" take %u bytes (ops_size %u), at least %u are mandatory: set .ops_size and rebuild it",
                   impl->interface, impl->id, impl->ops_size, *(const guint32 *) impl->ops, known->min_size);
  return TRUE;
}

static gboolean
check_descriptor (CubePluginImage *image, const CubePluginDescriptor *theirs, GError **error)
{
  const char *path = image->path;
  if (theirs->struct_size < G_STRUCT_OFFSET (CubePluginDescriptor, start) || theirs->struct_size > 4096)
    return refuse (error, path, "its descriptor says it is %u bytes long, which cannot be: use CUBE_PLUGIN_DEFINE", theirs->struct_size);
  if (theirs->abi_major != CUBE_ABI_MAJOR)
    return refuse (error, path, "was built for plugin ABI %u.%u; this cube speaks %u.x: rebuild it against the headers of this version",
                   theirs->abi_major, theirs->abi_minor, CUBE_ABI_MAJOR);
  memcpy (&image->descriptor, theirs, MIN (theirs->struct_size, sizeof image->descriptor));
  const CubePluginDescriptor *ours = &image->descriptor;
  if (ours->name == NULL || *ours->name == '\0' || ours->version == NULL || ours->impls == NULL)
    return refuse (error, path, "its descriptor lacks a name, a version or interfaces");
  for (const CubeInterfaceImpl *impl = ours->impls; impl->interface != NULL; impl++)
    if (!check_impl (impl, path, error))
      return FALSE;
  return TRUE;
}

void
cube_plugin_image_free (CubePluginImage *image)
{
  if (image == NULL)
    return;
  g_free (image->path);
  g_free (image); /* the handle stays: RTLD_NODELETE, types may be registered */
}

CubePluginImage *
cube_plugin_image_open (const char *path, const char *copy_dir, GError **error)
{
  int fd = open (path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0)
    {
      refuse (error, path, "%s", g_strerror (errno));
      return NULL;
    }
  g_autofree char *copy = NULL;
  if (!check_file (fd, path, error) || (copy_dir != NULL && (copy = copy_file (fd, path, copy_dir, error)) == NULL))
    {
      close (fd);
      return NULL;
    }
  close (fd);
  gpointer handle = dlopen (copy != NULL ? copy : path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  if (copy != NULL)
    g_unlink (copy);
  if (handle == NULL)
    {
      refuse (error, path, "cannot be loaded: %s", dlerror ());
      return NULL;
    }
  const CubePluginDescriptor *theirs = dlsym (handle, "cube_plugin_descriptor");
  CubePluginImage *image = g_new0 (CubePluginImage, 1);
  image->path = g_strdup (path);
  image->handle = handle;
  gboolean ok = theirs != NULL
                    ? check_descriptor (image, theirs, error)
                    : refuse (error, path, "has no symbol cube_plugin_descriptor: it is no plugin of cube (see CUBE_PLUGIN_DEFINE)");
  if (!ok)
    g_clear_pointer (&image, cube_plugin_image_free);
  return image;
}

CubePluginImage *
cube_plugin_image_new_builtin (const CubePluginDescriptor *descriptor, GError **error)
{
  CubePluginImage *image = g_new0 (CubePluginImage, 1);
  image->path = g_strdup_printf ("(built in: %s)", descriptor->name); /* a place of its own: one file holds one plugin */
  if (!check_descriptor (image, descriptor, error))
    g_clear_pointer (&image, cube_plugin_image_free);
  return image;
}

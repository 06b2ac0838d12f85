/* SPDX-License-Identifier: Apache-2.0 */
#include "image.h"
#include "registry.h"
#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MEMFD_EXEC 0x0010U /* MFD_EXEC, which older headers lack */

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

/* The end of what a loader maps, which must lie within the file: mapping what does not would be a bus error, not an error of dlopen. 0 = it
 * does not. Notes for debuggers lie behind it. */
static guint64
loaded_length (int fd, const Elf64_Ehdr *header, guint64 file_size)
{
  guint64 end = sizeof *header;
  if (header->e_ident[EI_CLASS] != ELFCLASS64 || header->e_phentsize != sizeof (Elf64_Phdr) || header->e_phnum == 0
      || header->e_phnum > 128)
    return 0;
  for (guint i = 0; i < header->e_phnum; i++)
    {
      Elf64_Phdr segment;
      if (header->e_phoff > file_size
          || pread (fd, &segment, sizeof segment, (off_t) (header->e_phoff + i * sizeof segment)) != (ssize_t) sizeof segment)
        return 0;
      if (segment.p_type == PT_NULL)
        continue;
      if (segment.p_filesz > file_size || segment.p_offset > file_size - segment.p_filesz)
        return 0;
      end = MAX (end, segment.p_offset + segment.p_filesz);
    }
  return MAX (end, header->e_phoff + header->e_phnum * sizeof (Elf64_Phdr));
}

static gboolean
check_rights (const struct stat *st, const char *path, GError **error)
{
  if (!S_ISREG (st->st_mode))
    return refuse (error, path, "not a regular file");
  if (st->st_uid != 0 && st->st_uid != geteuid ())
    return refuse (error, path, "owned by user %u; it must be owned by root or by user %u: chown it", st->st_uid, geteuid ());
  if (st->st_mode & (S_IWGRP | S_IWOTH))
    return refuse (error, path, "writable by others (mode %04o): chmod go-w it", st->st_mode & 07777);
  return TRUE;
}

/* How much of the file a loader needs; 0 with @error when it is none for it. */
static guint64
check_elf (int fd, const struct stat *st, const char *path, GError **error)
{
  Elf64_Ehdr header;
  if (pread (fd, &header, sizeof header, 0) != (ssize_t) sizeof header || memcmp (header.e_ident, ELFMAG, SELFMAG) != 0)
    return refuse (error, path, "not an ELF shared object");
  if (header.e_type != ET_DYN)
    return refuse (error, path, "an ELF file, but no shared object (link it with -shared)");
  guint64 length = loaded_length (fd, &header, (guint64) st->st_size);
  if (length == 0)
    refuse (error, path, "cannot be loaded: the file is cut short or damaged");
  return length;
}

/* ---- the private copy: what happens to the file later does not happen to us (docs/decisions/005) ---- */

static gboolean
refuse_busy (const char *path, gboolean *ret_is_busy, GError **error)
{
  if (ret_is_busy != NULL)
    *ret_is_busy = TRUE;
  return refuse (error, path, "somebody is writing the file");
}

/* An open file that nobody writes to, and nobody can begin to before it is closed: a lease says so where the file system has leases. Or -1. */
static int
open_quiet (const char *path, gboolean *ret_is_busy, GError **error)
{
  int fd = open (path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0)
    {
      refuse (error, path, "%s", g_strerror (errno));
      return -1;
    }
  fcntl (fd, F_SETSIG, SIGURG); /* ignored; else who wants to write would end us with SIGIO */
  if (fcntl (fd, F_SETLEASE, F_RDLCK) == 0 || errno != EAGAIN)
    return fd;
  close (fd);
  refuse_busy (path, ret_is_busy, error);
  return -1;
}

static gboolean
copy_bytes (int in, int out, guint64 length)
{
  char buffer[65536];
  for (guint64 at = 0; at < length;)
    {
      ssize_t n = pread (in, buffer, MIN (sizeof buffer, length - at), (off_t) at);
      if (n <= 0 || write (out, buffer, (gsize) n) != n)
        return FALSE;
      at += (guint64) n;
    }
  return TRUE;
}

/* A sealed copy of the first @length bytes in memory, or -1: then there can be none here. */
static int
copy_to_memory (int fd, guint64 length)
{
  int copy = memfd_create ("cube-plugin", MFD_CLOEXEC | MFD_ALLOW_SEALING | MEMFD_EXEC);
  if (copy < 0 && errno == EINVAL) /* before Linux 6.3 */
    copy = memfd_create ("cube-plugin", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (copy < 0)
    return -1;
  if (copy_bytes (fd, copy, length) && fcntl (copy, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) == 0)
    return copy;
  close (copy);
  return -1;
}

static gboolean
is_same_file (const struct stat *a, const struct stat *b)
{
  return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec
         && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static gboolean
has_same_bytes (int one, int two, guint64 length)
{
  char a[16384], b[16384];
  for (guint64 at = 0; at < length;)
    {
      gsize wanted = MIN (sizeof a, length - at);
      if (pread (one, a, wanted, (off_t) at) != (ssize_t) wanted || pread (two, b, wanted, (off_t) at) != (ssize_t) wanted
          || memcmp (a, b, wanted) != 0)
        return FALSE;
      at += wanted;
    }
  return TRUE;
}

gboolean
cube_plugin_image_is_current (CubePluginImage *image)
{
  struct stat now;
  if (image->handle == NULL || stat (image->path, &now) != 0)
    return FALSE;
  if (is_same_file (&image->file, &now))
    return TRUE;
  int fd = image->copy_fd >= 0 ? open_quiet (image->path, NULL, NULL) : -1;
  if (fd < 0)
    return FALSE;
  guint64 length = fstat (fd, &now) == 0 ? check_elf (fd, &now, image->path, NULL) : 0;
  gboolean is_current = length == image->length && has_same_bytes (fd, image->copy_fd, length);
  if (is_current) /* touched, or written again as it was */
    image->file = now;
  close (fd);
  return is_current;
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
  /* The handle stays: RTLD_NODELETE, types may be registered. So does its descriptor: the dynamic linker knows the code by that number. */
  g_free (image->path);
  g_free (image);
}

/* Fills all but the descriptor. */
static gboolean
read_file (CubePluginImage *image, gboolean *ret_is_busy, GError **error)
{
  struct stat after;
  int fd = open_quiet (image->path, ret_is_busy, error);
  if (fd < 0)
    return FALSE;
  gboolean ok = fstat (fd, &image->file) == 0 && check_rights (&image->file, image->path, error)
                && (image->length = check_elf (fd, &image->file, image->path, error)) > 0;
  if (ok && g_getenv ("CUBE_PLUGINS_IN_PLACE") == NULL)
    image->copy_fd = copy_to_memory (fd, image->length);
  /* Where there are no leases: */
  if (ok && (fstat (fd, &after) != 0 || !is_same_file (&image->file, &after)))
    ok = refuse_busy (image->path, ret_is_busy, error);
  close (fd);
  return ok;
}

static gboolean
load_code (CubePluginImage *image, GError **error)
{
  if (image->copy_fd >= 0)
    {
      g_autofree char *copy = g_strdup_printf ("/proc/self/fd/%d", image->copy_fd);
      image->handle = dlopen (copy, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    }
  if (image->handle != NULL)
    return TRUE;
  /* No memory that may hold code, or libraries that are found from where the file lies. */
  image->handle = dlopen (image->path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  if (image->handle == NULL)
    return refuse (error, image->path, "cannot be loaded: %s", dlerror ());
  if (image->copy_fd >= 0)
    close (image->copy_fd);
  image->copy_fd = -1;
  return TRUE;
}

CubePluginImage *
cube_plugin_image_open (const char *path, gboolean *ret_is_busy, GError **error)
{
  CubePluginImage *image = g_new0 (CubePluginImage, 1);
  image->path = g_strdup (path);
  image->copy_fd = -1;
  gboolean ok = read_file (image, ret_is_busy, error) && load_code (image, error);
  if (!ok && image->copy_fd >= 0)
    close (image->copy_fd);
  const CubePluginDescriptor *theirs = ok ? dlsym (image->handle, "cube_plugin_descriptor") : NULL;
  if (ok)
    ok = theirs != NULL ? check_descriptor (image, theirs, error)
                        : refuse (error, path, "has no symbol cube_plugin_descriptor: it is no plugin of cube (see CUBE_PLUGIN_DEFINE)");
  if (!ok)
    g_clear_pointer (&image, cube_plugin_image_free);
  return image;
}

CubePluginImage *
cube_plugin_image_new_builtin (const CubePluginDescriptor *descriptor, GError **error)
{
  CubePluginImage *image = g_new0 (CubePluginImage, 1);
  image->copy_fd = -1;
  image->path = g_strdup_printf ("(built in: %s)", descriptor->name); /* a place of its own: one file holds one plugin */
  if (!check_descriptor (image, descriptor, error))
    g_clear_pointer (&image, cube_plugin_image_free);
  return image;
}

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* An SQLite VFS around the system's: counts I/O calls, makes one of them fail, and knows what of a file is on the disk for sure. One thread. */
#include <glib.h>

void fault_vfs_register (void); /* becomes the default */
void fault_vfs_reset (void);    /* forgets faults, counts and files */
guint fault_vfs_calls (void);   /* I/O calls since the reset */
/* The @nth call from the reset on fails, and so do the @count - 1 after it. @is_full: writes fail as on a full disk, else with an I/O error. */
void fault_vfs_fail (guint nth, guint count, gboolean is_full);
gboolean fault_vfs_has_failed (void);
/* Runs before every call that changes a file; SQLite may be used in it (its calls pass through). NULL = none. */
void fault_vfs_set_hook (void (*hook) (gpointer data), gpointer data);
/* Writes the files of @directory to @to as a power cut now could leave them: what was synced, and of what was not any 512-byte sectors @rand chooses. */
void fault_vfs_cut (const char *directory, const char *to, GRand *rand);

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What the files of this plugin share. One thread at a time uses a state, but for the checkpoint job (checkpoint.c). */
#include <cube/failpoint.h>
#include <cube/plugin.h>
#include <cube/storage.h>
#include <sqlite3.h>
#include "codec.h"

#define SQLITE_APPLICATION_ID 0x43554245 /* "CUBE" */
#define SQLITE_SCHEMA_VERSION 1

/* What to do about a file that cannot be used. */
#define SQLITE_WAY_OUT "move it (and its -wal and -shm files) away and restore a backup, or start without it for an empty cluster"

typedef struct {
  CubeContext *context;
  char *path;             /* of the database */
  int lock_fd;            /* held while open: one process a database */
  sqlite3 *db;
  sqlite3_stmt *begin, *commit, *rollback, *insert;
  guint64 compacted;
  Codec *codec;
  gboolean must_compress;
  /* checkpoint.c */
  sqlite3 *checkpointer;  /* used by one job at a time */
  gint wal_frames;        /* in the log after the last commit */
  GMutex lock;
  GCond idle;
  gboolean is_running;
} Sqlite;

/* sqlite.c */
gboolean sqlite_exec (sqlite3 *db, const char *path, const char *sql, GError **error);
void sqlite_set_error (GError **error, sqlite3 *db, const char *path, const char *doing);
gboolean sqlite_get_revision (gpointer state, guint64 *ret_newest, guint64 *ret_oldest, GError **error);
gboolean sqlite_load (gpointer state, CubeStorageRow row, gpointer data, GError **error);
/* open.c */
gboolean sqlite_open (gpointer state, const char *location, GError **error);
void sqlite_close (gpointer state);
/* FALSE: another program's database, or a newer one's. @may_create: one that has nothing in it yet gets its tables. */
gboolean sqlite_check_identity (Sqlite *self, gboolean may_create, GError **error);
gboolean sqlite_prepare (Sqlite *self, GError **error); /* fails without the expected tables */
gboolean sqlite_check_pages (Sqlite *self, GError **error);
/* check.c */
gboolean sqlite_check (gpointer state, const char *location, GError **error);
/* checkpoint.c */
void sqlite_watch_log (Sqlite *self);           /* counts the log's frames from here on */
void sqlite_maybe_checkpoint (Sqlite *self);    /* after a commit */
void sqlite_finish_checkpoint (Sqlite *self);   /* waits for a running job, closes its connection */

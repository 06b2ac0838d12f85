/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A simulated control plane with chosen controllers: virtual time, storage in memory, the real pipeline. */
#include <fixture.h>

typedef struct {
  Fixture fixture;
  CubeControllers *controllers;
  GPtrArray *plugins; /* of Loaded */
} Room;

void room_init (Room *room);
void room_clear (Room *room);
/* Loads @plugin; @config is YAML-free JSON with ' for ", NULL = none. Before room_start. */
void room_load (Room *room, const CubePluginDescriptor *plugin, const char *config);
void room_start (Room *room);
void room_stop (Room *room);                    /* as a crash: nothing is written any more */
void room_run (Room *room, gint64 duration_us); /* virtual */
gint64 room_now (Room *room);

/* All in "default" unless @ns is given; JSON with ' for ". Assert success. */
void put (Room *room, const char *api_version, const char *plural, const char *ns, const char *format, ...) G_GNUC_PRINTF (5, 6);
void merge (Room *room, const char *api_version, const char *plural, const char *subresource, const char *ns, const char *name, const char *format, ...) G_GNUC_PRINTF (7, 8);
void drop (Room *room, const char *api_version, const char *plural, const char *ns, const char *name, CubePropagation propagation);
CubeValue *look (Room *room, const char *api_version, const char *plural, const char *ns, const char *name); /* NULL = not there */
GPtrArray *all (Room *room, const char *api_version, const char *plural, const char *ns);                    /* (element-type CubeObject) */
guint64 revision_of (Room *room, const char *api_version, const char *plural, const char *ns, const char *name); /* 0 = not there */
/* JSON text of a value's path, "" = none. (transfer full) */
char *text_at (CubeValue *value, const char *path);
#define assert_at(value_, path_, wanted_)                                                                    \
  G_STMT_START                                                                                               \
  {                                                                                                          \
    g_autofree char *found_ = text_at (value_, path_);                                                       \
    g_autofree char *wanted_text_ = g_strdelimit (g_strdup (wanted_), "'", '"');                             \
    g_assert_cmpstr (found_, ==, wanted_text_);                                                              \
  }                                                                                                          \
  G_STMT_END
/* The message of the newest event with @reason, NULL = none. (transfer full) */
char *event_message (Room *room, const char *ns, const char *reason);

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "types.h"
typedef void (*CubeJsonPathVisit) (CubeView view, gpointer data);
G_GNUC_INTERNAL void cube_json_path_visit (CubeView root, const char *path, CubeJsonPathVisit visit, gpointer data);
G_GNUC_INTERNAL CubeView cube_json_path_first (CubeView root, const char *path);  /* NONE when nothing is there */
G_GNUC_INTERNAL char *cube_json_path_text (CubeView root, const char *path);      /* what is found, joined by commas */

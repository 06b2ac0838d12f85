/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Core-private: checks a plugin's part of the configuration against its config_schema ("key type default description" lines). */
#include <cube/value.h>
/* FALSE + CUBE_ERROR_INVALID naming @where and the key. @schema NULL: no configuration is accepted. */
gboolean cube_config_validate (const char *schema, CubeView config, const char *where, GError **error);

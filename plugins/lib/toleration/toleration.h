/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <cube/value.h>

/* Whether @toleration tolerates the taint. @value NULL = "". */
gboolean toleration_covers (CubeView toleration, const char *key, const char *value, const char *effect);
/* Whether one of @tolerations does. */
gboolean toleration_any (CubeView tolerations, const char *key, const char *value, const char *effect);
/* How many of @taints with an effect of @effects (NULL-terminated) nobody tolerates; stops at @most. */
guint toleration_count_untolerated (CubeView taints, CubeView tolerations, const char *const *effects, guint most);

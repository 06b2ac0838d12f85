/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "types.h"
/* Whether @text is of the string format of a JSON schema; formats we do not know match everything, as in Kubernetes. */
G_GNUC_INTERNAL gboolean cube_crd_format_matches (const char *format, const char *text);

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Certificate → user, against one authority, at a given time. */
#include <cube/auth.h>

typedef struct _Verifier Verifier;

Verifier *verifier_new (const char *ca_pem, GError **error);
Verifier *verifier_ref (Verifier *verifier);
void verifier_unref (Verifier *verifier);
/* Any thread. TRUE with *ret_user NULL: a good certificate that names nobody. FALSE + CUBE_ERROR_UNAUTHORIZED: it is not to be trusted. */
gboolean verifier_check (Verifier *verifier, GTlsCertificate *certificate, gint64 now_us, CubeUser **ret_user, GError **error);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Verifier, verifier_unref)

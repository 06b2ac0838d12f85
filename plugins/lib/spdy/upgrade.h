/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * From a URL to a socket that speaks SPDY; private to the library.
 */
#pragma once

#include <gio/gio.h>

#define CUBE_SPDY_MAX_RESPONSE_BYTES 16384
#define CUBE_SPDY_CONNECT_TIMEOUT_S 30

/* The upgraded socket, non-blocking; @ret_rest: what came after the answer's
 * header. (transfer full) */
GSocket *cube_spdy_upgrade (const char *url,
                            const char *protocol,
                            GByteArray *ret_rest,
                            GCancellable *cancellable,
                            GError **error);

/* Whether the header (its lines without the empty one, NUL-terminated) says
 * that the connection is SPDY/3.1 of this protocol now. */
gboolean cube_spdy_check_response (const char *header, const char *protocol, GError **error);

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Core-private: what a kubeconfig file says of one server and how to be known there. */
#include <gio/gio.h>

typedef struct {
  gint ref_count;            /* private */
  char *server;              /* https://host:port, no slash at the end */
  char *tls_server_name;     /* (nullable) the name the certificate must have instead of the host */
  GPtrArray *authorities;    /* (element-type GTlsCertificate); empty = the system's */
  gboolean is_insecure;      /* insecure-skip-tls-verify */
  GTlsCertificate *identity; /* (nullable) client certificate with its key */
  char *token, *token_file;  /* (nullable) bearer; the file is read again when it changes */
  char *ns, *user;           /* of the context, (nullable) */
} CubeKubeconfig;

/* Reads the current context of @path. Errors name the file, the entry and what is missing. (transfer full) */
CubeKubeconfig *cube_kubeconfig_read (const char *path, GError **error);
CubeKubeconfig *cube_kubeconfig_ref (CubeKubeconfig *config);
void cube_kubeconfig_unref (CubeKubeconfig *config);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CubeKubeconfig, cube_kubeconfig_unref)

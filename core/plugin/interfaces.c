/* SPDX-License-Identifier: Apache-2.0 */
/* Every interface a plugin can offer, with the size of its mandatory part: up to and including its last mandatory member. */
#include "registry.h"
#include <cube/cube.h>
#include <string.h>

#define UPTO(type, member) (G_STRUCT_OFFSET (type, member) + sizeof (((type *) NULL)->member))

static const CubeInterface interfaces[] = {
  { CUBE_COMPONENT, CUBE_COMPONENT_VERSION, UPTO (CubeComponentOps, stop) },
  { CUBE_STORAGE, CUBE_STORAGE_VERSION, UPTO (CubeStorageOps, compact) },
  { CUBE_AUTHENTICATOR, CUBE_AUTHENTICATOR_VERSION, UPTO (CubeAuthenticatorOps, authenticate) },
  { CUBE_AUTHORIZER, CUBE_AUTHORIZER_VERSION, UPTO (CubeAuthorizerOps, authorize) },
  { CUBE_ADMISSION, CUBE_ADMISSION_VERSION, UPTO (CubeAdmissionOps, handles) },
  { CUBE_CERTIFICATE_AUTHORITY, CUBE_CERTIFICATE_AUTHORITY_VERSION, UPTO (CubeCertificateAuthorityOps, sign_csr) },
  { CUBE_TOKEN_ISSUER, CUBE_TOKEN_ISSUER_VERSION, UPTO (CubeTokenIssuerOps, get_openid_configuration) },
  { CUBE_CONTROLLER, CUBE_CONTROLLER_VERSION, UPTO (CubeControllerOps, reconcile) },
  { CUBE_FILTER_PLUGIN, CUBE_FILTER_VERSION, UPTO (CubeFilterOps, filter) },
  { CUBE_SCORE_PLUGIN, CUBE_SCORE_VERSION, UPTO (CubeScoreOps, score) },
  { CUBE_RESERVE_PLUGIN, CUBE_RESERVE_VERSION, UPTO (CubeReserveOps, unreserve) },
  { CUBE_PERMIT_PLUGIN, CUBE_PERMIT_VERSION, UPTO (CubePermitOps, permit) },
  { CUBE_BIND_PLUGIN, CUBE_BIND_VERSION, UPTO (CubeBindOps, bind) },
  { CUBE_POST_FILTER_PLUGIN, CUBE_POST_FILTER_VERSION, UPTO (CubePostFilterOps, post_filter) },
  { CUBE_RUNTIME, CUBE_RUNTIME_VERSION, UPTO (CubeRuntimeOps, image_fs) },
  { CUBE_SERVICE_TYPE, CUBE_SERVICE_TYPE_VERSION, UPTO (CubeServiceTypeOps, compile) },
  { CUBE_VOLUME, CUBE_VOLUME_VERSION, UPTO (CubeVolumeOps, tear_down) },
  { CUBE_NODE_AGENT, CUBE_NODE_AGENT_VERSION, UPTO (CubeNodeAgentOps, exec) },
};

const CubeInterface *
cube_interface_find (const char *name)
{
  for (guint i = 0; i < G_N_ELEMENTS (interfaces); i++)
    if (strcmp (interfaces[i].name, name) == 0)
      return &interfaces[i];
  return NULL;
}

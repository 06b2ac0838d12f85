/* SPDX-License-Identifier: Apache-2.0 */
/* What a configuration file may say: "key type default description" lines; default "-" = none. The manual page is made of it too. */
#include "daemon.h"

const char cube_config_keys[] =
    "dataDir string - The data directory (default /var/lib/cube as root, else ~/.local/share/cube).\n"
    "listen string 0.0.0.0:6443 Address of the API; 127.0.0.1:6443 with the sim runtime.\n"
    "roles string-list - What runs in this process: api, controllers, scheduler, node (default all).\n"
    "runtime string cri cri: real containers; sim: simulated nodes.\n"
    "simNodes int - Number of simulated nodes (default 1 with the sim runtime, else 0).\n"
    "nodeName string - Name of this machine's node (default its host name).\n"
    "advertiseAddress string - The address others reach this machine at (default its first global one).\n"
    "clusterCIDR string - Range of the pods' addresses (default the first free /16 of 10.244, 10.65 to 10.127).\n"
    "serviceCIDR string 10.96.0.0/16 Range of the Services' addresses.\n"
    "clusterDNS string 10.96.0.10 Address of the cluster's DNS.\n"
    "clusterDomain string cluster.local Its domain.\n"
    "nodePortRange string 30000-32767 Ports of Services of type NodePort.\n"
    "runtimeEndpoint string - Socket of a container runtime to use instead of a containerd of Cube's own.\n"
    "server string - For cube agent: the server to join, https://ADDRESS:PORT.\n"
    "tokenFile string - For cube agent: a file with the join token; not needed any more once it has joined.\n"
    "caHash string - For cube agent: hash of the public key of the server's authority, sha256:HEX.\n"
    "kubeconfig string - For cube agent, instead of joining: the file that names the server.\n"
    "logLevel string info What is logged: error, warning, info or debug; each has those before it.\n"
    "logFormat string text text, or json: an object a line.\n"
    "storage object - Where objects are kept: plugin, location, volatile, history.\n"
    "plugins object - A plugin's own part, by its name; cube plugins lists the names.\n"
    "pluginFolders string-list - Further plugin folders.\n"
    "requiredPlugins string-list - Plugins without which Cube is not to start.\n"
    "disabledPlugins string-list - Plugins that are not to be loaded.";

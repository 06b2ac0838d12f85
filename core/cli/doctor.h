/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Core-private: the checks of `cube doctor`. Each is a function that fills one finding; doctor.c has the table. */
#include "cli.h"

typedef enum { DOCTOR_OK, DOCTOR_WARNING, DOCTOR_PROBLEM } DoctorResult;

typedef struct {
  DoctorResult result;
  char *found;    /* what there is */
  char *remedy;   /* what to do; NULL when fine */
} Finding;

typedef struct {
  CubeOptions *options;
  const CubePluginDescriptor *const *builtin;
  char *option_problem;  /* the configuration's error: then the defaults are looked at */
  gboolean has_node;     /* the role node with real containers: the checks of the kernel and of containerd matter */
  gboolean has_api;
  gboolean is_agent;     /* its objects are a server's elsewhere */
  gboolean is_root;
  CubeValue *status;     /* of the cluster that runs in this data directory, or NULL */
  CubeValue *plugins;    /* what the trial of loading them said (doctor-cluster.c), or NULL */
} Doctor;

typedef void (*DoctorCheck) (Doctor *doctor, Finding *finding);

/* Fill @finding. */
void doctor_ok (Finding *finding, const char *format, ...) G_GNUC_PRINTF (2, 3);
void doctor_bad (Finding *finding, DoctorResult result, const char *remedy, const char *format, ...) G_GNUC_PRINTF (4, 5);
/* Runs @trial in a child of its own with its own namespaces (@flags of unshare, 0 = the same ones); mounts and links it makes end with it. NULL when it
 * returned NULL, else why not: what it returned, or how it ended. (transfer full) */
typedef const char *(*DoctorTrial) (gpointer data);
char *doctor_try (int flags, DoctorTrial trial, gpointer data);
char *doctor_find_program (const char *name); /* on PATH, then in the system's folders. (transfer full) (nullable) */
char *doctor_run (const char *program, const char *argument); /* what it prints; NULL when it fails. (transfer full) */
/* The first version after @prefix in @text: "1.6.20" is 10620 (major, minor, patch by hundreds); 0 = none. */
guint doctor_version (const char *text, const char *prefix);
/* The nearest folder that exists on the way to the data directory. (transfer full) */
char *doctor_existing_dir (const Doctor *doctor);

/* doctor-kernel.c */
void doctor_check_kernel (Doctor *doctor, Finding *finding);
void doctor_check_namespaces (Doctor *doctor, Finding *finding);
void doctor_check_root_folder (Doctor *doctor, Finding *finding);
void doctor_check_overlay (Doctor *doctor, Finding *finding);
void doctor_check_links (Doctor *doctor, Finding *finding);
void doctor_check_packet_rules (Doctor *doctor, Finding *finding);
void doctor_check_cgroups (Doctor *doctor, Finding *finding);
void doctor_check_forwarding (Doctor *doctor, Finding *finding);
void doctor_check_bridge_filter (Doctor *doctor, Finding *finding);
void doctor_check_inotify (Doctor *doctor, Finding *finding);
void doctor_check_open_files (Doctor *doctor, Finding *finding);

/* doctor-host.c */
void doctor_check_rights (Doctor *doctor, Finding *finding);
void doctor_check_clock (Doctor *doctor, Finding *finding);
void doctor_check_memory (Doctor *doctor, Finding *finding);
void doctor_check_disk (Doctor *doctor, Finding *finding);
void doctor_check_fsync (Doctor *doctor, Finding *finding);
void doctor_check_containerd (Doctor *doctor, Finding *finding);
void doctor_check_runc (Doctor *doctor, Finding *finding);
void doctor_check_cni (Doctor *doctor, Finding *finding);
void doctor_check_tools (Doctor *doctor, Finding *finding);
void doctor_check_kubectl (Doctor *doctor, Finding *finding);

/* doctor-network.c */
void doctor_check_port (Doctor *doctor, Finding *finding);
void doctor_check_node_ports (Doctor *doctor, Finding *finding);
void doctor_check_ranges (Doctor *doctor, Finding *finding);

/* doctor-server.c */
void doctor_check_server (Doctor *doctor, Finding *finding);

/* doctor-cluster.c */
void doctor_check_configuration (Doctor *doctor, Finding *finding);
void doctor_check_data_dir (Doctor *doctor, Finding *finding);
void doctor_check_plugins (Doctor *doctor, Finding *finding);
void doctor_check_cluster (Doctor *doctor, Finding *finding);
void doctor_check_certificates (Doctor *doctor, Finding *finding);
void doctor_check_database (Doctor *doctor, Finding *finding);

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every command of a current kubectl on simulated nodes: test-kubectl.py CUBE

A step is a list of commands; each has to end as said and to print what is said. docs/clients.md has the table.
"""
import base64
import os
import shlex
import subprocess

from cluster import TOP, Cluster, client, main, run

with open(f"{TOP}/examples/web.yaml", encoding="utf-8") as example:
    WEB = example.read()
FOUR = WEB.replace("replicas: 3", "replicas: 4")


class Kubectl(Cluster):
    def k(self, line, *wanted, code=0, data=None, editor=None, timeout=40):
        """kubectl LINE ends with CODE (None: whatever) and prints every one of WANTED."""
        env = dict(self.env, EDITOR=editor or "false", KUBECTL_APPLYSET="true", HOME=self.dir)
        done = subprocess.run([self.kubectl_path] + shlex.split(line), input=data, capture_output=True, text=True, env=env, timeout=timeout)
        shown = f"kubectl {line}: {done.returncode}: {done.stdout[-800:]}{done.stderr[-800:]}"
        assert code is None or done.returncode == code, shown
        for text in wanted:
            assert text in done.stdout + done.stderr, f"no {text!r} in: {shown}"
        return done.stdout

    def refuse(self, line, *wanted, **more):
        return self.k(line, *wanted, code=1, **more)


def new_cluster(cube):
    cluster = Kubectl(cube, "--runtime", "sim", "--sim-nodes", "2", "--listen", "127.0.0.1:0")
    cluster.kubectl_path = client("kubectl-1.35/kubectl")
    return cluster


def create(c):
    c.up()
    c.k("create deployment web --image=cube.local/web:v1 --replicas=2 --port=8080")
    c.k("create deployment two --image=a:1 --image=b:2 --dry-run=client -o yaml", "image: b:2")
    c.k("create service clusterip cip --tcp=80:8080")
    c.k("create service nodeport np --tcp=80:8080 --node-port=30123")
    c.refuse("create service nodeport np2 --tcp=80:8080 --node-port=30123", "provided port is already allocated")
    c.k("create service loadbalancer lb --tcp=80")
    c.k("create service externalname en --external-name=example.com")
    c.k("create configmap cm --from-literal=a=b --from-file=/etc/hostname")
    c.k("create secret generic sec --from-literal=a=b")
    run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{c.dir}/k.pem", "-out", f"{c.dir}/c.pem", "-subj", "/CN=x", "-days", "1")
    c.k(f"create secret tls tls1 --cert={c.dir}/c.pem --key={c.dir}/k.pem")
    c.k("create secret docker-registry dr --docker-server=r.example --docker-username=u --docker-password=p")
    c.k("create role r1 --verb=get,list --resource=pods,deployments.apps")
    c.k("create clusterrole cr1 --verb=get --resource=nodes --resource-name=a")
    c.k("create clusterrole cr2 --verb=get --non-resource-url=/metrics")
    c.k("create clusterrole cr3 --aggregation-rule=a=b")
    c.k("create rolebinding rb1 --role=r1 --user=jane --serviceaccount=default:default --group=g")
    c.k("create clusterrolebinding crb1 --clusterrole=cr1 --user=jane")
    c.k("create quota q1 --hard=cpu=100,memory=100G,pods=200,services=200")
    c.k("create job j1 --image=busybox -- date")
    c.k('create cronjob cj1 --image=busybox --schedule="*/5 * * * *" -- date')
    c.refuse('create cronjob cj2 --image=busybox --schedule="never" -- date', "spec.schedule", "expected exactly 5 fields, found 1: [never]")
    c.k("create job j2 --from=cronjob/cj1")
    c.k('create ingress ing1 --class=nginx --rule="foo.com/bar=svc1:8080,tls=my-cert" --default-backend=cip:80')
    c.k("create poddisruptionbudget pdb1 --selector=app=web --min-available=1")
    c.k("create priorityclass pc1 --value=1000 --description=high")
    c.k("create serviceaccount sa1")
    c.k("create token sa1 --duration=10m --audience=https://kubernetes.default.svc.cluster.local", ".")
    c.k("create namespace ns1")
    c.k("create -f - -o name", "pod/gen-", data='{"apiVersion":"v1","kind":"Pod","metadata":{"generateName":"gen-"},"spec":{"containers":[{"name":"c","image":"x"}]}}')
    c.refuse("create deployment web --image=x", "already exists")
    c.k("create configmap dry --from-literal=a=b --dry-run=server", "created (server dry run)")
    c.refuse("get configmap dry", "NotFound")
    c.k("create --raw /api/v1/namespaces/default/configmaps -f -", data='{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"raw"}}')
    c.k("wait --for=condition=Available deployment/web --timeout=20s")


KINDS = ("pods,deploy,rs,svc,endpoints,endpointslices,cm,secrets,nodes,ns,events,sa,roles,rolebindings,clusterroles,clusterrolebindings,quota,limits,pv,pvc,sc,"
         "jobs,cronjobs,ing,pdb,pc,leases,csr,hpa,ds,sts,rc,crd,netpol,ingressclass,runtimeclass,csidrivers,csinodes,volumeattachments,podtemplates,"
         "controllerrevisions,validatingwebhookconfigurations,mutatingwebhookconfigurations,validatingadmissionpolicies,apiservices,flowschemas,"
         "prioritylevelconfigurations,componentstatuses,resourceclaims,deviceclasses,servicecidrs,ipaddresses")


def get(c):
    for output in ("wide", "yaml", "json", "name"):
        c.k(f"get {KINDS} -A -o {output}", "web")
    c.k("get all", "deployment.apps/web", "2/2")
    c.k("get pods -o jsonpath={.items[*].metadata.name}", "web-")
    c.k("get pods -o custom-columns=NAME:.metadata.name,IP:.status.podIP", "NAME", "10.")
    c.k('get pods -o go-template="{{range .items}}{{.metadata.name}} {{end}}"', "web-")
    c.k("get pods --sort-by=.metadata.creationTimestamp")
    c.k("get pods --show-labels", "pod-template-hash=")
    c.k("get pods -L app", "APP")
    c.k("get pods --no-headers --chunk-size=1", "web-")
    c.k("get deploy/web svc/cip")
    c.refuse("get deploy web none", 'deployments.apps "none" not found')
    c.refuse("get nonsense", "the server doesn't have a resource type")
    c.k("get pods none --ignore-not-found")
    c.k("get pods --field-selector=status.phase=Running", "web-")
    c.refuse("get pods --field-selector=spec.bogus=1", "field label not supported")
    c.k("get deploy web --subresource=status -o name")
    c.k("get deploy web --subresource=scale", "DESIRED", "2")
    c.k("get pods --show-managed-fields -o yaml", "managedFields")
    c.k("get --raw /version", "gitVersion")
    c.k("get --raw /readyz?verbose", "passed")
    c.refuse("get --raw /nonsense", "NotFound")
    c.k("get ns -w --request-timeout=1s", "default", code=None)


def describe(c):
    c.k(f"describe {KINDS.replace('pods,', '').replace('crd,', '')}", "Selector")
    c.k("describe pods -l app=web", "Successfully assigned", "Containers:")
    c.k("describe node", "Allocated resources", "Ready")
    c.k("describe deploy web", "NewReplicaSet", "ScalingReplicaSet")
    c.k("describe svc np", "30123")
    c.k("describe job j1", "batch.kubernetes.io/controller-uid=")


def runs(c):
    c.k("run p1 --image=cube.local/busybox:1 --labels=a=b --env=X=y --port=80 --restart=Never -- sleep 100")
    c.k("run p2 --image=x --expose --port=80")
    c.k("run p3 --image=x --dry-run=server -o yaml", "uid:")
    c.k("expose deployment web --port=80 --target-port=8080 --name=webx --type=NodePort")
    c.k("expose pod p1 --port=90 --name=p1x")
    c.k("label pod p1 x=y")
    c.refuse("label pod p1 x=z", "already has a value")
    c.k("label pod p1 x=z --overwrite")
    c.k("label pod p1 x-")
    c.k("label pods --all q=r")
    c.k("label pods -l q=r q-")
    c.k("label deploy web --list", "app=web")
    c.refuse("label pod p1 bad_/=x", "Invalid value")
    c.k("annotate pod p1 note='hello world'")
    c.k("annotate pod p1 note-")
    c.k("annotate deploy web kubernetes.io/change-cause=first")
    c.k("logs deploy/web", "cannot be reached", code=1)
    c.k("exec deploy/web -- ls", "cannot be reached", code=1)


def patch(c):
    c.k("""patch deploy web -p '{"spec":{"replicas":3}}'""", "patched")
    c.k("""patch deploy web -p '{"spec":{"replicas":3}}'""", "no change")
    c.k("""patch deploy web --type=merge -p '{"spec":{"replicas":2}}'""")
    c.k("""patch deploy web --type=json -p '[{"op":"replace","path":"/spec/replicas","value":1}]'""")
    c.refuse("""patch deploy web --type=json -p '[{"op":"test","path":"/spec/replicas","value":9}]'""", "request is invalid")
    c.k("""patch deploy web --subresource=status --type=merge -p '{"status":{"observedGeneration":1}}'""")
    c.k("""patch deploy web --subresource=scale --type=merge -p '{"spec":{"replicas":2}}'""")
    c.k("""patch pod p1 -p '{"spec":{"containers":[{"name":"p1","image":"cube.local/web:v1"}]}}'""")
    c.refuse("""patch pod p1 -p '{"spec":{"nodeName":"zz"}}'""", "Forbidden")
    c.k("""patch deploy web --dry-run=server -p '{"spec":{"replicas":7}}' -o jsonpath={.spec.replicas}""", "7")
    c.k("get deploy web -o jsonpath={.spec.replicas}", "2")


def scale(c):
    c.k("scale deploy web --replicas=3")
    c.k("scale deploy web --replicas=2 --current-replicas=3")
    c.refuse("scale deploy web --replicas=2 --current-replicas=9", "Expected replicas to be 9")
    c.refuse("scale deploy none --replicas=2", "NotFound")
    c.k("autoscale deployment web --min=1 --max=3 --cpu=80%")
    c.k("get hpa", "Deployment/web")
    c.k("describe hpa web", "Min replicas")
    c.k("delete hpa web")


def set_fields(c):
    c.k("set image deploy/web web=cube.local/web:v2")
    c.refuse("set image deploy/web none=x", "unable to find container")
    c.k("rollout status deploy/web --timeout=30s", "successfully")
    c.k("set env deploy/web A=b")
    c.k("set env deploy/web --list", "A=b")
    c.k("set env deploy/web --from=configmap/cm --prefix=C_")
    c.k("set env deploy/web A-")
    c.k("set resources deploy/web --limits=cpu=200m,memory=64Mi --requests=cpu=10m")
    c.k("set serviceaccount deploy/web sa1")
    c.refuse("set selector svc/cip app=web --resource-version=1", "Conflict")
    c.k("set selector svc/cip app=web")
    c.k("set subject rolebinding rb1 --user=joe --group=gg")


def rollout(c):
    c.k("rollout history deploy/web", "REVISION")
    c.k("rollout history deploy/web --revision=1", "Pod Template")
    c.k("rollout pause deploy/web")
    c.refuse("rollout pause deploy/web", "already paused")
    c.k("rollout resume deploy/web")
    c.k("rollout restart deploy/web")
    c.k("rollout status deploy/web --timeout=30s", "successfully")
    c.k("rollout undo deploy/web")
    c.k("rollout undo deploy/web --to-revision=1")
    c.refuse("rollout undo deploy/web --to-revision=99", "unable to find")
    c.k("rollout status deploy -l app=web --timeout=30s", "successfully")


def nodes(c):
    node = c.k("get nodes -o jsonpath={.items[0].metadata.name}")
    c.k(f"taint node {node} k=v:NoSchedule")
    c.refuse(f"taint node {node} k=w:NoSchedule", "already has")
    c.k(f"taint node {node} k=w:NoSchedule --overwrite")
    c.k(f"taint node {node} k-")
    c.refuse(f"taint node {node} k-", "not found")
    c.k(f"cordon {node}", "cordoned")
    c.k(f"cordon {node}", "already cordoned")
    c.k(f"get node {node}", "SchedulingDisabled")
    c.k("delete pdb pdb1")
    before = c.k("get pods -A -o name")
    c.k(f"drain {node} --ignore-daemonsets --force --delete-emptydir-data --dry-run=server")
    assert c.k("get pods -A -o name") == before, "a dry run evicts nothing"
    c.k(f"drain {node} --ignore-daemonsets --force --delete-emptydir-data --timeout=30s", "drained")
    c.k(f"uncordon {node}", "uncordoned")
    c.k("rollout status deploy/web --timeout=30s")


CONFIG = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s, labels: {prune: me}}\n"


def apply(c):
    c.k("apply -f -", data=WEB)
    c.k("apply -f -", "deployment.apps/web unchanged", data=WEB)
    c.k("apply -f - --dry-run=server", "configured (server dry run)", data=FOUR)
    c.k("diff -f -", data=WEB)
    c.refuse("diff -f -", "+  replicas: 4", data=FOUR)
    c.refuse("diff --server-side -f - --force-conflicts", "+  replicas: 4", data=FOUR)
    c.k("apply --server-side -f -", "serverside-applied", data=WEB)
    c.refuse("apply --server-side --field-manager=other -f -", "conflict", data=FOUR)
    c.k("apply --server-side --field-manager=other --force-conflicts -f -", data=FOUR)
    c.k("apply -f - --prune -l prune=me", data=CONFIG % "pr1" + "---\n" + CONFIG % "pr2")
    c.k("apply -f - --prune -l prune=me --prune-allowlist=core/v1/ConfigMap", "configmap/pr2 pruned", data=CONFIG % "pr1")
    c.k("apply -n default -f - --applyset=configmaps/set --prune", data=CONFIG % "as1" + "---\n" + CONFIG % "as2")
    c.k("apply -n default -f - --applyset=configmaps/set --prune", "configmap/as2 pruned", data=CONFIG % "as1")
    c.k("apply view-last-applied deploy/web", "image")
    c.k("apply set-last-applied -f - --create-annotation", data=WEB)
    c.k("apply edit-last-applied svc/web", editor="true")
    c.refuse("apply -f -", 'unknown field "spec"', data=CONFIG % "bad" + "spec: {}\n")
    c.k("apply -f - --validate=warn", "Warning", data=CONFIG % "bad" + "spec: {}\n")
    c.refuse("apply -f -", "Invalid value", data=WEB.replace("replicas: 3", "replicas: -1"))
    c.refuse("apply -f -", "no matches for kind", data="apiVersion: x/v1\nkind: Nope\nmetadata: {name: bad}\n")


def edit(c):
    c.k("edit cm cm", "edited", editor="sed -i 's/^  a: b/  a: c/'")
    c.k("edit cm cm", "no changes", editor="true")
    c.k("edit deploy web --subresource=status", "no changes", editor="true")
    c.k("create -f - --edit", editor="sed -i s/prune/made/", data=CONFIG % "edited", code=None)
    c.k("replace -f -", data=CONFIG % "cm")
    c.k("replace --force -f -", data=CONFIG % "cm")
    c.refuse("replace -f -", "NotFound", data=CONFIG % "none")
    c.k("replace --subresource=status -f -", data=c.k("get deploy web -o yaml"))


def wait_for(c):
    c.k("wait --for=condition=Ready pod -l app=web --timeout=20s")
    c.k("wait --for=jsonpath='{.status.phase}'=Running pod -l app=web --timeout=20s")
    c.k("wait --for=jsonpath='{.spec.clusterIP}' svc/web --timeout=5s")
    c.refuse("wait --for=condition=Nope deploy/web --timeout=1s", "timed out")
    c.k("wait --for=delete pod/none --timeout=5s")
    c.k("wait --for=create cm/cm --timeout=5s")


def explain(c):
    c.k("explain pods", "FIELDS")
    c.k("explain deployment.spec --recursive", "strategy")
    c.refuse("explain pods.spec.nope", "does not exist")
    c.k("explain cronjob --api-version=batch/v1", "CronJob")
    c.k("explain pod.spec.containers --output=plaintext-openapiv2", "image")
    c.k("api-resources", "deployments")
    c.k("api-resources --namespaced=false -o wide", "nodes")
    c.k("api-resources --verbs=list,watch --sort-by=name -o name", "deployments.apps")
    c.k("api-resources --categories=all", "pods")
    c.k("api-versions", "apps/v1")
    c.k("cluster-info", "is running at")
    c.k(f"cluster-info dump --output-directory={c.dir}/dump", "Cluster info dumped")
    c.k("version", "Server Version")
    c.k("config view", "DATA+OMITTED")
    c.k("config current-context", "cube")
    c.k("events", "Scheduled")
    c.k("events --for=deploy/web", "ScalingReplicaSet")
    c.k("events -A --types=Warning")
    c.refuse("top nodes", "Metrics API not available")
    c.refuse("top pods", "Metrics API not available")


ROLE = 'apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {name: rec, namespace: default}\nrules: [{apiGroups: [""], resources: [pods], verbs: [%s]}]\n'
REQUEST = ("apiVersion: certificates.k8s.io/v1\nkind: CertificateSigningRequest\nmetadata: {name: %s}\n"
           'spec: {request: "%s", signerName: kubernetes.io/kube-apiserver-client, usages: [client auth]}\n')


def authorize(c):
    c.k("auth can-i get pods", "yes")
    c.k("auth can-i --list", "*.*")
    c.refuse("auth can-i get secrets --as=jane", "no")
    c.k("auth can-i get nodes/a --as=jane", "yes")
    c.k("auth can-i --list --as=jane", "selfsubjectaccessreviews")
    c.k("auth whoami", "Username")
    c.k("auth whoami -o yaml", "system:masters")
    c.k("auth reconcile -f -", data=ROLE % "get")
    c.k("auth reconcile -f -", data=ROLE % "list")
    c.refuse("get secrets --as=jane", "Forbidden")
    c.k("get pods --as=joe --as-group=gg")
    run("openssl", "req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{c.dir}/jim.pem", "-out", f"{c.dir}/jim.csr", "-subj", "/CN=jim/O=dev")
    with open(f"{c.dir}/jim.csr", "rb") as f:
        text = base64.b64encode(f.read()).decode()
    c.k("apply -f -", data=REQUEST % ("jim", text))
    c.k("get csr", "Pending")
    c.k("certificate approve jim")
    c.k("describe csr jim", "Approved")
    c.k("apply -f -", data=REQUEST % ("tim", text))
    c.k("certificate deny tim")
    c.k("get csr tim", "Denied")


def kustomize(c):
    os.makedirs(f"{c.dir}/kz")
    with open(f"{c.dir}/kz/kustomization.yaml", "w", encoding="utf-8") as f:
        f.write("namePrefix: kz-\nresources: [cm.yaml]\nconfigMapGenerator: [{name: g, literals: [a=b]}]\n")
    with open(f"{c.dir}/kz/cm.yaml", "w", encoding="utf-8") as f:
        f.write(CONFIG % "c")
    c.k(f"kustomize {c.dir}/kz", "kz-c")
    c.k(f"apply -k {c.dir}/kz")
    c.k(f"get -k {c.dir}/kz", "kz-c")
    c.k(f"delete -k {c.dir}/kz")


def delete(c):
    c.k("create deployment dd --image=x --replicas=2")
    c.k("wait --for=condition=Available deploy/dd --timeout=20s")
    c.k("delete deploy dd --dry-run=server", "(server dry run)")
    c.k("delete deploy dd --cascade=orphan")
    c.k("get rs -l app=dd", "dd-")
    c.k("delete rs -l app=dd --cascade=foreground --timeout=20s")
    c.k("get pods -l app=dd", "No resources")
    c.k("delete deploy web two --ignore-not-found --cascade=background")
    c.k("delete pods --all --grace-period=0 --force")
    c.refuse("delete pod none", "NotFound")
    c.k("delete cm raw --dry-run=server")
    c.k("delete cm raw -o name", "configmap/raw")
    c.k("delete cm,svc,job --all")
    c.refuse("delete -f -", "NotFound", data=WEB)
    c.refuse("delete --raw /api/v1/namespaces/default/configmaps/none", "not found")
    c.k("delete ns ns1 --timeout=30s")


if __name__ == "__main__":
    main(new_cluster, [create, get, describe, runs, patch, scale, set_fields, rollout, nodes, apply, edit, wait_for, explain, authorize, kustomize, delete])

// SPDX-License-Identifier: Apache-2.0

// The unmodified k8s.io/client-go against the cluster of $KUBECONFIG.
package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/httpstream"
	"k8s.io/apimachinery/pkg/util/wait"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/client-go/tools/pager"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/tools/record"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/client-go/tools/watch"
	"k8s.io/client-go/transport/spdy"
	"k8s.io/client-go/util/retry"
)

type suite struct {
	ctx       context.Context
	config    *rest.Config
	client    *kubernetes.Clientset
	namespace string
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func must[T any](value T, err error) T {
	check(err)
	return value
}

func want(is bool, format string, values ...any) {
	if !is {
		panic(fmt.Sprintf(format, values...))
	}
}

// until polls; what it waits for happens on the server.
func (s *suite) until(what string, f func() bool) {
	err := wait.PollUntilContextTimeout(s.ctx, 20*time.Millisecond, 30*time.Second, true, func(context.Context) (bool, error) { return f(), nil })
	want(err == nil, "%s: not in time", what)
}

func (s *suite) objects() {
	must(s.client.CoreV1().Namespaces().Create(s.ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: s.namespace}}, metav1.CreateOptions{}))
	maps := s.client.CoreV1().ConfigMaps(s.namespace)
	made := must(maps.Create(s.ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{GenerateName: "a-"}, Data: map[string]string{"x": "y"}, BinaryData: map[string][]byte{"b": {0, 1, 255}}}, metav1.CreateOptions{}))
	want(bytes.Equal(made.BinaryData["b"], []byte{0, 1, 255}), "binary data: %v", made.BinaryData)
	_, err := maps.Create(s.ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: made.Name}}, metav1.CreateOptions{})
	want(apierrors.IsAlreadyExists(err), "already exists: %v", err)
	_, err = maps.Get(s.ctx, "none", metav1.GetOptions{})
	want(apierrors.IsNotFound(err), "not found: %v", err)
	_, err = maps.Create(s.ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "Bad_Name"}}, metav1.CreateOptions{})
	want(apierrors.IsInvalid(err), "invalid: %v", err)
	old := made.DeepCopy()
	made.Data["x"] = "z"
	must(maps.Update(s.ctx, made, metav1.UpdateOptions{}))
	_, err = maps.Update(s.ctx, old, metav1.UpdateOptions{})
	want(apierrors.IsConflict(err), "conflict: %v", err)
	check(retry.RetryOnConflict(retry.DefaultRetry, func() error {
		fresh := must(maps.Get(s.ctx, made.Name, metav1.GetOptions{}))
		fresh.Labels = map[string]string{"a": "b"}
		_, err := maps.Update(s.ctx, fresh, metav1.UpdateOptions{})
		return err
	}))
	check(maps.Delete(s.ctx, made.Name, metav1.DeleteOptions{DryRun: []string{metav1.DryRunAll}}))
	uid := types.UID("another")
	err = maps.Delete(s.ctx, made.Name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid}})
	want(apierrors.IsConflict(err), "precondition: %v", err)
	check(maps.Delete(s.ctx, made.Name, metav1.DeleteOptions{}))
	_, err = maps.Patch(s.ctx, "none", types.MergePatchType, []byte("{}"), metav1.PatchOptions{})
	want(apierrors.IsNotFound(err), "patch of nothing: %v", err)
}

func (s *suite) applies() {
	maps := s.client.CoreV1().ConfigMaps(s.namespace)
	apply := applycorev1.ConfigMap("applied", s.namespace).WithData(map[string]string{"x": "1"})
	must(maps.Apply(s.ctx, apply, metav1.ApplyOptions{FieldManager: "one"}))
	_, err := maps.Apply(s.ctx, applycorev1.ConfigMap("applied", s.namespace).WithData(map[string]string{"x": "2"}), metav1.ApplyOptions{FieldManager: "two"})
	want(apierrors.IsConflict(err) && strings.Contains(err.Error(), `"one"`), "conflict: %v", err)
	forced := must(maps.Apply(s.ctx, applycorev1.ConfigMap("applied", s.namespace).WithData(map[string]string{"x": "2"}), metav1.ApplyOptions{FieldManager: "two", Force: true}))
	owned := must(applycorev1.ExtractConfigMap(forced, "two"))
	want(owned.Data["x"] == "2", "what two owns: %v", owned)
	for _, patch := range []struct {
		kind types.PatchType
		body string
	}{{types.JSONPatchType, `[{"op":"add","path":"/data/j","value":"1"}]`}, {types.MergePatchType, `{"data":{"m":"1"}}`}, {types.StrategicMergePatchType, `{"data":{"s":"1"}}`}} {
		must(maps.Patch(s.ctx, "applied", patch.kind, []byte(patch.body), metav1.PatchOptions{}))
	}
	all := must(maps.Get(s.ctx, "applied", metav1.GetOptions{}))
	want(len(all.Data) == 4, "data: %v", all.Data)
}

func (s *suite) informers() {
	factory := informers.NewSharedInformerFactoryWithOptions(s.client, 0, informers.WithNamespace(s.namespace))
	events := make(chan string, 100)
	informer := factory.Core().V1().ConfigMaps()
	must(informer.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { events <- "add " + o.(*corev1.ConfigMap).Name },
		UpdateFunc: func(_, o any) { events <- "update " + o.(*corev1.ConfigMap).Name },
		DeleteFunc: func(o any) { events <- "delete" },
	}))
	stop := make(chan struct{})
	defer close(stop)
	factory.Start(stop)
	for kind, synced := range factory.WaitForCacheSync(stop) {
		want(synced, "no sync of %v", kind)
	}
	maps := s.client.CoreV1().ConfigMaps(s.namespace)
	made := must(maps.Create(s.ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "i"}}, metav1.CreateOptions{}))
	made.Data = map[string]string{"x": "y"}
	must(maps.Update(s.ctx, made, metav1.UpdateOptions{}))
	check(maps.Delete(s.ctx, "i", metav1.DeleteOptions{}))
	expected := []string{"add i", "update i", "delete"}
	for len(expected) > 0 {
		select {
		case event := <-events:
			if event == expected[0] {
				expected = expected[1:]
			}
		case <-time.After(20 * time.Second):
			panic("informer: no " + expected[0])
		}
	}
	listed := must(informer.Lister().ConfigMaps(s.namespace).Get("applied"))
	want(listed.Data["x"] == "2", "lister: %v", listed)
}

var widgets = schema.GroupVersionResource{Group: "example.net", Version: "v1", Resource: "widgets"}

func (s *suite) dynamics() {
	client := must(dynamic.NewForConfig(s.config))
	crds := client.Resource(schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"})
	crd := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
		"metadata": map[string]any{"name": "widgets.example.net"},
		"spec": map[string]any{"group": "example.net", "scope": "Namespaced", "names": map[string]any{"plural": "widgets", "kind": "Widget"},
			"versions": []any{map[string]any{"name": "v1", "served": true, "storage": true, "subresources": map[string]any{"status": map[string]any{}},
				"schema": map[string]any{"openAPIV3Schema": map[string]any{"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}}}}}
	must(crds.Create(s.ctx, crd, metav1.CreateOptions{}))
	defer func() { check(crds.Delete(s.ctx, "widgets.example.net", metav1.DeleteOptions{})) }()
	s.until("the custom kind", func() bool {
		_, err := client.Resource(widgets).Namespace(s.namespace).List(s.ctx, metav1.ListOptions{})
		return err == nil
	})
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(s.client.Discovery()))
	mapping := must(mapper.RESTMapping(schema.GroupKind{Group: "example.net", Kind: "Widget"}, "v1"))
	want(mapping.Resource == widgets && mapping.Scope.Name() == meta.RESTScopeNameNamespace, "mapping: %v", mapping)
	factory := dynamicinformer.NewFilteredDynamicSharedInformerFactory(client, 0, s.namespace, nil)
	informer := factory.ForResource(widgets).Informer()
	stop := make(chan struct{})
	defer close(stop)
	factory.Start(stop)
	factory.WaitForCacheSync(stop)
	widget := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "example.net/v1", "kind": "Widget", "metadata": map[string]any{"name": "w"}, "spec": map[string]any{"size": int64(1)}}}
	made := must(client.Resource(widgets).Namespace(s.namespace).Create(s.ctx, widget, metav1.CreateOptions{}))
	check(unstructured.SetNestedField(made.Object, "fine", "status", "phase"))
	must(client.Resource(widgets).Namespace(s.namespace).UpdateStatus(s.ctx, made, metav1.UpdateOptions{}))
	s.until("the widget in the cache", func() bool {
		item, exists, _ := informer.GetStore().GetByKey(s.namespace + "/w")
		if !exists {
			return false
		}
		phase, _, _ := unstructured.NestedString(item.(*unstructured.Unstructured).Object, "status", "phase")
		return phase == "fine"
	})
	partial := must(must(metadata.NewForConfig(s.config)).Resource(widgets).Namespace(s.namespace).List(s.ctx, metav1.ListOptions{}))
	want(len(partial.Items) == 1 && partial.Items[0].Name == "w", "metadata: %v", partial.Items)
}

func (s *suite) pages() {
	maps := s.client.CoreV1().ConfigMaps(s.namespace)
	for i := range 25 {
		must(maps.Create(s.ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("page-%02d", i), Labels: map[string]string{"page": "yes"}}}, metav1.CreateOptions{}))
	}
	count := 0
	lister := pager.New(pager.SimplePageFunc(func(options metav1.ListOptions) (runtime.Object, error) { return maps.List(s.ctx, options) }))
	lister.PageSize = 10
	check(lister.EachListItem(s.ctx, metav1.ListOptions{LabelSelector: "page in (yes),!none"}, func(runtime.Object) error { count++; return nil }))
	want(count == 25, "pages: %d", count)
	check(maps.DeleteCollection(s.ctx, metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: "page=yes"}))
}

func (s *suite) election() {
	lock := must(resourcelock.New(resourcelock.LeasesResourceLock, s.namespace, "leader", s.client.CoreV1(), s.client.CoordinationV1(), resourcelock.ResourceLockConfig{Identity: "me"}))
	ctx, cancel := context.WithTimeout(s.ctx, 30*time.Second)
	defer cancel()
	led := false
	leaderelection.RunOrDie(ctx, leaderelection.LeaderElectionConfig{Lock: lock, ReleaseOnCancel: true, LeaseDuration: 15 * time.Second, RenewDeadline: 10 * time.Second, RetryPeriod: time.Second,
		Callbacks: leaderelection.LeaderCallbacks{OnStartedLeading: func(context.Context) { led = true; cancel() }, OnStoppedLeading: func() {}}})
	want(led, "never led")
	broadcaster := record.NewBroadcaster()
	broadcaster.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: s.client.CoreV1().Events(s.namespace)})
	recorder := broadcaster.NewRecorder(scheme.Scheme, corev1.EventSource{Component: "test"})
	recorder.Event(must(s.client.CoreV1().ConfigMaps(s.namespace).Get(s.ctx, "applied", metav1.GetOptions{})), corev1.EventTypeNormal, "Tested", "it went well")
	s.until("the event", func() bool {
		events := must(s.client.CoreV1().Events(s.namespace).List(s.ctx, metav1.ListOptions{FieldSelector: "reason=Tested"}))
		return len(events.Items) == 1 && events.Items[0].InvolvedObject.Name == "applied"
	})
	broadcaster.Shutdown()
}

func (s *suite) workload() string {
	labels := map[string]string{"app": "web"}
	two := int32(2)
	one := int64(1)
	deployments := s.client.AppsV1().Deployments(s.namespace)
	made := must(deployments.Create(s.ctx, &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "web"}, Spec: appsv1.DeploymentSpec{Replicas: &two, Selector: &metav1.LabelSelector{MatchLabels: labels},
		Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{TerminationGracePeriodSeconds: &one,
			Containers: []corev1.Container{{Name: "web", Image: "cube.local/web:v1", Ports: []corev1.ContainerPort{{ContainerPort: 8080}}}}}}}}, metav1.CreateOptions{}))
	ctx, cancel := context.WithTimeout(s.ctx, 60*time.Second)
	defer cancel()
	watcher := must(watch.NewRetryWatcherWithContext(ctx, made.ResourceVersion, &cache.ListWatch{WatchFuncWithContext: deployments.Watch}))
	for event := range watcher.ResultChan() {
		if deployment, is := event.Object.(*appsv1.Deployment); is && deployment.Status.ReadyReplicas == 2 {
			watcher.Stop()
			break
		}
	}
	scale := must(deployments.GetScale(s.ctx, "web", metav1.GetOptions{}))
	want(scale.Spec.Replicas == 2 && scale.Status.Selector == "app=web", "scale: %v", scale)
	pods := must(s.client.CoreV1().Pods(s.namespace).List(s.ctx, metav1.ListOptions{LabelSelector: "app=web", FieldSelector: "status.phase=Running"}))
	want(len(pods.Items) >= 2, "%d pods", len(pods.Items))
	return pods.Items[0].Name
}

func (s *suite) streams() {
	pod := s.workload()
	request := s.client.CoreV1().RESTClient().Post().Resource("pods").Namespace(s.namespace).Name(pod).SubResource("exec").VersionedParams(&corev1.PodExecOptions{
		Command: []string{"/bin/sh", "-c", "/bin/busybox cat; echo err >&2; exit 4"}, Stdin: true, Stdout: true, Stderr: true}, scheme.ParameterCodec)
	for name, executor := range map[string]remotecommand.Executor{
		"SPDY":      must(remotecommand.NewSPDYExecutor(s.config, "POST", request.URL())),
		"WebSocket": must(remotecommand.NewWebSocketExecutor(s.config, "GET", request.URL().String())),
	} {
		var out, errs bytes.Buffer
		text := strings.Repeat("0123456789abcdef", 20000)
		err := executor.StreamWithContext(s.ctx, remotecommand.StreamOptions{Stdin: strings.NewReader(text), Stdout: &out, Stderr: &errs})
		code, is := err.(interface{ ExitStatus() int })
		want(is && code.ExitStatus() == 4, "%s: %v", name, err)
		want(out.String() == text && errs.String() == "err\n", "%s: %d bytes, %q", name, out.Len(), errs.String())
	}
	logs := must(s.client.CoreV1().Pods(s.namespace).GetLogs(pod, &corev1.PodLogOptions{}).DoRaw(s.ctx))
	want(bytes.Contains(logs, []byte("listening")), "logs: %s", logs)
	transport, upgrader, err := spdy.RoundTripperFor(s.config)
	check(err)
	url := s.client.CoreV1().RESTClient().Post().Resource("pods").Namespace(s.namespace).Name(pod).SubResource("portforward").URL()
	tunnel := must(portforward.NewSPDYOverWebsocketDialer(url, s.config))
	for name, dialer := range map[string]httpstream.Dialer{"SPDY": spdy.NewDialer(upgrader, &http.Client{Transport: transport}, "POST", url), "WebSocket": tunnel} {
		stop, ready := make(chan struct{}), make(chan struct{})
		forwarder := must(portforward.New(dialer, []string{"0:8080"}, stop, ready, io.Discard, os.Stderr))
		go func() { _ = forwarder.ForwardPorts() }()
		<-ready
		local := must(forwarder.GetPorts())[0].Local
		for range 5 {
			answer := must(http.Get(fmt.Sprintf("http://127.0.0.1:%d/", local)))
			body := must(io.ReadAll(answer.Body))
			want(string(body) == "web v1 "+pod+"\n", "%s: %q", name, body)
		}
		close(stop)
	}
	check(s.client.CoreV1().Pods(s.namespace).EvictV1(s.ctx, &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Name: pod}}))
}

func (s *suite) remove() {
	foreground := metav1.DeletePropagationForeground
	check(s.client.AppsV1().Deployments(s.namespace).Delete(s.ctx, "web", metav1.DeleteOptions{PropagationPolicy: &foreground}))
	check(s.client.CoreV1().Namespaces().Delete(s.ctx, s.namespace, metav1.DeleteOptions{}))
}

func run(contentType string) {
	s := &suite{ctx: context.Background(), namespace: "go-" + contentType[strings.LastIndexAny(contentType, "/.")+1:]}
	s.config = must(clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG")))
	s.config.QPS = -1
	typed := rest.CopyConfig(s.config)
	typed.ContentType = contentType
	s.client = must(kubernetes.NewForConfig(typed))
	version := must(s.client.Discovery().ServerVersion())
	want(version.Major == "1", "version: %v", version)
	want(len(must(s.client.Discovery().ServerPreferredResources())) > 10, "few resources")
	must(s.client.Discovery().OpenAPISchema())
	for _, test := range []struct {
		name string
		run  func()
	}{{"objects", s.objects}, {"applies", s.applies}, {"informers", s.informers}, {"dynamics", s.dynamics}, {"pages", s.pages}, {"election", s.election}, {"streams", s.streams}, {"remove", s.remove}} {
		fmt.Println("#", contentType, test.name)
		test.run()
	}
}

func main() {
	run("application/json")
	run("application/vnd.kubernetes.protobuf")
}

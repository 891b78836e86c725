// The programs of cert-manager, from its packages: the modules that their own main functions are in cannot be had from the
// proxy. The first argument says which one; the others are its flags, those that our manifests have and those of a
// process. A flag that is not here is refused.
package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/pflag"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apiext "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	kscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	logsapi "k8s.io/component-base/logs/api/v1"
	apireg "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	injectorconfig "github.com/cert-manager/cert-manager/internal/apis/config/cainjector"
	injectordefaults "github.com/cert-manager/cert-manager/internal/apis/config/cainjector/scheme"
	controllerconfig "github.com/cert-manager/cert-manager/internal/apis/config/controller"
	controllerdefaults "github.com/cert-manager/cert-manager/internal/apis/config/controller/scheme"
	versioned "github.com/cert-manager/cert-manager/internal/apis/config/controller/v1alpha1"
	"github.com/cert-manager/cert-manager/internal/webhook"
	"github.com/cert-manager/cert-manager/pkg/acme/accounts"
	injectorv1alpha1 "github.com/cert-manager/cert-manager/pkg/apis/config/cainjector/v1alpha1"
	controllerv1alpha1 "github.com/cert-manager/cert-manager/pkg/apis/config/controller/v1alpha1"
	cmscheme "github.com/cert-manager/cert-manager/pkg/client/clientset/versioned/scheme"
	"github.com/cert-manager/cert-manager/pkg/controller"
	"github.com/cert-manager/cert-manager/pkg/controller/cainjector"
	_ "github.com/cert-manager/cert-manager/pkg/issuer/acme"
	_ "github.com/cert-manager/cert-manager/pkg/issuer/ca"
	_ "github.com/cert-manager/cert-manager/pkg/issuer/selfsigned"
	_ "github.com/cert-manager/cert-manager/pkg/issuer/vault"
	_ "github.com/cert-manager/cert-manager/pkg/issuer/venafi"
	logf "github.com/cert-manager/cert-manager/pkg/logs"
	"github.com/cert-manager/cert-manager/pkg/metrics"
	"github.com/cert-manager/cert-manager/pkg/util"
	webhookoptions "github.com/cert-manager/cert-manager/pkg/webhook/options"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	log := logf.Log
	ctrl.SetLogger(log)
	ctx = logf.NewContext(ctx, log)
	programs := map[string]func(context.Context, *pflag.FlagSet, []string) error{
		"controller": runController, "webhook": runWebhook, "cainjector": runInjector,
	}
	if len(os.Args) < 2 || programs[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "the first argument is controller, webhook or cainjector")
		os.Exit(64)
	}
	flags := pflag.NewFlagSet(os.Args[1], pflag.ExitOnError)
	if err := programs[os.Args[1]](ctx, flags, os.Args[2:]); err != nil && ctx.Err() == nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// Its own defaults, and over them the flags.
func defaults[V, C runtime.Object](scheme *runtime.Scheme, given V, config C) error {
	scheme.Default(given)
	return scheme.Convert(given, config, nil)
}

func parse(flags *pflag.FlagSet, logging *logsapi.LoggingConfiguration, arguments []string) error {
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	return logf.ValidateAndApply(logging)
}

func runWebhook(ctx context.Context, flags *pflag.FlagSet, arguments []string) error {
	config, err := webhookoptions.NewWebhookConfiguration()
	if err != nil {
		return err
	}
	webhookoptions.AddConfigFlags(flags, config)
	if err := parse(flags, &config.Logging, arguments); err != nil {
		return err
	}
	server, err := webhook.NewCertManagerWebhookServer(logf.FromContext(ctx), *config)
	if err != nil {
		return err
	}
	return server.Run(ctx)
}

func runInjector(ctx context.Context, flags *pflag.FlagSet, arguments []string) error {
	scheme, _, err := injectordefaults.NewSchemeAndCodecs()
	if err != nil {
		return err
	}
	config := &injectorconfig.CAInjectorConfiguration{}
	if err := defaults(scheme, &injectorv1alpha1.CAInjectorConfiguration{}, config); err != nil {
		return err
	}
	election := &config.LeaderElectionConfig
	flags.StringVar(&config.KubeConfig, "kubeconfig", "", "")
	flags.StringVar(&election.Namespace, "leader-election-namespace", election.Namespace, "")
	flags.StringVar(&config.MetricsListenAddress, "metrics-listen-address", config.MetricsListenAddress, "")
	logf.AddFlags(&config.Logging, flags)
	if err := parse(flags, &config.Logging, arguments); err != nil {
		return err
	}
	rest, err := clientcmd.BuildConfigFromFlags("", config.KubeConfig)
	if err != nil {
		return err
	}
	kinds := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		kscheme.AddToScheme, cmscheme.AddToScheme, apiext.AddToScheme, apireg.AddToScheme,
	} {
		if err := add(kinds); err != nil {
			return err
		}
	}
	manager, err := ctrl.NewManager(util.RestConfigWithUserAgent(rest, "cainjector"), ctrl.Options{
		Scheme: kinds,
		// As upstream has it: what is not watched may not be read from memory, and Secrets never are.
		Cache:                      cache.Options{ReaderFailOnMissingInformer: true},
		Client:                     client.Options{Cache: &client.CacheOptions{DisableFor: []client.Object{&corev1.Secret{}}}},
		LeaderElection:             election.Enabled,
		LeaderElectionNamespace:    election.Namespace,
		LeaderElectionID:           "cert-manager-cainjector-leader-election",
		LeaderElectionResourceLock: resourcelock.LeasesResourceLock,
		LeaseDuration:              &election.LeaseDuration,
		RenewDeadline:              &election.RenewDeadline,
		RetryPeriod:                &election.RetryPeriod,
		Metrics:                    metricsserver.Options{BindAddress: config.MetricsListenAddress},
	})
	if err != nil {
		return err
	}
	injected := config.EnableInjectableConfig
	if err := cainjector.RegisterAllInjectors(ctx, manager, cainjector.SetupOptions{
		EnableCertificatesDataSource: config.EnableDataSourceConfig.Certificates,
		EnabledReconcilersFor: map[string]bool{
			cainjector.MutatingWebhookConfigurationName:   injected.MutatingWebhookConfigurations,
			cainjector.ValidatingWebhookConfigurationName: injected.ValidatingWebhookConfigurations,
			cainjector.APIServiceName:                     injected.APIServices,
			cainjector.CustomResourceDefinitionName:       injected.CustomResourceDefinitions,
		},
	}); err != nil {
		return err
	}
	return manager.Start(ctx)
}

func runController(ctx context.Context, flags *pflag.FlagSet, arguments []string) error {
	scheme, _, err := controllerdefaults.NewSchemeAndCodecs()
	if err != nil {
		return err
	}
	config := &controllerconfig.ControllerConfiguration{}
	if err := defaults(scheme, &controllerv1alpha1.ControllerConfiguration{}, config); err != nil {
		return err
	}
	election, http01, dns01 := &config.LeaderElectionConfig, &config.ACMEHTTP01Config, &config.ACMEDNS01Config
	flags.StringVar(&config.KubeConfig, "kubeconfig", "", "")
	flags.StringVar(&config.ClusterResourceNamespace, "cluster-resource-namespace", config.ClusterResourceNamespace, "")
	flags.StringVar(&election.Namespace, "leader-election-namespace", election.Namespace, "")
	flags.StringVar(&http01.SolverImage, "acme-http01-solver-image", http01.SolverImage, "")
	flags.IntVar(&config.MaxConcurrentChallenges, "max-concurrent-challenges", config.MaxConcurrentChallenges, "")
	flags.StringSliceVar(&dns01.RecursiveNameservers, "dns01-recursive-nameservers", dns01.RecursiveNameservers, "")
	flags.BoolVar(&dns01.RecursiveNameserversOnly, "dns01-recursive-nameservers-only", dns01.RecursiveNameserversOnly, "")
	logf.AddFlags(&config.Logging, flags)
	if err := parse(flags, &config.Logging, arguments); err != nil {
		return err
	}
	if base := os.Getenv("CLOUDFLARE_BASE_URL"); base != "" {
		if http.DefaultTransport, err = newElsewhere(base); err != nil {
			return err
		}
	}
	options, err := contextOptions(ctx, config)
	if err != nil {
		return err
	}
	factory, err := controller.NewContextFactory(ctx, options)
	if err != nil {
		return err
	}
	root, err := factory.Build("leader-election")
	if err != nil {
		return err
	}
	hostname, err := os.Hostname()
	if err != nil {
		return err
	}
	lock := &resourcelock.LeaseLock{
		LeaseMeta:  metav1.ObjectMeta{Namespace: election.Namespace, Name: "cert-manager-controller"},
		Client:     root.Client.CoordinationV1(),
		LockConfig: resourcelock.ResourceLockConfig{Identity: hostname + "-external-cert-manager-controller", EventRecorder: root.Recorder},
	}
	failed := make(chan error, 1)
	go leaderelection.RunOrDie(ctx, leaderelection.LeaderElectionConfig{
		Lock:          lock,
		LeaseDuration: election.LeaseDuration,
		RenewDeadline: election.RenewDeadline,
		RetryPeriod:   election.RetryPeriod,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(ctx context.Context) { failed <- control(ctx, factory, config) },
			OnStoppedLeading: func() { failed <- errors.New("somebody else leads now") },
		},
	})
	return <-failed
}

// All controllers that are on by default, until one of them fails.
func control(ctx context.Context, factory *controller.ContextFactory, config *controllerconfig.ControllerConfiguration) error {
	root, err := factory.Build()
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	for _, name := range versioned.DefaultEnabledControllers {
		made, err := controller.Known()[name](factory)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		group.Go(func() error { return made.Run(config.NumberOfConcurrentWorkers, ctx) })
	}
	root.SharedInformerFactory.Start(ctx.Done())
	root.KubeSharedInformerFactory.Start(ctx.Done())
	root.HTTP01ResourceMetadataInformersFactory.Start(ctx.Done())
	return group.Wait()
}

func contextOptions(ctx context.Context, config *controllerconfig.ControllerConfiguration) (controller.ContextOptions, error) {
	http01, dns01, shim := config.ACMEHTTP01Config, config.ACMEDNS01Config, config.IngressShimConfig
	quantities := map[string]resource.Quantity{}
	for _, text := range []string{
		http01.SolverResourceRequestCPU, http01.SolverResourceRequestMemory,
		http01.SolverResourceLimitsCPU, http01.SolverResourceLimitsMemory,
	} {
		quantity, err := resource.ParseQuantity(text)
		if err != nil {
			return controller.ContextOptions{}, err
		}
		quantities[text] = quantity
	}
	return controller.ContextOptions{
		Kubeconfig:         config.KubeConfig,
		KubernetesAPIQPS:   config.KubernetesAPIQPS,
		KubernetesAPIBurst: config.KubernetesAPIBurst,
		Clock:              clock.RealClock{},
		Metrics:            metrics.New(logf.FromContext(ctx), clock.RealClock{}),
		IssuerOptions: controller.IssuerOptions{
			ClusterResourceNamespace:        config.ClusterResourceNamespace,
			ClusterIssuerAmbientCredentials: config.ClusterIssuerAmbientCredentials,
			IssuerAmbientCredentials:        config.IssuerAmbientCredentials,
		},
		ACMEOptions: controller.ACMEOptions{
			HTTP01SolverImage:                 http01.SolverImage,
			HTTP01SolverResourceRequestCPU:    quantities[http01.SolverResourceRequestCPU],
			HTTP01SolverResourceRequestMemory: quantities[http01.SolverResourceRequestMemory],
			HTTP01SolverResourceLimitsCPU:     quantities[http01.SolverResourceLimitsCPU],
			HTTP01SolverResourceLimitsMemory:  quantities[http01.SolverResourceLimitsMemory],
			ACMEHTTP01SolverRunAsNonRoot:      http01.SolverRunAsNonRoot,
			HTTP01SolverNameservers:           http01.SolverNameservers,
			DNS01CheckAuthoritative:           !dns01.RecursiveNameserversOnly,
			DNS01Nameservers:                  dns01.RecursiveNameservers,
			DNS01CheckRetryPeriod:             dns01.CheckRetryPeriod,
			AccountRegistry:                   accounts.NewDefaultRegistry(),
		},
		IngressShimOptions: controller.IngressShimOptions{
			DefaultIssuerName:                 shim.DefaultIssuerName,
			DefaultIssuerKind:                 shim.DefaultIssuerKind,
			DefaultIssuerGroup:                shim.DefaultIssuerGroup,
			DefaultAutoCertificateAnnotations: shim.DefaultAutoCertificateAnnotations,
			ExtraCertificateAnnotations:       shim.ExtraCertificateAnnotations,
		},
		CertificateOptions: controller.CertificateOptions{
			EnableOwnerRef:           config.EnableCertificateOwnerRef,
			CopiedAnnotationPrefixes: config.CopiedAnnotationPrefixes,
		},
		SchedulerOptions: controller.SchedulerOptions{MaxConcurrentChallenges: config.MaxConcurrentChallenges},
	}, nil
}

// Sends what is for Cloudflare elsewhere: cert-manager has no setting for it, and uses the transport that all share.
type elsewhere struct {
	base *url.URL
	rest http.RoundTripper
}

func newElsewhere(base string) (http.RoundTripper, error) {
	parsed, err := url.Parse(base)
	return elsewhere{base: parsed, rest: http.DefaultTransport}, err
}

func (to elsewhere) RoundTrip(request *http.Request) (*http.Response, error) {
	const prefix = "/client/v4"
	if request.URL.Host == "api.cloudflare.com" && strings.HasPrefix(request.URL.Path, prefix) {
		request = request.Clone(request.Context())
		request.URL.Scheme, request.URL.Host, request.Host = to.base.Scheme, to.base.Host, to.base.Host
		request.URL.Path = to.base.Path + strings.TrimPrefix(request.URL.Path, prefix)
	}
	return to.rest.RoundTrip(request)
}

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-ml/sluice/internal/config"
)

// admin is the HTTP server beside the work: health, metrics, model metadata and
// the status page. It listens before the model is loaded, so that a slow start
// is alive, not ready. Safe for concurrent use; a nil admin is off.
type admin struct {
	cfg      *config.Config
	metrics  http.Handler
	began    time.Time
	running  atomic.Pointer[service] // nil until everything is wired
	draining atomic.Bool
	history  *history

	servers   []*http.Server
	listeners []net.Listener
	serving   sync.WaitGroup
	stop      context.CancelFunc
}

// startAdmin listens on admin.listen and admin.health_listen.
func startAdmin(ctx context.Context, s *service) (*admin, error) {
	a := &admin{cfg: s.cfg, metrics: s.providers.MetricsHandler(), began: time.Now(), history: newHistory()}
	for _, l := range []struct {
		key, address, name string
		handler            http.Handler
	}{
		{"admin.listen", s.cfg.Admin.Listen, "admin listening", a.routes()},
		{"admin.health_listen", s.cfg.Admin.HealthListen, "health listening", a.healthRoutes()},
	} {
		if l.address == "" {
			continue
		}
		listener, err := a.listen(ctx, l.address, l.handler)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("%s: listen on %s: %w; choose another address, port 0 for a free one, or \"\" for none", l.key, l.address, err), a.close(ctx))
		}
		s.log.Info(l.name, "addr", listener.Addr().String())
	}
	watching, stop := context.WithCancel(context.WithoutCancel(ctx))
	a.stop = stop
	a.serving.Go(func() { a.watch(watching) }) // ends with close
	return a, nil
}

func (a *admin) listen(ctx context.Context, address string, handler http.Handler) (net.Listener, error) {
	var lc net.ListenConfig
	listener, err := lc.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	server := &http.Server{
		Handler: handler, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second,
		WriteTimeout: 30 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
	}
	a.servers, a.listeners = append(a.servers, server), append(a.listeners, listener)
	a.serving.Go(func() { // ends with close
		_ = server.Serve(listener) // ErrServerClosed; an error of accept ends the page, not the work
	})
	return listener, nil
}

// addr is where admin.listen ended up, "" when it is off.
func (a *admin) addr() string {
	if a == nil || a.cfg.Admin.Listen == "" || len(a.listeners) == 0 {
		return ""
	}
	return a.listeners[0].Addr().String()
}

// serve begins to answer for a service that is wired.
func (a *admin) serve(s *service) { a.running.Store(s) }

// drain makes it unready from now on.
func (a *admin) drain() { a.draining.Store(true) }

// close ends the servers; a slow reader is cut.
func (a *admin) close(ctx context.Context) error {
	var errs []error
	if a.stop != nil {
		a.stop()
	}
	for _, server := range a.servers {
		limited, cancel := context.WithTimeout(ctx, time.Second)
		if err := server.Shutdown(limited); err != nil {
			errs = append(errs, server.Close())
		}
		cancel()
	}
	a.serving.Wait()
	return errors.Join(errs...)
}

// healthRoutes is what a prober and Prometheus need.
func (a *admin) healthRoutes() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { plain(w, http.StatusOK, "ok") })
	mux.HandleFunc("GET /readyz", a.readyz)
	mux.Handle("GET /metrics", a.metrics)
	return mux
}

// routes is everything.
func (a *admin) routes() http.Handler {
	mux := a.healthRoutes()
	mux.HandleFunc("GET /v2/health/live", func(w http.ResponseWriter, _ *http.Request) { reply(w, http.StatusOK, map[string]bool{"live": true}) })
	mux.HandleFunc("GET /v2/health/ready", func(w http.ResponseWriter, _ *http.Request) {
		ready := len(a.unready(false)) == 0
		reply(w, statusOf(ready), map[string]bool{"ready": ready})
	})
	a.modelRoutes(mux)
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, r *http.Request) { reply(w, http.StatusOK, a.look(r.Context())) })
	mux.HandleFunc("GET /{$}", a.page)
	return mux
}

func statusOf(ready bool) int {
	if ready {
		return http.StatusOK
	}
	return http.StatusServiceUnavailable
}

// readyz is 200 while the service consumes; ?strict=1 also wants no stopped
// partition.
func (a *admin) readyz(w http.ResponseWriter, r *http.Request) {
	strict := r.URL.Query().Get("strict")
	reasons := a.unready(strict != "" && strict != "0" && strict != "false")
	reply(w, statusOf(len(reasons) == 0), map[string]any{"ready": len(reasons) == 0, "reasons": reasons})
}

// unready says why the service is not ready; empty when it is. A rebalance is
// no reason: it passes, and a fleet must not be taken out for it.
func (a *admin) unready(strict bool) []string {
	reasons := []string{}
	s := a.running.Load()
	switch {
	case a.draining.Load():
		return append(reasons, "draining")
	case s == nil:
		return append(reasons, "starting: the model or the topics are not there yet")
	}
	status := s.source.Status()
	switch {
	case status.Error != "":
		reasons = append(reasons, status.Error)
	case !status.Joined && !a.history.joinedWithin(a.cfg.Input.RebalanceTimeout):
		reasons = append(reasons, "not in group "+status.Group)
	}
	if strict {
		for _, p := range status.Stopped {
			reasons = append(reasons, fmt.Sprintf("%s/%d stopped: %s", p.Topic, p.Partition, p.Reason))
		}
	}
	return reasons
}

// watch samples once a second.
func (a *admin) watch(ctx context.Context) {
	ticker := time.NewTicker(sampleEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			if s := a.running.Load(); s != nil {
				a.history.add(now, s.pipeline.Counts(), s.source.Status().Joined)
			}
		}
	}
}

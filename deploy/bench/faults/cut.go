package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"

	"github.com/sluice-ml/sluice/deploy/bench/lab"
	"github.com/sluice-ml/sluice/deploy/bench/proxy"
)

// proxied names the listener that advertises the port above its own.
const proxied = "KAFKA_PROXIED_BROKERS"

// openProxy puts the run's processes behind a proxy; the load and the checker stay
// with the broker. The returned function ends it.
func (r *run) openProxy(ctx context.Context) (end func() error, err error) {
	broker := os.Getenv(proxied)
	host, port, err := net.SplitHostPort(broker)
	if err != nil { // none, or several: leaders would be found past the proxy
		return nil, fmt.Errorf("%s=%q: this kind needs one broker of deploy/kafka/broker.sh, which has a listener for a proxy", proxied, broker)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		return nil, fmt.Errorf("%s=%q: %w", proxied, broker, err)
	}
	addr := net.JoinHostPort(host, strconv.Itoa(n+1))
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	r.proxy = proxy.New(listener, func(ctx context.Context) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", broker)
	})
	serving, cancel := context.WithCancel(context.WithoutCancel(ctx))
	served := make(chan error, 1)
	go func() { served <- r.proxy.Serve(serving) }() // ends with serving
	r.setup.Sets = append(r.setup.Sets, "kafka.brokers="+addr)
	return func() error { cancel(); return <-served }, nil
}

// cut makes the next fault of the seed's plan, for as long as it lasts.
func (r *run) cut(ctx context.Context) error {
	f := r.plan.Next()
	r.faults = append(r.faults, f.String())
	r.proxy.Set(f)
	err := lab.Pause(ctx, f.For)
	r.proxy.Set(proxy.Fault{})
	return err
}

// behindProxy runs f with the proxy where the kind has one.
func (r *run) behindProxy(ctx context.Context, f func() error) error {
	if !r.harm.proxied {
		return f()
	}
	end, err := r.openProxy(ctx)
	if err != nil {
		return err
	}
	return errors.Join(f(), end())
}

package kafkawire

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// silent makes the cluster read requests of an API and never answer.
func silent(cluster *kfake.Cluster, api apiKey) {
	cluster.ControlKey(int16(api), func(kmsg.Request) (kmsg.Response, error, bool) { return nil, nil, true })
}

func TestASilentBrokerEndsAtTheDeadline(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, func(t *testing.T, cluster *kfake.Cluster, c *Client) {
		t.Helper()
		node := leaderOf(t, c)
		silent(cluster, apiFetch)
		start := time.Now()
		_, err := fetchOnce(context.WithoutCancel(t.Context()), c, node)
		var cut *NetError
		if !errors.As(err, &cut) || !errors.Is(err, context.DeadlineExceeded) || cut.Node != node || cut.API != "Fetch" {
			t.Fatalf("error %v", err)
		}
		if d := time.Since(start); d != defaultRequestTimeout+time.Second {
			t.Fatalf("after %v", d)
		}
		if code := produceOne(t.Context(), t, c, node); code != ErrNone {
			t.Fatal(code)
		}
		if res, err := fetchOnce(t.Context(), c, node); err != nil || len(res.Partitions) != 1 {
			t.Fatalf("the next fetch: %+v, %v", res, err)
		}
	})
}

func TestASilentBrokerDoesNotHideTheOthersMetadata(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, func(t *testing.T, cluster *kfake.Cluster, c *Client) {
		t.Helper()
		for _, whose := range []string{"the pool's own first request", "ours"} {
			silent(cluster, apiMetadata)
			start := time.Now()
			if _, err := c.Metadata(t.Context(), "t"); err != nil {
				t.Fatalf("%s: %v", whose, err)
			}
			if d := time.Since(start); d > metadataAttempt+time.Second {
				t.Fatalf("%s: after %v", whose, d)
			}
		}
	})
}

func TestACancelledCallReturnsAtOnceAndLeavesItsMemoryAlone(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, func(t *testing.T, cluster *kfake.Cluster, c *Client) {
		t.Helper()
		node := leaderOf(t, c)
		silent(cluster, apiFetch)
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		start := time.Now()
		_, err := fetchOnce(ctx, c, node)
		if !errors.Is(err, context.Canceled) || errors.As(err, new(*NetError)) {
			t.Fatalf("error %v", err)
		}
		if d := time.Since(start); d != time.Second {
			t.Fatalf("after %v", d)
		}
	})
}

func TestACutConnectionIsANetErrorAndTheNextCallWorks(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, func(t *testing.T, cluster *kfake.Cluster, c *Client) {
		t.Helper()
		node := leaderOf(t, c)
		cluster.ControlKey(int16(apiFetch), func(kmsg.Request) (kmsg.Response, error, bool) {
			return nil, errors.New("cut"), true
		})
		_, err := fetchOnce(t.Context(), c, node)
		if !errors.As(err, new(*NetError)) || !errors.Is(err, io.EOF) {
			t.Fatalf("error %v", err)
		}
		if _, err := fetchOnce(t.Context(), c, node); err != nil {
			t.Fatal(err)
		}
	})
}

func TestABrokerThatJoinsLaterIsFound(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, func(t *testing.T, cluster *kfake.Cluster, c *Client) {
		t.Helper()
		leaderOf(t, c)
		node, _, err := cluster.AddNode(7, 19007)
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		if _, err := c.ApiVersions(t.Context(), node); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(start); d > time.Second {
			t.Fatalf("found after %v", d)
		}
	})
}

func TestABrokerThatLeftIsANetErrorAndItsPartitionsAreFoundElsewhere(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, func(t *testing.T, cluster *kfake.Cluster, c *Client) {
		t.Helper()
		node := leaderOf(t, c)
		if _, err := fetchOnce(t.Context(), c, node); err != nil {
			t.Fatal(err)
		}
		if err := cluster.RemoveNode(node); err != nil {
			t.Fatal(err)
		}
		cluster.ControlKey(int16(apiFetch), func(kmsg.Request) (kmsg.Response, error, bool) { // open connections live on in kfake
			return nil, errors.New("cut"), true
		})
		start := time.Now()
		var err error
		for range 3 {
			_, err = fetchOnce(t.Context(), c, node)
		}
		if !errors.As(err, new(*NetError)) || !errors.Is(err, ErrNoBroker) {
			t.Fatalf("error %v", err)
		}
		c.Forget("t")
		if got := leaderOf(t, c); got == node {
			t.Fatal("the broker that left still leads")
		}
		if d := time.Since(start); d > 2*time.Second {
			t.Fatalf("after %v", d)
		}
	})
}

func TestAnUnreachableBootstrapAddressIsPassedOver(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, func(t *testing.T, _ *kfake.Cluster, c *Client) {
		t.Helper()
		other, err := NewClient(Config{Brokers: append([]string{"localhost:1"}, c.cfg.Brokers...), Dial: c.cfg.Dial})
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close()
		if _, err := other.ClusterID(t.Context()); err != nil {
			t.Fatal(err)
		}
		nobody, _ := NewClient(Config{Brokers: []string{"localhost:1"}, Dial: c.cfg.Dial})
		defer nobody.Close()
		_, err = nobody.ClusterID(t.Context())
		if !errors.As(err, new(*NetError)) || !strings.Contains(err.Error(), "localhost:1") {
			t.Fatalf("error %v", err)
		}
	})
}

package kafkawire

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
)

// inVirtualTime runs a test with a cluster of two brokers and one topic "t" of
// one partition, all in one bubble: the bubble's end also shows that Close
// leaves no goroutine behind.
func inVirtualTime(t *testing.T, f func(t *testing.T, cluster *kfake.Cluster, c *Client), opts ...kfake.Opt) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		var network kfake.VirtualNetwork
		cluster, err := kfake.NewCluster(append([]kfake.Opt{
			kfake.NumBrokers(2), kfake.Ports(19001, 19002), kfake.ListenFn(network.Listen), kfake.SeedTopics(1, "t"),
		}, opts...)...)
		if err != nil {
			t.Fatal(err)
		}
		defer cluster.Close()
		c, err := NewClient(Config{Brokers: cluster.ListenAddrs(), Dial: network.DialContext})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		f(t, cluster, c)
	})
}

func leaderOf(t *testing.T, c *Client) int32 {
	t.Helper()
	node, _, err := c.Leader(t.Context(), "t", 0)
	if err != nil {
		t.Fatal(err)
	}
	return node
}

func fetchOnce(ctx context.Context, c *Client, node int32) (*FetchResponse, error) {
	return c.Fetch(ctx, node, &FetchRequest{
		MaxWait: time.Second, MinBytes: 1, MaxBytes: 1 << 20,
		Partitions: []FetchPartition{{Topic: "t", LeaderEpoch: -1, MaxBytes: 1 << 20}},
	})
}

func produceOne(ctx context.Context, t *testing.T, c *Client, node int32) ErrorCode {
	t.Helper()
	batch := oneBatch(t, 0)
	res, err := c.Produce(ctx, node, &ProduceRequest{Partitions: []ProducePartition{{"t", 0, [][]byte{batch}}}})
	if err != nil {
		t.Fatal(err)
	}
	return res.Partitions[0].Err
}

func TestALeaderThatMovedIsFollowed(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, func(t *testing.T, cluster *kfake.Cluster, c *Client) {
		t.Helper()
		old := leaderOf(t, c)
		if err := cluster.MoveTopicPartition("t", 0, 1-old); err != nil {
			t.Fatal(err)
		}
		if got := leaderOf(t, c); got != old {
			t.Fatalf("the cache is not used: %d", got)
		}
		if code := produceOne(t.Context(), t, c, old); code != ErrNotLeader {
			t.Fatalf("produce at the old leader: %v", code)
		}
		c.Forget("t")
		if got := leaderOf(t, c); got == old {
			t.Fatal("still the old leader")
		}
		if code := produceOne(t.Context(), t, c, 1-old); code != ErrNone {
			t.Fatalf("produce at the new leader: %v", code)
		}
	})
}

func TestForgettingALeaderAsksAtMostEvery250ms(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, func(t *testing.T, cluster *kfake.Cluster, c *Client) {
		t.Helper()
		var asks atomic.Int32
		cluster.ControlKey(int16(apiMetadata), func(r kmsg.Request) (kmsg.Response, error, bool) {
			cluster.KeepControl()
			if len(r.(*kmsg.MetadataRequest).Topics) > 0 {
				asks.Add(1)
			}
			return nil, nil, false
		})
		start := time.Now()
		for range 5 {
			c.Forget("t")
			leaderOf(t, c)
		}
		if n := asks.Load(); n != 5 {
			t.Fatalf("%d asks", n)
		}
		if d := time.Since(start); d < 4*askInterval {
			t.Fatalf("5 asks in %v", d)
		}
	})
}

func TestCallersWhoWaitForTheSameTopicShareOneAsk(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, func(t *testing.T, cluster *kfake.Cluster, c *Client) {
		t.Helper()
		var asks atomic.Int32
		cluster.ControlKey(int16(apiMetadata), func(r kmsg.Request) (kmsg.Response, error, bool) {
			cluster.KeepControl()
			if len(r.(*kmsg.MetadataRequest).Topics) > 0 {
				asks.Add(1)
			}
			return nil, nil, false
		})
		done := make(chan error, 50)
		for range cap(done) {
			go func() {
				_, _, err := c.Leader(t.Context(), "t", 0)
				done <- err
			}()
		}
		for range cap(done) {
			if err := <-done; err != nil {
				t.Fatal(err)
			}
		}
		if n := asks.Load(); n != 1 {
			t.Fatalf("%d asks", n)
		}
	})
}

func TestAThrottledFetchWaitsAndAHeartbeatDoesNot(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, func(t *testing.T, cluster *kfake.Cluster, c *Client) {
		t.Helper()
		node := leaderOf(t, c)
		cluster.ControlKey(int16(apiFetch), func(r kmsg.Request) (kmsg.Response, error, bool) {
			res := r.ResponseKind().(*kmsg.FetchResponse)
			res.ThrottleMillis = 20_000 // longer than the request's own timeout
			return res, nil, true
		})
		res, err := fetchOnce(t.Context(), c, node)
		if err != nil || res.Throttle != 20*time.Second {
			t.Fatalf("%+v, %v", res, err)
		}
		start := time.Now()
		if err := c.Heartbeat(t.Context(), node, "g", 1, "m", ""); errors.As(err, new(*NetError)) {
			t.Fatal(err)
		}
		if d := time.Since(start); d > time.Second {
			t.Fatalf("the heartbeat waited %v", d)
		}
		if _, err := fetchOnce(t.Context(), c, node); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(start); d < 20*time.Second {
			t.Fatalf("the next fetch went out after %v", d)
		}
	})
}

func TestARecreatedTopicIsNoticedByItsID(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, func(t *testing.T, cluster *kfake.Cluster, c *Client) {
		t.Helper()
		m, err := c.Metadata(t.Context(), "t")
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(cluster.DeleteTopic("t"), cluster.CreateTopic("t", 1, nil)); err != nil {
			t.Fatal(err)
		}
		c.Forget("t")
		res, err := c.Fetch(t.Context(), leaderOf(t, c), &FetchRequest{MinBytes: 1, MaxBytes: 1 << 20, Partitions: []FetchPartition{
			{Topic: "t", TopicID: m.Topic("t").ID, LeaderEpoch: -1, MaxBytes: 1 << 20},
		}})
		if err != nil || res.Err != ErrUnknownTopicID && res.Partitions[0].Err != ErrUnknownTopicID {
			t.Fatalf("%+v, %v", res, err)
		}
	})
}

func TestAnOldBrokerIsNamedWithWhatItOffers(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, func(t *testing.T, _ *kfake.Cluster, c *Client) {
		t.Helper()
		node := leaderOf(t, c)
		_, err := fetchOnce(t.Context(), c, node)
		var old *UnsupportedError
		if !errors.Is(err, ErrUnsupportedVersion) || !errors.As(err, &old) || old.API != "Fetch" || old.BrokerMax != 11 {
			t.Fatalf("error %v", err)
		}
	}, kfake.MaxVersions(kversion.V2_4_0()))
}

func TestBrokerAddressesAreChecked(t *testing.T) {
	t.Parallel()
	for _, bad := range [][]string{nil, {""}, {"host"}, {"a:1,b:2"}, {"host:0"}, {"host:70000"}, {":9092"}, {"a:1", "host:x"}} {
		if c, err := NewClient(Config{Brokers: bad}); err == nil || c != nil {
			t.Errorf("%q is accepted", bad)
		}
	}
	for _, good := range []string{"host:9092", "127.0.0.1:1", "[::1]:9092"} {
		if _, err := NewClient(Config{Brokers: []string{good}}); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
}

func TestAClosedClientSaysSo(t *testing.T) {
	t.Parallel()
	c, err := NewClient(Config{Brokers: []string{"localhost:1"}})
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	if _, err := c.Metadata(t.Context()); !errors.Is(err, ErrClosed) {
		t.Fatalf("error %v", err)
	}
}

// A call may have its peer already when another call's failure discards it, or
// Close does: what its round trip opens must be closed again (the bubble's end
// would find the goroutine of the connection pool).
func TestALateRoundTripLeavesNoConnections(t *testing.T) {
	t.Parallel()
	ask := &request{api: apiMetadata, encode: func(w *wireWriter) { encodeMetadata(w, nil, false) }}
	for name, end := range map[string]func(c *Client, p *peer){
		"discarded": func(c *Client, p *peer) { c.discard(p) },
		"retired":   func(c *Client, _ *peer) { c.cfg.Brokers = nil; c.retire(map[string]bool{}) },
		"closed":    func(c *Client, _ *peer) { c.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inVirtualTime(t, func(t *testing.T, _ *kfake.Cluster, c *Client) {
				t.Helper()
				p, err := c.anyPeer(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if _, err := c.call(t.Context(), p, ask); err != nil {
					t.Fatal(err)
				}
				end(c, p)
				_, err = c.call(t.Context(), p, ask)
				if wantClosed := name == "closed"; errors.Is(err, ErrClosed) != wantClosed || err != nil && !wantClosed {
					t.Errorf("a call that had its peer before: %v", err)
				}
			})
		})
	}
}

// One leader is silent: the answer of the other does not wait for it.
func TestListOffsetsDoesNotWaitForASilentLeader(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, func(t *testing.T, cluster *kfake.Cluster, c *Client) {
		t.Helper()
		const partitions = 10
		if err := cluster.CreateTopic("many", partitions, nil); err != nil {
			t.Fatal(err)
		}
		var asks []OffsetAsk
		healthy := 0
		silentNode := leaderOf(t, c)
		for p := range int32(partitions) {
			asks = append(asks, OffsetAsk{"many", p, LatestOffset})
			if node, _, err := c.Leader(t.Context(), "many", p); err != nil {
				t.Fatal(err)
			} else if node != silentNode {
				healthy++
			}
		}
		asks = append(asks, OffsetAsk{"many", partitions, LatestOffset})
		cluster.ControlKey(int16(apiListOffsets), func(kmsg.Request) (kmsg.Response, error, bool) {
			cluster.KeepControl()
			if cluster.CurrentNode() == silentNode {
				cluster.SleepControl(func() { time.Sleep(time.Minute) })
			}
			return nil, nil, false
		})
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		begin := time.Now()
		answers := make([]int, len(asks))
		c.ListOffsets(ctx, asks, true, func(i int, l ListedOffset) {
			answers[i]++
			took := time.Since(begin)
			switch node, _, _, _ := c.CachedLeader("many", asks[i].Partition); {
			case asks[i].Partition == partitions:
				if !errors.Is(l.Err, ErrUnknownTopicOrPartition) {
					t.Errorf("a partition that does not exist: %+v", l)
				}
			case node == silentNode:
				if l.Err == nil || l.Offset != -1 {
					t.Errorf("of the silent leader: %+v", l)
				}
			case l.Err != nil || l.Offset != 0 || took > time.Second:
				t.Errorf("of the healthy leader after %v: %+v", took, l)
			}
		})
		if slices.Min(answers) != 1 || slices.Max(answers) != 1 {
			t.Errorf("answers an ask: %v", answers)
		}
		if healthy == 0 || healthy == partitions {
			t.Fatalf("%d of %d partitions on the healthy broker: the test shows nothing", healthy, partitions)
		}
		time.Sleep(2 * time.Minute) // the broker's own sleep ends before the bubble does
	})
}

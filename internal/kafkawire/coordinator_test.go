package kafkawire

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestAProducerIDIsAskedForUntilTheCoordinatorHasLoaded(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, func(t *testing.T, cluster *kfake.Cluster, c *Client) {
		t.Helper()
		for _, code := range []int16{int16(ErrCoordinatorLoading), int16(ErrNotCoordinator), int16(ErrConcurrentTransactions)} {
			cluster.ControlKey(int16(apiInitProducerID), func(r kmsg.Request) (kmsg.Response, error, bool) {
				res := r.ResponseKind().(*kmsg.InitProducerIDResponse)
				res.ErrorCode, res.ProducerID, res.ProducerEpoch = code, -1, -1
				return res, nil, true
			})
		}
		pid, epoch, err := c.InitProducerID(t.Context(), "tx", time.Minute, NoProducerID, NoProducerEpoch)
		if err != nil || pid < 0 || epoch < 0 {
			t.Fatal(pid, epoch, err)
		}
	})
}

func TestAProducerIDOfMinusOneIsRefused(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, func(t *testing.T, cluster *kfake.Cluster, c *Client) {
		t.Helper()
		cluster.ControlKey(int16(apiInitProducerID), func(r kmsg.Request) (kmsg.Response, error, bool) {
			res := r.ResponseKind().(*kmsg.InitProducerIDResponse)
			res.ProducerID = -1
			return res, nil, true
		})
		if _, _, err := c.InitProducerID(t.Context(), "", 0, NoProducerID, NoProducerEpoch); !errors.Is(err, ErrMalformed) {
			t.Fatalf("error %v", err)
		}
	})
}

func TestACoordinatorIsAskedForAgainAndThenCached(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, func(t *testing.T, cluster *kfake.Cluster, c *Client) {
		t.Helper()
		var asks atomic.Int32
		cluster.ControlKey(int16(apiFindCoordinator), func(r kmsg.Request) (kmsg.Response, error, bool) {
			cluster.KeepControl()
			if asks.Add(1) > 2 {
				return nil, nil, false
			}
			res := r.ResponseKind().(*kmsg.FindCoordinatorResponse)
			res.ErrorCode, res.NodeID = int16(ErrCoordinatorNotAvailable), -1
			return res, nil, true
		})
		for range 3 {
			if node, err := c.FindCoordinator(t.Context(), "g"); err != nil || node != cluster.CoordinatorFor("g") {
				t.Fatal(node, err)
			}
		}
		if n := asks.Load(); n != 3 {
			t.Fatalf("%d asks", n)
		}
		c.ForgetCoordinator("g")
		if _, err := c.FindCoordinator(t.Context(), "g"); err != nil || asks.Load() != 4 {
			t.Fatalf("%d asks after forgetting, %v", asks.Load(), err)
		}
	})
}

func TestACommitByAnOldGenerationIsRefusedByPartition(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, func(t *testing.T, _ *kfake.Cluster, c *Client) {
		t.Helper()
		node, err := c.FindCoordinator(t.Context(), "g")
		if err != nil {
			t.Fatal(err)
		}
		offsets := []GroupOffset{{Topic: "t", Offset: 3, LeaderEpoch: -1}}
		got, err := c.OffsetCommit(t.Context(), node, &OffsetCommitRequest{Group: "g", Generation: -1, Offsets: offsets})
		if err != nil || got[0].Err != ErrNone {
			t.Fatalf("%+v, %v", got, err)
		}
		got, err = c.OffsetCommit(t.Context(), node, &OffsetCommitRequest{Group: "g", Generation: 5, MemberID: "m", Offsets: offsets})
		if err != nil || got[0].Err == ErrNone {
			t.Fatalf("%+v, %v", got, err)
		}
		back, err := c.OffsetFetch(t.Context(), "g", map[string][]int32{"t": {0}}, true)
		if err != nil || back[0].Offset != 3 {
			t.Fatalf("%+v, %v", back, err)
		}
	})
}

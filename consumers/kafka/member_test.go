package kafka

import (
	"errors"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/sluice-ml/sluice/pipeline"
)

// assigned is how many partitions a reader's source has.
func (r *reader) assigned() int { return len(r.src.Status().Partitions) }

func (r *reader) generation() int32 { return r.src.Status().Generation }

func TestSecondMemberTakesHalfAndNothingIsDoneTwice(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.topic(4)
		w.produce(4, 100)
		a := w.reader(w.config())
		w.until(5*time.Second, "first half", func() bool { return a.count() == 400 })

		b := w.reader(w.config())
		w.until(10*time.Second, "two and two", func() bool { return a.assigned() == 2 && b.assigned() == 2 })
		var recs []*kgo.Record
		for p := range int32(4) {
			recs = append(recs, &kgo.Record{Topic: "in", Partition: p, Value: []byte("late")})
		}
		w.send(recs...)
		w.until(5*time.Second, "late records", func() bool { return a.values()["late"]+b.values()["late"] == 4 })

		if b.values()["late"] != 2 {
			w.Errorf("the second member got %d of 4 late records, want 2", b.values()["late"])
		}
		w.wantAll(4, 100, 1, a, b)
	})
}

func TestLeavingMemberHandsOverAtOnce(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.topic(4)
		a, b := w.reader(w.config()), w.reader(w.config())
		w.until(20*time.Second, "two and two", func() bool { return a.assigned() == 2 && b.assigned() == 2 })

		b.close(true)
		began := time.Now()
		w.until(10*time.Second, "all four", func() bool { return a.assigned() == 4 })

		if took := time.Since(began); took > 4*time.Second {
			w.Errorf("took %v: longer than a heartbeat", took)
		}
	})
}

func TestStaticMemberKeepsItsGenerationOverARestart(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.topic(2)
		cfg := w.config()
		cfg.Instance = "one"
		first := w.reader(cfg)
		w.until(5*time.Second, "joined", func() bool { return first.assigned() == 2 })
		generation := first.generation()
		first.close(false)

		w.produce(2, 10)
		second := w.reader(cfg)
		w.until(5*time.Second, "its records", func() bool { return second.count() == 20 })

		if second.generation() != generation {
			w.Errorf("generation %d became %d", generation, second.generation())
		}
	})
}

func TestRestartedStaticLeaderSeesPartitionsAddedMeanwhile(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.topic(2)
		cfg := w.config()
		cfg.Instance, cfg.Start = "one", StartLatest
		first := w.reader(cfg)
		w.until(5*time.Second, "joined", func() bool { return first.assigned() == 2 })
		first.close(false)
		if _, err := w.admin.UpdatePartitions(w.Context(), 3, "in"); err != nil {
			w.Fatal(err)
		}
		time.Sleep(time.Second)
		w.produce(3, 1)

		second := w.reader(cfg)

		w.until(20*time.Second, "the record of the third partition", func() bool { return second.values()["2/0"] == 1 })
	})
}

func TestSecondProcessOfOneNameEndsTheFirst(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.topic(2)
		cfg := w.config()
		cfg.Instance = "one"
		a := w.reader(cfg)
		w.until(5*time.Second, "joined", func() bool { return a.assigned() == 2 })

		w.reader(cfg)

		<-a.ended
		if !errors.Is(a.err, ErrReplaced) {
			w.Errorf("Receive: %v, want ErrReplaced", a.err)
		}
	})
}

func TestSessionTimeoutTheBrokerRefusesIsAConfigurationError(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.topic(1)
		r := w.reader(w.config())
		<-r.ended
		if !errors.Is(r.err, ErrConfiguration) {
			w.Errorf("Receive: %v, want ErrConfiguration", r.err)
		}
	}, kfake.GroupMinSessionTimeout(time.Minute))
}

func TestCoordinatorTroubleKeepsTheGeneration(t *testing.T) {
	t.Parallel()
	for _, code := range []*kerr.Error{kerr.NotCoordinator, kerr.CoordinatorLoadInProgress, kerr.CoordinatorNotAvailable} {
		t.Run(code.Message, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(w *world) {
				w.topic(2)
				r := w.reader(w.config())
				w.until(5*time.Second, "joined", func() bool { return r.assigned() == 2 })
				generation := r.generation()

				h := w.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Heartbeat, kmsg.OffsetCommit}, Err: code, Count: 8})
				w.produce(2, 10)
				w.until(30*time.Second, "records", func() bool { return r.count() == 20 })
				w.until(30*time.Second, "commits", func() bool { return w.committed(0) == 10 && w.committed(1) == 10 })

				if h.Hits() == 0 {
					w.Error("no fault was met")
				}
				if r.generation() != generation {
					w.Errorf("generation %d became %d", generation, r.generation())
				}
			})
		})
	}
}

func TestExpelledMemberClosesItsPartitionsAndRejoins(t *testing.T) {
	t.Parallel()
	for _, code := range []*kerr.Error{kerr.UnknownMemberID, kerr.IllegalGeneration} {
		t.Run(code.Message, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(w *world) {
				w.topic(1)
				w.produce(1, 10)
				r := w.reader(w.config(), func(r *reader) { r.hold = func(*pipeline.Item) bool { return true } })
				w.until(5*time.Second, "records in hand", func() bool { return r.count() == 10 })

				w.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Heartbeat}, Err: code})
				w.until(30*time.Second, "the same records again", func() bool { return r.count() == 20 })
				r.mu.Lock()
				late := r.held[:10]
				r.held = r.held[10:]
				r.mu.Unlock()
				for _, it := range late {
					it.Settle(nil) // I3: these belong to a closed epoch
				}
				time.Sleep(time.Second)
				if at := w.committed(0); at > 0 {
					w.Errorf("an outcome of the lost generation was committed: %d", at)
				}
				r.letGo(nil)
				w.until(5*time.Second, "commit", func() bool { return w.committed(0) == 10 })
			})
		})
	}
}

func TestFailedCommitsLoseNothingAndNeverGoBack(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.topic(1)
		highest := int64(-1)
		w.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Observe: true, Count: -1, When: func(req kmsg.Request) bool {
			at := req.(*kmsg.OffsetCommitRequest).Topics[0].Partitions[0].Offset
			if at < highest {
				w.Errorf("commit of %d after %d", at, highest)
			}
			highest = max(highest, at)
			return false
		}})
		w.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Err: kerr.RequestTimedOut, Count: 5})
		r := w.reader(w.config())
		for i := range 10 {
			w.produce(1, 7)
			w.until(10*time.Second, "records", func() bool { return r.count() == 7*(i+1) })
		}
		w.until(30*time.Second, "commit", func() bool { return w.committed(0) == 70 })
	})
}

// All processes of a group are told to stop at once: the last commit of a
// rebalance is under way when Close comes.
func TestCloseInTheMiddleOfARebalanceStillCommits(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.topic(1)
		w.produce(1, 10)
		cfg := w.config()
		cfg.CommitInterval = time.Hour // only the last commit
		a := w.reader(cfg)
		w.until(5*time.Second, "records", func() bool { return a.count() == 10 })
		h := w.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Err: kerr.CoordinatorLoadInProgress, Count: 5})
		w.reader(cfg)
		w.until(10*time.Second, "the last commit begins", func() bool { return h.Hits() > 0 })

		a.close(true)

		w.until(10*time.Second, "commit", func() bool { return w.committed(0) == 10 })
	})
}

func TestStartPositionIsCommittedBeforeTheIntervalEnds(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.topic(1)
		cfg := w.config()
		cfg.CommitInterval = time.Hour
		cfg.Start = StartLatest
		r := w.reader(cfg)
		w.until(5*time.Second, "start position", func() bool { return w.committed(0) == 0 })
		r.close(true)
	})
}

func TestMixedGroupWithOtherClientsShares(t *testing.T) {
	t.Parallel()
	for name, balancer := range map[string]kgo.GroupBalancer{"range": kgo.RangeBalancer(), "sticky": kgo.StickyBalancer()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(w *world) {
				w.topic(4)
				ours := w.reader(w.config())
				w.until(5*time.Second, "joined", func() bool { return ours.assigned() == 4 })
				theirs, err := kgo.NewClient(kgo.SeedBrokers(w.cluster.ListenAddrs()...), kgo.Dialer(w.network.DialContext),
					kgo.ConsumerGroup("g"), kgo.ConsumeTopics("in"), kgo.Balancers(balancer), kgo.SessionTimeout(6*time.Second), kgo.HeartbeatInterval(time.Second))
				if err != nil {
					w.Fatal(err)
				}
				defer theirs.Close()
				w.until(30*time.Second, "two and two", func() bool {
					_, n := theirs.GroupMetadata()
					return ours.assigned() == 2 && n > 0 && ours.src.Status().Assignor == name
				})

				// The other way round: theirs leads when ours comes second.
				ours.close(true)
				if _, err := w.cluster.WaitGroupStable(w.Context(), "g", 1); err != nil {
					w.Fatal(err)
				}
				again := w.reader(w.config())
				w.until(30*time.Second, "two of four under their lead", func() bool { return again.assigned() == 2 && !again.src.Status().Leader })
			})
		})
	}
}

// Whoever asks after a source has failed and ended hears why, and not only that it is closed.
func TestReceiveTellsWhyTheSourceEnded(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.topic(1)
		src, err := NewSource(w.client(), w.config(), nil)
		if err != nil {
			w.Fatal(err)
		}
		src.fail(ErrReplaced)
		close(src.done)
		for range 100 {
			if _, err := src.Receive(w.Context(), 1); !errors.Is(err, ErrReplaced) {
				w.Fatalf("Receive: %v, want ErrReplaced", err)
			}
		}
	})
}

package demo

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sluice-ml/sluice/internal/metrics"
)

// oracle is a stand-in for the service that knows the truth: it reads the broker's
// address where the service would, and answers each record as a real model does.
type oracle struct {
	// answer makes the output records of one input record.
	answer func(sequence int64, truth int) []string
}

// honest answers with the truth.
func honest(sequence int64, truth int) []string {
	return []string{`{"id":` + strconv.FormatInt(sequence, 10) + `,"outputs":{"label":` + strconv.Itoa(truth) + `}}`}
}

func (o oracle) serve(ctx context.Context, file string, log *slog.Logger) (*Service, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	brokers := regexp.MustCompile(`brokers: \["([^"]+)"\]`).FindSubmatch(text)[1]
	client, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(string(brokers), ",")...), kgo.ConsumeTopics(inputTopic))
	if err != nil {
		return nil, err
	}
	images, err := heldOut()
	if err != nil {
		return nil, err
	}
	ready, done := make(chan struct{}), make(chan struct{})
	close(ready)
	log.Info("ready")
	go func() { // ends with ctx
		defer close(done)
		defer client.Close()
		for ctx.Err() == nil {
			client.PollFetches(ctx).EachRecord(func(r *kgo.Record) {
				sequence, _ := number(r.Value, `"id":`)
				for _, value := range o.answer(sequence, images[sequence%int64(len(images))].Label) {
					client.Produce(ctx, &kgo.Record{Topic: outputTopic, Value: []byte(value)}, nil)
				}
			})
		}
	}()
	return &Service{
		Ready: ready, Done: done, Err: func() error { return nil },
		Admin: func() string { return "127.0.0.1:8900" }, Metrics: metrics.NewRegistry(),
	}, nil
}

func runDemo(t *testing.T, o oracle, cfg Config) (string, error) {
	t.Helper()
	var out bytes.Buffer
	cfg.Out, cfg.Serve = &out, o.serve
	if cfg.Partitions == 0 {
		cfg.Partitions = 2
	}
	err := Run(t.Context(), &cfg)
	return out.String(), err
}

func TestEveryImageIsAccountedFor(t *testing.T) {
	t.Parallel()
	out, err := runDemo(t, oracle{honest}, Config{Count: 2000})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"published 2,000", "predicted 2,000", "lost 0", "twice 0", "accuracy 100.00 %"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in the summary:\n%s", want, out)
		}
	}
}

func TestWrongAnswersLowerTheAccuracy(t *testing.T) {
	t.Parallel()
	out, err := runDemo(t, oracle{func(sequence int64, truth int) []string {
		if sequence%4 == 0 {
			truth = (truth + 1) % 10
		}
		return honest(sequence, truth)
	}}, Config{Count: 400})
	if err != nil || !strings.Contains(out, "accuracy 75.00 %") {
		t.Errorf("%v:\n%s", err, out)
	}
}

func TestLostPredictionFailsTheDemo(t *testing.T) {
	t.Parallel()
	out, err := runDemo(t, oracle{func(sequence int64, truth int) []string {
		if sequence == 17 {
			return nil
		}
		return honest(sequence, truth)
	}}, Config{Count: 100, settle: 300 * time.Millisecond})
	if !errors.Is(err, ErrLost) || !strings.Contains(out, "lost 1") {
		t.Errorf("%v:\n%s", err, out)
	}
}

func TestSecondPredictionFailsTheDemo(t *testing.T) {
	t.Parallel()
	out, err := runDemo(t, oracle{func(sequence int64, truth int) []string {
		if sequence == 17 {
			return append(honest(sequence, truth), honest(sequence, truth)...)
		}
		return honest(sequence, truth)
	}}, Config{Count: 100})
	if !errors.Is(err, ErrLost) || !strings.Contains(out, "twice 1") {
		t.Errorf("%v:\n%s", err, out)
	}
}

func TestTimeEndsTheDemo(t *testing.T) {
	t.Parallel()
	out, err := runDemo(t, oracle{honest}, Config{Rate: 1000, For: 300 * time.Millisecond})
	if err != nil || !strings.Contains(out, "lost 0") {
		t.Errorf("%v:\n%s", err, out)
	}
}

func TestServiceThatEndsEndsTheDemo(t *testing.T) {
	t.Parallel()
	failure := errors.New("no such model")
	cfg := &Config{Partitions: 1, Out: &bytes.Buffer{}, Serve: func(_ context.Context, _ string, log *slog.Logger) (*Service, error) {
		log.Error("could not load")
		ready, done := make(chan struct{}), make(chan struct{})
		close(ready)
		close(done)
		return &Service{
			Ready: ready, Done: done, Err: func() error { return failure },
			Admin: func() string { return "" }, Metrics: metrics.NewRegistry(),
		}, nil
	}}
	err := Run(t.Context(), cfg)
	if !errors.Is(err, failure) || !strings.Contains(err.Error(), "could not load") {
		t.Errorf("error %v; want the service's, with its log", err)
	}
}

func TestNothingIsLeftBehind(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir()) // hence not parallel
	if _, err := runDemo(t, oracle{honest}, Config{Count: 10}); err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadDir(os.Getenv("TMPDIR"))
	if err != nil || len(left) != 0 {
		t.Errorf("%v left behind (%v)", left, err)
	}
}

func TestImpossibleFlagsAreNamed(t *testing.T) {
	t.Parallel()
	for flag, cfg := range map[string]Config{
		"--rate":       {Rate: -1, Partitions: 1},
		"--count":      {Count: -1, Partitions: 1},
		"--for":        {For: -time.Second, Partitions: 1},
		"--partitions": {Partitions: 0},
	} {
		if err := cfg.Validate(); err == nil || !strings.HasPrefix(err.Error(), flag) {
			t.Errorf("%s: error %v", flag, err)
		}
	}
}

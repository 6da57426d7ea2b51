package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/sluice-ml/sluice/internal/config"
	"github.com/sluice-ml/sluice/internal/kafkawire"
)

// topicUse is one topic and what the service does with it.
type topicUse struct {
	name string
	role string // input, output, dead-letter
	key  string // the configuration key that names it
}

// topicsOf lists every topic of a configuration, each once per role.
func topicsOf(cfg *config.Config) []topicUse {
	var uses []topicUse
	for _, t := range cfg.Input.Topics {
		uses = append(uses, topicUse{t, "input", "input.topics"})
	}
	uses = append(uses, topicUse{cfg.Output.Topic, "output", "output.topic"})
	if !writesDeadLetters(cfg) {
		return uses
	}
	seen := map[string]bool{}
	for _, t := range cfg.Input.Topics {
		if name := cfg.DeadLetterTopic(t); !seen[name] {
			seen[name] = true
			uses = append(uses, topicUse{name, "dead-letter", "dead_letter.topic"})
		}
	}
	return uses
}

// writesDeadLetters is false where every policy avoids them.
func writesDeadLetters(cfg *config.Config) bool {
	return cfg.DeadLetter.OnError == "dead-letter" || cfg.DeadLetter.Expired == "dead-letter" || cfg.Input.Tombstones == "dead-letter"
}

func namesOf(uses []topicUse) []string {
	names := make([]string, len(uses))
	for i, u := range uses {
		names[i] = u.name
	}
	return names
}

// topicError is nil when a topic can be used as far as metadata tells.
func topicError(use topicUse, meta *kafkawire.Metadata, cfg *config.Config) error {
	t := meta.Topic(use.name)
	switch {
	case t == nil || t.Err == kafkawire.ErrUnknownTopicOrPartition:
		return fmt.Errorf("%s topic %q does not exist; create it: %s, or mend %s",
			use.role, use.name, createCommand(use.name, cfg.Kafka.Brokers, partitionsLike(meta, cfg)), use.key)
	case t.Err == kafkawire.ErrTopicAuthorization:
		return fmt.Errorf("%s topic %q: %w; allow it: %s", use.role, use.name, t.Err, aclCommand(use, cfg))
	case t.Err != kafkawire.ErrNone:
		return fmt.Errorf("%s topic %q: %w", use.role, use.name, t.Err)
	}
	return nil
}

// createCommand is what a person types; nothing is created by us.
func createCommand(topic string, brokers []string, partitions int) string {
	return fmt.Sprintf("kafka-topics.sh --bootstrap-server %s --create --topic %s --partitions %d", strings.Join(brokers, ","), topic, partitions)
}

// partitionsLike is as many as the first input topic has that exists.
func partitionsLike(meta *kafkawire.Metadata, cfg *config.Config) int {
	for _, name := range cfg.Input.Topics {
		if t := meta.Topic(name); t != nil && len(t.Partitions) > 0 {
			return len(t.Partitions)
		}
	}
	return 1
}

func aclCommand(use topicUse, cfg *config.Config) string {
	g := topicGrant(use)
	return g.command(cfg.Kafka.Brokers, principal(cfg))
}

// principal is the user's name where there is one to name.
func principal(cfg *config.Config) string {
	if cfg.Kafka.SASL.Username != "" {
		return cfg.Kafka.SASL.Username
	}
	return "NAME"
}

// unreachable says that no broker answered, and what to look at.
func unreachable(brokers []string, err error) error {
	cure := "check kafka.brokers and kafka.tls.enabled, and that a broker listens there"
	var certificate *tls.CertificateVerificationError
	var plaintext tls.RecordHeaderError
	switch {
	case errors.Is(err, kafkawire.ErrSASLAuthentication):
		cure = "check kafka.sasl: mechanism, username and password file"
	case errors.As(err, &certificate):
		cure = "check kafka.tls: ca_file and server_name"
	case errors.As(err, &plaintext):
		cure = "this port speaks no TLS: check kafka.tls.enabled and the port"
	}
	return dependencyErrorf("ask the brokers %s: %w; %s", strings.Join(brokers, ","), err, cure)
}

// awaitTopics asks until every topic is there, for at most startup.wait. A
// refusal is final at once: waiting does not grant it.
func awaitTopics(ctx context.Context, client *kafkawire.Client, cfg *config.Config, log *slog.Logger) (*kafkawire.Metadata, error) {
	uses := topicsOf(cfg)
	var meta *kafkawire.Metadata
	look := func() error {
		var err error
		if meta, err = client.Metadata(ctx, namesOf(uses)...); err != nil {
			if errors.Is(err, kafkawire.ErrSASLAuthentication) {
				err = backoff.Permanent(err)
			}
			return err
		}
		var errs []error
		final := false
		for _, u := range uses {
			err := topicError(u, meta, cfg)
			errs = append(errs, err)
			final = final || errors.Is(err, kafkawire.ErrTopicAuthorization) || errors.Is(err, kafkawire.ErrInvalidTopic)
		}
		if err := errors.Join(errs...); err != nil && final {
			return backoff.Permanent(err)
		} else if err != nil {
			return err
		}
		return nil
	}
	err := patiently(ctx, cfg.Startup.Wait, look, func(err error) {
		log.Warn("waiting for brokers and topics", "wait", cfg.Startup.Wait.String(), "error", err.Error())
	})
	switch {
	case err == nil:
		return meta, nil
	case interrupted(ctx):
		return nil, context.Cause(ctx)
	case meta == nil:
		return nil, unreachable(cfg.Kafka.Brokers, err)
	default:
		return nil, dependencyErrorf("%w", err)
	}
}

// patiently tries again with growing pauses until limit has passed; a limit of
// 0 is one try.
func patiently(ctx context.Context, limit time.Duration, try func() error, again func(error)) error {
	if limit <= 0 {
		return try()
	}
	pauses := backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(200*time.Millisecond), backoff.WithMaxInterval(2*time.Second), backoff.WithMaxElapsedTime(limit))
	return backoff.RetryNotify(try, backoff.WithContext(pauses, ctx), func(err error, _ time.Duration) { again(err) })
}

package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	consumer "github.com/sluice-ml/sluice/consumers/kafka"
	"github.com/sluice-ml/sluice/internal/config"
	"github.com/sluice-ml/sluice/internal/kafkawire"
	"github.com/sluice-ml/sluice/pipeline"
	producer "github.com/sluice-ml/sluice/producers/kafka"
)

// transactional makes the sink of exactly-once, and lets the input's positions be
// committed by its transactions.
func (s *service) transactional(ctx context.Context, clusterID string, input *consumer.Config, tel *pipeline.Telemetry) error {
	id := s.cfg.TransactionalID(newUUID())
	sink, err := producer.NewTransactionalSink(ctx, s.client, sinkConfig(s.cfg, clusterID, s.model), producer.TransactionConfig{
		ID: id, Timeout: s.cfg.Transaction.Timeout, Group: s.cfg.Input.Group, Inputs: s.cfg.Input.Topics,
		// Half: while one part is committed the other grows. Not less: a transaction costs
		// the broker some milliseconds of its processor, however little is in it. Three
		// quarters took 10 to 20 MiB more and were no faster.
		MaxRecords: max(s.cfg.Input.MaxInFlight/2, 1), StartupWait: max(s.cfg.Startup.Wait, time.Second),
	}, tel)
	switch {
	case err == nil:
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, kafkawire.ErrInvalidTxnTimeout):
		return usageErrorf("%w", err)
	default:
		return dependencyErrorf("start transactions: %w", err)
	}
	s.sink, input.Transactions, input.TransactionalID = sink, sink, id
	input.TransactionalPrefix, input.TransactionTopics = s.cfg.TransactionalPrefix(), sink.Topics()
	s.log.Info("transactions", "transactional_id", id, "interval", s.cfg.Input.CommitInterval, "timeout", s.cfg.Transaction.Timeout)
	return nil
}

// newUUID is a random one (RFC 9562, version 4).
func newUUID() string {
	var u [16]byte
	_, _ = rand.Read(u[:]) // never fails
	u[6], u[8] = u[6]&0x0f|0x40, u[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", u[:4], u[4:6], u[6:8], u[8:10], u[10:])
}

// exactlyOncePromise is the sentence of the delivery level.
func exactlyOncePromise(cfg *config.Config) string {
	return fmt.Sprintf("exactly-once, Kafka to Kafka: each input has one outcome for readers in read_committed; outcomes and input positions "+
		"are committed in one transaction, every %v; readers in read_uncommitted, which is the default of Java consumers, "+
		"may see outcomes of aborted transactions, and so some twice; effects outside Kafka are not covered", cfg.Input.CommitInterval)
}

// transactions asks whether the transactional id may be used.
func (c *clusterCheck) transactions(ctx context.Context) {
	id := c.cfg.TransactionalID("check")
	err := c.client.TxnAuthorized(ctx, id)
	switch {
	case errors.Is(err, kafkawire.ErrTransactionalIDAuthorization):
		allowed := transactionGrant(c.cfg)
		c.f.fail("transaction", fmt.Errorf("transactional id %s may not be used: %w; allow it: %s", id, err, allowed.command(c.cfg.Kafka.Brokers, principal(c.cfg))), exitDependency)
		return
	case err != nil:
		c.f.fail("transaction", fmt.Errorf("transactional id %s: %w", id, err), exitDependency)
		return
	}
	v2, err := c.client.TransactionV2(ctx, id)
	if err != nil {
		c.f.fail("transaction", fmt.Errorf("transactional id %s: %w", id, err), exitDependency)
		return
	}
	protocol := "1 (before KIP-890)"
	if v2 {
		protocol = "2 (KIP-890)"
	}
	name := id
	if c.cfg.Input.Instance == "" {
		name = c.cfg.TransactionalID("*")
	}
	c.f.ok("transaction", "transactional id %s can be used, transaction protocol %s, timeout %v", name, protocol, c.cfg.Transaction.Timeout)
}

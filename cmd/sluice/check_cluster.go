package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/sluice-ml/sluice/internal/config"
	"github.com/sluice-ml/sluice/internal/kafkawire"
)

// recordHeadroom is how much larger a record of ours may be than its input: a
// dead letter adds its headers to the original bytes.
const recordHeadroom = 4 << 10

// checkCluster looks at brokers, topics, permissions and limits.
func checkCluster(ctx context.Context, f *findings, cfg *config.Config) {
	client, err := connect(cfg, nil)
	if err != nil {
		f.fail("brokers", err, exitCode(err))
		return
	}
	defer client.Close()
	uses := topicsOf(cfg)
	meta, err := client.Metadata(ctx, namesOf(uses)...)
	if err != nil {
		f.fail("brokers", unreachable(cfg.Kafka.Brokers, err), exitDependency)
		return
	}
	f.ok("brokers", "%d brokers of cluster %s", len(meta.Brokers), meta.ClusterID)
	c := &clusterCheck{client: client, cfg: cfg, meta: meta, f: f, limits: map[string]int{}}
	for _, u := range uses {
		c.topic(ctx, u)
	}
	c.sizes(uses)
	c.group(ctx)
	c.producer(ctx)
}

// producer checks what the delivery level needs.
func (c *clusterCheck) producer(ctx context.Context) {
	if c.cfg.Output.Delivery == config.ExactlyOnce {
		c.transactions(ctx)
		return
	}
	c.idempotence(ctx)
}

type clusterCheck struct {
	client *kafkawire.Client
	cfg    *config.Config
	meta   *kafkawire.Metadata
	f      *findings
	limits map[string]int // max.message.bytes by topic, where known
}

// topic checks one topic: there, reachable, permitted, safe.
func (c *clusterCheck) topic(ctx context.Context, u topicUse) {
	if err := topicError(u, c.meta, c.cfg); err != nil {
		c.f.fail(u.role, err, exitDependency)
		return
	}
	t := c.meta.Topic(u.name)
	verb, err := c.access(ctx, u, t)
	if err != nil {
		c.f.fail(u.role, err, exitDependency)
		return
	}
	c.f.ok(u.role, "topic %s is %s, %d partitions", u.name, verb, len(t.Partitions))
	c.durability(ctx, u, t)
}

// access tries what the service will do with a topic, without doing it.
func (c *clusterCheck) access(ctx context.Context, u topicUse, t *kafkawire.TopicMeta) (verb string, err error) {
	try, verb := c.readable, "readable"
	if u.role != "input" {
		try, verb = c.writable, "writable"
	}
	err = try(ctx, t)
	switch {
	case errors.Is(err, kafkawire.ErrTopicAuthorization):
		err = fmt.Errorf("topic %s is not %s: %w; allow it: %s", u.name, verb, err, aclCommand(u, c.cfg))
	case err != nil:
		err = fmt.Errorf("topic %s is not %s: %w; see the broker's log", u.name, verb, err)
	}
	return verb, err
}

// refusals is what run looks for at its start: permissions that are missing,
// all of them at once. Outages are no refusal: run waits for their end.
func (c *clusterCheck) refusals(ctx context.Context) error {
	var errs []error
	for _, u := range topicsOf(c.cfg) {
		if _, err := c.access(ctx, u, c.meta.Topic(u.name)); errors.Is(err, kafkawire.ErrTopicAuthorization) {
			errs = append(errs, err)
		}
	}
	c.group(ctx)
	c.producer(ctx)
	for _, f := range c.f.list {
		if f.err != nil && (errors.Is(f.err, kafkawire.ErrGroupAuthorization) || errors.Is(f.err, kafkawire.ErrClusterAuthorization) ||
			errors.Is(f.err, kafkawire.ErrTransactionalIDAuthorization)) {
			errs = append(errs, f.err)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return dependencyErrorf("%w", err)
	}
	return nil
}

// readable asks for the end of each partition and fetches from there: nothing
// is consumed, but a fetch needs the permission to read.
func (c *clusterCheck) readable(ctx context.Context, t *kafkawire.TopicMeta) error {
	for _, p := range t.Partitions {
		end, err := c.client.ListOffset(ctx, t.Name, p.ID, kafkawire.LatestOffset, false)
		if err != nil {
			return err
		}
		node, epoch, err := c.client.Leader(ctx, t.Name, p.ID)
		if err != nil {
			return err
		}
		answer, err := c.client.Fetch(ctx, node, &kafkawire.FetchRequest{MaxBytes: 1, Partitions: []kafkawire.FetchPartition{
			{Topic: t.Name, TopicID: t.ID, Partition: p.ID, LeaderEpoch: epoch, Offset: end.Offset, MaxBytes: 1},
		}})
		if err != nil {
			return err
		}
		for _, got := range answer.Partitions {
			if got.Err != kafkawire.ErrNone {
				return got.Err
			}
		}
	}
	return nil
}

// writable sends a produce request without a record: the broker checks the
// permission first and then refuses it as empty, so nothing is written.
func (c *clusterCheck) writable(ctx context.Context, t *kafkawire.TopicMeta) error {
	for _, p := range t.Partitions {
		node, _, err := c.client.Leader(ctx, t.Name, p.ID)
		if err != nil {
			return err
		}
		answer, err := c.client.Produce(ctx, node, &kafkawire.ProduceRequest{Partitions: []kafkawire.ProducePartition{
			{Topic: t.Name, Partition: p.ID},
		}})
		if err != nil {
			return err
		}
		for _, got := range answer.Partitions {
			switch got.Err {
			case kafkawire.ErrNone, kafkawire.ErrInvalidRecord, kafkawire.ErrCorruptMessage:
			default:
				return got.Err
			}
		}
	}
	return nil
}

// durability prints replication and min.insync and warns where what is
// acknowledged may be on one replica only.
func (c *clusterCheck) durability(ctx context.Context, u topicUse, t *kafkawire.TopicMeta) {
	replicas := len(t.Partitions[0].Replicas)
	for _, p := range t.Partitions {
		replicas = min(replicas, len(p.Replicas))
	}
	settings, err := c.client.TopicConfig(ctx, u.name, "min.insync.replicas", "max.message.bytes")
	if err != nil {
		c.f.warn(u.role, "topic %s: replication %d; its settings cannot be read (%v), so min.insync.replicas and max.message.bytes are not checked; allow DescribeConfigs", u.name, replicas, err)
		return
	}
	if n, err := strconv.Atoi(settings["max.message.bytes"]); err == nil {
		c.limits[u.name] = n
	}
	insync, err := strconv.Atoi(settings["min.insync.replicas"])
	if err != nil {
		insync = 1 // Kafka's default
	}
	switch {
	case replicas == 1:
		c.f.warn(u.role, "topic %s: replication 1: \"nothing lost\" rests on one replica; use 3 replicas and min.insync.replicas=2 where there are brokers for it", u.name)
	case insync == 1:
		c.f.warn(u.role, "topic %s: replication %d, min.insync.replicas 1: a record may be acknowledged by one replica only; set min.insync.replicas=2", u.name, replicas)
	default:
		c.f.ok(u.role, "topic %s: replication %d, min.insync.replicas %d", u.name, replicas, insync)
	}
}

// sizes compares what may come in with what may go out.
func (c *clusterCheck) sizes(uses []topicUse) {
	largest, from := 0, ""
	for _, u := range uses {
		if n := c.limits[u.name]; u.role == "input" && n > largest {
			largest, from = n, u.name
		}
	}
	for _, u := range uses {
		limit, known := c.limits[u.name]
		if u.role == "input" || !known || largest == 0 {
			continue
		}
		want := largest + recordHeadroom
		if limit < want {
			c.f.warn(u.role, "topic %s takes records of %d bytes, input %s of %d: %s; set it: kafka-configs.sh --bootstrap-server %s --alter --entity-type topics --entity-name %s --add-config max.message.bytes=%d",
				u.name, limit, from, largest, tooSmall(u.role), strings.Join(c.cfg.Kafka.Brokers, ","), u.name, want)
			continue
		}
		c.f.ok(u.role, "topic %s takes a record %d bytes larger than the input's limit", u.name, limit-largest)
	}
}

func tooSmall(role string) string {
	if role == "output" {
		return "a prediction as large as the largest input is dead-lettered"
	}
	return "the dead letter of the largest input becomes a stub without its bytes"
}

// group sends a heartbeat of a member that does not exist: the broker checks the
// permission before it says so.
func (c *clusterCheck) group(ctx context.Context) {
	group := c.cfg.Input.Group
	node, err := c.knock(ctx, group)
	var code kafkawire.ErrorCode
	switch errors.As(err, &code); {
	case errors.Is(err, kafkawire.ErrGroupAuthorization):
		g := groupGrant(c.cfg)
		c.f.fail("group", fmt.Errorf("group %s may not be used: %w; allow it: %s", group, err, g.command(c.cfg.Kafka.Brokers, principal(c.cfg))), exitDependency)
	case err == nil || code == kafkawire.ErrUnknownMemberID || code == kafkawire.ErrIllegalGeneration || code == groupNotFound || code == kafkawire.ErrRebalanceInProgress:
		c.f.ok("group", "group %s can be used, coordinator is broker %d", group, node)
	default:
		c.f.fail("group", fmt.Errorf("group %s: %w", group, err), exitDependency)
	}
}

// coordinatorWait is how long the first use of a cluster may take: it creates the
// offsets topic and loads it.
const coordinatorWait = 15 * time.Second

func (c *clusterCheck) knock(ctx context.Context, group string) (node int32, err error) {
	err = patiently(ctx, coordinatorWait, func() error {
		var err error
		if node, err = c.client.FindCoordinator(ctx, group); err == nil {
			err = c.client.Heartbeat(ctx, node, group, 0, "sluice-check", "")
		}
		switch {
		case errors.Is(err, kafkawire.ErrNotCoordinator), errors.Is(err, kafkawire.ErrCoordinatorLoading),
			errors.Is(err, kafkawire.ErrCoordinatorNotAvailable):
			c.client.ForgetCoordinator(group)
			return err
		case err != nil:
			return backoff.Permanent(err)
		}
		return nil
	}, func(error) {})
	return node, err
}

// idempotence asks for a producer id, as run does.
func (c *clusterCheck) idempotence(ctx context.Context) {
	_, _, err := c.client.InitProducerID(ctx, "", 0, kafkawire.NoProducerID, kafkawire.NoProducerEpoch)
	if err != nil {
		c.f.fail("producer", fmt.Errorf("idempotent producer: %w; allow it: kafka-acls.sh --bootstrap-server %s --add --allow-principal User:%s --operation IdempotentWrite --cluster",
			err, strings.Join(c.cfg.Kafka.Brokers, ","), principal(c.cfg)), exitDependency)
		return
	}
	c.f.ok("producer", "idempotent: retries make no duplicates")
}

package kafkawire

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"time"
)

// NewTopic describes a topic to create; Partitions and Replication -1 are the
// broker's defaults.
type NewTopic struct {
	Name        string
	Partitions  int32
	Replication int16
	Config      map[string]string
}

// createWait: a controller answers when the topic is in its log.
const createWait = 20 * time.Second

// CreateTopics creates topics through the controller. The error joins what went
// wrong by topic; one that exists is ErrTopicExists.
func (c *Client) CreateTopics(ctx context.Context, topics []NewTopic) error {
	p, err := c.controller(ctx)
	if err != nil {
		return err
	}
	r, err := c.call(ctx, p, &request{api: apiCreateTopics, wait: createWait, encode: func(w *wireWriter) {
		encodeCreateTopics(w, topics)
	}})
	if err != nil {
		return err
	}
	results, throttle, err := decodeCreateTopics(r)
	if err != nil {
		return c.netError(ctx, p, apiCreateTopics, err)
	}
	c.throttled(p, apiCreateTopics, throttle)
	var errs []error
	for _, t := range results {
		c.Forget(t.name)
		if t.code == ErrNotController {
			c.view.suspect()
		}
		if t.code != ErrNone {
			errs = append(errs, fmt.Errorf("create topic %q: %w%s", t.name, p.refused(t.code), inBrackets(t.message)))
		}
	}
	return errors.Join(errs...)
}

func inBrackets(message string) string {
	if message == "" {
		return ""
	}
	return " (" + message + ")"
}

// controller is the broker that creates topics; with KRaft every broker passes
// the request on.
func (c *Client) controller(ctx context.Context) (*peer, error) {
	m, err := c.metadata(ctx, nil, false)
	if err != nil {
		return nil, err
	}
	if m.Controller < 0 {
		return c.anyPeer(ctx)
	}
	return c.peer(ctx, m.Controller, apiCreateTopics)
}

func encodeCreateTopics(w *wireWriter, topics []NewTopic) {
	w.arrayLen(len(topics))
	for i := range topics {
		t := &topics[i]
		w.string(t.Name)
		w.int32(t.Partitions)
		w.int16(t.Replication)
		w.arrayLen(0) // assignments
		keys := make([]string, 0, len(t.Config))
		for k := range t.Config {
			keys = append(keys, k)
		}
		sort.Strings(keys)
		w.arrayLen(len(keys))
		for _, k := range keys {
			w.string(k)
			w.string(t.Config[k])
			w.tags()
		}
		w.tags()
	}
	w.int32(millis(createWait))
	w.bool(false) // validate only
	w.tags()
}

type createdTopic struct {
	name    string
	code    ErrorCode
	message string
}

func decodeCreateTopics(r *wireReader) (topics []createdTopic, throttleMillis int32, err error) {
	throttleMillis = r.int32()
	for n := r.arrayLen(12); n > 0 && r.err == nil; n-- {
		t := createdTopic{name: r.string()}
		if r.version >= 7 {
			r.uuid()
		}
		t.code = ErrorCode(r.int16())
		t.message = r.string()
		r.int32() // partitions
		r.int16() // replication
		for n := r.arrayLen(6); n > 0 && r.err == nil; n-- {
			_, _ = r.string(), r.string()          // name and value
			_, _, _ = r.bool(), r.int8(), r.bool() // read only, source, sensitive
			r.tags()
		}
		r.tags()
		topics = append(topics, t)
	}
	r.tags()
	return topics, throttleMillis, r.err
}

// topicResource is a topic among the kinds of things that have a config.
const topicResource = 2

// TopicConfig reads a topic's effective configuration: these keys, or all when
// none is named. Sensitive values are "".
func (c *Client) TopicConfig(ctx context.Context, topic string, keys ...string) (map[string]string, error) {
	p, err := c.anyPeer(ctx)
	if err != nil {
		return nil, err
	}
	r, err := c.call(ctx, p, &request{api: apiDescribeConfigs, encode: func(w *wireWriter) {
		encodeDescribeConfigs(w, topic, keys)
	}})
	if err != nil {
		return nil, err
	}
	a, err := decodeDescribeConfigs(r)
	if err != nil {
		return nil, c.netError(ctx, p, apiDescribeConfigs, err)
	}
	c.throttled(p, apiDescribeConfigs, a.throttleMillis)
	if a.code != ErrNone {
		return nil, fmt.Errorf("read the config of topic %q: %w%s", topic, p.refused(a.code), inBrackets(a.message))
	}
	return a.config, nil
}

func encodeDescribeConfigs(w *wireWriter, topic string, keys []string) {
	w.arrayLen(1)
	w.int8(topicResource)
	w.string(topic)
	if len(keys) == 0 {
		w.nullArray()
	} else {
		w.arrayLen(len(keys))
		for _, k := range keys {
			w.string(k)
		}
	}
	w.tags()
	w.bool(false) // synonyms
	if w.version >= 3 {
		w.bool(false) // documentation
	}
	w.tags()
}

type describedConfig struct {
	throttleMillis int32
	code           ErrorCode
	message        string
	config         map[string]string
}

func decodeDescribeConfigs(r *wireReader) (describedConfig, error) {
	a := describedConfig{throttleMillis: r.int32(), config: map[string]string{}}
	for n := r.arrayLen(7); n > 0 && r.err == nil; n-- {
		a.code = ErrorCode(r.int16())
		a.message = r.string()
		r.int8()       // resource type
		_ = r.string() // resource name
		for n := r.arrayLen(6); n > 0 && r.err == nil; n-- {
			name := r.string()
			a.config[name] = r.string()
			_, _, _ = r.bool(), r.int8(), r.bool() // read only, source, sensitive
			for n := r.arrayLen(3); n > 0 && r.err == nil; n-- {
				_, _, _ = r.string(), r.string(), r.int8() // a synonym
				r.tags()
			}
			if r.version >= 3 {
				r.int8()       // type
				_ = r.string() // documentation
			}
			r.tags()
		}
		r.tags()
	}
	r.tags()
	return a, r.err
}

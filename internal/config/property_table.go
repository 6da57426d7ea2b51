package config

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// property is what one Java or librdkafka name does here: it sets keys, or it
// has no meaning (a warning), or its value contradicts a promise (an error).
type property struct {
	// keys are what it sets.
	keys []string
	// shared is true where several properties may set a key together.
	shared bool
	// meaningless says why the name does nothing here.
	meaningless string
	// only are the values that contradict nothing, and why says what others
	// contradict; refused is true when every value does.
	only    []string
	why     string
	refused bool
	apply   func(c *Config, value string) error
}

// properties is the whole list, by name.
var properties = map[string]property{
	// where and who
	"bootstrap.servers":                   {keys: []string{"kafka.brokers"}, apply: setBrokers},
	"metadata.broker.list":                {keys: []string{"kafka.brokers"}, apply: setBrokers},
	"client.id":                           {apply: func(c *Config, v string) error { c.Kafka.Tuning.ClientID = v; return nil }},
	"security.protocol":                   {keys: []string{"kafka.tls.enabled"}, apply: setSecurityProtocol},
	"sasl.mechanism":                      {keys: []string{"kafka.sasl.mechanism"}, apply: setMechanism},
	"sasl.mechanisms":                     {keys: []string{"kafka.sasl.mechanism"}, apply: setMechanism},
	"sasl.username":                       {keys: []string{"kafka.sasl.username"}, apply: func(c *Config, v string) error { c.Kafka.SASL.Username = v; return nil }},
	"sasl.password":                       {keys: []string{"kafka.sasl.password_file"}, apply: func(c *Config, v string) error { c.Kafka.SASL.Password = Secret(v); return nil }},
	"sasl.oauthbearer.token.endpoint.url": oauth("token_endpoint_url", func(o *OAuth) *string { return &o.TokenEndpointURL }),
	"sasl.oauthbearer.client.credentials.client.id":     oauth("client_id", func(o *OAuth) *string { return &o.ClientID }),
	"sasl.oauthbearer.client.id":                        oauth("client_id", func(o *OAuth) *string { return &o.ClientID }),
	"sasl.oauthbearer.client.credentials.client.secret": oauthSecret(),
	"sasl.oauthbearer.client.secret":                    oauthSecret(),
	"sasl.oauthbearer.scope":                            oauth("scope", func(o *OAuth) *string { return &o.Scope }),
	"https.ca.location":                                 oauth("ca_file", func(o *OAuth) *string { return &o.CAFile }),
	"sasl.oauthbearer.method":                           allowed("tokens come from the token endpoint; remove it", "oidc"),
	"sasl.login.callback.handler.class":                 ignored("the token endpoint is asked by itself"),
	"sasl.jaas.config":                                  {keys: []string{"kafka.sasl.username", "kafka.sasl.password_file"}, apply: setJAAS},

	"ssl.ca.location":                       {keys: []string{"kafka.tls.ca_file"}, apply: func(c *Config, v string) error { c.Kafka.TLS.CAFile = v; return nil }},
	"ssl.certificate.location":              {keys: []string{"kafka.tls.cert_file"}, apply: func(c *Config, v string) error { c.Kafka.TLS.CertFile = v; return nil }},
	"ssl.key.location":                      {keys: []string{"kafka.tls.key_file"}, apply: func(c *Config, v string) error { c.Kafka.TLS.KeyFile = v; return nil }},
	"ssl.truststore.location":               {keys: []string{"kafka.tls.ca_file"}, apply: pemStore("kafka.tls.ca_file", func(c *Config, v string) { c.Kafka.TLS.CAFile = v })},
	"ssl.keystore.location":                 refused("a Java key store is not read; export it as PEM and set kafka.tls.cert_file and key_file"),
	"ssl.keystore.password":                 ignored("keys are read as PEM files"),
	"ssl.truststore.password":               ignored("certificates are read as PEM files"),
	"ssl.truststore.type":                   ignored("certificates are read as PEM files"),
	"ssl.keystore.type":                     ignored("keys are read as PEM files"),
	"ssl.key.password":                      refused("an encrypted key is not read; decrypt it and protect the file"),
	"ssl.endpoint.identification.algorithm": allowed("broker certificates are always verified; remove it", "https"),
	"enable.ssl.certificate.verification":   allowed("broker certificates are always verified; remove it", "true"),

	// consumer
	"group.id":                      {keys: []string{"input.group"}, apply: func(c *Config, v string) error { c.Input.Group = v; return nil }},
	"group.instance.id":             {keys: []string{"input.instance"}, apply: func(c *Config, v string) error { c.Input.Instance = v; return nil }},
	"auto.offset.reset":             {keys: []string{"input.start"}, apply: setStart},
	"isolation.level":               {keys: []string{"input.isolation"}, apply: viaKey("input.isolation")},
	"session.timeout.ms":            {keys: []string{"input.session_timeout"}, apply: millis("input.session_timeout")},
	"rebalance.timeout.ms":          {keys: []string{"input.rebalance_timeout"}, apply: millis("input.rebalance_timeout")},
	"fetch.max.wait.ms":             {apply: tuningMillis(func(t *Tuning) *time.Duration { return &t.FetchMaxWait })},
	"fetch.wait.max.ms":             {apply: tuningMillis(func(t *Tuning) *time.Duration { return &t.FetchMaxWait })},
	"fetch.min.bytes":               ignored("whatever is there is fetched at once"),
	"fetch.max.bytes":               ignored("see input.max_in_flight_bytes"),
	"max.partition.fetch.bytes":     {apply: tuningInt(func(t *Tuning) *int { return &t.PartitionFetchBytes })},
	"fetch.message.max.bytes":       {apply: tuningInt(func(t *Tuning) *int { return &t.PartitionFetchBytes })},
	"enable.auto.commit":            allowed("offsets are committed after the broker confirmed the outcome, never by time alone; remove it", "false"),
	"enable.auto.offset.store":      allowed("offsets are committed after the broker confirmed the outcome; remove it", "false"),
	"allow.auto.create.topics":      allowed("sluice creates no topics; create them first and remove it", "false"),
	"group.protocol":                allowed("sluice speaks the classic group protocol; remove it", "classic"),
	"auto.commit.interval.ms":       ignored("see input.commit_interval"),
	"max.poll.interval.ms":          ignored("sluice polls by itself; see input.rebalance_timeout"),
	"max.poll.records":              ignored("see input.max_in_flight"),
	"heartbeat.interval.ms":         ignored("heartbeats follow input.session_timeout"),
	"partition.assignment.strategy": ignored("assignment is sticky"),
	"check.crcs":                    ignored("every batch's CRC is checked"),
	"key.deserializer":              ignored("see input.codec"),
	"value.deserializer":            ignored("see input.codec"),
	"client.rack":                   ignored("partition leaders are read"),
	"queued.max.messages.kbytes":    ignored("see input.max_in_flight_bytes"),
	"queued.min.messages":           ignored("see input.max_in_flight"),
	"enable.partition.eof":          ignored("sluice follows its topics without end"),
	"exclude.internal.topics":       ignored("topics are named one by one"),

	// producer
	"acks":                                  allowed("\"nothing lost\" rests on all replicas in sync; remove it", "all", "-1"),
	"request.required.acks":                 allowed("\"nothing lost\" rests on all replicas in sync; remove it", "all", "-1"),
	"enable.idempotence":                    allowed("retries make no duplicates only with it; remove it", "true"),
	"retries":                               refuseZero("an outage must be retried, or outcomes are lost; remove it"),
	"message.send.max.retries":              refuseZero("an outage must be retried, or outcomes are lost; remove it"),
	"compression.type":                      {keys: []string{"output.compression"}, apply: viaKey("output.compression")},
	"compression.codec":                     {keys: []string{"output.compression"}, apply: viaKey("output.compression")},
	"linger.ms":                             {keys: []string{"output.linger"}, apply: millis("output.linger")},
	"queue.buffering.max.ms":                {keys: []string{"output.linger"}, apply: millis("output.linger")},
	"batch.size":                            {apply: tuningInt(func(t *Tuning) *int { return &t.BatchBytes })},
	"transaction.timeout.ms":                {keys: []string{"transaction.timeout"}, apply: millis("transaction.timeout")},
	"transactional.id":                      refused("the id is made of transaction.id_prefix, the group and the instance; remove it"),
	"partitioner":                           allowed("see output.partition; remove it", "murmur2", "murmur2_random"),
	"partitioner.class":                     ignored("see output.partition; keys go where Java's default partitioner puts them"),
	"max.in.flight.requests.per.connection": ignored("one request per partition is in flight, which keeps the order"),
	"max.in.flight":                         ignored("one request per partition is in flight, which keeps the order"),
	"delivery.timeout.ms":                   ignored("temporary failures are retried without end"),
	"message.timeout.ms":                    ignored("temporary failures are retried without end"),
	"max.block.ms":                          ignored("producing never blocks"),
	"buffer.memory":                         ignored("see input.max_in_flight_bytes"),
	"max.request.size":                      ignored("the topic's max.message.bytes decides"),
	"message.max.bytes":                     ignored("the topic's max.message.bytes decides"),
	"key.serializer":                        ignored("keys are passed on"),
	"value.serializer":                      ignored("see output.codec"),

	// connections
	"request.timeout.ms":                 {apply: tuningMillis(func(t *Tuning) *time.Duration { return &t.RequestTimeout })},
	"socket.timeout.ms":                  {apply: tuningMillis(func(t *Tuning) *time.Duration { return &t.RequestTimeout })},
	"metadata.max.age.ms":                {apply: tuningMillis(func(t *Tuning) *time.Duration { return &t.MetadataMaxAge })},
	"topic.metadata.refresh.interval.ms": {apply: tuningMillis(func(t *Tuning) *time.Duration { return &t.MetadataMaxAge })},
	"reconnect.backoff.ms":               ignored("connections are retried with backoff"),
	"reconnect.backoff.max.ms":           ignored("connections are retried with backoff"),
	"retry.backoff.ms":                   ignored("requests are retried with backoff"),
	"retry.backoff.max.ms":               ignored("requests are retried with backoff"),
	"connections.max.idle.ms":            ignored("idle connections are closed by themselves"),
	"socket.keepalive.enable":            ignored("keep-alive is on"),
	"client.dns.lookup":                  ignored("every address of a name is tried"),
	"broker.address.family":              ignored("both families are tried"),
	"api.version.request":                ignored("versions are negotiated"),
	"send.buffer.bytes":                  ignored("the system decides"),
	"receive.buffer.bytes":               ignored("the system decides"),
	"interceptor.classes":                ignored("there are no Java classes here"),
	"metric.reporters":                   ignored("metrics are at /metrics"),
	"statistics.interval.ms":             ignored("metrics are at /metrics"),
	"debug":                              ignored("see log.level"),
}

// oauth is a text below kafka.sasl.oauthbearer.
func oauth(key string, field func(*OAuth) *string) property {
	return property{keys: []string{"kafka.sasl.oauthbearer." + key}, apply: func(c *Config, v string) error {
		*field(&c.Kafka.SASL.OAuth) = v
		return nil
	}}
}

func oauthSecret() property {
	return property{keys: []string{"kafka.sasl.oauthbearer.client_secret_file"}, apply: func(c *Config, v string) error {
		c.Kafka.SASL.OAuth.ClientSecret = Secret(v)
		return nil
	}}
}

func ignored(why string) property { return property{meaningless: why} }

// refused is a name whose every value contradicts what sluice does.
func refused(why string) property {
	return property{refused: true, why: why, apply: func(*Config, string) error { return errors.New(why) }}
}

// allowed is a name that may only say what is true anyway.
func allowed(why string, values ...string) property {
	return property{only: values, why: why, apply: func(_ *Config, v string) error {
		for _, a := range values {
			if strings.EqualFold(v, a) {
				return nil
			}
		}
		return fmt.Errorf("%q contradicts what sluice promises: %s", v, why)
	}}
}

// refuseZero is a name of retries: any number but none.
func refuseZero(why string) property {
	return property{why: why, apply: func(_ *Config, v string) error {
		if v == "0" {
			return fmt.Errorf("%q contradicts what sluice promises: %s", v, why)
		}
		return nil
	}}
}

func setBrokers(c *Config, v string) error {
	c.Kafka.Brokers = splitList(v)
	return nil
}

func setStart(c *Config, v string) error {
	switch strings.ToLower(v) {
	case "earliest", "smallest", "beginning":
		c.Input.Start = "earliest"
	case "latest", "largest", "end":
		c.Input.Start = "latest"
	default:
		return fmt.Errorf("unknown value %q; write earliest or latest, it sets input.start only (what happens after retention is input.out_of_range)", v)
	}
	return nil
}

// viaKey sets an enumerated key by the property's value.
func viaKey(path string) func(*Config, string) error {
	return func(c *Config, v string) error {
		k, _ := keyAt(path)
		value, err := k.parseScalar(strings.ToLower(v), k.field(c).Type())
		if err != nil {
			return err
		}
		k.field(c).Set(value)
		return nil
	}
}

// millis sets a duration key from a number of milliseconds.
func millis(path string) func(*Config, string) error {
	return func(c *Config, v string) error {
		d, err := parseMillis(v)
		if err != nil {
			return err
		}
		k, _ := keyAt(path)
		value, err := k.parseScalar(d.String(), durationType)
		if err != nil {
			return err
		}
		k.field(c).Set(value)
		return nil
	}
}

func tuningMillis(field func(*Tuning) *time.Duration) func(*Config, string) error {
	return func(c *Config, v string) error {
		d, err := parseMillis(v)
		*field(&c.Kafka.Tuning) = d
		return err
	}
}

func tuningInt(field func(*Tuning) *int) func(*Config, string) error {
	return func(c *Config, v string) error {
		n, err := strconv.ParseInt(v, 10, 32)
		if err != nil || n < 1 {
			return fmt.Errorf("%q is no number of bytes; write digits only", v)
		}
		*field(&c.Kafka.Tuning) = int(n)
		return nil
	}
}

func parseMillis(v string) (time.Duration, error) {
	n, err := strconv.ParseInt(v, 10, 32)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("%q is no number of milliseconds; write digits only", v)
	}
	return time.Duration(n) * time.Millisecond, nil
}

// pemStore accepts a trust store only where it is a PEM file.
func pemStore(key string, set func(*Config, string)) func(*Config, string) error {
	return func(c *Config, v string) error {
		if lower := strings.ToLower(v); !strings.HasSuffix(lower, ".pem") && !strings.HasSuffix(lower, ".crt") {
			return fmt.Errorf("a Java trust store is not read; export it as PEM (keytool -exportcert -rfc) and set %s", key)
		}
		set(c, v)
		return nil
	}
}

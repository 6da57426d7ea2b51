// Package config reads the one configuration file of sluice: YAML, strict, with
// every problem reported at once and where it is. The keys are fixed by
// convention; each also has an environment name and a --set path.
package config

import "time"

// Config is the whole configuration. The tags are the only place where a key's
// name, its allowed values and its smallest value are written down.
type Config struct {
	Kafka       Kafka       `yaml:"kafka"`
	Input       Input       `yaml:"input"`
	Model       Model       `yaml:"model"`
	Output      Output      `yaml:"output"`
	DeadLetter  DeadLetter  `yaml:"dead_letter"`
	Transaction Transaction `yaml:"transaction"`
	Runtime     Runtime     `yaml:"runtime"`
	Log         Log         `yaml:"log"`
	Admin       Admin       `yaml:"admin"`
	Startup     Startup     `yaml:"startup"`
	Shutdown    Shutdown    `yaml:"shutdown"`
}

// Kafka says where the cluster is and how to talk to it.
type Kafka struct {
	Brokers    []string          `yaml:"brokers" required:"true"`
	TLS        TLS               `yaml:"tls"`
	SASL       SASL              `yaml:"sasl"`
	Properties map[string]string `yaml:"properties"`
	// Tuning is what only properties can set: names without a key of their own.
	Tuning Tuning `yaml:"-"`
}

// TLS is the transport's encryption.
type TLS struct {
	Enabled    bool   `yaml:"enabled"`
	CAFile     string `yaml:"ca_file"`
	CertFile   string `yaml:"cert_file"`
	KeyFile    string `yaml:"key_file"`
	ServerName string `yaml:"server_name"`
}

// SASL is who we are to the cluster.
type SASL struct {
	Mechanism    string `yaml:"mechanism" enum:"|plain|scram-sha-256|scram-sha-512|oauthbearer"`
	Username     string `yaml:"username"`
	PasswordFile string `yaml:"password_file"`
	OAuth        OAuth  `yaml:"oauthbearer"`
	// Password comes from properties (sasl.jaas.config, sasl.password) only.
	Password Secret `yaml:"-"`
}

// OAuth is the client-credentials grant for the mechanism oauthbearer.
type OAuth struct {
	TokenEndpointURL string `yaml:"token_endpoint_url"`
	ClientID         string `yaml:"client_id"`
	ClientSecretFile string `yaml:"client_secret_file"`
	Scope            string `yaml:"scope"`
	CAFile           string `yaml:"ca_file"`
	// ClientSecret comes from properties only.
	ClientSecret Secret `yaml:"-"`
}

// Tuning holds values of properties that have no key; zero is the default of
// the package that uses it.
type Tuning struct {
	ClientID            string
	FetchMaxWait        time.Duration
	PartitionFetchBytes int
	BatchBytes          int
	RequestTimeout      time.Duration
	MetadataMaxAge      time.Duration
}

// Input is where items come from.
type Input struct {
	Topics           []string      `yaml:"topics" required:"true"`
	Group            string        `yaml:"group" required:"true"`
	Instance         string        `yaml:"instance"`
	Start            string        `yaml:"start" enum:"earliest|latest"`
	OutOfRange       string        `yaml:"out_of_range" enum:"stop|earliest|latest"`
	Isolation        string        `yaml:"isolation" enum:"read_committed|read_uncommitted"`
	Codec            string        `yaml:"codec" enum:"json|raw|oip-json"`
	Tombstones       string        `yaml:"tombstones" enum:"pass|skip|dead-letter"`
	SessionTimeout   time.Duration `yaml:"session_timeout" min:"1s"`
	RebalanceTimeout time.Duration `yaml:"rebalance_timeout" min:"1s"`
	MaxInFlight      int           `yaml:"max_in_flight" min:"1"`
	MaxInFlightBytes Size          `yaml:"max_in_flight_bytes" min:"1MiB"`
	MaxUncommitted   int           `yaml:"max_uncommitted" min:"1"`
	CommitInterval   time.Duration `yaml:"commit_interval" min:"1ms"`
}

// Model is what runs on the items.
type Model struct {
	Name        string        `yaml:"name" required:"true"`
	Path        string        `yaml:"path" required:"true"`
	Version     string        `yaml:"version"`
	SHA256      string        `yaml:"sha256"`
	Device      string        `yaml:"device"`
	Workers     int           `yaml:"workers" min:"0"`
	Inputs      Inputs        `yaml:"inputs"`
	Rows        string        `yaml:"rows" enum:"one|many"`
	OnMissing   string        `yaml:"on_missing" enum:"reject|nan"`
	NonFinite   string        `yaml:"non_finite" enum:"reject|pass"`
	RunTimeout  time.Duration `yaml:"run_timeout" min:"1ms"`
	Independent string        `yaml:"independent" enum:"probe|true|false"`
	Labels      string        `yaml:"labels"`
	Batch       Batch         `yaml:"batch"`
}

// Batch says when a batch leaves.
type Batch struct {
	MaxRows  int           `yaml:"max_rows" min:"1"`
	MaxDelay time.Duration `yaml:"max_delay" min:"0s"`
}

// Output is where predictions go.
type Output struct {
	Topic       string        `yaml:"topic" required:"true"`
	Delivery    string        `yaml:"delivery" enum:"at-least-once|exactly-once"`
	Order       string        `yaml:"order" enum:"partition|none"`
	Partition   string        `yaml:"partition" enum:"key|same"`
	Timestamp   string        `yaml:"timestamp" enum:"input|now"`
	Codec       string        `yaml:"codec" enum:"|json|raw|oip-json"`
	Raw         string        `yaml:"raw"`
	Include     []string      `yaml:"include"`
	Lineage     string        `yaml:"lineage" enum:"short|full|none"`
	Compression string        `yaml:"compression" enum:"none|gzip|snappy|lz4|zstd"`
	Linger      time.Duration `yaml:"linger" min:"0s"`
}

// DeadLetter is what happens to items that cannot be predicted.
type DeadLetter struct {
	Topic    string        `yaml:"topic"`
	OnError  string        `yaml:"on_error" enum:"dead-letter|stop"`
	Expired  string        `yaml:"expired" enum:"dead-letter|drop"`
	MaxShare float64       `yaml:"max_share" min:"0"`
	Window   time.Duration `yaml:"window" min:"1s"`
	MinItems int           `yaml:"min_items" min:"1"`
}

// Transaction is for exactly-once.
type Transaction struct {
	IDPrefix string        `yaml:"id_prefix"`
	Timeout  time.Duration `yaml:"timeout" min:"1s"`
}

// TransactionalID is the name of a process's transactions: stable for a member
// with an instance name, else made unique by the suffix.
func (c *Config) TransactionalID(suffix string) string {
	if c.Input.Instance != "" {
		suffix = c.Input.Instance
	}
	return c.TransactionalPrefix() + suffix
}

// TransactionalPrefix begins the names of all processes of the group.
func (c *Config) TransactionalPrefix() string {
	return c.Transaction.IDPrefix + "-" + c.Input.Group + "-"
}

// Runtime is where ONNX Runtime is.
type Runtime struct {
	Library string `yaml:"library"`
}

// Log is how the log is written.
type Log struct {
	Format string `yaml:"format" enum:"auto|text|json"`
	Level  string `yaml:"level" enum:"debug|info|warn|error"`
}

// Admin is the HTTP server beside the work.
type Admin struct {
	Listen       string `yaml:"listen"`
	HealthListen string `yaml:"health_listen"`
}

// Startup bounds the wait for what is not there yet.
type Startup struct {
	Wait time.Duration `yaml:"wait" min:"0s"`
}

// Shutdown bounds the drain.
type Shutdown struct {
	DrainTimeout time.Duration `yaml:"drain_timeout" min:"1ms"`
	Leave        string        `yaml:"leave" enum:"auto|always|never"`
}

// DeadLetterTopic is the dead-letter topic of an input topic.
func (c *Config) DeadLetterTopic(input string) string {
	return expandInput(c.DeadLetter.Topic, input)
}

// OutputCodec is the codec of results: the input's unless set.
func (c *Config) OutputCodec() string {
	if c.Output.Codec == "" {
		return c.Input.Codec
	}
	return c.Output.Codec
}

package config

import (
	"encoding/hex"
	"fmt"
	"net"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// minSessionTimeout is a broker's default group.min.session.timeout.ms.
const minSessionTimeout = 6 * time.Second

// validate checks what one value alone does not show.
func (l *loader) validate(kafkaOnly bool) {
	l.required(kafkaOnly)
	l.validateKafka()
	if kafkaOnly {
		return
	}
	l.validateInput()
	l.validateModel()
	l.validateDelivery()
	l.validateTopics()
	l.validateServers()
}

func (l *loader) required(kafkaOnly bool) {
	for _, k := range keys {
		if !k.Required || (kafkaOnly && !strings.HasPrefix(k.Path, "kafka.")) {
			continue
		}
		if v := k.field(l.cfg); v.Len() == 0 && !l.hasProblem(k.Path) {
			l.problem(l.where(k.Path), k.Path, "is missing; "+requiredCures[k.Path])
		}
	}
}

var requiredCures = map[string]string{
	"kafka.brokers": "name a broker: brokers: [localhost:9092]",
	"input.topics":  "name the topics to read: topics: [payments]",
	"input.group":   "name the consumer group: group: fraud-scorer",
	"model.name":    "name the model: name: fraud",
	"model.path":    "name the model's file or folder: path: ./models/fraud",
	"output.topic":  "name the topic for predictions: topic: payments.predictions",
}

// hasProblem says whether a key was refused already: one complaint is enough.
func (l *loader) hasProblem(path string) bool {
	return slices.ContainsFunc(l.problems, func(p Problem) bool {
		return p.Path == path || strings.HasPrefix(p.Path, path+"[") || strings.HasPrefix(p.Path, path+".") ||
			(p.Path != "" && strings.HasPrefix(path, p.Path+"."))
	})
}

func (l *loader) validateKafka() {
	k := &l.cfg.Kafka
	k.Brokers = splitList(strings.Join(k.Brokers, ","))
	for _, b := range k.Brokers {
		if host, port, err := net.SplitHostPort(b); err != nil || host == "" || !validPort(port, 1) {
			l.problem(l.where("kafka.brokers"), "kafka.brokers", fmt.Sprintf("%q is no broker address; write host:port, such as localhost:9092", b))
		}
	}
	if (k.TLS.CertFile == "") != (k.TLS.KeyFile == "") {
		l.problem(l.where("kafka.tls.cert_file"), "kafka.tls", "cert_file and key_file belong together; give both or none")
	}
	for _, f := range []string{"ca_file", "cert_file", "key_file", "server_name"} {
		key, _ := keyAt("kafka.tls." + f)
		if key.field(l.cfg).Len() > 0 && !k.TLS.Enabled {
			l.problem(l.where(key.Path), key.Path, "is set while TLS is off; set kafka.tls.enabled: true")
		}
	}
	l.validateSASL()
}

func (l *loader) validateInput() {
	in := l.cfg.Input
	if in.SessionTimeout < minSessionTimeout && !l.hasProblem("input.session_timeout") {
		l.warn(l.where("input.session_timeout"), "input.session_timeout",
			"%v is below %v, what brokers accept by default (group.min.session.timeout.ms): a broker that was not told otherwise refuses the member", in.SessionTimeout, minSessionTimeout)
	}
	seen := map[string]bool{}
	for _, t := range in.Topics {
		if seen[t] {
			l.problem(l.where("input.topics"), "input.topics", fmt.Sprintf("%q is named twice; name it once", t))
		}
		seen[t] = true
	}
	for _, p := range l.cfg.Output.Include {
		if err := checkPointer(p); err != nil {
			l.problem(l.where("output.include"), "output.include", err.Error())
		}
	}
}

var (
	device  = regexp.MustCompile(`^(cpu|auto|cuda(:[0-9]+(,[0-9]+)*)?)$`)
	version = regexp.MustCompile(`^(latest|[0-9]+)$`)
)

func (l *loader) validateModel() {
	m := l.cfg.Model
	if !device.MatchString(m.Device) {
		l.problem(l.where("model.device"), "model.device", fmt.Sprintf("unknown device %q; allowed: cpu, cuda, cuda:0, cuda:0,1, auto", m.Device))
	}
	if !version.MatchString(m.Version) {
		l.problem(l.where("model.version"), "model.version", fmt.Sprintf("unknown version %q; write latest or the number of a version folder", m.Version))
	}
	if sum, err := hex.DecodeString(m.SHA256); m.SHA256 != "" && (err != nil || len(sum) != 32) {
		l.problem(l.where("model.sha256"), "model.sha256", "is no SHA-256; write 64 hexadecimal digits, as sha256sum prints")
	}
	if strings.ContainsAny(m.Name, "/:|\n") {
		l.problem(l.where("model.name"), "model.name", fmt.Sprintf("%q holds a character of our headers; use letters, digits, dot, dash, underscore", m.Name))
	}
	if l.cfg.DeadLetter.MaxShare > 1 {
		l.problem(l.where("dead_letter.max_share"), "dead_letter.max_share", fmt.Sprintf("%v is more than all; write a share between 0 and 1", l.cfg.DeadLetter.MaxShare))
	}
	if l.cfg.Output.Raw != "" && l.cfg.OutputCodec() != "raw" {
		l.warn(l.where("output.raw"), "output.raw", "has no effect: the output's codec is %s", l.cfg.OutputCodec())
	}
}

func (l *loader) validateDelivery() {
	o := l.cfg.Output
	if o.Delivery != ExactlyOnce {
		return
	}
	if o.Order == "none" {
		l.problem(l.where("output.order"), "output.order", "none does not go with exactly-once; write order: partition")
	}
	if l.cfg.Transaction.IDPrefix == "" {
		l.problem(l.where("transaction.id_prefix"), "transaction.id_prefix", "is empty; write a name, such as sluice: permissions are granted by it")
	}
	if l.cfg.Input.Isolation == "read_uncommitted" {
		l.warn(l.where("input.isolation"), "input.isolation", "read_uncommitted with exactly-once: inputs of aborted transactions have outcomes too")
	}
}

var topicName = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,249}$`)

func (l *loader) validateTopics() {
	c := l.cfg
	check := func(path, topic string) {
		if topic != "" && (!topicName.MatchString(topic) || topic == "." || topic == "..") {
			l.problem(l.where(path), path, fmt.Sprintf("%q is no topic name; use letters, digits, dot, dash and underscore, at most 249", topic))
		}
	}
	check("output.topic", c.Output.Topic)
	for _, in := range c.Input.Topics {
		check("input.topics", in)
		dlq := c.DeadLetterTopic(in)
		check("dead_letter.topic", dlq)
		if in == c.Output.Topic {
			l.problem(l.where("output.topic"), "output.topic", fmt.Sprintf("%q is an input too: it would feed itself; write to another topic", in))
		}
		if slices.Contains(c.Input.Topics, dlq) {
			l.problem(l.where("dead_letter.topic"), "dead_letter.topic", fmt.Sprintf("%q is an input too: it would feed itself; write to another topic", dlq))
		}
		if dlq == c.Output.Topic {
			l.problem(l.where("dead_letter.topic"), "dead_letter.topic", fmt.Sprintf("%q is the output too: readers would take failures for predictions; write to another topic", dlq))
		}
	}
	if c.DeadLetter.Topic == "" {
		l.problem(l.where("dead_letter.topic"), "dead_letter.topic", "is empty; name a topic, such as \"{input}.dlq\"")
	}
}

func (l *loader) validateServers() {
	for _, path := range []string{"admin.listen", "admin.health_listen"} {
		key, _ := keyAt(path)
		address := key.field(l.cfg).String()
		if address == "" {
			continue
		}
		if _, port, err := net.SplitHostPort(address); err != nil || !validPort(port, 0) {
			l.problem(l.where(path), path, fmt.Sprintf("%q is no address; write host:port, such as 127.0.0.1:8900, or \"\" for none", address))
		}
	}
	if a := l.cfg.Admin; a.Listen != "" && a.Listen == a.HealthListen && !strings.HasSuffix(a.Listen, ":0") {
		l.problem(l.where("admin.health_listen"), "admin.health_listen", "is the address of admin.listen; leave it empty, or choose another port")
	}
}

func validPort(text string, least int) bool {
	n, err := strconv.Atoi(text)
	return err == nil && n >= least && n <= 65535
}

// Equal says whether two configurations are the same.
func (c *Config) Equal(other *Config) bool { return reflect.DeepEqual(c, other) }

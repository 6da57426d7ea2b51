//go:build integration

package main

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/sluice-ml/sluice/internal/kafkatest"
)

// guarded is a world whose service logs in as a user with ACLs; the test's own
// clients are super users.
type guarded struct {
	*world
	login []string
}

func newGuarded(t *testing.T, partitions int32) guarded {
	t.Helper()
	brokers, ca := kafkatest.SASLBrokers(t)
	return guarded{newWorld(t, partitions), []string{
		"kafka.brokers=" + strings.Join(brokers, ","), "kafka.tls.enabled=true", "kafka.tls.ca_file=" + ca,
		"kafka.sasl.mechanism=scram-sha-512", "kafka.sasl.username=" + kafkatest.User,
		"kafka.sasl.password_file=" + secretFile(t, kafkatest.Password), "startup.wait=300ms",
	}}
}

// deny forbids operations to the service's user until allow is called.
func (g guarded) deny(acl *kadm.ACLBuilder, operations ...kadm.ACLOperation) (allow func()) {
	g.t.Helper()
	acl = acl.Deny("User:" + kafkatest.User).DenyHosts().ResourcePatternType(kadm.ACLPatternLiteral).Operations(operations...)
	created, err := g.admin.CreateACLs(g.t.Context(), acl)
	if err != nil {
		g.t.Fatal(err)
	}
	for _, c := range created {
		if c.Err != nil {
			g.t.Fatal(c.Err)
		}
	}
	return func() {
		g.t.Helper()
		if _, err := g.admin.DeleteACLs(g.t.Context(), acl); err != nil {
			g.t.Fatal(err)
		}
	}
}

// transactionalID is that of the instance "a".
func transactionalID(w *world) *kadm.ACLBuilder {
	return kadm.NewACLs().TransactionalIDs("sluice-" + w.group + "-a")
}

func TestRefusedAtStartNamesTheGrant(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		acl  func(w *world) *kadm.ACLBuilder
		op   kadm.ACLOperation
		text func(w *world) string
		more []string
	}{
		"reading the input":       {func(w *world) *kadm.ACLBuilder { return kadm.NewACLs().Topics(w.in) }, kadm.OpRead, func(w *world) string { return "--operation Read" }, nil},
		"seeing the input":        {func(w *world) *kadm.ACLBuilder { return kadm.NewACLs().Topics(w.in) }, kadm.OpDescribe, func(w *world) string { return w.in }, nil},
		"writing the output":      {func(w *world) *kadm.ACLBuilder { return kadm.NewACLs().Topics(w.out) }, kadm.OpWrite, func(w *world) string { return "--operation Write" }, nil},
		"writing the dead letter": {func(w *world) *kadm.ACLBuilder { return kadm.NewACLs().Topics(w.dlq) }, kadm.OpWrite, func(w *world) string { return "--topic " + w.dlq }, nil},
		"joining the group":       {func(w *world) *kadm.ACLBuilder { return kadm.NewACLs().Groups(w.group) }, kadm.OpRead, func(w *world) string { return w.group }, nil},
		"writing in transactions": {transactionalID, kadm.OpWrite, func(w *world) string {
			return "--operation Write --operation Describe --transactional-id sluice-" + w.group + "- --resource-pattern-type prefixed"
		}, exactlyOnce("input.instance=a")},
		"seeing the transactions": {transactionalID, kadm.OpDescribe, func(w *world) string { return "--transactional-id sluice-" + w.group + "-" }, exactlyOnce("input.instance=a")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGuarded(t, 1)
			g.login = append(g.login, c.more...)
			allow := g.deny(c.acl(g.world), c.op)
			s := start(t, g.with(g.login...)...)
			s.exits(exitDependency)
			for _, text := range []string{"User:" + kafkatest.User, c.text(g.world)} {
				if !strings.Contains(s.log.String(), text) {
					t.Errorf("no %q\n%s", text, s.log)
				}
			}
			allow()
			s = start(t, g.with(g.login...)...)
			s.await("ready")
			s.end(exitOK)
		})
	}
}

// Rights that are taken away at run time stop what needs them, and nothing is
// lost; giving them back is all an operator has to do.
func TestRightsTakenAwayStopAndComeBack(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		acl    func(w *world) *kadm.ACLBuilder
		op     kadm.ACLOperation
		reason string
	}{
		"input":  {func(w *world) *kadm.ACLBuilder { return kadm.NewACLs().Topics(w.in) }, kadm.OpRead, "unauthorized"},
		"output": {func(w *world) *kadm.ACLBuilder { return kadm.NewACLs().Topics(w.out) }, kadm.OpWrite, "output"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGuarded(t, 2)
			s := start(t, g.with(g.login...)...)
			s.await("ready")
			g.put(g.rows(0, 100)...)
			g.settled()

			allow := g.deny(c.acl(g.world), c.op)
			g.put(g.rows(100, 100)...)
			s.stops(2, c.reason)
			if left := g.behind(t.Context()); left != 100 {
				t.Errorf("%d records are not committed, want 100", left)
			}
			allow()
			g.settled()
			eventually(t, "no partition stopped", func() bool {
				status, _ := fetch(t, s.base()+"/readyz?strict=1")
				return status == http.StatusOK
			})
			s.end(exitOK)
			if redone := wantEach(t, g.outputs(), 200); redone > 100 {
				t.Errorf("%d outputs came twice", redone)
			}
			if n := strings.Count(s.log.String(), "partition stopped"); n > 4 {
				t.Errorf("%d lines say that a partition stopped:\n%s", n, s.log)
			}
		})
	}
}

// A transactional id that may no longer be used stops nothing for good: the log
// names the right, and when it is given back nothing is lost and nothing is twice.
func TestATransactionalIDTakenAwayIsNamedAndComesBack(t *testing.T) {
	t.Parallel()
	g := newGuarded(t, 2)
	s := start(t, g.with(append(g.login, exactlyOnce("input.instance=a")...)...)...)
	s.await("ready")
	g.put(g.ordered(0, 100)...)
	g.settled()
	allow := g.deny(transactionalID(g.world), kadm.OpWrite)
	g.put(g.ordered(100, 100)...)
	eventually(t, "the log names the right", func() bool {
		return strings.Contains(s.log.String(), "--operation Write --operation Describe --transactional-id sluice-"+g.group+"-a")
	})
	if left := g.behind(t.Context()); left != 100 {
		t.Errorf("%d records are not committed, want 100", left)
	}
	allow()
	g.settled()
	s.end(exitOK)
	wantOnce(t, g.outputs(), 200)
}

// A user who has what `sluice acls` prints, and nothing else, on a broker that
// allows nothing by itself.
func TestThePrintedACLsAreEnough(t *testing.T) {
	t.Parallel()
	b := ownBroker(t, "allow.everyone.if.no.acl.found=false")
	for _, delivery := range []string{"at-least-once", "exactly-once"} {
		t.Run(delivery, func(t *testing.T) {
			t.Parallel()
			printedACLsAreEnough(t, b, delivery)
		})
	}
}

func printedACLsAreEnough(t *testing.T, b *broker, delivery string) {
	t.Helper()
	w := newWorldAt(t, b.brokers(kafkatest.EnvBrokers), 2)
	login := []string{
		"kafka.brokers=" + b.env[kafkatest.EnvSASLBrokers], "kafka.tls.enabled=true", "kafka.tls.ca_file=" + b.env[kafkatest.EnvCAFile],
		"kafka.sasl.mechanism=scram-sha-256", "kafka.sasl.username=" + kafkatest.User,
		"kafka.sasl.password_file=" + secretFile(t, kafkatest.Password), "startup.wait=300ms", "output.delivery=" + delivery,
	}
	printed := sluice(t, append([]string{"acls", "--json"}, w.with(login...)...)...)
	printed.want(t, exitOK)
	var answer struct {
		Principal string
		ACLs      []grant
	}
	if err := json.Unmarshal([]byte(printed.out), &answer); err != nil {
		t.Fatal(err)
	}
	s := start(t, w.with(login...)...)
	s.exits(exitDependency)
	allow := func(g grant) {
		t.Helper()
		var operations []kadm.ACLOperation
		for _, name := range g.Operations {
			operation, err := kmsg.ParseACLOperation(name)
			if err != nil {
				t.Fatal(err)
			}
			operations = append(operations, operation)
		}
		pattern := kadm.ACLPatternLiteral
		if g.Prefixed {
			pattern = kadm.ACLPatternPrefixed
		}
		acl := kadm.NewACLs().Allow(answer.Principal).AllowHosts().ResourcePatternType(pattern).Operations(operations...)
		switch g.Resource {
		case "topic":
			acl = acl.Topics(g.Name)
		case "group":
			acl = acl.Groups(g.Name)
		case "transactional-id":
			acl = acl.TransactionalIDs(g.Name)
		default:
			t.Fatalf("a resource this test does not know: %+v", g)
		}
		created, err := w.admin.CreateACLs(t.Context(), acl)
		if err != nil || len(created) == 0 || created[0].Err != nil {
			t.Fatalf("%+v: %v, %+v", g, err, created)
		}
	}
	for _, g := range answer.ACLs {
		if !g.Optional {
			allow(g)
		}
	}
	w.put(w.rows(0, 100)...)
	w.put(&kgo.Record{Value: []byte("poison")})
	s = start(t, w.with(login...)...)
	s.await("ready")
	w.settled()
	s.end(exitOK)
	// The end of a transaction is marked in its partitions one after the other.
	eventually(t, "all outcomes are committed", func() bool { return len(w.outputs()) >= 100 && len(w.letters()) >= 1 })
	wantEach(t, w.outputs(), 100)
	if n := len(w.letters()); n != 1 {
		t.Errorf("%d dead letters, want 1", n)
	}

	check := sluice(t, append([]string{"check"}, w.with(login...)...)...)
	check.want(t, exitOK, "allow DescribeConfigs")
	for _, g := range answer.ACLs {
		if g.Optional {
			allow(g)
		}
	}
	check = sluice(t, append([]string{"check"}, w.with(login...)...)...)
	check.want(t, exitOK)
	if strings.Contains(check.out, "allow DescribeConfigs") {
		t.Errorf("with all of it check still misses rights\n%s", check.out)
	}
}

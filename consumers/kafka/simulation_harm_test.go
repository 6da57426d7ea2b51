package kafka

import (
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// harm is one kind of fault.
type harm struct {
	name string
	do   func(s *simulation, st faultStep)
}

// finals are the harms that a plan may end with: they hit a transaction in its last
// steps, or who makes it.
var finals = []string{"end refused", "answer lost", "request lost", "any answers lost", "killed", "heir", "stopped", "produce refused", "offsets refused"}

// answer makes the next requests of a kind fail. What kfake answers with
// REQUEST_TIMED_OUT or NOT_ENOUGH_REPLICAS_AFTER_APPEND it has carried out. The
// selectors keep it off the clients of the test itself.
func answer(name string, fault kfake.Fault, errs ...*kerr.Error) harm {
	return harm{name, func(s *simulation, st faultStep) {
		f := fault
		f.Err, f.Count = errs[st.pick%len(errs)], st.n
		s.log.Info(name, "with", f.Err.Message)
		s.cluster.Fault(f)
	}}
}

func onTxn(key kmsg.Key) kfake.Fault {
	return kfake.Fault{Keys: []kmsg.Key{key}, TopLevel: true, When: func(req kmsg.Request) bool {
		init, ok := req.(*kmsg.InitProducerIDRequest)
		return !ok || init.TransactionalID != nil && init.ProducerID >= 0
	}}
}

func requireStable(req kmsg.Request) bool {
	fetch, ok := req.(*kmsg.OffsetFetchRequest)
	return ok && fetch.RequireStable
}

var harms = []harm{
	answer("produce refused", kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: "out"}, kerr.NotLeaderForPartition, kerr.RequestTimedOut, kerr.NotEnoughReplicasAfterAppend, kerr.NotEnoughReplicas,
		kerr.UnknownServerError, kerr.OutOfOrderSequenceNumber, kerr.InvalidProducerEpoch, kerr.ConcurrentTransactions, kerr.TransactionAbortable, kerr.InvalidTxnState, kerr.ProducerFenced),
	answer("dead letters refused", kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: "in.dlq"}, kerr.NotLeaderForPartition, kerr.RequestTimedOut, kerr.UnknownServerError, kerr.TransactionAbortable),
	answer("joining refused", kfake.Fault{Keys: []kmsg.Key{kmsg.AddPartitionsToTxn}, Topic: "out"}, kerr.NotCoordinator, kerr.ConcurrentTransactions, kerr.UnknownServerError),
	answer("offsets refused", kfake.Fault{Keys: []kmsg.Key{kmsg.TxnOffsetCommit}, Topic: "in"}, kerr.NotCoordinator, kerr.CoordinatorNotAvailable, kerr.CoordinatorLoadInProgress,
		kerr.UnknownServerError, kerr.IllegalGeneration, kerr.UnknownMemberID, kerr.RebalanceInProgress, kerr.ConcurrentTransactions, kerr.RequestTimedOut, kerr.InvalidProducerEpoch),
	answer("end refused", onTxn(kmsg.EndTxn), kerr.NotCoordinator, kerr.CoordinatorNotAvailable, kerr.ConcurrentTransactions,
		kerr.UnknownServerError, kerr.InvalidTxnState, kerr.ProducerFenced),
	answer("init refused", onTxn(kmsg.InitProducerID), kerr.NotCoordinator, kerr.ConcurrentTransactions, kerr.CoordinatorLoadInProgress, kerr.InvalidProducerIDMapping),
	answer("heartbeat refused", kfake.Fault{Keys: []kmsg.Key{kmsg.Heartbeat}, Group: "g", TopLevel: true},
		kerr.RebalanceInProgress, kerr.UnknownMemberID, kerr.IllegalGeneration, kerr.NotCoordinator),
	answer("offsets unstable", kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetFetch}, Topic: "in", When: requireStable}, kerr.UnstableOffsetCommit),
	{"leaders moved", func(s *simulation, _ faultStep) { s.cluster.ShufflePartitionLeaders() }},
	{"coordinators moved", func(s *simulation, _ faultStep) { s.cluster.RehashCoordinators() }},
	{"any answers lost", func(s *simulation, st faultStep) { s.wire(st).with(func(n *wire) { n.lose += st.n }) }},
	{"answer lost", func(s *simulation, st faultStep) {
		s.wire(st).with(func(n *wire) { n.loseAnswer[lossy[st.pick%len(lossy)]] += st.n })
	}},
	{"request lost", func(s *simulation, st faultStep) {
		s.wire(st).with(func(n *wire) { n.loseRequest[lossy[st.pick%len(lossy)]] += st.n })
	}},
	{"request late", func(s *simulation, st faultStep) {
		s.wire(st).with(func(n *wire) { n.holdNext[lossy[st.pick%6]] = st.late + st.span/2 })
	}},
	{"end late", func(s *simulation, st faultStep) { // into a transaction that has no positions yet
		by := s.plan.timeout/4 + st.late + st.span/4
		s.wire(st).with(func(n *wire) {
			n.holdNext[kmsg.EndTxn] = by
			n.offsetsUntil, n.offsetsBy = time.Now().Add(by+time.Second), 150*time.Millisecond
		})
	}},
	{"heartbeats lost", func(s *simulation, st faultStep) {
		s.wire(st).with(func(n *wire) { n.deafUntil = time.Now().Add(st.span + 4*time.Second) })
	}},
	{"broker cut", func(s *simulation, st faultStep) {
		s.under(st, func(sky *sky) { sky.cut = time.Now().Add(st.span) })
		s.wire(st).hangUp(portOf(st))
	}},
	{"broker silent", func(s *simulation, st faultStep) {
		s.under(st, func(sky *sky) { sky.silent = time.Now().Add(st.span) })
	}},
	{"broker slow", func(s *simulation, st faultStep) {
		s.under(st, func(sky *sky) { sky.slowUntil, sky.slow = time.Now().Add(st.span), st.late })
	}},
	{"requests late", func(s *simulation, st faultStep) {
		s.under(st, func(sky *sky) { sky.lateUntil, sky.late = time.Now().Add(st.span), st.late+st.span/4 })
	}},
	{"killed", func(s *simulation, st faultStep) { s.kill(st.who, 0) }},
	{"heir", func(s *simulation, st faultStep) { s.kill(st.who, st.span+3*time.Second) }},
	{"stopped", func(s *simulation, st faultStep) { s.halt(st.who) }},
	{"name taken", func(s *simulation, st faultStep) { s.twin(st.who) }},
	{"member removed", func(s *simulation, st faultStep) { s.remove(st.who) }},
	{"removed inside a transaction", func(s *simulation, st faultStep) {
		s.wire(st).with(func(n *wire) { n.pausedUntil = time.Now().Add(st.late + time.Second) })
		s.after(st.late/2, func() { s.remove(st.who) })
	}},
	{"guest", func(s *simulation, st faultStep) { s.visit(st.span, st.pick%2 == 0) }},
	{"model slow", func(s *simulation, st faultStep) {
		s.models[st.who].slowly(time.Now().Add(st.span), st.late/4)
	}},
	{"model fails", func(s *simulation, st faultStep) {
		m := s.models[st.who]
		m.Break(st.pick%2 == 0)
		s.after(st.span/2, m.Repair)
	}},
	{"poison", func(s *simulation, st faultStep) {
		for p := range st.feed {
			s.feed(p, st.n, 100)
		}
	}},
	{"clock step", func(s *simulation, st faultStep) {
		s.clock = time.Duration(st.pick%7-3) * time.Hour
	}},
}

// remove takes a member out of the group as an administrator does; it does not hear of
// it before its next request to the coordinator.
func (s *simulation) remove(who int) {
	_, err := s.admin.LeaveGroup(s.Context(), kadm.LeaveGroup("g").InstanceIDs(names[who]))
	s.log.Info("member removed", "process", names[who], "error", err)
}

func find(name string) harm {
	for _, h := range harms {
		if h.name == name {
			return h
		}
	}
	panic("BUG: no harm " + name)
}

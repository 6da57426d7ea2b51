package kafka

import (
	"errors"
	"fmt"

	"github.com/sluice-ml/sluice/internal/kafkawire"
)

// action is what the producer does with an answer.
type action uint8

const (
	// done: the batch is in the log; its sequence is used up.
	done action = iota
	// again: the same bytes to the same leader, after a backoff, without end.
	again
	// relocate: ask who leads, then the same bytes there, without end.
	relocate
	// persist: as relocate, but the partition gives up after the grace.
	persist
	// renumber: a new producer id, sequences of this partition from 0. What was
	// in doubt may be written twice: logged and counted.
	renumber
	// split: the batch is too large: halves, down to the single record, which
	// fails with ErrTooLarge.
	split
	// retime: the records with a refused timestamp are sent with the time of now.
	retime
	// refuse: the records named in the answer fail with ErrRefused, the rest is
	// sent again; where none is named the batch is halved to find them.
	refuse
)

// rule is what one code means for a produce.
type rule struct {
	action action
	// doubt: the batch may be in the log although the answer is an error.
	doubt bool
}

// actions holds every code that a produce, or the calls it needs (Metadata,
// InitProducerID), is known to answer. A code that is not here persists.
// Sources: the protocol guide, ProduceRequest; KIP-98, KIP-360, KIP-467; and
// answers seen from brokers 4.1 and 4.3.
var actions = map[kafkawire.ErrorCode]rule{
	kafkawire.ErrNone:              {done, false},
	kafkawire.ErrDuplicateSequence: {done, false}, // 46: an earlier attempt is in the log

	// The leader is elsewhere, or nowhere for now. Not appended.
	kafkawire.ErrLeaderNotAvailable:  {relocate, false}, // 5
	kafkawire.ErrNotLeader:           {relocate, false}, // 6
	kafkawire.ErrReplicaNotAvailable: {relocate, false}, // 9
	kafkawire.ErrKafkaStorage:        {relocate, true},  // 56: the disk failed, perhaps after the append
	kafkawire.ErrFencedLeaderEpoch:   {relocate, false}, // 74
	kafkawire.ErrUnknownLeaderEpoch:  {relocate, false}, // 75

	// The broker is busy, or its replicas are. The same bytes are safe: a
	// batch that was appended is recognised by its sequence.
	kafkawire.ErrUnknown:                      {again, true},  // -1
	kafkawire.ErrRequestTimedOut:              {again, true},  // 7: appended, replicas late
	kafkawire.ErrCoordinatorLoading:           {again, false}, // 14, 15, 16: InitProducerID on a fresh broker
	kafkawire.ErrCoordinatorNotAvailable:      {again, false},
	kafkawire.ErrNotCoordinator:               {again, false},
	kafkawire.ErrNotEnoughReplicas:            {again, false}, // 19
	kafkawire.ErrNotEnoughReplicasAfterAppend: {again, true},  // 20
	kafkawire.ErrConcurrentTransactions:       {again, false}, // 51
	kafkawire.ErrThrottlingQuota:              {again, false}, // 89

	// Refused, and a person can mend it: gives up after the grace, so that the
	// input partitions stop and give their slots back, and tries again later.
	kafkawire.ErrCorruptMessage:          {persist, false}, // 2: damaged on the way, or a bug
	kafkawire.ErrUnknownTopicOrPartition: {persist, false}, // 3
	kafkawire.ErrInvalidTopic:            {persist, false}, // 17
	kafkawire.ErrTopicAuthorization:      {persist, false}, // 29
	kafkawire.ErrGroupAuthorization:      {persist, false}, // 30: not a produce's answer, kept for completeness
	kafkawire.ErrClusterAuthorization:    {persist, false}, // 31: idempotent write
	kafkawire.ErrUnsupportedVersion:      {persist, false}, // 35
	kafkawire.ErrPolicyViolation:         {persist, false}, // 44
	kafkawire.ErrSASLAuthentication:      {persist, false}, // 58: credentials may rotate
	kafkawire.ErrUnsupportedCompression:  {persist, false}, // 76
	kafkawire.ErrUnknownTopicID:          {persist, false}, // 100
	kafkawire.ErrInconsistentTopicID:     {persist, false}, // 103

	// The broker does not know the sequence: data was lost on its side, or the
	// producer id expired (KIP-360).
	kafkawire.ErrOutOfOrderSequence:       {renumber, false}, // 45
	kafkawire.ErrInvalidProducerEpoch:     {renumber, false}, // 47
	kafkawire.ErrInvalidProducerIDMapping: {renumber, false}, // 49
	kafkawire.ErrUnknownProducerID:        {renumber, false}, // 59
	kafkawire.ErrProducerFenced:           {renumber, false}, // 90

	// The records' own fault. The sequence is not used up.
	kafkawire.ErrMessageTooLarge:    {split, false},  // 10
	kafkawire.ErrRecordListTooLarge: {split, false},  // 18: larger than a segment
	kafkawire.ErrInvalidTimestamp:   {retime, false}, // 32
	kafkawire.ErrInvalidRecord:      {refuse, false}, // 87
}

// network is the rule for a request that got no answer.
var network = rule{relocate, true}

// ruleFor is the rule of an error: a broker's code, or no answer.
func ruleFor(err error) rule {
	if err == nil {
		return rule{action: done}
	}
	code, ok := codeOf(err)
	if !ok {
		return network
	}
	if r, ok := actions[code]; ok {
		return r
	}
	return rule{action: persist, doubt: true}
}

// codeOf is the broker's code in an error; false when there was no answer.
func codeOf(err error) (kafkawire.ErrorCode, bool) {
	var code kafkawire.ErrorCode
	if errors.As(err, &code) {
		return code, true
	}
	if errors.Is(err, kafkawire.ErrUnsupportedVersion) {
		return kafkawire.ErrUnsupportedVersion, true
	}
	return 0, false
}

// cure is what a person can do about a partition that gave up.
func cure(err error, topic string) string {
	code, _ := codeOf(err)
	switch code {
	case kafkawire.ErrUnknownTopicOrPartition, kafkawire.ErrUnknownTopicID, kafkawire.ErrInconsistentTopicID:
		return fmt.Sprintf("create it: kafka-topics.sh --create --topic %s", topic)
	case kafkawire.ErrTopicAuthorization:
		return fmt.Sprintf("allow Describe and Write: kafka-acls.sh --add --operation Write --operation Describe --topic %s", topic)
	case kafkawire.ErrClusterAuthorization:
		return "allow IdempotentWrite on the cluster: kafka-acls.sh --add --operation IdempotentWrite --cluster"
	case kafkawire.ErrSASLAuthentication:
		return "check kafka.sasl: mechanism, username and password file"
	case kafkawire.ErrUnsupportedCompression:
		return "choose another output.compression"
	default:
		return "see the broker's log; records are tried again by themselves"
	}
}

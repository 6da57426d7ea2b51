package kafkawire

import (
	"errors"
	"fmt"
	"strconv"
)

// ErrorCode is a Kafka error code; as an error it is the broker's answer, not a
// failure on the way (that is a *NetError).
//
// What the consumer and the producer do with the codes they meet:
//
//	code                                       action
//	1   OFFSET_OUT_OF_RANGE                    ListOffsets, then the out_of_range policy; lost records are counted
//	2   CORRUPT_MESSAGE                        produce: again until the patience for mendable faults ends, then the output partition counts as unwritable; fetch: three more tries, then stop the partition
//	3   UNKNOWN_TOPIC_OR_PARTITION             Forget the topic, back off 1 s; lasting: stop the partition, say so once
//	5   LEADER_NOT_AVAILABLE                   back off, ask for the leader again
//	6   NOT_LEADER_OR_FOLLOWER                 Forget the topic, same bytes to the new leader
//	7   REQUEST_TIMED_OUT                      same bytes again: the batch may be in the log already
//	9   REPLICA_NOT_AVAILABLE                  as 6
//	10  MESSAGE_TOO_LARGE                      the sequence is not consumed: split the batch or write a dead-letter stub
//	14  COORDINATOR_LOAD_IN_PROGRESS           back off 20 to 200 ms, same request
//	15  COORDINATOR_NOT_AVAILABLE              ForgetCoordinator, FindCoordinator, back off
//	16  NOT_COORDINATOR                        ForgetCoordinator, FindCoordinator
//	18  RECORD_LIST_TOO_LARGE                  as 10
//	19  NOT_ENOUGH_REPLICAS                    same bytes, back off 100 ms to 1 s
//	20  NOT_ENOUGH_REPLICAS_AFTER_APPEND       as 19
//	22  ILLEGAL_GENERATION                     drop the generation, rejoin
//	25  UNKNOWN_MEMBER_ID                      rejoin with an empty member id
//	26  INVALID_SESSION_TIMEOUT                configuration error, exit
//	27  REBALANCE_IN_PROGRESS                  heartbeat: drain and rejoin; commit: retry after the join
//	29  TOPIC_AUTHORIZATION_FAILED             at start an error, later stop the partition and retry with backoff
//	30  GROUP_AUTHORIZATION_FAILED             at start an error, later retry with backoff
//	31  CLUSTER_AUTHORIZATION_FAILED           no idempotent producer: an error with the ACL to grant
//	32  INVALID_TIMESTAMP                      retry the record with the time of now
//	35  UNSUPPORTED_VERSION                    the versions are asked for again, then an error
//	45  OUT_OF_ORDER_SEQUENCE_NUMBER           new producer id; the batch in doubt may be written twice, counted
//	46  DUPLICATE_SEQUENCE_NUMBER              success: the batch is in the log
//	47  INVALID_PRODUCER_EPOCH                 new producer id, as 45
//	48  INVALID_TXN_STATE                      transaction: abort, read the committed offsets, do it again
//	49  INVALID_PRODUCER_ID_MAPPING            new producer id, as 45
//	50  INVALID_TRANSACTION_TIMEOUT            configuration error, exit
//	51  CONCURRENT_TRANSACTIONS                retry after 2 to 20 ms
//	53  TRANSACTIONAL_ID_AUTHORIZATION_FAILED  an error with the ACL to grant
//	55  OPERATION_NOT_ATTEMPTED                another partition of the request is the reason: see that one
//	56  KAFKA_STORAGE_ERROR                    Forget the topic, back off, same bytes
//	58  SASL_AUTHENTICATION_FAILED             at start an error; at run time again, as credentials rotate
//	59  UNKNOWN_PRODUCER_ID                    new producer id, as 45
//	74  FENCED_LEADER_EPOCH                    Forget the topic, ask again
//	75  UNKNOWN_LEADER_EPOCH                   back off, same request
//	76  UNSUPPORTED_COMPRESSION_TYPE           configuration error: choose another codec
//	78  OFFSET_NOT_AVAILABLE                   back off, same request
//	79  MEMBER_ID_REQUIRED                     join again with the id of the answer
//	82  FENCED_INSTANCE_ID                     another process has this name: stop
//	87  INVALID_RECORD                         dead letters for the records named in RecordErrors
//	88  UNSTABLE_OFFSET_COMMIT                 retry after 20 ms
//	89  THROTTLING_QUOTA_EXCEEDED              wait Throttle, same request
//	90  PRODUCER_FENCED                        transaction: InitProducerID with the own id decides
//	100 UNKNOWN_TOPIC_ID                       the topic was recreated: stop the partition, an operator decides
//	103 INCONSISTENT_TOPIC_ID                  as 100
//	120 TRANSACTION_ABORTABLE                  transaction: abort, read the committed offsets, do it again
//
// Every other code: retried with backoff where Retriable, else the partition or
// the process stops with the code's sentence.
type ErrorCode int16

// The codes that the consumer and the producer name. The full list is in codes.go.
const (
	ErrNone                         ErrorCode = 0
	ErrUnknown                      ErrorCode = -1
	ErrOffsetOutOfRange             ErrorCode = 1
	ErrCorruptMessage               ErrorCode = 2
	ErrUnknownTopicOrPartition      ErrorCode = 3
	ErrLeaderNotAvailable           ErrorCode = 5
	ErrNotLeader                    ErrorCode = 6
	ErrRequestTimedOut              ErrorCode = 7
	ErrReplicaNotAvailable          ErrorCode = 9
	ErrMessageTooLarge              ErrorCode = 10
	ErrCoordinatorLoading           ErrorCode = 14
	ErrCoordinatorNotAvailable      ErrorCode = 15
	ErrNotCoordinator               ErrorCode = 16
	ErrInvalidTopic                 ErrorCode = 17
	ErrRecordListTooLarge           ErrorCode = 18
	ErrNotEnoughReplicas            ErrorCode = 19
	ErrNotEnoughReplicasAfterAppend ErrorCode = 20
	ErrIllegalGeneration            ErrorCode = 22
	ErrInconsistentGroupProtocol    ErrorCode = 23
	ErrUnknownMemberID              ErrorCode = 25
	ErrInvalidSessionTimeout        ErrorCode = 26
	ErrRebalanceInProgress          ErrorCode = 27
	ErrTopicAuthorization           ErrorCode = 29
	ErrGroupAuthorization           ErrorCode = 30
	ErrClusterAuthorization         ErrorCode = 31
	ErrInvalidTimestamp             ErrorCode = 32
	ErrUnsupportedVersion           ErrorCode = 35
	ErrTopicExists                  ErrorCode = 36
	ErrNotController                ErrorCode = 41
	ErrPolicyViolation              ErrorCode = 44
	ErrOutOfOrderSequence           ErrorCode = 45
	ErrDuplicateSequence            ErrorCode = 46
	ErrInvalidProducerEpoch         ErrorCode = 47
	ErrInvalidTxnState              ErrorCode = 48
	ErrInvalidProducerIDMapping     ErrorCode = 49
	ErrInvalidTxnTimeout            ErrorCode = 50
	ErrConcurrentTransactions       ErrorCode = 51
	ErrTransactionalIDAuthorization ErrorCode = 53
	ErrOperationNotAttempted        ErrorCode = 55
	ErrKafkaStorage                 ErrorCode = 56
	ErrSASLAuthentication           ErrorCode = 58
	ErrUnknownProducerID            ErrorCode = 59
	ErrFencedLeaderEpoch            ErrorCode = 74
	ErrUnknownLeaderEpoch           ErrorCode = 75
	ErrUnsupportedCompression       ErrorCode = 76
	ErrOffsetNotAvailable           ErrorCode = 78
	ErrMemberIDRequired             ErrorCode = 79
	ErrGroupMaxSizeReached          ErrorCode = 81
	ErrFencedInstanceID             ErrorCode = 82
	ErrInvalidRecord                ErrorCode = 87
	ErrUnstableOffsetCommit         ErrorCode = 88
	ErrThrottlingQuota              ErrorCode = 89
	ErrProducerFenced               ErrorCode = 90
	ErrUnknownTopicID               ErrorCode = 100
	ErrInconsistentTopicID          ErrorCode = 103
	ErrTransactionalIDNotFound      ErrorCode = 105
	ErrStaleMemberEpoch             ErrorCode = 113
	ErrTransactionAbortable         ErrorCode = 120
)

type codeInfo struct {
	name      string
	retriable bool
	sentence  string
}

// Error implements error: name, number and one sentence.
func (e ErrorCode) Error() string {
	info, ok := codes[e]
	if !ok {
		return e.Name() + " (" + strconv.Itoa(int(e)) + "): a code this client does not know"
	}
	return info.name + " (" + strconv.Itoa(int(e)) + "): " + info.sentence
}

// Name is the code's name in the protocol guide.
func (e ErrorCode) Name() string {
	if e == ErrNone {
		return "NONE"
	}
	if info, ok := codes[e]; ok {
		return info.name
	}
	return "UNKNOWN_CODE_" + strconv.Itoa(int(e))
}

// Retriable says whether the same request may succeed later.
func (e ErrorCode) Retriable() bool { return codes[e].retriable }

// err is the code as an error, nil for ErrNone.
func (e ErrorCode) err() error {
	if e == ErrNone {
		return nil
	}
	return e
}

// NetError is a request that got no answer from a broker: refused, cut,
// timed out, or answered with bytes that are not the protocol. Whether the
// broker acted on the request is unknown.
type NetError struct {
	// API is the request's name in the protocol guide.
	API string
	// Node is the broker's id, -1 for a bootstrap address.
	Node int32
	// Addr is host:port, "" when the broker is in no metadata.
	Addr string
	Err  error
}

// Error implements error.
func (e *NetError) Error() string {
	broker := e.Addr
	switch {
	case e.Node >= 0 && e.Addr != "":
		broker = fmt.Sprintf("broker %d (%s)", e.Node, e.Addr)
	case e.Node >= 0:
		broker = fmt.Sprintf("broker %d", e.Node)
	}
	return fmt.Sprintf("%s to %s: %v", e.API, broker, e.Err)
}

// Unwrap returns the cause.
func (e *NetError) Unwrap() error { return e.Err }

// UnsupportedError says that the broker and this client share no version of a
// request.
type UnsupportedError struct {
	API                  string
	Addr                 string
	BrokerMin, BrokerMax int16 // -1 when the broker does not know the API
	ClientMin, ClientMax int16
}

// Error implements error.
func (e *UnsupportedError) Error() string {
	if e.BrokerMax < 0 {
		return fmt.Sprintf("%s does not offer the %s API (needed: version %d to %d): use Apache Kafka 2.7 or later",
			e.Addr, e.API, e.ClientMin, e.ClientMax)
	}
	return fmt.Sprintf("%s offers %s version %d to %d, this client speaks %d to %d: use Apache Kafka 2.7 or later",
		e.Addr, e.API, e.BrokerMin, e.BrokerMax, e.ClientMin, e.ClientMax)
}

// Is makes an UnsupportedError match ErrUnsupportedVersion.
func (e *UnsupportedError) Is(target error) bool { return target == ErrUnsupportedVersion }

// Short causes of a NetError.
var (
	// ErrResponseTooLarge is an answer above Config.MaxResponse; it was not read.
	ErrResponseTooLarge = errors.New("answer is larger than the limit")
	// ErrMalformed is an answer whose bytes do not follow the protocol.
	ErrMalformed = errors.New("answer does not follow the protocol")
	// ErrNoBroker is a node that the cluster's metadata does not list.
	ErrNoBroker = errors.New("not in the cluster's metadata")
	// ErrClosed is a request on a closed client.
	ErrClosed = errors.New("client is closed")
)

package kafka

import (
	"errors"
	"slices"

	"github.com/sluice-ml/sluice/internal/kafkawire"
)

// What ends a Source for good.
var (
	// ErrTopicMissing is an input topic that the cluster did not have within
	// StartupWait; nothing was created.
	ErrTopicMissing = errors.New("input topic missing")
	// ErrReplaced is another process that joined under this one's instance name.
	ErrReplaced = errors.New("another process took the instance name")
	// ErrConfiguration is a setting that the cluster refuses.
	ErrConfiguration = errors.New("refused by the cluster")
	// ErrClosed is a Receive after Close.
	ErrClosed = errors.New("source is closed")
)

// isCode says whether err is one of these answers of a broker.
func isCode(err error, codes ...kafkawire.ErrorCode) bool {
	var code kafkawire.ErrorCode
	return errors.As(err, &code) && slices.Contains(codes, code)
}

// lostCoordinator says that the group may live elsewhere now, or that its
// coordinator did not answer: the generation may well still be good.
func lostCoordinator(err error) bool {
	var net *kafkawire.NetError
	return errors.As(err, &net) ||
		isCode(err, kafkawire.ErrCoordinatorLoading, kafkawire.ErrCoordinatorNotAvailable, kafkawire.ErrNotCoordinator)
}

// lostMembership says that the coordinator knows this generation or this member
// no more (I3).
func lostMembership(err error) bool {
	return isCode(err, kafkawire.ErrUnknownMemberID, kafkawire.ErrIllegalGeneration, kafkawire.ErrFencedInstanceID)
}

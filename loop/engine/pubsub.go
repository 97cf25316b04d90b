package engine

import (
	"errors"
	"fmt"
	"math"

	"github.com/tinylib/msgp/msgp"

	"cyberdb-fast/codec"
	"cyberdb-fast/codec/value"
	"cyberdb-fast/loop/pubsub"
	"cyberdb-fast/shardmap"
)

const (
	// maxLoopReceivers is how many subscriptions an event loop passes a message to. If there are
	// more, that is done in the background.
	maxLoopReceivers = 500
	// maxLoopNames is how many channels and prefixes an event loop subscribes to.
	maxLoopNames = 256
	// maxReceived is how many messages RECEIVE answers.
	maxReceived = 1000
	// maxListedNames is of how many channels and prefixes INFO "channels" tells.
	maxListedNames = 1000
	// defaultMessageBytes is Env.MessageBytes of an Env without it.
	defaultMessageBytes = 128 << 20
	// receivedBytesPerNano is how many bytes of messages are copied in a nanosecond.
	receivedBytesPerNano = 4
)

// Messages returns the figures of publish and subscribe.
func (e *Engine) Messages() pubsub.Figures { return e.hub.Figures() }

// publish answers PUBLISH. Nothing of it is logged.
func publish(x *Executor) error {
	channel, err := channelName(x.args[0], "a channel's name", 1)
	if err != nil {
		return err
	}
	most := maxLoopReceivers
	if x.call.MayBlock {
		most = math.MaxInt
	}
	n, cost, ok := x.engine.hub.Publish(channel, x.args[0], x.args[1], most)
	x.call.Cost += cost
	if !ok {
		return shardmap.ErrLong
	}
	x.body = msgp.AppendInt(x.body, n)
	return nil
}

// channelName reads the name of a channel, or a prefix, of at least so many bytes.
func channelName(b []byte, what string, least int) ([]byte, error) {
	name, _, err := msgp.ReadStringZC(b)
	if err != nil {
		return nil, typeError(fmt.Sprintf(
			"%s is a str of %d to %d bytes, not %s", what, least, pubsub.MaxNameBytes, value.TypeName(b),
		))
	}
	if len(name) < least || len(name) > pubsub.MaxNameBytes {
		return nil, valueError(fmt.Sprintf(
			"%s is a str of %d to %d bytes, this one has %d", what, least, pubsub.MaxNameBytes, len(name),
		))
	}
	return name, nil
}

// subscribe answers SUBSCRIBE.
func subscribe(x *Executor) error {
	client, err := x.subscribesFor()
	if err != nil {
		return err
	}
	channels, err := x.channelNames(x.args[0], "channels", "a channel's name", 1)
	if err != nil {
		return err
	}
	prefixes, err := x.channelNames(x.args[1], "prefixes", "a prefix", 0)
	if err != nil {
		return err
	}
	if len(channels)+len(prefixes) == 0 {
		return valueError("SUBSCRIBE takes at least one channel or prefix")
	}
	id, err := client.subscriber().Subscribe(channels, prefixes)
	if err != nil {
		return subscribeError(err)
	}
	x.body = msgp.AppendUint64(x.body, id)
	return nil
}

// subscribesFor returns the Client for which the request subscribes or receives.
func (x *Executor) subscribesFor() (*Client, error) {
	if c := x.Client(); c != nil {
		return c, nil
	}
	return nil, unsupported(x.Op.String() + " is for connections of this wire")
}

// channelNames reads a list of names.
func (x *Executor) channelNames(b []byte, argument, what string, least int) ([]string, error) {
	n, rest, err := msgp.ReadArrayHeaderBytes(b)
	if err != nil {
		return nil, typeError(fmt.Sprintf("%s of SUBSCRIBE are a list of str, not %s", argument, value.TypeName(b)))
	}
	if n > pubsub.MaxNames {
		return nil, subscribeError(pubsub.ErrNames)
	}
	if n > maxLoopNames && !x.call.MayBlock {
		return nil, shardmap.ErrLong
	}
	names := make([]string, 0, n)
	for range n {
		size := value.Size(rest)
		name, err := channelName(rest[:size], what, least)
		if err != nil {
			return nil, err
		}
		names = append(names, string(name))
		rest = rest[size:]
	}
	return names, nil
}

// subscribeError is the client's answer to an error of pubsub.
func subscribeError(err error) error {
	e := &codec.Error{Status: codec.StatusOverloaded, Message: err.Error()}
	switch {
	case errors.Is(err, pubsub.ErrSubscriptions):
		e.Message = fmt.Sprintf("%v, %d: end one, or subscribe to more channels by one", err, pubsub.MaxSubscriptions)
	case errors.Is(err, pubsub.ErrNames):
		e.Message = fmt.Sprintf("%v, %d: a prefix stands for many channels", err, pubsub.MaxNames)
	case errors.Is(err, pubsub.ErrMemory):
		e.Message = err.Error() + ": try again later"
	}
	return e
}

// receive answers RECEIVE: what its subscription has, or what comes within its time.
func receive(x *Executor) error {
	s, err := x.subscription()
	if err != nil {
		return err
	}
	limit, isInt, _ := intArgument(x.args[1])
	switch {
	case !isInt || msgp.NextType(x.args[1]) == msgp.BoolType:
		return typeError("limit of RECEIVE is an int, not " + value.TypeName(x.args[1]))
	case limit < 1 || limit > maxReceived:
		return valueError(fmt.Sprintf("limit of RECEIVE is 1 to %d, not %s", maxReceived, reprOf(x.args[1])))
	}
	wait, err := x.waitArgument(x.args[2])
	if err != nil {
		return err
	}
	if !s.Free(x.Resumed) {
		return valueError("another RECEIVE of this subscription waits: its messages go there")
	}
	missed, messages := s.Receive(int(limit))
	if missed == 0 && len(messages) == 0 && !wait.over() {
		return x.waitForMessage(s, wait)
	}
	x.body = msgp.AppendUint64(x.body, missed)
	for _, m := range messages {
		x.body = append(x.body, m...)
		x.call.Cost += baseCost + len(m)/receivedBytesPerNano
	}
	return nil
}

// waitForMessage makes RECEIVE wait, the only one of its subscription.
func (x *Executor) waitForMessage(s *pubsub.Subscription, wait timeLimit) error {
	var holder *Wait
	err := x.WaitFor(Wait{When: s.WhenReady, Within: wait.within(math.MaxInt64), End: func() { s.Release(holder) }})
	if errors.Is(err, errWaits) {
		holder = x.Wait
		s.Hold(holder)
	}
	return err
}

// unsubscribe answers UNSUBSCRIBE.
func unsubscribe(x *Executor) error {
	client, err := x.subscribesFor()
	if err != nil {
		return err
	}
	id, err := subscriptionNumber(x.args[0])
	if err != nil {
		return err
	}
	x.body = msgp.AppendBool(x.body, client.subscriber().Unsubscribe(id))
	return nil
}

// subscription returns the one that the first argument names.
func (x *Executor) subscription() (*pubsub.Subscription, error) {
	client, err := x.subscribesFor()
	if err != nil {
		return nil, err
	}
	id, err := subscriptionNumber(x.args[0])
	if err != nil {
		return nil, err
	}
	if s := client.subscriber().Subscription(id); s != nil {
		return s, nil
	}
	return nil, &codec.Error{
		Status: codec.StatusKeyError, Key: x.args[0],
		Message: fmt.Sprintf("this connection has no subscription %s", reprOf(x.args[0])),
	}
}

// subscriptionNumber reads the number of a subscription; 0 is that of none.
func subscriptionNumber(b []byte) (uint64, error) {
	id, isInt, fits := intArgument(b)
	if !isInt || msgp.NextType(b) == msgp.BoolType {
		return 0, typeError("a subscription is an int, not " + value.TypeName(b))
	}
	if !fits {
		id = 0
	}
	return uint64(max(id, 0)), nil
}

// infoChannels answers INFO "channels".
func infoChannels(x *Executor) error {
	var answer struct {
		pubsub.Figures
		Names []pubsub.Name `json:"names"`
		More  bool          `json:"more"` // there are other names
	}
	answer.Figures = x.engine.hub.Figures()
	answer.Names, answer.More = x.engine.hub.Names(maxListedNames)
	return x.answerJSON(&answer)
}
